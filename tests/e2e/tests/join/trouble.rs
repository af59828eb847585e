//! ZooKeeper is unreachable or refuses requests.

use super::fixture::{ENTRY, JoinFixture, edit, hostname};
use farm_harness::{Acl, FaultProxy, Signal, eventually, free_port, holds_for, patience};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn with_retries_an_unreachable_server_is_given_up() {
    let fixture = JoinFixture::new("retries");
    fixture.dir(&[("a", "1")]);
    let servers = format!("127.0.0.1:{},127.0.0.1:{}", free_port(), free_port());
    let output = fixture.zkjoin_at(&servers, "conf").args(["-r", "2"]).run();
    output.code(69).stderr_has("hint: ");
}

#[test]
fn a_farm_that_forbids_it_is_an_end_before_it_was_ready() {
    let mut fixture = JoinFixture::new("forbidden");
    fixture.dir(&[("a", "1")]);
    fixture.zk.create("/farm", "").unwrap();
    fixture.zk.set_acl("/farm", Acl::ReadOnly).unwrap();
    fixture.zkjoin("conf").run().code(77).stderr_has("/farm");

    let mut fixture = JoinFixture::new("forbidden_parent");
    fixture.dir(&[("a", "1")]);
    fixture.zk.add_auth("me:word").unwrap();
    fixture.zk.set_acl("/", Acl::Mine).unwrap();
    fixture.zkjoin("conf").run().code(77).stderr_has("/farm");
}

#[test]
fn a_farm_whose_record_is_is_malformed_can_be_joined() {
    let mut fixture = JoinFixture::new("size_refused");
    fixture.dir(&[("a", "1")]);
    fixture.zk.create("/farm", "nonsense").unwrap();
    let running = fixture.join("conf", &[]);
    running.wait_log("cannot update the farm's size");
    fixture.scratch.write("conf/a", "2");
    fixture.wait_record(json!({"a": "2"}));
    assert_eq!(fixture.zk.get("/farm").unwrap().text(), "nonsense");
    assert_eq!(running.stderr().matches("cannot update the farm's size").count(), 1);
}

#[test]
fn what_is_forbidden_later_is_told_once_and_tried_again() {
    let mut fixture = JoinFixture::new("forbidden_later");
    fixture.dir(&[("a", "1")]);
    let mut running = fixture.join("conf", &[]);
    fixture.wait_record(json!({"a": "1"}));
    fixture.zk.add_auth("me:word").unwrap();
    fixture.zk.set_acl(ENTRY, Acl::ReadOnly).unwrap();
    fixture.scratch.write("conf/a", "2");
    running.wait_log("not authorised");
    holds_for(Duration::from_secs(1), "it runs on", || {
        let logged = running.stderr().matches("not authorised").count();
        if running.is_running() && logged == 1 { Ok(()) } else { Err(running.stderr()) }
    });
    // Nobody may change this access list, so the znode must be deleted.
    fixture.zk.delete(ENTRY).unwrap();
    fixture.wait_record(json!({"a": "2"}));
}

#[test]
fn an_expired_session_is_joined_again_and_nothing_of_the_record_is_lost() {
    for more in [&[][..], &["--no-hostname"]] {
        let mut fixture = JoinFixture::new("expired");
        fixture.dir(&[("a", "1"), ("hostname", &hostname())]);
        let proxy = FaultProxy::start(farm_harness::Ensemble::shared().server(0).addr());
        let servers = fixture.servers_at(proxy.addr());
        let mut running = fixture.zkjoin_at(&servers, "conf").args(more).spawn();
        running.wait_log("joined; ");
        fixture.edit(|record| record["r"] = json!({"x": 1}));
        fixture.wait_file("conf/r/x", "1");
        for round in 1_u32..=5 {
            let before = fixture.zk.get(ENTRY).unwrap().stat;
            fixture.scratch.write("conf/a", round.to_string());
            proxy.expire().unwrap();
            let start = Instant::now();
            eventually("a znode of a new session", || match fixture.zk.get(ENTRY) {
                Ok(znode) if znode.stat.ephemeral_owner != before.ephemeral_owner => Ok(()),
                other => Err(format!("{other:?}")),
            });
            assert!(start.elapsed() < patience(Duration::from_secs(2)), "{:?}", start.elapsed());
            fixture.wait_record(json!({"a": round.to_string(), "r": {"x": 1}}));
            running.wait_log_times("joined again; ", round as usize);
        }
        assert_eq!(running.stderr().matches("lost: ").count(), 5, "{}", running.stderr());
        running.signal(Signal::SIGTERM);
        running.wait_exit().ok();
    }
}

#[test]
fn a_host_that_was_suspended_for_long_joins_again() {
    let mut fixture = JoinFixture::new("slept");
    fixture.dir(&[("a", "1")]);
    let mut running = fixture.join("conf", &[]);
    fixture.edit(|record| record["n"] = json!(5));
    fixture.wait_file("conf/n", "5");
    running.signal(Signal::SIGSTOP);
    fixture.scratch.write("conf/a", "2");
    eventually("its session is over", || match fixture.zk.exists(ENTRY).unwrap() {
        None => Ok(()),
        Some(stat) => Err(format!("{stat:?}")),
    });
    running.signal(Signal::SIGCONT);
    let start = Instant::now();
    fixture.wait_record(json!({"a": "2", "n": 5}));
    assert!(start.elapsed() < patience(Duration::from_secs(2)), "{:?}", start.elapsed());
}

