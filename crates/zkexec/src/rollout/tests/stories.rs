//! A single member, event by event.

use super::*;
use Action as A;
use Event as E;

#[test]
fn a_change_is_a_turn_from_asking_to_giving_back() {
    let mut fixture = Fixture::new(options());
    assert_eq!(fixture.step(E::Wanted(2)), [A::Ask]);
    assert_eq!(fixture.step(E::Granted), [A::Reread]);
    assert_eq!(fixture.step(E::Reread(2)), [A::Stage(2)]);
    assert_eq!(fixture.step(E::Staged), [A::Install]);
    assert_eq!(fixture.step(E::Installed), [A::StopChild, A::PauseHealth]);
    assert_eq!(fixture.step(ENDED), []);
    assert_eq!(fixture.step(E::Gone), [A::StartChild]);
    assert_eq!(fixture.step(E::Started), [A::CheckHealth]);
    assert_eq!(fixture.step(E::Healthy), [A::MarkGood, A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Settled);
    assert_eq!(fixture.step(E::Wanted(2)), []);
}

#[test]
fn without_a_group_no_permit_is_needed() {
    let mut fixture = Fixture::new(RolloutOptions { is_locked: false, ..options() });
    assert_eq!(fixture.step(E::Wanted(2)), [A::Stage(2)]);
    fixture.step(E::Staged);
    fixture.step(E::Installed);
    fixture.come_up();
    assert_eq!(fixture.step(E::Healthy), [A::MarkGood]);
    assert_eq!(fixture.rollout.phase(), Phase::Settled);
}

#[test]
fn a_change_that_was_taken_back_costs_no_restart() {
    let mut fixture = Fixture::new(options());
    fixture.step(E::Wanted(2));
    assert_eq!(fixture.step(E::Wanted(0)), [A::GiveBack]);
    fixture.step(E::Wanted(2));
    fixture.step(E::Granted);
    assert_eq!(fixture.step(E::Reread(0)), [A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Settled);
}

#[test]
fn the_newest_content_is_what_is_put_in_place() {
    let mut fixture = Fixture::new(options());
    fixture.step(E::Wanted(2));
    fixture.step(E::Wanted(4));
    fixture.step(E::Granted);
    assert_eq!(fixture.step(E::Reread(6)), [A::Stage(6)]);
    assert_eq!(fixture.step(E::Wanted(8)), [A::Unstage, A::Stage(8)]);
    assert_eq!(fixture.step(E::Wanted(8)), []);
    fixture.step(E::Staged);
    fixture.step(E::Installed);
    // Too late for this turn.
    assert_eq!(fixture.step(E::Wanted(10)), []);
    fixture.step(ENDED);
    fixture.step(E::Gone);
    assert_eq!(fixture.step(E::Started), [A::CheckHealth, A::Stage(10)]);
}

#[test]
fn a_child_that_fails_on_new_content_fails_the_turn() {
    let mut fixture = Fixture::new(options());
    fixture.restart(1);
    assert_eq!(
        fixture.step(FAILED),
        [A::StopChild, A::PauseHealth, refuse(1), A::Alert(AlertReason::Config)]
    );
    assert_eq!(fixture.step(E::Gone), []);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.is_holder()), (FAILED_PHASE, true));
    // The same content is not tried again.
    assert_eq!(fixture.step(E::Wanted(1)), []);
    assert_eq!(fixture.step(E::Wanted(2)), [A::Stage(2)]);
    assert_eq!(fixture.step(E::Staged), [A::Install]);
    assert_eq!(fixture.step(E::Installed), [A::StartChild]);
    fixture.step(E::Started);
    assert_eq!(fixture.step(E::Healthy), [A::MarkGood, A::GiveBack]);
}

