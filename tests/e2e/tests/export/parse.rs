//! Farms of other tools, whose znodes hold no JSON object.

use super::*;

/// A farm of these hosts.
fn farm(test: &str, hosts: &[(&str, &[u8])]) -> ExportFixture {
    let mut fixture = ExportFixture::new(test);
    fixture.zk.create_all("/services/db", "10.0.0.9").unwrap();
    for (name, data) in hosts {
        fixture.zk.create(&format!("/services/db/{name}"), data).unwrap();
    }
    fixture
}

/// As kazoo's `Party` leaves them.
const PARTY: [(&str, &[u8]); 2] = [
    ("9ce6768a5a144b87b8160b984957c60e__party__", b"10.0.4.1:9000"),
    ("c4b18a40285e47b79ec090fc77657be9__party__", b"10.0.4.2:9000"),
];

#[test]
fn text_is_a_field_and_is_followed() {
    let mut fixture = farm("text_is_a_field", &PARTY);
    let running = fixture.start(&["db.json", "--parse", "text"]);
    let expected =
        json!({PARTY[0].0: {"text": "10.0.4.1:9000"}, PARTY[1].0: {"text": "10.0.4.2:9000"}});
    assert_eq!(fixture.json(), expected);
    let first = format!("/services/db/{}", PARTY[0].0);
    fixture.zk.set(&first, "10.0.4.3:9000\n").unwrap();
    fixture.wait_for("the change", |file| file[PARTY[0].0]["text"] == "10.0.4.3:9000");
    // Data that is not text leaves the last record in the file.
    fixture.zk.set(&first, b"\x1b[2J").unwrap();
    running.wait_log("a host can't be read, keeping its last record: it holds no record: the control character U+001B");
    fixture.zk.create("/services/db/binary", b"\xac\xed\0\x05").unwrap();
    running.wait_log("leaving it out: it holds no record: not UTF-8");
    fixture.zk.delete(&format!("/services/db/{}", PARTY[1].0)).unwrap();
    let left = json!({PARTY[0].0: {"text": "10.0.4.3:9000"}});
    fixture.wait_for("the departure", |file| *file == left);
    stop(running);
}

#[test]
fn pairs_are_a_record_that_filters_and_formats_take() {
    let replica = b"host: replica-1\nport: 9009\ntcp_port: 9000\ndatabase: default\n";
    let hive = b"hive.server2.instance.uri=h:10000;hive.server2.transport.mode=binary";
    let fixture = farm("pairs_are_a_record", &[("r1", replica), ("hive", hive), ("r2", b"host=b")]);
    let all = fixture.tool(&["--parse", "keyvalue", "-f", "json", "-"]).run();
    let expected = json!({
        "hive": {"hive.server2.instance.uri": "h:10000", "hive.server2.transport.mode": "binary"},
        "r1": {"host": "replica-1", "port": "9009", "tcp_port": "9000", "database": "default"},
        "r2": {"host": "b"},
    });
    assert_eq!(serde_json::from_str::<Value>(&all.ok().text()).unwrap(), expected);
    let args = ["--parse", "keyvalue", "-F", "tcp_port=9000", "-f", "php", "-"];
    let php = "<?php\nreturn array\n(\n    \"r1\" => array\n    (\n        \"database\" => \"default\",\n        \
               \"host\" => \"replica-1\",\n        \"port\" => \"9009\",\n        \"tcp_port\" => \"9000\",\n    ),\n);\n";
    fixture.tool(&args).run().ok().stdout_is(php);
    fixture.tool(&["--parse", "keyvalue", "-f", "dir", "db", "--once"]).run().ok();
    assert_eq!(fixture.scratch.read("db/r1/tcp_port").unwrap().trim(), "9000");
}

#[test]
fn names_alone_need_no_permission_and_no_read() {
    let mut fixture =
        farm("names_alone", &[("10.0.0.1:8983_solr", b""), ("10.0.0.2:8983_solr", b"")]);
    fixture.zk.add_auth("me:word").unwrap();
    let secret = "/services/db/10.0.0.3:8983_solr";
    fixture.zk.create(secret, b"\xff\0PBUF").unwrap();
    fixture.zk.set_acl(secret, Acl::Mine).unwrap();
    let running = fixture.start(&["db.json", "--parse", "none", "-c", "echo $ZK_COUNT >> ran"]);
    let names = |last: &[u8]| -> Value {
        last.iter().map(|n| (format!("10.0.0.{n}:8983_solr"), json!({}))).collect()
    };
    assert_eq!(fixture.json(), names(&[1, 2, 3]));
    // What a znode holds does not matter.
    for n in 0..20 {
        fixture.zk.set("/services/db/10.0.0.1:8983_solr", format!("{n}")).unwrap();
    }
    fixture.zk.create("/services/db/10.0.0.4:8983_solr", "").unwrap();
    fixture.zk.delete("/services/db/10.0.0.2:8983_solr").unwrap();
    fixture.wait_for("who is there", |file| *file == names(&[1, 3, 4]));
    let log = stop(running);
    assert!(!log.contains("WARN"), "{log}");
    let counts = fixture.scratch.read("ran").unwrap();
    assert!(counts.lines().count() <= 3, "{counts}");
}

#[test]
fn a_host_that_another_way_would_read_says_so() {
    let fixture = farm("another_way", &[("a", b"10.0.4.1:9000"), ("b", b"host=b"), ("c", b"{}")]);
    let running = fixture.start(&["db.json"]);
    running.wait_log("it holds no record (--parse text would read it): malformed JSON");
    running.wait_log("it holds no record (--parse keyvalue would read it): malformed JSON");
    assert_eq!(fixture.json(), json!({"c": {}}));
    stop(running);
    fixture
        .tool(&["--parse", "xml", "db.json"])
        .run()
        .code(2)
        .stderr_has("json, text, keyvalue or none");
}
