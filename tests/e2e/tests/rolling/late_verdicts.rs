//! Members that find out about new content while they are cut off, and tell it later.
//!
//! `FARM_ROUNDS=20` repeats each of them twenty times.

use super::fixture::{CONF, GroupFixture, Member};
use super::fleet::Fleet;
use super::group_state::{STATE, rounds, version_of};
use super::observer::ChildEvent;
use farm_harness::{FakeServer, Signal, eventually, op};
use std::collections::BTreeSet;
use std::time::Duration;

const MEMBERS: usize = 3;
const A_WHILE: Duration = Duration::from_millis(400);

#[test]
fn a_try_whose_answer_is_lost_is_counted_once_and_goes_on() {
    let group = GroupFixture::new("a_try_whose_answer_is_lost", 1);
    let server = FakeServer::start();
    server.put(CONF, b"v1");
    server.put(&format!("{STATE}/versions"), b"");
    let mut check = group.gate(0, "check");
    check.open();
    let member = group.zkexec(0).named().checked().at(server.addr().to_string());
    let running = group.start(&member, "v1");
    for round in 1..=rounds() {
        let version = format!("new{round}");
        let mut closed = group.gate_anew(0, "check");
        server.put(CONF, version.as_bytes());
        group.observer.wait_event_times(0, round + 1, &ChildEvent::Checking);
        // The next znode that is created is the version.
        server.before_reply(op::CREATE, |server| server.cut());
        closed.open();
        check = closed;
        group.wait_healthy_on(0, &version);
        running.wait_log_times("suspended", round);
        let path = format!("{STATE}/versions/{}", version_of(&version));
        eventually("it is confirmed", || {
            let known = String::from_utf8(server.get(&path).unwrap_or_default()).unwrap();
            if known.contains("confirmed") { Ok(()) } else { Err(known) }
        });
        // The first write of it counted the try, and the second one confirmed it.
        assert_eq!(server.version(&path), Some(1));
        assert_eq!(group.observer.down_count(0), round);
    }
    drop(check);
}

#[test]
fn a_failure_that_is_told_late_stops_the_roll_though_another_member_works_by_then() {
    let test = "a_failure_that_is_told_late";
    let mut fleet = Fleet::start(test, MEMBERS, |member| member.keeping().delay("8s"));
    fleet.publish_to_all("good0");
    let mut failures = [0; MEMBERS];
    for round in 1..=rounds() {
        let version = format!("new{round}");
        fleet.close_gates();
        fleet.group.publish(&version);
        let first = fleet.wait_start(&[0, 1, 2], &version);
        fleet.cut_off(first);
        let second = fleet.wait_start(&fleet.others(first), &version);
        assert_eq!(fleet.group.wait_tries(&version, 2)["verdict"], "trying");
        fleet.running[first].wait_log_times("config failure", failures[first] + 1);
        failures[first] += 1;
        fleet.proxies[first].accept();
        let known = fleet.group.wait_verdict(&version, "refused");
        assert_eq!(fleet.position(&known["by"]), first, "{known}");
        fleet.open_gates_of(&BTreeSet::from([second]));
        fleet.group.wait_healthy_on(second, &version);
        fleet.group.wait_state(second, "running");
        let third = MEMBERS - first - second;
        fleet.group.wait_state(third, "refused");
        fleet.holds_back(A_WHILE, &version, &BTreeSet::from([first, second]));
        assert_eq!(fleet.group.verdict(&version)["verdict"], "refused");
        // The one that has refused it is well after all.
        fleet.open_gates();
        fleet.wait_all_on(&version);
        assert_eq!(fleet.group.verdict(&version)["verdict"], "confirmed");
    }
}

#[test]
fn a_failure_that_is_told_after_a_retry_counts_no_more() {
    let mut fleet = Fleet::start("a_failure_that_is_told_after_a_retry", MEMBERS, Member::keeping);
    fleet.publish_to_all("good0");
    for round in 1..=rounds() {
        let (version, content) = (format!("new{round}"), format!("new{round} needs"));
        let mut end = match round {
            1 => fleet.group.gate(0, "end"),
            _ => fleet.group.gate_anew(0, "end"),
        };
        let stops = count(&fleet, &ChildEvent::Stopping);
        fleet.publish_to_first(0, &content);
        fleet.group.observer.wait_event_times(0, stops + 1, &ChildEvent::Stopping);
        fleet.cut_off(0);
        end.open();
        fleet.wait_start(&[0], &version);
        fleet.running[0].wait_log_times("config failure", round);
        let known = fleet.group.wait_verdict(&content, "refused");
        assert_ne!(fleet.position(&known["by"]), 0, "{known}");
        fleet.group.scratch.write("mended", "");
        fleet.group.rollout(&["retry", "web"]).ok();
        for who in [1, 2] {
            fleet.group.wait_healthy_on(who, &version);
        }
        fleet.group.wait_verdict(&content, "confirmed");
        fleet.proxies[0].accept();
        fleet.wait_all_on(&version);
        assert_eq!(fleet.group.verdict(&content)["verdict"], "confirmed");
        fleet.publish_to_all(&format!("good{round}"));
        std::fs::remove_file(fleet.group.scratch.join("mended")).unwrap();
    }
}

fn count(fleet: &Fleet, event: &ChildEvent) -> usize {
    fleet.group.observer.events_of(0).iter().filter(|seen| *seen == event).count()
}

/// The holder of a failed turn is away while the others go on with new content.
fn follows(test: &str, go: impl Fn(&mut Fleet, usize), come_back: impl Fn(&mut Fleet, usize)) {
    let mut fleet = Fleet::start(test, MEMBERS, Member::keeping);
    fleet.publish_to_all("good0");
    for round in 1..=rounds() {
        let (bad, good) = (format!("bad{round} fails"), format!("good{round}"));
        fleet.group.publish(&bad);
        let known = fleet.group.wait_verdict(&bad, "refused");
        let holder = fleet.position(&known["by"]);
        go(&mut fleet, holder);
        fleet.group.publish(&good);
        for other in fleet.others(holder) {
            fleet.group.wait_healthy_on(other, &good);
        }
        come_back(&mut fleet, holder);
        fleet.wait_all_on(&good);
        assert_eq!(fleet.starts_on(&format!("bad{round}")), [holder]);
        assert_eq!(fleet.group.verdict(&bad)["verdict"], "refused");
        assert_eq!(fleet.group.verdict(&good)["verdict"], "confirmed");
    }
}

#[test]
fn a_failed_member_that_was_cut_off_follows_those_that_went_on() {
    follows(
        "a_failed_member_that_was_cut_off_follows",
        |fleet, holder| fleet.cut_off(holder),
        |fleet, holder| fleet.proxies[holder].accept(),
    );
}

#[test]
fn a_failed_member_that_was_frozen_follows_those_that_went_on() {
    follows(
        "a_failed_member_that_was_frozen_follows",
        |fleet, holder| fleet.running[holder].signal(Signal::SIGSTOP),
        |fleet, holder| fleet.running[holder].signal(Signal::SIGCONT),
    );
}
