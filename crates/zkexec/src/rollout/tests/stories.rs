//! Single members, one event after the other.

use super::*;
use Action as A;
use Event as E;

#[test]
fn a_change_is_a_turn_from_asking_to_giving_back() {
    let mut stage = Stage::new(terms());
    assert_eq!(stage.step(E::Wanted(2)), [A::Ask]);
    assert_eq!(stage.step(E::Granted), [A::Reread]);
    assert_eq!(stage.step(E::Reread(2)), [A::Stage(2)]);
    assert_eq!(stage.step(E::Staged), [A::Install]);
    assert_eq!(stage.step(E::Installed), [A::StopChild, A::RestHealth]);
    assert_eq!(stage.step(ENDED), []);
    assert_eq!(stage.step(E::Gone), [A::StartChild]);
    assert_eq!(stage.step(E::Started), [A::CheckHealth]);
    assert_eq!(stage.step(E::Healthy), [A::Keep, A::GiveBack]);
    assert_eq!(stage.rollout.phase(), Phase::Settled);
    assert_eq!(stage.step(E::Wanted(2)), []);
}

#[test]
fn without_a_group_nobody_is_asked() {
    let mut stage = Stage::new(RolloutOptions { is_locked: false, ..terms() });
    assert_eq!(stage.step(E::Wanted(2)), [A::Stage(2)]);
    stage.step(E::Staged);
    stage.step(E::Installed);
    stage.come_up();
    assert_eq!(stage.step(E::Healthy), [A::Keep]);
    assert_eq!(stage.rollout.phase(), Phase::Settled);
}

#[test]
fn a_change_that_was_taken_back_costs_no_restart() {
    let mut stage = Stage::new(terms());
    stage.step(E::Wanted(2));
    assert_eq!(stage.step(E::Wanted(0)), [A::GiveBack]);
    stage.step(E::Wanted(2));
    stage.step(E::Granted);
    assert_eq!(stage.step(E::Reread(0)), [A::GiveBack]);
    assert_eq!(stage.rollout.phase(), Phase::Settled);
}

#[test]
fn the_newest_content_is_what_is_put_in_place() {
    let mut stage = Stage::new(terms());
    stage.step(E::Wanted(2));
    stage.step(E::Wanted(4));
    stage.step(E::Granted);
    assert_eq!(stage.step(E::Reread(6)), [A::Stage(6)]);
    assert_eq!(stage.step(E::Wanted(8)), [A::Unstage, A::Stage(8)]);
    assert_eq!(stage.step(E::Wanted(8)), []);
    stage.step(E::Staged);
    stage.step(E::Installed);
    // Too late for this time.
    assert_eq!(stage.step(E::Wanted(10)), []);
    stage.step(ENDED);
    stage.step(E::Gone);
    assert_eq!(stage.step(E::Started), [A::CheckHealth, A::Stage(10)]);
}

#[test]
fn a_child_that_fails_on_new_content_pauses_the_group() {
    let mut stage = Stage::new(terms());
    stage.restart(1);
    assert_eq!(stage.step(FAILED), [A::StopChild, A::RestHealth, A::Alert(Alarm::Config)]);
    assert_eq!(stage.step(E::Gone), []);
    assert_eq!((stage.rollout.phase(), stage.rollout.is_holder()), (PAUSED, true));
    // The same again is no reason to try.
    assert_eq!(stage.step(E::Wanted(1)), []);
    assert_eq!(stage.step(E::Wanted(2)), [A::Stage(2)]);
    assert_eq!(stage.step(E::Staged), [A::Install]);
    assert_eq!(stage.step(E::Installed), [A::StartChild]);
    stage.step(E::Started);
    assert_eq!(stage.step(E::Healthy), [A::Keep, A::GiveBack]);
}

#[test]
fn a_child_that_stays_unwell_pauses_the_group_and_late_health_ends_that() {
    let mut stage = Stage::new(terms());
    stage.restart(1);
    assert_eq!(stage.after(29 * SECOND), []);
    assert_eq!(stage.after(SECOND), [A::Alert(Alarm::Config)]);
    assert_eq!(stage.rollout.phase(), PAUSED);
    assert_eq!(stage.step(E::Healthy), [A::Keep, A::GiveBack]);
    assert_eq!(stage.rollout.phase(), Phase::Settled);
}