#[test]
fn a_child_that_stays_unwell_fails_the_turn_and_late_health_ends_that() {
    let mut fixture = Fixture::new(options());
    fixture.restart(1);
    assert_eq!(fixture.after(29 * SECOND), []);
    assert_eq!(fixture.after(SECOND), [refuse(1), A::Alert(AlertReason::Config)]);
    assert_eq!(fixture.rollout.phase(), FAILED_PHASE);
    // It takes its own refusal back.
    assert_eq!(fixture.step(E::Healthy), [A::Confirm(1.version())]);
    assert_eq!(fixture.step(E::Recorded), [A::MarkGood, A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Settled);
}

#[test]
fn without_a_health_check_staying_up_is_health() {
    let mut fixture = Fixture::new(RolloutOptions { has_health: false, ..options() });
    fixture.restart(2);
    assert_eq!(fixture.after(29 * SECOND), []);
    assert_eq!(fixture.after(SECOND), [A::MarkGood, A::GiveBack]);
}

/// The child fails on content 1 while newer content is prepared, and something follows.
fn failure_in_preparation(next: A<Content>) -> [A<Content>; 6] {
    let alert = A::Alert(AlertReason::Config);
    [A::StopChild, A::PauseHealth, A::Unstage, refuse(1), alert, next]
}

#[test]
fn newer_content_takes_the_place_of_what_is_not_confirmed() {
    let mut fixture = Fixture::new(options());
    fixture.restart(1);
    assert_eq!(fixture.step(E::Wanted(2)), [A::Stage(2)]);
    // The earlier content fails in the meantime, and the group hears of it.
    let failure = failure_in_preparation(A::Stage(2));
    assert_eq!(fixture.step(FAILED), failure);
    assert_eq!(fixture.step(E::Staged), [A::Install]);
    assert_eq!(fixture.step(E::Installed), []);
    assert_eq!(fixture.step(E::Gone), [A::StartChild]);
}

#[test]
fn content_that_fails_while_newer_content_is_put_in_place_is_refused() {
    let mut fixture = Fixture::new(options());
    fixture.restart(1);
    fixture.step(E::Wanted(2));
    assert_eq!(fixture.step(E::Staged), [A::Install]);
    let failure = [A::StopChild, A::PauseHealth, refuse(1), A::Alert(AlertReason::Config)];
    assert_eq!(fixture.step(FAILED), failure);
    assert_eq!(fixture.rollout.phase(), Phase::Installing);
    assert_eq!(fixture.step(E::Installed), []);
    assert_eq!(fixture.step(E::Gone), [A::StartChild]);
}

#[test]
fn content_that_fails_while_newer_content_is_prepared_is_rolled_back() {
    let mut fixture = Fixture::new(RolloutOptions { on_failure: OnFailure::RollBack, ..options() });
    fixture.restart(1);
    fixture.step(E::Wanted(2));
    let failure = failure_in_preparation(A::PutBack);
    assert_eq!(fixture.step(FAILED), failure);
    assert_eq!(fixture.step(E::PutBack), []);
    assert_eq!(fixture.step(E::Gone), [A::StartChild]);
    assert_eq!(fixture.step(E::Started), [A::CheckHealth, A::Stage(2)]);
}

#[test]
fn rolling_back_costs_one_restart_and_keeps_the_permit() {
    let mut fixture = Fixture::new(RolloutOptions { on_failure: OnFailure::RollBack, ..options() });
    fixture.restart(1);
    let failure =
        [A::StopChild, A::PauseHealth, refuse(1), A::Alert(AlertReason::Config), A::PutBack];
    assert_eq!(fixture.step(FAILED), failure);
    assert_eq!(fixture.step(E::PutBack), []);
    assert_eq!(fixture.step(E::Gone), [A::StartChild]);
    fixture.step(E::Started);
    assert_eq!(fixture.step(E::Healthy), []);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.is_holder()), (FAILED_PHASE, true));
    // The failed content is not tried again; the content that works ends the turn.
    assert_eq!(fixture.step(E::Wanted(1)), []);
    assert_eq!(fixture.step(E::Wanted(0)), [A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::Settled);
}

