//! The exit codes.
//!
//! **Invariant.** The numbers are listed here and in `docs/exit-codes.md`, and a
//! test compares the two.

use std::io;
use std::process::ExitCode;

/// Why a tool ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Done.
    Done,
    /// The answer is no.
    No,
    /// Wrong usage.
    Usage,
    /// Data is malformed.
    Malformed,
    /// ZooKeeper was not reached in time.
    Unreachable,
    /// A bug.
    Bug,
    /// The output cannot be written.
    CannotWrite,
    /// Other clients won every attempt, or one of them holds the name.
    Contended,
    /// Permission is missing.
    NotAllowed,
    /// The configuration cannot work.
    Configuration,
    /// ZooKeeper was reached, but the work was not done in time.
    Overdue,
    /// A monitoring plugin reports WARNING.
    Warning,
    /// A monitoring plugin reports CRITICAL.
    Critical,
    /// A monitoring plugin does not know the state.
    Unknown,
    /// The exit code of the command of zkexec, or why it could not be run.
    Child(u8),
}

impl Exit {
    /// The exit code of the process.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No | Self::Warning => 1,
            Self::Usage | Self::Critical => 2,
            Self::Unknown => 3,
            Self::Malformed => 65,
            Self::Unreachable => 69,
            Self::Bug => 70,
            Self::CannotWrite => 73,
            Self::Contended => 75,
            Self::NotAllowed => 77,
            Self::Configuration => 78,
            Self::Overdue => 124,
            Self::Child(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The exit code after a failed write to the output. A reader that closed the pipe
/// ends the tool, but is no error.
#[must_use]
pub fn exit_for_write_error(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Exit::Done,
        _ => Exit::CannotWrite,
    }
}

/// The exit code after a failed read of a file that the configuration names.
pub(super) fn exit_for_read_error(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::NotAllowed,
        _ => Exit::Configuration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const ALL: [Exit; 14] = [
        Exit::Done,
        Exit::No,
        Exit::Usage,
        Exit::Malformed,
        Exit::Unreachable,
        Exit::Bug,
        Exit::CannotWrite,
        Exit::Contended,
        Exit::NotAllowed,
        Exit::Configuration,
        Exit::Overdue,
        Exit::Warning,
        Exit::Critical,
        Exit::Unknown,
    ];

    #[test]
    fn the_page_and_the_enum_say_the_same() {
        let page = include_str!("../../../../docs/exit-codes.md");
        let cells = |line: &str| -> Option<(String, u8)> {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let code = cells.next()?.parse().ok()?;
            Some((cells.next()?.trim_matches('`').to_owned(), code))
        };
        let documented: BTreeMap<String, u8> = page.lines().filter_map(cells).collect();
        let real: BTreeMap<String, u8> =
            ALL.iter().map(|exit| (format!("{exit:?}"), exit.code())).collect();
        assert_eq!(documented, real);
    }
}
