//! Configs that can't be read, or only later.

use super::fixture::{ENTRY, JoinFixture, edit, hostname, record};
use farm_harness::{Running, Tool, eventually, holds_for, patience};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// Starts zkjoin as a user to whom file modes apply.
#[track_caller]
fn join_as_nobody(fixture: &JoinFixture, conf: &str) -> Running {
    let running = Tool::unprivileged("zkjoin", &fixture.scratch)
        .args(["-H", &fixture.servers(), "--name", "host", "/farm"])
        .arg(fixture.scratch.join(conf))
        .spawn();
    running.wait_log("joined; ");
    running
}

fn set_mode(fixture: &JoinFixture, name: &str, mode: u32) {
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(fixture.scratch.join(name), mode).unwrap();
}

#[test]
fn a_file_of_a_directory_that_may_not_be_read_is_no_deleted_field() {
    let mut fixture = JoinFixture::new("unreadable_field");
    fixture.dir(&[("a", "1"), ("secret", "s"), ("hostname", &hostname()), ("sub/x", "1")]);
    set_mode(&fixture, "conf", 0o777);
    let running = join_as_nobody(&fixture, "conf");
    let whole = json!({"a": "1", "secret": "s", "sub": {"x": "1"}});
    fixture.wait_record(whole.clone());
    for (name, mode, back) in [("conf/secret", 0o000, 0o644), ("conf/sub", 0o000, 0o755)] {
        set_mode(&fixture, name, mode);
        fixture.scratch.write("conf/a", "edited");
        holds_for(Duration::from_millis(400), "no field is taken away", || {
            let found = record(&mut fixture.zk, ENTRY)?;
            let is_whole = found["secret"] == "s" && found["sub"]["x"] == "1";
            if is_whole { Ok(()) } else { Err(found.to_string()) }
        });
        set_mode(&fixture, name, back);
        fixture.scratch.write("conf/a", "1");
        fixture.wait_record(whole.clone());
    }
    let logged = running.stderr().lines().count();
    assert!(logged < 20, "{}", running.stderr());
}

#[test]
fn a_file_that_may_not_be_read_keeps_the_znode_and_is_told_once() {
    let mut fixture = JoinFixture::new("unreadable_conf");
    let text = json!({"a": 1, "hostname": hostname()}).to_string();
    fixture.scratch.write("conf/db.json", &text);
    set_mode(&fixture, "conf", 0o777);
    let mut running = join_as_nobody(&fixture, "conf/db.json");
    fixture.wait_record(json!({"a": 1}));
    // Metadata can be read without permission to read the file.
    let path = fixture.scratch.join("conf/db.json");
    let identity = || fs::metadata(&path).map(|file| (file.ino(), file.mtime_nsec(), file.len()));
    let before = identity().unwrap();
    set_mode(&fixture, "conf/db.json", 0o000);
    running.signal(farm_harness::Signal::SIGHUP);
    running.wait_log("the config is left alone");
    edit(&mut fixture.zk, ENTRY, |record| record["b"] = json!(2));
    running.signal(farm_harness::Signal::SIGHUP);
    holds_for(Duration::from_millis(400), "the file is left alone", || {
        let now = identity().map_err(|error| error.to_string())?;
        if now == before { Ok(()) } else { Err(format!("{now:?}")) }
    });
    assert_eq!(running.stderr().matches("left alone").count(), 1, "{}", running.stderr());
    // A change of the mode is no change of the content, so HUP makes zkjoin read it.
    set_mode(&fixture, "conf/db.json", 0o666);
    running.signal(farm_harness::Signal::SIGHUP);
    fixture.wait_json("conf/db.json", json!({"a": 1, "b": 2}));
}

