//! What the link does when time passes: pings, and the end of patience.

use super::{DownReason, Link, Phase};
use crate::engine::Boottime;
use crate::session::lease::LeaseKeeper;
use crate::session::timeouts::Timeouts;
use crate::session::wire::{self, XID_PING, opcode};
use std::time::{Duration, Instant};

/// When something went out, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// On the clock of the lease.
    boottime: Boottime,
}

/// When what was said and heard, and what follows for a server and for the session.
#[derive(Debug)]
pub(super) struct Clocks {
    pub(super) timeouts: Timeouts,
    pub(super) lease: LeaseKeeper,
    /// The clock of the lease, as it was at the beginning of this turn.
    pub(super) boottime: Boottime,
    /// The greeting or the credentials that are not answered yet.
    pub(super) introduced: Sent,
    /// The ping that is not answered yet.
    pub(super) pinged: Option<Sent>,
    pub(super) sent_at: Instant,
    /// When bytes of a half-arrived frame last came in.
    progress_at: Instant,
    /// When the last answer was complete.
    answered_at: Instant,
    /// When a server last spoke to us.
    pub(super) heard_at: Instant,
}

impl Clocks {
    pub(super) fn new(now: Instant, asked: Duration) -> Self {
        Self {
            timeouts: Timeouts::new(asked),
            lease: LeaseKeeper::default(),
            boottime: Boottime::UNKNOWN,
            introduced: Sent { at: now, boottime: Boottime::UNKNOWN },
            pinged: None,
            sent_at: now,
            progress_at: now,
            answered_at: now,
            heard_at: now,
        }
    }

    /// The stamp of what goes out in this turn.
    pub(super) const fn stamp(&self, now: Instant) -> Sent {
        Sent { at: now, boottime: self.boottime }
    }

    /// A connection stands, and nothing is owed yet but the answer to the greeting.
    pub(super) const fn connected(&mut self, now: Instant) {
        self.introduced = self.stamp(now);
        self.pinged = None;
        self.progress_at = now;
    }

    /// A server has taken us, and keeps the session for that long.
    pub(super) fn welcomed(&mut self, now: Instant, granted: Duration) {
        self.timeouts.was_granted(granted);
        self.lease.was_answered(self.introduced.boottime, granted);
        self.answered_at = now;
    }

    /// What went out then has been answered.
    pub(super) fn answered(&mut self, now: Instant, sent: Sent) {
        self.answered_at = now;
        self.timeouts.was_answered(now.saturating_duration_since(sent.at));
        self.lease.was_answered(sent.boottime, self.timeouts.granted());
    }

    /// When an answer that is owed since then is overdue, should nothing more arrive.
    fn silent_at(&self, owed_since: Instant) -> Instant {
        // A large answer that keeps coming in is no silence.
        owed_since.max(self.progress_at) + self.timeouts.answer()
    }

    /// When it is overdue whatever arrives. An answer has no time of its own while
    /// those before it come in.
    fn unfinished_at(&self, owed_since: Instant) -> Instant {
        owed_since.max(self.answered_at) + self.timeouts.whole_answer()
    }
}

impl Link {
    /// Bytes arrived that do not complete a frame.
    pub(in super::super) const fn progressed(&mut self, now: Instant) {
        self.clocks.progress_at = now;
    }

    /// When [`Self::tick`] has something to do.
    pub(in super::super) fn deadline(&self) -> Option<Instant> {
        let overdue = self
            .owed_since()
            .map(|since| self.clocks.silent_at(since).min(self.clocks.unfinished_at(since)));
        self.ping_at().into_iter().chain(overdue).min()
    }

    /// Acts on the passing of time: a ping that is due, a server that is mute.
    pub(in super::super) fn tick(&mut self, now: Instant) {
        if self.ping_at().is_some_and(|at| now >= at) {
            let ping = wire::FrameBuilder::request(XID_PING, opcode::PING).finish();
            self.send(now, ping);
            self.clocks.pinged = Some(self.clocks.stamp(now));
        }
        let Some(since) = self.owed_since() else { return };
        if now >= self.clocks.silent_at(since) {
            self.out.cut = Some(DownReason::Silent);
        } else if now >= self.clocks.unfinished_at(since) {
            self.out.cut = Some(DownReason::Unfinished);
        }
    }

    /// When to ping, unless something goes out before.
    fn ping_at(&self) -> Option<Instant> {
        let Clocks { sent_at, timeouts, pinged, .. } = &self.clocks;
        (self.phase == Phase::Up && pinged.is_none()).then(|| *sent_at + timeouts.ping_interval())
    }

    /// Since when the server owes us what it owes us longest.
    fn owed_since(&self) -> Option<Instant> {
        match self.phase {
            Phase::Down | Phase::Over => None,
            Phase::Greeting { since }
            | Phase::Proving { since, .. }
            | Phase::Rewatching { since } => Some(since),
            Phase::Up => {
                let owed = self.backlog.oldest().into_iter().chain(self.clocks.pinged);
                owed.map(|sent| sent.at).min()
            }
        }
    }
}
