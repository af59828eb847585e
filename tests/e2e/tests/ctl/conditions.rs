//! `zkctl set` with conditions, with `--create` and as a dry run.

use super::{CtlFixture, assert_fails, json};
use farm_harness::{FakeServer, Running, Tool, op};
use serde_json::json;

#[test]
fn a_condition_decides_whether_anything_is_written() {
    let mut fixture = CtlFixture::with_host(
        "a_condition_decides_whether_anything_is_written",
        r#"{"enabled":"1","delay":7}"#,
    );
    let set = |more: &[&str]| fixture.tool(&["set", "/db/web1", "enabled", "0"]).args(more).run();
    for condition in ["enabled=0", "delay<7", "gone=1", "enabled=1,!delay"] {
        let line = "/db/web1 does not fulfil the condition";
        assert_fails(&set(&["--if", condition]), 1, line);
    }
    assert_fails(&set(&["--if-version", "7"]), 1, "/db/web1 has version 0");
    set(&["--if", "enabled="]).code(1);
    set(&["--if", "=1"]).code(2).stdout_is("").stderr_has("^");
    set(&["--if-version", "-1"]).code(2).stdout_is("");
    assert_eq!(fixture.host().stat.version, 0);
    let set = |more: &[&str]| fixture.tool(&["set", "/db/web1", "enabled", "0"]).args(more).run();
    set(&["--if", "enabled=1", "--if-version", "0"]).ok().stdout_is("").stderr_is("");
    assert_eq!(json(fixture.host().data), json!({"enabled": "0", "delay": 7}));
}

#[test]
fn of_many_with_the_same_condition_one_wins() {
    let mut fixture =
        CtlFixture::with_host("of_many_with_the_same_condition_one_wins", r#"{"turn":""}"#);
    let mut all: Vec<Running> = (0..20)
        .map(|n| {
            let owner = format!("n{n}");
            fixture.tool(&["set", "/db/web1", "turn", &owner, "--if", "turn="]).spawn()
        })
        .collect();
    let codes: Vec<_> = all.iter_mut().map(|tool| tool.wait_exit().code).collect();
    let winners: Vec<_> = (0..20).filter(|&n| codes[n] == Some(0)).collect();
    assert_eq!(winners.len(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 1))), "{codes:?}");
    let host = fixture.host();
    assert_eq!(json(&host.data), json!({"turn": format!("n{}", winners[0])}));
    assert_eq!(host.stat.version, 1);
}

#[test]
fn a_condition_is_not_judged_again_when_the_answer_is_lost() {
    for condition in [["--if", "a=0"], ["--if-version", "0"]] {
        let server = FakeServer::start();
        server.put("/db/web1", br#"{"a":"0"}"#);
        server.before_reply(op::SET_DATA, |server| server.cut());
        let tool = Tool::new("zkctl").env("ZKHOST", server.addr().to_string());
        let tool = tool.args(["set", "/db/web1", "a", "1"]).args(condition);
        tool.run().ok().stdout_is("").stderr_is("");
        assert_eq!(server.get("/db/web1").unwrap(), br#"{"a":"1"}"#);
    }
}

#[test]
fn a_znode_is_created_on_demand_only() {
    let mut fixture = CtlFixture::new("a_znode_is_created_on_demand_only");
    let path = fixture.chroot.path().to_owned();
    let set = |more: &[&str]| fixture.tool(&["set", "/a/b/c", "x", "1"]).args(more).run();
    assert_fails(&set(&[]), 1, &format!("no such znode: {path}/a/b/c"));
    set(&["--create", "--if", "x=0"]).code(1).stdout_is("");
    set(&["--create", "--if-version", "0"]).code(1).stdout_is("");
    set(&["--create", "-n"]).code(1).stdout_is("x: (none) -> \"1\"\n").stderr_is("");
    assert_eq!(fixture.zk.exists("/a").unwrap(), None);
    let set = |more: &[&str]| fixture.tool(&["set", "/a/b/c", "x", "1"]).args(more).run();
    set(&["--create", "--if", "!x"]).ok().stdout_is("").stderr_is("");
    set(&["--create"]).ok();
    let znode = fixture.zk.get("/a/b/c").unwrap();
    assert_eq!((znode.text(), znode.stat.version), (r#"{"x":"1"}"#.to_owned(), 0));
    assert_eq!(fixture.zk.get("/a/b").unwrap().data, b"");

    let mut all: Vec<Running> = (0..10)
        .map(|n| fixture.tool(&["set", "/new/place", &format!("f{n}"), "1", "--create"]).spawn())
        .collect();
    for tool in &mut all {
        tool.wait_exit().ok();
    }
    let fields = json(fixture.zk.get("/new/place").unwrap().data);
    assert_eq!(fields.as_object().unwrap().len(), 10, "{fields}");
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_it_would() {
    let mut fixture = CtlFixture::with_host(
        "a_dry_run_writes_nothing_and_says_what_it_would",
        r#"{"a":"0","n":1}"#,
    );
    let set = ["set", "/db/web1", "a=1", "n=1", "b.c:=[true]", "-n"];
    let expected = "a: \"0\" -> \"1\"\nb.c: (none) -> [true]\n";
    fixture.run(&set).code(1).stdout_is(expected).stderr_is("");
    fixture.run(&["set", "/db/web1", "a=0", "n=1", "--dry-run"]).ok().stdout_is("").stderr_is("");
    fixture.run(&["set", "-n", "/db/web1", "a.b", "1"]).code(65).stdout_is("");
    assert_eq!(fixture.host().stat.version, 0);
}

#[test]
fn the_type_is_the_one_that_is_asked_for() {
    let mut fixture =
        CtlFixture::with_host("the_type_is_the_one_that_is_asked_for", r#"{"s":"x","n":1}"#);
    let set = |words: &[&str]| fixture.tool(&["set", "/db/web1"]).args(words).run();
    set(&["s", "1.50", "--type", "number"]).ok().stderr_is("");
    set(&["n", "2", "--type", "string"]).ok().stderr_is("");
    set(&["--type", "bool", "b=1", "c=false"]).ok();
    set(&["--type", "json", "j", "{\"k\": null}"]).ok();
    set(&["--type", "number", "n", "many"]).code(2).stdout_is("");
    set(&["--type", "float", "n", "1"]).code(2).stdout_is("");
    let expected = r#"{"b":true,"c":false,"j":{"k":null},"n":"2","s":1.50}"#;
    assert_eq!(fixture.host().text(), expected);
}
