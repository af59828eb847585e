//! `zkctl set`.

use super::{CtlFixture, assert_fails, assert_fails_with_hint, assert_forbidden, json};
use farm_harness::{Acl, Create};
use serde_json::json;

const HOST: &str = "/db/web1";

#[test]
fn the_kind_of_a_value_is_kept() {
    let record = r#"{"b":true,"f":1.5,"n":7,"s":"7","z":null}"#;
    let mut fixture = CtlFixture::with_host("the_kind_of_a_value_is_kept", record);
    let table = [
        ("n=8", r#"{"b":true,"f":1.5,"n":8,"s":"7","z":null}"#),
        ("n=-0.5e3", r#"{"b":true,"f":1.5,"n":-0.5e+3,"s":"7","z":null}"#),
        ("f=2.50", r#"{"b":true,"f":2.50,"n":-0.5e+3,"s":"7","z":null}"#),
        ("b=0", r#"{"b":false,"f":2.50,"n":-0.5e+3,"s":"7","z":null}"#),
        ("b=true", r#"{"b":true,"f":2.50,"n":-0.5e+3,"s":"7","z":null}"#),
        ("s=8", r#"{"b":true,"f":2.50,"n":-0.5e+3,"s":"8","z":null}"#),
        ("s=true", r#"{"b":true,"f":2.50,"n":-0.5e+3,"s":"true","z":null}"#),
        ("z=1", r#"{"b":true,"f":2.50,"n":-0.5e+3,"s":"true","z":"1"}"#),
        ("new=1", r#"{"b":true,"f":2.50,"n":-0.5e+3,"new":"1","s":"true","z":"1"}"#),
        (
            "n:=12345678901234567890123",
            r#"{"b":true,"f":2.50,"n":12345678901234567890123,"new":"1","s":"true","z":"1"}"#,
        ),
    ];
    for (version, (word, expected)) in (1..).zip(table) {
        fixture.run(&["set", HOST, word]).ok().stdout_is("").stderr_is("");
        let host = fixture.host();
        assert_eq!((host.text().as_str(), host.stat.version), (expected, version), "{word}");
    }
}

#[test]
fn a_value_that_can_not_keep_its_kind_draws_one_warning() {
    let mut fixture = CtlFixture::with_host(
        "a_value_that_can_not_keep_its_kind_draws_one_warning",
        r#"{"b":true,"n":7}"#,
    );
    for (word, field, was) in [("n=007", "n", "number"), ("b=yes", "b", "bool")] {
        let output = fixture.run(&["set", HOST, word]);
        let warning =
            format!("{field} was a {was} and is now a string; {field}:=JSON keeps the type");
        output.ok().stdout_is("").stderr_has(&warning);
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
    }
    assert_eq!(fixture.host().text(), r#"{"b":"yes","n":"007"}"#);
}

#[test]
fn typed_and_several_assignments_are_one_write() {
    let mut fixture = CtlFixture::with_host(
        "typed_and_several_assignments_are_one_write",
        r#"{"l":[1],"o":{"x":1},"mysql":{"delay":"0"}}"#,
    );
    let words =
        ["l:=[]", "o:={\"y\":[null,{}]}", "mysql.delay=1", "a.b.c:=false", "e=", r"d\.d=x=y"];
    fixture.run(&[&["set", HOST][..], &words].concat()).ok().stderr_is("");
    let host = fixture.host();
    let expected = r#"{"a":{"b":{"c":false}},"d.d":"x=y","e":"","l":[],"mysql":{"delay":"1"},"o":{"y":[null,{}]}}"#;
    assert_eq!((host.text().as_str(), host.stat.version), (expected, 1));
}

#[test]
fn a_value_may_come_from_stdin() {
    let mut fixture = CtlFixture::with_host("a_value_may_come_from_stdin", r#"{"n":1}"#);
    let set = |field: &str, input: &[u8]| {
        fixture.tool(&["set", HOST, field, "-"]).stdin(input).run().ok().stderr_is("");
    };
    set("lines", b"one\ntwo\n\n");
    set("nul", b"a\0b");
    set("none", b"");
    set("n", b"2\n");
    set("dash", b"-");
    let expected = json!({"dash": "-", "lines": "one\ntwo\n", "n": 2, "none": "", "nul": "a\0b"});
    assert_eq!(json(fixture.host().data), expected);
}

#[test]
fn what_would_lose_fields_is_refused() {
    let record = r#"{"a":"text","l":[1],"o":{"x":1}}"#;
    let mut fixture = CtlFixture::with_host("what_would_lose_fields_is_refused", record);
    let refused = |words: &[&str]| {
        let output = fixture.run(&[&["set", HOST], words].concat());
        output.code(65).stdout_is("").stderr_has("zkctl: cannot set /db/web1: ");
        assert_eq!(output.stderr.lines().count(), 2, "{output}");
        output.stderr.lines().nth(1).unwrap().to_owned()
    };
    let over_object = "hint: name a field in it, like o.NAME, or replace it with o:='{...}'";
    assert_eq!(refused(&["o", "1"]), over_object);
    assert_eq!(refused(&["o:=1"]), over_object);
    assert_eq!(refused(&["l", "1"]), "hint: replace it with l:='[...]'");
    let through = "hint: remove it first with zkctl unset /db/web1 a";
    assert_eq!(refused(&["a.b", "1"]), through);
    // All or nothing.
    assert_eq!(refused(&["new=1", "a.b.c=1"]), through);
    let host = fixture.host();
    assert_eq!((host.text().as_str(), host.stat.version), (record, 0));
}

#[test]
fn what_is_so_already_is_not_written() {
    let record = r#"{"size": 17, "enabled": "1"}"#;
    let mut fixture = CtlFixture::with_host("what_is_so_already_is_not_written", record);
    let before = fixture.host();
    fixture.run(&["set", HOST, "enabled", "1"]).ok();
    fixture.run(&["set", HOST, "size=17", "enabled:=\"1\""]).ok();
    assert_eq!(fixture.host(), before, "not even its blanks change");
}

#[test]
fn a_malformed_record_is_left_alone() {
    let mut fixture = CtlFixture::new("set_leaves_a_malformed_record_alone");
    for (number, content) in ["{\"a\":1", "[1]", "text"].into_iter().enumerate() {
        let path = format!("/z{number}");
        fixture.create(&path, content);
        let output = fixture.run(&["set", &path, "a", "1"]);
        output.code(65).stdout_is("").stderr_has(&format!("zkctl: {path} holds no record: "));
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        let znode = fixture.zk.get(&path).unwrap();
        assert_eq!((znode.text().as_str(), znode.stat.version), (content, 0));
    }
}

#[test]
fn an_empty_znode_takes_a_field_and_a_missing_one_does_not() {
    let mut fixture = CtlFixture::with_host("an_empty_znode_takes_a_field", "");
    fixture.run(&["set", HOST, "a.b", "1"]).ok();
    assert_eq!(fixture.host().text(), r#"{"a":{"b":"1"}}"#);
    let line = format!("no such znode: {}/db/web2", fixture.chroot.path());
    assert_fails(&fixture.run(&["set", "/db/web2", "a", "1"]), 1, &line);
    assert_eq!(fixture.zk.exists("/db/web2").unwrap(), None);
}

#[test]
fn an_entry_stays_with_its_owner() {
    let mut fixture = CtlFixture::new("an_entry_stays_with_its_owner");
    let mut owner = fixture.chroot.zk();
    owner.create("/db", "").unwrap();
    owner.create_as(HOST, r#"{"enabled": "0"}"#, Create::Ephemeral).unwrap();
    fixture.run(&["set", HOST, "enabled", "1"]).ok();
    fixture.run(&["unset", HOST, "note"]).ok();
    let host = fixture.host();
    assert_eq!(host.text(), r#"{"enabled":"1"}"#);
    assert_eq!(host.stat.ephemeral_owner, owner.session_id());
    owner.close().unwrap();
    assert_eq!(fixture.zk.exists(HOST).unwrap(), None);
}

#[test]
fn a_forbidden_znode_is_left_alone() {
    let mut fixture = CtlFixture::with_host("a_forbidden_znode_is_left_alone", r#"{"a":"0"}"#);
    fixture.zk.set_acl(HOST, Acl::ReadOnly).unwrap();
    fixture.run(&["get", HOST, "a"]).ok().stdout_is("0\n");
    assert_forbidden(&fixture.run(&["set", HOST, "a", "1"]), &fixture, HOST);
    assert_forbidden(&fixture.run(&["unset", HOST, "a"]), &fixture, HOST);
    // Without a change nothing is written, so nothing is forbidden.
    fixture.run(&["set", HOST, "a", "0"]).ok();
    assert_eq!(fixture.host().text(), r#"{"a":"0"}"#);
}

#[test]
fn text_of_all_kinds_comes_back_as_it_was() {
    let mut fixture = CtlFixture::with_host("text_of_all_kinds_comes_back_as_it_was", "{}");
    let values = [
        "été 漢字 😀 \u{202e}\u{2028}\u{feff}",
        "one\ntwo\r\n\ttab",
        "\u{1}\u{1b}[2J\u{7f}\u{9b}",
        "\"quoted\" \\ back/slash",
        "${system('id')}",
        "../x",
        "'; DROP TABLE hosts; --",
        "-",
        "--help",
        " ",
        "",
        "\u{fffd}\u{ffff}\u{10ffff}",
    ];
    for value in values {
        let word = format!("f={value}");
        fixture.run(&["set", HOST, &word]).ok().stderr_is("");
        assert_eq!(json(fixture.host().data), json!({"f": value}));
        fixture.run(&["get", HOST, "f"]).ok().stdout_is(format!("{value}\n"));
    }
    // Keys are text, too.
    fixture.run(&["set", HOST, "${x} é\n=1", "f=1"]).ok();
    assert_eq!(json(fixture.host().data), json!({"${x} é\n": "1", "f": "1"}));
}

#[test]
fn what_is_written_is_plain_json_for_any_reader() {
    let record = r#"{"z": 1.50, "a": {"y": 1e3, "b": "\u00e9\ud83d\ude00"}, "\u00fc": null}"#;
    let mut fixture = CtlFixture::with_host("what_is_written_is_plain_json_for_any_reader", record);
    fixture.run(&["set", HOST, "Z=\n\t\u{1}\"\\/\u{7f}\u{2028}"]).ok();
    // Compact, keys sorted by bytes, numbers in their notation except for the sign of an
    // exponent, and only the escapes that JSON requires.
    let expected = "{\"Z\":\"\\n\\t\\u0001\\\"\\\\/\u{7f}\u{2028}\",\"a\":{\"b\":\"é😀\",\"y\":1e+3},\"z\":1.50,\"ü\":null}";
    assert_eq!(fixture.host().text(), expected);
}

#[test]
fn what_no_znode_can_hold_is_refused() {
    let filler = "x".repeat(999_000);
    let record = format!(r#"{{"a":"{filler}"}}"#);
    let mut fixture = CtlFixture::with_host("what_no_znode_can_hold_is_refused", &record);
    let output = fixture.tool(&["set", HOST, "b", "-"]).stdin("y".repeat(1000)).run();
    output.code(65).stdout_is("").stderr_has("bytes are too many for ").stderr_has("/db/web1");
    assert_eq!(output.stderr.lines().count(), 1, "{output}");
    let output = fixture.tool(&["set", HOST, "b", "-"]).stdin("y".repeat(2_000_000)).run();
    assert_fails(&output, 65, "the value on stdin has more than 1000000 bytes");
    assert_eq!(fixture.host().stat.version, 0);
    // The record is accepted just below the limit.
    fixture.tool(&["set", HOST, "b", "-"]).stdin("y".repeat(900)).run().ok();
    fixture.run(&["get", HOST, "a"]).ok().stdout_is(format!("{filler}\n"));
}

#[test]
fn fifty_writers_at_once_lose_nothing() {
    const WRITERS: usize = 50;
    let mut fixture =
        CtlFixture::with_host("fifty_writers_at_once_lose_nothing", r#"{"keep":"me"}"#);
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            fixture.tool(&["-t", "20s", "set", HOST, &format!("f{n}"), &format!("v{n}")]).spawn()
        })
        .collect();
    for mut writer in writers {
        writer.wait_exit().ok().stdout_is("").stderr_is("");
    }
    let mut expected = json!({"keep": "me"});
    for n in 0..WRITERS {
        expected[format!("f{n}")] = json!(format!("v{n}"));
    }
    let host = fixture.host();
    assert_eq!(json(&host.data), expected);
    assert_eq!(host.stat.version as usize, WRITERS, "one write each");
}

#[test]
fn mistakes_are_told_before_anything_is_written() {
    let mut fixture =
        CtlFixture::with_host("mistakes_are_told_before_anything_is_written", r#"{"a":"0"}"#);
    let output = fixture.run(&["set", HOST, "a=1", "b:=yes"]);
    output.code(2).stdout_is("").stderr_has("zkctl: the value of b is not JSON: ");
    assert_fails_with_hint(
        &fixture.run(&["set", HOST, "a=1", "b", "2"]),
        2,
        "\"b\" is not an assignment",
        "after FIELD=TEXT only FIELD=TEXT or FIELD:=JSON can follow",
    );
    assert_eq!(fixture.host().stat.version, 0);
}
