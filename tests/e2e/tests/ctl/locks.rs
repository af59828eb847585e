//! `zkctl locks`.

use super::{CtlFixture, assert_fails_with_hint, assert_forbidden, json};
use farm_harness::{Acl, FakeServer, Tool, op};
use serde_json::{Value, json};

const GROUP: &str = "services/db";
const DIRECTORY: &str = "/_zklocking/services__db";
const CARD: &str =
    r#"{"host":"db-01","n":1,"pid":4711,"since":1700000060000,"why":"config changed"}"#;

/// A group in which a member written in Ruby holds and one of ours waits.
fn group(test_name: &str) -> CtlFixture {
    let mut fixture = CtlFixture::new(test_name);
    fixture.create(DIRECTORY, "");
    contend(&mut fixture, "");
    contend(&mut fixture, CARD);
    fixture
}

#[track_caller]
fn contend(fixture: &mut CtlFixture, card: &str) -> String {
    let created = fixture.zk.create_sequential(&format!("{DIRECTORY}/ex"), card);
    created.unwrap_or_else(|e| panic!("cannot create a contender: {e}"))
}

#[test]
fn who_holds_and_who_waits_is_shown_in_order() {
    let mut fixture = group("who_holds_and_who_waits_is_shown_in_order");
    let [ruby, ours] = ["ex0000000000", "ex0000000001"]
        .map(|id| fixture.zk.get(&format!("{DIRECTORY}/{id}")).unwrap());
    let session = format!("{:#x}", ruby.stat.ephemeral_owner);
    let expected = json!([
        {
            "v": 1, "group": "services__db", "id": "ex0000000000", "state": "holds",
            "since": ruby.stat.ctime_ms, "host": null, "pid": null, "n": null, "why": null,
            "session": session, "ctime": ruby.stat.ctime_ms, "czxid": ruby.stat.czxid,
        },
        {
            "v": 1, "group": "services__db", "id": "ex0000000001", "state": "waits",
            "since": 1_700_000_060_000_i64, "host": "db-01", "pid": 4711, "n": 1,
            "why": "config changed",
            "session": session, "ctime": ours.stat.ctime_ms, "czxid": ours.stat.czxid,
        },
    ]);
    // The name as in `--lock`, and as in ZooKeeper.
    for name in [&[GROUP][..], &["services__db"], &[]] {
        let output = fixture.run(&[&["locks", "--json"], name].concat());
        assert_eq!(json(&output.ok().stderr_is("").stdout), expected, "{name:?}");
    }
    let text = fixture.run(&["locks"]).ok().text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("services__db         holds ex0000000000 20"), "{text}");
    assert!(lines[0].contains(&format!(" session={session} ")), "{text}");
    assert_eq!(
        lines[1],
        "services__db         waits ex0000000001 2023-11-14T22:14:20Z db-01                   4711 config changed"
    );
}

#[test]
fn all_groups_are_shown_and_strangers_among_them_do_no_harm() {
    let mut fixture = group("all_groups_are_shown_and_strangers_among_them_do_no_harm");
    fixture.create("/_zklocking/empty", "");
    fixture.create("/_zklocking/a/ex-foo", "");
    fixture.create("/_zklocking/a/ex0000000003", "\u{1b}[2J");
    fixture.create("/_zklocking/a/sh7", vec![b'['; 900_000]);
    fixture.create("/_zklocking/a/ex99999999999999999999", "");
    let rows: Vec<Value> = fixture
        .run(&["locks", "-o", "jsonl"])
        .ok()
        .stderr_is("")
        .text()
        .lines()
        .map(json)
        .collect();
    let shown: Vec<_> = rows.iter().map(|row| (&row["group"], &row["id"], &row["state"])).collect();
    let expected = json!([
        ["a", "ex0000000003", "holds"],
        ["a", "sh7", "waits"],
        ["services__db", "ex0000000000", "holds"],
        ["services__db", "ex0000000001", "waits"],
    ]);
    assert_eq!(json!(shown), expected);
    assert!(!fixture.run(&["locks"]).ok().text().contains('\u{1b}'));
}

