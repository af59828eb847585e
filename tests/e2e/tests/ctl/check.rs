//! `zkctl check` as a monitoring plugin.

use super::{CtlFixture, json};
use farm_harness::{Acl, Ensemble, FakeServer, Output, Tool, op, patience};
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A farm with this record and `running` healthy hosts.
fn farm(test_name: &str, record: &str, running: usize) -> CtlFixture {
    let mut fixture = CtlFixture::new(test_name);
    fixture.create("/db", record);
    for number in 0..running {
        fixture.create(&format!("/db/10.0.0.{number}"), r#"{"enabled": "1"}"#);
    }
    fixture
}

#[track_caller]
fn assert_says(output: &Output, code: i32, line: &str) {
    output.code(code).stdout_is(format!("{line}\n")).stderr_is("");
}

#[track_caller]
fn assert_unknown(output: &Output, why: &str) {
    output.code(3).stdout_has(why).stderr_is("");
    assert!(output.text().starts_with("UNKNOWN: "), "{output}");
    assert!(output.elapsed < patience(Duration::from_millis(2500)), "{output}");
}

#[test]
fn a_farm_is_measured_by_the_most_hosts_it_had() {
    let mut fixture = farm("a_farm_is_measured_by_the_most_hosts_it_had", r#"{"size": 17}"#, 16);
    fixture.create("/db/common", "nonsense");
    assert_says(
        &fixture.run(&["check", "/db"]),
        0,
        "OK: 16/17 nodes running, 1 nodes failing, max allowed 10% \
         | running=16;;;0;17 failing=1;;1.7;0;17",
    );
    assert_says(
        &fixture.run(&["check", "/db", "--max-failed-node", "5%"]),
        2,
        "CRITICAL: 16/17 nodes running, 1 nodes failing, max allowed 5% \
         | running=16;;;0;17 failing=1;;0.85;0;17",
    );
    assert_says(
        &fixture.run(&["check", "/db", "-c", "2", "--warn-failed-node", "1"]),
        1,
        "WARNING: 16/17 nodes running, 1 nodes failing, max allowed 2 \
         | running=16;;;0;17 failing=1;1;2;0;17",
    );
    assert_says(
        &fixture.run(&["check", "/db", "-w5.9%"]),
        0,
        "OK: 16/17 nodes running, 1 nodes failing, max allowed 10% \
         | running=16;;;0;17 failing=1;1.003;1.7;0;17",
    );
    assert_says(
        &fixture.run(&["check", "/db", "--min-hosts", "17", "-c", "50%"]),
        2,
        "CRITICAL: 16/17 nodes running, 1 nodes failing, max allowed 50%, at least 17 needed \
         | running=16;;17:;0;17 failing=1;;8.5;0;17",
    );
}

#[test]
fn the_size_may_be_text_or_behind_the_truth() {
    for (record, line) in [
        (r#"{"size": "3"}"#, "OK: 3/3 nodes running, 0 nodes failing, max allowed 10%"),
        (r#"{"size": 1}"#, "OK: 3/3 nodes running, 0 nodes failing, max allowed 10%"),
        (r#"{"size": 0}"#, "OK: 3/3 nodes running, 0 nodes failing, max allowed 10%"),
    ] {
        let fixture = farm("the_size_may_be_text_or_behind_the_truth", record, 3);
        fixture.run(&["check", "/db", "-c", "10%"]).ok().stdout_has(line);
    }
    let empty = farm("the_size_may_be_text_or_behind_the_truth", r#"{"size": 0}"#, 0);
    empty.run(&["check", "/db"]).ok().stdout_has("OK: 0/0 nodes running");
    let gone = farm("the_size_may_be_text_or_behind_the_truth", r#"{"size": 2}"#, 0);
    gone.run(&["check", "/db"]).code(2).stdout_has("CRITICAL: 0/2 nodes running");
}

#[test]
fn filters_and_unreadable_hosts_count_as_failing_and_are_named() {
    let record = r#"{"running_filter": "enabled=1", "size": 7}"#;
    let mut fixture =
        farm("filters_and_unreadable_hosts_count_as_failing_and_are_named", record, 2);
    fixture.create("/db/10.0.1.1", r#"{"enabled": "0"}"#);
    fixture.create("/db/10.0.1.2", "nonsense");
    fixture.create("/db/10.0.1.3", r#"{"enabled": 1, "delay": 90}"#);
    fixture.create("/db/secret", r#"{"enabled": "1"}"#);
    fixture.zk.add_auth("me:word").unwrap();
    fixture.zk.set_acl("/db/secret", Acl::Mine).unwrap();

    let farms_own = fixture.run(&["check", "/db", "-c", "5"]);
    farms_own.ok().stdout_has("OK: 3/7 nodes running, 4 nodes failing");
    assert_eq!(farms_own.text().lines().count(), 1, "{farms_own}");

    let both = fixture.run(&["check", "/db", "-F", "!delay", "-v"]);
    both.code(2).stdout_has("CRITICAL: 2/7 nodes running, 5 nodes failing");
    let text = both.text();
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let path = fixture.chroot.path();
    assert_eq!(lines.len(), 5, "{both}");
    assert_eq!(lines[0], "10.0.1.1: the filter does not keep it");
    assert!(lines[1].starts_with("10.0.1.2: /db/10.0.1.2 holds no record: "), "{both}");
    assert_eq!(lines[2], "10.0.1.3: the filter does not keep it");
    assert_eq!(lines[3], format!("secret: not authorised: {path}/db/secret"));
    assert_eq!(lines[4], "1 more not there");

    let answer = fixture.run(&["check", "/db", "--json", "-F", "!delay"]);
    let expected = json!({
        "v": 1,
        "status": "CRITICAL",
        "running": 2,
        "size": 7,
        "failing": 5,
        "failed": ["10.0.1.1", "10.0.1.2", "10.0.1.3", "secret"],
        "max_failed": "10%",
        "perfdata": "running=2;;;0;7 failing=5;;0.7;0;7",
    });
    assert_eq!(json(&answer.code(2).stderr_is("").stdout), expected);
}

#[test]
fn a_farm_that_tells_no_size_is_unknown() {
    for (record, why) in [
        ("{}", "its record has no field size"),
        ("", "its record has no field size"),
        (r#"{"size": null}"#, "its record has no field size"),
        (r#"{"size": "many"}"#, "is not a number of hosts"),
        (r#"{"size": -1}"#, "is not a number of hosts"),
        (r#"{"size": 1.5}"#, "is not a number of hosts"),
        (r#"{"size": 1e99}"#, "is not a number of hosts"),
        (r#"{"size": [3]}"#, "is not a number of hosts"),
        ("[17]", "/db holds no record"),
        ("nonsense", "/db holds no record"),
        (r#"{"size": 1, "running_filter": "enabled="#, "/db holds no record"),
        (r#"{"size": 1, "running_filter": "=1"}"#, "the running_filter of /db can't be used"),
        (r#"{"size": 1, "running_filter": 7}"#, "the running_filter of /db can't be used"),
    ] {
        let fixture = farm("a_farm_that_tells_no_size_is_unknown", record, 1);
        assert_unknown(&fixture.run(&["check", "/db"]), why);
        let output = fixture.run(&["check", "/db", "--json"]);
        let answer = json(&output.code(3).stdout);
        assert_eq!((&answer["status"], &answer["size"]), (&json!("UNKNOWN"), &json!(null)));
        assert!(answer["error"].as_str().unwrap().contains(why), "{output}");
    }
}

#[test]
fn a_missing_and_a_forbidden_farm_are_unknown() {
    let mut fixture = farm("a_missing_and_a_forbidden_farm_are_unknown", r#"{"size": 1}"#, 1);
    let path = fixture.chroot.path().to_owned();
    assert_unknown(&fixture.run(&["check", "/cache"]), &format!("no such znode: {path}/cache"));
    fixture.zk.add_auth("me:word").unwrap();
    fixture.zk.set_acl("/db", Acl::Mine).unwrap();
    assert_unknown(&fixture.run(&["check", "/db"]), &format!("not authorised: {path}/db"));
}

#[test]
fn a_frozen_and_a_killed_server_are_unknown_in_time() {
    let ensemble = Ensemble::start(1);
    ensemble.zk().create_all("/db/web1", "{}").unwrap();
    ensemble.zk().set("/db", r#"{"size":1}"#).unwrap();
    let check = |more: &[&str]| {
        let tool = Tool::new("zkctl").env("ZKHOST", ensemble.connect_string());
        tool.args(["check", "/db", "-t", "700ms"]).args(more).run()
    };
    check(&[]).ok().stdout_has("OK: 1/1");
    ensemble.server(0).pause();
    assert_unknown(&check(&[]), "no ZooKeeper server reached in ");
    let output = check(&["--json"]);
    assert_eq!(json(&output.code(3).stdout)["status"], "UNKNOWN");
    ensemble.server(0).resume();
    check(&[]).ok().stdout_has("OK: 1/1");
    ensemble.server(0).kill();
    assert_unknown(&check(&[]), "no ZooKeeper server reached in ");
}

#[test]
fn a_server_that_freezes_half_way_is_unknown_in_time() {
    for opcode in [op::GET_CHILDREN, op::GET_DATA, op::MULTI_READ] {
        let server = FakeServer::start();
        server.put("/db", br#"{"size":2}"#);
        for name in ["a", "b"] {
            server.put(&format!("/db/{name}"), b"{}");
        }
        server.before_reply(opcode, |server| server.stall());
        // With this session timeout, a silent server is given up only after five seconds.
        let times = ["-t", "700ms", "--session-timeout", "30s"];
        let tool = Tool::new("zkctl").env("ZKHOST", server.addr().to_string());
        assert_unknown(&tool.args(times).args(["check", "/db"]).run(), "not done in ");
    }
}

#[test]
fn a_server_that_freezes_at_the_end_does_not_change_the_verdict() {
    let server = FakeServer::start();
    server.put("/db", br#"{"size":1}"#);
    server.put("/db/a", b"{}");
    server.before_reply(op::CLOSE_SESSION, |server| server.stall());
    let tool = Tool::new("zkctl").env("ZKHOST", server.addr().to_string());
    let output = tool.args(["-t", "700ms", "check", "/db"]).run();
    output.ok().stdout_has("OK: 1/1 nodes running");
    assert!(output.elapsed < patience(Duration::from_millis(2500)), "{output}");
}

#[test]
fn a_reader_that_went_away_does_not_change_the_verdict() {
    let fixture = farm("a_reader_that_went_away_does_not_change_the_verdict", r#"{"size": 3}"#, 1);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut check = Command::new(Tool::path_of("zkctl"));
    check.env("ZKHOST", fixture.chroot.connect_string()).args(["check", "/db"]).stdout(writer);
    let output = check.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(2), Vec::new()));
}
