//! Znodes of other tools, which hold no JSON object.

use super::{CtlFixture, assert_fails_with_hint};
use farm_harness::{Acl, Tool};

fn foreign(test: &str) -> CtlFixture {
    let mut fixture = CtlFixture::new(test);
    fixture.create("/party", "10.0.0.9");
    fixture.create("/party/a", "10.0.4.1:9000");
    fixture.create("/party/b", "host: b\nport: 1\n");
    fixture.create("/party/c", b"\xff\0PBUF");
    fixture
}

#[test]
fn text_pairs_and_names_are_listed_as_they_are_said_to_be() {
    let mut fixture = foreign("text_pairs_and_names");
    let text = fixture.run(&["ls", "/party", "--parse", "text", "--fields", "text"]);
    text.ok().stdout_is(
        "a                    text=10.0.4.1:9000\nb                    text=host: b\\nport: 1\nc\n",
    );
    text.stderr_has("/party/c holds no record: not UTF-8");
    let pairs = fixture.run(&["ls", "/party", "--parse", "keyvalue", "-F", "port=1"]);
    pairs.ok().stdout_is("b\n");
    fixture.zk.add_auth("me:word").unwrap();
    fixture.zk.set_acl("/party/c", Acl::Mine).unwrap();
    let names = ["ls", "/party", "--parse", "none", "--sort", "x", "-o", "jsonl"];
    let lines = fixture.run(&names).ok().stderr_is("").text();
    assert_eq!(lines.matches("\"data\":{}").count(), 3, "{lines}");
    let long = fixture.run(&["ls", "/party", "--parse", "none", "-l", "-o", "tsv"]);
    assert_eq!(long.ok().stderr_is("").text().matches("persistent").count(), 3);
}

#[test]
fn one_znode_is_read_as_it_is_said_to_be() {
    let fixture = foreign("one_znode_is_read_as");
    fixture.run(&["get", "/party/a", "text", "--parse", "text"]).ok().stdout_is("10.0.4.1:9000\n");
    fixture.run(&["get", "/party/b", "port", "--parse", "keyvalue"]).ok().stdout_is("1\n");
    fixture
        .run(&["get", "/party/b", "--parse", "keyvalue"])
        .ok()
        .stdout_is("host: b\nport: \"1\"\n");
    let line = "/party/a holds no record: malformed JSON: trailing characters at line 1 column 5";
    assert_fails_with_hint(
        &fixture.run(&["get", "/party/a"]),
        65,
        line,
        "--parse text would read it",
    );
    let line =
        "/party/c holds no record: not UTF-8: invalid utf-8 sequence of 1 bytes from index 0";
    let output = fixture.run(&["get", "/party/c", "--parse", "text"]);
    output.code(65).stdout_is("").stderr_is(&format!("zkctl: {line}\n"));
    for arguments in [["get", "/party/a", "--raw"], ["get", "/party/a", "--stat"]] {
        fixture.run(&[&arguments[..], &["--parse", "text"]].concat()).code(2);
    }
}

#[test]
fn farms_without_a_record_of_their_own_are_checked() {
    let fixture = foreign("farms_without_a_record");
    let check =
        |more: &[&str]| fixture.run(&[&["check", "/party", "--parse", "none"], more].concat());
    check(&["--size", "4", "-c", "2"]).ok().stdout_has("OK: 3/4 nodes running, 1 nodes failing");
    check(&["--size", "4"]).code(2).stdout_has("CRITICAL: 3/4 nodes running, 1 nodes failing");
    check(&["--min-hosts", "3"]).ok().stdout_is(
        "OK: 3 nodes running, 0 nodes failing, at least 3 needed \
         | running=3;;3:;0; failing=0;;;0;\n",
    );
    check(&["--min-hosts", "4"]).code(2).stdout_has("CRITICAL: 3 nodes running");
    // A share of an unknown number says nothing.
    check(&["--min-hosts", "3", "-c", "10%"]).code(3).stdout_has("the size of /party is unknown");
    check(&["--min-hosts", "3", "-w", "1"]).code(3).stdout_has("UNKNOWN: ");
    check(&[]).code(3).stdout_has("/party holds no record");
    let text = fixture.run(&["check", "/party", "--parse", "text", "--size", "3", "-v"]);
    text.code(2)
        .stdout_has("CRITICAL: 2/3 nodes running")
        .stdout_has("c: /party/c holds no record");
    let json = fixture.run(&["check", "/party", "--parse", "none", "--min-hosts", "1", "--json"]);
    json.ok().stdout_has("\"max_failed\":null").stdout_has("\"size\":null");
}

#[test]
fn a_size_of_the_command_line_wins_over_that_of_the_farm() {
    let mut fixture = CtlFixture::new("a_size_of_the_command_line");
    fixture.create("/db", r#"{"size": 9, "running_filter": "up=1"}"#);
    fixture.create("/db/a", r#"{"up": 1}"#);
    fixture.create("/db/b", r#"{"up": 0}"#);
    let check = |size: &str| fixture.run(&["check", "/db", "--size", size, "-c", "2"]);
    check("2").ok().stdout_has("OK: 1/2 nodes running, 1 nodes failing");
    check("0").ok().stdout_has("OK: 1/2 nodes running, 1 nodes failing");
    check("3").code(2).stdout_has("CRITICAL: 1/3 nodes running, 2 nodes failing");
    check("-1").code(3);
    check("1000000001").code(3);
}

#[test]
fn the_page_about_formats_shows_what_happens() {
    let mut fixture = CtlFixture::new("the_page_about_formats");
    fixture.create("/party", "");
    fixture.create("/party/9ce6768a5a144b87b8160b984957c60e__party__", "10.0.4.1:9000");
    fixture.create("/replicas/r1", "host: replica-1\nport: 9009\n");
    for n in 1..=3 {
        fixture.create(&format!("/live_nodes/10.0.0.{n}:8983_solr"), "");
    }
    let page = include_str!("../../../../docs/formats.md");
    let (_, section) = page.split_once("## Data of other tools").unwrap();
    let block = section.split("```\n").nth(1).unwrap();
    let examples: Vec<_> =
        block.split("$ ").skip(1).map(|it| it.split_once('\n').unwrap()).collect();
    assert_eq!(examples.len(), 3);
    for (command, output) in examples {
        let mut words = command.split(' ');
        let tool = Tool::new(words.next().unwrap()).env("ZKHOST", fixture.chroot.connect_string());
        let words: Vec<&str> = words.collect();
        tool.args(&words).run().ok().stdout_is(output).stderr_is("");
    }
}
