//! What else has to be so before a child is taken down: the hours, the farm, and that
//! this host is out of service.

use super::eye::Mark;
use super::site::{Member, Site};
use crate::join::stage::record;
use farm_harness::{Running, Signal, Tool, eventually, steadily};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Hours that begin so much later than the present one, in UTC.
fn hours(from: u64, to: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3600;
    format!("{}-{}", (now + from) % 24, (now + to) % 24)
}

#[test]
fn outside_the_allowed_hours_nobody_even_queues() {
    let mut site = Site::new("outside_the_allowed_hours_nobody_even_queues", 2);
    let shut = site.zkexec(0).more(&["--allowed-hours", &hours(2, 4), "--tz", "UTC"]);
    let open = site.zkexec(1).more(&["--allowed-hours", &hours(0, 2), "--tz", "UTC"]);
    let shut = site.start(&shut, "v1");
    let _open = site.start(&open, "v1");
    let pid = site.eye.sees_up(0, "v1");
    site.publish("v2");
    site.works_on(1, "v2");
    let ours = Some(shut.pid());
    steadily(Duration::from_millis(300), "it waits for its hours", || {
        let is = (site.eye.sees_up(0, "v1"), site.file(0));
        let is_in_line = site.line().iter().any(|one| one.pid == ours);
        if is == (pid, "v1".to_owned()) && !is_in_line { Ok(()) } else { Err(format!("{is:?}")) }
    });
}

/// A host that is part of a farm, and its zkexec, which takes it out of service.
struct Host {
    site: Site<'static>,
    _zkjoin: Running,
    running: Running,
}

const ENTRY: &str = "/farm/host";

impl Host {
    fn new(test: &str, how: impl Fn(Member) -> Member) -> Self {
        let site = Site::new(test, 1);
        site.scratch.write("host/enabled", "1");
        let args = ["-H", &site.servers(), "--name", "host", "/farm"];
        let zkjoin = Tool::new("zkjoin").args(args).arg(site.scratch.join("host")).spawn();
        zkjoin.wait_log("joined; ");
        let member = how(site.zkexec(0)).more(&["--drain", "/farm/host:enabled=0"]);
        let running = site.start(&member, "v1");
        Self { site, _zkjoin: zkjoin, running }
    }

    fn enabled(&mut self) -> Value {
        record(&mut self.site.zk, ENTRY).unwrap()["enabled"].clone()
    }

    /// It is in service, or out of it, as the farm and the host itself see it.
    #[track_caller]
    fn is_enabled(&mut self, wanted: &str) {
        let mut zk = self.site.observer();
        eventually(&format!("enabled is {wanted}"), || {
            let is = record(&mut zk, ENTRY)?["enabled"].clone();
            let file = self.site.scratch.read("host/enabled")?;
            if is == wanted && file == wanted { Ok(()) } else { Err(format!("{is} {file:?}")) }
        });
    }
}

#[test]
fn a_host_is_out_of_service_from_before_the_stop_until_its_child_is_healthy() {
    let mut host = Host::new("a_host_is_out_of_service", |member| member);
    let mut end = host.site.gate(0, "end");
    let mut health = host.site.gate(0, "health");
    host.site.publish("v2");
    host.site.eye.sees(0, &Mark::Stopping);
    assert_eq!(host.enabled(), "0");
    host.is_enabled("0");
    end.open();
    host.site.eye.sees_up(0, "v2");
    let mut zk = host.site.observer();
    steadily(Duration::from_millis(200), "it is out of service", || {
        let enabled = record(&mut zk, ENTRY)?["enabled"].clone();
        if enabled == "0" { Ok(()) } else { Err(enabled.to_string()) }
    });
    let line = host.site.line();
    assert_eq!(line.len(), 1);
    health.open();
    // The lock is given back after that.
    host.site.nobody_contends();
    assert_eq!(host.enabled(), "1");
    host.is_enabled("1");
}

#[test]
fn a_host_with_bad_content_stays_out_of_service_until_good_content_works() {
    let mut host = Host::new("a_host_with_bad_content_stays_out_of_service", |member| member);
    host.site.publish("v2 dies");
    host.running.wait_log("config failure");
    host.is_enabled("0");
    let mut zk = host.site.observer();
    steadily(Duration::from_millis(300), "it is out of service", || {
        let enabled = record(&mut zk, ENTRY)?["enabled"].clone();
        if enabled == "0" { Ok(()) } else { Err(enabled.to_string()) }
    });
    host.site.publish("v3");
    host.site.works_on(0, "v3");
    host.is_enabled("1");
    host.site.nobody_contends();
}

#[test]
fn a_host_that_was_rolled_back_is_in_service_again() {
    let mut host = Host::new("a_host_that_was_rolled_back_is_in_service_again", |member| {
        member.more(&["--on-failed-restart", "rollback"])
    });
    host.site.publish("v2 dies");
    host.site.eye.sees_times(0, 1, &Mark::Healthy("v1".to_owned()));
    host.is_enabled("1");
    assert_eq!(host.site.line().len(), 1);
    host.site.publish("v3");
    host.site.works_on(0, "v3");
    host.site.nobody_contends();
    host.is_enabled("1");
}

#[test]
fn a_host_that_is_told_to_end_while_out_of_service_leaves_things_as_they_were() {
    let mut host = Host::new("a_host_that_is_told_to_end_while_out_of_service", |member| member);
    host.site.publish("v2 dies");
    host.running.wait_log("config failure");
    host.is_enabled("0");
    host.running.signal(Signal::SIGTERM);
    host.running.wait_exit().code(1);
    host.is_enabled("1");
}

#[test]
fn what_somebody_else_made_of_the_field_meanwhile_stands() {
    let mut host = Host::new("what_somebody_else_made_of_the_field", |member| member);
    let mut health = host.site.gate(0, "health");
    host.site.publish("v2");
    host.site.eye.sees_up(0, "v2");
    crate::join::stage::edit(&mut host.site.zk, ENTRY, |record| {
        record["enabled"] = json!("maintenance");
    });
    host.is_enabled("maintenance");
    health.open();
    host.site.nobody_contends();
    host.is_enabled("maintenance");
}

#[test]
fn a_farm_that_can_spare_no_host_keeps_the_child_up_and_lets_it_go_when_it_recovers() {
    let mut site = Site::new("a_farm_that_can_spare_no_host", 1);
    site.zk.create("/farm", r#"{"size":4,"running_filter":"enabled=1"}"#).unwrap();
    for host in ["a", "b", "c", "d"] {
        site.zk.create(&format!("/farm/{host}"), r#"{"enabled":1}"#).unwrap();
    }
    site.zk.set("/farm/d", r#"{"enabled":0}"#).unwrap();
    // One fails, and this one would be the second.
    let member = site.zkexec(0).more(&["--require-healthy", "/farm:1"]);
    let running = site.start(&member, "v1");
    site.publish("v2");
    running.wait_log("not stopped yet: 2 of 4 hosts would fail, this one included, but only 1 may");
    steadily(Duration::from_millis(400), "the child is kept up", || {
        let is = (site.eye.marks_of(0).contains(&Mark::Stopping), site.file(0), site.line().len());
        if is == (false, "v1".to_owned(), 1) { Ok(()) } else { Err(format!("{is:?}")) }
    });
    site.zk.set("/farm/d", r#"{"enabled":1}"#).unwrap();
    site.works_on(0, "v2");
    site.nobody_contends();
}
