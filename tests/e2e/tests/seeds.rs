//! What users of zkfarmer bring along: its options, its znodes, its habits.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

use crate::join::stage::{ENTRY, Stage, hostname, record};
use farm_harness::{
    Create, Output, Running, Signal, Tool, eventually, free_port, patience, steadily,
};
use serde_json::json;
use std::fs;
use std::time::Duration;

const HOST: &str = "/services/db/1.2.3.4";
/// As Python's `json.dumps` writes a host.
const HOST_OF_PYTHON: &str = r#"{"hostname": "db-01", "name": "caf\u00e9 \ud83d\ude00", "enabled": "0", "delay": 1.0, "big": 1e+22, "small": 1e-05, "neg": -0.5, "count": 12345678901234567890, "t": true, "n": null, "l": [1, "x", {}], "o": {"a.b": "c"}, "q": "\"\\/\t\u007f"}"#;
/// The same, as we write it: for any reader of JSON the same value.
const HOST_OF_OURS: &str = "{\"big\":1e+22,\"count\":12345678901234567890,\"delay\":1.0,\
    \"enabled\":\"0\",\"hostname\":\"db-01\",\"l\":[1,\"x\",{}],\"n\":null,\
    \"name\":\"café 😀\",\"neg\":-0.5,\"o\":{\"a.b\":\"c\"},\"q\":\"\\\"\\\\/\\t\u{7f}\",\
    \"small\":1e-05,\"t\":true}";
const FARM_OF_PYTHON: &str = r#"{"size": 2, "running_filter": "enabled=1"}"#;

