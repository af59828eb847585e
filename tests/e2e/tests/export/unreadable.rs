//! Farms of which nothing can be read.

use super::*;

const NO_HOST: &str = "no host can be read, the file stays as it is";

/// A farm of two hosts that registered with another tool, and a file from before.
fn foreign_farm(test: &str) -> ExportFixture {
    let mut fixture = ExportFixture::new(test);
    fixture.zk.create_all("/services/db", "").unwrap();
    fixture.zk.create("/services/db/rs-1", b"\xff\0PBUF\x12\x0a").unwrap();
    fixture.zk.create("/services/db/rs-2", "host=10.0.0.2 port=16020").unwrap();
    fixture.scratch.write("db.json", "{\"old\":{}}");
    fixture
}

#[test]
fn a_farm_of_which_nothing_can_be_read_leaves_the_file_alone() {
    let mut fixture = foreign_farm("nothing_can_be_read");
    let running = fixture.tool(&["db.json", "-c", "echo $ZK_COUNT >> ran"]).spawn();
    running.wait_log(NO_HOST);
    holds_for(QUIET_TIME, "the file stays", || {
        let text = fixture.scratch.read("db.json")?;
        if text == "{\"old\":{}}" { Ok(()) } else { Err(text) }
    });
    // Once there is a record, the farm is written, also when only unreadable hosts remain.
    fixture.host("good", &json!({"n": 1}));
    fixture.wait_for("the first record", |file| *file == json!({"good": {"n": 1}}));
    fixture.remove("good");
    running.wait_log_times(NO_HOST, 2);
    // A farm without hosts is empty.
    fixture.remove("rs-1");
    fixture.remove("rs-2");
    fixture.wait_for("an empty farm", |file| *file == json!({}));
    fixture.wait_for_text("ran", "1\n0\n");
    let log = stop(running);
    assert_eq!(log.matches(NO_HOST).count(), 2, "{log}");
    assert!(log.contains("hosts=2 hint=\"a record is a JSON object; zkctl get --raw "), "{log}");
}

#[test]
fn one_file_of_a_farm_of_which_nothing_can_be_read_is_exit_65() {
    let fixture = foreign_farm("one_file_of_nothing");
    for args in [
        &["--once", "db.json"][..],
        &["--dry-run", "db.json"],
        &["-f", "json", "-"],
        &["--once", "-f", "dir", "db"],
        &["--once", "db.json", "-F", "n=1", "--min-hosts", "1"],
    ] {
        let output = fixture.tool(args).run();
        output.code(65).stdout_is("");
        output.stderr_has("none of the 2 hosts of /services/db can be read\nhint: ");
    }
    assert_eq!(fixture.scratch.read("db.json").unwrap(), "{\"old\":{}}");
    let files = fixture.scratch.read("db/rs-1");
    assert!(files.is_err(), "{files:?}");
}
