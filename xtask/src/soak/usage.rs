//! The resources that a tool uses, and whether they grow.

use farm_harness::Running;
use std::time::Duration;

/// How many descriptors more than after the first recovery a tool may have: zkjoin keeps 32 replaced
/// configs open for a while, because an editor may still write to them, and opens some sockets.
const FDS_MORE_MAX: usize = 40;
const THREADS_MORE_MAX: usize = 4;
/// The peak of the memory may double and grow by this. A leak exceeds that sooner or later.
const MEMORY_MORE_KB: u64 = 8 << 10;
/// Parts of the lines that a tool logs for each change of the data, and not for each fault.
const ROUTINE: [&str; 11] = [
    "published;",
    "wrote the config;",
    "the file has changed;",
    "health checking via",
    "successful health check",
    "failed health check",
    "the health check said",
    "forking ",
    "forked ",
    "command ended",
    " the lock",
];
/// What a tool must never log, whatever the fault: no two edits of the soak test conflict.
const FORBIDDEN: [&str; 3] = [" ERROR ", "panicked", "malformed"];
/// What a tool may log only if it has restarted with an edit that the shared record replaces.
const LOCAL_EDIT_LOST: &str = "the local one is lost";

/// What zkexport may log only if its directory was moved away.
const NOT_WRITTEN: &str = "the file stays as it is";

/// What a process uses at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) fds: usize,
    pub(super) threads: usize,
    pub(super) memory_kb: u64,
}

/// What a tool has used, in all of its processes.
#[derive(Debug, Default)]
pub(super) struct Usage {
    first: Option<Sample>,
    pub(super) last: Sample,
    cpu_before: Duration,
    cpu_now: Duration,
    notable_before: usize,
    notable_now: usize,
    sessions_before: usize,
    sessions_now: usize,
    pub(super) may_lose_edits: bool,
    pub(super) may_fail_to_write: bool,
}

impl Usage {
    /// Reads the CPU time of the process, which must be alive.
    pub(super) fn read_cpu_time(&mut self, running: &Running) {
        self.cpu_now = running.cpu_time();
    }

    /// The CPU time of all processes, as far as it was read.
    pub(super) fn cpu(&self) -> Duration {
        self.cpu_before + self.cpu_now
    }

    /// The number of lines of all processes that were not routine.
    pub(super) const fn notable(&self) -> usize {
        self.notable_before + self.notable_now
    }

    /// The number of sessions of all processes.
    pub(super) const fn sessions(&self) -> usize {
        self.sessions_before + self.sessions_now
    }

    /// Adds what an exited process has used to the totals of the tool.
    pub(super) fn add_exited(&mut self, exited: &Running) {
        self.cpu_before += std::mem::take(&mut self.cpu_now);
        self.notable_before += notable(&exited.stderr());
        self.notable_now = 0;
        self.sessions_before += sessions(&exited.stderr());
        self.sessions_now = 0;
        self.first = None;
    }

    /// Checks a process after a recovery. The error says what it must not use or log.
    pub(super) fn check(&mut self, running: &Running, lines_max: usize) -> Result<(), String> {
        let log = running.stderr();
        let is_forbidden = |line: &&str| {
            let is_excused = self.may_fail_to_write && line.contains(NOT_WRITTEN);
            FORBIDDEN.iter().any(|word| line.contains(word)) && !is_excused
                || line.contains(LOCAL_EDIT_LOST) && !self.may_lose_edits
        };
        if let Some(line) = log.lines().find(is_forbidden) {
            return Err(format!("it logged: {line}"));
        }
        let before = self.notable();
        self.notable_now = notable(&log);
        self.sessions_now = sessions(&log);
        let lines = self.notable().saturating_sub(before);
        if lines > lines_max {
            return Err(format!("it logged {lines} lines in one round"));
        }
        self.read_cpu_time(running);
        self.last = Sample {
            fds: running.fd_count(),
            threads: running.thread_count(),
            memory_kb: running.memory_peak_kb(),
        };
        let first = *self.first.get_or_insert(self.last);
        grown(first, self.last).map_or(Ok(()), Err)
    }
}

fn grown(first: Sample, last: Sample) -> Option<String> {
    if last.fds > first.fds + FDS_MORE_MAX {
        return Some(format!("it has {} descriptors, and had {} before", last.fds, first.fds));
    }
    if last.threads > first.threads + THREADS_MORE_MAX {
        return Some(format!("it has {} threads, and had {} before", last.threads, first.threads));
    }
    if last.memory_kb > first.memory_kb * 2 + MEMORY_MORE_KB {
        return Some(format!("it has used {} KiB, and {} before", last.memory_kb, first.memory_kb));
    }
    None
}

fn sessions(log: &str) -> usize {
    log.matches(" connected; ").count()
}

fn notable(log: &str) -> usize {
    log.lines().filter(|line| !ROUTINE.iter().any(|word| line.contains(word))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routine_is_not_counted() {
        let log = "INFO  published; path=/f/h version=2\nWARN  suspended: lost\nINFO  connected";
        assert_eq!(notable(log), 2);
    }

    #[test]
    fn growth_is_found_and_a_change_is_none() {
        let first = Sample { fds: 20, threads: 7, memory_kb: 9000 };
        assert_eq!(grown(first, Sample { fds: 24, threads: 9, memory_kb: 16_000 }), None);
        for more in [
            Sample { fds: 70, ..first },
            Sample { threads: 12, ..first },
            Sample { memory_kb: 40_000, ..first },
        ] {
            assert!(grown(first, more).is_some(), "{more:?}");
        }
    }
}
