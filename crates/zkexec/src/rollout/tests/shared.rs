//! What the group and its operators say.

use super::*;
use Action as A;
use Event as E;

/// A member of a group that has not heard of any content.
pub(super) fn member(options: RolloutOptions) -> Fixture {
    Fixture::new(options)
}

fn many() -> RolloutOptions {
    RolloutOptions { has_many_holders: true, ..options() }
}

impl Fixture {
    /// Without the knowledge that [`Fixture::step`] adds.
    pub(super) fn raw(&mut self, event: Event<Content>) -> Vec<Action<Content>> {
        self.rollout.step(self.now, event)
    }

    pub(super) fn hear(
        &mut self,
        content: Content,
        verdict: Option<Verdict>,
    ) -> Vec<Action<Content>> {
        self.hear_in(0, content, verdict)
    }

    fn hear_in(
        &mut self,
        round: u64,
        content: Content,
        verdict: Option<Verdict>,
    ) -> Vec<Action<Content>> {
        let known = Known { verdict, round, ..Known::default() };
        self.raw(E::Known(content.version(), known))
    }

    pub(super) fn order(&mut self, orders: Orders) -> Vec<Action<Content>> {
        self.raw(E::Orders(orders))
    }

    /// Takes a turn on content that nobody has tried yet, up to the count of the try.
    pub(super) fn come_to_the_try(&mut self, content: Content) {
        assert_eq!(self.raw(E::Wanted(content)), []);
        assert_eq!(self.hear(content, None), [A::Ask]);
        self.granted_to_the_try(content);
    }

    fn granted_to_the_try(&mut self, content: Content) {
        assert_eq!(self.raw(E::Granted), [A::Reread]);
        assert_eq!(self.raw(E::Reread(content)), [A::Stage(content)]);
        assert_eq!(self.raw(E::Staged), [A::Try(content.version())]);
        assert_eq!(self.rollout.phase(), Phase::Trying);
    }

    /// Fails on content that nobody has tried before.
    fn fail_on(&mut self, content: Content) {
        self.come_to_the_try(content);
        assert_eq!(self.raw(E::Tried(Tried::Allowed)), [A::Install]);
        self.fail_installed(content);
    }

    fn fail_installed(&mut self, content: Content) {
        self.raw(E::Installed);
        self.raw(E::Gone);
        self.raw(E::Started);
        let failure =
            [A::StopChild, A::PauseHealth, refuse(content), A::Alert(AlertReason::Config)];
        assert_eq!(self.raw(FAILED), failure);
        assert_eq!(self.raw(E::Gone), []);
        assert_eq!(self.rollout.phase(), FAILED_PHASE);
    }
}

#[test]
fn a_try_is_counted_before_anything_is_touched_and_its_outcome_told_before_the_lock_is_free() {
    let mut fixture = member(options());
    fixture.come_to_the_try(2);
    assert_eq!(fixture.raw(E::Tried(Tried::Allowed)), [A::Install]);
    assert_eq!(fixture.raw(E::Installed), [A::StopChild, A::PauseHealth]);
    fixture.come_up();
    assert_eq!(fixture.raw(E::Healthy), [A::Confirm(2.version())]);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.is_holder()), (Phase::Recording, true));
    assert_eq!(fixture.raw(E::Recorded), [A::MarkGood, A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Settled);
}

#[test]
fn nothing_is_asked_for_before_the_verdict_is_known() {
    let mut fixture = member(options());
    assert_eq!(fixture.raw(E::Wanted(2)), []);
    assert_eq!(fixture.rollout.phase(), Phase::AwaitingVerdict);
    assert_eq!(fixture.hear(4, Some(Verdict::Confirmed)), []);
    assert_eq!(fixture.hear(2, Some(Verdict::Trying)), [A::Ask]);
    // Newer content: the place in the queue is kept.
    assert_eq!(fixture.raw(E::Wanted(4)), []);
    assert_eq!(fixture.hear(4, None), []);
    assert_eq!(fixture.rollout.phase(), Phase::Queued);
}