#[test]
fn rolling_back_an_unwell_child_stops_it_first() {
    let mut fixture = Fixture::new(RolloutOptions { on_failure: OnFailure::RollBack, ..options() });
    fixture.restart(1);
    assert_eq!(fixture.after(30 * SECOND), [refuse(1), A::Alert(AlertReason::Config), A::PutBack]);
    assert_eq!(fixture.step(E::PutBack), [A::StopChild, A::PauseHealth]);
    fixture.come_up();
    fixture.step(E::Healthy);
    // The next content that fails is rolled back to the same files.
    assert_eq!(fixture.step(E::Wanted(3)), [A::Stage(3)]);
    fixture.step(E::Staged);
    fixture.step(E::Installed);
    fixture.come_up();
    assert!(fixture.step(FAILED).contains(&A::PutBack));
}

#[test]
fn files_that_were_put_back_and_fail_too_stay() {
    let mut fixture = Fixture::new(RolloutOptions { on_failure: OnFailure::RollBack, ..options() });
    fixture.restart(1);
    fixture.step(FAILED);
    fixture.step(E::PutBack);
    fixture.step(E::Gone);
    fixture.step(E::Started);
    assert_eq!(fixture.step(FAILED), [A::StopChild, A::PauseHealth, A::Alert(AlertReason::Config)]);
    assert_eq!(fixture.step(E::Gone), []);
    // The old content is tried when ZooKeeper has it again.
    assert_eq!(fixture.step(E::Wanted(0)), [A::Stage(0)]);
}

#[test]
fn an_unconfirmed_child_that_exits_with_0_ends_zkexec() {
    let mut fixture = Fixture::new(options());
    fixture.restart(2);
    assert_eq!(fixture.step(ENDED), [A::StopChild, A::PauseHealth, A::Unstage]);
    assert_eq!(fixture.step(E::Gone), [A::End]);
}

#[test]
fn a_child_that_ends_by_itself_ends_zkexec() {
    for is_locked in [true, false] {
        let mut fixture = Fixture::new(RolloutOptions { is_locked, ..options() });
        let end = [A::StopChild, A::PauseHealth, A::Alert(AlertReason::Exit), A::Unstage];
        assert_eq!(fixture.step(FAILED), end);
        assert_eq!(fixture.step(E::Gone), [A::End]);
    }
    let mut fixture = Fixture::new(RolloutOptions { is_locked: false, ..options() });
    fixture.restart(1);
    assert!(fixture.step(FAILED).contains(&A::Alert(AlertReason::Exit)));
    assert_eq!(fixture.step(E::Gone), [A::End]);
}

#[test]
fn a_waiting_member_leaves_the_queue_at_once_on_stop() {
    let mut fixture = Fixture::new(options());
    fixture.step(E::Wanted(2));
    assert_eq!(fixture.step(E::Stop), [A::StopChild, A::PauseHealth, A::GiveBack, A::Unstage]);
    assert_eq!(fixture.step(E::Stop), []);
    assert_eq!(fixture.step(E::Granted), []);
    fixture.step(ENDED);
    assert_eq!(fixture.step(E::Gone), [A::End]);
}

#[test]
fn a_stop_in_the_middle_of_a_restart_starts_nothing() {
    let mut fixture = Fixture::new(options());
    fixture.take_down(2);
    assert_eq!(fixture.step(E::Stop), [A::Unstage]);
    fixture.step(ENDED);
    assert_eq!(fixture.step(E::Gone), [A::End]);
    let mut not_started: Rollout<Content> = Rollout::new(options(), OPEN);
    assert!(not_started.step(Instant::now(), E::Stop).contains(&A::End));
}

