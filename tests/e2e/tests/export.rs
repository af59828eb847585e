//! `zkexport` keeps a file equal to a farm.

#![expect(clippy::unwrap_used, reason = "what a test sets up either works or fails the test")]

mod check;
mod commands;
mod cost;
mod fields;
mod files;
mod hold;
mod links;
mod names;
mod parse;
mod service;
mod unreadable;
mod unstartable;

use farm_harness::{
    Acl, Chroot, Create, Ensemble, Running, Scratch, Signal, Tool, Zk, eventually, holds_for,
    patience,
};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a test waits to see that something does not happen.
const QUIET_TIME: Duration = Duration::from_millis(400);

const DB_01: &str =
    r#"{"hostname":"db-01.example.com","enabled":"0","mysql":{"replication_delay":"0"}}"#;
const DB_02: &str =
    r#"{"hostname":"db-02.example.com","enabled":"0","mysql":{"replication_delay":"1"}}"#;

const DATABASE_PHP: &str = r#"<?php
return array
(
    "1.2.3.4" => array
    (
        "enabled" => "0",
        "hostname" => "db-01.example.com",
        "mysql" => array("replication_delay" => "0"),
    ),
    "1.2.3.5" => array
    (
        "enabled" => "0",
        "hostname" => "db-02.example.com",
        "mysql" => array("replication_delay" => "1"),
    ),
);
"#;

/// A chroot on the shared server, and a directory.
struct ExportFixture {
    chroot: Chroot<'static>,
    zk: Zk,
    scratch: Scratch,
}

impl ExportFixture {
    fn new(test: &str) -> Self {
        let chroot = Ensemble::shared().chroot(test);
        Self { zk: chroot.zk(), chroot, scratch: Scratch::new() }
    }

    /// Also creates the farm `/services/db` with the two hosts of the manual.
    fn with_farm(test: &str) -> Self {
        let mut fixture = Self::new(test);
        fixture.zk.create_all("/services/db", "").unwrap();
        fixture.zk.create("/services/db/1.2.3.4", DB_01).unwrap();
        fixture.zk.create("/services/db/1.2.3.5", DB_02).unwrap();
        fixture
    }

    fn tool(&self, args: &[&str]) -> Tool {
        let tool = Tool::new("zkexport").env("ZKHOST", self.chroot.connect_string());
        tool.cwd(self.scratch.path()).arg("/services/db").args(args)
    }

    /// Starts zkexport and waits for the first file.
    fn start(&self, args: &[&str]) -> Running {
        let running = self.tool(args).spawn();
        running.wait_log("the file is current");
        running
    }

    fn host(&mut self, name: &str, record: &Value) {
        let path = format!("/services/db/{name}");
        match self.zk.exists(&path).unwrap() {
            Some(_) => drop(self.zk.set(&path, record.to_string()).unwrap()),
            None => self.zk.create(&path, record.to_string()).unwrap(),
        }
    }

    fn remove(&mut self, name: &str) {
        self.zk.delete(&format!("/services/db/{name}")).unwrap();
    }

