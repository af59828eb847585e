//! Members that all work: who acts when, and who is told what.

use super::eye::{Mark, Sight};
use super::site::Site;
use farm_harness::{Running, Tool, eventually, steadily};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// From the end of each one's child until the next one's, for a roll of all of them.
fn order_of(sights: &[Sight], version: &str) -> Vec<(usize, Mark)> {
    let since = sights.iter().position(|sight| sight.mark == Mark::Down).unwrap();
    let concerns = |mark: &Mark| match mark {
        Mark::Down => true,
        Mark::Up(seen, _) | Mark::Healthy(seen) => seen == version,
        Mark::Stopping | Mark::Told(_) | Mark::Checking | Mark::Killed => false,
    };
    let mut seen = BTreeSet::new();
    let concerned = sights[since..].iter().filter(|sight| concerns(&sight.mark));
    // Health goes on being checked.
    let first = concerned.filter(|sight| seen.insert((sight.who, format!("{:?}", sight.mark))));
    first.map(|sight| (sight.who, sight.mark.clone())).collect()
}

#[test]
fn one_after_the_other_and_each_waits_for_the_health_of_the_one_before() {
    let mut site = Site::new("one_after_the_other", 3);
    let members = [0, 1, 2].map(|who| site.zkexec(who).healthy_after(0.3));
    let _running = members.each_ref().map(|member| site.start(member, "v1"));
    site.publish("v2");
    for who in 0..3 {
        site.works_on(who, "v2");
    }
    site.nobody_contends();
    let order = order_of(&site.eye.sights(), "v2");
    assert_eq!(order.len(), 9, "{order:?}");
    for turn in order.chunks(3) {
        let who = turn[0].0;
        assert!(turn.iter().all(|(other, _)| *other == who), "{order:?}");
        let is_turn = matches!(turn, [(_, Mark::Down), (_, Mark::Up(..)), (_, Mark::Healthy(_))]);
        assert!(is_turn, "{order:?}");
    }
}

#[test]
fn without_a_health_check_the_next_one_waits_until_the_child_has_stayed_up() {
    let mut site = Site::new("without_a_health_check", 2);
    let members = [0, 1].map(|who| site.zkexec(who).without_health().delay("700ms"));
    let _running = members.each_ref().map(|member| site.start(member, "v1"));
    site.publish("v2");
    for who in [0, 1] {
        site.eye.sees_up(who, "v2");
    }
    site.nobody_contends();
    let sights = site.eye.sights();
    let moments = |wanted: fn(&Mark) -> bool| {
        let sights = sights.iter().filter(move |sight| wanted(&sight.mark));
        sights.map(|sight| sight.at).collect::<Vec<_>>()
    };
    let ups = moments(|mark| matches!(mark, Mark::Up(seen, _) if seen == "v2"));
    let downs = moments(|mark| *mark == Mark::Down);
    assert!(downs[0] < ups[0] && ups[0] < downs[1], "{sights:?}");
    // From a moment before the start: the child says that it is up some time after it.
    let between = downs[1] - downs[0];
    assert!(between >= Duration::from_millis(500), "{between:?}");
}

#[test]
fn the_lock_is_kept_for_a_while_after_health() {
    let mut site = Site::new("the_lock_is_kept_for_a_while_after_health", 2);
    let members = [0, 1].map(|who| site.zkexec(who).more(&["--soak", "1s"]));
    let _running = members.each_ref().map(|member| site.start(member, "v1"));
    site.publish("v2");
    site.all_work_on("v2");
    let sights = site.eye.sights();
    let healthy = Mark::Healthy("v2".to_owned());
    let first = sights.iter().find(|sight| sight.mark == healthy).unwrap();
    let second =
        sights.iter().find(|sight| sight.who != first.who && sight.mark == Mark::Down).unwrap();
    assert!(first.at < second.at, "{sights:?}");
    // From a moment before its health was found, which is seen a little late.
    let is_up = |mark: &Mark| matches!(mark, Mark::Up(version, _) if version == "v2");
    let up = sights.iter().find(|sight| sight.who == first.who && is_up(&sight.mark)).unwrap();
    let between = second.at - up.at;
    assert!(between >= Duration::from_secs(1), "{between:?}");
    site.nobody_contends();
}