#[test]
fn without_a_health_check_staying_up_is_health() {
    let mut stage = Stage::new(RolloutOptions { has_health: false, ..terms() });
    stage.restart(2);
    assert_eq!(stage.after(29 * SECOND), []);
    assert_eq!(stage.after(SECOND), [A::Keep, A::GiveBack]);
}

#[test]
fn newer_content_takes_the_place_of_what_is_not_confirmed() {
    let mut stage = Stage::new(terms());
    stage.restart(1);
    assert_eq!(stage.step(E::Wanted(2)), [A::Stage(2)]);
    // The old try fails meanwhile.
    assert_eq!(stage.step(FAILED), [A::StopChild, A::RestHealth, A::Alert(Alarm::Config)]);
    assert_eq!(stage.step(E::Staged), [A::Install]);
    assert_eq!(stage.step(E::Installed), []);
    assert_eq!(stage.step(E::Gone), [A::StartChild]);
}

#[test]
fn rolling_back_costs_one_restart_and_keeps_the_permit() {
    let mut stage = Stage::new(RolloutOptions { on_failure: OnFailure::RollBack, ..terms() });
    stage.restart(1);
    let failure = [A::StopChild, A::RestHealth, A::Alert(Alarm::Config), A::PutBack];
    assert_eq!(stage.step(FAILED), failure);
    assert_eq!(stage.step(E::PutBack), []);
    assert_eq!(stage.step(E::Gone), [A::StartChild]);
    stage.step(E::Started);
    assert_eq!(stage.step(E::Healthy), []);
    assert_eq!((stage.rollout.phase(), stage.rollout.is_holder()), (PAUSED, true));
    // What is known not to work is not tried again; what works is the end of it.
    assert_eq!(stage.step(E::Wanted(1)), []);
    assert_eq!(stage.step(E::Wanted(0)), [A::GiveBack]);
    assert_eq!(stage.rollout.phase(), Phase::Settled);
}

#[test]
fn rolling_back_an_unwell_child_stops_it_first() {
    let mut stage = Stage::new(RolloutOptions { on_failure: OnFailure::RollBack, ..terms() });
    stage.restart(1);
    assert_eq!(stage.after(30 * SECOND), [A::Alert(Alarm::Config), A::PutBack]);
    assert_eq!(stage.step(E::PutBack), [A::StopChild, A::RestHealth]);
    stage.come_up();
    stage.step(E::Healthy);
    // The next one that fails is rolled back to the same.
    assert_eq!(stage.step(E::Wanted(3)), [A::Stage(3)]);
    stage.step(E::Staged);
    stage.step(E::Installed);
    stage.come_up();
    assert!(stage.step(FAILED).contains(&A::PutBack));
}

#[test]
fn what_was_put_back_and_fails_too_is_left_alone() {
    let mut stage = Stage::new(RolloutOptions { on_failure: OnFailure::RollBack, ..terms() });
    stage.restart(1);
    stage.step(FAILED);
    stage.step(E::PutBack);
    stage.step(E::Gone);
    stage.step(E::Started);
    assert_eq!(stage.step(FAILED), [A::StopChild, A::RestHealth, A::Alert(Alarm::Config)]);
    assert_eq!(stage.step(E::Gone), []);
    // Who asks for the old content by name wants it tried.
    assert_eq!(stage.step(E::Wanted(0)), [A::Stage(0)]);
}

#[test]
fn an_end_without_complaint_is_the_end_also_of_an_unconfirmed_child() {
    let mut stage = Stage::new(terms());
    stage.restart(2);
    assert_eq!(stage.step(ENDED), [A::StopChild, A::RestHealth, A::Unstage]);
    assert_eq!(stage.step(E::Gone), [A::End]);
}

