//! An edit on one side reaches the other.

use super::stage::{ENTRY, Stage, hostname, record};
use farm_harness::{Create, eventually, eventually_within};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// The example of the manual that these tools grew from.
#[test]
fn a_host_shows_its_config_and_takes_edits_from_anywhere() {
    let mut stage = Stage::new("the_example");
    stage.dir(&[("hostname", "db-01.example.com\n"), ("enabled", "0\n")]);
    stage.scratch.write("conf/mysql/replication_delay", "0\n");
    let tool = farm_harness::Tool::new("zkjoin").env("ZKHOST", stage.servers());
    let tool = tool.args(["--name", "1.2.3.4", "/services/db"]).arg(stage.scratch.join("conf"));
    let running = tool.spawn();
    running.wait_log("joined; ");

    let path = "/services/db/1.2.3.4";
    let mut wanted =
        json!({"hostname": hostname(), "enabled": "0", "mysql": {"replication_delay": "0"}});
    assert_eq!(record(&mut stage.zk, path).unwrap(), wanted);
    stage.file_says("conf/hostname", &hostname());
    assert_ne!(stage.zk.get(path).unwrap().stat.ephemeral_owner, 0);

    stage.scratch.write("conf/enabled", "1\n");
    wanted["enabled"] = json!("1");
    eventually("the local edit is in the znode", || match record(&mut stage.zk, path) {
        Ok(found) if found == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    });

    super::stage::edit(&mut stage.zk, path, |record| record["enabled"] = json!("0"));
    stage.file_says("conf/enabled", "0");
    // Fields that nobody touched are as they were typed.
    stage.file_says("conf/mysql/replication_delay", "0\n");
    eventually("the farm has its size", || match record(&mut stage.zk, "/services/db")? {
        farm if farm["size"] == json!(1) => Ok(()),
        farm => Err(farm.to_string()),
    });
}

#[test]
fn every_way_to_edit_a_directory_reaches_the_znode() {
    let mut stage = Stage::new("dir_local");
    stage.dir(&[("a", "1"), ("b", "2")]);
    let _running = stage.join("conf", &[]);
    stage.sees(json!({"a": "1", "b": "2"}));

    stage.scratch.write("conf/a", "one\n");
    stage.sees(json!({"a": "one", "b": "2"}));
    // The staged file of an editor may itself be seen for a moment; it must not stay.
    stage.replace("conf/b", "two");
    stage.sees(json!({"a": "one", "b": "two"}));
    fs::remove_file(stage.scratch.join("conf/a")).unwrap();
    stage.sees(json!({"b": "two"}));
    stage.scratch.write("conf/deep/down/c", "3");
    stage.sees(json!({"b": "two", "deep": {"down": {"c": "3"}}}));
    for n in 0..20 {
        stage.scratch.write(format!("conf/deep/quick{n}/x/y"), n.to_string());
    }
    let mut deep = json!({"down": {"c": "3"}});
    for n in 0..20 {
        deep[format!("quick{n}")] = json!({"x": {"y": n.to_string()}});
    }
    stage.sees(json!({"b": "two", "deep": deep}));
    // A directory that was made after the start is watched like the others.
    stage.scratch.write("conf/deep/quick7/x/y", "late");
    deep["quick7"]["x"]["y"] = json!("late");
    stage.sees(json!({"b": "two", "deep": deep}));
    fs::rename(stage.scratch.join("conf/deep"), stage.scratch.join("elsewhere")).unwrap();
    stage.sees(json!({"b": "two"}));
    fs::rename(stage.scratch.join("elsewhere"), stage.scratch.join("conf/back")).unwrap();
    stage.sees(json!({"b": "two", "back": deep}));
    stage.scratch.write("conf/back/down/c", "4");
    deep["down"]["c"] = json!("4");
    stage.sees(json!({"b": "two", "back": deep}));
}

