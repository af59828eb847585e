//! What the soak test prints while it runs and at the end.

use super::tools::Daemon;
use crate::step::eprint_line;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// What has happened so far.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) start: Instant,
    is_verbose: bool,
    timeline: String,
    faults: usize,
    recoveries: usize,
    longest_recovery: Duration,
    pub(super) edits: u64,
    minutes: u32,
}

impl Report {
    pub(super) fn new(is_verbose: bool) -> Self {
        Self {
            start: Instant::now(),
            is_verbose,
            timeline: String::new(),
            faults: 0,
            recoveries: 0,
            longest_recovery: Duration::ZERO,
            edits: 0,
            minutes: 0,
        }
    }

    /// Adds a line to the timeline.
    pub(super) fn note(&mut self, what: &str) {
        let line = format!("{:8.1} s  {what}", self.start.elapsed().as_secs_f64());
        if self.is_verbose {
            eprint_line(&line);
        }
        self.timeline += &line;
        self.timeline.push('\n');
    }

    pub(super) fn timeline(&self) -> String {
        self.timeline.clone()
    }

    /// Adds a round that is over.
    pub(super) fn add_round(&mut self, faults: usize, recovery: Duration) {
        self.faults += faults;
        self.recoveries += 1;
        self.longest_recovery = self.longest_recovery.max(recovery);
        self.note(&format!("recovered after {:.1} s", recovery.as_secs_f64()));
    }

    /// Prints the totals so far, once a minute.
    pub(super) fn progress(&mut self) {
        if self.start.elapsed() >= MINUTE * (self.minutes + 1) {
            self.minutes += 1;
            eprint_line(&format!("{:4} min: {}", self.minutes, self.line()));
        }
    }

    /// The totals of the whole run.
    pub(super) fn totals(&self, elapsed: Duration) -> String {
        format!("{:.1} min: {}", elapsed.as_secs_f64() / 60.0, self.line())
    }

    fn line(&self) -> String {
        format!(
            "{} faults, {} recoveries of at most {:.1} s, {} edits",
            self.faults,
            self.recoveries,
            self.longest_recovery.as_secs_f64(),
            self.edits
        )
    }
}

/// The resource usage of each tool in this time.
pub(super) fn usage_table<'a>(
    elapsed: Duration,
    daemons: impl Iterator<Item = &'a mut Daemon>,
) -> String {
    let head = "tool             cpu s    cpu %   fds  threads  peak KiB  lines  sessions\n";
    let mut text = head.to_owned();
    for daemon in daemons {
        let (cpu, last) = (daemon.usage.cpu().as_secs_f64(), daemon.usage.last);
        // Writing to a string does not fail.
        writeln!(
            text,
            "{:14} {cpu:7.1} {:8.2} {:5} {:8} {:9} {:6} {:9}",
            daemon.name,
            cpu / elapsed.as_secs_f64() * 100.0,
            last.fds,
            last.threads,
            last.memory_kb,
            daemon.usage.notable(),
            daemon.usage.sessions(),
        )
        .unwrap_or_default();
    }
    text
}
