//! `zkctl` when ZooKeeper is slow, dead or at another address.

use super::{CtlFixture, assert_fails, json};
use farm_harness::{
    Ensemble, FakeServer, FaultProxy, Running, Signal, Tool, eventually, op, patience,
};
use serde_json::json;
use std::time::Duration;

const COMMANDS: [&[&str]; 6] = [
    &["ls", "/db"],
    &["ls", "/db", "--fields", "a"],
    &["get", "/db/web1", "a", "--default", "0"],
    &["set", "/db/web1", "a", "1"],
    &["unset", "/db/web1", "a"],
    &["put", "/db/web1"],
];

fn zkctl(servers: impl ToString) -> Tool {
    Tool::new("zkctl").env("ZKHOST", servers.to_string())
}

/// Runs every command against a server that does not answer.
fn assert_all_give_up(servers: &str, code: i32, line: &str) {
    let running: Vec<Running> = COMMANDS
        .iter()
        .map(|args| zkctl(servers).args(["-t", "700ms"]).args(*args).spawn())
        .collect();
    for mut tool in running {
        let output = tool.wait_exit();
        output.code(code).stdout_is("").stderr_has(&format!("zkctl: {line}"));
        assert!(output.stderr.lines().count() <= 2, "{output}");
        assert!(output.elapsed < patience(Duration::from_millis(2500)), "{output}");
    }
}

