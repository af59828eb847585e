//! `zkctl rollout restart`: each child is restarted once, in turn.
//!
//! `FARM_ROUNDS=20` repeats that twenty times.

use super::fixture::{Member, id};
use super::fleet::Fleet;
use super::group_state::{rounds, version_of};
use super::observer::{ChildEvent, most_down};
use farm_harness::{Signal, Zk, eventually, eventually_within, holds_for};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MEMBERS: usize = 6;
const AT_ONCE: usize = 2;
const ROLL: Duration = Duration::from_secs(60);

fn two_at_once(member: Member) -> Member {
    member.healthy_after(0.2).delay("60s").more(&["--concurrency", "2", "--kill-timeout", "10s"])
}

/// Runs the test while another client writes to the same server as fast as it can.
fn under_load(fleet: &mut Fleet, test: impl FnOnce(&mut Fleet)) {
    let mut client: Zk = fleet.group.new_client();
    client.create("/load", "").unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut writes = 0_u32;
            while !is_over.load(Ordering::Relaxed) {
                client.set("/load", writes.to_string()).unwrap();
                writes += 1;
            }
            writes
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(fleet)));
        is_over.store(true, Ordering::Relaxed);
        assert!(load.join().unwrap() > 0);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Waits until these members have done all restarts, and nobody is in line.
#[track_caller]
fn wait_done(fleet: &mut Fleet) -> u64 {
    eventually_within(ROLL, "all have done the restart", || {
        let wanted = fleet.group.wanted_restart();
        let told: Vec<_> =
            (0..fleet.running.len()).map(|who| fleet.group.told_by(&id(who))).collect();
        let is_done =
            |told: &serde_json::Value| told["state"] == "running" && told["restarted"] == wanted;
        let is_over = wanted > 0 && told.iter().all(is_done) && fleet.group.queue().is_empty();
        if is_over { Ok(wanted) } else { Err(format!("{wanted} {told:?}")) }
    })
}

/// Expects that no more children were down than may be.
#[track_caller]
fn assert_in_turn(fleet: &Fleet) {
    let observations = fleet.group.observer.observations();
    let (down, out) = most_down(&observations);
    assert!(down > 0 && out <= AT_ONCE, "{down} {out} {observations:#?}");
}

#[test]
fn each_of_six_children_is_restarted_once_and_two_at_once() {
    let test = "each_of_six_children_is_restarted_once";
    let mut fleet = Fleet::start(test, MEMBERS, two_at_once);
    under_load(&mut fleet, |fleet| {
        for round in 1..=rounds() {
            fleet.group.rollout(&["restart", "web", "--why", "new library"]).ok();
            assert_eq!(wait_done(fleet), round as u64);
            assert_eq!(fleet.start_counts("v1"), [round + 1; MEMBERS], "{}", fleet.logs());
        }
    });
    assert_in_turn(&fleet);
    // Nothing of it is a verdict.
    assert_eq!(fleet.group.verdict("v1"), serde_json::Value::Null);
}

#[test]
fn a_restart_that_is_wanted_twice_is_done_once() {
    let mut fleet = Fleet::start("a_restart_that_is_wanted_twice", MEMBERS, two_at_once);
    for round in 1..=rounds() {
        let before = fleet.start_counts("v1");
        fleet.close_gates();
        fleet.group.rollout(&["restart", "web"]).ok();
        // The others are behind as long as the gates are closed.
        fleet.wait_restart("v1", &before);
        fleet.group.rollout(&["restart", "web"]).ok();
        fleet.open_gates();
        assert_eq!(wait_done(&mut fleet), round as u64);
        assert_eq!(fleet.start_counts("v1"), [round + 1; MEMBERS], "{}", fleet.logs());
    }
    assert_in_turn(&fleet);
    fleet.group.rollout(&["restart", "web"]).ok();
    fleet.group.rollout(&["restart", "web", "--again"]).ok();
    assert_eq!(wait_done(&mut fleet), rounds() as u64 + 2);
    // One of them may have done both at once.
    let starts = fleet.start_counts("v1");
    let is_right = |starts: &usize| (rounds() + 2..=rounds() + 3).contains(starts);
    assert!(starts.iter().all(is_right), "{starts:?}");
    assert_in_turn(&fleet);
}

