//! Orphans: processes that became our children because their parent has ended.
//!
//! A stop signals each group once, and that misses two kinds of process. A shell with a trap may
//! have been forking one: it catches the signal and loses it when it executes its program. And
//! one that is forked later joins a group that has the signal already. Both would hold up a
//! restart for the whole kill timeout and then die without cleaning up; one run in a hundred of
//! a busy test did. So orphans that were started about when the stop began get the signal a
//! second time. Older ones do not: many programs skip their cleanup when they are signalled
//! twice. The price is at most three reads of `/proc/PID/stat` for each orphan that is left after
//! [`LINGERING`].

use super::probe_timer::ProbeTimer;
use super::shutdown::{Shutdown, Termination};
use super::target::{Target, send_to_child};
use crate::engine::Boottime;
use crate::process::reaper::{has_no_child, reap_ended};
use crate::process::table::ProcessTable;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// An orphan that is left this long after the child has most likely missed the signal.
const LINGERING: Duration = Duration::from_millis(200);

/// A process that was started at most this long before the stop may still have been a copy of
/// its parent when the signal came.
const YOUTH: Duration = Duration::from_millis(100);

/// Our children except the child itself, and what was done to them.
#[derive(Debug)]
pub(super) struct Orphans {
    table: ProcessTable,
    /// The children that we had before we executed this program: `exec > >(logger)` in a script
    /// leaves one. We reap them, but they are not part of the process tree.
    inherited: BTreeSet<Pid>,
    /// The targets that have got the stop signal.
    asked: BTreeSet<Target>,
    /// When the stop began.
    asked_at: Boottime,
    /// Since when there is no child, only orphans.
    since: Option<Instant>,
    /// The orphans that have got the stop signal a second time.
    asked_again: BTreeSet<Pid>,
    /// When to look for orphans whose end no signal would report.
    probe: ProbeTimer,
    /// The orphans that can't be signalled, as the log says already.
    refused: BTreeSet<Pid>,
    has_logged_stuck: bool,
    has_logged_unlisted: bool,
}

impl Orphans {
    pub(super) fn new() -> Self {
        let table = ProcessTable::of(getpid());
        // Without a list there are most likely none; the only harm is that a stop reaches them.
        let inherited = table.children().unwrap_or_default().into_iter().collect();
        Self {
            table,
            inherited,
            asked: BTreeSet::new(),
            asked_at: Boottime::UNKNOWN,
            since: None,
            asked_again: BTreeSet::new(),
            probe: ProbeTimer::none(),
            refused: BTreeSet::new(),
            has_logged_stuck: false,
            has_logged_unlisted: false,
        }
    }

    /// A stop begins, with a signal to the child's group if there is a child.
    pub(super) fn begin_stop(&mut self, now: Instant, child: Option<Pid>) {
        self.asked.clear();
        self.asked_at = Boottime::now();
        match child {
            Some(pid) => drop(self.asked.insert(Target::Group(pid))),
            None => self.begin_probing(now),
        }
    }

    /// From now on there are only orphans, and probes look for those that are left.
    pub(super) fn begin_probing(&mut self, now: Instant) {
        self.probe = ProbeTimer::begin(now);
        self.since = Some(now);
        self.asked_again.clear();
    }

    /// No stop is under way any more.
    pub(super) fn forget_stop(&mut self) {
        self.asked.clear();
        self.probe = ProbeTimer::none();
        self.since = None;
        self.asked_again.clear();
        self.refused.clear();
        self.has_logged_stuck = false;
    }

