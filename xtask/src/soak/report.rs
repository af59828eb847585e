//! What the soak says while it runs, and at its end.

use super::tools::Daemon;
use crate::step::say;
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
    calms: usize,
    longest_calm: Duration,
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
            calms: 0,
            longest_calm: Duration::ZERO,
            edits: 0,
            minutes: 0,
        }
    }

    /// Writes into the timeline.
    pub(super) fn note(&mut self, what: &str) {
        let line = format!("{:8.1} s  {what}", self.start.elapsed().as_secs_f64());
        if self.is_verbose {
            say(&line);
        }
        self.timeline += &line;
        self.timeline.push('\n');
    }

    pub(super) fn timeline(&self) -> String {
        self.timeline.clone()
    }

    /// A storm is over.
    pub(super) fn count(&mut self, faults: usize, calm: Duration) {
        self.faults += faults;
        self.calms += 1;
        self.longest_calm = self.longest_calm.max(calm);
        self.note(&format!("calm after {:.1} s", calm.as_secs_f64()));
    }

    /// Tells how it goes, once a minute.
    pub(super) fn progress(&mut self) {
        if self.start.elapsed() >= MINUTE * (self.minutes + 1) {
            self.minutes += 1;
            say(&format!("{:4} min: {}", self.minutes, self.line()));
        }
    }

    /// The figures of the whole run.
    pub(super) fn totals(&self, elapsed: Duration) -> String {
        format!("{:.1} min: {}", elapsed.as_secs_f64() / 60.0, self.line())
    }

    fn line(&self) -> String {
        format!(
            "{} faults, {} times calm, after {:.1} s at most, {} edits",
            self.faults,
            self.calms,
            self.longest_calm.as_secs_f64(),
            self.edits
        )
    }
}

/// What each tool has taken in that time.
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