    fn json(&self) -> Value {
        let text = self.scratch.read("db.json").unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    #[track_caller]
    fn wait_for(&self, what: &str, probe: impl Fn(&Value) -> bool) {
        eventually(what, || {
            let seen = self.json();
            if probe(&seen) { Ok(()) } else { Err(seen) }
        });
    }

    #[track_caller]
    fn wait_for_text_with(&self, file: &str, part: &str) {
        eventually(file, || {
            let seen = self.scratch.read(file)?;
            if seen.contains(part) { Ok(()) } else { Err(seen) }
        });
    }

    #[track_caller]
    fn wait_for_text(&self, file: &str, expected: &str) {
        eventually(file, || {
            let seen = self.scratch.read(file)?;
            if seen == expected { Ok(()) } else { Err(seen) }
        });
    }
}

#[track_caller]
fn stop(mut running: Running) -> String {
    let asked_at = Instant::now();
    running.signal(Signal::SIGTERM);
    let output = running.wait_exit();
    assert!(asked_at.elapsed() < patience(Duration::from_secs(1)), "took {:?}", asked_at.elapsed());
    output.ok().stdout_is("");
    output.stderr
}

#[test]
fn the_farm_of_the_manual_is_the_file_of_the_manual() {
    let fixture = ExportFixture::with_farm("the_farm_of_the_manual");
    let running = fixture.start(&["database.php"]);
    fixture.wait_for_text("database.php", DATABASE_PHP);
    stop(running);
    for stdout in ["-", "/dev/stdout"] {
        fixture.tool(&["-f", "php", stdout]).run().ok().stdout_is(DATABASE_PHP).stderr_is("");
    }
}

#[test]
fn hosts_that_come_go_and_change_are_followed_at_once() {
    let mut fixture = ExportFixture::with_farm("hosts_that_come_go_and_change");
    let running = fixture.start(&["db.json"]);
    fixture.host("1.2.3.4", &json!({"enabled": "1"}));
    fixture.wait_for("the change", |file| file["1.2.3.4"] == json!({"enabled": "1"}));
    fixture.host("common", &json!({"shared": true}));
    fixture.wait_for("a new host", |file| file["common"]["shared"] == json!(true));
    fixture.remove("1.2.3.5");
    fixture.wait_for("one host less", |file| file.get("1.2.3.5").is_none());
    fixture.zk.create_as("/services/db/10.0.0.1", "", Create::Ephemeral).unwrap();
    fixture.wait_for("an empty record", |file| file["10.0.0.1"] == json!({}));
    assert_eq!(fixture.json().as_object().unwrap().len(), 3);
    // Ends the session that owns the host, as when the host dies.
    fixture.zk = fixture.chroot.zk();
    fixture.wait_for("the dead host gone", |file| file.get("10.0.0.1").is_none());
    stop(running);
}

#[test]
fn filters_decide_who_is_in_the_file() {
    let mut fixture = ExportFixture::with_farm("filters_decide");
    let running = fixture.start(&["db.json", "-F", "mysql.replication_delay<60, hostname"]);
    assert_eq!(fixture.json().as_object().unwrap().len(), 2);
    fixture.host("1.2.3.4", &json!({"hostname": "db-01", "mysql": {"replication_delay": "61"}}));
    fixture.wait_for("the slow one out", |file| file.get("1.2.3.4").is_none());
    fixture.host("1.2.3.4", &json!({"hostname": "db-01", "mysql": {"replication_delay": "59"}}));
    fixture.wait_for("and in again", |file| file.get("1.2.3.4").is_some());
    stop(running);
}

#[test]
fn a_directory_follows_the_farm_and_nothing_hostile_leaves_it() {
    let mut fixture = ExportFixture::with_farm("a_directory_follows");
    fixture.host("evil", &json!({"../../out": "x", "ok": "$(id)", "a/b": "x", ".hidden": "x"}));
    let running = fixture.start(&["-f", "dir", "db"]);
    let read = |file: &str| fixture.scratch.read(Path::new("db").join(file));
    assert_eq!(read("1.2.3.4/hostname").unwrap(), "db-01.example.com");
    assert_eq!(read("1.2.3.5/mysql/replication_delay").unwrap(), "1");
    assert_eq!(read("evil/ok").unwrap(), "$(id)");
    let names = |dir: &str| {
        let entries = fs::read_dir(fixture.scratch.join(dir)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names("db/evil"), ["ok"]);
    assert_eq!(names("."), ["db"]);
    let mut zk = fixture.chroot.zk();
    zk.delete("/services/db/evil").unwrap();
    zk.set("/services/db/1.2.3.4", r#"{"enabled":"1"}"#).unwrap();
    eventually("the change in the directory", || {
        let seen = (names("db"), names("db/1.2.3.4"), read("1.2.3.4/enabled"));
        let hosts = [".zkexport", "1.2.3.4", "1.2.3.5"];
        let is_there = seen.0 == hosts && seen.1 == ["enabled"] && seen.2.as_deref() == Ok("1");
        if is_there { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    stop(running);
}

#[test]
fn a_directory_of_somebody_else_is_only_taken_over_when_asked() {
    let fixture = ExportFixture::with_farm("a_directory_of_somebody_else");
    fixture.scratch.write("db/precious", "x");
    fixture.tool(&["db", "--once"]).run().code(78).stderr_has("hint: --adopt");
    assert_eq!(fixture.scratch.read("db/precious").unwrap(), "x");
    fixture.tool(&["db", "--once", "--adopt"]).run().ok();
    assert!(fixture.scratch.read("db/precious").is_err());
    assert_eq!(fixture.scratch.read("db/1.2.3.4/enabled").unwrap(), "0");
    fixture.tool(&["db", "--once"]).run().ok();
}

#[test]
fn a_directory_that_somebody_removed_is_written_again() {
    let mut fixture = ExportFixture::with_farm("a_directory_that_somebody_removed");
    let running = fixture.start(&["-f", "dir", "db"]);
    fs::remove_dir_all(fixture.scratch.join("db")).unwrap();
    fixture.host("new", &json!({"x": "y"}));
    eventually("the directory", || fixture.scratch.read("db/new/x"));
    assert_eq!(fixture.scratch.read("db/1.2.3.4/enabled").unwrap(), "0");
    stop(running);
}

#[test]
fn the_command_runs_once_per_change_and_is_told_what_changed() {
    let mut fixture = ExportFixture::with_farm("the_command_runs_once");
    let command = "echo \"$ZK_EVENT $ZK_PATH $ZK_FILE $ZK_COUNT +$ZK_ADDED -$ZK_REMOVED \
                   ~$ZK_CHANGED ${NOTIFY_SOCKET-none}\" >> hook.log";
    let running = fixture.start(&["db.json", "-c", command]);
    let start = "start /services/db db.json 2 +1.2.3.4 1.2.3.5 - ~ none\n";
    fixture.wait_for_text("hook.log", start);
    fixture.host("1.2.3.4", &json!({"enabled": "1"}));
    let changed = format!("{start}change /services/db db.json 2 + - ~1.2.3.4 none\n");
    fixture.wait_for_text("hook.log", &changed);
    // Other bytes for the same record do not change the file.
    fixture.zk.set("/services/db/1.2.3.4", "{\"enabled\" :  \"1\"}").unwrap();
    fixture.host("new", &json!({}));
    let added = format!("{changed}change /services/db db.json 3 +new - ~ none\n");
    fixture.wait_for_text("hook.log", &added);
    fixture.remove("1.2.3.5");
    let removed = format!("{added}change /services/db db.json 2 + -1.2.3.5 ~ none\n");
    fixture.wait_for_text("hook.log", &removed);
    stop(running);
    assert_eq!(fixture.scratch.read("hook.log").unwrap(), removed);
}

#[test]
fn changes_while_the_command_runs_are_one_further_run() {
    let mut fixture = ExportFixture::with_farm("changes_while_the_command_runs");
    let command = "echo \"$ZK_EVENT +$ZK_ADDED\" >> hook.log; while [ ! -e go ]; do :; done";
    let running =
        fixture.start(&["db.json", "-w", "0", "-c", &format!("nice {}", quoted(command))]);
    fixture.wait_for_text("hook.log", "start +1.2.3.4 1.2.3.5\n");
    for name in ["a", "b", "c"] {
        fixture.host(name, &json!({}));
        fixture.wait_for(name, |file| file.get(name).is_some());
    }
    fixture.scratch.write("go", "");
    fixture.wait_for_text("hook.log", "start +1.2.3.4 1.2.3.5\nchange +a b c\n");
    stop(running);
}

fn quoted(command: &str) -> String {
    format!("sh -c '{command}'")
}

#[test]
fn a_command_that_fails_ends_nothing_and_misses_nothing() {
    let mut fixture = ExportFixture::with_farm("a_command_that_fails");
    let command = "echo \"$ZK_EVENT +$ZK_ADDED\" >> hook.log; echo broken; test -e works";
    let running = fixture.start(&["db.json", "-c", command]);
    running.wait_log("command failed: exit status 1");
    running.wait_log("command said: broken");
    fixture.scratch.write("works", "");
    fixture.host("new", &json!({}));
    eventually("a run with all hosts", || {
        let log = fixture.scratch.read("hook.log")?;
        if log.ends_with("change +1.2.3.4 1.2.3.5 new\n") { Ok(()) } else { Err(log) }
    });
    stop(running);
}

#[test]
fn a_missing_farm_is_waited_for_and_the_file_is_not_touched() {
    let mut fixture = ExportFixture::new("a_missing_farm");
    fixture.scratch.write("db.json", "{\"old\": {}}");
    let running = fixture.tool(&["db.json", "-c", "touch hooked"]).spawn();
    running.wait_log("no such farm, waiting for it; farm=/services/db");
    holds_for(QUIET_TIME, "the file stays", || match fixture.scratch.read("db.json") {
        Ok(text) if text == "{\"old\": {}}" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(!fixture.scratch.join("hooked").exists());
    fixture.tool(&["db.json", "--once"]).run().code(1).stderr_has("no such znode: /services/db\n");
    fixture.zk.create_all("/services/db", "").unwrap();
    fixture.host("a", &json!({}));
    fixture.wait_for("the new farm", |file| *file == json!({"a": {}}));
    // When the farm is deleted the file stays, and a new farm is followed again.
    fixture.remove("a");
    fixture.zk.delete("/services/db").unwrap();
    running.wait_log_times("no such farm, waiting for it", 2);
    let last = fixture.json();
    holds_for(QUIET_TIME, "the file stays", || {
        let seen = fixture.json();
        if seen == last { Ok(()) } else { Err(seen) }
    });
    fixture.zk.create("/services/db", "").unwrap();
    fixture.host("b", &json!({}));
    fixture.wait_for("the farm that is back", |file| *file == json!({"b": {}}));
    stop(running);
}

#[test]
fn a_farm_is_created_when_asked() {
    let fixture = ExportFixture::new("a_farm_is_created");
    fixture.tool(&["-f", "json", "-", "--create-farm"]).run().ok().stdout_is("{}\n");
    fixture.tool(&["-f", "json", "-"]).run().ok().stdout_is("{}\n");
}

#[test]
fn one_file_and_its_command_and_then_the_end() {
    let fixture = ExportFixture::with_farm("one_file_and_its_command");
    fixture.tool(&["db.php", "--once", "-c", "echo $ZK_EVENT > hooked"]).run().ok().stderr_is("");
    assert_eq!(fixture.scratch.read("db.php").unwrap(), DATABASE_PHP);
    assert_eq!(fixture.scratch.read("hooked").unwrap(), "start\n");
    fixture
        .tool(&["away/db.php", "--once"])
        .run()
        .code(73)
        .stderr_has("cannot write away/db.php: ");
}

#[test]
fn a_full_disk_behind_stdout_is_an_error_and_a_reader_that_left_is_none() {
    let fixture = ExportFixture::with_farm("a_full_disk_behind_stdout");
    let zkexport = format!("{} -f php /services/db -", Tool::path_of("zkexport").display());
    let shell = |line: &str| {
        let shell = Tool::program("sh").args(["-c", line]);
        shell.env("ZKHOST", fixture.chroot.connect_string()).run()
    };
    let full = shell(&format!("{zkexport} > /dev/full"));
    full.code(73).stderr_has("zkexport: cannot write to stdout: No space left");
    let left = shell(&format!("({zkexport}; echo code $? >&2) | true"));
    left.ok().stdout_is("").stderr_is("code 0\n");
}

#[test]
fn a_server_that_restarts_costs_no_host() {
    let ensemble = Ensemble::start(1);
    let chroot = ensemble.chroot("a_server_that_restarts");
    let mut zk = chroot.zk();
    zk.create_all("/services/db/a", "{\"n\":1}").unwrap();
    zk.create("/services/db/b", "{\"n\":2}").unwrap();
    let scratch = Scratch::new();
    let running = Tool::new("zkexport")
        .env("ZKHOST", chroot.connect_string())
        .cwd(scratch.path())
        .args(["/services/db", "db.json", "-c", "echo $ZK_COUNT >> counts"])
        .spawn();
    running.wait_log("the file is current");
    for round in 0..3 {
        ensemble.server(0).kill();
        running.wait_log_times("suspended", round + 1);
        ensemble.server(0).restart();
        let value = format!("{{\"n\":{}}}", 10 + round);
        chroot.zk().set("/services/db/b", &value).unwrap();
        eventually("the change in the file", || {
            let text = scratch.read("db.json")?;
            let file: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            if file["b"]["n"] == json!(10 + round) { Ok(()) } else { Err(text) }
        });
    }
    eventually("a run", || scratch.read("counts"));
    stop(running);
    let counts = scratch.read("counts").unwrap();
    assert!(counts.lines().all(|count| count == "2"), "{counts}");
}

#[test]
fn a_host_that_only_registers_anew_never_leaves_the_file() {
    let mut fixture = ExportFixture::with_farm("a_host_that_only_registers_anew");
    // The wait is long enough for a slow machine to delete and create a host.
    let running = fixture.start(&["db.json", "-w", "1s:5s", "-c", "echo $ZK_COUNT >> counts"]);
    for round in 0..50 {
        fixture.remove("1.2.3.4");
        fixture.host("1.2.3.4", &json!({"round": round}));
    }
    fixture.wait_for("the last round", |file| file["1.2.3.4"]["round"] == json!(49));
    eventually("a run", || fixture.scratch.read("counts"));
    stop(running);
    let counts = fixture.scratch.read("counts").unwrap();
    assert!(counts.lines().all(|count| count == "2"), "{counts}");
}

#[test]
fn a_killed_exporter_leaves_a_whole_file() {
    let mut fixture = ExportFixture::with_farm("a_killed_exporter");
    let filler = "x".repeat(100_000);
    for round in 0..15 {
        let mut running = fixture.start(&["db.json", "-w", "0"]);
        for change in 0..round {
            fixture.host("1.2.3.4", &json!({"change": change, "filler": filler}));
        }
        running.kill9();
        let text = fixture.scratch.read("db.json").unwrap();
        let file: Value = serde_json::from_str(&text).expect("the file is whole");
        assert_eq!(file.as_object().unwrap().len(), 2);
    }
}

#[test]
fn hup_writes_again_what_somebody_removed() {
    let fixture = ExportFixture::with_farm("hup_writes_again");
    let mut running = fixture.start(&["db.php"]);
    fs::remove_file(fixture.scratch.join("db.php")).unwrap();
    running.signal(Signal::SIGHUP);
    fixture.wait_for_text("db.php", DATABASE_PHP);
    running.wait_log("the file has changed");
    // A file with the same contents is not written.
    let modified = fs::metadata(fixture.scratch.join("db.php")).unwrap().modified().unwrap();
    running.signal(Signal::SIGHUP);
    running.wait_log_times("reading everything again", 2);
    let log = stop(running);
    assert_eq!(log.matches("the file has changed").count(), 1, "{log}");
    assert_eq!(fs::metadata(fixture.scratch.join("db.php")).unwrap().modified().unwrap(), modified);
}

#[test]
fn a_file_that_can_not_be_written_is_told_of_once_and_caught_up() {
    let mut fixture = ExportFixture::with_farm("a_file_that_can_not_be_written");
    fs::create_dir(fixture.scratch.join("conf")).unwrap();
    let running = fixture.start(&["conf/db.json"]);
    fs::rename(fixture.scratch.join("conf"), fixture.scratch.join("away")).unwrap();
    fixture.host("a", &json!({}));
    running.wait_log("the file stays as it is, trying again: cannot write conf/db.json: ");
    fixture.host("b", &json!({}));
    fs::rename(fixture.scratch.join("away"), fixture.scratch.join("conf")).unwrap();
    running.wait_log("the file can be written again");
    // The last host may arrive only now.
    eventually("all hosts in the file", || {
        let text = fixture.scratch.read("conf/db.json")?;
        let file: Value = serde_json::from_str(&text).unwrap();
        if file.as_object().unwrap().len() == 4 { Ok(()) } else { Err(text) }
    });
    let log = stop(running);
    assert_eq!(log.matches("the file stays as it is").count(), 1, "{log}");
    assert_eq!(
        fs::read_dir(fixture.scratch.join("conf")).unwrap().count(),
        1,
        "nothing else stays"
    );
}

#[test]
fn a_forbidden_host_does_not_hold_up_the_others() {
    let mut fixture = ExportFixture::with_farm("a_forbidden_host");
    let mut running = fixture.start(&["db.json"]);
    let mut owner = fixture.chroot.zk();
    owner.add_auth("me:word").unwrap();
    owner.set_acl("/services/db/1.2.3.4", Acl::Mine).unwrap();
    owner.set("/services/db/1.2.3.4", "{\"secret\":1}").unwrap();
    // Servers send no events of znodes that the client can't read.
    running.signal(Signal::SIGHUP);
    running.wait_log("not authorised: ");
    fixture.host("1.2.3.5", &json!({"enabled": "1"}));
    fixture.wait_for("the other one", |file| file["1.2.3.5"]["enabled"] == json!("1"));
    assert_eq!(fixture.json()["1.2.3.4"]["hostname"], json!("db-01.example.com"));
    stop(running);
}
