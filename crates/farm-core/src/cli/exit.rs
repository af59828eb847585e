//! How a process ends.
//!
//! **Invariant.** The numbers stand here and in `docs/exit-codes.md`, and a
//! test holds the two together.

use std::process::ExitCode;

/// What the exit code of a tool says.
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
    /// The output can't be written.
    CannotWrite,
    /// Others were quicker every time, or hold the name.
    Contended,
    /// Permission is missing.
    NotAllowed,
    /// The configuration can't work.
    Configuration,
    /// ZooKeeper was reached, but the work was not done in time.
    Overdue,
    /// A monitoring plugin: somebody should look.
    Warning,
    /// A monitoring plugin: somebody has to act.
    Critical,
    /// A monitoring plugin that can't tell.
    Unknown,
    /// Of zkexec: as its command ended, or why that could not be run.
    Child(u8),
}

impl Exit {
    /// The number that the process ends with.
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