#[test]
fn a_member_that_joins_meanwhile_has_done_it() {
    for _ in 0..rounds() {
        let test = "a_member_that_joins_meanwhile";
        let mut fleet = Fleet::with_room(test, MEMBERS + 1, MEMBERS, two_at_once);
        for who in 0..MEMBERS {
            fleet.group.wait_state(who, "running");
        }
        fleet.group.raise_restart();
        let first = fleet.wait_restart("v1", &[1; MEMBERS]);
        fleet.launch(MEMBERS);
        fleet.group.observer.wait_up(MEMBERS, "v1");
        wait_done(&mut fleet);
        let starts = fleet.start_counts("v1");
        assert_eq!((&starts[..MEMBERS], starts[MEMBERS]), (&[2; MEMBERS][..], 1), "{first}");
        assert_in_turn(&fleet);
    }
}

#[test]
fn a_member_that_dies_meanwhile_holds_nobody_up() {
    let mut fleet = Fleet::start("a_member_that_dies_meanwhile", MEMBERS, two_at_once);
    under_load(&mut fleet, |fleet| {
        for round in 1..=rounds() {
            let before = fleet.start_counts("v1");
            fleet.group.raise_restart();
            let first = fleet.wait_restart("v1", &before);
            // One that has the lock, or another one.
            let killed = if round % 2 == 0 { first } else { (first + 1) % MEMBERS };
            fleet.kill(killed);
            fleet.launch(killed);
            wait_done(fleet);
            let after = fleet.start_counts("v1");
            for who in (0..MEMBERS).filter(|who| *who != killed) {
                assert_eq!(after[who], before[who] + 1, "{round} {killed} {}", fleet.logs());
            }
            // Its new child knows of the restart, whether the former one had done it or not.
            let more = after[killed] - before[killed];
            assert!((1..=2).contains(&more), "{killed}: {more}");
        }
    });
    assert_in_turn(&fleet);
}

#[test]
fn refused_content_is_not_carried_along() {
    let mut fleet = Fleet::start("refused_content_is_not_carried_along", 3, Member::keeping);
    fleet.publish_to_all("good0");
    for round in 1..=rounds() {
        let (version, content) = (format!("bad{round}"), format!("bad{round} fails"));
        fleet.group.publish(&content);
        let known = fleet.group.wait_verdict(&content, "refused");
        let holder = fleet.position(&known["by"]);
        for other in fleet.others(holder) {
            fleet.group.wait_state(other, "refused");
        }
        fleet.kill(holder);
        let before = fleet.start_counts(&format!("good{}", round - 1));
        let wanted = fleet.group.raise_restart();
        for other in fleet.others(holder) {
            eventually_within(ROLL, "it is restarted on its old files", || {
                let told = fleet.group.told_by(&id(other));
                let is_done = told["state"] == "refused" && told["restarted"] == wanted;
                if is_done { Ok(()) } else { Err(told.to_string()) }
            });
        }
        let after = fleet.start_counts(&format!("good{}", round - 1));
        for other in fleet.others(holder) {
            assert_eq!(after[other], before[other] + 1, "{}", fleet.logs());
        }
        assert_eq!(fleet.starts_on(&version), [holder]);
        fleet.launch(holder);
        fleet.group.observer.wait_up(holder, &format!("good{}", round - 1));
        fleet.group.wait_state(holder, "refused");
        fleet.publish_to_all(&format!("good{round}"));
    }
}