#[test]
fn a_writer_that_keeps_the_file_open_is_heard_within_a_second() {
    use std::io::{Seek, Write};
    let mut stage = Stage::new("settle");
    stage.dir(&[("a", "0")]);
    let _running = stage.join("conf", &[]);
    let mut file = fs::File::options().write(true).open(stage.scratch.join("conf/a")).unwrap();
    file.write_all(b"1").unwrap();
    stage.sees(json!({"a": "1"}));
    // It never pauses for long enough to be done.
    let mut n = 100;
    eventually_within(Duration::from_secs(3), "some of it arrives", || {
        n += 1;
        file.rewind().and_then(|()| file.write_all(n.to_string().as_bytes())).unwrap();
        let found = stage.record();
        let seen = found["a"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        if seen > 100 { Ok(()) } else { Err(found.to_string()) }
    });
}

#[test]
fn without_watches_the_config_is_read_now_and_then() {
    let mut stage = Stage::new("no_watches");
    stage.dir(&[("a", "0"), ("hostname", &hostname())]);
    let script = "echo 0 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let running = farm_harness::Tool::program("unshare")
        .args(["-r", "sh", "-c", script, "sh"])
        .arg(farm_harness::Tool::path_of("zkjoin"))
        .args(["-H", &stage.servers(), "--name", "host", "/farm"])
        .arg(stage.scratch.join("conf"))
        .spawn();
    running.wait_log("joined; ");
    for round in 1..=2 {
        stage.scratch.write("conf/a", round.to_string());
        stage.sees(json!({"a": round.to_string()}));
    }
    running.wait_log("local edits may go unseen");
    let log = running.stderr();
    assert_eq!(log.matches("local edits may go unseen").count(), 1, "{log}");
}

#[test]
fn every_way_to_edit_a_json_file_reaches_the_znode() {
    let mut stage = Stage::new("json_local");
    stage.scratch.write("db.json", r#"{"a": 1, "b": "2"}"#);
    let _running = stage.join("db.json", &[]);
    stage.json_says("db.json", json!({"a": 1, "b": "2"}));

    stage.scratch.write("db.json", r#"{"a": 1.50, "b": "2"}"#);
    stage.sees(serde_json::from_str(r#"{"a": 1.50, "b": "2"}"#).unwrap());
    assert!(stage.zk.get(ENTRY).unwrap().text().contains(r#""a":1.50,"#));
    stage.replace("db.json", r#"{"a": true, "c": {"d": [1, null]}}"#);
    stage.sees(json!({"a": true, "c": {"d": [1, null]}}));
    stage.json_says("db.json", json!({"a": true, "c": {"d": [1, null]}}));
    stage.replace("db.json", "{}");
    stage.sees(json!({}));
}

#[test]
fn a_remote_edit_reaches_a_directory_and_types_are_kept() {
    let mut stage = Stage::new("dir_remote");
    stage.dir(&[("a", "1\n"), ("old", "x")]);
    let _running = stage.join("conf", &[]);
    stage.edit(|record| {
        record["new"] = json!("n");
        record["nested"] = json!({"deep": {"number": 10, "flag": true, "list": [1, "x"]}});
        record.as_object_mut().unwrap().remove("old");
    });
    stage.file_says("conf/new", "n");
    stage.file_says("conf/nested/deep/number", "10");
    stage.file_says("conf/nested/deep/flag", "true");
    stage.file_says("conf/nested/deep/list", r#"[1,"x"]"#);
    stage.is_gone("conf/old");
    stage.file_says("conf/a", "1\n");

    stage.scratch.write("conf/nested/deep/number", "11\n");
    let deep = |number: Value, flag: Value| json!({"deep": {"number": number, "flag": flag, "list": [1, "x"]}});
    stage.sees(json!({"a": "1", "new": "n", "nested": deep(json!(11), json!(true))}));
    stage.scratch.write("conf/nested/deep/flag", "maybe");
    stage.sees(json!({"a": "1", "new": "n", "nested": deep(json!(11), json!("maybe"))}));

    stage.edit(|record| drop(record.as_object_mut().unwrap().remove("nested")));
    stage.is_gone("conf/nested");
    stage.sees(json!({"a": "1", "new": "n"}));
    // A field becomes an object, and an object a field.
    stage.edit(|record| record["new"] = json!({"inner": "i"}));
    stage.file_says("conf/new/inner", "i");
    stage.edit(|record| record["new"] = json!("flat"));
    stage.file_says("conf/new", "flat");
    stage.sees(json!({"a": "1", "new": "flat"}));
}

#[test]
fn a_remote_edit_reaches_a_json_and_a_yaml_file() {
    for (conf, text) in [("db.json", r#"{"a": "1"}"#), ("db.yaml", "a: \"1\"\n")] {
        let mut stage = Stage::new("file_remote");
        stage.scratch.write(conf, text);
        let _running = stage.join(conf, &[]);
        stage.edit(|record| record["n"] = json!({"number": 10, "text": "10", "none": null}));
        stage.edit(|record| drop(record.as_object_mut().unwrap().remove("a")));
        let wanted = json!({"n": {"number": 10, "text": "10", "none": null}});
        eventually("the edits are in the file", || {
            let text = stage.scratch.read(conf)?;
            let has = text.contains("number") && text.contains("none") && !text.contains("\"1\"");
            if has { Ok(()) } else { Err(text) }
        });
        // The file means the same as the znode: another edit of it changes nothing else.
        let text = stage.scratch.read(conf).unwrap().replace("number", "figure");
        stage.replace(conf, &text);
        stage.sees(json!({"n": {"figure": 10, "text": "10", "none": null}}));
        assert_ne!(stage.record(), wanted);
    }
}

#[test]
fn hostname_is_ours_on_both_sides_whoever_touches_it() {
    let mut stage = Stage::new("hostname");
    stage.dir(&[("a", "1")]);
    let running = stage.join("conf", &[]);
    stage.file_says("conf/hostname", &hostname());
    stage.edit(|record| record["hostname"] = json!("impostor"));
    stage.sees(json!({"a": "1"}));
    stage.edit(|record| drop(record.as_object_mut().unwrap().remove("hostname")));
    stage.sees(json!({"a": "1"}));
    stage.file_says("conf/hostname", &hostname());
    stage.scratch.write("conf/hostname", "nonsense");
    stage.file_says("conf/hostname", &hostname());
    fs::remove_file(stage.scratch.join("conf/hostname")).unwrap();
    stage.file_says("conf/hostname", &hostname());
    stage.sees(json!({"a": "1"}));
    assert!(!running.stderr().contains("local one is lost"), "{}", running.stderr());
}

#[test]
fn without_hostname_the_field_is_like_any_other() {
    let mut stage = Stage::new("no_hostname");
    stage.dir(&[("a", "1")]);
    let _running = stage.join("conf", &["--no-hostname"]);
    stage.sees_exactly(&json!({"a": "1"}));
    stage.edit(|record| record["hostname"] = json!("theirs"));
    stage.file_says("conf/hostname", "theirs");
    stage.scratch.write("conf/hostname", "mine");
    stage.sees_exactly(&json!({"a": "1", "hostname": "mine"}));
}

#[test]
fn size_is_the_most_hosts_ever_seen() {
    let mut stage = Stage::new("size");
    stage.dir(&[]);
    let size = |stage: &mut Stage| record(&mut stage.zk, "/farm").unwrap_or(json!({}));
    stage.zk.create("/farm", r#"{"size":1,"running_filter":"enabled=1"}"#).unwrap();
    stage.zk.create_as("/farm/common", "{}", Create::Persistent).unwrap();
    let running = stage.join("conf", &[]);
    running.wait_log("joined; ");
    // One host and `common`.
    assert_eq!(size(&mut stage)["size"], json!(1));
    drop(running);
    for name in ["h1", "h2", "h3"] {
        stage.zk.create(&format!("/farm/{name}"), "{}").unwrap();
    }
    let mut raised = stage.join("conf", &["--no-hostname"]);
    eventually("the size is raised", || match size(&mut stage) {
        farm if farm == json!({"size": 4, "running_filter": "enabled=1"}) => Ok(()),
        farm => Err(farm.to_string()),
    });
    raised.signal(farm_harness::Signal::SIGTERM);
    raised.wait_exit().ok();
    for name in ["h1", "h2", "h3"] {
        stage.zk.delete(&format!("/farm/{name}")).unwrap();
    }
    let version = stage.zk.get("/farm").unwrap().stat.version;
    let _again = stage.join("conf", &[]);
    stage.scratch.write("conf/x", "1");
    stage.sees(json!({"x": "1"}));
    assert_eq!(stage.zk.get("/farm").unwrap().stat.version, version, "never lowered");
}

#[test]
fn without_size_the_farm_itself_is_left_alone() {
    let mut stage = Stage::new("no_size");
    stage.dir(&[]);
    let _running = stage.join("conf", &["--no-size"]);
    stage.scratch.write("conf/x", "1");
    stage.sees(json!({"x": "1"}));
    assert_eq!(stage.zk.get("/farm").unwrap().data, b"");
}

#[test]
fn a_farm_is_created_with_all_above_it_chroot_included() {
    let mut stage = Stage::new("parents");
    stage.dir(&[]);
    let servers = format!("{}/not/there", stage.servers());
    let tool = farm_harness::Tool::new("zkjoin").args(["-H", &servers, "--name", "host"]);
    let running = tool.arg("/a/b/c").arg(stage.scratch.join("conf")).spawn();
    running.wait_log("joined; ");
    let stat = stage.zk.get("/not/there/a/b/c/host").unwrap().stat;
    assert_ne!(stat.ephemeral_owner, 0);
    assert_eq!(stage.zk.get("/not/there/a/b").unwrap().stat.ephemeral_owner, 0);
}
