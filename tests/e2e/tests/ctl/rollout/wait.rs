//! `zkctl rollout wait`.

use super::super::{assert_fails_with_hint, json};
use super::fixture::{CONF, GROUP, Group, STATE, contend, runs, version, wants, with};
use farm_harness::{Acl, FakeServer, Signal, Tool, patience};
use serde_json::json;
use std::time::Duration;

#[test]
fn it_ends_when_the_last_member_is_confirmed() {
    let mut group = Group::new("it_ends_when_the_last_member", "old");
    let mut members = ["web-1", "web-2"].map(|id| group.join(id, &runs("old")));
    group.run("wait", &[]).ok().stdout_is("").stderr_is("");
    let done = json(&group.run("wait", &["--json"]).ok().stdout);
    assert_eq!((&done["outcome"], &done["done"]), (&json!("done"), &json!(2)));
    // No member has noticed yet, and the wait begins after the put.
    group.publish("new");
    let mut wait = group.start("wait", &["--for", "1m"]);
    members[0].tell(&runs("new"));
    let contender = members[1].contend("");
    for record in [
        wants("waiting", "old", "new"),
        with(&runs("new"), &json!({"state": "unconfirmed", "confirmed": version("old")})),
        with(&runs("new"), &json!({"state": "soaking"})),
    ] {
        members[1].tell(&record);
        assert!(wait.is_running());
    }
    members[1].leave_queue(&contender);
    members[1].tell(&runs("new"));
    wait.wait_exit().ok().stdout_is("").stderr_is("");
}

#[test]
fn newer_content_is_told_of_and_waited_for() {
    let mut group = Group::new("newer_content_is_told_of", "new");
    let mut member = group.join("web-1", &wants("restarting", "old", "new"));
    let mut wait = group.start("wait", &["--for", "1m", "-v"]);
    let mut ruby = group.fixture.chroot.zk();
    // The first look is over when it names the contender.
    let contender = contend(&mut ruby, "");
    member.tell(&runs("new"));
    wait.wait_log("contenders without a member: ex0000000000");
    group.publish("newer");
    wait.wait_log(&format!("there is newer content, waiting for version {}", version("newer")));
    ruby.delete(&format!("/_zklocking/services__app/{contender}")).unwrap();
    assert!(wait.is_running());
    member.tell(&runs("newer"));
    wait.wait_exit().ok();
}

#[test]
fn a_restart_counts_until_everybody_has_done_it() {
    let group = Group::new("a_restart_counts_until", "new");
    let mut member = group.join("web-1", &runs("new"));
    group.run("restart", &[]).ok();
    let late = group.run("wait", &["--for", "300ms"]);
    late.code(124).stdout_is("");
    late.stderr_has(
        "services__app: not done in 300 ms: 0 of 1 confirmed; \
         web-1 has not restarted yet (running)",
    );
    let mut wait = group.start("wait", &[]);
    member.tell(&with(&runs("new"), &json!({"restarted": 1})));
    wait.wait_exit().ok();
}

#[test]
fn it_ends_with_a_no_where_waiting_cannot_help() {
    let mut group = Group::new("it_ends_with_a_no", "new");
    group.run("wait", &[]).code(1).stderr_has("services__app has no member");
    let _first = group.join("web-1", &runs("new"));
    let mut second = group.join("web-2", &wants("waiting", "old", "new"));
    let new = version("new");

    // The verdict is enough: the member will notice.
    group.know("new", &json!({"verdict": "refused", "by": "web-9", "reason": "it ended with 3"}));
    let refused = group.run("wait", &["-o", "jsonl"]);
    assert_eq!(json(&refused.code(1).stdout)["outcome"], "refused");
    assert!(
        refused.stderr.contains(&format!(
            "web-2 can't go on: version {new} is refused by web-9: it ended with 3"
        )),
        "{refused}"
    );

    group.order(&json!({"skip": {"web-2": new}}));
    let skipped = group.run("wait", &[]);
    skipped.code(1).stderr_has(&format!("version {new} is skipped on web-2"));

    group.order(&json!({"paused": true, "by": "ann@ops", "why": "lunch"}));
    group.know("new", &json!({"verdict": "confirmed"}));
    let hint = "zkctl rollout resume services__app lets it go on";
    let line = "services__app is paused by ann@ops: lunch; not done: web-2";
    assert_fails_with_hint(&group.run("wait", &[]), 1, line, hint);

    group.order(&json!({}));
    let record = json!({"state": "failed", "running": new, "reason": "no memory"});
    second.tell(&with(&wants("failed", "old", "new"), &record));
    let failed = group.run("wait", &[]);
    failed.code(1).stderr_has(&format!("web-2 has failed on version {new}: no memory"));
}

#[test]
fn a_turn_under_way_in_a_paused_group_is_waited_for() {
    let mut group = Group::new("a_turn_under_way_in_a_paused_group", "new");
    let mut member = group.join("web-1", &wants("restarting", "old", "new"));
    group.order(&json!({"paused": true}));
    group.run("wait", &["--for", "500ms"]).code(124);
    let mut wait = group.start("wait", &[]);
    member.tell(&runs("new"));
    wait.wait_exit().ok();
}

