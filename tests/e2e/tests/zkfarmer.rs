//! Compatibility with zkfarmer: its options and its znodes.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

use crate::join::fixture::{ENTRY, JoinFixture, hostname, record};
use farm_harness::{
    Create, Output, Running, Signal, Tool, eventually, free_port, holds_for, patience,
};
use serde_json::json;
use std::fs;
use std::time::Duration;

const HOST: &str = "/services/db/1.2.3.4";
/// A host as Python's `json.dumps` writes it.
const HOST_OF_PYTHON: &str = r#"{"hostname": "db-01", "name": "caf\u00e9 \ud83d\ude00", "enabled": "0", "delay": 1.0, "big": 1e+22, "small": 1e-05, "neg": -0.5, "count": 12345678901234567890, "t": true, "n": null, "l": [1, "x", {}], "o": {"a.b": "c"}, "q": "\"\\/\t\u007f"}"#;
/// The same value as our tools write it.
const HOST_OF_OURS: &str = "{\"big\":1e+22,\"count\":12345678901234567890,\"delay\":1.0,\
    \"enabled\":\"0\",\"hostname\":\"db-01\",\"l\":[1,\"x\",{}],\"n\":null,\
    \"name\":\"café 😀\",\"neg\":-0.5,\"o\":{\"a.b\":\"c\"},\"q\":\"\\\"\\\\/\\t\u{7f}\",\
    \"small\":1e-05,\"t\":true}";
const FARM_OF_PYTHON: &str = r#"{"size": 2, "running_filter": "enabled=1"}"#;

