//! What the link does when time passes: pings, and the end of patience.

use super::{DownReason, Link, Phase};
use crate::session::wire::{self, XID_PING, opcode};
use std::time::Instant;

impl Link {
    /// Bytes arrived that do not complete a frame.
    pub(in super::super) const fn progressed(&mut self, now: Instant) {
        self.progress_at = now;
    }

    /// When [`Self::tick`] has something to do.
    pub(in super::super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Down | Phase::Over => None,
            Phase::Greeting { since }
            | Phase::Proving { since, .. }
            | Phase::Rewatching { since } => {
                Some(since.max(self.progress_at) + self.patience.answer())
            }
            Phase::Up => {
                let ping = self.sent_at + self.patience.ping_interval();
                Some(self.silent_at().map_or(ping, |silent| {
                    if self.ping_sent_at.is_some() { silent } else { silent.min(ping) }
                }))
            }
        }
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
        let is_silent = match self.phase {
            Phase::Down | Phase::Over => false,
            Phase::Up => self.silent_at().is_some_and(|at| now >= at),
            Phase::Greeting { .. } | Phase::Proving { .. } | Phase::Rewatching { .. } => {
                self.deadline().is_some_and(|at| now >= at)
            }
        };
        if is_silent {
            self.out.cut = Some(DownReason::Silent);
        }
    }

    /// When the oldest answer owed to us is overdue.
    fn silent_at(&self) -> Option<Instant> {
        let asked = self.queue.front().map(|pending| pending.sent_at);
        let oldest = match (asked, self.ping_sent_at.map(|(at, _)| at)) {
            (Some(asked), Some(pinged)) => Some(asked.min(pinged)),
            (asked, pinged) => asked.or(pinged),
        };
        // A large answer that keeps coming in is no silence.
        Some(oldest?.max(self.progress_at) + self.patience.answer())
    }
}
