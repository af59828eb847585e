//! Other conditions for stopping a child: the allowed hours, a healthy farm, and a drained
//! host.

use super::fixture::{GroupFixture, Member};
use super::observer::ChildEvent;
use crate::join::fixture::record;
use farm_harness::{Running, Signal, Tool, eventually, holds_for};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A range of hours relative to the present one, in UTC.
pub(super) fn hours(from: u64, to: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3600;
    format!("{}-{}", (now + from) % 24, (now + to) % 24)
}

#[test]
fn outside_the_allowed_hours_nobody_even_queues() {
    let mut group = GroupFixture::new("outside_the_allowed_hours_nobody_even_queues", 2);
    let shut = group.zkexec(0).more(&["--allowed-hours", &hours(2, 4), "--tz", "UTC"]);
    let open = group.zkexec(1).more(&["--allowed-hours", &hours(0, 2), "--tz", "UTC"]);
    let shut = group.start(&shut, "v1");
    let _open = group.start(&open, "v1");
    let pid = group.observer.wait_up(0, "v1");
    group.publish("v2");
    group.wait_healthy_on(1, "v2");
    let ours = Some(shut.pid());
    holds_for(Duration::from_millis(300), "it waits for its hours", || {
        let is = (group.observer.wait_up(0, "v1"), group.file(0));
        let is_queued = group.queue().iter().any(|one| one.pid == ours);
        if is == (pid, "v1".to_owned()) && !is_queued { Ok(()) } else { Err(format!("{is:?}")) }
    });
}

/// A host of a farm, and a zkexec that drains it.
struct Host {
    group: GroupFixture<'static>,
    _zkjoin: Running,
    running: Running,
}

const ENTRY: &str = "/farm/host";

impl Host {
    fn new(test: &str, how: impl Fn(Member) -> Member) -> Self {
        let group = GroupFixture::new(test, 1);
        group.scratch.write("host/enabled", "1");
        let args = ["-H", &group.servers(), "--name", "host", "/farm"];
        let zkjoin = Tool::new("zkjoin").args(args).arg(group.scratch.join("host")).spawn();
        zkjoin.wait_log("joined; ");
        let member = how(group.zkexec(0)).more(&["--drain", "/farm/host:enabled=0"]);
        let running = group.start(&member, "v1");
        Self { group, _zkjoin: zkjoin, running }
    }

    fn enabled(&mut self) -> Value {
        record(&mut self.group.zk, ENTRY).unwrap()["enabled"].clone()
    }

    /// Waits until the field `enabled` has this value in the farm and in the host's config.
    #[track_caller]
    fn wait_enabled(&mut self, wanted: &str) {
        let mut zk = self.group.new_client();
        eventually(&format!("enabled is {wanted}"), || {
            let is = record(&mut zk, ENTRY)?["enabled"].clone();
            let file = self.group.scratch.read("host/enabled")?;
            if is == wanted && file == wanted { Ok(()) } else { Err(format!("{is} {file:?}")) }
        });
    }
}

#[test]
fn a_host_is_out_of_service_from_before_the_stop_until_its_child_is_healthy() {
    let mut host = Host::new("a_host_is_out_of_service", |member| member);
    let mut end = host.group.gate(0, "end");
    let mut health = host.group.gate(0, "health");
    host.group.publish("v2");
    host.group.observer.wait_event(0, &ChildEvent::Stopping);
    assert_eq!(host.enabled(), "0");
    host.wait_enabled("0");
    end.open();
    host.group.observer.wait_up(0, "v2");
    let mut zk = host.group.new_client();
    holds_for(Duration::from_millis(200), "it is out of service", || {
        let enabled = record(&mut zk, ENTRY)?["enabled"].clone();
        if enabled == "0" { Ok(()) } else { Err(enabled.to_string()) }
    });
    let queue = host.group.queue();
    assert_eq!(queue.len(), 1);
    health.open();
    // The host is back in service before the lock is released.
    host.group.wait_queue_empty();
    assert_eq!(host.enabled(), "1");
    host.wait_enabled("1");
}

