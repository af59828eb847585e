//! Members written in Ruby, which know of nothing but the lock.

use super::fixture::{Member, QUEUE};
use super::fleet::Fleet;
use farm_harness::holds_for;
use std::time::Duration;

const A_WHILE: Duration = Duration::from_millis(300);

/// Expects that the directory has nothing but contenders, as the Ruby members want it.
#[track_caller]
fn assert_only_contenders(fleet: &mut Fleet) {
    let names = fleet.group.zk.children(QUEUE).unwrap();
    let is_contender =
        |name: &String| name.strip_prefix("ex").is_some_and(|digits| digits.parse::<u32>().is_ok());
    assert!(names.iter().all(is_contender), "{names:?}");
}

#[test]
fn its_turn_comes_between_those_of_the_others_and_ends_without_a_trace() {
    let mut fleet = Fleet::start("its_turn_comes_between", 2, Member::keeping);
    let first = fleet.group.ruby_enqueue();
    fleet.group.publish("new");
    for who in [0, 1] {
        let running = &fleet.running[who];
        fleet.group.wait_contenders(running, 1);
    }
    let last = fleet.group.ruby_enqueue();
    assert_only_contenders(&mut fleet);
    // A member that waits has counted no try.
    assert_eq!(fleet.group.verdict("new"), serde_json::Value::Null);
    fleet.group.ruby_leave(&first);
    fleet.group.wait_ruby_holds(&last);
    for who in [0, 1] {
        fleet.group.wait_healthy_on(who, "new");
    }
    // The last one deletes the directory. The state of the group is elsewhere.
    fleet.group.ruby_leave(&last);
    assert_eq!(fleet.group.zk.exists(QUEUE).unwrap(), None);
    assert_eq!(fleet.group.verdict("new")["verdict"], "confirmed");
    fleet.publish_to_all("newer");
    let log = fleet.logs();
    assert!(!log.contains("disagree") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_failed_turn_holds_it_up_and_good_content_lets_it_go_on() {
    let mut fleet = Fleet::start("a_failed_turn_holds_it_up", 2, Member::keeping);
    fleet.group.publish("bad fails");
    let known = fleet.group.wait_verdict("bad fails", "refused");
    let holder = fleet.position(&known["by"]);
    let ruby = fleet.group.ruby_enqueue();
    let pid = Some(fleet.running[holder].pid());
    // Others are not in line, but the one that failed is, for the sake of the Ruby member.
    fleet.group.wait_queue("the failed one and ruby are in line", |queue| {
        queue.len() == 2 && queue[0].pid == pid && queue[1].name == ruby
    });
    holds_for(A_WHILE, "ruby waits", || {
        let queue = fleet.group.queue();
        if queue.len() == 2 { Ok(()) } else { Err(format!("{queue:?}")) }
    });
    fleet.group.publish("good");
    fleet.group.wait_healthy_on(holder, "good");
    fleet.group.wait_ruby_holds(&ruby);
    // The other one waits for the Ruby member, which was first.
    let other = 1 - holder;
    let running = &fleet.running[other];
    fleet.group.wait_contenders(running, 1);
    assert_eq!(fleet.starts_on("good"), [holder]);
    fleet.group.ruby_leave(&ruby);
    fleet.wait_all_on("good");
}

#[test]
fn a_holder_of_refused_content_that_vanishes_lets_it_go_on() {
    let mut fleet = Fleet::start("a_holder_that_vanishes_lets_ruby_go_on", 2, Member::keeping);
    fleet.group.publish("bad fails");
    let known = fleet.group.wait_verdict("bad fails", "refused");
    let holder = fleet.position(&known["by"]);
    let ruby = fleet.group.ruby_enqueue();
    fleet.kill(holder);
    fleet.group.wait_ruby_holds(&ruby);
    fleet.group.wait_state(1 - holder, "refused");
    fleet.group.ruby_leave(&ruby);
    assert_eq!(fleet.group.zk.exists(QUEUE).unwrap(), None);
    assert_eq!(fleet.starts_on("bad"), [holder]);
}

#[test]
fn while_it_holds_the_lock_a_restart_waits_in_line() {
    let mut fleet = Fleet::start("while_ruby_holds_a_restart_waits", 2, Member::keeping);
    let ruby = fleet.group.ruby_enqueue();
    let wanted = fleet.group.raise_restart();
    for who in [0, 1] {
        fleet.group.wait_state(who, "waiting");
        let running = &fleet.running[who];
        fleet.group.wait_contenders(running, 1);
    }
    holds_for(A_WHILE, "they wait for it", || {
        let counts = fleet.start_counts("v1");
        if counts == [1, 1] { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    fleet.group.ruby_leave(&ruby);
    fleet.group.wait_queue_empty();
    for who in [0, 1] {
        assert_eq!(fleet.group.wait_state(who, "running")["restarted"], wanted);
    }
    assert_eq!(fleet.start_counts("v1"), [2, 2]);
}
