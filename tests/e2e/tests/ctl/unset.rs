//! `zkctl unset`.

use super::{CtlFixture, assert_fails};

const HOST: &str = "/db/web1";
const RECORD: &str = r#"{"a":{"b":1,"c":2},"d":"x","e.f":3}"#;

#[test]
fn fields_go_and_nothing_else() {
    let mut fixture = CtlFixture::with_host("fields_go_and_nothing_else", RECORD);
    fixture.run(&["unset", HOST, "a.b", r"e\.f"]).ok().stdout_is("").stderr_is("");
    assert_eq!(fixture.host().text(), r#"{"a":{"c":2},"d":"x"}"#);
    assert_eq!(fixture.host().stat.version, 1, "two fields are one write");
    fixture.run(&["unset", HOST, "a", "d"]).ok();
    assert_eq!(fixture.host().text(), "{}");
}

#[test]
fn absent_fields_are_no_matter_and_no_write() {
    let mut fixture = CtlFixture::with_host("absent_fields_are_no_matter_and_no_write", RECORD);
    fixture.run(&["unset", HOST, "z", "a.z", "d.x", "a.b.c"]).ok().stdout_is("").stderr_is("");
    let host = fixture.host();
    assert_eq!((host.text().as_str(), host.stat.version), (RECORD, 0));
}

#[test]
fn strict_changes_nothing_if_one_is_absent() {
    let mut fixture = CtlFixture::with_host("strict_changes_nothing_if_one_is_absent", RECORD);
    let output = fixture.run(&["unset", "--strict", HOST, "d", "a.z"]);
    assert_fails(&output, 1, "/db/web1 has no field a.z");
    let host = fixture.host();
    assert_eq!((host.text().as_str(), host.stat.version), (RECORD, 0));
    fixture.run(&["unset", "--strict", HOST, "d", "a.b"]).ok();
    assert_eq!(fixture.host().text(), r#"{"a":{"c":2},"e.f":3}"#);
    let line = format!("no such znode: {}/db/web2", fixture.chroot.path());
    assert_fails(&fixture.run(&["unset", "/db/web2", "d"]), 1, &line);
}

#[test]
fn a_malformed_record_is_left_alone() {
    let mut fixture = CtlFixture::with_host("unset_leaves_a_malformed_record_alone", "{\"a\":1");
    let output = fixture.run(&["unset", HOST, "a"]);
    output.code(65).stdout_is("").stderr_has("zkctl: /db/web1 holds no record: ");
    let host = fixture.host();
    assert_eq!((host.text().as_str(), host.stat.version), ("{\"a\":1", 0));
}