#[test]
fn a_host_with_bad_content_stays_out_of_service_until_good_content_works() {
    let mut host = Host::new("a_host_with_bad_content_stays_out_of_service", |member| member);
    host.group.publish("v2 dies");
    host.running.wait_log("config failure");
    host.wait_enabled("0");
    let mut zk = host.group.new_client();
    holds_for(Duration::from_millis(300), "it is out of service", || {
        let enabled = record(&mut zk, ENTRY)?["enabled"].clone();
        if enabled == "0" { Ok(()) } else { Err(enabled.to_string()) }
    });
    host.group.publish("v3");
    host.group.wait_healthy_on(0, "v3");
    host.wait_enabled("1");
    host.group.wait_queue_empty();
}

#[test]
fn a_host_that_was_rolled_back_is_in_service_again() {
    let mut host = Host::new("a_host_that_was_rolled_back_is_in_service_again", |member| {
        member.more(&["--on-failed-restart", "rollback"])
    });
    host.group.publish("v2 dies");
    host.group.observer.wait_event_times(0, 1, &ChildEvent::Healthy("v1".to_owned()));
    host.wait_enabled("1");
    assert_eq!(host.group.queue().len(), 1);
    host.group.publish("v3");
    host.group.wait_healthy_on(0, "v3");
    host.group.wait_queue_empty();
    host.wait_enabled("1");
}

#[test]
fn a_host_that_is_told_to_end_while_out_of_service_leaves_things_as_they_were() {
    let mut host = Host::new("a_host_that_is_told_to_end_while_out_of_service", |member| member);
    host.group.publish("v2 dies");
    host.running.wait_log("config failure");
    host.wait_enabled("0");
    host.running.signal(Signal::SIGTERM);
    host.running.wait_exit().code(1);
    host.wait_enabled("1");
}

#[test]
fn what_somebody_else_made_of_the_field_meanwhile_stands() {
    let mut host = Host::new("what_somebody_else_made_of_the_field", |member| member);
    let mut health = host.group.gate(0, "health");
    host.group.publish("v2");
    host.group.observer.wait_up(0, "v2");
    crate::join::fixture::edit(&mut host.group.zk, ENTRY, |record| {
        record["enabled"] = json!("maintenance");
    });
    host.wait_enabled("maintenance");
    health.open();
    host.group.wait_queue_empty();
    host.wait_enabled("maintenance");
}

#[test]
fn a_farm_that_can_spare_no_host_keeps_the_child_up_and_lets_it_go_when_it_recovers() {
    let mut group = GroupFixture::new("a_farm_that_can_spare_no_host", 1);
    group.zk.create("/farm", r#"{"size":4,"running_filter":"enabled=1"}"#).unwrap();
    for host in ["a", "b", "c", "d"] {
        group.zk.create(&format!("/farm/{host}"), r#"{"enabled":1}"#).unwrap();
    }
    group.zk.set("/farm/d", r#"{"enabled":0}"#).unwrap();
    // One host fails, and ours would be the second.
    let member = group.zkexec(0).more(&["--require-healthy", "/farm:1"]);
    let running = group.start(&member, "v1");
    group.publish("v2");
    running.wait_log("not stopped yet: 2 of 4 hosts would fail, this one included, but only 1 may");
    holds_for(Duration::from_millis(400), "the child runs on", || {
        let is = (
            group.observer.events_of(0).contains(&ChildEvent::Stopping),
            group.file(0),
            group.queue().len(),
        );
        if is == (false, "v1".to_owned(), 1) { Ok(()) } else { Err(format!("{is:?}")) }
    });
    group.zk.set("/farm/d", r#"{"enabled":1}"#).unwrap();
    group.wait_healthy_on(0, "v2");
    group.wait_queue_empty();
}
