//! Edits on one side reach the other side.

use super::fixture::{ENTRY, JoinFixture, hostname, record};
use farm_harness::{Create, eventually, eventually_within};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// The example of zkfarmer's manual.
#[test]
fn a_host_shows_its_config_and_takes_edits_from_anywhere() {
    let mut fixture = JoinFixture::new("the_example");
    fixture.dir(&[("hostname", "db-01.example.com\n"), ("enabled", "0\n")]);
    fixture.scratch.write("conf/mysql/replication_delay", "0\n");
    let tool = farm_harness::Tool::new("zkjoin").env("ZKHOST", fixture.servers());
    let tool = tool.args(["--name", "1.2.3.4", "/services/db"]).arg(fixture.scratch.join("conf"));
    let running = tool.spawn();
    running.wait_log("joined; ");

    let path = "/services/db/1.2.3.4";
    let mut wanted =
        json!({"hostname": hostname(), "enabled": "0", "mysql": {"replication_delay": "0"}});
    assert_eq!(record(&mut fixture.zk, path).unwrap(), wanted);
    fixture.wait_file("conf/hostname", &hostname());
    assert_ne!(fixture.zk.get(path).unwrap().stat.ephemeral_owner, 0);

    fixture.scratch.write("conf/enabled", "1\n");
    wanted["enabled"] = json!("1");
    eventually("the local edit is in the znode", || match record(&mut fixture.zk, path) {
        Ok(found) if found == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    });

    super::fixture::edit(&mut fixture.zk, path, |record| record["enabled"] = json!("0"));
    fixture.wait_file("conf/enabled", "0");
    // Unchanged fields keep their bytes.
    fixture.wait_file("conf/mysql/replication_delay", "0\n");
    eventually("the farm has its size", || match record(&mut fixture.zk, "/services/db")? {
        farm if farm["size"] == json!(1) => Ok(()),
        farm => Err(farm.to_string()),
    });
}

#[test]
fn every_way_to_edit_a_directory_reaches_the_znode() {
    let mut fixture = JoinFixture::new("dir_local");
    fixture.dir(&[("a", "1"), ("b", "2")]);
    let _running = fixture.join("conf", &[]);
    fixture.wait_record(json!({"a": "1", "b": "2"}));

    fixture.scratch.write("conf/a", "one\n");
    fixture.wait_record(json!({"a": "one", "b": "2"}));
    // The editor's temporary file is no field.
    fixture.replace("conf/b", "two");
    fixture.wait_record(json!({"a": "one", "b": "two"}));
    fs::remove_file(fixture.scratch.join("conf/a")).unwrap();
    fixture.wait_record(json!({"b": "two"}));
    fixture.scratch.write("conf/deep/down/c", "3");
    fixture.wait_record(json!({"b": "two", "deep": {"down": {"c": "3"}}}));
    for n in 0..20 {
        fixture.scratch.write(format!("conf/deep/quick{n}/x/y"), n.to_string());
    }
    let mut deep = json!({"down": {"c": "3"}});
    for n in 0..20 {
        deep[format!("quick{n}")] = json!({"x": {"y": n.to_string()}});
    }
    fixture.wait_record(json!({"b": "two", "deep": deep}));
    // A directory that was created after the start is watched, too.
    fixture.scratch.write("conf/deep/quick7/x/y", "late");
    deep["quick7"]["x"]["y"] = json!("late");
    fixture.wait_record(json!({"b": "two", "deep": deep}));
    fs::rename(fixture.scratch.join("conf/deep"), fixture.scratch.join("elsewhere")).unwrap();
    fixture.wait_record(json!({"b": "two"}));
    fs::rename(fixture.scratch.join("elsewhere"), fixture.scratch.join("conf/back")).unwrap();
    fixture.wait_record(json!({"b": "two", "back": deep}));
    fixture.scratch.write("conf/back/down/c", "4");
    deep["down"]["c"] = json!("4");
    fixture.wait_record(json!({"b": "two", "back": deep}));
}

