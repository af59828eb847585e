//! Rolling restarts without faults: the order of turns, and what is logged and shown.

use super::fixture::GroupFixture;
use super::observer::{ChildEvent, Observation};
use farm_harness::{Running, Tool, eventually, holds_for};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// The first `Down`, `Up` and `Healthy` events of each member in a roll, in order.
fn order_of(observations: &[Observation], version: &str) -> Vec<(usize, ChildEvent)> {
    let since =
        observations.iter().position(|observation| observation.event == ChildEvent::Down).unwrap();
    let concerns = |event: &ChildEvent| match event {
        ChildEvent::Down => true,
        ChildEvent::Up(seen, _) | ChildEvent::Healthy(seen) => seen == version,
        ChildEvent::Stopping
        | ChildEvent::Reloaded(_)
        | ChildEvent::Checking
        | ChildEvent::Killed => false,
    };
    let mut seen = BTreeSet::new();
    let concerned = observations[since..].iter().filter(|observation| concerns(&observation.event));
    // Later health checks repeat `Healthy`.
    let first = concerned
        .filter(|observation| seen.insert((observation.who, format!("{:?}", observation.event))));
    first.map(|observation| (observation.who, observation.event.clone())).collect()
}

#[test]
fn one_after_the_other_and_each_waits_for_the_health_of_the_one_before() {
    let mut group = GroupFixture::new("one_after_the_other", 3);
    let members = [0, 1, 2].map(|who| group.zkexec(who).healthy_after(0.3));
    let _running = members.each_ref().map(|member| group.start(member, "v1"));
    group.publish("v2");
    for who in 0..3 {
        group.wait_healthy_on(who, "v2");
    }
    group.wait_queue_empty();
    let order = order_of(&group.observer.observations(), "v2");
    assert_eq!(order.len(), 9, "{order:?}");
    for turn in order.chunks(3) {
        let who = turn[0].0;
        assert!(turn.iter().all(|(other, _)| *other == who), "{order:?}");
        let is_turn = matches!(
            turn,
            [(_, ChildEvent::Down), (_, ChildEvent::Up(..)), (_, ChildEvent::Healthy(_))]
        );
        assert!(is_turn, "{order:?}");
    }
}

#[test]
fn without_a_health_check_the_next_one_waits_until_the_child_has_stayed_up() {
    let mut group = GroupFixture::new("without_a_health_check", 2);
    let members = [0, 1].map(|who| group.zkexec(who).without_health().delay("700ms"));
    let _running = members.each_ref().map(|member| group.start(member, "v1"));
    group.publish("v2");
    for who in [0, 1] {
        group.observer.wait_up(who, "v2");
    }
    group.wait_queue_empty();
    let observations = group.observer.observations();
    let moments = |wanted: fn(&ChildEvent) -> bool| {
        let observations =
            observations.iter().filter(move |observation| wanted(&observation.event));
        observations.map(|observation| observation.at).collect::<Vec<_>>()
    };
    let ups = moments(|event| matches!(event, ChildEvent::Up(seen, _) if seen == "v2"));
    let downs = moments(|event| *event == ChildEvent::Down);
    // Events that come together have one time.
    assert!(downs[0] <= ups[0] && ups[0] < downs[1], "{observations:?}");
    // zkexec counts from before the start of the child, which reports `up` a little later.
    let between = downs[1] - downs[0];
    assert!(between >= Duration::from_millis(500), "{between:?}");
}

#[test]
fn the_lock_is_kept_for_a_while_after_health() {
    let mut group = GroupFixture::new("the_lock_is_kept_for_a_while_after_health", 2);
    let members = [0, 1].map(|who| group.zkexec(who).more(&["--soak", "1s"]));
    let _running = members.each_ref().map(|member| group.start(member, "v1"));
    group.publish("v2");
    group.wait_all_healthy_on("v2");
    let observations = group.observer.observations();
    let healthy = ChildEvent::Healthy("v2".to_owned());
    let first = observations.iter().find(|observation| observation.event == healthy).unwrap();
    let second = observations
        .iter()
        .find(|observation| observation.who != first.who && observation.event == ChildEvent::Down)
        .unwrap();
    assert!(first.at < second.at, "{observations:?}");
    // Measured from `Up`, because `Healthy` is observed a little late.
    let is_up = |event: &ChildEvent| matches!(event, ChildEvent::Up(version, _) if version == "v2");
    let up = observations
        .iter()
        .find(|observation| observation.who == first.who && is_up(&observation.event))
        .unwrap();
    let between = second.at - up.at;
    assert!(between >= Duration::from_secs(1), "{between:?}");
    group.wait_queue_empty();
}

