//! What the demo prints, and in which colours.

use std::env;
use std::io::{self, IsTerminal, Write};

const PLAIN: &str = "\x1b[0m";
const COMMAND: &str = "\x1b[1;36m";
const TITLE: &str = "\x1b[1m";
const OUTCOME: &str = "\x1b[32m";

/// Standard output, in colour if it is a terminal and nobody objects.
#[derive(Debug)]
pub(super) struct Screen {
    is_coloured: bool,
}

impl Screen {
    pub(super) fn open() -> Self {
        let is_colour_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_coloured: io::stdout().is_terminal() && !is_colour_unwanted }
    }

    /// Prints the title of a part.
    pub(super) fn title(&self, text: &str) {
        self.line("");
        self.coloured(TITLE, text);
    }

    /// Prints an explanation.
    pub(super) fn explain(&self, text: &str) {
        self.line(text);
    }

    /// Prints a command that is about to run.
    pub(super) fn command(&self, line: &str) {
        self.coloured(COMMAND, &format!("$ {line}"));
    }

    /// Prints the output of a command unchanged.
    pub(super) fn output(&self, text: &str) {
        for line in text.lines() {
            self.line(line);
        }
    }

    /// Prints an outcome that was observed.
    pub(super) fn outcome(&self, text: &str) {
        self.coloured(OUTCOME, &format!("-> {text}"));
    }

    fn coloured(&self, colour: &str, text: &str) {
        if self.is_coloured {
            self.line(&format!("{colour}{text}{PLAIN}"));
        } else {
            self.line(text);
        }
    }

    fn line(&self, text: &str) {
        // If nobody reads standard output any more, the exit code still tells the outcome.
        drop(writeln!(io::stdout(), "{text}"));
    }
}