#[test]
fn a_fifo_or_a_socket_as_config_is_left_alone_and_nobody_waits_for_it() {
    let mut fixture = JoinFixture::new("fifo_conf");
    Tool::program("mkfifo").arg(fixture.scratch.join("db.json")).run().ok();
    let start = Instant::now();
    let running = fixture.join("db.json", &[]);
    assert!(start.elapsed() < patience(Duration::from_secs(5)), "{:?}", start.elapsed());
    fixture.wait_record(json!({}));
    running.wait_log("the config is left alone");
    fs::remove_file(fixture.scratch.join("db.json")).unwrap();
    let socket = UnixListener::bind(fixture.scratch.join("db.json")).unwrap();
    fixture.edit(|record| record["r"] = json!(1));
    holds_for(Duration::from_millis(300), "the socket stays", || {
        let kind =
            fs::symlink_metadata(fixture.scratch.join("db.json")).map_err(|e| e.to_string())?;
        if kind.is_file() { Err("it was replaced".to_owned()) } else { Ok(()) }
    });
    drop(socket);
    fs::remove_file(fixture.scratch.join("db.json")).unwrap();
    fixture.scratch.write("db.json", r#"{"a": 1}"#);
    fixture.wait_record(json!({"a": 1, "r": 1}));
    fixture.wait_json("db.json", json!({"a": 1, "r": 1}));
}

#[test]
fn a_directory_where_a_file_is_expected_and_the_other_way_round() {
    let mut fixture = JoinFixture::new("dir_as_file");
    fs::create_dir(fixture.scratch.join("db.json")).unwrap();
    let running = fixture.join("db.json", &["-f", "json"]);
    fixture.wait_record(json!({}));
    running.wait_log("the config is left alone");
    fixture.edit(|record| record["r"] = json!(1));
    assert!(fixture.scratch.join("db.json").is_dir());

    let mut fixture = JoinFixture::new("file_as_dir");
    fixture.scratch.write("conf", "text");
    let running = fixture.join("conf", &["-f", "dir"]);
    fixture.wait_record(json!({}));
    running.wait_log("the config is left alone");
    fixture.edit(|record| record["r"] = json!("1"));
    fixture.wait_file("conf", "text");
    fs::remove_file(fixture.scratch.join("conf")).unwrap();
    fixture.scratch.write("conf/a", "1");
    fixture.wait_record(json!({"a": "1", "r": "1"}));
    fixture.wait_file("conf/r", "1");
}

#[test]
fn a_half_written_file_is_not_taken_while_its_writer_is_at_it() {
    let mut fixture = JoinFixture::new("half_written");
    // Already as zkjoin would write it, so that zkjoin does not write and then read it.
    fixture.scratch.write("db.json", json!({"a": 1, "hostname": hostname()}).to_string());
    let running = fixture.join("db.json", &["--settle", "900ms"]);
    let whole = json!({"a": 2, "b": "text", "hostname": hostname()}).to_string();
    let mut file = fs::File::create(fixture.scratch.join("db.json")).unwrap();
    let mut last = Instant::now();
    for byte in whole.as_bytes() {
        last = Instant::now();
        file.write_all(&[*byte]).unwrap();
    }
    // The file is still open: it is read after the settle time.
    fixture.wait_record(json!({"a": 2, "b": "text"}));
    assert!(last.elapsed() > Duration::from_millis(700), "{:?}", last.elapsed());
    assert!(!running.stderr().contains("left alone"), "{}", running.stderr());
    // A file that is closed is read at once.
    let start = Instant::now();
    fixture.scratch.write("db.json", json!({"a": 3, "hostname": hostname()}).to_string());
    fixture.wait_record(json!({"a": 3}));
    assert!(start.elapsed() < patience(Duration::from_millis(800)), "{:?}", start.elapsed());
}

#[test]
fn a_yaml_file_follows_and_keeps_its_types() {
    let mut fixture = JoinFixture::new("yaml");
    fixture.scratch.write("db.yml", "# mine\na: 010\nb: yes\nn: 1.50\nl: [1, 'x']\n");
    let _running = fixture.join("db.yml", &["-f", "yaml"]);
    let text = |fixture: &mut JoinFixture| fixture.zk.get(ENTRY).unwrap().text();
    let host = serde_json::Value::from(hostname());
    let first = format!(r#"{{"a":"010","b":"yes","hostname":{host},"l":[1,"x"],"n":1.50}}"#);
    assert_eq!(text(&mut fixture), first);
    fixture.edit(|record| record["t"] = json!(true));
    let yaml = format!(
        "a: \"010\"\nb: \"yes\"\nhostname: {}\nl:\n  - 1\n  - x\n\"n\": 1.50\n",
        hostname()
    );
    eventually("the file follows", || match fixture.scratch.read("db.yml")? {
        found if found.starts_with(&yaml) && found.ends_with("t: true\n") => Ok(()),
        found => Err(found),
    });
    fixture.replace("db.yml", "a: &x {k: 1}\nb: *x\nc: .nan\n");
    holds_for(Duration::from_millis(300), "what JSON can't express is refused", || {
        let found = record(&mut fixture.zk, ENTRY)?;
        if found["b"] == "yes" { Ok(()) } else { Err(found.to_string()) }
    });
    fixture.replace("db.yml", "a: &x {k: 1}\nb: *x\nt: true\n");
    fixture.wait_record(json!({"a": {"k": 1}, "b": {"k": 1}, "t": true}));
}
