//! Bad content affects one member, and the group refuses it.

use super::fixture::{GroupFixture, Member};
use super::observer::ChildEvent;
use farm_harness::{Running, eventually, holds_for};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Two members, the first of which gets the turn.
struct Pair {
    group: GroupFixture<'static>,
    running: [Running; 2],
    pids: [u32; 2],
    /// The identity and the time of the other member's file.
    file: (u64, i64, i64),
}

const FIRST: usize = 0;
const OTHER: usize = 1;

impl Pair {
    fn new(test: &str, how: impl Fn(Member) -> Member) -> Self {
        let group = GroupFixture::new(test, 2);
        let running = [FIRST, OTHER].map(|who| group.start(&how(group.zkexec(who)), "v1"));
        let pids = [FIRST, OTHER].map(|who| group.observer.wait_up(who, "v1"));
        let file = stamp(&group);
        Self { group, running, pids, file }
    }

    /// Publishes content so that the first member is first in the queue.
    fn publish_to_first(&mut self, content: &str) {
        let ruby = self.group.ruby_enqueue();
        self.running[OTHER].signal(farm_harness::Signal::SIGSTOP);
        self.group.publish(content);
        self.group.wait_contenders(&self.running[FIRST], 1);
        self.running[OTHER].signal(farm_harness::Signal::SIGCONT);
        self.group.wait_contenders(&self.running[OTHER], 1);
        self.group.ruby_leave(&ruby);
    }

    /// Expects that the first member holds, the other one does not wait for it, and the other
    /// one's child and file are unchanged.
    fn assert_only_first_failed(&mut self) {
        let pids = [Some(self.running[FIRST].pid())];
        let what = "the first one holds, the other one does not wait";
        self.group
            .wait_queue(what, |queue| queue.iter().map(|one| one.pid).collect::<Vec<_>>() == pids);
        holds_for(Duration::from_millis(300), "the other one is as it was", || {
            let is = (
                self.group.file(OTHER),
                stamp(&self.group),
                self.group.observer.wait_up(OTHER, "v1"),
                self.group.observer.down_count(OTHER),
            );
            let was = ("v1".to_owned(), self.file, self.pids[OTHER], 0);
            if is == was { Ok(()) } else { Err(format!("{is:?} {was:?}")) }
        });
        assert!(self.running[FIRST].is_running());
    }

    /// Publishes good content and expects it to reach the first member before the other one.
    fn assert_continues_with(mut self, content: &str) {
        self.wait_all_healthy_on(content);
        let observations = self.group.observer.observations();
        let position = |who: usize, event: &ChildEvent| {
            observations
                .iter()
                .position(|observation| observation.who == who && observation.event == *event)
        };
        let healthy = ChildEvent::Healthy(content.to_owned());
        assert!(
            position(FIRST, &healthy) < position(OTHER, &ChildEvent::Down),
            "{observations:#?}"
        );
        self.running.iter_mut().for_each(|running| assert!(running.is_running()));
    }

    fn wait_all_healthy_on(&mut self, content: &str) {
        self.group.publish(content);
        for who in [FIRST, OTHER] {
            self.group.wait_healthy_on(who, content);
        }
        self.group.wait_queue_empty();
        assert_eq!(self.group.observer.down_count(OTHER), 1);
    }
}

fn stamp(group: &GroupFixture<'_>) -> (u64, i64, i64) {
    let found = fs::metadata(group.scratch.join(format!("{OTHER}/conf"))).unwrap();
    (found.ino(), found.mtime(), found.mtime_nsec())
}

#[test]
fn a_child_that_dies_of_new_content_is_the_only_one() {
    let mut pair = Pair::new("a_child_that_dies_of_new_content", |member| {
        member.more(&["-a", "echo $ZKEXEC_EVENT $ZKEXEC_STATUS >>alerts"])
    });
    pair.publish_to_first("v2 dies");
    eventually("an alert", || {
        let text = pair.group.scratch.read("0/alerts")?;
        if text == "config 1\n" { Ok(()) } else { Err(text) }
    });
    pair.assert_only_first_failed();
    assert_eq!(pair.group.file(FIRST), "v2 dies");
    assert!(!pair.group.scratch.join("1/alerts").exists());
    // Other bad content does not reach the other member either.
    pair.group.publish("v3 dies");
    pair.running[FIRST].wait_log_times("config failure", 2);
    assert_eq!(pair.group.file(FIRST), "v3 dies");
    pair.assert_only_first_failed();
    pair.assert_continues_with("v4");
}

