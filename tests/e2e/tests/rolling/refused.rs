//! Content on which a child has failed reaches no other member, whatever becomes of the one that
//! found out.
//!
//! `FARM_ROUNDS=20` repeats each of them twenty times.

use super::fixture::{Gate, GroupFixture, Member};
use super::fleet::{Fleet, SESSION};
use super::group_state::{TWO_EXPIRIES, rounds};
use super::observer::ChildEvent;
use farm_harness::{Signal, eventually_within, holds_for};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::time::Duration;

const MEMBERS: usize = 3;

/// Publishes content on which a child fails; returns who found out.
fn publish_bad(fleet: &mut Fleet, content: &str) -> usize {
    fleet.group.publish(content);
    let known = fleet.group.wait_verdict(content, "refused");
    assert_eq!(known["reason"], "the command ended with 3", "{known}");
    let holder = fleet.position(&known["by"]);
    fleet.group.wait_state(holder, "failed");
    for other in fleet.others(holder) {
        let told = fleet.group.wait_state(other, "refused");
        assert_eq!(told["reason"], known["reason"], "{told}");
    }
    holder
}

/// Has a child fail on new content, does something to the member that found out, and expects
/// that the content has reached nobody else; then new content reaches all members.
fn each_round(test: &str, disturb: impl Fn(&mut Fleet, usize, usize)) {
    let mut fleet = Fleet::start(test, MEMBERS, Member::keeping);
    // A start uses this content until other content has worked.
    fleet.publish_to_all("good0");
    for round in 1..=rounds() {
        let bad = format!("bad{round}");
        let holder = publish_bad(&mut fleet, &format!("{bad} fails"));
        let pids = fleet.others(holder).iter().map(|who| pid_of(&fleet, *who)).collect::<Vec<_>>();
        disturb(&mut fleet, holder, round);
        for other in fleet.others(holder) {
            fleet.group.wait_state(other, "refused");
        }
        fleet.holds_back(Duration::from_millis(300), &bad, &BTreeSet::from([holder]));
        let still = fleet.others(holder).iter().map(|who| pid_of(&fleet, *who)).collect::<Vec<_>>();
        assert_eq!(still, pids, "round {round}");
        if !fleet.running[holder].is_running() {
            launch_on_good(&mut fleet, holder, round);
        }
        fleet.publish_to_all(&format!("good{round}"));
    }
    for round in 1..=rounds() {
        let starts = fleet.starts_on(&format!("bad{round}"));
        assert_eq!(starts.len(), 1, "round {round}: {starts:?}\n{}", fleet.logs());
    }
}

/// Starts the holder again, on the content of the round before.
fn launch_on_good(fleet: &mut Fleet, holder: usize, round: usize) {
    fleet.launch(holder);
    fleet.group.observer.wait_up(holder, &format!("good{}", round - 1));
    fleet.group.wait_state(holder, "refused");
}

/// The child of a member on the content that worked last.
fn pid_of(fleet: &Fleet, who: usize) -> u32 {
    let file = fleet.group.file(who);
    fleet.group.observer.wait_up(who, &file)
}

/// Waits until nobody is in line: the holder's session is over, and the others do not queue.
fn wait_nobody_in_line(fleet: &mut Fleet) {
    let group: &mut GroupFixture<'_> = &mut fleet.group;
    eventually_within(TWO_EXPIRIES, "nobody is in line", || {
        let queue = group.queue();
        if queue.is_empty() { Ok(()) } else { Err(format!("{queue:?}")) }
    });
}

#[test]
fn though_the_holder_is_killed() {
    each_round("though_the_holder_is_killed", |fleet, holder, round| {
        fleet.kill(holder);
        // In every other round, it is back before its former session is over.
        if round % 2 == 0 {
            launch_on_good(fleet, holder, round);
        }
        wait_nobody_in_line(fleet);
    });
}

#[test]
fn though_the_session_of_the_holder_ends() {
    each_round("though_the_session_of_the_holder_ends", |fleet, holder, round| {
        fleet.proxies[holder].expire().unwrap();
        fleet.running[holder].wait_log_times("lost the lock", 1);
        wait_nobody_in_line(fleet);
        // Its new session does not queue for the content that it has refused itself.
        let told = fleet.group.wait_state(holder, "failed");
        holds_for(Duration::from_millis(300), "nobody is in line", || {
            let queue = fleet.group.queue();
            if queue.is_empty() { Ok(()) } else { Err(format!("{round}: {queue:?} {told}")) }
        });
    });
}

#[test]
fn though_the_holder_is_cut_off_for_two_session_timeouts() {
    each_round("though_the_holder_is_cut_off", |fleet, holder, round| {
        fleet.cut_off(holder);
        fleet.holds_back(2 * SESSION, &format!("bad{round}"), &BTreeSet::from([holder]));
        wait_nobody_in_line(fleet);
        fleet.proxies[holder].accept();
        fleet.group.wait_state(holder, "failed");
    });
}