#[test]
fn nobody_is_an_empty_answer_and_no_group_is_a_no() {
    let mut fixture = CtlFixture::new("nobody_is_an_empty_answer_and_no_group_is_a_no");
    fixture.run(&["locks"]).ok().stdout_is("").stderr_is("");
    fixture.run(&["locks", "--json"]).ok().stdout_is("[]\n");
    let hint = "zkctl locks shows all groups that have a contender";
    let line = "there is no group services__db";
    assert_fails_with_hint(&fixture.run(&["locks", GROUP]), 1, line, hint);
    fixture.create(DIRECTORY, "");
    fixture.run(&["locks", GROUP]).ok().stdout_is("").stderr_is("");
    fixture.run(&["locks"]).ok().stdout_is("").stderr_is("");
}

#[test]
fn a_contender_is_deleted_on_demand_and_nothing_else() {
    let mut fixture = group("a_contender_is_deleted_on_demand_and_nothing_else");
    fixture.create(&format!("{DIRECTORY}/ex-foo"), "");
    fixture.create("/_zklocking/other/ex0000000001", "");
    let hint = "zkctl locks services__db shows their IDs";
    for id in ["ex-foo", "ex0000000007", "../other/ex0000000001", "", "x/1", "ex\u{7f}1"] {
        let line = format!("services__db has no contender {}", id.escape_default());
        assert_fails_with_hint(&fixture.run(&["locks", GROUP, "--break", id]), 1, &line, hint);
    }
    assert_eq!(fixture.zk.children(DIRECTORY).unwrap().len(), 3);
    let output = fixture.run(&["locks", GROUP, "--break", "ex0000000001"]);
    output.ok().stderr_is("").stdout_is(
        "broke services__db/ex0000000001: host=db-01 pid=4711 since=2023-11-14T22:14:20Z \
         why=\"config changed\"\n",
    );
    assert_eq!(fixture.zk.children(DIRECTORY).unwrap(), ["ex-foo", "ex0000000000"]);
    assert_eq!(fixture.zk.children("/_zklocking/other").unwrap(), ["ex0000000001"]);
    fixture.run(&["locks", GROUP, "--break", "ex0000000001"]).code(1);
    // An id is ambiguous without a group.
    fixture.run(&["locks", "--break", "ex0000000000"]).code(2);
    fixture.run(&["locks", GROUP, "--break", "ex0000000000", "--json"]).code(2);
    assert_eq!(fixture.zk.children(DIRECTORY).unwrap().len(), 2);
}

#[test]
fn a_delete_whose_answer_is_lost_is_done() {
    let server = FakeServer::start();
    let owner = server.open_session(std::time::Duration::from_secs(40));
    server.put_ephemeral(&format!("{DIRECTORY}/ex0000000000"), CARD.as_bytes(), owner);
    server.before_reply(op::DELETE, move |server| {
        // Another contender has this name by now.
        server.put_ephemeral(&format!("{DIRECTORY}/ex0000000000"), b"", owner);
        server.cut();
    });
    let tool = Tool::new("zkctl").env("ZKHOST", server.addr().to_string());
    let output = tool.args(["locks", GROUP, "--break", "ex0000000000"]).run();
    output.ok().stdout_has("broke services__db/ex0000000000: host=db-01 pid=4711 ");
    assert_eq!(server.children(DIRECTORY), ["ex0000000000"]);
}

#[test]
fn what_is_forbidden_is_shown_as_far_as_it_may_be() {
    let mut fixture = group("locks_that_are_forbidden");
    let mut chroot = fixture.chroot.zk();
    chroot.add_auth("farmer:secret").unwrap();
    chroot.set_acl(&format!("{DIRECTORY}/ex0000000001"), Acl::Mine).unwrap();
    let rows = json(&fixture.run(&["locks", "--json"]).ok().stdout);
    assert_eq!((&rows[1]["host"], &rows[1]["state"]), (&Value::Null, &json!("waits")));
    chroot.set_acl(DIRECTORY, Acl::Mine).unwrap();
    assert_forbidden(&fixture.run(&["locks", GROUP]), &fixture, DIRECTORY);
    fixture.create("/_zklocking/free/ex1", "");
    let rest = fixture.run(&["locks", "-o", "tsv"]);
    rest.ok().stderr_has("leaving out a group: not authorised");
    assert!(rest.text().starts_with("free\tholds\tex1\t"), "{rest}");
}