#[test]
fn a_permit_that_is_lost_before_the_stop_is_queued_for_again() {
    let mut fixture = Fixture::new(options());
    fixture.step(E::Wanted(2));
    assert_eq!(fixture.step(E::PermitLost), [A::Ask]);
    fixture.step(E::Granted);
    assert_eq!(fixture.step(E::PermitLost), [A::Unstage, A::Ask]);
    fixture.step(E::Granted);
    fixture.step(E::Reread(2));
    assert_eq!(fixture.step(E::PermitLost), [A::Unstage, A::Ask]);
    fixture.step(E::Granted);
    fixture.step(E::Reread(2));
    assert_eq!(fixture.step(E::Staged), [A::Install]);
    assert_eq!(fixture.step(E::PermitUnconfirmed), [A::Untouched, A::Unstage, A::Reread]);
    assert_eq!(fixture.step(E::PermitLost), [A::Unstage, A::Ask]);
    assert_eq!(fixture.rollout.phase(), Phase::Queued);
}

#[test]
fn a_permit_that_is_lost_after_the_stop_leaves_no_child_down() {
    let mut fixture = Fixture::new(options());
    fixture.take_down(2);
    assert_eq!(fixture.step(E::PermitLost), []);
    fixture.come_up();
    assert_eq!(fixture.step(E::Healthy), [A::MarkGood]);
    assert_eq!(fixture.rollout.phase(), Phase::Settled);

    fixture.restart(4);
    fixture.step(E::PermitLost);
    // The next step needs a new permit.
    assert_eq!(fixture.step(E::Wanted(6)), [A::Ask]);
    assert_eq!(fixture.step(E::Wanted(8)), []);
    assert_eq!(fixture.step(E::Granted), [A::Reread]);
    assert_eq!(fixture.step(E::Reread(8)), [A::Stage(8)]);
}

#[test]
fn a_failed_member_stays_in_the_queue() {
    let mut fixture = Fixture::new(options());
    fixture.restart(1);
    fixture.step(FAILED);
    assert_eq!(fixture.step(E::PermitLost), [A::Ask]);
    assert_eq!(fixture.step(E::Granted), [A::Reread]);
    fixture.step(E::Gone);
    assert_eq!(fixture.step(E::Reread(1)), []);
    assert_eq!(fixture.rollout.phase(), FAILED_PHASE);
    assert_eq!(fixture.step(E::Wanted(2)), [A::Stage(2)]);
}

#[test]
fn a_content_that_its_check_refuses_touches_nothing() {
    let mut fixture = Fixture::new(options());
    fixture.step(E::Wanted(1));
    fixture.step(E::Granted);
    fixture.step(E::Reread(1));
    let refusal = [A::RefuseUntried(1.version()), A::Alert(AlertReason::Config)];
    assert_eq!(fixture.step(E::Refused), refusal);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.is_holder()), (FAILED_PHASE, true));
    assert_eq!(fixture.step(E::Wanted(0)), [A::GiveBack]);
}

#[test]
fn files_that_cannot_be_written_are_tried_again() {
    let mut fixture = Fixture::new(options());
    fixture.step(E::Wanted(2));
    fixture.step(E::Granted);
    fixture.step(E::Reread(2));
    assert_eq!(fixture.step(E::StageFailed), [A::Unstage, A::Alert(AlertReason::Config)]);
    let due = fixture.rollout.deadline().unwrap();
    fixture.now = due;
    assert_eq!(fixture.step(E::Tick), [A::Stage(2)]);
    fixture.step(E::Staged);
    // The alert is raised once.
    assert_eq!(fixture.step(E::InstallFailed), [A::Untouched, A::Unstage]);
    assert!(fixture.rollout.deadline().unwrap() - due < RETRY_MOST);
    assert!(fixture.rollout.is_holder());
}