#[test]
fn though_the_holder_is_frozen_for_a_while() {
    each_round("though_the_holder_is_frozen", |fleet, holder, round| {
        fleet.running[holder].signal(Signal::SIGSTOP);
        wait_nobody_in_line(fleet);
        let bad = format!("bad{round}");
        fleet.holds_back(Duration::from_millis(300), &bad, &BTreeSet::from([holder]));
        fleet.running[holder].signal(Signal::SIGCONT);
        fleet.group.wait_state(holder, "failed");
    });
}

#[test]
fn though_the_lock_is_broken_by_hand() {
    each_round("though_the_lock_is_broken_by_hand", |fleet, holder, _| {
        let pid = fleet.running[holder].pid();
        fleet.group.break_lock(pid);
        wait_nobody_in_line(fleet);
    });
}

#[test]
fn though_the_holder_is_restarted() {
    each_round("though_the_holder_is_restarted", |fleet, holder, round| {
        fleet.running[holder].signal(Signal::SIGTERM);
        fleet.running[holder].wait_exit().code(3);
        wait_nobody_in_line(fleet);
        if round % 2 == 0 {
            launch_on_good(fleet, holder, round);
        }
    });
}

#[test]
fn though_the_holder_has_put_its_old_files_back() {
    let test = "though_the_holder_has_put_its_old_files_back";
    let how = |member: Member| member.keeping().more(&["--on-failed-restart", "rollback"]);
    let mut fleet = Fleet::start(test, MEMBERS, how);
    fleet.publish_to_all("good0");
    for round in 1..=rounds() {
        let (bad, good) = (format!("bad{round}"), format!("good{}", round - 1));
        let holder = publish_bad(&mut fleet, &format!("{bad} fails"));
        fleet.group.observer.wait_up(holder, &good);
        assert_eq!(fleet.group.file(holder), good);
        fleet.kill(holder);
        launch_on_good(&mut fleet, holder, round);
        wait_nobody_in_line(&mut fleet);
        fleet.holds_back(Duration::from_millis(300), &bad, &BTreeSet::from([holder]));
        fleet.publish_to_all(&format!("good{round}"));
        assert_eq!(fleet.starts_on(&bad), [holder], "{}", fleet.logs());
    }
}

#[test]
fn though_it_is_published_again() {
    let mut fleet = Fleet::start("though_it_is_published_again", MEMBERS, Member::keeping);
    fleet.publish_to_all("good0");
    let holder = publish_bad(&mut fleet, "bad needs");
    for round in 1..=rounds() {
        fleet.publish_to_all(&format!("good{round}"));
        fleet.group.publish("bad needs");
        for who in 0..MEMBERS {
            let told = fleet.group.wait_state(who, "refused");
            assert_eq!(told["reason"], "the command ended with 3", "{told}");
        }
        wait_nobody_in_line(&mut fleet);
        assert_eq!(fleet.starts_on("bad"), [holder]);
    }
    // Nobody holds the lock, so the first in line tries it.
    fleet.group.scratch.write("mended", "");
    fleet.group.rollout(&["retry", "web"]).ok();
    fleet.wait_all_on("bad");
    assert_eq!(fleet.group.verdict("bad needs")["verdict"], "confirmed");
}

#[test]
fn though_its_child_fails_while_newer_content_is_prepared() {
    let test = "though_its_child_fails_while_newer_content";
    let mut fleet = Fleet::start(test, MEMBERS, |member| member.keeping().checked());
    fleet.publish_to_all("good0");
    let mut checks: Vec<_> = (0..MEMBERS).map(|who| fleet.group.gate(who, "check")).collect();
    checks.iter_mut().for_each(Gate::open);
    for round in 1..=rounds() {
        let (bad, good) = (format!("bad{round}"), format!("good{round}"));
        let content = format!("{bad} unwell");
        fleet.group.publish(&content);
        let holder = fleet.wait_start(&[0, 1, 2], &bad);
        let mut closed = fleet.group.gate_anew(holder, "check");
        let events = fleet.group.observer.events_of(holder);
        let seen = events.iter().filter(|event| **event == ChildEvent::Checking).count();
        fleet.group.publish(&good);
        fleet.group.observer.wait_event_times(holder, seen + 1, &ChildEvent::Checking);
        let pid = fleet.group.observer.wait_up(holder, &bad);
        kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
        let known = fleet.group.wait_verdict(&content, "refused");
        assert_eq!(fleet.position(&known["by"]), holder, "{known}");
        closed.open();
        checks[holder] = closed;
        fleet.wait_all_on(&good);
        fleet.group.publish(&content);
        for who in 0..MEMBERS {
            fleet.group.wait_state(who, "refused");
        }
        assert_eq!(fleet.starts_on(&bad), [holder], "{}", fleet.logs());
    }
}