#[test]
fn turns_are_shared_with_members_written_in_ruby() {
    let mut group = GroupFixture::new("turns_are_shared_with_members_written_in_ruby", 2);
    let members = [0, 1].map(|who| group.zkexec(who));
    let running = members.each_ref().map(|member| group.start(member, "v1"));
    let first = group.ruby_enqueue();
    group.publish("v2");
    running.iter().for_each(|running| group.wait_contenders(running, 1));
    let last = group.ruby_enqueue();
    holds_for(Duration::from_millis(300), "ruby has its turn", || {
        let downs = group.observer.down_count(0) + group.observer.down_count(1);
        if downs == 0 { Ok(()) } else { Err(downs.to_string()) }
    });
    group.ruby_leave(&first);
    group.wait_ruby_holds(&last);
    group.wait_all_healthy_on("v2");
    // The last one deletes the directory, and sequence numbers start anew.
    group.ruby_leave(&last);
    assert_eq!(group.zk.exists(super::fixture::QUEUE).unwrap(), None);
    group.publish("v3");
    group.wait_all_healthy_on("v3");
    group.wait_queue_empty();
    for running in &running {
        let log = running.stderr();
        assert!(!log.contains("disagree") && !log.contains("ERROR"), "{log}");
    }
}

#[test]
fn a_directory_that_is_removed_while_ours_is_about_to_ask_is_made_again() {
    let mut group = GroupFixture::new("a_directory_that_is_removed", 1);
    let running = group.start(&group.zkexec(0), "v1");
    for round in 2..12 {
        let name = group.ruby_enqueue();
        group.publish(&format!("v{round}"));
        group.ruby_leave_racing(&name);
        group.wait_healthy_on(0, &format!("v{round}"));
    }
    group.wait_queue_empty();
    let log = running.stderr();
    assert!(!log.contains("the lock can't be used"), "{log}");
}

#[test]
fn members_that_disagree_on_how_many_may_act_are_warned() {
    let mut group = GroupFixture::new("members_that_disagree_on_how_many_may_act_are_warned", 2);
    let one = group.start(&group.zkexec(0), "v1");
    let health = group.gate(0, "health");
    let two = group.start(&group.zkexec(1).more(&["--concurrency", "2"]), "v1");
    group.publish("v2 unwell");
    let running = [one, two];
    eventually("one of them logs the warning", || {
        let logs: Vec<String> = running.iter().map(Running::stderr).collect();
        let is_warned = logs.iter().any(|log| log.contains("disagree on how many may restart"));
        if is_warned { Ok(()) } else { Err(logs.join("\n")) }
    });
    drop(health);
}

#[test]
fn zkctl_shows_who_holds_and_who_waits() {
    let mut group = GroupFixture::new("zkctl_shows_who_holds_and_who_waits", 2);
    let mut gates = [0, 1].map(|who| group.gate(who, "health"));
    let members = [0, 1].map(|who| group.zkexec(who));
    let running = members.each_ref().map(|member| group.start(member, "v1"));
    group.publish("v2");
    group.wait_queue("both are queued", |queue| queue.len() == 2);
    let holder = eventually("one is up", || {
        let is_up = |who: &usize| {
            group
                .observer
                .events_of(*who)
                .iter()
                .any(|event| matches!(event, ChildEvent::Up(seen, _) if seen == "v2"))
        };
        (0..2).find(is_up).ok_or("none")
    });
    let output = Tool::new("zkctl").args(["-H", &group.servers(), "locks", "web", "--json"]).run();
    let rows: Value = serde_json::from_slice(&output.ok().stdout).unwrap();
    let host = crate::join::fixture::hostname();
    let row = |who: usize, state: &str| {
        json!([state, host, running[who].pid(), "new content of /conf", 1])
    };
    let shown: Vec<Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["state"], row["host"], row["pid"], row["why"], row["n"]]))
        .collect();
    assert_eq!(shown, [row(holder, "holds"), row(1 - holder, "waits")], "{rows}");
    gates.iter_mut().for_each(super::fixture::Gate::open);
    group.wait_all_healthy_on("v2");
}

