//! Configs that can't be read, or not yet.

use super::stage::{ENTRY, Stage, edit, hostname, record};
use farm_harness::{Running, Tool, eventually, patience, steadily};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// As somebody whom modes of files mean something.
#[track_caller]
fn join_as_nobody(stage: &Stage, conf: &str) -> Running {
    let running = Tool::unprivileged("zkjoin", &stage.scratch)
        .args(["-H", &stage.servers(), "--name", "host", "/farm"])
        .arg(stage.scratch.join(conf))
        .spawn();
    running.wait_log("joined; ");
    running
}

fn set_mode(stage: &Stage, name: &str, mode: u32) {
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(stage.scratch.join(name), mode).unwrap();
}

#[test]
fn a_file_of_a_directory_that_may_not_be_read_is_no_deleted_field() {
    let mut stage = Stage::new("unreadable_field");
    stage.dir(&[("a", "1"), ("secret", "s"), ("hostname", &hostname()), ("sub/x", "1")]);
    set_mode(&stage, "conf", 0o777);
    let running = join_as_nobody(&stage, "conf");
    let whole = json!({"a": "1", "secret": "s", "sub": {"x": "1"}});
    stage.sees(whole.clone());
    for (name, mode, back) in [("conf/secret", 0o000, 0o644), ("conf/sub", 0o000, 0o755)] {
        set_mode(&stage, name, mode);
        stage.scratch.write("conf/a", "edited");
        steadily(Duration::from_millis(400), "no field is taken away", || {
            let found = record(&mut stage.zk, ENTRY)?;
            let is_whole = found["secret"] == "s" && found["sub"]["x"] == "1";
            if is_whole { Ok(()) } else { Err(found.to_string()) }
        });
        set_mode(&stage, name, back);
        stage.scratch.write("conf/a", "1");
        stage.sees(whole.clone());
    }
    let told = running.stderr().lines().count();
    assert!(told < 20, "{}", running.stderr());
}

#[test]
fn a_file_that_may_not_be_read_keeps_the_znode_and_is_told_once() {
    let mut stage = Stage::new("unreadable_conf");
    let text = json!({"a": 1, "hostname": hostname()}).to_string();
    stage.scratch.write("conf/db.json", &text);
    set_mode(&stage, "conf", 0o777);
    let mut running = join_as_nobody(&stage, "conf/db.json");
    stage.sees(json!({"a": 1}));
    // Who may not read it, maybe this test too, still sees whether it is the same file.
    let path = stage.scratch.join("conf/db.json");
    let identity = || fs::metadata(&path).map(|file| (file.ino(), file.mtime_nsec(), file.len()));
    let before = identity().unwrap();
    set_mode(&stage, "conf/db.json", 0o000);
    running.signal(farm_harness::Signal::SIGHUP);
    running.wait_log("the config is left alone");
    edit(&mut stage.zk, ENTRY, |record| record["b"] = json!(2));
    running.signal(farm_harness::Signal::SIGHUP);
    steadily(Duration::from_millis(400), "the file is left alone", || {
        let now = identity().map_err(|error| error.to_string())?;
        if now == before { Ok(()) } else { Err(format!("{now:?}")) }
    });
    assert_eq!(running.stderr().matches("left alone").count(), 1, "{}", running.stderr());
    // That it may be read again is no event of the file's content: it is heard all the same.
    set_mode(&stage, "conf/db.json", 0o666);
    running.signal(farm_harness::Signal::SIGHUP);
    stage.json_says("conf/db.json", json!({"a": 1, "b": 2}));
}