#[test]
fn a_child_that_ends_by_itself_is_the_end() {
    for is_locked in [true, false] {
        let mut stage = Stage::new(RolloutOptions { is_locked, ..terms() });
        let end = [A::StopChild, A::RestHealth, A::Alert(Alarm::Exit), A::Unstage];
        assert_eq!(stage.step(FAILED), end);
        assert_eq!(stage.step(E::Gone), [A::End]);
    }
    let mut stage = Stage::new(RolloutOptions { is_locked: false, ..terms() });
    stage.restart(1);
    assert!(stage.step(FAILED).contains(&A::Alert(Alarm::Exit)));
    assert_eq!(stage.step(E::Gone), [A::End]);
}

#[test]
fn who_waits_makes_room_at_once_when_told_to_stop() {
    let mut stage = Stage::new(terms());
    stage.step(E::Wanted(2));
    assert_eq!(stage.step(E::Stop), [A::StopChild, A::RestHealth, A::GiveBack, A::Unstage]);
    assert_eq!(stage.step(E::Stop), []);
    assert_eq!(stage.step(E::Granted), []);
    stage.step(ENDED);
    assert_eq!(stage.step(E::Gone), [A::End]);
}

#[test]
fn a_stop_in_the_middle_of_a_restart_starts_nothing() {
    let mut stage = Stage::new(terms());
    stage.take_down(2);
    assert_eq!(stage.step(E::Stop), [A::Unstage]);
    stage.step(ENDED);
    assert_eq!(stage.step(E::Gone), [A::End]);
    let mut unbegun: Rollout<Content> = Rollout::new(terms(), OPEN);
    assert!(unbegun.step(Instant::now(), E::Stop).contains(&A::End));
}

#[test]
fn a_permit_that_is_lost_before_the_stop_is_queued_for_again() {
    let mut stage = Stage::new(terms());
    stage.step(E::Wanted(2));
    assert_eq!(stage.step(E::PermitLost), [A::Ask]);
    stage.step(E::Granted);
    assert_eq!(stage.step(E::PermitLost), [A::Unstage, A::Ask]);
    stage.step(E::Granted);
    stage.step(E::Reread(2));
    assert_eq!(stage.step(E::PermitLost), [A::Unstage, A::Ask]);
    stage.step(E::Granted);
    stage.step(E::Reread(2));
    assert_eq!(stage.step(E::Staged), [A::Install]);
    assert_eq!(stage.step(E::LeaseOver), [A::Unstage, A::Reread]);
    assert_eq!(stage.step(E::PermitLost), [A::Unstage, A::Ask]);
    assert_eq!(stage.rollout.phase(), Phase::Queued);
}

#[test]
fn a_permit_that_is_lost_after_the_stop_leaves_no_child_down() {
    let mut stage = Stage::new(terms());
    stage.take_down(2);
    assert_eq!(stage.step(E::PermitLost), []);
    stage.come_up();
    assert_eq!(stage.step(E::Healthy), [A::Keep]);
    assert_eq!(stage.rollout.phase(), Phase::Settled);

    stage.restart(4);
    stage.step(E::PermitLost);
    // No further step without a new one.
    assert_eq!(stage.step(E::Wanted(6)), [A::Ask]);
    assert_eq!(stage.step(E::Wanted(8)), []);
    assert_eq!(stage.step(E::Granted), [A::Reread]);
    assert_eq!(stage.step(E::Reread(8)), [A::Stage(8)]);
}

#[test]
fn who_is_stuck_stays_in_the_queue() {
    let mut stage = Stage::new(terms());
    stage.restart(1);
    stage.step(FAILED);
    assert_eq!(stage.step(E::PermitLost), [A::Ask]);
    assert_eq!(stage.step(E::Granted), [A::Reread]);
    stage.step(E::Gone);
    assert_eq!(stage.step(E::Reread(1)), []);
    assert_eq!(stage.rollout.phase(), PAUSED);
    assert_eq!(stage.step(E::Wanted(2)), [A::Stage(2)]);
}