#[test]
fn children_that_are_signalled_instead_are_signalled_in_turn() {
    let mut group = GroupFixture::new("children_that_are_signalled_instead", 2);
    let mut gates = [0, 1].map(|who| group.gate(who, "health"));
    let members = [0, 1].map(|who| group.zkexec(who).more(&["--on-change", "HUP"]));
    let running = members.each_ref().map(|member| group.start(member, "v1"));
    let pids = [0, 1].map(|who| group.observer.wait_up(who, "v1"));
    group.publish("v2");
    running.iter().for_each(|running| group.wait_contenders(running, 1));
    let reloaded = ChildEvent::Reloaded("v2".to_owned());
    let first = eventually("one gets the signal", || {
        (0..2).find(|who| group.observer.events_of(*who).contains(&reloaded)).ok_or("nobody")
    });
    let second = 1 - first;
    holds_for(Duration::from_millis(300), "the other one waits", || {
        let has_reloaded = group.observer.events_of(second).contains(&reloaded);
        if has_reloaded || group.file(second) != "v1" { Err(group.file(second)) } else { Ok(()) }
    });
    gates[first].open();
    group.observer.wait_event(second, &reloaded);
    gates[second].open();
    group.wait_queue_empty();
    assert_eq!([0, 1].map(|who| group.observer.wait_up(who, "v1")), pids);
    assert_eq!([0, 1].map(|who| group.file(who)), ["v2", "v2"]);
}

#[test]
fn content_that_is_taken_back_while_it_waits_costs_no_restart() {
    let mut group = GroupFixture::new("content_that_is_taken_back", 1);
    let running = group.start(&group.zkexec(0), "v1");
    let pid = group.observer.wait_up(0, "v1");
    let ruby = group.ruby_enqueue();
    group.publish("v2");
    group.wait_contenders(&running, 1);
    group.publish("v1");
    group.wait_contenders(&running, 0);
    group.ruby_leave(&ruby);
    group.publish("v3");
    group.wait_healthy_on(0, "v3");
    assert_eq!((group.observer.down_count(0), group.file(0).as_str()), (1, "v3"));
    assert_ne!(group.observer.wait_up(0, "v3"), pid);
}

#[test]
fn content_that_is_gone_or_hidden_when_its_turn_comes_holds_nobody_up() {
    for is_hidden in [false, true] {
        let mut group = GroupFixture::new("content_that_is_gone_or_hidden", 1);
        let running = group.start(&group.zkexec(0), "v1");
        let ruby = group.ruby_enqueue();
        group.publish("v2");
        group.wait_contenders(&running, 1);
        if is_hidden {
            group.zk.add_auth("farmer:secret").unwrap();
            group.zk.set_acl(super::fixture::CONF, farm_harness::Acl::Mine).unwrap();
        } else {
            group.zk.delete(super::fixture::CONF).unwrap();
        }
        let behind = group.ruby_enqueue();
        group.ruby_leave(&ruby);
        group.wait_ruby_holds(&behind);
        group.ruby_leave(&behind);
        // Either content is fine, as long as the file and the child have the same.
        let version = group.file(0);
        group.observer.wait_up(0, &version);
        if is_hidden {
            group.zk.set_acl(super::fixture::CONF, farm_harness::Acl::Open).unwrap();
            group.publish("v3");
        } else {
            group.zk.create(super::fixture::CONF, "v3").unwrap();
        }
        group.wait_healthy_on(0, "v3");
        group.wait_queue_empty();
    }
}

#[test]
fn a_command_that_applies_the_change_runs_in_turn_and_its_failure_is_the_only_one() {
    let mut group = GroupFixture::new("a_command_that_applies_the_change_runs_in_turn", 2);
    let on_change = |who: usize| {
        format!(
            "cmd:read -r version how <conf; [ \"$how\" = bad ] && exit 1; echo {who} reloaded $version >../events"
        )
    };
    let members = [0, 1]
        .map(|who| group.zkexec(who).without_health().more(&["--on-change", &on_change(who)]));
    let running = members.each_ref().map(|member| group.start(member, "v1"));
    let pids = [0, 1].map(|who| group.observer.wait_up(who, "v1"));
    group.publish("v2 bad");
    let first = eventually("one has failed", || {
        (0..2).find(|who| running[*who].stderr().contains("config failure")).ok_or("none")
    });
    running[1 - first].wait_log("the group has refused version");
    holds_for(Duration::from_millis(300), "the other one runs on", || {
        let file = group.file(1 - first);
        if file == "v1" { Ok(()) } else { Err(file) }
    });
    group.publish("v3");
    for who in [0, 1] {
        group.observer.wait_event(who, &ChildEvent::Reloaded("v3".to_owned()));
    }
    group.wait_queue_empty();
    assert_eq!([0, 1].map(|who| group.observer.wait_up(who, "v1")), pids);
    assert_eq!([0, 1].map(|who| group.file(who)), ["v3", "v3"]);
}