#[test]
fn a_fifo_or_a_socket_as_config_is_left_alone_and_nobody_waits_for_it() {
    let mut stage = Stage::new("fifo_conf");
    Tool::program("mkfifo").arg(stage.scratch.join("db.json")).run().ok();
    let start = Instant::now();
    let running = stage.join("db.json", &[]);
    assert!(start.elapsed() < patience(Duration::from_secs(5)), "{:?}", start.elapsed());
    stage.sees(json!({}));
    running.wait_log("the config is left alone");
    fs::remove_file(stage.scratch.join("db.json")).unwrap();
    let socket = UnixListener::bind(stage.scratch.join("db.json")).unwrap();
    stage.edit(|record| record["r"] = json!(1));
    steadily(Duration::from_millis(300), "the socket stays", || {
        let kind =
            fs::symlink_metadata(stage.scratch.join("db.json")).map_err(|e| e.to_string())?;
        if kind.is_file() { Err("it was replaced".to_owned()) } else { Ok(()) }
    });
    drop(socket);
    fs::remove_file(stage.scratch.join("db.json")).unwrap();
    stage.scratch.write("db.json", r#"{"a": 1}"#);
    stage.sees(json!({"a": 1, "r": 1}));
    stage.json_says("db.json", json!({"a": 1, "r": 1}));
}

#[test]
fn a_directory_where_a_file_is_expected_and_the_other_way_round() {
    let mut stage = Stage::new("dir_as_file");
    fs::create_dir(stage.scratch.join("db.json")).unwrap();
    let running = stage.join("db.json", &["-f", "json"]);
    stage.sees(json!({}));
    running.wait_log("the config is left alone");
    stage.edit(|record| record["r"] = json!(1));
    assert!(stage.scratch.join("db.json").is_dir());

    let mut stage = Stage::new("file_as_dir");
    stage.scratch.write("conf", "text");
    let running = stage.join("conf", &["-f", "dir"]);
    stage.sees(json!({}));
    running.wait_log("the config is left alone");
    stage.edit(|record| record["r"] = json!("1"));
    stage.file_says("conf", "text");
    fs::remove_file(stage.scratch.join("conf")).unwrap();
    stage.scratch.write("conf/a", "1");
    stage.sees(json!({"a": "1", "r": "1"}));
    stage.file_says("conf/r", "1");
}

#[test]
fn a_half_written_file_is_not_taken_while_its_writer_is_at_it() {
    let mut stage = Stage::new("half_written");
    // As it shall be: nothing is written that would make it be read.
    stage.scratch.write("db.json", json!({"a": 1, "hostname": hostname()}).to_string());
    let running = stage.join("db.json", &["--settle", "900ms"]);
    let whole = json!({"a": 2, "b": "text", "hostname": hostname()}).to_string();
    let mut file = fs::File::create(stage.scratch.join("db.json")).unwrap();
    let mut last = Instant::now();
    for byte in whole.as_bytes() {
        last = Instant::now();
        file.write_all(&[*byte]).unwrap();
    }
    // Open still, and quiet: it is taken after the time to settle.
    stage.sees(json!({"a": 2, "b": "text"}));
    assert!(last.elapsed() > Duration::from_millis(700), "{:?}", last.elapsed());
    assert!(!running.stderr().contains("left alone"), "{}", running.stderr());
    // Closed, it is taken at once.
    let start = Instant::now();
    stage.scratch.write("db.json", json!({"a": 3, "hostname": hostname()}).to_string());
    stage.sees(json!({"a": 3}));
    assert!(start.elapsed() < patience(Duration::from_millis(800)), "{:?}", start.elapsed());
}

#[test]
fn a_yaml_file_follows_and_keeps_its_types() {
    let mut stage = Stage::new("yaml");
    stage.scratch.write("db.yml", "# mine\na: 010\nb: yes\nn: 1.50\nl: [1, 'x']\n");
    let _running = stage.join("db.yml", &["-f", "yaml"]);
    let text = |stage: &mut Stage| stage.zk.get(ENTRY).unwrap().text();
    let host = serde_json::Value::from(hostname());
    let first = format!(r#"{{"a":"010","b":"yes","hostname":{host},"l":[1,"x"],"n":1.50}}"#);
    assert_eq!(text(&mut stage), first);
    stage.edit(|record| record["t"] = json!(true));
    let yaml = format!(
        "a: \"010\"\nb: \"yes\"\nhostname: {}\nl:\n  - 1\n  - x\n\"n\": 1.50\n",
        hostname()
    );
    eventually("the file follows", || match stage.scratch.read("db.yml")? {
        found if found.starts_with(&yaml) && found.ends_with("t: true\n") => Ok(()),
        found => Err(found),
    });
    stage.replace("db.yml", "a: &x {k: 1}\nb: *x\nc: .nan\n");
    steadily(Duration::from_millis(300), "what can't be told in JSON is refused", || {
        let found = record(&mut stage.zk, ENTRY)?;
        if found["b"] == "yes" { Ok(()) } else { Err(found.to_string()) }
    });
    stage.replace("db.yml", "a: &x {k: 1}\nb: *x\nt: true\n");
    stage.sees(json!({"a": {"k": 1}, "b": {"k": 1}, "t": true}));
}