#[test]
fn soaking_keeps_the_next_one_waiting() {
    let mut fixture = Fixture::new(RolloutOptions { soak: 10 * SECOND, ..options() });
    fixture.restart(2);
    assert_eq!(fixture.step(E::Healthy), []);
    assert_eq!(fixture.step(E::Wanted(4)), []);
    // The verdict on the newer content is not about this one.
    assert_eq!(fixture.after(10 * SECOND), [A::Confirm(2.version())]);
    assert_eq!(fixture.step(E::Recorded), [A::MarkGood, A::GiveBack, A::Ask]);
}

#[test]
fn a_child_that_fails_while_its_group_soaks_fails_the_turn() {
    for on_failure in [OnFailure::Hold, OnFailure::RollBack] {
        let mut fixture =
            Fixture::new(RolloutOptions { soak: 10 * SECOND, on_failure, ..options() });
        fixture.restart(1);
        assert_eq!(fixture.step(E::Healthy), []);
        let mut failure =
            vec![A::StopChild, A::PauseHealth, refuse(1), A::Alert(AlertReason::Config)];
        if on_failure == OnFailure::RollBack {
            failure.push(A::PutBack);
        }
        assert_eq!(fixture.step(FAILED), failure);
        assert!(fixture.rollout.is_holder());
        assert!(!fixture.rollout.is_confirmed());
    }
}

