//! What zkfarmer's manual shows, done with `zkctl`.

use super::{Site, json};
use farm_harness::{FakeServer, Tool, toolbox};
use serde_json::json;

const DB_01: &str =
    r#"{"hostname": "db-01.example.com", "enabled": "0", "mysql": {"replication_delay": "0"}}"#;
const DB_02: &str =
    r#"{"hostname": "db-02.example.com", "enabled": "1", "mysql": {"replication_delay": "1"}}"#;

fn farm(test_name: &str) -> Site {
    let mut site = Site::new(test_name);
    site.create("/services/db/1.2.3.4", DB_01);
    site.create("/services/db/1.2.3.5", DB_02);
    site
}

/// Lines of words: how many blanks stand between two words is not the point.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn farms_are_listed() {
    let mut site = farm("farms_are_listed");
    for name in ["search", "soft", "cache"] {
        site.create(&format!("/services/{name}"), "");
    }
    site.run(&["ls", "/services"]).ok().stdout_is("cache\ndb\nsearch\nsoft\n").stderr_is("");
}

#[test]
fn hosts_are_listed_with_fields() {
    let site = farm("hosts_are_listed_with_fields");
    let output = site.run(&["ls", "/services/db", "--fields", "hostname,enabled"]);
    let text = output.ok().stderr_is("").text();
    let expected = [
        ["1.2.3.4", "hostname=db-01.example.com,", "enabled=0"],
        ["1.2.3.5", "hostname=db-02.example.com,", "enabled=1"],
    ];
    assert_eq!(words(&text), expected);

    let output = site.run(&["ls", "/services/db", "--fields", "mysql.replication_delay"]);
    let text = output.ok().text();
    let expected =
        [["1.2.3.4", "mysql.replication_delay=0"], ["1.2.3.5", "mysql.replication_delay=1"]];
    assert_eq!(words(&text), expected);
}

#[test]
fn a_field_is_read_and_set() {
    let mut site = farm("a_field_is_read_and_set");
    let host = "/services/db/1.2.3.4";
    site.run(&["get", host, "enabled"]).ok().stdout_is("0\n");
    site.run(&["get", host, "mysql.replication_delay"]).ok().stdout_is("0\n");
    site.run(&["set", host, "enabled", "1"]).ok().stdout_is("").stderr_is("");
    site.run(&["get", host, "enabled"]).ok().stdout_is("1\n");
    let expected = json!({
        "hostname": "db-01.example.com",
        "enabled": "1",
        "mysql": {"replication_delay": "0"},
    });
    assert_eq!(json(site.zk.get(host).unwrap().data), expected);
    // The other host is as it was, to the byte.
    assert_eq!(site.zk.get("/services/db/1.2.3.5").unwrap().text(), DB_02);
}

#[test]
fn a_host_as_php_is_the_array_of_the_manual() {
    let site = farm("a_host_as_php_is_the_array_of_the_manual");
    let output = site.run(&["get", "/services/db/1.2.3.5", "-f", "php"]);
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
    let site = farm("servers_are_named_by_option_or_environment_as_a_list");
    let dead = {
        let server = FakeServer::start();
        server.addr()
    };
    let servers = format!("{dead},{}", site.chroot.connect_string());
    let get = ["get", "/services/db/1.2.3.5", "enabled"];
    Tool::new("zkctl").env("ZKHOST", &servers).args(get).run().ok().stdout_is("1\n");
    let named = Tool::new("zkctl").args(["--host", &servers]).args(get);
    named.run().ok().stdout_is("1\n").stderr_is("");
    // What is typed outranks the environment.
    named.env("ZKHOST", dead.to_string()).run().ok().stdout_is("1\n");
}
