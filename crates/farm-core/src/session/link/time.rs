//! What the link does when time passes: pings, and the end of patience.

use super::{DownReason, Link, Phase};
use crate::engine::Boottime;
use crate::session::wire::{self, XID_PING, opcode};
use std::time::Instant;

impl Link {
    /// Bytes arrived that do not complete a frame.
    pub(in super::super) const fn progressed(&mut self, now: Instant) {
        self.progress_at = now;
    }

    /// A request that went out then has been answered.
    pub(super) fn was_answered(&mut self, now: Instant, sent_at: Instant, sent: Boottime) {
        self.answered_at = now;
        self.patience.was_answered(now.saturating_duration_since(sent_at));
        self.lease.was_answered(sent, self.patience.granted());
    }

    /// When [`Self::tick`] has something to do.
    pub(in super::super) fn deadline(&self) -> Option<Instant> {
        let ping = (self.phase == Phase::Up && self.ping_sent_at.is_none())
            .then(|| self.sent_at + self.patience.ping_interval());
        [ping, self.silent_at(), self.unfinished_at()].into_iter().flatten().min()
    }

    /// Acts on the passing of time: a ping that is due, a server that is mute.
    pub(in super::super) fn tick(&mut self, now: Instant) {
        if self.phase == Phase::Up
            && self.ping_sent_at.is_none()
            && now >= self.sent_at + self.patience.ping_interval()
        {
            let ping = wire::FrameBuilder::request(XID_PING, opcode::PING).finish();
            self.send(now, ping);
            self.ping_sent_at = Some((now, self.boottime));
        }
        if self.silent_at().is_some_and(|at| now >= at) {
            self.out.cut = Some(DownReason::Silent);
        } else if self.unfinished_at().is_some_and(|at| now >= at) {
            self.out.cut = Some(DownReason::Unfinished);
        }
    }

    /// When the oldest answer owed to us is overdue, should nothing more arrive.
    fn silent_at(&self) -> Option<Instant> {
        // A large answer that keeps coming in is no silence.
        Some(self.owed_since()?.max(self.progress_at) + self.patience.answer())
    }

    /// When it is overdue whatever arrives. An answer has no time of its own while
    /// those before it come in.
    fn unfinished_at(&self) -> Option<Instant> {
        Some(self.owed_since()?.max(self.answered_at) + self.patience.whole_answer())
    }

    /// Since when the server owes us what it owes us longest.
    fn owed_since(&self) -> Option<Instant> {
        match self.phase {
            Phase::Down | Phase::Over => None,
            Phase::Greeting { since }
            | Phase::Proving { since, .. }
            | Phase::Rewatching { since } => Some(since),
            Phase::Up => {
                let asked = self.queue.front().map(|pending| pending.sent_at);
                let pinged = self.ping_sent_at.map(|(at, _)| at);
                [asked, pinged].into_iter().flatten().min()
            }
        }
    }
}