#[test]
fn a_content_that_its_check_refuses_touches_nothing() {
    let mut stage = Stage::new(terms());
    stage.step(E::Wanted(1));
    stage.step(E::Granted);
    stage.step(E::Reread(1));
    assert_eq!(stage.step(E::Refused), [A::Alert(Alarm::Config)]);
    assert_eq!((stage.rollout.phase(), stage.rollout.is_holder()), (PAUSED, true));
    assert_eq!(stage.step(E::Wanted(0)), [A::GiveBack]);
}

#[test]
fn files_that_cannot_be_written_are_tried_again() {
    let mut stage = Stage::new(terms());
    stage.step(E::Wanted(2));
    stage.step(E::Granted);
    stage.step(E::Reread(2));
    assert_eq!(stage.step(E::StageFailed), [A::Unstage, A::Alert(Alarm::Config)]);
    let due = stage.rollout.deadline().unwrap();
    stage.now = due;
    assert_eq!(stage.step(E::Tick), [A::Stage(2)]);
    stage.step(E::Staged);
    // Told once.
    assert_eq!(stage.step(E::InstallFailed), [A::Unstage]);
    assert!(stage.rollout.deadline().unwrap() - due < RETRY_MOST);
    assert!(stage.rollout.is_holder());
}

#[test]
fn soaking_keeps_the_next_one_waiting() {
    let mut stage = Stage::new(RolloutOptions { soak: 10 * SECOND, ..terms() });
    stage.restart(2);
    assert_eq!(stage.step(E::Healthy), []);
    assert_eq!(stage.step(E::Wanted(4)), []);
    assert_eq!(stage.after(10 * SECOND), [A::Keep, A::GiveBack, A::Ask]);
}

#[test]
fn a_child_that_fails_while_its_group_soaks_pauses_it() {
    for on_failure in [OnFailure::Hold, OnFailure::RollBack] {
        let mut stage = Stage::new(RolloutOptions { soak: 10 * SECOND, on_failure, ..terms() });
        stage.restart(1);
        assert_eq!(stage.step(E::Healthy), []);
        let mut failure = vec![A::StopChild, A::RestHealth, A::Alert(Alarm::Config)];
        if on_failure == OnFailure::RollBack {
            failure.push(A::PutBack);
        }
        assert_eq!(stage.step(FAILED), failure);
        assert!(stage.rollout.is_holder());
        assert!(!stage.rollout.is_confirmed());
    }
}

#[test]
fn outside_of_the_hours_nobody_queues() {
    let shut = Gates { is_in_hours: false, ..OPEN };
    let mut stage = Stage::with_gates(terms(), shut);
    assert_eq!(stage.step(E::Wanted(2)), []);
    assert_eq!(stage.step(E::Gates(OPEN)), [A::Ask]);
    assert_eq!(stage.step(E::Gates(shut)), [A::Unstage, A::GiveBack]);
    assert_eq!(stage.step(E::Gates(OPEN)), [A::Ask]);
    stage.step(E::Granted);
    stage.step(E::Gates(shut));
    stage.step(E::Reread(2));
    assert_eq!(stage.step(E::Staged), [A::Unstage, A::GiveBack]);
    assert_eq!(stage.rollout.phase(), Phase::OffHours);
}

#[test]
fn new_content_is_taken_after_one_that_was_taken_back_and_hours_that_came_and_went() {
    let shut = Gates { is_in_hours: false, ..OPEN };
    let mut stage = Stage::new(terms());
    stage.step(E::Wanted(2));
    stage.step(E::Granted);
    // Taken back while it is read again, and then the session ends.
    stage.step(E::Wanted(0));
    stage.step(E::PermitLost);
    stage.step(E::Gates(shut));
    stage.step(E::Gates(OPEN));
    assert_eq!(stage.rollout.phase(), Phase::Settled);
    assert_eq!(stage.step(E::Wanted(4)), [A::Ask]);
}

#[test]
fn a_farm_that_cannot_spare_us_keeps_the_child_up() {
    let needed = Gates { can_spare_us: false, ..OPEN };
    let mut stage = Stage::with_gates(terms(), needed);
    stage.step(E::Wanted(2));
    stage.step(E::Granted);
    stage.step(E::Reread(2));
    assert_eq!(stage.step(E::Staged), []);
    assert_eq!((stage.rollout.phase(), stage.rollout.is_holder()), (Phase::Blocked, true));
    assert_eq!(stage.step(E::Gates(OPEN)), [A::Install]);
}