#[test]
fn edits_on_both_sides_of_an_outage_are_merged() {
    let mut fixture = JoinFixture::new("outage_merge");
    fixture.dir(&[("l", "0"), ("r", "0"), ("both", "0")]);
    let proxy = FaultProxy::start(farm_harness::Ensemble::shared().server(0).addr());
    let mut running = fixture.zkjoin_at(&fixture.servers_at(proxy.addr()), "conf").spawn();
    running.wait_log("joined; ");
    let owner = fixture.zk.get(ENTRY).unwrap().stat.ephemeral_owner;
    proxy.refuse();
    proxy.cut();
    running.wait_log("suspended");
    fixture.scratch.write("conf/l", "1");
    fixture.scratch.write("conf/both", "1");
    fixture.edit(|record| {
        record["r"] = json!("1");
        record["both"] = json!("2");
    });
    proxy.accept();
    fixture.wait_record(json!({"l": "1", "r": "1", "both": "2"}));
    fixture.wait_file("conf/both", "2");
    fixture.wait_file("conf/r", "1");
    running.wait_log("field=both remote=\"2\" local=\"1\"");
    assert_eq!(fixture.zk.get(ENTRY).unwrap().stat.ephemeral_owner, owner);

    // The same if the session expires: the merge base is still the last common record.
    proxy.refuse();
    proxy.expire().unwrap();
    fixture.scratch.write("conf/l", "2");
    proxy.accept();
    running.wait_log("lost: ");
    fixture.wait_record(json!({"l": "2", "r": "1", "both": "2"}));
    assert!(running.is_running());
}

#[test]
fn everything_gone_for_long_costs_little_and_heals() {
    let mut fixture = JoinFixture::new("all_gone");
    let text = "{\"a\": 1,   \"hostname\": \"x\"}".replace('x', &hostname());
    fixture.scratch.write("db.json", &text);
    let proxy = FaultProxy::start(farm_harness::Ensemble::shared().server(0).addr());
    let mut running = fixture.zkjoin_at(&fixture.servers_at(proxy.addr()), "db.json").spawn();
    running.wait_log("joined; ");
    let cpu = running.cpu_time();
    let lines = running.stderr().lines().count();
    proxy.refuse();
    proxy.cut();
    holds_for(Duration::from_secs(10), "the config is left alone", || {
        let now = fixture.scratch.read("db.json")?;
        if now == text { Ok(()) } else { Err(now) }
    });
    let lines_logged = running.stderr().lines().count() - lines;
    assert!(lines_logged <= 3, "{}", running.stderr());
    assert_eq!(fixture.zk.exists(ENTRY).unwrap(), None, "its session has expired");
    proxy.accept();
    fixture.wait_record(json!({"a": 1}));
    edit(&mut fixture.zk, ENTRY, |record| record["b"] = json!(2));
    fixture.wait_json("db.json", json!({"a": 1, "b": 2}));
    let spent = running.cpu_time() - cpu;
    assert!(spent < Duration::from_millis(500), "{spent:?}");
    assert!(running.is_running());
}

#[test]
fn it_stops_at_once_during_an_outage() {
    let fixture = JoinFixture::new("stop_outage");
    fixture.dir(&[("a", "1")]);
    for is_mute in [false, true] {
        let proxy = FaultProxy::start(farm_harness::Ensemble::shared().server(0).addr());
        let mut running = fixture.zkjoin_at(&fixture.servers_at(proxy.addr()), "conf").spawn();
        running.wait_log("joined; ");
        if is_mute {
            proxy.stall();
            // A pending request that is not answered.
            fixture.scratch.write("conf/a", "2");
        } else {
            proxy.refuse();
            proxy.cut();
            running.wait_log("suspended");
        }
        let start = Instant::now();
        running.signal(Signal::SIGTERM);
        running.wait_exit().ok();
        assert!(start.elapsed() < patience(Duration::from_millis(900)), "{:?}", start.elapsed());
    }
}

#[test]
fn a_size_that_could_not_be_kept_is_kept_at_the_next_contact() {
    let mut fixture = JoinFixture::new("size_later");
    fixture.dir(&[("a", "1")]);
    fixture.zk.create("/farm", "nonsense").unwrap();
    let proxy = FaultProxy::start(farm_harness::Ensemble::shared().server(0).addr());
    let running = fixture.zkjoin_at(&fixture.servers_at(proxy.addr()), "conf").spawn();
    running.wait_log("cannot update the farm's size");
    fixture.zk.set("/farm", "{}").unwrap();
    proxy.cut();
    eventually("the size is kept", || match fixture.zk.get("/farm").unwrap().text() {
        text if text == r#"{"size":1}"# => Ok(()),
        text => Err(text),
    });
}
