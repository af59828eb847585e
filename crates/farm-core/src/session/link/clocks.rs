//! The timers of the link: when to ping, when an answer is overdue, the lease.

use super::phase::Phase;
use crate::engine::Boottime;
use crate::session::DownReason;
use crate::session::lease::LeaseKeeper;
use crate::session::timeouts::Timeouts;
use std::time::{Duration, Instant};

/// When something was sent, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// On the clock of the lease.
    boottime: Boottime,
}

#[derive(Debug)]
pub(super) struct Clocks {
    pub(super) timeouts: Timeouts,
    pub(super) lease: LeaseKeeper,
    /// The clock of the lease, as it was at the beginning of this turn.
    pub(super) boottime: Boottime,
    /// When the connect request or the latest credential was sent.
    pub(super) handshake_sent: Sent,
    /// When the unanswered ping was sent, if there is one.
    pub(super) pinged: Option<Sent>,
    pub(super) sent_at: Instant,
    /// When bytes of an incomplete frame last arrived.
    progress_at: Instant,
    /// When the last answer was complete.
    answered_at: Instant,
    /// When a server last sent us a frame.
    pub(super) heard_at: Instant,
}

impl Clocks {
    pub(super) fn new(now: Instant, asked: Duration) -> Self {
        Self {
            timeouts: Timeouts::new(asked),
            lease: LeaseKeeper::default(),
            boottime: Boottime::UNKNOWN,
            handshake_sent: Sent { at: now, boottime: Boottime::UNKNOWN },
            pinged: None,
            sent_at: now,
            progress_at: now,
            answered_at: now,
            heard_at: now,
        }
    }

    /// The stamp of what is sent in this turn.
    pub(super) const fn stamp(&self, now: Instant) -> Sent {
        Sent { at: now, boottime: self.boottime }
    }

    /// A connection is open, and the connect request is about to be sent.
    pub(super) const fn connected(&mut self, now: Instant) {
        self.handshake_sent = self.stamp(now);
        self.pinged = None;
        self.progress_at = now;
    }

    /// A server has taken the session and granted it this timeout.
    pub(super) fn session_granted(&mut self, now: Instant, granted: Duration) {
        self.timeouts.was_granted(granted);
        self.lease.was_answered(self.handshake_sent.boottime, self.timeouts.lease());
        self.answered_at = now;
    }

    /// The request that was sent then has been answered.
    pub(super) fn answered(&mut self, now: Instant, sent: Sent) {
        self.answered_at = now;
        self.timeouts.was_answered(now.saturating_duration_since(sent.at));
        self.lease.was_answered(sent.boottime, self.timeouts.lease());
    }

    /// Bytes arrived that do not complete a frame.
    pub(super) const fn progressed(&mut self, now: Instant) {
        self.progress_at = now;
    }

    /// When to ping, unless something is sent before.
    pub(super) fn ping_at(&self, phase: Phase) -> Option<Instant> {
        let is_due = phase == Phase::Up && self.pinged.is_none();
        is_due.then(|| self.sent_at + self.timeouts.ping_interval())
    }

    /// When to give up the server, and for which reason. `oldest` is the unanswered request
    /// that was sent first.
    pub(super) fn limits(
        &self,
        phase: Phase,
        oldest: Option<Sent>,
    ) -> impl Iterator<Item = (Instant, DownReason)> {
        self.waiting_since(phase, oldest).into_iter().flat_map(|since| {
            // A large answer that keeps arriving is not silence.
            let silent = since.max(self.progress_at) + self.timeouts.answer();
            // The time for a whole answer begins when the answers ahead of it are complete.
            let unfinished = since.max(self.answered_at) + self.timeouts.whole_answer();
            [(silent, DownReason::Silent), (unfinished, DownReason::Unfinished)]
        })
    }

    /// Since when we have been waiting for the oldest missing answer.
    fn waiting_since(&self, phase: Phase, oldest: Option<Sent>) -> Option<Instant> {
        match phase {
            Phase::Down | Phase::Over => None,
            Phase::Connecting { since }
            | Phase::Authenticating { since, .. }
            | Phase::RestoringWatches { since } => Some(since),
            Phase::Up => {
                let unanswered = oldest.into_iter().chain(self.pinged);
                unanswered.map(|sent| sent.at).min()
            }
        }
    }
}