#[test]
fn a_refusal_that_is_not_heard_of_yet_keeps_the_old_files() {
    let mut fixture = member(options());
    fixture.raw(E::Wanted(1));
    assert_eq!(fixture.hear(1, Some(Verdict::Confirmed)), [A::Ask]);
    fixture.granted_to_the_try(1);
    assert_eq!(fixture.raw(E::Tried(Tried::Refused)), [A::Unstage, A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Refused);
}

#[test]
fn a_stop_takes_back_a_try_that_has_touched_nothing() {
    let mut fixture = member(options());
    fixture.come_to_the_try(2);
    let stopped = [A::StopChild, A::PauseHealth, A::Untouched, A::Unstage];
    assert_eq!(fixture.raw(E::Stop), stopped);
}

#[test]
fn refused_content_is_not_waited_for() {
    let mut fixture = member(options());
    fixture.raw(E::Wanted(1));
    assert_eq!(fixture.hear(1, Some(Verdict::Trying)), [A::Ask]);
    assert_eq!(fixture.hear(1, Some(Verdict::Refused)), [A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Refused);
    // Forgotten: it is tried like new content.
    assert_eq!(fixture.hear_in(1, 1, Some(Verdict::Trying)), [A::Ask]);
    assert_eq!(fixture.hear_in(1, 1, Some(Verdict::Refused)), [A::GiveBack]);
    assert_eq!(fixture.step(E::Wanted(2)), [A::Ask]);
}

#[test]
fn a_turn_that_has_touched_nothing_ends_when_the_content_is_refused() {
    let turn = [E::Granted, E::Reread(1), E::Staged, E::Tried(Tried::Allowed)];
    for steps in 0..=turn.len() {
        let mut fixture = member(options());
        fixture.raw(E::Wanted(1));
        fixture.hear(1, None);
        for event in turn.iter().take(steps) {
            fixture.raw(event.clone());
        }
        let actions = fixture.hear(1, Some(Verdict::Refused));
        assert_eq!(actions.last(), Some(&A::GiveBack), "{steps}: {actions:?}");
        assert_eq!(actions.contains(&A::Untouched), steps > 2, "{steps}: {actions:?}");
        assert_eq!(fixture.rollout.phase(), Phase::Refused);
        assert_eq!(fixture.raw(E::Tried(Tried::Allowed)), []);
    }
    let mut fixture = member(options());
    fixture.come_to_the_try(1);
    assert_eq!(fixture.raw(E::Tried(Tried::Refused)), [A::Unstage, A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Refused);
}

#[test]
fn the_failed_holder_keeps_the_lock_and_a_loser_of_the_lock_does_not_queue_again() {
    let mut fixture = member(options());
    fixture.fail_on(1);
    assert!(fixture.rollout.is_holder());
    assert_eq!(fixture.hear(1, Some(Verdict::Refused)), []);
    assert!(fixture.rollout.is_holder());
    assert_eq!(fixture.raw(E::PermitLost), []);
    assert_eq!(fixture.rollout.phase(), FAILED_PHASE);
    // Other content is asked for again.
    assert_eq!(fixture.raw(E::Wanted(2)), []);
    assert_eq!(fixture.hear(2, None), [A::Ask]);
    fixture.granted_to_the_try(2);
}

#[test]
fn a_retry_is_a_new_try_in_the_turn_that_failed() {
    let mut fixture = member(options());
    fixture.fail_on(1);
    // Late news of the round that failed.
    assert_eq!(fixture.hear(1, Some(Verdict::Trying)), []);
    assert_eq!(fixture.hear(1, Some(Verdict::Refused)), []);
    assert_eq!(fixture.hear_in(1, 1, Some(Verdict::Trying)), [A::Stage(1)]);
    assert_eq!(fixture.raw(E::Staged), [A::Try(1.version())]);
    assert_eq!(fixture.raw(E::Tried(Tried::Allowed)), [A::Install]);
    assert_eq!(fixture.raw(E::Installed), [A::StartChild]);
    assert_eq!(fixture.raw(E::Started), [A::CheckHealth]);
    assert_eq!(fixture.raw(E::Healthy), [A::Confirm(1.version())]);
    assert_eq!(fixture.raw(E::Recorded), [A::MarkGood, A::GiveBack]);
}

#[test]
fn while_nothing_is_confirmed_the_head_of_the_queue_is_needed() {
    let mut fixture = member(many());
    fixture.raw(E::Wanted(2));
    assert_eq!(fixture.hear(2, None), [A::NeedHead(true), A::Ask]);
    assert_eq!(fixture.hear(2, Some(Verdict::Trying)), []);
    assert_eq!(fixture.hear(2, Some(Verdict::Confirmed)), [A::NeedHead(false)]);
    assert_eq!(fixture.raw(E::Granted), [A::Reread]);
    // Meanwhile there is newer content, which nobody has tried.
    assert_eq!(fixture.raw(E::Reread(4)), []);
    assert_eq!(fixture.hear(4, None), [A::NeedHead(true)]);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.is_holder()), (Phase::Queued, false));
    fixture.granted_to_the_try(4);
    let mut alone = member(options());
    alone.raw(E::Wanted(2));
    assert_eq!(alone.hear(2, None), [A::Ask]);
}

#[test]
fn a_restart_is_done_once_for_each_number_and_tells_the_group_nothing() {
    let mut fixture = member(options());
    let restart = |restart| Orders { restart, ..Orders::default() };
    assert_eq!(fixture.order(restart(1)), [A::Ask]);
    assert_eq!(fixture.raw(E::Granted), [A::Reread]);
    assert_eq!(fixture.raw(E::Reread(0)), [A::Install]);
    assert_eq!(fixture.raw(E::Installed), [A::StopChild, A::PauseHealth]);
    fixture.come_up();
    assert_eq!(fixture.rollout.restarted(), 1);
    // The next one is ordered meanwhile.
    assert_eq!(fixture.order(restart(2)), []);
    assert_eq!(fixture.raw(E::Healthy), [A::GiveBack, A::Ask]);
    assert_eq!(fixture.order(restart(2)), []);
    // A member that is started later has done it.
    let mut late = Fixture { rollout: Rollout::new(options(), OPEN), now: Instant::now() };
    late.order(restart(7));
    late.raw(E::FirstStarted(0));
    assert_eq!((late.rollout.phase(), late.rollout.restarted()), (Phase::Settled, 7));
}

#[test]
fn a_child_that_is_notified_of_changes_is_still_restarted_by_order() {
    let mut fixture = member(RolloutOptions { on_change: HUP, ..options() });
    fixture.order(Orders { restart: 1, ..Orders::default() });
    fixture.raw(E::Granted);
    assert_eq!(fixture.raw(E::Reread(0)), [A::Install]);
    assert_eq!(fixture.raw(E::Installed), [A::StopChild, A::PauseHealth]);
    fixture.come_up();
    assert_eq!(fixture.raw(E::Healthy), [A::GiveBack]);
}

#[test]
fn a_failed_restart_is_no_fault_of_the_content() {
    let mut fixture = member(options());
    fixture.hear(0, Some(Verdict::Confirmed));
    fixture.order(Orders { restart: 1, ..Orders::default() });
    fixture.raw(E::Granted);
    fixture.raw(E::Reread(0));
    fixture.raw(E::Installed);
    fixture.come_up();
    let failure = [A::StopChild, A::PauseHealth, A::Alert(AlertReason::Config)];
    assert_eq!(fixture.raw(FAILED), failure);
    assert_eq!(fixture.raw(E::Gone), []);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.is_holder()), (FAILED_PHASE, true));
    let again = Orders { restart: 1, retry: 1, ..Orders::default() };
    assert_eq!(fixture.order(again), [A::Stage(0)]);
    assert_eq!(fixture.raw(E::Staged), [A::Install]);
    assert_eq!(fixture.raw(E::Installed), [A::StartChild]);
    fixture.raw(E::Started);
    assert_eq!(fixture.raw(E::Healthy), [A::GiveBack]);
}