#[test]
fn turns_are_shared_with_members_written_in_ruby() {
    let mut site = Site::new("turns_are_shared_with_members_written_in_ruby", 2);
    let members = [0, 1].map(|who| site.zkexec(who));
    let running = members.each_ref().map(|member| site.start(member, "v1"));
    let first = site.ruby_asks();
    site.publish("v2");
    running.iter().for_each(|running| site.contends(running, 1));
    let last = site.ruby_asks();
    steadily(Duration::from_millis(300), "ruby has its turn", || {
        let downs = site.eye.downs(0) + site.eye.downs(1);
        if downs == 0 { Ok(()) } else { Err(downs.to_string()) }
    });
    site.ruby_leaves(&first);
    site.ruby_holds(&last);
    site.all_work_on("v2");
    // The last one takes the directory with it, and numbers start anew.
    site.ruby_leaves(&last);
    assert_eq!(site.zk.exists(super::site::LINE).unwrap(), None);
    site.publish("v3");
    site.all_work_on("v3");
    site.nobody_contends();
    for running in &running {
        let log = running.stderr();
        assert!(!log.contains("disagree") && !log.contains("ERROR"), "{log}");
    }
}

#[test]
fn a_directory_that_is_removed_while_ours_is_about_to_ask_is_made_again() {
    let mut site = Site::new("a_directory_that_is_removed", 1);
    let running = site.start(&site.zkexec(0), "v1");
    for round in 2..12 {
        let name = site.ruby_asks();
        site.publish(&format!("v{round}"));
        site.ruby_leaves_in_a_hurry(&name);
        site.works_on(0, &format!("v{round}"));
    }
    site.nobody_contends();
    let log = running.stderr();
    assert!(!log.contains("the lock can't be used"), "{log}");
}

#[test]
fn members_that_disagree_on_how_many_may_act_are_warned() {
    let mut site = Site::new("members_that_disagree_on_how_many_may_act_are_warned", 2);
    let one = site.start(&site.zkexec(0), "v1");
    let health = site.gate(0, "health");
    let two = site.start(&site.zkexec(1).more(&["--concurrency", "2"]), "v1");
    site.publish("v2 unwell");
    let running = [one, two];
    eventually("one of them is told", || {
        let logs: Vec<String> = running.iter().map(Running::stderr).collect();
        let is_told = logs.iter().any(|log| log.contains("disagree on how many may restart"));
        if is_told { Ok(()) } else { Err(logs.join("\n")) }
    });
    drop(health);
}

#[test]
fn zkctl_shows_who_holds_and_who_waits() {
    let mut site = Site::new("zkctl_shows_who_holds_and_who_waits", 2);
    let mut gates = [0, 1].map(|who| site.gate(who, "health"));
    let members = [0, 1].map(|who| site.zkexec(who));
    let running = members.each_ref().map(|member| site.start(member, "v1"));
    site.publish("v2");
    site.line_is("both are in line", |line| line.len() == 2);
    let holder = eventually("one is up", || {
        let is_up = |who: &usize| {
            site.eye
                .marks_of(*who)
                .iter()
                .any(|mark| matches!(mark, Mark::Up(seen, _) if seen == "v2"))
        };
        (0..2).find(is_up).ok_or("none")
    });
    let output = Tool::new("zkctl").args(["-H", &site.servers(), "locks", "web", "--json"]).run();
    let rows: Value = serde_json::from_slice(&output.ok().stdout).unwrap();
    let host = crate::join::stage::hostname();
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
    gates.iter_mut().for_each(super::site::Gate::open);
    site.all_work_on("v2");
}

