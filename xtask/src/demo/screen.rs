//! What the demo shows, and in which colours.

use std::env;
use std::io::{self, IsTerminal, Write};

const PLAIN: &str = "\x1b[0m";
const COMMAND: &str = "\x1b[1;36m";
const TITLE: &str = "\x1b[1m";
const FACT: &str = "\x1b[32m";

/// Standard output, coloured if it is a terminal that wants it.
#[derive(Debug)]
pub(super) struct Screen {
    is_coloured: bool,
}

impl Screen {
    pub(super) fn open() -> Self {
        let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_coloured: io::stdout().is_terminal() && !is_unwanted }
    }

    /// Opens a scene.
    pub(super) fn title(&self, text: &str) {
        self.line("");
        self.painted(TITLE, text);
    }

    /// Explains, in the reader's language.
    pub(super) fn explain(&self, text: &str) {
        self.line(text);
    }

    /// Shows a command that is about to run.
    pub(super) fn command(&self, line: &str) {
        self.painted(COMMAND, &format!("$ {line}"));
    }

    /// Shows what a command printed, as it is.
    pub(super) fn output(&self, text: &str) {
        for line in text.lines() {
            self.line(line);
        }
    }

    /// Tells an outcome that was seen.
    pub(super) fn fact(&self, text: &str) {
        self.painted(FACT, &format!("-> {text}"));
    }

    fn painted(&self, colour: &str, text: &str) {
        if self.is_coloured {
            self.line(&format!("{colour}{text}{PLAIN}"));
        } else {
            self.line(text);
        }
    }

    fn line(&self, text: &str) {
        // With nobody left to read it, the exit code still tells the outcome.
        drop(writeln!(io::stdout(), "{text}"));
    }
}