#[test]
fn who_wants_refused_content_is_restarted_on_what_it_has() {
    let mut fixture = member(many());
    fixture.raw(E::Wanted(1));
    fixture.hear(1, Some(Verdict::Refused));
    assert_eq!(fixture.rollout.phase(), Phase::Refused);
    assert_eq!(fixture.order(Orders { restart: 1, ..Orders::default() }), [A::Ask]);
    assert_eq!(fixture.raw(E::Granted), [A::Reread]);
    assert_eq!(fixture.raw(E::Reread(1)), [A::Install]);
    assert_eq!(fixture.raw(E::Installed), [A::StopChild, A::PauseHealth]);
    fixture.come_up();
    assert_eq!(fixture.raw(E::Healthy), [A::GiveBack]);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.running()), (Phase::Refused, Some(&0)));
}

#[test]
fn a_pause_lets_no_turn_begin_and_a_turn_under_way_end() {
    let pause = Orders { is_paused: true, ..Orders::default() };
    let mut waiting = member(options());
    waiting.step(E::Wanted(2));
    assert_eq!(waiting.order(pause.clone()), [A::GiveBack]);
    assert_eq!(waiting.rollout.phase(), Phase::Paused);
    assert_eq!(waiting.step(E::Wanted(4)), []);
    assert_eq!(waiting.order(Orders::default()), [A::Ask]);
    let mut trying = member(options());
    trying.come_to_the_try(2);
    assert_eq!(trying.order(pause.clone()), [A::Untouched, A::Unstage, A::GiveBack]);
    let mut under_way = member(options());
    under_way.restart(2);
    assert_eq!(under_way.order(pause.clone()), []);
    assert_eq!(under_way.step(E::Healthy), [A::MarkGood, A::GiveBack]);
    let mut failed = member(options());
    failed.fail_on(1);
    assert_eq!(failed.order(pause), []);
    assert_eq!(failed.step(E::Wanted(2)), []);
    assert!(failed.rollout.is_holder());
    assert_eq!(failed.order(Orders::default()), [A::Stage(2)]);
}

