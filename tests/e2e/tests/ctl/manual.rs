//! The examples of zkfarmer's manual with `zkctl`.

use super::{CtlFixture, json};
use farm_harness::{FakeServer, Tool, toolbox};
use serde_json::json;

const DB_01: &str =
    r#"{"hostname": "db-01.example.com", "enabled": "0", "mysql": {"replication_delay": "0"}}"#;
const DB_02: &str =
    r#"{"hostname": "db-02.example.com", "enabled": "1", "mysql": {"replication_delay": "1"}}"#;

fn farm(test_name: &str) -> CtlFixture {
    let mut fixture = CtlFixture::new(test_name);
    fixture.create("/services/db/1.2.3.4", DB_01);
    fixture.create("/services/db/1.2.3.5", DB_02);
    fixture
}

/// Splits lines into words, to ignore the number of blanks.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn farms_are_listed() {
    let mut fixture = farm("farms_are_listed");
    for name in ["search", "soft", "cache"] {
        fixture.create(&format!("/services/{name}"), "");
    }
    fixture.run(&["ls", "/services"]).ok().stdout_is("cache\ndb\nsearch\nsoft\n").stderr_is("");
}

#[test]
fn hosts_are_listed_with_fields() {
    let fixture = farm("hosts_are_listed_with_fields");
    let output = fixture.run(&["ls", "/services/db", "--fields", "hostname,enabled"]);
    let text = output.ok().stderr_is("").text();
    let expected = [
        ["1.2.3.4", "hostname=db-01.example.com,", "enabled=0"],
        ["1.2.3.5", "hostname=db-02.example.com,", "enabled=1"],
    ];
    assert_eq!(words(&text), expected);

    let output = fixture.run(&["ls", "/services/db", "--fields", "mysql.replication_delay"]);
    let text = output.ok().text();
    let expected =
        [["1.2.3.4", "mysql.replication_delay=0"], ["1.2.3.5", "mysql.replication_delay=1"]];
    assert_eq!(words(&text), expected);
}

#[test]
fn a_field_is_read_and_set() {
    let mut fixture = farm("a_field_is_read_and_set");
    let host = "/services/db/1.2.3.4";
    fixture.run(&["get", host, "enabled"]).ok().stdout_is("0\n");
    fixture.run(&["get", host, "mysql.replication_delay"]).ok().stdout_is("0\n");
    fixture.run(&["set", host, "enabled", "1"]).ok().stdout_is("").stderr_is("");
    fixture.run(&["get", host, "enabled"]).ok().stdout_is("1\n");
    let expected = json!({
        "hostname": "db-01.example.com",
        "enabled": "1",
        "mysql": {"replication_delay": "0"},
    });
    assert_eq!(json(fixture.zk.get(host).unwrap().data), expected);
    // The other host is unchanged.
    assert_eq!(fixture.zk.get("/services/db/1.2.3.5").unwrap().text(), DB_02);
}

#[test]
fn a_host_as_php_is_the_array_of_the_manual() {
    let fixture = farm("a_host_as_php_is_the_array_of_the_manual");
    let output = fixture.run(&["get", "/services/db/1.2.3.5", "-f", "php"]);
    let text = output.ok().text();
    let expected = [
        "<?php return array (",
        r#""enabled" => "1","#,
        r#""hostname" => "db-02.example.com","#,
        r#""mysql" => array("replication_delay" => "1"), );"#,
    ];
    assert_eq!(words(&text).concat().join(" "), expected.join(" "));
    let script = "echo json_encode(eval('?>' . stream_get_contents(STDIN)));";
    let value = Tool::program(toolbox::php()).args(["-r", script]).stdin(text).run();
    assert_eq!(json(&value.ok().stdout), json(DB_02));
}

#[test]
fn servers_are_named_by_option_or_environment_as_a_list() {
    let fixture = farm("servers_are_named_by_option_or_environment_as_a_list");
    let dead = {
        let server = FakeServer::start();
        server.addr()
    };
    let servers = format!("{dead},{}", fixture.chroot.connect_string());
    let get = ["get", "/services/db/1.2.3.5", "enabled"];
    Tool::new("zkctl").env("ZKHOST", &servers).args(get).run().ok().stdout_is("1\n");
    let named = Tool::new("zkctl").args(["--host", &servers]).args(get);
    named.run().ok().stdout_is("1\n").stderr_is("");
    // The option outranks the environment variable.
    named.env("ZKHOST", dead.to_string()).run().ok().stdout_is("1\n");
}