#[test]
fn a_child_that_stays_unwell_is_the_only_one() {
    let mut pair = Pair::new("a_child_that_stays_unwell", |member| member.delay("1s"));
    pair.publish_to_first("v2 unwell");
    pair.running[FIRST].wait_log("config failure");
    pair.assert_only_first_failed();
    // The child is left running.
    pair.group.observer.wait_up(FIRST, "v2");
    assert_eq!(pair.group.file(FIRST), "v2 unwell");
    pair.assert_continues_with("v3");
}

#[test]
fn content_that_a_check_refuses_stops_nobody() {
    let mut pair = Pair::new("content_that_a_check_refuses", Member::checked);
    pair.publish_to_first("v2 refused");
    pair.running[FIRST].wait_log("config failure");
    pair.assert_only_first_failed();
    // The first member keeps its old file and its child, too.
    assert_eq!((pair.group.file(FIRST).as_str(), pair.group.observer.down_count(FIRST)), ("v1", 0));
    pair.assert_continues_with("v3");
}

#[test]
fn a_program_that_cannot_be_started_is_the_only_one() {
    let mut group = GroupFixture::new("a_program_that_cannot_be_started", 2);
    // The mirrored file is the program itself, which reports `up` and its version.
    let program = |version: &str| {
        let content = format!("exec 8>alive; echo \"$1 up {version} $$\" >../events");
        format!("#!/bin/sh\n{content}; exec sleep 10000\n")
    };
    group.publish(&program("p1"));
    let members = [0, 1].map(|who| {
        let member = group.zkexec(who).without_health().delay("300ms").mode("755");
        let running = member.tool_of(&["./conf", &who.to_string()]).spawn();
        group.observer.wait_up(who, "p1");
        running
    });
    for bad in ["#!/no/such/interpreter\n", "\u{7f}ELF no more"] {
        group.publish(bad);
        let first = eventually("one of them fails", || {
            (0..2).find(|who| group.file(*who) == bad).ok_or("none")
        });
        members[first].wait_log("config failure");
        holds_for(Duration::from_millis(200), "the other one runs on", || {
            let downs = group.observer.down_count(1 - first);
            if downs == 0 { Ok(()) } else { Err(downs.to_string()) }
        });
        assert_eq!(group.file(1 - first), program("p1"));
    }
    group.publish(&program("p2"));
    for who in [0, 1] {
        group.observer.wait_up(who, "p2");
    }
    group.wait_queue_empty();
}

#[test]
fn rolled_back_a_member_serves_the_old_content_after_one_restart() {
    let mut pair = Pair::new("rolled_back_a_member_serves_the_old_content", |member| {
        member.more(&["--on-failed-restart", "rollback"])
    });
    pair.publish_to_first("v2 dies");
    pair.group.observer.wait_event_times(FIRST, 1, &ChildEvent::Healthy("v1".to_owned()));
    pair.assert_only_first_failed();
    let ups = |pair: &Pair| -> Vec<String> {
        let events = pair.group.observer.events_of(FIRST);
        let ups = events.into_iter().filter_map(|event| match event {
            ChildEvent::Up(version, _) => Some(version),
            _ => None,
        });
        ups.collect()
    };
    assert_eq!(ups(&pair), ["v1", "v2", "v1"]);
    assert_eq!(pair.group.file(FIRST), "v1");
    // The next bad content costs one more restart and is rolled back, too.
    pair.group.publish("v3 dies");
    eventually("it is rolled back again", || {
        let ups = ups(&pair);
        if ups == ["v1", "v2", "v1", "v3", "v1"] { Ok(()) } else { Err(format!("{ups:?}")) }
    });
    pair.assert_only_first_failed();
    assert_eq!(pair.group.file(FIRST), "v1");
    pair.assert_continues_with("v4");
}

#[test]
fn rolled_back_from_a_child_that_stays_unwell_too() {
    let mut pair = Pair::new("rolled_back_from_a_child_that_stays_unwell", |member| {
        member.delay("1s").more(&["--on-failed-restart", "rollback"])
    });
    pair.publish_to_first("v2 unwell");
    pair.group.observer.wait_up(FIRST, "v2");
    pair.group.observer.wait_up(FIRST, "v1");
    pair.assert_only_first_failed();
    assert_eq!(pair.group.file(FIRST), "v1");
    pair.assert_continues_with("v3");
}

#[test]
fn content_that_is_reverted_after_a_rollback_frees_the_group() {
    let mut pair = Pair::new("content_that_is_reverted_after_a_rollback", |member| {
        member.more(&["--on-failed-restart", "rollback"])
    });
    pair.publish_to_first("v2 dies");
    pair.group.observer.wait_event_times(FIRST, 1, &ChildEvent::Healthy("v1".to_owned()));
    pair.assert_only_first_failed();
    let downs = pair.group.observer.down_count(FIRST);
    pair.group.publish("v1");
    pair.group.wait_queue_empty();
    assert_eq!(
        (pair.group.observer.down_count(FIRST), pair.group.observer.down_count(OTHER)),
        (downs, 0)
    );
    pair.wait_all_healthy_on("v3");
}

