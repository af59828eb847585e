//! What a person is told when a tool can't do what it was asked for.
//!
//! **Invariant.** A failure is told once, by [`launch`](super::launch): one
//! line that says what failed, on what and why, and at most one line of hint.

use super::exit::Exit;
use crate::engine::printable;
use crate::farm::EditError;
use crate::model::FilterError;
use crate::session::cache::Refusal;
use crate::session::{PathError, SessionError};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;

/// The end of a tool that did not do its work.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    what: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    picture: Option<String>,
    hint: Option<String>,
    is_quiet: bool,
}

impl Failure {
    /// A failure that says what could not be done.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { exit, what, cause: None, picture: None, hint: None, is_quiet: false }
    }

    /// A failure to write the answer to stdout. A reader that went away had
    /// enough: that ends the tool, but it is no error.
    #[must_use]
    pub fn of_stdout(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { is_quiet: true, ..Self::new(Exit::Done, "the reader went away") };
        }
        Self::new(Exit::CannotWrite, "cannot write to stdout").because(error)
    }

    /// Adds the error that is the reason; its sources are told too.
    #[must_use]
    pub fn because(self, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { cause: Some(Box::new(cause)), ..self }
    }

    /// Puts what was being done in front.
    #[must_use]
    pub fn during(self, what: impl fmt::Display) -> Self {
        Self { what: format!("{what}: {}", self.what), ..self }
    }

    /// Adds lines that point at the mistake; they are told below the first line.
    #[must_use]
    pub fn picture(self, picture: impl Into<String>) -> Self {
        Self { picture: Some(picture.into()), ..self }
    }

    /// Names a next step.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The code that the process ends with.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// What failed, on what and why, on one line.
    #[must_use]
    pub fn line(&self) -> String {
        let line = match &self.cause {
            Some(cause) => format!("{}: {}", self.what, chain(cause.as_ref())),
            None => self.what.clone(),
        };
        printable(&line).into_owned()
    }

    /// Everything that is told on stderr, with its final newline; nothing at
    /// all when the reader of stdout went away.
    #[must_use]
    pub fn told_by(&self, tool: &str) -> String {
        if self.is_quiet {
            return String::new();
        }
        let mut told = format!("{}: {}\n", printable(tool), self.line());
        for line in self.picture.iter().flat_map(|picture| picture.lines()) {
            told.push_str(&printable(line));
            told.push('\n');
        }
        if let Some(hint) = &self.hint {
            told.push_str(&format!("hint: {}\n", printable(hint)));
        }
        told
    }
}

#[cfg(feature = "tls")]
use super::args::advice;

#[cfg(not(feature = "tls"))]
const fn advice(_: &crate::session::Trouble) -> Option<&'static str> {
    None
}

/// An error and its sources, on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(&format!(": {error}"));
        source = error.source();
    }
    line
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<FilterError> for Failure {
    /// Wrong usage, with a picture that points at the mistake.
    fn from(error: FilterError) -> Self {
        let told = error.to_string();
        let (what, picture) = told.split_once('\n').unwrap_or((&told, ""));
        Self::new(Exit::Usage, what).picture(picture)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        let exit = match &error {
            SessionError::NoNode(_) => Exit::No,
            SessionError::NodeExists(_) | SessionError::BadVersion(_) => Exit::Contended,
            SessionError::NoAuth(_) | SessionError::AuthRefused(_) => Exit::NotAllowed,
            SessionError::TooLarge { .. } | SessionError::Garbled(_) => Exit::Malformed,
            SessionError::Disconnected
            | SessionError::Expired
            | SessionError::Unreachable { .. } => Exit::Unreachable,
            SessionError::Overdue(_) => Exit::Overdue,
            SessionError::NotEmpty(_)
            | SessionError::InvalidAcl(_)
            | SessionError::NoChildrenForEphemerals(_)
            | SessionError::Unsupported
            | SessionError::Refused { .. }
            | SessionError::System(_) => Exit::Configuration,
        };
        let hint = match &error {
            SessionError::Unreachable { trouble, .. } => {
                let advice = trouble.as_ref().and_then(advice);
                Some(advice.unwrap_or("name the servers with --host or in ZKHOST").to_owned())
            }
            SessionError::NoAuth(_) => {
                Some("credentials come from --auth-file or ZK_AUTH_FILE".to_owned())
            }
            SessionError::AuthRefused(_) => {
                Some("digest authentication may be switched off at the server".to_owned())
            }
            SessionError::InvalidAcl(_) => {
                Some("its schemes have to be ones that the server knows; see --acl".to_owned())
            }
            _ => None,
        };
        Self { hint, ..Self::new(exit, error.to_string()) }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Session(error) => error.into(),
            Refusal::TooMany(_) | Refusal::TooLarge(_) => {
                Self::new(Exit::Configuration, refusal.to_string())
            }
        }
    }
}

