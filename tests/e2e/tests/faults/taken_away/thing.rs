//! What is taken away, and what that looks like.

use std::time::Duration;

/// What a tool needs from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    /// Nobody reads the pipe any more, and it is full.
    StderrReader,
    /// No more descriptors can be opened.
    Descriptors,
    /// No more threads and processes can be started.
    Threads,
    /// No more memory can be had.
    Memory,
    /// The disk of the tool's files is full.
    Disk,
    /// No more watches can be added, and the directory was replaced: it has to be watched anew.
    InotifyWatches,
    /// Connections stay open, but no byte passes.
    Network,
    /// The only server is killed.
    Server,
    /// The session is ended, and no connection is accepted.
    Session,
    /// The directory of the tool's files is moved away.
    Directory,
    /// The clock is a day ahead.
    Clock,
}

impl Thing {
    /// Whether the tool works on while the thing is away.
    pub(super) const fn is_dispensable(self) -> bool {
        matches!(self, Self::StderrReader | Self::InotifyWatches | Self::Clock)
    }

    /// How long it is away at least.
    pub(super) const fn lasts(self) -> Duration {
        Duration::from_secs(if matches!(self, Self::Disk | Self::Descriptors) { 20 } else { 0 })
    }

    /// How soon the tool has to be back.
    pub(super) const fn back_within(self) -> Duration {
        Duration::from_secs(if matches!(self, Self::Disk) { 10 } else { 15 })
    }

    /// Whether znodes can't be changed meanwhile.
    pub(super) const fn hides_znodes(self) -> bool {
        matches!(self, Self::Server)
    }

    /// What the log says once the tool has noticed.
    pub(super) const fn log_line(self) -> &'static str {
        match self {
            Self::Network | Self::Server | Self::Session => "suspended: ",
            Self::Disk => "No space left on device",
            Self::Descriptors => "Too many open files",
            Self::Threads => "Resource temporarily unavailable",
            Self::Directory => "No such file or directory",
            Self::StderrReader | Self::Memory | Self::InotifyWatches | Self::Clock => "",
        }
    }
}