#[test]
fn content_that_the_check_of_one_member_refuses_is_checked_by_nobody_else() {
    let test = "content_that_the_check_of_one_member_refuses";
    let mut fleet = Fleet::start(test, MEMBERS, Member::checked);
    let checks = |fleet: &Fleet| -> usize {
        let seen = fleet.group.observer.observations();
        seen.iter().filter(|seen| seen.event == ChildEvent::Checking).count()
    };
    for round in 1..=rounds() {
        let content = format!("bad{round} refused");
        let before = checks(&fleet);
        fleet.group.publish(&content);
        let known = fleet.group.wait_verdict(&content, "refused");
        let holder = fleet.position(&known["by"]);
        for other in fleet.others(holder) {
            fleet.group.wait_state(other, "refused");
        }
        fleet.running[holder].signal(Signal::SIGTERM);
        fleet.running[holder].wait_exit().code(7);
        wait_nobody_in_line(&mut fleet);
        assert_eq!(checks(&fleet), before + 1, "{}", fleet.logs());
        assert_eq!(fleet.reached_by(&format!("bad{round}")), BTreeSet::new());
        let before = fleet.group.file(holder);
        fleet.launch(holder);
        fleet.group.observer.wait_up(holder, &before);
        fleet.group.wait_state(holder, "refused");
        fleet.publish_to_all(&format!("good{round}"));
    }
}

#[test]
fn content_that_fails_while_it_soaks_reaches_nobody_else() {
    let test = "content_that_fails_while_it_soaks";
    let mut fleet = Fleet::start(test, MEMBERS, |member| member.keeping().more(&["--soak", "2s"]));
    for round in 1..=rounds() {
        let version = format!("new{round}");
        fleet.group.publish(&version);
        let holder = fleet.wait_start(&[0, 1, 2], &version);
        fleet.group.wait_state(holder, "soaking");
        assert_eq!(fleet.group.verdict(&version)["verdict"], "trying");
        let pid = fleet.group.observer.wait_up(holder, &version);
        let pid = Pid::from_raw(i32::try_from(pid).unwrap());
        kill(pid, Signal::SIGKILL).unwrap();
        let known = fleet.group.wait_verdict(&version, "refused");
        assert_eq!(known["reason"], "the command ended with 137", "{known}");
        for other in fleet.others(holder) {
            fleet.group.wait_state(other, "refused");
        }
        fleet.kill(holder);
        wait_nobody_in_line(&mut fleet);
        assert_eq!(fleet.starts_on(&version), [holder]);
        fleet.launch(holder);
        fleet.group.wait_state(holder, "refused");
    }
}

/// Has a child fail on innocent content, and has that tried again.
fn innocent_content(test: &str, disturb: impl Fn(&mut Fleet, usize)) {
    let mut fleet = Fleet::start(test, MEMBERS, Member::keeping);
    let mended = fleet.group.scratch.join("mended");
    fleet.publish_to_all("good0");
    for round in 1..=rounds() {
        let (version, content) = (format!("new{round}"), format!("new{round} needs"));
        let holder = publish_bad(&mut fleet, &content);
        disturb(&mut fleet, holder);
        assert_eq!(fleet.starts_on(&version), [holder], "{}", fleet.logs());
        fleet.group.scratch.write("mended", "");
        fleet.group.rollout(&["retry", "web"]).ok();
        if fleet.running[holder].is_running() {
            fleet.wait_all_on(&version);
            assert_eq!(fleet.starts_on(&version)[..2], [holder, holder]);
        } else {
            for other in fleet.others(holder) {
                fleet.group.wait_healthy_on(other, &version);
            }
            fleet.launch(holder);
            fleet.group.observer.wait_up(holder, &version);
        }
        assert_eq!(fleet.group.verdict(&content)["verdict"], "confirmed");
        fleet.publish_to_all(&format!("good{round}"));
        std::fs::remove_file(&mended).unwrap();
    }
}

#[test]
fn innocent_content_is_tried_again_on_demand_in_the_turn_that_failed() {
    innocent_content("innocent_content_in_the_turn_that_failed", |fleet, holder| {
        let pid = Some(fleet.running[holder].pid());
        fleet.group.wait_queue("the holder is alone in line", |queue| {
            queue.len() == 1 && queue[0].pid == pid
        });
    });
}

#[test]
fn innocent_content_is_tried_again_though_the_member_that_failed_has_lost_the_lock() {
    let test = "innocent_content_though_the_lock_is_lost";
    let mut fleet = Fleet::start(test, MEMBERS, Member::keeping);
    for round in 1..=rounds() {
        let (version, content) = (format!("new{round}"), format!("new{round} needs"));
        let holder = publish_bad(&mut fleet, &content);
        fleet.proxies[holder].expire().unwrap();
        wait_nobody_in_line(&mut fleet);
        fleet.group.wait_state(holder, "failed");
        fleet.group.scratch.write("mended", "");
        fleet.group.rollout(&["retry", "web"]).ok();
        // Any of them may be the first now.
        fleet.wait_all_on(&version);
        fleet.publish_to_all(&format!("good{round}"));
        std::fs::remove_file(fleet.group.scratch.join("mended")).unwrap();
    }
}

#[test]
fn innocent_content_is_tried_again_by_others_though_the_member_that_failed_is_gone() {
    innocent_content("innocent_content_though_the_member_is_gone", |fleet, holder| {
        fleet.kill(holder);
        wait_nobody_in_line(fleet);
    });
}