#[test]
fn a_failed_member_that_is_about_to_try_newer_content_is_no_end() {
    let mut group = Group::new("a_failed_member_about_to_try", "newer");
    let record = json!({"running": version("new")});
    let mut member = group.join("web-1", &with(&wants("failed", "old", "new"), &record));
    group.know("new", &json!({"verdict": "refused", "by": "web-1"}));
    let mut wait = group.start("wait", &[]);
    group.run("wait", &["--for", "1s"]).code(124).stderr_has("web-1 is failed");
    assert!(wait.is_running());
    member.tell(&runs("newer"));
    wait.wait_exit().ok();
    group.publish("newest");
    member.tell(&runs("newest"));
    group.run("wait", &[]).ok();
}

#[test]
fn a_contender_without_a_member_is_named() {
    let group = Group::new("a_contender_without_a_member", "new");
    let _member = group.join("web-1", &runs("new"));
    let mut ruby = group.fixture.chroot.zk();
    let id = contend(&mut ruby, r#"{"host":"old-1"}"#);
    let output = group.run("wait", &["--for", "500ms"]);
    output.code(124).stderr_has(&format!(
        "services__app: not done in 500 ms: 1 of 1 confirmed; \
         contenders without a member: {id} (old-1)"
    ));
    let mut wait = group.start("wait", &[]);
    drop(ruby);
    wait.wait_exit().ok();
}

#[test]
fn sources_that_may_not_be_read_are_named() {
    let group = Group::new("sources_that_may_not_be_read", "new");
    let _member = group.join("web-1", &runs("new"));
    let mut chroot = group.fixture.chroot.zk();
    chroot.add_auth("farmer:secret").unwrap();
    chroot.set_acl(CONF, Acl::Mine).unwrap();
    super::super::assert_forbidden(&group.run("wait", &[]), &group.fixture, CONF);
}

#[test]
fn a_member_with_unknown_sources_counts_by_what_it_says() {
    let group = Group::new("a_member_with_unknown_sources", "new");
    let moon = json!({"sources": [{"kind": "moon"}]});
    let mut member = group.join("web-1", &with(&wants("waiting", "old", "x"), &moon));
    let mut wait = group.start("wait", &[]);
    wait.wait_log("members with unknown sources count by what they say");
    member.tell(&with(&runs("x"), &moon));
    wait.wait_exit().ok();
}

/// A group on a fake server whose only member is not done.
fn unfinished() -> (FakeServer, Tool) {
    let server = FakeServer::start();
    server.put(CONF, b"new");
    let member = format!("{STATE}/members/web-1");
    server.put(&member, wants("waiting", "old", "new").to_string().as_bytes());
    let tool = Tool::new("zkctl").env("ZKHOST", server.addr().to_string());
    (server, tool)
}

/// Waits until the tool has looked at the group since it was asked last.
fn wait_for_looks(server: &FakeServer, looks: usize) {
    let path = format!("{STATE}/members");
    let has_looked = |server: &FakeServer| {
        let requests = server.requests();
        requests.iter().filter(|it| it.path.as_deref() == Some(&*path)).count() >= looks
    };
    farm_harness::eventually("it looks at the group", || {
        if has_looked(server) { Ok(()) } else { Err("not yet") }
    });
}

#[test]
fn a_lost_connection_is_not_the_end_of_a_wait() {
    let (server, tool) = unfinished();
    let mut wait = tool.args(["rollout", "wait", GROUP, "-t", "1s"]).spawn();
    wait_for_looks(&server, 2);
    server.refuse();
    server.cut();
    farm_harness::holds_for(Duration::from_millis(1500), "it waits", || {
        if wait.is_running() { Ok(()) } else { Err("it has ended") }
    });
    let member = format!("{STATE}/members/web-1");
    server.put(&member, runs("new").to_string().as_bytes());
    server.accept();
    wait.wait_exit().ok();
}

#[test]
fn the_number_of_rounds_bounds_a_wait_as_well() {
    let (server, tool) = unfinished();
    let mut wait = tool.args(["rollout", "wait", GROUP, "-r", "1"]).spawn();
    wait_for_looks(&server, 2);
    server.refuse();
    server.cut();
    wait.wait_exit().code(69).stdout_is("").stderr_has("no ZooKeeper server reached");
}

#[test]
fn it_never_waits_longer_than_it_is_told() {
    let (server, tool) = unfinished();
    let wait = ["rollout", "wait", GROUP, "--for", "1s"];
    let output = tool.args(wait).run();
    output.code(124);
    assert!(output.elapsed >= Duration::from_millis(900), "{:?}", output.elapsed);
    assert!(output.elapsed < patience(Duration::from_secs(5)), "{:?}", output.elapsed);
    // Also not for a server that hangs, or is not there.
    server.stall();
    let tool = Tool::new("zkctl").env("ZKHOST", server.addr().to_string());
    tool.args(["-t", "500ms", "rollout", "wait", GROUP]).run().code(69).stdout_is("");
    let tool = Tool::new("zkctl").env("ZKHOST", server.addr().to_string());
    let output = tool.args(["rollout", "wait", GROUP, "--for", "500ms"]).run();
    output.code(69);
    assert!(output.elapsed < patience(Duration::from_secs(5)), "{:?}", output.elapsed);
}

#[test]
fn signals_end_it_as_they_end_any_command() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (server, tool) = unfinished();
        let mut wait = tool.args(["rollout", "wait", GROUP]).spawn();
        wait_for_looks(&server, 2);
        wait.signal(signal);
        wait.wait_exit().signal(signal);
    }
}
