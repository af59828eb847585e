//! `zkctl put`.

use super::{CtlFixture, assert_fails, assert_fails_with_hint, assert_forbidden};
use farm_harness::{Acl, Create, FakeServer, Output, Running, Scratch, Tool, op};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

const CONF: &str = "/conf/app";

/// The most bytes that a znode takes.
const BYTES_MAX: usize = 1_000_000;

/// Puts `input` to [`CONF`] by way of stdin.
#[track_caller]
fn put(fixture: &CtlFixture, more: &[&str], input: impl AsRef<[u8]>) -> Output {
    fixture.tool(&["put", CONF]).args(more).stdin(input).run()
}

#[track_caller]
fn with_conf(test_name: &str, data: impl AsRef<[u8]>) -> CtlFixture {
    let mut fixture = CtlFixture::new(test_name);
    fixture.create(CONF, data);
    fixture
}

#[test]
fn any_bytes_are_stored_as_they_are() {
    let mut fixture = with_conf("any_bytes_are_stored_as_they_are", "");
    let scratch = Scratch::new();
    let all: Vec<u8> = (0..=255).collect();
    let contents: [&[u8]; 8] =
        [&all, b"", b"a", b"a\n", b"\n\n", b"\r\n\0", b"\xef\xbb\xbf{\"a\":1}", b"\xff"];
    for bytes in contents {
        let file = scratch.write("app.conf", bytes);
        for (argument, stdin) in
            [(file.to_str(), &b"not this"[..]), (None, bytes), (Some("-"), bytes)]
        {
            fixture.zk.set(CONF, "old").unwrap();
            let tool = fixture.tool(&["put", CONF]).args(argument).stdin(stdin);
            tool.run().ok().stdout_is("").stderr_is("");
            assert_eq!(fixture.zk.get(CONF).unwrap().data, bytes, "{argument:?}");
            fixture.run(&["get", CONF, "--raw"]).ok().stdout_is(bytes);
        }
    }
}

#[test]
fn a_znode_is_filled_to_the_last_byte_and_no_further() {
    let mut fixture = with_conf("a_znode_is_filled_to_the_last_byte", "old");
    let scratch = Scratch::new();
    let mut bytes = vec![0xff; BYTES_MAX];
    let put_file = |bytes: &[u8]| {
        let file = scratch.write("app.conf", bytes);
        fixture.tool(&["put", CONF]).arg(file).run()
    };
    put_file(&bytes).ok().stdout_is("").stderr_is("");
    bytes[0] = 0;
    put(&fixture, &[], &bytes).ok().stdout_is("").stderr_is("");
    bytes.push(0);
    let file = scratch.join("app.conf");
    let line = format!("{:?} has more than {BYTES_MAX} bytes", file.display().to_string());
    assert_fails(&put_file(&bytes), 65, &line);
    let line = format!("stdin has more than {BYTES_MAX} bytes");
    assert_fails(&put(&fixture, &[], &bytes), 65, &line);
    bytes.pop();
    let znode = fixture.zk.get(CONF).unwrap();
    assert_eq!(znode.stat.version, 2);
    assert!(znode.data == bytes, "other bytes than what was put last");
}

#[test]
fn a_znode_is_created_on_demand_only() {
    let mut fixture = CtlFixture::new("put_creates_a_znode_on_demand_only");
    let no_znode = format!("no such znode: {}{CONF}", fixture.chroot.path());
    assert_fails_with_hint(&put(&fixture, &[], "x"), 1, &no_znode, "--create creates it");
    assert_fails_with_hint(&put(&fixture, &["-n"], "x"), 1, &no_znode, "--create creates it");
    assert_fails(&put(&fixture, &["--create", "--if-version", "0"], "x"), 1, &no_znode);
    let dry_run = put(&fixture, &["--create", "-n"], "x");
    dry_run.code(1).stdout_is("/conf/app: (none) -> 1 byte\n").stderr_is("");
    assert_eq!(fixture.zk.exists("/conf").unwrap(), None);

    put(&fixture, &["--create"], "x").ok().stdout_is("").stderr_is("");
    let znode = fixture.zk.get(CONF).unwrap();
    assert_eq!((znode.text().as_str(), znode.stat.version), ("x", 0));
    assert_eq!(znode.stat.ephemeral_owner, 0);
    assert_eq!(fixture.zk.get("/conf").unwrap().data, b"");
    // One that exists is replaced.
    put(&fixture, &["--create"], "").ok();
    let znode = fixture.zk.get(CONF).unwrap();
    assert_eq!((znode.text().as_str(), znode.stat.version), ("", 1));
}

#[test]
fn of_many_at_once_each_is_stored_and_one_is_the_last() {
    const WRITERS: usize = 20;
    let mut fixture = CtlFixture::new("of_many_puts_at_once_each_is_stored");
    let mut writers: Vec<Running> = (0..WRITERS)
        .map(|n| {
            let args = ["-t", "20s", "put", CONF, "--create"];
            fixture.tool(&args).stdin(format!("from {n}")).spawn()
        })
        .collect();
    for writer in &mut writers {
        writer.wait_exit().ok().stdout_is("").stderr_is("");
    }
    let znode = fixture.zk.get(CONF).unwrap();
    assert_eq!(znode.stat.version as usize, WRITERS - 1, "one creates it, the others set it");
    let all: Vec<String> = (0..WRITERS).map(|n| format!("from {n}")).collect();
    assert!(all.contains(&znode.text()), "{}", znode.text());
}

