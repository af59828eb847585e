//! `zkctl rollout restart`, `pause` and `resume`.

use super::super::json;
use super::fixture::{GROUP, Group, LOCK, STATE, contend, runs, wants, with};
use farm_harness::{FakeServer, Scratch, Tool, op};
use serde_json::{Value, json};

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

#[test]
fn a_group_is_paused_and_resumed_and_says_who_did_it() {
    let mut group = Group::new("a_group_is_paused_and_resumed", "new");
    let before = now_ms();
    group
        .run("pause", &["--why", "lunch"])
        .ok()
        .stderr_is("")
        .stdout_is("services__app is paused\n");
    let control = group.control();
    assert_eq!((&control["paused"], &control["why"]), (&json!(true), &json!("lunch")));
    assert!(control["by"].as_str().unwrap().starts_with("ann@"), "{control}");
    assert!((before..=now_ms()).contains(&control["at"].as_i64().unwrap()), "{control}");
    // Once more changes nothing.
    let again = group.run("pause", &[]);
    again.ok().stdout_is("").stderr_has("nothing to change: services__app is paused");
    assert_eq!(group.control(), control);

    let output = group.run("resume", &["--ignore-hours", "2h", "--json"]);
    let answer = json(&output.ok().stderr_is("").stdout);
    assert_eq!((&answer["command"], &answer["changed"]), (&json!("resume"), &json!(true)));
    let until = group.control()["ignore_hours_until"].as_i64().unwrap();
    let hours = 2 * 3_600_000;
    assert!((before + hours..=now_ms() + hours).contains(&until), "{until}");
    assert_eq!(group.control()["paused"], false);
    let again = group.run("resume", &["-o", "jsonl"]);
    assert_eq!(json(&again.ok().stderr_has("is not paused").stdout)["changed"], false);
    // Hours alone are something to change.
    group.run("resume", &["--ignore-hours", "0"]).ok().stderr_is("");
}

#[test]
fn fields_of_other_tools_stay_in_the_control() {
    let mut group = Group::new("fields_of_other_tools", "new");
    group.order(&json!({"later": [1], "restart": 3, "skip": {"a": "0123456789ab"}}));
    group.run("pause", &[]).ok();
    let control = group.control();
    assert_eq!((&control["later"], &control["restart"]), (&json!([1]), &json!(3)));
    assert_eq!(control["skip"], json!({"a": "0123456789ab"}));
    group.fixture.zk.set(&format!("{STATE}/control"), "[]").unwrap();
    group.run("pause", &[]).code(65).stdout_is("").stderr_has("holds no record");
}

#[test]
fn the_parent_of_all_groups_is_open_and_a_group_is_not() {
    let mut fixture = super::super::CtlFixture::new("the_parent_of_all_groups_is_open");
    fixture.create(LOCK, "");
    let scratch = Scratch::new();
    let auth = scratch.write("auth", "digest:farmer:secret\n");
    let auth = ["--auth-file", auth.to_str().unwrap(), "--acl", "creator"];
    let pause = ["rollout", "pause", GROUP];
    fixture.tool(&pause).args(auth).run().ok();
    let mut farmer = fixture.chroot.zk();
    farmer.add_auth("farmer:secret").unwrap();
    let mut is_open = |path: &str| {
        farmer.get_acl(path).unwrap().iter().any(|entry| entry.contains("world:anyone"))
    };
    assert!(is_open("/_zkexec"));
    assert!(!is_open(STATE));
    fixture.run(&["rollout", "status", GROUP]).code(77).stdout_is("");
    fixture.tool(&["rollout", "status", GROUP]).args(auth).run().ok().stdout_has("paused");
    fixture.run(&["rollout", "status"]).ok().stdout_is("").stderr_has("leaving out a group");
}

#[test]
fn a_restart_is_counted_once_until_everybody_has_done_it() {
    let mut group = Group::new("a_restart_is_counted_once", "new");
    let mut members = ["web-1", "web-2"].map(|id| group.join(id, &runs("new")));
    let why = ["--why", "new OpenSSL"];
    group
        .run("restart", &why)
        .ok()
        .stderr_is("")
        .stdout_is("services__app: restart 1 is ordered for 2 members\n");
    assert_eq!(
        (&group.control()["restart"], &group.control()["why"]),
        (&json!(1), &json!("new OpenSSL"))
    );
    members[0].tell(&with(&runs("new"), &json!({"restarted": 1})));
    let behind = group.run("restart", &["--json"]);
    behind.ok().stderr_has("restart 1 of services__app is not done yet: web-2");
    assert_eq!(json(&behind.stdout)["changed"], false);
    assert_eq!(group.control()["restart"], 1);
    group.run("restart", &["--again"]).ok().stderr_is("").stdout_has("restart 2 is ordered");
    for member in &mut members {
        member.tell(&with(&runs("new"), &json!({"restarted": 2})));
    }
    group.run("restart", &[]).ok().stderr_is("").stdout_has("restart 3 is ordered");
    assert_eq!(group.control()["restart"], 3);
}

#[test]
fn a_restart_tells_what_it_waits_for() {
    let mut group = Group::new("a_restart_tells_what_it_waits_for", "new");
    let empty = group.run("restart", &[]);
    empty.code(1).stderr_has("services__app has no member");
    let mut member = group.join("web-1", &wants("failed", "old", "new"));
    member.contend("");
    let mut ruby = group.fixture.chroot.zk();
    contend(&mut ruby, r#"{"host":"old-1"}"#);
    group.order(&json!({"paused": true}));
    let output = group.run("restart", &[]);
    output.ok().stdout_has("restart 1 is ordered for 1 member");
    output.stderr_has("it waits for web-1, whose turn has failed");
    output.stderr_has("it begins after zkctl rollout resume services__app");
    output.stderr_has("contenders without a member do not take part: old-1");
}

/// A group on a fake server, whose answer to the next write is lost.
fn cut_at(opcode: i32) -> (FakeServer, Tool) {
    let server = FakeServer::start();
    let member = format!("{STATE}/members/web-1");
    server.put(&member, runs("new").to_string().as_bytes());
    server.put(&format!("{STATE}/control"), br#"{"restart":0}"#);
    server.before_reply(opcode, FakeServer::cut);
    let tool = Tool::new("zkctl").env("ZKHOST", server.addr().to_string());
    (server, tool)
}

#[test]
fn an_order_whose_answer_is_lost_is_given_once_and_counts_as_given() {
    let control = |server: &FakeServer| -> Value {
        json(server.get(&format!("{STATE}/control")).unwrap_or_default())
    };
    for again in [&[][..], &["--again"]] {
        let (server, tool) = cut_at(op::SET_DATA);
        let output = tool.args(["rollout", "restart", GROUP]).args(again).run();
        output.ok().stdout_is("services__app: restart 1 is ordered for 1 member\n");
        assert_eq!(control(&server)["restart"], 1, "{again:?}");
    }
    let (server, tool) = cut_at(op::SET_DATA);
    let output = tool.args(["rollout", "pause", GROUP, "--json"]).run();
    assert_eq!(json(&output.ok().stdout)["changed"], true, "{output}");
    assert_eq!(control(&server)["paused"], true);
}