#[test]
fn a_restart_that_fails_pauses_the_group_and_refuses_nothing() {
    let mut fleet = Fleet::start("a_restart_that_fails", 3, Member::keeping);
    fleet.group.scratch.write("mended", "");
    fleet.group.publish("new needs");
    fleet.wait_all_on("new");
    std::fs::remove_file(fleet.group.scratch.join("mended")).unwrap();
    fleet.group.raise_restart();
    let first = eventually("one fails", || {
        let fails = |who: &usize| fleet.group.told_by(&id(*who))["state"] == "failed";
        (0..3).find(fails).ok_or_else(|| fleet.logs())
    });
    let before = fleet.start_counts("new");
    fleet.group.wait_queue("the others wait", |queue| queue.len() == 3);
    assert_eq!(fleet.group.verdict("new needs")["verdict"], "confirmed");
    holds_for(Duration::from_millis(300), "the others run on", || {
        let now = fleet.start_counts("new");
        if now == before { Ok(()) } else { Err(format!("{now:?}")) }
    });
    fleet.group.scratch.write("mended", "");
    fleet.group.control(|control| control["retry"] = 1.into());
    wait_done(&mut fleet);
    let after = fleet.start_counts("new");
    for who in 0..3 {
        assert_eq!(after[who], before[who] + 1, "{first}: {after:?} {before:?}");
    }
}

#[test]
fn it_is_a_restart_whatever_happens_on_a_change() {
    let test = "it_is_a_restart_whatever_happens_on_a_change";
    for on_change in ["HUP", "none", "cmd:true"] {
        let how = |member: Member| member.more(&["--on-change", on_change]);
        let mut fleet = Fleet::start(test, 2, how);
        fleet.group.publish("new");
        fleet.group.wait_verdict("new", "confirmed");
        for who in [0, 1] {
            eventually("it has the new content", || {
                let told = fleet.group.told_by(&id(who));
                let is_it = told["state"] == "running" && told["running"] == version_of("new");
                if is_it { Ok(()) } else { Err(told.to_string()) }
            });
        }
        assert_eq!(fleet.start_counts("v1"), [1, 1], "{on_change}");
        fleet.group.rollout(&["restart", "web"]).ok();
        wait_done(&mut fleet);
        assert_eq!(fleet.start_counts("new"), [1, 1], "{on_change}");
    }
}

#[test]
fn a_restart_waits_until_a_paused_group_goes_on() {
    let mut fleet = Fleet::start("a_restart_waits_until_a_paused_group", 2, |member| member);
    fleet.group.rollout(&["pause", "web"]).ok();
    fleet.group.rollout(&["restart", "web"]).ok();
    for who in [0, 1] {
        fleet.group.wait_state(who, "paused");
    }
    holds_for(Duration::from_millis(300), "nobody is restarted", || {
        let counts = fleet.start_counts("v1");
        if counts == [1, 1] { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    fleet.group.rollout(&["resume", "web"]).ok();
    wait_done(&mut fleet);
    assert_eq!(fleet.start_counts("v1"), [2, 2]);
}

#[test]
fn a_restart_is_done_once_though_the_member_loses_its_session_meanwhile() {
    let test = "a_restart_is_done_once_though_the_session_is_lost";
    let mut fleet = Fleet::start(test, 3, |member| member.delay("60s"));
    let stop = |fleet: &mut Fleet, round: usize| {
        let end = match round {
            0 => fleet.group.gate(0, "end"),
            _ => fleet.group.gate_anew(0, "end"),
        };
        fleet.group.raise_restart();
        fleet.group.observer.wait_event_times(0, round + 1, &ChildEvent::Stopping);
        end
    };
    type Act<'a> = &'a dyn Fn(&mut Fleet);
    let faults: [(Act<'_>, Act<'_>); 3] = [
        (&|fleet| fleet.proxies[0].expire().unwrap(), &|_| {}),
        (&|fleet| fleet.cut_off(0), &|fleet| fleet.proxies[0].accept()),
        (&|fleet| fleet.running[0].signal(Signal::SIGSTOP), &|fleet| {
            fleet.running[0].signal(Signal::SIGCONT);
        }),
    ];
    for (round, (fault, mend)) in faults.into_iter().enumerate() {
        let mut end = stop(&mut fleet, round);
        fault(&mut fleet);
        // The others go on when the session is over.
        for who in [1, 2] {
            eventually_within(ROLL, "the others are restarted", || {
                let counts = fleet.start_counts("v1");
                if counts[who] == round + 2 { Ok(()) } else { Err(format!("{counts:?}")) }
            });
        }
        end.open();
        mend(&mut fleet);
        assert_eq!(wait_done(&mut fleet), round as u64 + 1);
        assert_eq!(fleet.start_counts("v1"), [round + 2; 3], "{}", fleet.logs());
    }
}
