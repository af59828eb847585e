//! What the group and its operators say about the next turn.
//!
//! **Invariant.** No turn begins on a version that the group is known to have refused, that is
//! skipped, or of which nothing is known yet.

use super::event::{Known, Orders, Version};
use super::phase::Phase;
use farm_core::farm::rollout::Verdict;

/// The verdict of the group, the orders of its operators, and how far this member has followed
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Group {
    /// The verdict that was read last, and the version that it is about.
    known: Option<(Version, Known)>,
    /// `None` until they are read.
    orders: Option<Orders>,
    /// The number of the restart that the child has done.
    restarted: u64,
    /// As this member has said last.
    needs_head: bool,
    /// The version of which a try is counted, while nothing was touched for it yet.
    counted: Option<Version>,
    /// The version of the files, as long as the group is to hear how the child does on it.
    on_trial: Option<Version>,
    /// The version that this member has refused last, and in which round.
    refused: Option<(Version, u64)>,
    /// The content of the failed turn is to be tried again.
    is_retry: bool,
}

/// The state of the member, as far as the group's rules depend on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// It belongs to a group.
    pub(super) is_locked: bool,
    /// More than one member may hold a permit at once.
    pub(super) has_many_holders: bool,
    pub(super) wanted: Option<Version>,
    /// The version that worked last.
    pub(super) good: Option<Version>,
    /// Its child is known to work on the wanted content.
    pub(super) is_settled: bool,
    /// Its child is known to work on files that were not put back after a failure.
    pub(super) is_working: bool,
    /// The wanted content neither runs nor is known to fail.
    pub(super) is_untried: bool,
    /// Its child is known to work on its files.
    pub(super) is_confirmed: bool,
    /// Its files are those that worked last.
    pub(super) is_good: bool,
    pub(super) is_in_hours: bool,
}

/// The next step of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextStep {
    /// It stages the wanted content.
    Stage,
    /// It restarts the child on the files that are there.
    Restart,
}

/// The reason for which a member may not use the wanted content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bar {
    Unread,
    Refused,
    Skipped,
}

impl Group {
    pub(super) const fn restarted(&self) -> u64 {
        self.restarted
    }

    /// The restart that the child being started will have done.
    pub(super) fn child_starts(&mut self) {
        self.restarted = self.orders.as_ref().map_or(self.restarted, |orders| orders.restart);
    }

