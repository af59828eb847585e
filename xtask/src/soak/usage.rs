//! What a tool takes of the machine, and whether that grows.

use farm_harness::Running;
use std::time::Duration;

/// Above what the first calm found: 32 replaced configs that zkjoin keeps open for
/// a while, for editors that still write to them, and some sockets.
const FDS_MORE_MAX: usize = 40;
const THREADS_MORE_MAX: usize = 4;
/// The peak may double and a little more; what leaks passes that some day.
const MEMORY_MORE_KB: u64 = 8 << 10;
/// What is said once per change of the data, and not once per fault.
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
/// What no fault may make a tool say: none of our edits is in another's way.
const NEVER: [&str; 3] = [" ERROR ", "panicked", "malformed"];
/// Nor this, unless it began with a config that what all hosts share replaces.
const YIELDED: &str = "the local one is lost";

/// What a process takes at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) fds: usize,
    pub(super) threads: usize,
    pub(super) memory_kb: u64,
}

/// What a tool has taken, over all its runs.
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
    pub(super) may_yield: bool,
}

impl Usage {
    /// Looks at the processor time alone; the process must live.
    pub(super) fn clock(&mut self, running: &Running) {
        self.cpu_now = running.cpu_time();
    }

    /// The processor time of all runs, up to the last look.
    pub(super) fn cpu(&self) -> Duration {
        self.cpu_before + self.cpu_now
    }

    /// The lines of all runs that were not routine.
    pub(super) const fn notable(&self) -> usize {
        self.notable_before + self.notable_now
    }

    /// The sessions of all runs.
    pub(super) const fn sessions(&self) -> usize {
        self.sessions_before + self.sessions_now
    }

    /// The process has ended, and another one begins.
    pub(super) fn renew(&mut self, ended: &Running) {
        self.cpu_before += std::mem::take(&mut self.cpu_now);
        self.notable_before += notable(&ended.stderr());
        self.notable_now = 0;
        self.sessions_before += sessions(&ended.stderr());
        self.sessions_now = 0;
        self.first = None;
    }

    /// Looks at a process in calm; returns what it should not take or say.
    pub(super) fn look(&mut self, running: &Running, lines_max: usize) -> Result<(), String> {
        let log = running.stderr();
        let is_never = |line: &&str| {
            NEVER.iter().any(|word| line.contains(word))
                || line.contains(YIELDED) && !self.may_yield
        };
        if let Some(line) = log.lines().find(is_never) {
            return Err(format!("it said: {line}"));
        }
        let before = self.notable();
        self.notable_now = notable(&log);
        self.sessions_now = sessions(&log);
        let said = self.notable().saturating_sub(before);
        if said > lines_max {
            return Err(format!("it said {said} lines in one storm"));
        }
        self.clock(running);
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
        return Some(format!("it has {} descriptors, and had {}", last.fds, first.fds));
    }
    if last.threads > first.threads + THREADS_MORE_MAX {
        return Some(format!("it has {} threads, and had {}", last.threads, first.threads));
    }
    if last.memory_kb > first.memory_kb * 2 + MEMORY_MORE_KB {
        return Some(format!("it took {} KiB, and had {}", last.memory_kb, first.memory_kb));
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
    fn growth_is_told_and_a_change_is_none() {
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
