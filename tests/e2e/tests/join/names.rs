//! A name belongs to one host and to one `zkjoin` on it.

use super::fixture::{ENTRY, JoinFixture, hostname};
use farm_harness::{Create, Ensemble, FaultProxy, Running, Signal, Tool, eventually, patience};
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

/// Another user's process that has the name of the lock at `servers`. It never gets further than
/// that: nobody answers it. Without root, there is no other user.
fn squat(fixture: &JoinFixture, servers: &str, proxy: &FaultProxy) -> Option<Running> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    proxy.refuse();
    let mut squatter = Tool::unprivileged("zkjoin", &fixture.scratch)
        .args(["-H", servers, "--name", "host", "/farm"])
        .arg(fixture.scratch.join("theirs.json"))
        .spawn();
    squatter.wait_log("no server can be reached");
    squatter.signal(Signal::SIGSTOP);
    proxy.accept();
    Some(squatter)
}

#[test]
fn another_user_with_the_name_of_the_lock_keeps_nobody_out() {
    let fixture = JoinFixture::new("squatted");
    fixture.dir(&[("a", "1")]);
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let servers = fixture.servers_at(proxy.addr());
    let Some(mut squatter) = squat(&fixture, &servers, &proxy) else { return };
    let taken = format!("uid=65534 pid={}", squatter.pid());
    let (zkjoin, mut zk) = (fixture.zkjoin_at(&servers, "conf"), fixture.new_client());
    let start = || {
        let running = zkjoin.spawn();
        running.wait_log("the name of our lock is taken, going on without it");
        assert!(running.stderr().contains(&taken), "{}", running.stderr());
        running
    };
    let mut first = start();
    first.wait_log("joined; ");
    assert!(!first.stderr().contains("the name is taken"), "{}", first.stderr());
    // What it left may be that of a zkjoin that runs: it is waited for, until it is gone.
    first.kill9();
    let mut second = start();
    second.wait_log("the name is taken, waiting");
    second.wait_log("joined; ");
    // Two of ours do not fight.
    let czxid = zk.get(ENTRY).unwrap().stat.czxid;
    let mut third = start();
    third.wait_exit().code(75).stderr_has("belongs to session");
    assert_eq!(zk.get(ENTRY).unwrap().stat.czxid, czxid);
    // When the other user's process ends, the lock is held as ever.
    squatter.signal(Signal::SIGKILL);
    second.wait_log("the lock is ours now");
    let output = zkjoin.run();
    output.code(75).stderr_has(&format!("held by process {}", second.pid()));
    assert_eq!(zk.get(ENTRY).unwrap().stat.czxid, czxid);
    second.kill9();
    let last = zkjoin.spawn();
    last.wait_log("joined; ");
    assert!(!last.stderr().contains("the name is taken"), "{}", last.stderr());
}
