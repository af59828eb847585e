//! `--fields`: some fields of every host.

use super::*;
use std::os::unix::fs::MetadataExt;

#[test]
fn only_what_is_named_is_written_in_every_format() {
    let fixture = ExportFixture::with_farm("only_what_is_named_is_written");
    let json = |args: &[&str]| -> Value {
        let output = fixture.tool(&[args, &["-f", "json", "-"]].concat()).run();
        serde_json::from_str(&output.ok().text()).unwrap()
    };
    let delays = json!({
        "1.2.3.4": {"mysql": {"replication_delay": "0"}},
        "1.2.3.5": {"mysql": {"replication_delay": "1"}},
    });
    assert_eq!(json(&["--fields", "mysql.replication_delay, none"]), delays);
    // The filter sees what is not written.
    let one = json!({"1.2.3.5": {"enabled": "0"}});
    assert_eq!(json(&["--fields", "enabled", "-F", "mysql.replication_delay=1"]), one);
    assert_eq!(json(&["--fields", "none"]), json!({"1.2.3.4": {}, "1.2.3.5": {}}));
    let php = fixture.tool(&["--fields", "enabled", "-f", "php", "-"]).run();
    let expected = "<?php\nreturn array\n(\n    \"1.2.3.4\" => array\n    (\n        \
                    \"enabled\" => \"0\",\n    ),\n    \"1.2.3.5\" => array\n    (\n        \
                    \"enabled\" => \"0\",\n    ),\n);\n";
    php.ok().stdout_is(expected);
    fixture.tool(&["--fields", "hostname", "-f", "dir", "db", "--once"]).run().ok();
    let mut names: Vec<_> = fs::read_dir(fixture.scratch.join("db/1.2.3.4"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["hostname"]);
    for wrong in ["", "a,,b", "a."] {
        fixture.tool(&["--fields", wrong, "db.json"]).run().code(2);
    }
}

#[test]
fn fields_that_are_not_named_change_without_a_trace() {
    let mut fixture = ExportFixture::with_farm("fields_that_are_not_named");
    let args = ["db.json", "--fields", "hostname,enabled", "-c", "echo $ZK_EVENT >> ran"];
    let running = fixture.start(&args);
    fixture.wait_for_text("ran", "start\n");
    let about = |fixture: &ExportFixture| {
        let found = fs::metadata(fixture.scratch.join("db.json")).unwrap();
        (found.ino(), found.mtime(), found.mtime_nsec())
    };
    let before = about(&fixture);
    for load in 1..100 {
        let record = json!({"hostname": "db-01.example.com", "enabled": "0", "load": load});
        fixture.host("1.2.3.4", &record);
        holds_for(Duration::from_millis(20), "the file stays", || {
            let now = about(&fixture);
            if now == before { Ok(()) } else { Err(format!("{now:?}")) }
        });
    }
    fixture.host("1.2.3.4", &json!({"hostname": "db-01", "enabled": "1", "load": 100}));
    fixture.wait_for("what is named", |file| file["1.2.3.4"]["enabled"] == "1");
    assert_eq!(fixture.json()["1.2.3.4"], json!({"hostname": "db-01", "enabled": "1"}));
    fixture.wait_for_text("ran", "start\nchange\n");
    stop(running);
}