    /// When [`Orphans::is_probe_due`] will be true.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.probe.deadline()
    }

    pub(super) fn is_probe_due(&mut self, now: Instant) -> bool {
        self.probe.is_due(now)
    }

    /// Our children except the child and `others`; `None` if they can't be listed.
    fn list(&mut self, child: Option<Pid>, others: &[Pid]) -> Option<Vec<Pid>> {
        if child.is_none() && others.is_empty() && self.inherited.is_empty() && has_no_child() {
            return Some(Vec::new());
        }
        match self.table.children() {
            Ok(mut pids) => {
                pids.retain(|pid| {
                    Some(*pid) != child && !others.contains(pid) && !self.inherited.contains(pid)
                });
                Some(pids)
            }
            Err(e) => {
                self.log_unlisted(&e);
                None
            }
        }
    }

    /// Reaps everything that has ended but the child and `others`.
    pub(super) fn reap(&mut self, child: Option<Pid>, others: &[Pid]) {
        let owned: Vec<Pid> = child.into_iter().chain(others.iter().copied()).collect();
        let reaped = reap_ended(&self.table, &owned, |pid| {
            self.inherited.remove(&pid);
            self.refused.remove(&pid);
        });
        if let Err(e) = reaped {
            self.log_unlisted(&e);
        }
    }

    /// Takes the stop one step further; returns whether the process tree is gone.
    pub(super) fn end(&mut self, child: Option<Pid>, shutdown: &Shutdown, others: &[Pid]) -> bool {
        let termination = shutdown.termination();
        if child.is_some() && termination != Termination::Kill {
            // The child may need them until it has ended.
            return false;
        }
        let orphans = self.list(child, others);
        if child.is_none() && orphans.as_ref().is_some_and(Vec::is_empty) {
            return true;
        }
        let orphans = orphans.unwrap_or_default();
        match termination {
            Termination::None => {}
            Termination::Graceful(signal) => {
                orphans.iter().for_each(|pid| self.ask(*pid, others, signal));
            }
            Termination::Kill => {
                if let Some(pid) = child {
                    let sent = send_to_child(pid, Signal::SIGKILL);
                    self.log_refusal(pid, sent);
                }
                for pid in &orphans {
                    // The whole group at once, so that no member can fork and escape.
                    let sent = Target::of(*pid, others).send(Signal::SIGKILL);
                    let sent = sent.or_else(|_| kill(*pid, Signal::SIGKILL));
                    self.log_refusal(*pid, sent);
                }
                if shutdown.is_stuck() {
                    self.log_stuck(child.iter().chain(&orphans));
                }
            }
        }
        false
    }

    /// Signals the young orphans that have outlived the child for a while a second time: see the
    /// module's page.
    pub(super) fn ask_again(&mut self, now: Instant, shutdown: &Shutdown, others: &[Pid]) {
        let Termination::Graceful(signal) = shutdown.termination() else { return };
        if self.since.is_none_or(|since| now.saturating_duration_since(since) < LINGERING) {
            return;
        }
        for pid in self.list(None, others).unwrap_or_default() {
            if self.is_young(pid) && self.asked_again.insert(pid) {
                self.log_refusal(pid, Target::One(pid).send(signal));
                let _ = Target::One(pid).send(Signal::SIGCONT);
            }
        }
    }

    fn is_young(&self, pid: Pid) -> bool {
        let started = self.table.started(pid);
        self.asked_at != Boottime::UNKNOWN
            && started.is_some_and(|at| Boottime::after_boot(at + YOUTH) >= self.asked_at)
    }

    fn ask(&mut self, pid: Pid, others: &[Pid], signal: Signal) {
        let target = Target::of(pid, others);
        if self.asked.insert(target) {
            self.log_refusal(pid, target.send(signal));
            // A stopped process would sleep until it is killed.
            let _ = target.send(Signal::SIGCONT);
        }
    }

    fn log_refusal(&mut self, pid: Pid, sent: Result<(), Errno>) {
        if let Err(e) = sent
            && e != Errno::ESRCH
            && self.refused.insert(pid)
        {
            let name = self.table.name_of(pid);
            log::warn!(pid:%, name:?; "a descendant of the child can't be signalled: {e}");
        }
    }

    fn log_unlisted(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.has_logged_unlisted, true) {
            log::error!("cannot list what the child leaves behind: /proc: {error}");
        }
    }

    fn log_stuck<'a>(&mut self, left: impl Iterator<Item = &'a Pid>) {
        if !std::mem::replace(&mut self.has_logged_stuck, true) {
            for pid in left {
                let name = self.table.name_of(*pid);
                log::warn!(pid:%, name:?; "a killed process is still there");
            }
        }
    }
}