/// A farm as zkfarmer writes it.
fn farm(test: &str) -> JoinFixture {
    let mut fixture = JoinFixture::new(test);
    fixture.zk.create_all("/services/db", FARM_OF_PYTHON).unwrap();
    fixture.zk.create(HOST, HOST_OF_PYTHON).unwrap();
    fixture.zk.create("/services/db/1.2.3.5", r#"{"enabled": "1", "delay": "9.5"}"#).unwrap();
    fixture
}

fn tool(fixture: &JoinFixture, name: &str, arguments: &[&str]) -> Tool {
    let tool = Tool::new(name).env("ZKHOST", fixture.servers()).cwd(fixture.scratch.path());
    tool.args(arguments)
}

fn zkctl(fixture: &JoinFixture, arguments: &[&str]) -> Output {
    tool(fixture, "zkctl", arguments).run()
}

#[track_caller]
fn stop(mut running: Running) -> String {
    running.signal(Signal::SIGTERM);
    let output = running.wait_exit();
    output.ok().stdout_is("");
    output.stderr
}

#[test]
fn every_tool_tells_its_version() {
    for name in ["zkjoin", "zkexport", "zkctl"] {
        let short = Tool::new(name).arg("-V").run().ok().text();
        assert!(short.starts_with(&format!("{name} ")) && short.trim().ends_with(".0"), "{short}");
        Tool::new(name).arg("--version").run().ok().stdout_is(short);
    }
}

#[test]
fn v_and_q_are_counted_and_the_log_goes_to_stderr() {
    let fixture = farm("log_levels");
    // Daemons log info by default, zkctl only warnings.
    let levels = [(&[][..], true, false), (&["-q"], false, false), (&["-vv"], true, true)];
    for (options, has_info, has_more) in levels {
        for (name, ready) in [("zkjoin", "--name=h"), ("zkexport", "-w=0")] {
            let log = {
                fixture.scratch.write("x.json", "{}");
                let running = tool(&fixture, name, &[ready, "/farm", "x.json"]);
                let create = if name == "zkexport" { &["--create-farm"][..] } else { &[] };
                let running = running.args(create).args(options).spawn();
                eventually("it has written", || match fixture.scratch.read("x.json")? {
                    text if text != "{}" => Ok(()),
                    text => Err(text),
                });
                stop(running)
            };
            assert_eq!(log.contains("INFO"), has_info, "{name} {options:?}: {log}");
            let is_more = log.contains("DEBUG") || log.contains("TRACE");
            // zkexport may log nothing at the debug level.
            assert!(is_more == has_more || name == "zkexport", "{name} {options:?}: {log}");
        }
    }
    let get = |options: &[&str]| {
        let output = tool(&fixture, "zkctl", &["get", HOST, "enabled"]).args(options).run();
        output.ok().stdout_is("0\n");
        output.stderr
    };
    assert_eq!(get(&[]), "");
    assert_eq!(get(&["-q"]), "");
    assert!(get(&["-v"]).contains("INFO"), "{}", get(&["-v"]));
}

#[test]
fn retries_are_rounds_and_then_it_is_69() {
    let fixture = JoinFixture::new("retries_of_all");
    fixture.scratch.write("x.json", "{}");
    let closed = format!("127.0.0.1:{}", free_port());
    for (name, arguments) in [
        ("zkjoin", &["--name", "h", "/farm", "x.json"][..]),
        ("zkexport", &["/farm", "x.json"]),
        ("zkctl", &["ls", "/farm"]),
    ] {
        for retries in [["-r", "1"], ["--retries", "2"]] {
            let tool = Tool::new(name).args(["--host", &closed]).args(retries).args(arguments);
            let output = tool.cwd(fixture.scratch.path()).run();
            output.code(69).stdout_is("").stderr_has("hint: ");
            assert!(output.elapsed < patience(Duration::from_secs(5)), "{output}");
        }
    }
    assert_eq!(fixture.scratch.read("x.json").unwrap(), "{}");
}

#[test]
fn zkhost_is_heard_by_all_and_outranked_by_the_option() {
    let fixture = farm("zkhost");
    let closed = format!("127.0.0.1:{}", free_port());
    tool(&fixture, "zkctl", &["ls", "/services"]).run().ok().stdout_is("db\n");
    let once = ["/services/db", "-f", "json", "-"];
    tool(&fixture, "zkexport", &once).run().ok().stdout_has("caf\u{e9}");
    let named = Tool::new("zkexport").env("ZKHOST", &closed).args(["-H", &fixture.servers()]);
    named.args(once).run().ok().stdout_has("caf\u{e9}");
    let running = tool(&fixture, "zkjoin", &["--name", "h", "/services/db", "h.json"]).spawn();
    running.wait_log("joined; path=/services/db/h");
}

#[test]
fn the_format_of_a_config_is_what_f_says() {
    for (format, file, text) in [
        ("json", "conf.yaml", r#"{"a": "010"}"#),
        ("yaml", "conf.json", "a: 010\n"),
        ("yaml", "conf", "a: \"010\"\n"),
        ("dir", "conf.d", ""),
    ] {
        let mut fixture = JoinFixture::new("format_of_join");
        if format == "dir" {
            fixture.scratch.write("conf.d/a", "010");
        } else {
            fixture.scratch.write(file, text);
        }
        let running = fixture.join(file, &["-f", format]);
        fixture.wait_record(json!({"a": "010"}));
        fixture.edit(|record| record["b"] = json!("yes"));
        let (name, wanted) = match format {
            "json" => (file.to_owned(), r#""b": "yes""#),
            "yaml" => (file.to_owned(), "b: \"yes\"\n"),
            _ => (format!("{file}/b"), "yes"),
        };
        eventually("the edit in the format", || match fixture.scratch.read(&name)? {
            found if found.contains(wanted) => Ok(()),
            found => Err(found),
        });
        stop(running);
    }
}

#[test]
fn php_is_no_format_of_a_config_and_one_without_a_name_is_asked_for() {
    let fixture = JoinFixture::new("php_of_join");
    let php = fixture.scratch.write("db.php", "<?php return array();\n");
    let refused = "zkjoin: php can be written, but not read back\nhint: use json, yaml or dir\n";
    fixture.zkjoin("db.php").run().code(78).stderr_is(refused);
    fixture.zkjoin("db.json").args(["--format", "php"]).run().code(78).stderr_is(refused);
    assert_eq!(fs::read_to_string(php).unwrap(), "<?php return array();\n");
    let unclear = fixture.zkjoin("db.conf").run();
    unclear.code(2).stderr_has("json, yaml, php or dir");
    fixture.zkjoin("db.json").args(["-f", "toml"]).run().code(2);
}

#[test]
fn an_export_has_the_format_that_f_says() {
    let fixture = farm("format_of_export");
    let export = |arguments: &[&str]| tool(&fixture, "zkexport", arguments).run().ok().text();
    let json = export(&["/services/db", "-", "-f", "json", "-F", "delay>2"]);
    let wanted = "{\n  \"1.2.3.5\": {\n    \"delay\": \"9.5\",\n    \"enabled\": \"1\"\n  }\n}\n";
    assert_eq!(json, wanted);
    let yaml = export(&["/services/db", "-", "-f", "yaml", "--filters", "delay>2"]);
    assert_eq!(yaml, "\"1.2.3.5\":\n  delay: \"9.5\"\n  enabled: \"1\"\n");
    let php = export(&["/services/db", "-", "--format", "php", "-F", "delay>2"]);
    assert!(php.starts_with("<?php\nreturn array\n(\n    \"1.2.3.5\" => array\n"), "{php}");
    export(&["/services/db", "hosts.php", "-f", "json", "-F", "delay>2", "--once"]);
    assert_eq!(fixture.scratch.read("hosts.php").unwrap(), wanted);
    export(&["/services/db", "hosts", "-f", "dir", "--once"]);
    assert_eq!(fixture.scratch.read("hosts/1.2.3.5/delay").unwrap(), "9.5");
    assert_eq!(fixture.scratch.read("hosts/1.2.3.4/o/a.b").unwrap(), "c");
}

#[test]
fn the_dot_files_of_an_exported_directory_are_left_alone() {
    let mut fixture = farm("export_dot_files");
    let running = tool(&fixture, "zkexport", &["/services/db", "hosts", "-f", "dir"]).spawn();
    running.wait_log("the file is current");
    fixture.scratch.write("hosts/.gitignore", "*");
    fixture.scratch.write("hosts/1.2.3.5/.note", "mine");
    fixture.zk.set("/services/db/1.2.3.5", r#"{"enabled": "0"}"#).unwrap();
    fixture.wait_file("hosts/1.2.3.5/enabled", "0");
    fixture.wait_removed("hosts/1.2.3.5/delay");
    assert_eq!(fixture.scratch.read("hosts/.gitignore").unwrap(), "*");
    assert_eq!(fixture.scratch.read("hosts/1.2.3.5/.note").unwrap(), "mine");
    stop(running);
}

#[test]
fn a_strange_directory_is_refused_as_the_page_says() {
    let page = include_str!("../../../docs/formats.md");
    let (_, example) = page.split_once("$ zkexport /services/db other\n").unwrap();
    let (wanted, _) = example.split_once("```").unwrap();
    let fixture = farm("strange_dir");
    fixture.scratch.write("other/precious", "x");
    let output = tool(&fixture, "zkexport", &["/services/db", "other"]).run();
    output.code(78).stdout_is("").stderr_is(wanted);
}

#[test]
fn what_zkfarmer_wrote_is_read_by_all() {
    let mut fixture = farm("python_read");
    zkctl(&fixture, &["get", HOST, "name"]).ok().stdout_is("café 😀\n");
    zkctl(&fixture, &["get", HOST, "count"]).ok().stdout_is("12345678901234567890\n");
    zkctl(&fixture, &["get", HOST, r"o.a\.b"]).ok().stdout_is("c\n");
    zkctl(&fixture, &["get", HOST, "q"]).ok().stdout_is("\"\\/\t\u{7f}\n");
    for format in ["json", "yaml", "php"] {
        let output = zkctl(&fixture, &["get", HOST, "-f", format]);
        output.ok().stdout_has("12345678901234567890").stdout_has("1.0").stdout_has("café 😀");
    }
    let listed =
        zkctl(&fixture, &["ls", "/services/db", "--fields", "enabled,delay", "-F", "delay"]);
    listed.ok().stdout_is(
        "1.2.3.4              enabled=0, delay=1.0\n1.2.3.5              enabled=1, delay=9.5\n",
    );
    // By the farm's own filter, one of two hosts is running.
    let check = ["check", "/services/db", "-c", "60%", "-w", "1"];
    zkctl(&fixture, &check).code(1).stdout_has("WARNING: 1/2 nodes running, 1 nodes failing");
    let long = ["check", "/services/db", "--max-failed-node", "1", "--warn-failed-node", "1"];
    zkctl(&fixture, &long).code(2).stdout_has("CRITICAL: 1/2 nodes running");
    // zkjoin and zkexport read it, too.
    fixture.zk.create("/services/db/common", HOST_OF_PYTHON).unwrap();
    let running = tool(&fixture, "zkjoin", &["--common", "/services/db", "common.json"]).spawn();
    let wanted: serde_json::Value = serde_json::from_str(HOST_OF_PYTHON).unwrap();
    eventually("the config", || match fixture.json("common.json")? {
        found if found == wanted => Ok(()),
        found => Err(found.to_string()),
    });
    holds_for(Duration::from_millis(300), "what is the same is not written", || {
        match fixture.zk.get("/services/db/common").unwrap() {
            znode if znode.text() == HOST_OF_PYTHON => Ok(()),
            znode => Err(znode.text()),
        }
    });
    stop(running);
    tool(&fixture, "zkexport", &["/services/db", "all.json", "--once"]).run().ok();
    assert_eq!(fixture.json("all.json").unwrap()["1.2.3.4"], wanted);
}

#[test]
fn what_we_write_is_the_same_json_to_zkfarmer() {
    let mut fixture = farm("python_write");
    zkctl(&fixture, &["set", HOST, "enabled", "1"]).ok();
    let enabled = HOST_OF_OURS.replace(r#""enabled":"0""#, r#""enabled":"1""#);
    assert_eq!(fixture.zk.get(HOST).unwrap().text(), enabled);
    zkctl(&fixture, &["unset", HOST, "enabled"]).ok();
    zkctl(&fixture, &["set", HOST, "enabled", "0"]).ok();
    assert_eq!(fixture.zk.get(HOST).unwrap().text(), HOST_OF_OURS);
    // The farm keeps its other fields, and its size stays a number.
    fixture.scratch.write("h.json", HOST_OF_PYTHON);
    let running = tool(&fixture, "zkjoin", &["--name", "h", "/services/db", "h.json"]).spawn();
    running.wait_log("joined; ");
    eventually("the size", || match fixture.zk.get("/services/db").unwrap().text() {
        text if text == r#"{"running_filter":"enabled=1","size":3}"# => Ok(()),
        text => Err(text),
    });
    let ours = HOST_OF_OURS.replace("\"db-01\"", &json!(hostname()).to_string());
    assert_eq!(fixture.zk.get("/services/db/h").unwrap().text(), ours);
    stop(running);
}

#[test]
fn a_znode_that_zkfarmer_left_over_is_taken_over() {
    let mut fixture = JoinFixture::new("python_left_over");
    fixture.zk.create("/farm", FARM_OF_PYTHON).unwrap();
    let mut former = fixture.new_client();
    let left = format!("{{\"n\": 7, \"hostname\": {}}}", json!(hostname()));
    former.create_as(ENTRY, left, Create::Ephemeral).unwrap();
    fixture.dir(&[("n", "7"), ("a", "1")]);
    let running = fixture.join("conf", &[]);
    // The field keeps its type.
    fixture.wait_record(json!({"n": 7, "a": "1"}));
    assert_ne!(fixture.zk.get(ENTRY).unwrap().stat.ephemeral_owner, former.session_id());
    stop(running);
}

#[test]
fn set_and_unset_take_the_words_of_zkfarmer() {
    let mut fixture = farm("words");
    zkctl(&fixture, &["set", HOST, "mysql.replication_delay", "7"]).ok().stdout_is("");
    assert_eq!(record(&mut fixture.zk, HOST).unwrap()["mysql"]["replication_delay"], json!("7"));
    zkctl(&fixture, &["unset", HOST, "mysql.replication_delay"]).ok().stdout_is("");
    assert_eq!(record(&mut fixture.zk, HOST).unwrap()["mysql"], json!({}));
    zkctl(&fixture, &["unset", HOST, "mysql"]).ok();
    assert_eq!(fixture.zk.get(HOST).unwrap().text(), HOST_OF_OURS);
    zkctl(&fixture, &["get", HOST, "mysql"]).code(1);
}

#[test]
fn an_import_takes_the_options_of_a_join() {
    let mut fixture = JoinFixture::new("import");
    fixture.scratch.write("db.txt", r#"{"a": 1}"#);
    let running = fixture.join("db.txt", &["--import", "-f", "json"]);
    fixture.wait_record(json!({"a": 1}));
    stop(running);
    let shared = ["--import", "-c", "/farm", "db.txt", "-f", "json"];
    let running = tool(&fixture, "zkjoin", &shared).spawn();
    running.wait_log("joined; path=/farm/common");
    assert_eq!(fixture.zk.get("/farm/common").unwrap().text(), r#"{"a":1}"#);
    assert_eq!(fixture.scratch.read("db.txt").unwrap(), r#"{"a": 1}"#);
    stop(running);
}