#[test]
fn a_version_decides_whether_anything_is_written() {
    let mut fixture = with_conf("a_version_decides_whether_anything_is_written", "old");
    let put_if = |version: &str, bytes: &str| put(&fixture, &["--if-version", version], bytes);
    assert_fails(&put_if("7", "new"), 1, "/conf/app has version 0");
    put_if("-1", "new").code(2).stdout_is("");
    put_if("0", "new").ok().stdout_is("").stderr_is("");
    // Equal bytes are no excuse.
    assert_fails(&put_if("0", "new"), 1, "/conf/app has version 1");
    put_if("1", "new").ok().stdout_is("").stderr_is("");
    let znode = fixture.zk.get(CONF).unwrap();
    assert_eq!((znode.text().as_str(), znode.stat.version), ("new", 1));

    let mut all: Vec<Running> = (0..20)
        .map(|n| {
            fixture.tool(&["put", CONF, "--if-version", "1"]).stdin(format!("from {n}")).spawn()
        })
        .collect();
    let codes: Vec<_> = all.iter_mut().map(|tool| tool.wait_exit().code).collect();
    let winners: Vec<_> = (0..20).filter(|&n| codes[n] == Some(0)).collect();
    assert_eq!(winners.len(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 1))), "{codes:?}");
    let znode = fixture.zk.get(CONF).unwrap();
    assert_eq!((znode.text(), znode.stat.version), (format!("from {}", winners[0]), 2));
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_it_would() {
    let mut fixture = with_conf("a_dry_run_of_put_writes_nothing", "old");
    let before = fixture.zk.get(CONF).unwrap();
    let dry_run = |bytes: &str| put(&fixture, &["-n"], bytes);
    dry_run("newer").code(1).stdout_is("/conf/app: 3 bytes -> 5 bytes\n").stderr_is("");
    dry_run("").code(1).stdout_is("/conf/app: 3 bytes -> 0 bytes\n").stderr_is("");
    dry_run("new").code(1).stdout_is("/conf/app: 3 bytes -> as many others\n").stderr_is("");
    dry_run("old").ok().stdout_is("").stderr_is("");
    let output = put(&fixture, &["--dry-run", "--if-version", "1"], "new");
    assert_fails(&output, 1, "/conf/app has version 0");
    assert_eq!(fixture.zk.get(CONF).unwrap(), before);
}

#[test]
fn equal_bytes_are_not_written() {
    let mut fixture = with_conf("equal_bytes_are_not_written", "same\n");
    let before = fixture.zk.get(CONF).unwrap();
    put(&fixture, &[], "same\n").ok().stdout_is("").stderr_is("");
    put(&fixture, &["--create"], "same\n").ok();
    put(&fixture, &["--if-version", "0"], "same\n").ok();
    assert_eq!(fixture.zk.get(CONF).unwrap(), before, "neither mzxid nor version has changed");
    // Without a write, nothing is forbidden.
    fixture.zk.set_acl(CONF, Acl::ReadOnly).unwrap();
    put(&fixture, &[], "same\n").ok();
    assert_forbidden(&put(&fixture, &[], "other\n"), &fixture, CONF);
    assert_eq!(fixture.zk.get(CONF).unwrap().text(), "same\n");
}

#[test]
fn an_ephemeral_znode_stays_with_its_owner() {
    let mut fixture = CtlFixture::new("put_leaves_an_ephemeral_znode_with_its_owner");
    let mut owner = fixture.chroot.zk();
    owner.create("/conf", "").unwrap();
    owner.create_as(CONF, "old", Create::Ephemeral).unwrap();
    put(&fixture, &["--create"], "new").ok();
    let znode = fixture.zk.get(CONF).unwrap();
    assert_eq!((znode.text().as_str(), znode.stat.ephemeral_owner), ("new", owner.session_id()));
    // It can't have children.
    let below = fixture.tool(&["put", "/conf/app/x", "--create"]).stdin("y").run();
    below.code(78).stdout_is("").stderr_has("an ephemeral znode can't have children");
    owner.close().unwrap();
    assert_eq!(fixture.zk.exists(CONF).unwrap(), None);
}