/// A farm as zkfarmer has left it.
fn farm(test: &str) -> Stage {
    let mut stage = Stage::new(test);
    stage.zk.create_all("/services/db", FARM_OF_PYTHON).unwrap();
    stage.zk.create(HOST, HOST_OF_PYTHON).unwrap();
    stage.zk.create("/services/db/1.2.3.5", r#"{"enabled": "1", "delay": "9.5"}"#).unwrap();
    stage
}

fn tool(stage: &Stage, name: &str, arguments: &[&str]) -> Tool {
    let tool = Tool::new(name).env("ZKHOST", stage.servers()).cwd(stage.scratch.path());
    tool.args(arguments)
}

fn zkctl(stage: &Stage, arguments: &[&str]) -> Output {
    tool(stage, "zkctl", arguments).run()
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
    let stage = farm("log_levels");
    // A daemon tells what happens, a command only what is wrong.
    let levels = [(&[][..], true, false), (&["-q"], false, false), (&["-vv"], true, true)];
    for (options, has_info, has_more) in levels {
        for (name, ready) in [("zkjoin", "--name=h"), ("zkexport", "-w=0")] {
            let log = {
                stage.scratch.write("x.json", "{}");
                let running = tool(&stage, name, &[ready, "/farm", "x.json"]);
                let create = if name == "zkexport" { &["--create-farm"][..] } else { &[] };
                let running = running.args(create).args(options).spawn();
                eventually("it has written", || match stage.scratch.read("x.json")? {
                    text if text != "{}" => Ok(()),
                    text => Err(text),
                });
                stop(running)
            };
            assert_eq!(log.contains("INFO"), has_info, "{name} {options:?}: {log}");
            let is_more = log.contains("DEBUG") || log.contains("TRACE");
            // The one has more to tell than the other.
            assert!(is_more == has_more || name == "zkexport", "{name} {options:?}: {log}");
        }
    }
    let get = |options: &[&str]| {
        let output = tool(&stage, "zkctl", &["get", HOST, "enabled"]).args(options).run();
        output.ok().stdout_is("0\n");
        output.stderr
    };
    assert_eq!(get(&[]), "");
    assert_eq!(get(&["-q"]), "");
    assert!(get(&["-v"]).contains("INFO"), "{}", get(&["-v"]));
}

#[test]
fn retries_are_rounds_and_then_it_is_69() {
    let stage = Stage::new("retries_of_all");
    stage.scratch.write("x.json", "{}");
    let nobody = format!("127.0.0.1:{}", free_port());
    for (name, arguments) in [
        ("zkjoin", &["--name", "h", "/farm", "x.json"][..]),
        ("zkexport", &["/farm", "x.json"]),
        ("zkctl", &["ls", "/farm"]),
    ] {
        for retries in [["-r", "1"], ["--retries", "2"]] {
            let tool = Tool::new(name).args(["--host", &nobody]).args(retries).args(arguments);
            let output = tool.cwd(stage.scratch.path()).run();
            output.code(69).stdout_is("").stderr_has("hint: ");
            assert!(output.elapsed < patience(Duration::from_secs(5)), "{output}");
        }
    }
    assert_eq!(stage.scratch.read("x.json").unwrap(), "{}");
}

#[test]
fn zkhost_is_heard_by_all_and_outranked_by_the_option() {
    let stage = farm("zkhost");
    let nobody = format!("127.0.0.1:{}", free_port());
    tool(&stage, "zkctl", &["ls", "/services"]).run().ok().stdout_is("db\n");
    let once = ["/services/db", "-f", "json", "-"];
    tool(&stage, "zkexport", &once).run().ok().stdout_has("caf\u{e9}");
    let named = Tool::new("zkexport").env("ZKHOST", &nobody).args(["-H", &stage.servers()]);
    named.args(once).run().ok().stdout_has("caf\u{e9}");
    let running = tool(&stage, "zkjoin", &["--name", "h", "/services/db", "h.json"]).spawn();
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
        let mut stage = Stage::new("format_of_join");
        if format == "dir" {
            stage.scratch.write("conf.d/a", "010");
        } else {
            stage.scratch.write(file, text);
        }
        let running = stage.join(file, &["-f", format]);
        stage.sees(json!({"a": "010"}));
        stage.edit(|record| record["b"] = json!("yes"));
        let (name, wanted) = match format {
            "json" => (file.to_owned(), r#""b": "yes""#),
            "yaml" => (file.to_owned(), "b: \"yes\"\n"),
            _ => (format!("{file}/b"), "yes"),
        };
        eventually("the edit in the format", || match stage.scratch.read(&name)? {
            found if found.contains(wanted) => Ok(()),
            found => Err(found),
        });
        stop(running);
    }
}

#[test]
fn php_is_no_format_of_a_config_and_one_without_a_name_is_asked_for() {
    let stage = Stage::new("php_of_join");
    let php = stage.scratch.write("db.php", "<?php return array();\n");
    let refused = "zkjoin: php can be written, but not read back\nhint: use json, yaml or dir\n";
    stage.zkjoin("db.php").run().code(78).stderr_is(refused);
    stage.zkjoin("db.json").args(["--format", "php"]).run().code(78).stderr_is(refused);
    assert_eq!(fs::read_to_string(php).unwrap(), "<?php return array();\n");
    let unclear = stage.zkjoin("db.conf").run();
    unclear.code(2).stderr_has("json, yaml, php or dir");
    stage.zkjoin("db.json").args(["-f", "toml"]).run().code(2);
}

#[test]
fn an_export_has_the_format_that_f_says() {
    let stage = farm("format_of_export");
    let export = |arguments: &[&str]| tool(&stage, "zkexport", arguments).run().ok().text();
    let json = export(&["/services/db", "-", "-f", "json", "-F", "delay>2"]);
    let wanted = "{\n  \"1.2.3.5\": {\n    \"delay\": \"9.5\",\n    \"enabled\": \"1\"\n  }\n}\n";
    assert_eq!(json, wanted);
    let yaml = export(&["/services/db", "-", "-f", "yaml", "--filters", "delay>2"]);
    assert_eq!(yaml, "\"1.2.3.5\":\n  delay: \"9.5\"\n  enabled: \"1\"\n");
    let php = export(&["/services/db", "-", "--format", "php", "-F", "delay>2"]);
    assert!(php.starts_with("<?php\nreturn array\n(\n    \"1.2.3.5\" => array\n"), "{php}");
    export(&["/services/db", "hosts.php", "-f", "json", "-F", "delay>2", "--once"]);
    assert_eq!(stage.scratch.read("hosts.php").unwrap(), wanted);
    export(&["/services/db", "hosts", "-f", "dir", "--once"]);
    assert_eq!(stage.scratch.read("hosts/1.2.3.5/delay").unwrap(), "9.5");
    assert_eq!(stage.scratch.read("hosts/1.2.3.4/o/a.b").unwrap(), "c");
}

#[test]
fn the_dot_files_of_an_exported_directory_are_left_alone() {
    let mut stage = farm("export_dot_files");
    let running = tool(&stage, "zkexport", &["/services/db", "hosts", "-f", "dir"]).spawn();
    running.wait_log("the file is current");
    stage.scratch.write("hosts/.gitignore", "*");
    stage.scratch.write("hosts/1.2.3.5/.note", "mine");
    stage.zk.set("/services/db/1.2.3.5", r#"{"enabled": "0"}"#).unwrap();
    stage.file_says("hosts/1.2.3.5/enabled", "0");
    stage.is_gone("hosts/1.2.3.5/delay");
    assert_eq!(stage.scratch.read("hosts/.gitignore").unwrap(), "*");
    assert_eq!(stage.scratch.read("hosts/1.2.3.5/.note").unwrap(), "mine");
    stop(running);
}

#[test]
fn a_strange_directory_is_refused_as_the_page_says() {
    let page = include_str!("../../../docs/formats.md");
    let (_, example) = page.split_once("$ zkexport /services/db other\n").unwrap();
    let (wanted, _) = example.split_once("```").unwrap();
    let stage = farm("strange_dir");
    stage.scratch.write("other/precious", "x");
    let output = tool(&stage, "zkexport", &["/services/db", "other"]).run();
    output.code(78).stdout_is("").stderr_is(wanted);
}

#[test]
fn what_zkfarmer_wrote_is_read_by_all() {
    let mut stage = farm("python_read");
    zkctl(&stage, &["get", HOST, "name"]).ok().stdout_is("café 😀\n");
    zkctl(&stage, &["get", HOST, "count"]).ok().stdout_is("12345678901234567890\n");
    zkctl(&stage, &["get", HOST, r"o.a\.b"]).ok().stdout_is("c\n");
    zkctl(&stage, &["get", HOST, "q"]).ok().stdout_is("\"\\/\t\u{7f}\n");
    for format in ["json", "yaml", "php"] {
        let output = zkctl(&stage, &["get", HOST, "-f", format]);
        output.ok().stdout_has("12345678901234567890").stdout_has("1.0").stdout_has("café 😀");
    }
    let listed = zkctl(&stage, &["ls", "/services/db", "--fields", "enabled,delay", "-F", "delay"]);
    listed.ok().stdout_is(
        "1.2.3.4              enabled=0, delay=1.0\n1.2.3.5              enabled=1, delay=9.5\n",
    );
    // One of two runs, by the farm's own filter.
    let check = ["check", "/services/db", "-c", "60%", "-w", "1"];
    zkctl(&stage, &check).code(1).stdout_has("WARNING: 1/2 nodes running, 1 nodes failing");
    let long = ["check", "/services/db", "--max-failed-node", "1", "--warn-failed-node", "1"];
    zkctl(&stage, &long).code(2).stdout_has("CRITICAL: 1/2 nodes running");
    // And by those who join and export.
    stage.zk.create("/services/db/common", HOST_OF_PYTHON).unwrap();
    let running = tool(&stage, "zkjoin", &["--common", "/services/db", "common.json"]).spawn();
    let wanted: serde_json::Value = serde_json::from_str(HOST_OF_PYTHON).unwrap();
    eventually("the config", || match stage.json("common.json")? {
        found if found == wanted => Ok(()),
        found => Err(found.to_string()),
    });
    steadily(Duration::from_millis(300), "what is the same is not written", || {
        match stage.zk.get("/services/db/common").unwrap() {
            znode if znode.text() == HOST_OF_PYTHON => Ok(()),
            znode => Err(znode.text()),
        }
    });
    stop(running);
    tool(&stage, "zkexport", &["/services/db", "all.json", "--once"]).run().ok();
    assert_eq!(stage.json("all.json").unwrap()["1.2.3.4"], wanted);
}

#[test]
fn what_we_write_is_the_same_json_to_zkfarmer() {
    let mut stage = farm("python_write");
    zkctl(&stage, &["set", HOST, "enabled", "1"]).ok();
    let enabled = HOST_OF_OURS.replace(r#""enabled":"0""#, r#""enabled":"1""#);
    assert_eq!(stage.zk.get(HOST).unwrap().text(), enabled);
    zkctl(&stage, &["unset", HOST, "enabled"]).ok();
    zkctl(&stage, &["set", HOST, "enabled", "0"]).ok();
    assert_eq!(stage.zk.get(HOST).unwrap().text(), HOST_OF_OURS);
    // A farm keeps its own fields, and its size is a number as before.
    stage.scratch.write("h.json", HOST_OF_PYTHON);
    let running = tool(&stage, "zkjoin", &["--name", "h", "/services/db", "h.json"]).spawn();
    running.wait_log("joined; ");
    eventually("the size", || match stage.zk.get("/services/db").unwrap().text() {
        text if text == r#"{"running_filter":"enabled=1","size":3}"# => Ok(()),
        text => Err(text),
    });
    let ours = HOST_OF_OURS.replace("\"db-01\"", &json!(hostname()).to_string());
    assert_eq!(stage.zk.get("/services/db/h").unwrap().text(), ours);
    stop(running);
}

#[test]
fn a_znode_that_zkfarmer_left_over_is_taken_over() {
    let mut stage = Stage::new("python_left_over");
    stage.zk.create("/farm", FARM_OF_PYTHON).unwrap();
    let mut ghost = stage.observer();
    let left = format!("{{\"n\": 7, \"hostname\": {}}}", json!(hostname()));
    ghost.create_as(ENTRY, left, Create::Ephemeral).unwrap();
    stage.dir(&[("n", "7"), ("a", "1")]);
    let running = stage.join("conf", &[]);
    // The type of the field is the one it had.
    stage.sees(json!({"n": 7, "a": "1"}));
    assert_ne!(stage.zk.get(ENTRY).unwrap().stat.ephemeral_owner, ghost.session_id());
    stop(running);
}

#[test]
fn set_and_unset_take_the_words_of_zkfarmer() {
    let mut stage = farm("words");
    zkctl(&stage, &["set", HOST, "mysql.replication_delay", "7"]).ok().stdout_is("");
    assert_eq!(record(&mut stage.zk, HOST).unwrap()["mysql"]["replication_delay"], json!("7"));
    zkctl(&stage, &["unset", HOST, "mysql.replication_delay"]).ok().stdout_is("");
    assert_eq!(record(&mut stage.zk, HOST).unwrap()["mysql"], json!({}));
    zkctl(&stage, &["unset", HOST, "mysql"]).ok();
    assert_eq!(stage.zk.get(HOST).unwrap().text(), HOST_OF_OURS);
    zkctl(&stage, &["get", HOST, "mysql"]).code(1);
}

#[test]
fn an_import_takes_the_options_of_a_join() {
    let mut stage = Stage::new("import");
    stage.scratch.write("db.txt", r#"{"a": 1}"#);
    let running = stage.join("db.txt", &["--import", "-f", "json"]);
    stage.sees(json!({"a": 1}));
    stop(running);
    let shared = ["--import", "-c", "/farm", "db.txt", "-f", "json"];
    let running = tool(&stage, "zkjoin", &shared).spawn();
    running.wait_log("joined; path=/farm/common");
    assert_eq!(stage.zk.get("/farm/common").unwrap().text(), r#"{"a":1}"#);
    assert_eq!(stage.scratch.read("db.txt").unwrap(), r#"{"a": 1}"#);
    stop(running);
}