#[test]
fn a_writer_that_keeps_the_file_open_is_heard_within_a_second() {
    use std::io::{Seek, Write};
    let mut fixture = JoinFixture::new("settle");
    fixture.dir(&[("a", "0")]);
    let _running = fixture.join("conf", &[]);
    let mut file = fs::File::options().write(true).open(fixture.scratch.join("conf/a")).unwrap();
    file.write_all(b"1").unwrap();
    fixture.wait_record(json!({"a": "1"}));
    // The writer never pauses for long enough to be considered done.
    let mut n = 100;
    eventually_within(Duration::from_secs(3), "some of it arrives", || {
        n += 1;
        file.rewind().and_then(|()| file.write_all(n.to_string().as_bytes())).unwrap();
        let found = fixture.record();
        let seen = found["a"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        if seen > 100 { Ok(()) } else { Err(found.to_string()) }
    });
}

#[test]
fn without_watches_the_config_is_read_now_and_then() {
    let mut fixture = JoinFixture::new("no_watches");
    fixture.dir(&[("a", "0"), ("hostname", &hostname())]);
    let script = "echo 0 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let running = farm_harness::Tool::program("unshare")
        .args(["-r", "sh", "-c", script, "sh"])
        .arg(farm_harness::Tool::path_of("zkjoin"))
        .args(["-H", &fixture.servers(), "--name", "host", "/farm"])
        .arg(fixture.scratch.join("conf"))
        .spawn();
    running.wait_log("joined; ");
    for round in 1..=2 {
        fixture.scratch.write("conf/a", round.to_string());
        fixture.wait_record(json!({"a": round.to_string()}));
    }
    running.wait_log("local edits may go unseen");
    let log = running.stderr();
    assert_eq!(log.matches("local edits may go unseen").count(), 1, "{log}");
}

#[test]
fn every_way_to_edit_a_json_file_reaches_the_znode() {
    let mut fixture = JoinFixture::new("json_local");
    fixture.scratch.write("db.json", r#"{"a": 1, "b": "2"}"#);
    let _running = fixture.join("db.json", &[]);
    fixture.wait_json("db.json", json!({"a": 1, "b": "2"}));

    fixture.scratch.write("db.json", r#"{"a": 1.50, "b": "2"}"#);
    fixture.wait_record(serde_json::from_str(r#"{"a": 1.50, "b": "2"}"#).unwrap());
    assert!(fixture.zk.get(ENTRY).unwrap().text().contains(r#""a":1.50,"#));
    fixture.replace("db.json", r#"{"a": true, "c": {"d": [1, null]}}"#);
    fixture.wait_record(json!({"a": true, "c": {"d": [1, null]}}));
    fixture.wait_json("db.json", json!({"a": true, "c": {"d": [1, null]}}));
    fixture.replace("db.json", "{}");
    fixture.wait_record(json!({}));
}

#[test]
fn a_remote_edit_reaches_a_directory_and_types_are_kept() {
    let mut fixture = JoinFixture::new("dir_remote");
    fixture.dir(&[("a", "1\n"), ("old", "x")]);
    let _running = fixture.join("conf", &[]);
    fixture.edit(|record| {
        record["new"] = json!("n");
        record["nested"] = json!({"deep": {"number": 10, "flag": true, "list": [1, "x"]}});
        record.as_object_mut().unwrap().remove("old");
    });
    fixture.wait_file("conf/new", "n");
    fixture.wait_file("conf/nested/deep/number", "10");
    fixture.wait_file("conf/nested/deep/flag", "true");
    fixture.wait_file("conf/nested/deep/list", r#"[1,"x"]"#);
    fixture.wait_removed("conf/old");
    fixture.wait_file("conf/a", "1\n");

    fixture.scratch.write("conf/nested/deep/number", "11\n");
    let deep = |number: Value, flag: Value| json!({"deep": {"number": number, "flag": flag, "list": [1, "x"]}});
    fixture.wait_record(json!({"a": "1", "new": "n", "nested": deep(json!(11), json!(true))}));
    fixture.scratch.write("conf/nested/deep/flag", "maybe");
    fixture.wait_record(json!({"a": "1", "new": "n", "nested": deep(json!(11), json!("maybe"))}));

    fixture.edit(|record| drop(record.as_object_mut().unwrap().remove("nested")));
    fixture.wait_removed("conf/nested");
    fixture.wait_record(json!({"a": "1", "new": "n"}));
    // A field becomes an object, and an object a field.
    fixture.edit(|record| record["new"] = json!({"inner": "i"}));
    fixture.wait_file("conf/new/inner", "i");
    fixture.edit(|record| record["new"] = json!("flat"));
    fixture.wait_file("conf/new", "flat");
    fixture.wait_record(json!({"a": "1", "new": "flat"}));
}

#[test]
fn a_remote_edit_reaches_a_json_and_a_yaml_file() {
    for (conf, text) in [("db.json", r#"{"a": "1"}"#), ("db.yaml", "a: \"1\"\n")] {
        let mut fixture = JoinFixture::new("file_remote");
        fixture.scratch.write(conf, text);
        let _running = fixture.join(conf, &[]);
        fixture.edit(|record| record["n"] = json!({"number": 10, "text": "10", "none": null}));
        fixture.edit(|record| drop(record.as_object_mut().unwrap().remove("a")));
        let wanted = json!({"n": {"number": 10, "text": "10", "none": null}});
        eventually("the edits are in the file", || {
            let text = fixture.scratch.read(conf)?;
            let has = text.contains("number") && text.contains("none") && !text.contains("\"1\"");
            if has { Ok(()) } else { Err(text) }
        });
        // The file is equal to the znode: an edit of it changes nothing else.
        let text = fixture.scratch.read(conf).unwrap().replace("number", "figure");
        fixture.replace(conf, &text);
        fixture.wait_record(json!({"n": {"figure": 10, "text": "10", "none": null}}));
        assert_ne!(fixture.record(), wanted);
    }
}

#[test]
fn hostname_is_ours_on_both_sides_whoever_touches_it() {
    let mut fixture = JoinFixture::new("hostname");
    fixture.dir(&[("a", "1")]);
    let running = fixture.join("conf", &[]);
    fixture.wait_file("conf/hostname", &hostname());
    fixture.edit(|record| record["hostname"] = json!("impostor"));
    fixture.wait_record(json!({"a": "1"}));
    fixture.edit(|record| drop(record.as_object_mut().unwrap().remove("hostname")));
    fixture.wait_record(json!({"a": "1"}));
    fixture.wait_file("conf/hostname", &hostname());
    fixture.scratch.write("conf/hostname", "nonsense");
    fixture.wait_file("conf/hostname", &hostname());
    fs::remove_file(fixture.scratch.join("conf/hostname")).unwrap();
    fixture.wait_file("conf/hostname", &hostname());
    fixture.wait_record(json!({"a": "1"}));
    assert!(!running.stderr().contains("local one is lost"), "{}", running.stderr());
}

#[test]
fn without_hostname_the_field_is_like_any_other() {
    let mut fixture = JoinFixture::new("no_hostname");
    fixture.dir(&[("a", "1")]);
    let _running = fixture.join("conf", &["--no-hostname"]);
    fixture.wait_exact_record(&json!({"a": "1"}));
    fixture.edit(|record| record["hostname"] = json!("theirs"));
    fixture.wait_file("conf/hostname", "theirs");
    fixture.scratch.write("conf/hostname", "mine");
    fixture.wait_exact_record(&json!({"a": "1", "hostname": "mine"}));
}

#[test]
fn size_is_the_most_hosts_ever_seen() {
    let mut fixture = JoinFixture::new("size");
    fixture.dir(&[]);
    let size = |fixture: &mut JoinFixture| record(&mut fixture.zk, "/farm").unwrap_or(json!({}));
    fixture.zk.create("/farm", r#"{"size":1,"running_filter":"enabled=1"}"#).unwrap();
    fixture.zk.create_as("/farm/common", "{}", Create::Persistent).unwrap();
    let running = fixture.join("conf", &[]);
    running.wait_log("joined; ");
    // One host and `common`.
    assert_eq!(size(&mut fixture)["size"], json!(1));
    drop(running);
    for name in ["h1", "h2", "h3"] {
        fixture.zk.create(&format!("/farm/{name}"), "{}").unwrap();
    }
    let mut raised = fixture.join("conf", &["--no-hostname"]);
    eventually("the size is raised", || match size(&mut fixture) {
        farm if farm == json!({"size": 4, "running_filter": "enabled=1"}) => Ok(()),
        farm => Err(farm.to_string()),
    });
    raised.signal(farm_harness::Signal::SIGTERM);
    raised.wait_exit().ok();
    for name in ["h1", "h2", "h3"] {
        fixture.zk.delete(&format!("/farm/{name}")).unwrap();
    }
    let version = fixture.zk.get("/farm").unwrap().stat.version;
    let _again = fixture.join("conf", &[]);
    fixture.scratch.write("conf/x", "1");
    fixture.wait_record(json!({"x": "1"}));
    assert_eq!(fixture.zk.get("/farm").unwrap().stat.version, version, "never lowered");
}

#[test]
fn without_size_the_farm_itself_is_left_alone() {
    let mut fixture = JoinFixture::new("no_size");
    fixture.dir(&[]);
    let _running = fixture.join("conf", &["--no-size"]);
    fixture.scratch.write("conf/x", "1");
    fixture.wait_record(json!({"x": "1"}));
    assert_eq!(fixture.zk.get("/farm").unwrap().data, b"");
}

#[test]
fn a_farm_is_created_with_all_above_it_chroot_included() {
    let mut fixture = JoinFixture::new("parents");
    fixture.dir(&[]);
    let servers = format!("{}/not/there", fixture.servers());
    let tool = farm_harness::Tool::new("zkjoin").args(["-H", &servers, "--name", "host"]);
    let running = tool.arg("/a/b/c").arg(fixture.scratch.join("conf")).spawn();
    running.wait_log("joined; ");
    let stat = fixture.zk.get("/not/there/a/b/c/host").unwrap().stat;
    assert_ne!(stat.ephemeral_owner, 0);
    assert_eq!(fixture.zk.get("/not/there/a/b").unwrap().stat.ephemeral_owner, 0);
}