#[test]
fn the_top_and_a_missing_chroot_are_znodes_too() {
    let mut fixture = CtlFixture::new("the_top_and_a_missing_chroot");
    fixture.tool(&["put", "/"]).stdin("top").run().ok().stdout_is("").stderr_is("");
    assert_eq!(fixture.zk.get("/").unwrap().text(), "top");
    let at = |chroot: &str| {
        let servers = format!("{}{chroot}", fixture.chroot.connect_string());
        Tool::new("zkctl").env("ZKHOST", servers).stdin("new")
    };
    let no_znode = format!("no such znode: {}/a/b", fixture.chroot.path());
    let hint = "--create creates it";
    assert_fails_with_hint(&at("/a/b").args(["put", "/"]).run(), 1, &no_znode, hint);
    at("/a/b").args(["put", "/", "--create"]).run().ok().stdout_is("").stderr_is("");
    at("/c/d").args(["put", "/e/f", "--create"]).run().ok().stdout_is("").stderr_is("");
    at("/g/h").args(["set", "/", "n", "1", "--create"]).run().ok().stdout_is("").stderr_is("");
    for (path, text) in [("/a/b", "new"), ("/c/d/e/f", "new"), ("/g/h", r#"{"n":"1"}"#)] {
        assert_eq!(fixture.zk.get(path).unwrap().text(), text, "{path}");
    }
}

#[test]
fn a_file_that_may_not_be_read_changes_nothing() {
    let mut fixture = with_conf("a_file_that_may_not_be_read_changes_nothing", "old");
    let scratch = Scratch::new();
    let secret = scratch.write("secret.conf", "new");
    fs::set_permissions(&secret, Permissions::from_mode(0o0)).unwrap();
    let servers = fixture.chroot.connect_string();
    let tool = Tool::unprivileged("zkctl", &scratch).env("ZKHOST", servers);
    let output = tool.args(["put", CONF]).arg(&secret).run();
    let name = secret.display().to_string();
    assert_fails(&output, 77, &format!("cannot read {name:?}: Permission denied (os error 13)"));
    assert_eq!(fixture.zk.get(CONF).unwrap().stat.version, 0);
}

fn at(server: &FakeServer) -> Tool {
    Tool::new("zkctl").env("ZKHOST", server.addr().to_string())
}

#[test]
fn a_write_whose_answer_is_lost_is_made_once() {
    let only_0 = &["--if-version", "0"][..];
    for (opcode, path, more, version) in [
        (op::SET_DATA, CONF, &[][..], 1),
        (op::SET_DATA, CONF, only_0, 1),
        (op::CREATE, "/conf/new", &["--create"], 0),
    ] {
        for is_made in [true, false] {
            let server = FakeServer::start();
            server.put(CONF, b"old");
            if is_made {
                server.before_reply(opcode, FakeServer::cut);
            } else {
                server.drop_before_apply(opcode);
            }
            let output = at(&server).args(["put", path]).args(more).stdin("new").run();
            output.ok().stdout_is("").stderr_is("");
            assert_eq!(server.get(path).unwrap(), b"new", "{more:?} {is_made}");
            assert_eq!(server.version(path), Some(version), "{more:?} {is_made}");
        }
    }
}

#[test]
fn what_others_write_after_a_lost_answer_stays() {
    for more in [&[][..], &["--create"], &["--if-version", "0"]] {
        let server = FakeServer::start();
        server.put(CONF, b"old");
        server.before_reply(op::SET_DATA, |server| {
            server.put(CONF, b"theirs");
            server.cut();
        });
        let output = at(&server).args(["put", CONF]).args(more).stdin("ours").run();
        assert_fails_with_hint(
            &output,
            75,
            "others changed /conf/app after the connection broke, so it is unknown whether it \
             held these bytes",
            "zkctl get --raw /conf/app prints what it holds now",
        );
        assert_eq!(server.get(CONF).unwrap(), b"theirs", "{more:?}");
    }
}

#[test]
fn who_writes_between_our_read_and_our_write_is_replaced_unless_a_version_is_asked_for() {
    let race = |more: &[&str]| {
        let server = FakeServer::start();
        server.put(CONF, b"old");
        // The answer has the bytes from before.
        server.before_reply(op::GET_DATA, |server| server.put(CONF, b"theirs"));
        (at(&server).args(["put", CONF]).args(more).stdin("ours").run(), server)
    };
    let (output, server) = race(&[]);
    output.ok().stdout_is("").stderr_is("");
    assert_eq!((server.get(CONF).unwrap(), server.version(CONF)), (b"ours".to_vec(), Some(2)));
    let (output, server) = race(&["--if-version", "0"]);
    assert_fails(&output, 1, "/conf/app has version 1");
    assert_eq!(server.get(CONF).unwrap(), b"theirs");
}

#[test]
fn a_znode_that_vanishes_meanwhile_is_created_again_on_demand_only() {
    let race = |more: &[&str]| {
        let server = FakeServer::start();
        server.put(CONF, b"old");
        server.before_reply(op::GET_DATA, |server| assert!(server.delete("/conf")));
        (at(&server).args(["put", CONF]).args(more).stdin("ours").run(), server)
    };
    let (output, server) = race(&[]);
    assert_fails_with_hint(&output, 1, "no such znode: /conf/app", "--create creates it");
    assert_eq!(server.get("/conf"), None);
    let (output, server) = race(&["--create"]);
    output.ok().stdout_is("").stderr_is("");
    assert_eq!(server.get(CONF).unwrap(), b"ours");
}
