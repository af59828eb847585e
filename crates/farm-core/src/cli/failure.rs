//! The error message of a tool.
//!
//! **Invariant.** [`launch`](super::launch) prints a failure once: one line that says
//! what failed, on what and why, and at most one hint line.

use super::exit::{Exit, exit_for_write_error};
use crate::engine::{chain, printable};
use std::error::Error;
use std::fmt;
use std::io;

/// Why a tool fails: its exit code and its message.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    what: String,
    picture: Option<String>,
    hint: Option<String>,
}

impl Failure {
    /// A failure with its message.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { exit, what, picture: None, hint: None }
    }

    /// A failure to write the answer to stdout.
    #[must_use]
    pub fn of_stdout(error: io::Error) -> Self {
        Self::new(exit_for_write_error(&error), "cannot write to stdout").because(error)
    }

    /// A failure because the system does not provide what every tool needs: a thread,
    /// signals, watches.
    pub fn system_error<E: Error>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::new(Exit::Configuration, what).because(error)
    }

    /// Appends the cause, with its own chain of causes.
    #[must_use]
    pub fn because(self, cause: impl Error) -> Self {
        Self { what: format!("{}: {}", self.what, chain(&cause)), ..self }
    }

    /// Prepends what the tool was doing.
    #[must_use]
    pub fn during(self, what: impl fmt::Display) -> Self {
        Self { what: format!("{what}: {}", self.what), ..self }
    }

    /// Adds lines that point at the mistake; they follow the first line.
    #[must_use]
    pub fn picture(self, picture: impl Into<String>) -> Self {
        Self { picture: Some(picture.into()), ..self }
    }

    /// Adds a next step for the user.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The exit code of the process.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// What failed, on what and why, on one line.
    #[must_use]
    pub fn line(&self) -> String {
        printable(&self.what).into_owned()
    }

    /// The whole text for stderr, with its final newline; empty when the reader of
    /// stdout closed the pipe.
    #[must_use]
    pub fn render(&self, tool: &str) -> String {
        if self.exit == Exit::Done {
            return String::new();
        }
        let mut text = format!("{}: {}\n", printable(tool), self.line());
        for line in self.picture.iter().flat_map(|picture| picture.lines()) {
            text.push_str(&printable(line));
            text.push('\n');
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("hint: {}\n", printable(hint)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Servers;

    #[test]
    fn the_chain_is_one_line_and_the_hint_another() {
        let cause = Servers::parse("zk1/a//b").unwrap_err();
        let failure = Failure::new(Exit::Configuration, "no servers")
            .because(cause)
            .during("cannot read zk.conf")
            .hint("see\nthere");
        assert_eq!(
            failure.render("zkctl"),
            "zkctl: cannot read zk.conf: no servers: wrong chroot: \
             \"/a//b\" is not a znode path: it has an empty component\nhint: see\\nthere\n"
        );
        assert_eq!(failure.exit(), Exit::Configuration);
    }

    #[test]
    fn foreign_text_can_neither_add_lines_nor_move_the_cursor() {
        let failure = Failure::new(Exit::No, "no field a\nzkctl: all is well\u{1b}[2J");
        assert_eq!(failure.render("zkctl"), "zkctl: no field a\\nzkctl: all is well\\u{1b}[2J\n");
    }

    #[test]
    fn a_picture_keeps_its_lines() {
        let failure = Failure::new(Exit::Usage, "no filter").picture("a<\u{7}\n  ^");
        assert_eq!(failure.render("zkctl"), "zkctl: no filter\na<\\u{7}\n  ^\n");
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let failure = Failure::of_stdout(io::ErrorKind::BrokenPipe.into());
        assert_eq!((failure.exit(), failure.render("zkctl").as_str()), (Exit::Done, ""));
        let failure = Failure::of_stdout(io::ErrorKind::StorageFull.into());
        assert_eq!(failure.exit(), Exit::CannotWrite);
        assert!(failure.render("zkctl").starts_with("zkctl: cannot write to stdout: "));
    }
}
