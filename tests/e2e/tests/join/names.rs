//! A name belongs to one host and to one `zkjoin` on it.

use super::fixture::{ENTRY, JoinFixture, hostname};
use farm_harness::{Create, Signal, eventually, patience};
use serde_json::json;
use std::time::{Duration, Instant};

const OTHER: &str = r#"{"hostname":"other.example.com","n":0}"#;

#[test]
fn a_name_of_another_host_is_waited_for_and_then_given_up() {
    let mut fixture = JoinFixture::new("taken");
    fixture.dir(&[("a", "1")]);
    fixture.zk.create("/farm", "").unwrap();
    let mut other = fixture.new_client();
    other.create_as(ENTRY, OTHER, Create::Ephemeral).unwrap();
    let mut running = fixture.zkjoin("conf").spawn();
    running.wait_log("the name is taken, waiting");
    let start = Instant::now();
    // Writes of the other host do not extend the wait.
    let mut n = 0;
    eventually("it gives up", || {
        n += 1;
        other.set(ENTRY, OTHER.replace('0', &n.to_string())).unwrap();
        if running.is_running() { Err("it waits") } else { Ok(()) }
    });
    let output = running.wait_exit();
    output.code(75).stderr_has(&format!("{:#x}", other.session_id()));
    output.stderr_has("other.example.com").stderr_has("hint: ");
    let took = start.elapsed();
    let limit = patience(Duration::from_secs(10));
    assert!((Duration::from_secs(7)..limit).contains(&took), "{took:?} {output}");
    assert_eq!(output.stderr.matches("is taken").count(), 1, "{output}");
    assert_eq!(fixture.zk.get(ENTRY).unwrap().stat.ephemeral_owner, other.session_id());
}

#[test]
fn a_name_that_becomes_free_is_taken_at_once() {
    for more in [&[][..], &["--no-hostname"]] {
        let mut fixture = JoinFixture::new("freed");
        fixture.dir(&[("a", "1")]);
        fixture.zk.create("/farm", "").unwrap();
        let mut other = fixture.new_client();
        let theirs = if more.is_empty() {
            OTHER.to_owned()
        } else {
            json!({"hostname": hostname()}).to_string()
        };
        other.create_as(ENTRY, theirs, Create::Ephemeral).unwrap();
        let running = fixture.zkjoin("conf").args(more).spawn();
        running.wait_log("the name is taken, waiting");
        other.close().unwrap();
        let start = Instant::now();
        running.wait_log("joined; ");
        assert!(start.elapsed() < patience(Duration::from_secs(1)));
        assert_eq!(fixture.record()["a"], json!("1"));
    }
}

#[test]
fn a_second_one_on_this_host_names_the_first_and_leaves_it_alone() {
    let mut fixture = JoinFixture::new("second");
    fixture.dir(&[("a", "1")]);
    let first = fixture.join("conf", &[]);
    let czxid = fixture.zk.get(ENTRY).unwrap().stat.czxid;
    let output = fixture.zkjoin("conf").run();
    output.code(75).stderr_has(&first.pid().to_string());
    assert!(output.elapsed < patience(Duration::from_secs(1)), "{output}");
    assert_eq!(fixture.zk.get(ENTRY).unwrap().stat.czxid, czxid);
    // Another name is allowed.
    let other = fixture.zkjoin("conf").args(["--name", "other"]);
    drop(other);
    let third =
        farm_harness::Tool::new("zkjoin").args(["-H", &fixture.servers(), "--name", "third"]);
    let third = third.arg("/farm").arg(fixture.scratch.join("conf")).spawn();
    third.wait_log("joined; ");
}

#[test]
fn the_order_of_the_servers_does_not_make_it_another_farm() {
    let mut fixture = JoinFixture::new("order");
    fixture.dir(&[("a", "1")]);
    let addr = farm_harness::Ensemble::shared().server(0).addr();
    let (one, other) = (format!("127.0.0.1:1,{addr}"), format!("{addr},127.0.0.1:1"));
    let first = fixture.zkjoin_at(&fixture.servers_at(one), "conf").spawn();
    first.wait_log("joined; ");
    let czxid = fixture.zk.get(ENTRY).unwrap().stat.czxid;
    let output = fixture.zkjoin_at(&fixture.servers_at(other), "conf").run();
    output.code(75).stderr_has(&first.pid().to_string());
    assert_eq!(fixture.zk.get(ENTRY).unwrap().stat.czxid, czxid);
}

#[test]
fn who_takes_the_name_later_keeps_it() {
    for theirs in [OTHER.to_owned(), json!({"hostname": hostname()}).to_string()] {
        let mut fixture = JoinFixture::new("robbed");
        fixture.dir(&[("a", "1")]);
        let mut running = fixture.join("conf", &[]);
        let mut other = fixture.new_client();
        running.signal(Signal::SIGSTOP);
        fixture.zk.delete(ENTRY).unwrap();
        other.create_as(ENTRY, &theirs, Create::Ephemeral).unwrap();
        running.signal(Signal::SIGCONT);
        running.wait_exit().code(75).stderr_has(&format!("{:#x}", other.session_id()));
        let znode = fixture.zk.get(ENTRY).unwrap();
        assert_eq!((znode.text(), znode.stat.version), (theirs, 0));
    }
}

#[test]
fn a_persistent_znode_in_the_way_is_called_that() {
    let mut fixture = JoinFixture::new("persistent");
    fixture.dir(&[("a", "1")]);
    fixture.zk.create_all(ENTRY, "{}").unwrap();
    let output = fixture.zkjoin("conf").run();
    output.code(75).stderr_has("persistent");
    assert_eq!(fixture.zk.get(ENTRY).unwrap().text(), "{}");
}