#[test]
fn children_that_are_signalled_instead_are_signalled_in_turn() {
    let mut site = Site::new("children_that_are_signalled_instead", 2);
    let mut gates = [0, 1].map(|who| site.gate(who, "health"));
    let members = [0, 1].map(|who| site.zkexec(who).more(&["--on-change", "HUP"]));
    let running = members.each_ref().map(|member| site.start(member, "v1"));
    let pids = [0, 1].map(|who| site.eye.sees_up(who, "v1"));
    site.publish("v2");
    running.iter().for_each(|running| site.contends(running, 1));
    let told = Mark::Told("v2".to_owned());
    let first = eventually("one is told", || {
        (0..2).find(|who| site.eye.marks_of(*who).contains(&told)).ok_or("nobody")
    });
    let second = 1 - first;
    steadily(Duration::from_millis(300), "the other one waits", || {
        let is_told = site.eye.marks_of(second).contains(&told);
        if is_told || site.file(second) != "v1" { Err(site.file(second)) } else { Ok(()) }
    });
    gates[first].open();
    site.eye.sees(second, &told);
    gates[second].open();
    site.nobody_contends();
    assert_eq!([0, 1].map(|who| site.eye.sees_up(who, "v1")), pids);
    assert_eq!([0, 1].map(|who| site.file(who)), ["v2", "v2"]);
}

#[test]
fn content_that_is_taken_back_while_it_waits_costs_no_restart() {
    let mut site = Site::new("content_that_is_taken_back", 1);
    let running = site.start(&site.zkexec(0), "v1");
    let pid = site.eye.sees_up(0, "v1");
    let ruby = site.ruby_asks();
    site.publish("v2");
    site.contends(&running, 1);
    site.publish("v1");
    site.contends(&running, 0);
    site.ruby_leaves(&ruby);
    site.publish("v3");
    site.works_on(0, "v3");
    assert_eq!((site.eye.downs(0), site.file(0).as_str()), (1, "v3"));
    assert_ne!(site.eye.sees_up(0, "v3"), pid);
}

#[test]
fn content_that_is_gone_or_hidden_when_its_turn_comes_holds_nobody_up() {
    for is_hidden in [false, true] {
        let mut site = Site::new("content_that_is_gone_or_hidden", 1);
        let running = site.start(&site.zkexec(0), "v1");
        let ruby = site.ruby_asks();
        site.publish("v2");
        site.contends(&running, 1);
        if is_hidden {
            site.zk.add_auth("farmer:secret").unwrap();
            site.zk.set_acl(super::site::CONF, farm_harness::Acl::Mine).unwrap();
        } else {
            site.zk.delete(super::site::CONF).unwrap();
        }
        let behind = site.ruby_asks();
        site.ruby_leaves(&ruby);
        site.ruby_holds(&behind);
        site.ruby_leaves(&behind);
        // What was read before is as good as any: the file and the child agree.
        let version = site.file(0);
        site.eye.sees_up(0, &version);
        if is_hidden {
            site.zk.set_acl(super::site::CONF, farm_harness::Acl::Open).unwrap();
            site.publish("v3");
        } else {
            site.zk.create(super::site::CONF, "v3").unwrap();
        }
        site.works_on(0, "v3");
        site.nobody_contends();
    }
}

#[test]
fn a_command_that_applies_the_change_runs_in_turn_and_its_failure_pauses_the_group() {
    let mut site = Site::new("a_command_that_applies_the_change_runs_in_turn", 2);
    let on_change = |who: usize| {
        format!(
            "cmd:read -r version how <conf; [ \"$how\" = bad ] && exit 1; echo {who} told $version >../marks"
        )
    };
    let members =
        [0, 1].map(|who| site.zkexec(who).without_health().more(&["--on-change", &on_change(who)]));
    let running = members.each_ref().map(|member| site.start(member, "v1"));
    let pids = [0, 1].map(|who| site.eye.sees_up(who, "v1"));
    site.publish("v2 bad");
    let first = eventually("one is paused", || {
        (0..2).find(|who| running[*who].stderr().contains("config failure")).ok_or("none")
    });
    site.contends(&running[1 - first], 1);
    steadily(Duration::from_millis(300), "the other one waits", || {
        let file = site.file(1 - first);
        if file == "v1" { Ok(()) } else { Err(file) }
    });
    site.publish("v3");
    for who in [0, 1] {
        site.eye.sees(who, &Mark::Told("v3".to_owned()));
    }
    site.nobody_contends();
    assert_eq!([0, 1].map(|who| site.eye.sees_up(who, "v1")), pids);
    assert_eq!([0, 1].map(|who| site.file(who)), ["v3", "v3"]);
}