#[test]
fn content_that_is_reverted_after_a_failure_that_holds_reaches_the_one_that_failed() {
    let mut pair = Pair::new("content_that_is_reverted_after_a_failure", |member| member);
    pair.publish_to_first("v2 dies");
    pair.running[FIRST].wait_log("config failure");
    pair.assert_only_first_failed();
    pair.group.publish("v1");
    pair.group.observer.wait_event_times(FIRST, 1, &ChildEvent::Healthy("v1".to_owned()));
    pair.group.wait_queue_empty();
    assert_eq!((pair.group.file(FIRST).as_str(), pair.group.observer.down_count(OTHER)), ("v1", 0));
    pair.wait_all_healthy_on("v3");
}

#[test]
fn a_fresh_start_does_not_take_content_that_the_group_has_refused() {
    let mut pair = Pair::new("a_fresh_start_does_not_take", |member| member.delay("1s"));
    pair.publish_to_first("v2 unwell");
    pair.running[FIRST].wait_log("config failure");
    pair.assert_only_first_failed();
    let member = pair.group.zkexec(OTHER).delay("1s");
    pair.running[OTHER].kill9();
    pair.running[OTHER] = member.tool().spawn();
    pair.running[OTHER].wait_log("starting with the existing files");
    pair.group.observer.wait_event_times(OTHER, 2, &ChildEvent::Healthy("v1".to_owned()));
    assert_eq!(pair.group.file(OTHER), "v1");
    // The contender of the killed member may still exist, but not one of the new member.
    let pids = pair.running.each_ref().map(Running::pid);
    assert!(pair.group.queue().iter().all(|one| one.pid != Some(pids[OTHER])));
    assert_eq!(pair.group.queue()[0].pid, Some(pids[FIRST]));
    pair.group.publish("v3");
    pair.group.wait_all_healthy_on("v3");
    pair.group.wait_queue_empty();
}

#[test]
fn late_health_ends_a_failure() {
    let mut pair = Pair::new("late_health_ends_a_failure", |member| member.delay("1s"));
    let mut gate = pair.group.gate(FIRST, "health");
    pair.publish_to_first("v2");
    pair.running[FIRST].wait_log("config failure");
    pair.assert_only_first_failed();
    gate.open();
    pair.group.wait_all_healthy_on("v2");
    pair.group.wait_queue_empty();
    assert_eq!(
        (pair.group.observer.down_count(FIRST), pair.group.observer.down_count(OTHER)),
        (1, 1)
    );
}

#[test]
fn a_failed_member_whose_session_ends_queues_again_for_other_content_only() {
    let mut group = GroupFixture::new("a_failed_member_whose_session_ends", 1);
    let proxy = GroupFixture::proxy();
    let member = group.zkexec(0).at(group.servers_at(proxy.addr()));
    let running = group.start(&member, "v1");
    group.publish("v2 dies");
    running.wait_log("config failure");
    let behind = group.ruby_enqueue();
    proxy.expire().unwrap();
    group.wait_ruby_holds(&behind);
    running.wait_log_times("connected; ", 2);
    // If it has not told the group yet, it waits until it has.
    group.wait_queue("ruby is alone", |queue| queue.len() == 1);
    holds_for(Duration::from_millis(300), "it does not wait for the lock", || {
        let queue = group.queue();
        if queue.len() == 1 { Ok(()) } else { Err(format!("{queue:?}")) }
    });
    // Good content needs a new turn, and another member is first.
    group.publish("v3");
    group.wait_contenders(&running, 1);
    holds_for(Duration::from_millis(300), "it waits", || {
        if group.file(0) == "v2 dies" { Ok(()) } else { Err(group.file(0)) }
    });
    group.ruby_leave(&behind);
    group.wait_healthy_on(0, "v3");
    group.wait_queue_empty();
}

#[test]
fn a_child_that_is_dead_is_not_well_whatever_its_check_says() {
    let mut group = GroupFixture::new("a_child_that_is_dead_is_not_well", 1);
    let mut running = group.start(&group.zkexec(0), "v1");
    for round in 1..=20 {
        group.publish(&format!("v{} killed", round + 1));
        running.wait_log_times("config failure", round);
        assert!(running.is_running());
    }
    group.publish("w1");
    group.wait_healthy_on(0, "w1");
    group.wait_queue_empty();
}
