//! `zkctl rollout retry` and `skip`.

use super::super::json;
use super::fixture::{Group, STATE, contend, runs, version, wants, with};
use farm_harness::{FakeServer, Tool, op};
use serde_json::{Value, json};

fn refused(by: &str) -> Value {
    json!({"v": 1, "verdict": "refused", "by": by, "at": 0, "reason": "no", "tries": 0})
}

/// A record of a member whose child does not work on the new content.
fn failed() -> Value {
    with(&wants("failed", "old", "new"), &json!({"running": version("new"), "reason": "no"}))
}

#[test]
fn a_refusal_is_forgotten_and_nothing_else() {
    let mut group = Group::new("a_refusal_is_forgotten", "new");
    let mut holder = group.join("web-1", &failed());
    holder.contend("");
    let _other = group.join("web-2", &wants("refused", "old", "new"));
    group.know("new", &refused("web-1"));
    group.know("old", &refused("web-1"));
    let line = format!("services__app: version {} may be tried again\n", version("new"));
    group.run("retry", &["--why", "disk is free"]).ok().stderr_is("").stdout_is(line);
    let known = group.known("new");
    assert_eq!((&known["verdict"], &known["round"]), (&json!("trying"), &json!(1)));
    assert_eq!((&known["tries"], &known["reason"]), (&json!(0), &json!("disk is free")));
    assert!(known["by"].as_str().unwrap().starts_with("ann@"), "{known}");
    assert_eq!(group.known("old"), refused("web-1"));
    let control = format!("{STATE}/control");
    assert!(group.fixture.zk.exists(&control).unwrap().is_none());
}

#[test]
fn what_has_failed_for_another_reason_is_retried_by_number() {
    let mut group = Group::new("what_has_failed_for_another_reason", "new");
    let mut holder = group.join("web-1", &with(&runs("new"), &json!({"state": "failed"})));
    holder.contend("");
    group.know("new", &json!({"verdict": "confirmed", "by": "web-1"}));
    let before = group.known("new");
    let output = group.run("retry", &["--ignore-hours", "1h"]);
    output.ok().stderr_is("").stdout_is("services__app: web-1 tries again\n");
    assert_eq!(group.control()["retry"], 1);
    assert!(group.control()["ignore_hours_until"].is_i64());
    assert_eq!(group.known("new"), before);
    group.run("retry", &[]).ok();
    assert_eq!(group.control()["retry"], 2);
}

#[test]
fn where_a_retry_changes_nothing_it_says_why() {
    let mut group = Group::new("where_a_retry_changes_nothing", "new");
    let mut member = group.join("web-1", &runs("new"));
    group.run("retry", &[]).code(1).stderr_has("nothing to retry in services__app");
    member.tell(&failed());
    group.know("new", &refused("web-1"));
    group.order(&json!({"paused": true}));
    group.run("retry", &[]).code(1).stderr_has("services__app is paused");
    group.order(&json!({}));
    let mut ruby = group.fixture.chroot.zk();
    let id = contend(&mut ruby, "");
    member.contend("");
    let output = group.run("retry", &[]);
    output.code(1).stdout_is("").stderr_has("the head of the queue of services__app is no member");
    output.stderr_has(&format!("zkctl locks services__app --break {id}"));
    assert_eq!(group.known("new"), refused("web-1"));
}

#[test]
fn a_skip_is_written_before_the_refusal_is_forgotten() {
    let mut group = Group::new("a_skip_is_written_before", "new");
    let mut holder = group.join("web-1", &failed());
    holder.contend("");
    let _other = group.join("web-2", &wants("refused", "old", "new"));
    group.know("new", &refused("web-1"));
    let new = version("new");
    let output = group.fixture.run(&["rollout", "skip", "services/app", "web-1", "--json"]);
    let answer = json(&output.ok().stderr_is("").stdout);
    assert_eq!((&answer["changed"], &answer["forgotten"]), (&json!(true), &json!([new])));
    assert_eq!(group.control()["skip"], json!({"web-1": new}));
    assert_eq!(group.known("new")["verdict"], "trying");
    let mut mzxid =
        |path: &str| group.fixture.zk.get(&format!("{STATE}/{path}")).unwrap().stat.mzxid;
    assert!(mzxid("control") < mzxid(&format!("versions/{new}")));

    // Another one refuses it too: the second skip does not forget that.
    let skips = with(&failed(), &json!({"state": "skipped"}));
    holder.tell(&skips);
    group.know("new", &refused("web-2"));
    let again = group.run("skip", &["web-1"]);
    again.ok().stdout_is("").stderr_has(&format!("nothing to change: web-1 skips version {new}"));
    assert_eq!(group.known("new"), refused("web-2"));
}

#[test]
fn only_a_member_that_has_failed_can_skip() {
    let mut group = Group::new("only_a_member_that_has_failed", "newer");
    let _member = group.join("web-1", &runs("newer"));
    let _failed = group.join("web-2", &failed());
    for (id, line) in [
        ("web-1", "web-1 has not failed: its state is running"),
        ("web-2", &format!("web-2 has not tried version {} yet", version("newer"))),
        ("web-3", "services__app has no member web-3"),
        ("", "services__app has no member "),
    ] {
        group.run("skip", &[id]).code(1).stdout_is("").stderr_has(line);
    }
    assert!(group.fixture.zk.exists(&format!("{STATE}/control")).unwrap().is_none());
}

#[test]
fn a_skip_whose_answer_is_lost_is_finished() {
    let server = FakeServer::start();
    let (member, known) = (format!("{STATE}/members/web-1"), format!("{STATE}/versions/"));
    server.put("/conf/app", b"new");
    server.put(&member, failed().to_string().as_bytes());
    let known = format!("{known}{}", version("new"));
    server.put(&known, refused("web-1").to_string().as_bytes());
    server.put(&format!("{STATE}/control"), b"{}");
    let skipped = with(&failed(), &json!({"state": "skipped"})).to_string();
    server.before_reply(op::SET_DATA, move |server| {
        // The member is quicker than the answer.
        server.put(&member, skipped.as_bytes());
        server.cut();
    });
    let tool = Tool::new("zkctl").env("ZKHOST", server.addr().to_string());
    let output = tool.args(["rollout", "skip", "services/app", "web-1"]).run();
    output.ok().stdout_has("the others may try version");
    assert_eq!(json(server.get(&known).unwrap())["verdict"], "trying");
}
