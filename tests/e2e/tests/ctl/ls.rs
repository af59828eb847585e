//! `zkctl ls`.

use super::{CtlFixture, assert_fails, assert_forbidden};
use farm_harness::{Acl, FakeServer, Tool, op};
use std::time::Duration;

#[test]
fn children_are_sorted_by_bytes() {
    let mut fixture = CtlFixture::new("children_are_sorted_by_bytes");
    fixture.create("/farm", "");
    for name in ["b", "a", "B", "10", "9", "ü", "z z", "common"] {
        fixture.create(&format!("/farm/{name}"), "");
    }
    fixture.run(&["ls", "/farm"]).ok().stdout_is("10\n9\nB\na\nb\ncommon\nz z\nü\n").stderr_is("");
}

#[test]
fn an_empty_farm_is_no_lines() {
    let fixture = CtlFixture::with_host("an_empty_farm_is_no_lines", "{}");
    for arguments in [
        &["ls", "/db/web1"][..],
        &["ls", "/db/web1", "--fields", "a"],
        &["ls", "/db/web1", "-F", "a=1"],
    ] {
        fixture.run(arguments).ok().stdout_is("").stderr_is("");
    }
    fixture.run(&["ls", "/"]).ok().stdout_is("db\n");
}

#[test]
fn fields_and_filters_choose_what_is_shown() {
    let mut fixture = CtlFixture::new("fields_and_filters_choose_what_is_shown");
    fixture.create("/db", r#"{"size":4}"#);
    let hosts = [
        ("1.2.3.4", r#"{"enabled":"1","mysql":{"delay":9.5}}"#),
        ("1.2.3.5", r#"{"enabled":true,"mysql":{"delay":"120"}}"#),
        ("1.2.3.6", r#"{"enabled":0,"mysql":{"delay":null}}"#),
        ("1.2.3.7", ""),
        ("a-name-that-is-longer-than-twenty-characters", r#"{"enabled":1}"#),
    ];
    for (name, record) in hosts {
        fixture.create(&format!("/db/{name}"), record);
    }
    fixture.run(&["ls", "/db", "--fields", "enabled, mysql.delay"]).ok().stdout_is(
        "1.2.3.4              enabled=1, mysql.delay=9.5\n\
         1.2.3.5              enabled=true, mysql.delay=120\n\
         1.2.3.6              enabled=0, mysql.delay=null\n\
         1.2.3.7\n\
         a-name-that-is-longer-than-twenty-characters enabled=1\n",
    );
    let kept = |filters: &str| fixture.run(&["ls", "/db", "-F", filters]).ok().text();
    let long = "a-name-that-is-longer-than-twenty-characters\n";
    assert_eq!(kept("enabled=1"), format!("1.2.3.4\n1.2.3.5\n{long}"));
    assert_eq!(kept("enabled=1, mysql.delay<100"), "1.2.3.4\n");
    assert_eq!(kept("enabled!=1"), "1.2.3.6\n");
    assert_eq!(kept("!enabled"), "1.2.3.7\n");
    assert_eq!(kept("!mysql.delay"), format!("1.2.3.6\n1.2.3.7\n{long}"));
    let both = fixture.run(&["ls", "/db", "--fields", "mysql", "-F", "mysql.delay>=120"]);
    both.ok().stdout_is("1.2.3.5              mysql={\"delay\":\"120\"}\n");
}

#[test]
fn malformed_and_forbidden_children_show_their_names_alone() {
    let mut fixture = CtlFixture::new("malformed_and_forbidden_children_show_their_names_alone");
    fixture.create("/db", "");
    let children = [
        ("broken", &br#"{"enabled":"1""#[..]),
        ("list", b"[1]"),
        ("no-text", b"\xff\0"),
        ("secret", br#"{"enabled":"1"}"#),
        ("up", br#"{"enabled":"1"}"#),
    ];
    for (name, data) in children {
        fixture.create(&format!("/db/{name}"), data);
    }
    fixture.zk.add_auth("me:word").unwrap();
    fixture.zk.set_acl("/db/secret", Acl::Mine).unwrap();

    let shown = fixture.run(&["ls", "/db", "--fields", "enabled"]);
    shown.ok().stdout_is("broken\nlist\nno-text\nsecret\nup                   enabled=1\n");
    for name in ["broken", "list", "no-text"] {
        shown.stderr_has(&format!("/db/{name} holds no record"));
    }
    shown.stderr_has("not authorised").stderr_has("/db/secret");
    assert_eq!(shown.stderr.lines().count(), 4, "{shown}");
    for filter in ["enabled", "!enabled", "enabled!=0"] {
        let text = fixture.run(&["ls", "/db", "-F", filter]).ok().text();
        assert_eq!(text, if filter == "!enabled" { "" } else { "up\n" }, "{filter}");
    }
    fixture.run(&["ls", "/db"]).ok().stdout_is("broken\nlist\nno-text\nsecret\nup\n").stderr_is("");

    fixture.zk.set_acl("/db", Acl::Mine).unwrap();
    assert_forbidden(&fixture.run(&["ls", "/db"]), &fixture, "/db");
}

#[test]
fn a_child_that_vanishes_between_list_and_read_is_left_out() {
    let server = FakeServer::start();
    for name in ["a", "b", "c"] {
        server.put(&format!("/db/{name}"), br#"{"enabled":"1"}"#);
    }
    server.before_reply(op::GET_CHILDREN, |server| assert!(server.delete("/db/b")));
    let output = Tool::new("zkctl")
        .args(["-H", &server.addr().to_string(), "ls", "/db", "--fields", "enabled"])
        .run();
    let expected = "a                    enabled=1\nc                    enabled=1\n";
    output.ok().stdout_is(expected).stderr_is("");
}

#[test]
fn two_thousand_hosts_are_listed_at_once() {
    const HOSTS: usize = 2000;
    let mut fixture = CtlFixture::new("two_thousand_hosts_are_listed_at_once");
    fixture.create("/farm", "");
    let mut expected = String::new();
    for number in 0..HOSTS {
        let (name, enabled) = (format!("host-{number:04}"), number % 2);
        let record = format!(r#"{{"enabled":"{enabled}","number":{number}}}"#);
        fixture.create(&format!("/farm/{name}"), record);
        expected += &format!("{name}            number={number}\n");
    }
    let all = fixture.run(&["ls", "/farm", "--fields", "number"]);
    all.ok().stdout_is(&expected).stderr_is("");
    assert!(all.elapsed < farm_harness::patience(Duration::from_secs(5)), "{:?}", all.elapsed);
    let half = fixture.run(&["ls", "/farm", "-F", "enabled=1"]);
    assert_eq!(half.ok().text().lines().count(), HOSTS / 2);

    // A broken pipe ends it without an error.
    let pipe = r#"{ "$0" ls /farm --fields number; echo "code $?" >&2; } | head -1"#;
    let first = Tool::program("/bin/sh")
        .args(["-c", pipe])
        .arg(Tool::path_of("zkctl"))
        .env("ZKHOST", fixture.chroot.connect_string())
        .run();
    first.ok().stdout_is("host-0000            number=0\n").stderr_is("code 0\n");
}

#[test]
fn text_of_strangers_stays_on_its_line() {
    let mut fixture = CtlFixture::new("text_of_strangers_stays_on_its_line");
    fixture.create("/db", "");
    let record =
        br#"{"a":"${system('id')}","b":"../x","c":"x\n1.2.3.9  c=1\r\u001b[2J\u2028","d":"\u0000"}"#;
    for name in ["${system('id')}", "..x", "$(id)"] {
        fixture.create(&format!("/db/{name}"), record);
    }
    let fields = "a=${system('id')}, b=../x, c=x\\n1.2.3.9  c=1\\r\\u{1b}[2J\\u{2028}, d=\\u{0}";
    fixture.run(&["ls", "/db", "--fields", "a,b,c,d"]).ok().stdout_is(format!(
        "$(id)                {fields}\n${{system('id')}}      {fields}\n..x                  {fields}\n"
    ));
    // `get` prints the unescaped value, for programs.
    fixture.run(&["get", "/db/..x", "c"]).ok().stdout_is("x\n1.2.3.9  c=1\r\u{1b}[2J\u{2028}\n");
}

#[test]
fn what_is_not_there_can_not_be_listed() {
    let fixture = CtlFixture::with_host("what_is_not_there_can_not_be_listed", "{}");
    let path = fixture.chroot.path();
    let none = fixture.run(&["ls", "/db/web2"]);
    assert_fails(&none, 1, &format!("no such znode: {path}/db/web2"));
    let none = fixture.run(&["ls", "/cache", "--fields", "a"]);
    assert_fails(&none, 1, &format!("no such znode: {path}/cache"));
    assert_fails(
        &fixture.run(&["ls", "/db/../db"]),
        2,
        "\"/db/../db\" is not a znode path: it has a component that is '.' or '..'",
    );
}