#[test]
fn a_timeout_of_zero_is_none() {
    let fixture = CtlFixture::with_host("a_timeout_of_zero", r#"{"a":"0"}"#);
    fixture.run(&["-t", "0", "get", "/db/web1", "a"]).ok().stdout_is("0\n");
    fixture.run(&["-t", "0", "set", "/db/web1", "a", "1"]).ok();
    fixture.tool(&["ls", "/db"]).env("ZK_TIMEOUT", "0").run().ok().stdout_is("web1\n");
    let gives_up = zkctl("127.0.0.1:1").args(["-t", "0", "-r", "2", "get", "/db"]).run();
    gives_up.code(69).stderr_has("zkctl: no ZooKeeper server reached");
}

#[test]
fn a_frozen_and_a_killed_server_are_exit_69_in_time() {
    let ensemble = Ensemble::start(1);
    let (server, servers) = (ensemble.server(0), ensemble.connect_string());
    ensemble.zk().create_all("/db/web1", r#"{"a":"0"}"#).unwrap();
    server.pause();
    assert_all_give_up(&servers, 69, "no ZooKeeper server reached in ");
    server.resume();
    zkctl(&servers).args(["get", "/db/web1", "a"]).run().ok().stdout_is("0\n");
    server.kill();
    assert_all_give_up(&servers, 69, "no ZooKeeper server reached in ");
}

#[test]
fn a_server_that_freezes_half_way_is_exit_124_in_time() {
    for (opcode, args) in [
        (op::GET_CHILDREN, &["ls", "/db"][..]),
        (op::GET_DATA, &["ls", "/db", "--fields", "a"]),
        (op::GET_DATA, &["get", "/db/web1", "a", "--default", "0"]),
        (op::SET_DATA, &["set", "/db/web1", "a", "1"]),
        (op::SET_DATA, &["unset", "/db/web1", "a"]),
        (op::SET_DATA, &["put", "/db/web1"]),
    ] {
        let server = FakeServer::start();
        server.put("/db/web1", br#"{"a":"0"}"#);
        server.before_reply(opcode, |server| server.stall());
        // With this session timeout, a silent server is given up only after five seconds.
        let times = ["-t", "700ms", "--session-timeout", "30s"];
        let output = zkctl(server.addr()).args(times).args(args).run();
        output.code(124).stdout_is("").stderr_has("zkctl: not done in ");
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        assert!(output.elapsed < patience(Duration::from_millis(2500)), "{output}");
    }
}

#[test]
fn a_write_whose_answer_is_lost_is_done_once() {
    for (args, expected) in [
        (&["set", "/db/web1", "a", "1"][..], r#"{"a":"1"}"#),
        (&["unset", "--strict", "/db/web1", "a"], "{}"),
    ] {
        let server = FakeServer::start();
        server.put("/db/web1", br#"{"a":"0"}"#);
        let version = server.version("/db/web1").unwrap();
        server.before_reply(op::SET_DATA, |server| server.cut());
        zkctl(server.addr()).args(args).run().ok().stdout_is("").stderr_is("");
        assert_eq!(server.get("/db/web1").unwrap(), expected.as_bytes());
        assert_eq!(server.version("/db/web1"), Some(version + 1));
    }
}

#[test]
fn a_request_that_is_lost_is_made_again() {
    let server = FakeServer::start();
    server.put("/db/web1", br#"{"a":"0"}"#);
    for (opcode, args, stdout) in [
        (op::GET_CHILDREN, &["ls", "/db"][..], "web1\n"),
        (op::GET_DATA, &["get", "/db/web1", "a"], "0\n"),
        (op::SET_DATA, &["set", "/db/web1", "b", "1"], ""),
    ] {
        server.drop_before_apply(opcode);
        zkctl(server.addr()).args(args).run().ok().stdout_is(stdout).stderr_is("");
    }
    assert_eq!(server.get("/db/web1").unwrap(), br#"{"a":"0","b":"1"}"#);
}

#[test]
fn writers_finish_when_the_server_dies_and_comes_back() {
    const WRITERS: usize = 24;
    let ensemble = Ensemble::start(1);
    let server = ensemble.server(0);
    ensemble.zk().create_all("/db/web1", "{}").unwrap();
    let mut writers: Vec<Running> = (0..WRITERS)
        .map(|n| {
            let words = ["-t", "20s", "set", "/db/web1", &format!("f{n}"), "1"];
            zkctl(ensemble.connect_string()).args(words).spawn()
        })
        .collect();
    eventually("some writers are done", || {
        let done = writers.iter_mut().filter_map(|w| (!w.is_running()).then_some(())).count();
        if done >= 3 { Ok(()) } else { Err(done) }
    });
    server.kill();
    server.restart();
    for writer in &mut writers {
        writer.wait_exit().ok().stdout_is("").stderr_is("");
    }
    let host = ensemble.zk().get("/db/web1").unwrap();
    let all = (0..WRITERS).map(|n| (format!("f{n}"), json!("1"))).collect();
    assert_eq!(json(&host.data), serde_json::Value::Object(all));
    assert_eq!(host.stat.version as usize, WRITERS, "one write each");
}

#[test]
fn signals_end_it_as_signals_do() {
    let fixture = CtlFixture::with_host("signals_end_it_as_signals_do", "{}");
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let servers = format!("{}{}", proxy.addr(), fixture.chroot.path());
    proxy.stall();
    for (number, signal) in (1..).zip([Signal::SIGINT, Signal::SIGTERM]) {
        // zkctl waits for a server that never answers. The test may run as a background job, which
        // ignores INT.
        let mut waiting = Tool::program("env")
            .args(["--default-signal=INT,TERM"])
            .arg(Tool::path_of("zkctl"))
            .args(["-H", &servers, "-t", "1m", "get", "/db/web1"])
            .spawn();
        assert!(proxy.wait_for(Duration::from_secs(10), |counts| counts.connections >= number));
        let start = std::time::Instant::now();
        waiting.signal(signal);
        waiting.wait_exit().signal(signal).stdout_is("").stderr_is("");
        assert!(start.elapsed() < patience(Duration::from_secs(1)), "{:?}", start.elapsed());
    }
}

#[test]
fn a_missing_chroot_is_named() {
    let fixture = CtlFixture::new("a_missing_chroot_is_named");
    let servers = format!("{}/nowhere", fixture.chroot.connect_string());
    let path = format!("{}/nowhere", fixture.chroot.path());
    for (args, missing) in [
        (&["ls", "/"][..], path.clone()),
        (&["get", "/", "a"], path.clone()),
        (&["ls", "/db"], format!("{path}/db")),
        (&["set", "/db", "a", "1"], format!("{path}/db")),
    ] {
        assert_fails(&zkctl(&servers).args(args).run(), 1, &format!("no such znode: {missing}"));
    }
}

#[test]
fn nothing_of_a_session_is_left_behind() {
    let ensemble = FakeServer::start();
    ensemble.put("/db/web1", b"{}");
    for args in COMMANDS {
        zkctl(ensemble.addr()).args(args).run().ok();
        assert_eq!(ensemble.sessions(), [], "{args:?}");
    }
}