#[test]
fn a_skipped_holder_gives_its_lock_away_and_stays_as_it_is() {
    let skip = Orders { skipped: Some(1.version()), ..Orders::default() };
    let mut fixture = member(options());
    fixture.fail_on(1);
    fixture.hear(1, Some(Verdict::Refused));
    assert_eq!(fixture.order(skip.clone()), [A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Skipped);
    // The refusal is forgotten for the others.
    assert_eq!(fixture.hear_in(1, 1, Some(Verdict::Trying)), []);
    assert_eq!(fixture.raw(E::Wanted(2)), []);
    assert_eq!(fixture.hear(2, None), [A::Ask]);
    fixture.granted_to_the_try(2);
    // Not skipped any more, before there is other content.
    let mut fixture = member(options());
    fixture.fail_on(1);
    fixture.order(skip);
    assert_eq!(fixture.order(Orders::default()), [A::Ask]);
    fixture.granted_to_the_try(1);
}

#[test]
fn files_that_cannot_be_written_are_no_fault_of_the_content() {
    let mut fixture = member(options());
    fixture.come_to_the_try(2);
    fixture.raw(E::Tried(Tried::Allowed));
    let actions = fixture.raw(E::InstallFailed);
    assert!(actions.contains(&A::Untouched), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, A::Refuse(_))), "{actions:?}");
}

#[test]
fn equal_bytes_of_another_version_are_in_place() {
    // Content 0 is deleted in ZooKeeper: its files stay, and the version is another one.
    let mut fixture = member(options());
    assert_eq!(fixture.raw(E::Wanted(0)), []);
    assert_eq!(fixture.rollout.phase(), Phase::Settled);
}

#[test]
fn a_restart_does_not_carry_refused_content_along() {
    let mut fixture = member(options());
    fixture.come_to_the_try(1);
    fixture.order(Orders { restart: 1, ..Orders::default() });
    let actions = fixture.hear(1, Some(Verdict::Refused));
    assert_eq!(actions, [A::Untouched, A::Unstage, A::Reread]);
    assert_eq!(fixture.raw(E::Reread(1)), [A::Install]);
    assert_eq!(fixture.raw(E::Installed), [A::StopChild, A::PauseHealth]);
    assert_eq!(fixture.rollout.running(), Some(&0));
}

#[test]
fn a_child_that_fails_while_its_confirmation_is_written_refuses_the_content_after_all() {
    let mut fixture = member(options());
    fixture.come_to_the_try(1);
    fixture.raw(E::Tried(Tried::Allowed));
    fixture.raw(E::Installed);
    fixture.come_up();
    assert_eq!(fixture.raw(E::Healthy), [A::Confirm(1.version())]);
    let failure = [A::StopChild, A::PauseHealth, refuse(1), A::Alert(AlertReason::Config)];
    assert_eq!(fixture.raw(FAILED), failure);
    assert_eq!(fixture.raw(E::Recorded), []);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.is_holder()), (FAILED_PHASE, true));
}

#[test]
fn a_skip_that_is_heard_late_ends_the_retry_that_it_forbids() {
    let skip = Orders { skipped: Some(1.version()), ..Orders::default() };
    for in_try in [false, true] {
        let mut fixture = member(options());
        fixture.fail_on(1);
        fixture.hear(1, Some(Verdict::Refused));
        assert_eq!(fixture.hear_in(1, 1, Some(Verdict::Trying)), [A::Stage(1)]);
        let mut given_back = vec![A::Unstage, A::GiveBack];
        if in_try {
            assert_eq!(fixture.raw(E::Staged), [A::Try(1.version())]);
            given_back.insert(0, A::Untouched);
        }
        assert_eq!(fixture.order(skip.clone()), given_back);
        assert_eq!(fixture.rollout.phase(), Phase::Skipped);
        assert_eq!(fixture.raw(E::Tried(Tried::Held)), []);
    }
    // It is heard before the child fails.
    let mut fixture = member(options());
    fixture.come_to_the_try(1);
    fixture.raw(E::Tried(Tried::Allowed));
    fixture.raw(E::Installed);
    fixture.come_up();
    assert_eq!(fixture.order(skip), []);
    assert_eq!(fixture.raw(FAILED).last(), Some(&A::GiveBack));
    assert_eq!(fixture.rollout.phase(), Phase::Skipped);
}