    /// Whether an operator wants the child restarted.
    pub(super) fn wants_restart(&self) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.restart > self.restarted)
    }

    /// The failed turn is to be tried again.
    pub(super) const fn retry(&mut self) {
        self.is_retry = true;
    }

    /// The failed turn is not tried again any more; returns whether it was to be.
    pub(super) const fn retried(&mut self) -> bool {
        std::mem::replace(&mut self.is_retry, false)
    }

    /// A try of this version is being counted.
    pub(super) const fn count_try(&mut self, version: Version) {
        self.counted = Some(version);
    }

    /// The try that is counted is taken back; returns its version.
    pub(super) const fn take_back_try(&mut self) -> Option<Version> {
        self.counted.take()
    }

    /// The files are those of the counted try, or of a turn that tells nothing of its content.
    pub(super) const fn begin_trial(&mut self) {
        self.on_trial = self.counted.take();
    }

    /// The version of the files, if the group is to hear how the child does on it.
    pub(super) const fn on_trial(&self) -> Option<Version> {
        self.on_trial
    }

    /// The turn ends, and whatever follows tells nothing of its content.
    pub(super) const fn end_trial(&mut self) {
        self.on_trial = None;
    }

    fn is_paused(&self) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.is_paused)
    }

    /// The verdict on that version, if it is read.
    pub(super) fn known_of(&self, version: Version) -> Option<&Known> {
        self.known.as_ref().filter(|(known, _)| *known == version).map(|(_, known)| known)
    }

    /// Whether that version is known to work. Our own refusal may not have come back yet.
    pub(super) fn is_confirmed(&self, version: Version) -> bool {
        let known = self.known_of(version).filter(|_| !self.has_refused(version));
        known.is_some_and(|known| known.verdict == Some(Verdict::Confirmed))
    }

    /// Whether that version is the one that this member has refused last.
    pub(super) fn has_refused(&self, version: Version) -> bool {
        self.refused.is_some_and(|(refused, _)| refused == version)
    }

    /// Takes what the group knows of a version. Returns whether an operator has had the refusal
    /// forgotten since this member has failed.
    pub(super) fn hear(&mut self, version: Version, known: Known) -> bool {
        let is_refused = known.verdict == Some(Verdict::Refused);
        let failed_round = self.refused.map_or(0, |(_, round)| round);
        let is_forgotten = !is_refused && known.round > failed_round;
        self.known = Some((version, known));
        is_forgotten
    }

    /// This member has been told that the version is refused.
    pub(super) fn hear_refusal(&mut self, version: Version) {
        let round = self.known_of(version).map_or(0, |known| known.round);
        let known = Known { verdict: Some(Verdict::Refused), round, ..Known::default() };
        self.known = Some((version, known));
    }

    /// This member is about to tell the group that it does not work on that version.
    pub(super) fn fails_on(&mut self, version: Version) {
        let round = self.known_of(version).map_or(0, |known| known.round);
        self.refused = Some((version, round));
    }

    /// Takes new orders; returns the former ones. A child that runs when they are read for the
    /// first time counts as restarted: it is unknown whether it was started before or after the
    /// order.
    pub(super) fn take_orders(&mut self, orders: Orders, has_child: bool) -> Orders {
        let restart = orders.restart;
        let before = self.orders.replace(orders);
        if before.is_none() && has_child {
            self.restarted = restart;
        }
        before.unwrap_or_default()
    }

    /// The reason for which the member may not use the wanted content.
    pub(super) fn bar(&self, member: &Situation) -> Option<Bar> {
        let version = member.wanted.filter(|_| member.is_locked && !member.is_settled)?;
        let Some(orders) = &self.orders else { return Some(Bar::Unread) };
        if orders.skipped == Some(version) {
            return Some(Bar::Skipped);
        }
        match self.known_of(version) {
            None => Some(Bar::Unread),
            Some(known) if known.verdict == Some(Verdict::Refused) => Some(Bar::Refused),
            Some(_) => None,
        }
    }

    /// The next step for a child that works or has failed, if there is one.
    pub(super) fn next_step(&self, member: &Situation) -> Option<NextStep> {
        if self.is_paused() {
            return None;
        }
        match self.bar(member) {
            None if member.is_untried || self.is_retry => Some(NextStep::Stage),
            Some(Bar::Unread) => None,
            // On the files that it has.
            _ if member.is_working && self.wants_restart() => Some(NextStep::Restart),
            // They may have been put back: a member that is skipped keeps nobody waiting.
            Some(Bar::Skipped) if member.is_confirmed && self.wants_restart() => {
                Some(NextStep::Restart)
            }
            _ if self.is_retry && !member.is_confirmed && member.is_good => Some(NextStep::Restart),
            _ => None,
        }
    }

    /// The phase of a member that has nothing under way.
    pub(super) fn resting_phase(&self, member: &Situation) -> Phase {
        let wants_restart = self.wants_restart();
        if member.is_settled && !wants_restart {
            return Phase::Settled;
        }
        if self.is_paused() {
            return Phase::Paused;
        }
        let can_restart = wants_restart && member.is_confirmed;
        match self.bar(member) {
            Some(Bar::Unread) => Phase::AwaitingVerdict,
            Some(Bar::Refused) if !can_restart => Phase::Refused,
            Some(Bar::Skipped) if !can_restart => Phase::Skipped,
            _ if !member.is_in_hours => Phase::OffHours,
            _ => Phase::Queued,
        }
    }

    /// Whether a turn that has touched nothing must not go on.
    pub(super) fn forbids_turn(&self, member: &Situation, has_staged: bool) -> bool {
        let is_barred = matches!(self.bar(member), Some(Bar::Refused | Bar::Skipped));
        self.is_paused() || is_barred && (has_staged || !self.wants_restart())
    }

    /// Whether a turn on the wanted content tells the group something of its version. A restart,
    /// or other files of the version that worked last, do not.
    pub(super) fn tests_wanted(member: &Situation) -> bool {
        member.is_locked && member.wanted != member.good
    }

    /// Whether the permit counts only at the head of the queue, if that has changed: while a
    /// version is not confirmed, one member at a time tries it.
    pub(super) fn change_of_need(&mut self, member: &Situation) -> Option<bool> {
        let is_confirmed = member.wanted.is_some_and(|version| self.is_confirmed(version));
        let tests = Self::tests_wanted(member) && self.bar(member).is_none();
        let needs_head = member.has_many_holders && tests && !is_confirmed;
        (std::mem::replace(&mut self.needs_head, needs_head) != needs_head).then_some(needs_head)
    }
}
