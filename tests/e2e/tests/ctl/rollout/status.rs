//! `zkctl rollout status`.

use super::super::{CtlFixture, assert_fails_with_hint, json};
use super::fixture::{CONF, GROUP, Group, LOCK, STATE, contend, runs, version, wants, with};
use farm_harness::{Acl, FakeServer, Tool, op, patience};
use serde_json::{Value, json};
use std::time::Duration;

/// A group in which the turn of the second of three members has failed.
fn failed_group(test_name: &str) -> (Group, [super::fixture::Member; 3], farm_harness::Zk) {
    let mut group = Group::new(test_name, "new");
    let mut ruby = group.fixture.chroot.zk();
    contend(&mut ruby, "");
    let first = group.join("web-1", &runs("new"));
    let failed = json!({"running": version("new"), "reason": "it ended with 3", "n": 2});
    let mut second = group.join("web-2", &with(&wants("failed", "old", "new"), &failed));
    second.contend(r#"{"host":"web-2","n":2}"#);
    let waits = json!({"waits_for": "lock"});
    let mut third = group.join("web-3", &with(&wants("waiting", "old", "new"), &waits));
    third.contend(r#"{"host":"web-3","n":2}"#);
    group.know(
        "new",
        &json!({"v": 1, "verdict": "refused", "by": "web-2", "at": 0,
        "reason": "it ended with 3"}),
    );
    group.order(&json!({"v": 1, "paused": true, "by": "bob@ops", "at": 0, "why": "lunch"}));
    (group, [first, second, third], ruby)
}

#[test]
fn who_does_what_and_who_waits_for_whom_is_shown() {
    let (group, _members, ruby) = failed_group("who_does_what_and_who_waits");
    let session = format!("session={:#x}", ruby.session_id());
    let text = group.run("status", &[]).ok().stderr_is("").text();
    let (new, old) = (version("new"), version("old"));
    let lines: Vec<&str> = text.lines().collect();
    let since = "2023-11-14T22:13:20Z";
    let expected = [
        "services__app: 1 of 3 confirmed".to_owned(),
        "control: paused (by bob@ops 1970-01-01T00:00:00Z: lunch)".to_owned(),
        format!(
            "version {new} wanted by 3: refused by web-2 1970-01-01T00:00:00Z: it ended with 3"
        ),
        format!("web-1                running     {new} {since} ok"),
        format!("web-2                failed      {new} {since} ok      it ended with 3"),
        format!(
            "web-3                waiting     {old} {since} ok      \
             waits for lock: {session}, web-2"
        ),
    ];
    assert_eq!(lines[..6], expected, "{text}");
    assert!(lines[6].starts_with("ex0000000000         holds       -            20"), "{text}");
    assert!(lines[6].ends_with(&format!("{session}, no member that tells what it does")), "{text}");
    assert_eq!(lines.len(), 7, "{text}");

    let object = json(&group.run("status", &["--json"]).ok().stderr_is("").stdout);
    assert_eq!(
        (&object["v"], &object["done"], &object["total"]),
        (&json!(1), &json!(1), &json!(3))
    );
    assert_eq!(object["control"]["paused"], true);
    assert_eq!(object["versions"][0]["verdict"], "refused");
    assert_eq!(object["members"][2]["holders"], json!([session, "web-2"]));
    assert_eq!(object["contenders"][0]["state"], "holds");
    // The name as in ZooKeeper, and all formats of the same.
    let line = group.fixture.run(&["rollout", "status", "services__app", "-o", "jsonl"]);
    assert_eq!(line.ok().text().lines().count(), 1);
    assert_eq!(json(&line.stdout), object);
    let rows = group.run("status", &["-o", "tsv", "--header"]).ok().text();
    assert!(rows.starts_with("id\tstate\twanted\t"), "{rows}");
    assert_eq!(rows.lines().count(), 5, "{rows}");
    group.run("status", &["-o", "yaml"]).ok().stdout_has("group: services__app\n");
}

#[test]
fn all_groups_have_a_line_and_strangers_among_them_do_no_harm() {
    let (mut group, _members, _ruby) = failed_group("all_groups_have_a_line");
    group.fixture.create("/_zkexec/idle/control", "nonsense");
    group.fixture.create("/_zklocking/ruby-only/ex0000000007", "");
    group.fixture.create("/_zkexec/odd\u{202e}/members/x", b"\xff\0");
    let text = group.fixture.run(&["rollout", "status"]).ok().stderr_is("").text();
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    let start = |line: &[&str]| line.iter().take(4).map(|word| (*word).to_owned()).collect();
    let starts: Vec<Vec<String>> = lines.iter().map(|line| start(line)).collect();
    assert_eq!(starts[0], ["idle", "0/0", "confirmed", "-"], "{text}");
    assert_eq!(starts[1][1..], ["0/1", "confirmed", "unknown"], "{text}");
    assert_eq!(starts[2], ["ruby-only", "0/0", "confirmed", "-"], "{text}");
    assert_eq!(starts[3], ["services__app", "1/3", "confirmed", "failed"], "{text}");
    let rows = json(&group.fixture.run(&["rollout", "status", "--json"]).ok().stdout);
    assert_eq!(rows[3]["control"]["why"], "lunch");
    assert_eq!(rows[2]["without_member"], 1);
}

#[test]
fn no_group_is_a_no_and_none_at_all_is_an_empty_answer() {
    let fixture = CtlFixture::new("no_group_is_a_no");
    let hint = "zkctl rollout status shows all groups";
    for command in ["status", "wait", "restart", "pause", "resume", "retry", "history"] {
        let output = fixture.run(&["rollout", command, GROUP]);
        assert_fails_with_hint(&output, 1, "there is no group services__app", hint);
    }
    fixture.run(&["rollout", "skip", GROUP, "a"]).code(1).stdout_is("");
    fixture.run(&["rollout", "status"]).ok().stdout_is("").stderr_is("");
    fixture.run(&["rollout", "status", "--json"]).ok().stdout_is("[]\n");
    fixture.run(&["rollout", "status", ".."]).code(2);
    // Nothing was created on the way.
    let mut fixture = fixture;
    assert_eq!(fixture.zk.children("/").unwrap(), [""; 0]);
}

#[test]
fn members_whose_sources_are_hidden_or_unknown_count_by_what_they_say() {
    let group = Group::new("members_whose_sources_are_hidden", "new");
    let mut chroot = group.fixture.chroot.zk();
    chroot.add_auth("farmer:secret").unwrap();
    chroot.set_acl(CONF, Acl::Mine).unwrap();
    let _known = group.join("web-1", &runs("other"));
    let moon = json!({"sources": [{"kind": "moon", "path": CONF}]});
    let _unknown = group.join("web-2", &with(&runs("another"), &moon));
    let output = group.run("status", &["--json"]);
    output.ok().stderr_has(&format!("not authorised: {}{CONF}", group.fixture.chroot.path()));
    output.stderr_has("members with unknown sources count by what they say");
    let object = json(&output.stdout);
    assert_eq!(object["members"][0]["wanted"], version("other"));
    assert_eq!(object["members"][1]["wanted"], version("another"));
    assert_eq!(object["done"], 2);
}

#[test]
fn a_subtree_and_an_absent_znode_are_sources_like_any_other() {
    let mut group = Group::new("a_subtree_and_an_absent_znode", "new");
    group.fixture.create("/conf/tree/a", "1");
    group.fixture.create("/conf/tree/.hidden", "2");
    let sources = json!({"sources": [
        {"kind": "tree", "path": "/conf/tree"}, {"kind": "znode", "path": "/conf/none"},
    ]});
    let _member = group.join("web-1", &with(&runs("new"), &sources));
    let wanted = |group: &Group| {
        let object = json(&group.run("status", &["--json"]).ok().stderr_is("").stdout);
        object["members"][0]["wanted"].as_str().unwrap().to_owned()
    };
    let first = wanted(&group);
    group.fixture.zk.set("/conf/tree/.hidden", "3").unwrap();
    assert_eq!(wanted(&group), first);
    group.fixture.zk.set("/conf/tree/a", "2").unwrap();
    let second = wanted(&group);
    assert_ne!(second, first);
    group.fixture.create("/conf/none", "");
    assert_ne!(wanted(&group), second);
}

#[test]
fn records_from_anybody_are_shown_and_never_acted_on() {
    let mut group = Group::new("records_from_anybody", "new");
    let deep = "[".repeat(100_000);
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(900_000));
    for (id, record) in [
        ("a", &*deep),
        ("b", "\u{0}"),
        ("c", r#"{"state":7,"since":"x","sources":{},"wanted":[],"restarted":-1,"n":0}"#),
        ("d", r#"{"reason":"\u001b[2J\n","waits_for":"\u202e","state":"\u001b"}"#),
        ("e", &*long),
        ("f\u{1b}[2J", "{}"),
    ] {
        let path = format!("{STATE}/members/{id}");
        if group.fixture.zk.create_all(&path, record).is_err() {
            // The server refuses control characters in names itself.
            assert!(id.starts_with('f'), "{id}");
        }
    }
    group.order(&json!({"restart": 1.5, "skip": {"a": 7, "b": "\u{1b}"}, "why": ["x"]}));
    group.fixture.create(&format!("{LOCK}/ex\u{202e}5"), "[]");
    for format in ["text", "tsv", "json", "jsonl", "yaml"] {
        let output = group.run("status", &["-o", format]).ok().text();
        assert!(!output.contains('\u{1b}'), "{format}: {output}");
        assert!(output.len() < 10_000, "{format}: {} bytes", output.len());
    }
    group.run("wait", &["--for", "300ms"]).code(124);
}

#[test]
fn a_thousand_members_take_few_requests_and_little_time() {
    let server = FakeServer::start();
    server.put(CONF, b"new");
    for number in 0..1000 {
        let record = runs("new").to_string();
        server.put(&format!("{STATE}/members/web-{number:04}"), record.as_bytes());
    }
    let tool = Tool::new("zkctl").env("ZKHOST", server.addr().to_string());
    let output = tool.args(["rollout", "status", GROUP, "--json"]).run();
    let object = json(&output.ok().stderr_is("").stdout);
    assert_eq!((&object["done"], &object["total"]), (&json!(1000), &json!(1000)));
    let count =
        |opcode: i32| server.requests().iter().filter(|request| request.opcode == opcode).count();
    let lists = count(op::GET_CHILDREN) + count(op::GET_CHILDREN2);
    assert!(lists <= 3, "{lists} lists of children");
    let reads = count(op::GET_DATA) + count(op::MULTI_READ) + count(op::EXISTS);
    assert!(reads <= 60, "{reads} reads");
    // The usual time is a tenth of it.
    assert!(output.elapsed < patience(Duration::from_secs(2)), "{:?}", output.elapsed);
    let states: Vec<&Value> =
        object["members"].as_array().unwrap().iter().map(|member| &member["state"]).collect();
    assert!(states.iter().all(|state| *state == "running"));
}