#[test]
fn the_gates_do_not_keep_a_child_down() {
    let mut stage = Stage::new(terms());
    stage.restart(1);
    stage.step(FAILED);
    stage.step(E::Gone);
    stage.step(E::Gates(Gates { is_in_hours: false, can_spare_us: false }));
    assert_eq!(stage.step(E::Wanted(2)), [A::Stage(2)]);
    assert_eq!(stage.step(E::Staged), [A::Install]);
}

#[test]
fn draining_comes_before_the_stop_and_ends_with_health() {
    let mut stage = Stage::new(RolloutOptions { drains: true, ..terms() });
    stage.step(E::Wanted(2));
    stage.step(E::Granted);
    stage.step(E::Reread(2));
    assert_eq!(stage.step(E::Staged), [A::Drain]);
    assert_eq!(stage.step(E::Drained), [A::Install]);
    stage.step(E::Installed);
    stage.come_up();
    assert_eq!(stage.step(E::Healthy), [A::Restore]);
    assert_eq!(stage.step(E::Restored), [A::Keep, A::GiveBack]);
}

#[test]
fn what_was_drained_in_vain_is_restored() {
    let mut stage = Stage::new(RolloutOptions { drains: true, ..terms() });
    stage.step(E::Wanted(2));
    stage.step(E::Granted);
    stage.step(E::Reread(2));
    stage.step(E::Staged);
    assert_eq!(stage.step(E::PermitLost), [A::Unstage, A::Ask]);
    assert_eq!(stage.step(E::Drained), [A::Restore]);
    stage.step(E::Granted);
    stage.step(E::Reread(2));
    stage.step(E::Staged);
    stage.step(E::Drained);
    assert_eq!(stage.step(E::LeaseOver), [A::Unstage, A::Reread]);
    assert_eq!(stage.step(E::PermitLost), [A::Unstage, A::Restore, A::Ask]);
}

#[test]
fn a_child_that_may_be_told_is_not_stopped() {
    let told = |on_change| {
        let mut stage = Stage::new(RolloutOptions { on_change, ..terms() });
        stage.step(E::Wanted(2));
        stage.step(E::Granted);
        stage.step(E::Reread(2));
        stage.step(E::Staged);
        assert_eq!(stage.step(E::Installed), [A::RestHealth, A::Apply]);
        stage
    };
    let mut stage = told(OnChange::Nothing);
    let done = [A::CheckHealth, A::Keep, A::GiveBack];
    assert_eq!(stage.step(E::Applied { is_success: true }), done);
    let mut stage = told(HUP);
    assert_eq!(stage.step(E::Applied { is_success: true }), [A::CheckHealth]);
    assert_eq!(stage.step(E::Healthy), [A::Keep, A::GiveBack]);
    let mut stage = told(COMMAND);
    assert_eq!(stage.step(E::Applied { is_success: false }), [A::Alert(Alarm::Config)]);
    assert!(stage.rollout.is_holder());
    assert_eq!(stage.step(E::Applied { is_success: true }), [A::CheckHealth]);
    assert_eq!(stage.step(E::Healthy), [A::Keep, A::GiveBack]);
}

#[test]
fn a_child_that_cannot_be_started_again_is_a_failure_of_the_content() {
    let mut stage = Stage::new(terms());
    stage.take_down(1);
    stage.step(ENDED);
    stage.step(E::Gone);
    assert_eq!(stage.step(E::StartFailed), [A::Alert(Alarm::Config)]);
    assert_eq!(stage.rollout.phase(), PAUSED);
    let mut stage = Stage::new(RolloutOptions { is_locked: false, ..terms() });
    stage.take_down(1);
    stage.step(ENDED);
    stage.step(E::Gone);
    assert_eq!(stage.step(E::StartFailed), [A::Alert(Alarm::Exit), A::End]);
}
