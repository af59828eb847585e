//! What members are called in their group.

use super::fixture::GroupFixture;
use super::group_state::{STATE, record, version_of};
use crate::join::fixture::hostname;
use farm_harness::{Running, Zk, eventually, holds_for};
use serde_json::json;
use std::time::{Duration, Instant};

const A_WHILE: Duration = Duration::from_millis(400);

/// The ids in the group.
#[track_caller]
fn ids(zk: &mut Zk) -> Vec<String> {
    zk.children(&format!("{STATE}/members")).unwrap()
}

/// Waits until each process tells of itself under its id.
#[track_caller]
fn wait_told(zk: &mut Zk, ids: &[String], running: &[Running]) {
    eventually("each has its id", || {
        let told = |id: &String| {
            let told = record(zk, &format!("{STATE}/members/{id}")).unwrap_or_default();
            json!([told["name"], told["host"], told["pid"]])
        };
        let told: Vec<_> = ids.iter().map(told).collect();
        let wanted: Vec<_> = ids
            .iter()
            .zip(running)
            .map(|(id, running)| json!([id, hostname(), running.pid()]))
            .collect();
        if told == wanted { Ok(()) } else { Err(format!("{told:?} instead of {wanted:?}")) }
    });
}

#[test]
fn members_on_one_host_have_numbers_and_keep_them() {
    let group = GroupFixture::new("members_on_one_host_have_numbers", 4);
    let mut zk = group.new_client();
    let host = hostname();
    let numbered = [host.clone(), format!("{host}.2"), format!("{host}.3")];
    let members = [0, 1, 2].map(|who| group.zkexec(who));
    let mut running: Vec<Running> =
        members.iter().map(|member| group.start(member, "v1")).collect();
    wait_told(&mut zk, &numbered, &running);
    for who in [1, 0, 2] {
        running[who].kill9();
        running[who] = group.start(&members[who], "v1");
        wait_told(&mut zk, &numbered, &running);
    }
    assert_eq!(ids(&mut zk), numbered);
    let named = group.start(&group.zkexec(3).more(&["--name", "blue"]), "v1");
    wait_told(&mut zk, &["blue".to_owned()], &[named]);
}

#[test]
fn what_a_member_tells_is_what_the_documentation_says() {
    let mut group = GroupFixture::new("what_a_member_tells", 1);
    let running = group.start(&group.zkexec(0).named().delay("300ms"), "v1");
    let told = eventually("its first check has passed", || {
        let told = group.told_by("m0");
        if told["health"] == "ok" { Ok(told) } else { Err(told.to_string()) }
    });
    assert!(told["since"].as_i64().is_some_and(|since| since > 1_700_000_000_000), "{told}");
    let version = version_of("v1");
    let mut wanted = json!({
        "v": 1, "host": hostname(), "pid": running.pid(), "name": "m0", "state": "running",
        "sources": [{"kind": "znode", "path": "/conf"}], "wanted": version, "running": version,
        "confirmed": version, "restarted": 0, "health": "ok", "n": 1,
    });
    wanted["since"] = told["since"].clone();
    assert_eq!(told, wanted);
}

#[test]
fn two_members_with_one_name_on_a_host_do_not_fight_over_it() {
    let mut group = GroupFixture::new("two_members_with_one_name", 2);
    let first = group.start(&group.zkexec(0).named(), "v1");
    assert_eq!(group.wait_state(0, "running")["pid"], first.pid());
    let second = group.start(&group.zkexec(1).more(&["--name", "m0"]), "v1");
    second.wait_log("another member of the group has the id m0");
    holds_for(A_WHILE, "it is the first one's", || {
        let told = group.told_by("m0");
        if told["pid"] == first.pid() { Ok(()) } else { Err(told.to_string()) }
    });
}

#[test]
fn a_name_that_another_host_has_is_taken_over_when_that_one_leaves() {
    let mut group = GroupFixture::new("a_name_that_another_host_has", 1);
    let mut other = group.new_client();
    group.zk.create_all(&format!("{STATE}/members"), "").unwrap();
    let told = json!({"v": 1, "host": "elsewhere", "state": "running"});
    let path = format!("{STATE}/members/m0");
    other.create_as(&path, told.to_string(), farm_harness::Create::Ephemeral).unwrap();
    let running = group.start(&group.zkexec(0).named(), "v1");
    running.wait_log("another member of the group has the id m0");
    holds_for(A_WHILE, "it is the other one's", || {
        let told = group.told_by("m0");
        if told["host"] == "elsewhere" { Ok(()) } else { Err(told.to_string()) }
    });
    // It takes its turns all the same.
    group.publish("v2");
    group.wait_healthy_on(0, "v2");
    other.close().unwrap();
    assert_eq!(group.wait_state(0, "running")["pid"], running.pid());
    assert_eq!(running.stderr().matches("has the id m0").count(), 1);
}

#[test]
fn what_a_member_tells_is_written_five_times_a_second_at_most() {
    let mut group = GroupFixture::new("what_a_member_tells_is_written", 1);
    group.publish("v1 picky");
    let _running = group.start(&group.zkexec(0).named().delay("100ms"), "v1");
    let version = |zk: &mut Zk| zk.exists(&format!("{STATE}/members/m0")).unwrap().unwrap().version;
    group.wait_state(0, "running");
    let start = Instant::now();
    let before = version(&mut group.zk);
    // Its health changes at each check, ten times a second.
    for round in 0..30 {
        let health = if round % 2 == 0 { "failing" } else { "ok" };
        if round % 2 == 0 {
            group.scratch.write("0/picky", "");
        } else {
            std::fs::remove_file(group.scratch.join("0/picky")).unwrap();
        }
        eventually(&format!("its health is {health}"), || {
            let told = group.told_by("m0");
            if told["health"] == health { Ok(()) } else { Err(told.to_string()) }
        });
    }
    let writes = f64::from(version(&mut group.zk) - before);
    let most = 5.0 * start.elapsed().as_secs_f64() + 1.0;
    assert!(writes <= most && writes >= 30.0, "{writes} {most}");
}