impl From<Infallible> for Failure {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl<C: Into<Self>> From<EditError<C>> for Failure {
    fn from(error: EditError<C>) -> Self {
        match error {
            EditError::Session(error) => error.into(),
            EditError::Malformed { path, source } => {
                Self::new(Exit::Malformed, format!("{path} holds no record")).because(source)
            }
            EditError::Refused(refusal) => refusal.into(),
            EditError::Contended { path } => {
                let what = format!("others changed {path} in between every time");
                Self::new(Exit::Contended, what).hint("try again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Servers, ZnodePath};
    use std::time::Duration;

    #[test]
    fn the_chain_is_one_line_and_the_hint_another() {
        let cause = Servers::parse("zk1/a//b").unwrap_err();
        let failure = Failure::new(Exit::Configuration, "no servers")
            .because(cause)
            .during("cannot read zk.conf")
            .hint("see\nthere");
        assert_eq!(
            failure.told_by("zkctl"),
            "zkctl: cannot read zk.conf: no servers: wrong chroot: \
             \"/a//b\" is no znode path: it has an empty component\nhint: see\\nthere\n"
        );
        assert_eq!(failure.exit(), Exit::Configuration);
    }

    #[test]
    fn foreign_text_can_neither_add_lines_nor_move_the_cursor() {
        let failure = Failure::new(Exit::No, "no field a\nzkctl: all is well\u{1b}[2J");
        assert_eq!(failure.told_by("zkctl"), "zkctl: no field a\\nzkctl: all is well\\u{1b}[2J\n");
    }

    #[test]
    fn a_picture_keeps_its_lines() {
        let failure = Failure::new(Exit::Usage, "no filter").picture("a<\u{7}\n  ^");
        assert_eq!(failure.told_by("zkctl"), "zkctl: no filter\na<\\u{7}\n  ^\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let failure = Failure::of_stdout(io::ErrorKind::BrokenPipe.into());
        assert_eq!((failure.exit(), failure.told_by("zkctl").as_str()), (Exit::Done, ""));
        let failure = Failure::of_stdout(io::ErrorKind::StorageFull.into());
        assert_eq!(failure.exit(), Exit::CannotWrite);
        assert!(failure.told_by("zkctl").starts_with("zkctl: cannot write to stdout: "));
    }

    #[test]
    fn a_wrong_path_is_wrong_usage() {
        let failure = Failure::from(ZnodePath::parse("db").unwrap_err());
        assert_eq!(failure.exit(), Exit::Usage);
        assert_eq!(
            failure.told_by("zkctl"),
            "zkctl: \"db\" is no znode path: it must start with a slash\n"
        );
    }

    #[test]
    fn what_the_session_says_has_its_exit_code_and_one_line() {
        let path = || ZnodePath::parse("/services/db").unwrap();
        let tried = Duration::from_secs(10);
        let table = [
            (SessionError::NoNode(path()), Exit::No),
            (SessionError::NodeExists(path()), Exit::Contended),
            (SessionError::BadVersion(path()), Exit::Contended),
            (SessionError::NoAuth(path()), Exit::NotAllowed),
            (SessionError::TooLarge { path: path(), bytes: 2_000_000 }, Exit::Malformed),
            (SessionError::Disconnected, Exit::Unreachable),
            (SessionError::Unreachable { trouble: None, tried }, Exit::Unreachable),
            (SessionError::Overdue(tried), Exit::Overdue),
            (SessionError::Unsupported, Exit::Configuration),
        ];
        for (error, exit) in table {
            let told = format!("zkctl: {error}\n");
            let failure = Failure::from(error);
            assert_eq!(failure.exit(), exit, "{told}");
            assert!(failure.told_by("zkctl").starts_with(&told), "{told}");
            assert!(failure.told_by("zkctl").lines().count() <= 2, "{told}");
        }
    }

    #[test]
    fn an_edit_fails_like_what_made_it_fail() {
        let path = || ZnodePath::parse("/services/db").unwrap();
        let edit: EditError<Infallible> = EditError::Session(SessionError::NoNode(path()));
        assert_eq!(Failure::from(edit).exit(), Exit::No);
        let edit: EditError<Infallible> = EditError::Contended { path: path() };
        assert_eq!(Failure::from(edit).exit(), Exit::Contended);
        let source = crate::codec::json::decode_znode(b"[1]").unwrap_err();
        let edit: EditError<Infallible> = EditError::Malformed { path: path(), source };
        assert_eq!(Failure::from(edit).exit(), Exit::Malformed);
    }
}
