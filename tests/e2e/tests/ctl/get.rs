//! `zkctl get`.

use super::{CtlFixture, assert_fails, assert_forbidden, json};
use farm_harness::{Acl, Tool, toolbox};
use serde_json::json;

const HOST: &str = "/db/web1";

/// As Python's `json.dumps` writes it: blanks after colons and commas, ASCII only, keys in
/// insertion order.
const WRITTEN_BY_ZKFARMER: &str = concat!(
    r#"{"hostname": "web1", "enabled": "0", "size": 17, "load": 1.50, "up": true, "#,
    r#""running_filter": "enabled=1,mysql.replication_delay<60", "#,
    r#""note": "\u00e9t\u00e9 \ud83d\ude00 \"\\\n\u2028", "tags": ["a", 1, null], "#,
    r#""mysql": {"replication_delay": 0}, "old": null}"#
);

#[test]
fn a_field_prints_bare_text_or_json() {
    let fixture = CtlFixture::with_host("a_field_prints_bare_text_or_json", WRITTEN_BY_ZKFARMER);
    let table = [
        ("hostname", "web1"),
        ("enabled", "0"),
        ("size", "17"),
        ("load", "1.50"),
        ("up", "true"),
        ("running_filter", "enabled=1,mysql.replication_delay<60"),
        ("note", "été 😀 \"\\\n\u{2028}"),
        ("tags", r#"["a",1,null]"#),
        ("mysql", r#"{"replication_delay":0}"#),
        ("mysql.replication_delay", "0"),
        ("old", "null"),
    ];
    for (field, value) in table {
        fixture.run(&["get", HOST, field]).ok().stdout_is(format!("{value}\n")).stderr_is("");
    }
}

#[test]
fn a_record_prints_as_yaml_json_or_php() {
    let fixture = CtlFixture::with_host("a_record_prints_as_yaml_json_or_php", WRITTEN_BY_ZKFARMER);
    let yaml = fixture.run(&["get", HOST]).ok().text();
    assert_eq!(fixture.run(&["get", HOST, "-f", "yaml"]).ok().text(), yaml);
    let lines: Vec<&str> = yaml.lines().collect();
    for line in ["hostname: web1", "size: 17", "load: 1.50", "up: true", "mysql:"] {
        assert!(lines.contains(&line), "no {line:?} in\n{yaml}");
    }
    // Text that looks like a number must not become one.
    let enabled = lines.iter().find(|line| line.starts_with("enabled: "));
    assert!(matches!(enabled, Some(&("enabled: '0'" | "enabled: \"0\""))), "{yaml}");

    let pretty = fixture.run(&["get", HOST, "-f", "json"]).ok().text();
    assert_eq!(json(&pretty), json(WRITTEN_BY_ZKFARMER));
    assert!(pretty.starts_with("{\n  \"enabled\": \"0\",\n"), "{pretty}");

    let script = "$r = eval('?>' . stream_get_contents(STDIN)); ksort($r); \
                  echo json_encode($r, JSON_PRESERVE_ZERO_FRACTION);";
    let php = fixture.run(&["get", HOST, "-f", "php"]).ok().text();
    let evaluated = Tool::program(toolbox::php()).args(["-r", script]).stdin(php).run();
    let mut expected = json(WRITTEN_BY_ZKFARMER);
    // The same number without its trailing zero.
    expected["load"] = json!(1.5);
    assert_eq!(json(&evaluated.ok().stdout), expected);
}

#[test]
fn hostile_text_is_text_in_every_format() {
    let record = json!({
        "a": "${system('id')}", "b": "{$x}", "c": "'; system('id'); //", "d": "\"?><?php", "e": "../x",
        "f": "- x: [1", "g": "yes", "h": "\u{0}\u{1b}[2J", "${system('id')}": "key", "i": "a\\",
    });
    let fixture = CtlFixture::with_host("hostile_text_is_text_in_every_format", record.to_string());
    let php = fixture.run(&["get", HOST, "-f", "php"]).ok().text();
    let script = "echo json_encode(eval('?>' . stream_get_contents(STDIN)));";
    let evaluated = Tool::program(toolbox::php()).args(["-r", script]).stdin(php).run();
    assert_eq!(json(&evaluated.ok().stdout), record);
    assert_eq!(json(fixture.run(&["get", HOST, "-f", "json"]).ok().text()), record);
    let yaml = fixture.run(&["get", HOST]).ok().text();
    assert_eq!(yaml.lines().count(), record.as_object().unwrap().len(), "{yaml}");
    assert!(!yaml.contains(['\0', '\u{1b}']), "{yaml:?}");
}

#[test]
fn what_is_missing_is_exit_1_and_no_output() {
    let mut fixture =
        CtlFixture::with_host("what_is_missing_is_exit_1_and_no_output", r#"{"a":{"b":1}}"#);
    let path = fixture.chroot.path().to_owned();
    for field in ["x", "a.x", "a.b.c"] {
        let line = format!("/db/web1 has no field {field}");
        assert_fails(&fixture.run(&["get", HOST, field]), 1, &line);
    }
    let no_znode = format!("no such znode: {path}/db/web2");
    assert_fails(&fixture.run(&["get", "/db/web2"]), 1, &no_znode);
    assert_fails(&fixture.run(&["get", "/db/web2", "a"]), 1, &no_znode);
    // An empty znode exists and has no fields.
    fixture.create("/db/empty", "");
    fixture.run(&["get", "/db/empty", "-f", "json"]).ok().stdout_is("{}\n");
    assert_fails(&fixture.run(&["get", "/db/empty", "a"]), 1, "/db/empty has no field a");
}

#[test]
fn a_default_stands_in_for_what_is_missing_alone() {
    let mut fixture =
        CtlFixture::with_host("a_default_stands_in_for_what_is_missing_alone", r#"{"a":""}"#);
    let get = |host: &str, field: &str| fixture.run(&["get", host, field, "--default", "-1"]);
    get(HOST, "a").ok().stdout_is("\n");
    get(HOST, "b").ok().stdout_is("-1\n").stderr_is("");
    get("/db/web2", "a").ok().stdout_is("-1\n").stderr_is("");
    // A record that can't be read is not missing.
    fixture.zk.set(HOST, "no json").unwrap();
    let output = fixture.run(&["get", HOST, "a", "--default", "-1"]);
    output.code(65).stdout_is("").stderr_has("zkctl: /db/web1 holds no record: ");
    fixture.zk.add_auth("me:word").unwrap();
    fixture.zk.set_acl(HOST, Acl::Mine).unwrap();
    assert_forbidden(&fixture.run(&["get", HOST, "a", "--default", "-1"]), &fixture, HOST);
}

#[test]
fn a_byte_order_mark_of_a_znode_is_dropped_and_raw_bytes_stay_as_they_are() {
    let marked = "\u{feff}{\"a\":\"\u{feff}1\"}";
    let mut fixture = CtlFixture::with_host("marked_znode", marked);
    fixture.run(&["get", HOST, "a"]).ok().stdout_is("\u{feff}1\n");
    fixture.run(&["get", HOST, "--raw"]).ok().stdout_is(marked);
    fixture.run(&["set", HOST, "a", "\u{feff}1"]).ok();
    assert_eq!(fixture.host().text(), marked, "nothing has changed");
    // A value is data.
    fixture.tool(&["set", HOST, "b", "-"]).stdin("\u{feff}2\n").run().ok();
    assert_eq!(fixture.host().text(), "{\"a\":\"\u{feff}1\",\"b\":\"\u{feff}2\"}");
}

#[test]
fn malformed_znodes_are_exit_65_and_one_line() {
    let mut fixture = CtlFixture::new("malformed_znodes_are_exit_65_and_one_line");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_record = format!(r#"{{"a":{deep}}}"#);
    let contents: [&[u8]; 10] = [
        b"no json",
        b"[1]",
        b"\"text\"",
        b"null",
        b"{\"a\":1",
        b"{\"a\":1}}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"\0",
        deep_record.as_bytes(),
    ];
    for (number, content) in contents.into_iter().enumerate() {
        let path = format!("/z{number}");
        fixture.create(&path, content);
        for arguments in [&["get", &path][..], &["get", &path, "a"]] {
            let output = fixture.run(arguments);
            output.code(65).stdout_is("").stderr_has(&format!("zkctl: {path} holds no record: "));
            let more: Vec<&str> = output.stderr.lines().skip(1).collect();
            let is_hint = |line: &&str| *line == "hint: --parse text would read it";
            assert!(more.len() <= 1 && more.iter().all(is_hint), "{output}");
            assert!(output.stderr.len() < 500, "{output}");
        }
    }
}
