//! Links that other users put in the place of a mirrored file.

use super::fixture::{ExecFixture, RECORDING_CHILD, stop};
use farm_harness::{Scratch, holds_for};
use std::fs;
use std::time::Duration;

const QUIET_TIME: Duration = Duration::from_millis(400);

/// Only root can make the links of others.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A directory `user` of another user, and precious files elsewhere.
fn fixture(test: &str) -> ExecFixture {
    let mut fixture = ExecFixture::with_conf(test, "a");
    fixture.zk.create("/tree", "").unwrap();
    fixture.zk.create("/tree/leaf", "a").unwrap();
    for name in ["precious/file", "precious/dir/file"] {
        fixture.scratch.write(name, "precious");
    }
    fs::create_dir(fixture.scratch.join("user")).unwrap();
    fixture.scratch.give_to_nobody("user");
    fixture
}

fn is_untouched(scratch: &Scratch) -> Result<(), String> {
    let count = |name: &str| fs::read_dir(scratch.join(name)).unwrap().count();
    let found = (count("precious"), count("precious/dir"));
    let texts = ["precious/file", "precious/dir/file"].map(|name| scratch.read(name));
    let is_same = texts.iter().all(|text| text.as_deref() == Ok("precious"));
    if is_same && found == (2, 1) { Ok(()) } else { Err(format!("{found:?} {texts:?}")) }
}

#[test]
fn nothing_is_started_on_a_link_of_another_user() {
    if !is_root() {
        return;
    }
    let fixture = fixture("foreign_link");
    let links = [("out", "file"), ("new", "made"), ("etc", ""), ("dir", "dir"), ("newdir", "none")];
    for (link, target) in links {
        let target = fixture.scratch.join("precious").join(target);
        fixture.scratch.link_of_nobody(target, &format!("user/{link}"));
    }
    for (local, link) in [
        ("user/out=/conf", "out"),
        ("user/new=/conf,check=true", "new"),
        ("user/etc/file=/conf", "etc"),
        ("user/dir/=/tree/", "dir"),
        ("user/newdir/=/tree/", "newdir"),
        ("user/etc/dir/=/tree/", "etc"),
    ] {
        let output = fixture.zkexec(&["-m", local, "-e", RECORDING_CHILD]).run();
        let link = format!("the link user/{link} belongs to another user (uid 65534)");
        output.code(77).stderr_has(&link).stderr_has("\nhint: name the file itself");
        is_untouched(&fixture.scratch).unwrap();
        assert!(fixture.starts().is_empty());
    }
}

#[test]
fn a_link_that_comes_later_is_not_written_through_and_what_follows_it_is() {
    if !is_root() {
        return;
    }
    let child =
        "echo \"$$ $(cat user/file user/tree/leaf | tr -d '\\n')\" >> starts; exec sleep 1000";
    for (swapped, target, znode) in
        [("user/file", "file", "/conf"), ("user/tree", "dir", "/tree/leaf")]
    {
        let mut fixture = fixture("later_link");
        let mirrors = ["-m", "user/file=/conf", "-m", "user/tree/=/tree/", "-w", "0"];
        let running = fixture.zkexec(&mirrors).args(["-e", child]).spawn();
        assert_eq!(fixture.wait_starts(1).1, "aa");
        let path = fixture.scratch.join(swapped);
        if path.is_dir() {
            fs::rename(&path, fixture.scratch.join("was")).unwrap();
        }
        fixture.scratch.link_of_nobody(fixture.scratch.join("precious").join(target), swapped);
        fixture.zk.set(znode, "b").unwrap();
        running.wait_log(&format!("the link {swapped} belongs to another user (uid 65534)"));
        holds_for(QUIET_TIME, "the child runs on, and nothing is written", || {
            is_untouched(&fixture.scratch)?;
            if fixture.starts().len() == 1 { Ok(()) } else { Err("it was restarted".to_owned()) }
        });
        fs::remove_file(&path).unwrap();
        let expected = if znode == "/conf" { "ba" } else { "ab" };
        assert_eq!(fixture.wait_starts(2).1, expected);
        is_untouched(&fixture.scratch).unwrap();
        stop(running);
    }
}