#[test]
fn a_member_does_not_queue_outside_the_hours() {
    let shut = Gates { is_in_hours: false, ..OPEN };
    let mut fixture = Fixture::with_gates(options(), shut);
    assert_eq!(fixture.step(E::Wanted(2)), []);
    assert_eq!(fixture.step(E::Gates(OPEN)), [A::Ask]);
    assert_eq!(fixture.step(E::Gates(shut)), [A::GiveBack]);
    assert_eq!(fixture.step(E::Gates(OPEN)), [A::Ask]);
    fixture.step(E::Granted);
    fixture.step(E::Gates(shut));
    assert_eq!(fixture.step(E::Reread(2)), [A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::OffHours);
    assert_eq!(fixture.step(E::Gates(OPEN)), [A::Ask]);
    fixture.step(E::Granted);
    fixture.step(E::Reread(2));
    fixture.step(E::Gates(shut));
    assert_eq!(fixture.step(E::Staged), [A::Unstage, A::GiveBack]);
    assert_eq!(fixture.rollout.phase(), Phase::OffHours);
}

#[test]
fn new_content_is_taken_after_one_that_was_taken_back_and_hours_that_came_and_went() {
    let shut = Gates { is_in_hours: false, ..OPEN };
    let mut fixture = Fixture::new(options());
    fixture.step(E::Wanted(2));
    fixture.step(E::Granted);
    // The change is taken back during the read, and then the session ends.
    fixture.step(E::Wanted(0));
    fixture.step(E::PermitLost);
    fixture.step(E::Gates(shut));
    fixture.step(E::Gates(OPEN));
    assert_eq!(fixture.rollout.phase(), Phase::Settled);
    assert_eq!(fixture.step(E::Wanted(4)), [A::Ask]);
}

#[test]
fn a_farm_that_cannot_spare_us_keeps_the_child_up() {
    let needed = Gates { can_spare_us: false, ..OPEN };
    let mut fixture = Fixture::with_gates(options(), needed);
    fixture.step(E::Wanted(2));
    fixture.step(E::Granted);
    fixture.step(E::Reread(2));
    assert_eq!(fixture.step(E::Staged), []);
    assert_eq!((fixture.rollout.phase(), fixture.rollout.is_holder()), (Phase::Blocked, true));
    assert_eq!(fixture.step(E::Gates(OPEN)), [A::Install]);
}

#[test]
fn the_gates_do_not_keep_a_child_down() {
    let mut fixture = Fixture::new(options());
    fixture.restart(1);
    fixture.step(FAILED);
    fixture.step(E::Gone);
    fixture.step(E::Gates(Gates { is_in_hours: false, can_spare_us: false }));
    assert_eq!(fixture.step(E::Wanted(2)), [A::Stage(2)]);
    assert_eq!(fixture.step(E::Staged), [A::Install]);
}

#[test]
fn draining_comes_before_the_stop_and_ends_with_health() {
    let mut fixture = Fixture::new(RolloutOptions { drains: true, ..options() });
    fixture.step(E::Wanted(2));
    fixture.step(E::Granted);
    fixture.step(E::Reread(2));
    assert_eq!(fixture.step(E::Staged), [A::Drain]);
    assert_eq!(fixture.step(E::Drained), [A::Install]);
    fixture.step(E::Installed);
    fixture.come_up();
    assert_eq!(fixture.step(E::Healthy), [A::Restore]);
    assert_eq!(fixture.step(E::Restored), [A::MarkGood, A::GiveBack]);
}

#[test]
fn a_drain_without_a_restart_is_restored() {
    let mut fixture = Fixture::new(RolloutOptions { drains: true, ..options() });
    fixture.step(E::Wanted(2));
    fixture.step(E::Granted);
    fixture.step(E::Reread(2));
    fixture.step(E::Staged);
    assert_eq!(fixture.step(E::PermitLost), [A::Unstage, A::Ask]);
    assert_eq!(fixture.step(E::Drained), [A::Restore]);
    fixture.step(E::Granted);
    fixture.step(E::Reread(2));
    fixture.step(E::Staged);
    fixture.step(E::Drained);
    assert_eq!(fixture.step(E::PermitUnconfirmed), [A::Untouched, A::Unstage, A::Reread]);
    assert_eq!(fixture.step(E::PermitLost), [A::Unstage, A::Restore, A::Ask]);
}

#[test]
fn a_child_that_is_notified_of_changes_is_not_stopped() {
    let notified = |on_change| {
        let mut fixture = Fixture::new(RolloutOptions { on_change, ..options() });
        fixture.step(E::Wanted(2));
        fixture.step(E::Granted);
        fixture.step(E::Reread(2));
        fixture.step(E::Staged);
        assert_eq!(fixture.step(E::Installed), [A::PauseHealth, A::Apply]);
        fixture
    };
    let mut fixture = notified(OnChange::Nothing);
    let done = [A::CheckHealth, A::MarkGood, A::GiveBack];
    assert_eq!(fixture.step(E::Applied { is_success: true }), done);
    let mut fixture = notified(HUP);
    assert_eq!(fixture.step(E::Applied { is_success: true }), [A::CheckHealth]);
    assert_eq!(fixture.step(E::Healthy), [A::MarkGood, A::GiveBack]);
    let mut fixture = notified(COMMAND);
    assert_eq!(
        fixture.step(E::Applied { is_success: false }),
        [refuse(2), A::Alert(AlertReason::Config)]
    );
    assert!(fixture.rollout.is_holder());
    assert_eq!(fixture.step(E::Applied { is_success: true }), [A::CheckHealth]);
    // It takes its own refusal back.
    assert_eq!(fixture.step(E::Healthy), [A::Confirm(2.version())]);
    assert_eq!(fixture.step(E::Recorded), [A::MarkGood, A::GiveBack]);
}

#[test]
fn a_child_that_cannot_be_started_again_is_a_failure_of_the_content() {
    let mut fixture = Fixture::new(options());
    fixture.take_down(1);
    fixture.step(ENDED);
    fixture.step(E::Gone);
    assert_eq!(fixture.step(E::StartFailed), [refuse(1), A::Alert(AlertReason::Config)]);
    assert_eq!(fixture.rollout.phase(), FAILED_PHASE);
    let mut fixture = Fixture::new(RolloutOptions { is_locked: false, ..options() });
    fixture.take_down(1);
    fixture.step(ENDED);
    fixture.step(E::Gone);
    assert_eq!(fixture.step(E::StartFailed), [A::Alert(AlertReason::Exit), A::End]);
}