#[test]
fn a_retry_of_a_child_that_stays_unwell_outlives_the_permit() {
    let mut fixture = member(options());
    fixture.come_to_the_try(1);
    fixture.raw(E::Tried(Tried::Allowed));
    fixture.raw(E::Installed);
    fixture.come_up();
    fixture.now += 30 * SECOND;
    assert_eq!(fixture.raw(E::Tick), [refuse(1), A::Alert(AlertReason::Config)]);
    fixture.hear(1, Some(Verdict::Refused));
    assert_eq!(fixture.hear_in(1, 1, Some(Verdict::Trying)), [A::Stage(1)]);
    assert_eq!(fixture.raw(E::PermitLost), [A::Unstage, A::Ask]);
    assert_eq!(fixture.rollout.phase(), FAILED_PHASE);
    fixture.granted_to_the_try(1);
}

#[test]
fn a_member_that_was_put_back_is_still_one_that_has_failed() {
    let mut fixture = rolled_back();
    assert_eq!(fixture.raw(E::PermitLost), [A::Ask]);
    assert_eq!(fixture.raw(E::Granted), [A::Reread]);
    assert_eq!(fixture.hear(1, Some(Verdict::Refused)), [A::Unstage]);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.is_holder()), (FAILED_PHASE, true));
    // A restart waits for it, and its child, which works, is not touched.
    assert_eq!(fixture.order(Orders { restart: 1, ..Orders::default() }), []);
    // A skipped member keeps nobody waiting, and is restarted like any other.
    let skip = Orders { restart: 1, skipped: Some(1.version()), ..Orders::default() };
    assert_eq!(fixture.order(skip), [A::GiveBack, A::Ask]);
    assert_eq!(fixture.raw(E::Granted), [A::Reread]);
    assert_eq!(fixture.raw(E::Reread(1)), [A::Install]);
    assert_eq!(fixture.raw(E::Installed), [A::StopChild, A::PauseHealth]);
    fixture.come_up();
    assert_eq!(fixture.raw(E::Healthy), [A::GiveBack]);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.running()), (Phase::Skipped, Some(&0)));
}

/// A member whose child works on the files that were put back.
fn rolled_back() -> Fixture {
    let mut fixture = member(RolloutOptions { on_failure: OnFailure::RollBack, ..options() });
    fixture.come_to_the_try(1);
    fixture.raw(E::Tried(Tried::Allowed));
    fixture.raw(E::Installed);
    fixture.come_up();
    assert!(fixture.raw(FAILED).contains(&A::PutBack));
    fixture.raw(E::PutBack);
    fixture.come_up();
    assert_eq!(fixture.raw(E::Healthy), []);
    assert_eq!(fixture.rollout.phase(), FAILED_PHASE);
    fixture
}

#[test]
fn a_retry_that_comes_too_early_restarts_no_child_that_works() {
    let mut fixture = rolled_back();
    // The operator has not seen that the version is refused, and neither has this member.
    let again = Orders { retry: 1, ..Orders::default() };
    assert_eq!(fixture.order(again), [A::Stage(1)]);
    assert_eq!(fixture.hear(1, Some(Verdict::Refused)), [A::Unstage]);
    assert_eq!(fixture.hear(1, Some(Verdict::Refused)), []);
    assert_eq!(fixture.rollout.phase(), FAILED_PHASE);
    // The files that were put back fail too, and the member is skipped.
    let mut fixture = member(RolloutOptions { on_failure: OnFailure::RollBack, ..options() });
    fixture.come_to_the_try(1);
    fixture.raw(E::Tried(Tried::Allowed));
    fixture.raw(E::Installed);
    fixture.come_up();
    fixture.raw(FAILED);
    fixture.raw(E::PutBack);
    fixture.come_up();
    assert_eq!(fixture.hear_in(1, 1, Some(Verdict::Trying)), [A::Stage(1)]);
    let skip = Orders { skipped: Some(1.version()), ..Orders::default() };
    assert_eq!(fixture.order(skip), [A::Unstage]);
    assert_eq!(fixture.rollout.phase(), Phase::Unconfirmed);
    fixture.now += 30 * SECOND;
    assert_eq!(fixture.raw(E::Tick), [A::Alert(AlertReason::Config), A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Skipped);
}
