//! Directories mirrored from subtrees.

use super::fixture::{ExecFixture, stop};
use farm_harness::{Running, eventually};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

const TREE: &str = "(cd conf && find . -type f ! -name .zkexec | sort | \
                    while read -r f; do echo \"$f=$(cat \"$f\")\"; done) | tr '\\n' ' '";

fn with_tree(test: &str, nodes: &[(&str, &str)]) -> ExecFixture {
    let mut fixture = ExecFixture::new(test);
    fixture.zk.create("/tree", "").unwrap();
    for (path, bytes) in nodes {
        fixture.zk.create(&format!("/tree/{path}"), bytes).unwrap();
    }
    fixture
}

fn start(fixture: &ExecFixture, more: &[&str]) -> Running {
    let child = format!("echo \"$$ $( {TREE})\" >> starts; exec sleep 1000");
    let args = [&["-w", "200ms:10s", "-m", "conf/=/tree/", "-e", &child], more].concat();
    let running = fixture.zkexec(&args).spawn();
    fixture.wait_starts(1);
    running
}

#[track_caller]
fn wait_tree(fixture: &ExecFixture, wanted: &str) {
    eventually(&format!("a child on {wanted:?}"), || {
        let found = fixture.contents();
        let is_it = found.last().is_some_and(|last| last.trim_end() == wanted);
        if is_it { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn files_come_change_and_go_as_znodes_do() {
    let nodes = [("a", "1"), ("d", ""), ("d/x", "2"), ("empty", "")];
    let mut fixture = with_tree("come_change_and_go", &nodes);
    let running = start(&fixture, &[]);
    wait_tree(&fixture, "./a=1 ./d/x=2 ./empty=");
    assert!(fixture.scratch.join("conf/.zkexec").exists(), "marked as ours");
    fixture.zk.create("/tree/d/y", "3").unwrap();
    wait_tree(&fixture, "./a=1 ./d/x=2 ./d/y=3 ./empty=");
    fixture.zk.set("/tree/a", "one").unwrap();
    wait_tree(&fixture, "./a=one ./d/x=2 ./d/y=3 ./empty=");
    // A rename: deleted here, created under another name.
    fixture.zk.delete("/tree/d/x").unwrap();
    fixture.zk.create("/tree/d/z", "2").unwrap();
    wait_tree(&fixture, "./a=one ./d/y=3 ./d/z=2 ./empty=");
    // A file becomes a directory, and a directory a file.
    fixture.zk.create("/tree/a/below", "4").unwrap();
    wait_tree(&fixture, "./a/below=4 ./d/y=3 ./d/z=2 ./empty=");
    fixture.zk.delete_recursive("/tree/d").unwrap();
    fixture.zk.create("/tree/d", "file").unwrap();
    wait_tree(&fixture, "./a/below=4 ./d=file ./empty=");
    stop(running);
    assert_eq!(fixture.names(""), ["conf", "starts"], "nothing else is left behind");
}

#[test]
fn files_of_nobody_in_our_directory_go_at_the_next_change() {
    let mut fixture = with_tree("files_of_nobody", &[("a", "1")]);
    let running = start(&fixture, &[]);
    fixture.scratch.write("conf/stray", "x");
    fixture.scratch.write("conf/.hidden", "x");
    fixture.zk.set("/tree/a", "2").unwrap();
    wait_tree(&fixture, "./.hidden=x ./a=2");
    stop(running);
}

#[test]
fn names_that_can_not_be_files_are_left_out_one_by_one() {
    let nodes = [("...", "1"), (".zkexec", "2"), (".bashrc", "3"), ("fine", "4")];
    let mut fixture = with_tree("names_that_can_not_be", &nodes);
    let long = "n".repeat(256);
    fixture.zk.create(&format!("/tree/{long}"), "5").unwrap();
    // A symbolic link that leads out of the directory is not followed.
    fixture.scratch.write("outside/file", "precious");
    let running = start(&fixture, &[]);
    wait_tree(&fixture, "./fine=4");
    running.wait_log_times("left out: ", 4);
    symlink("../outside", fixture.scratch.join("conf/out")).unwrap();
    fixture.zk.create("/tree/out", "").unwrap();
    fixture.zk.create("/tree/out/file", "overwritten").unwrap();
    wait_tree(&fixture, "./fine=4 ./out/file=overwritten");
    assert_eq!(fixture.scratch.read("outside/file").unwrap(), "precious");
    assert_ne!(fixture.scratch.read("conf/.zkexec").unwrap(), "2");
    stop(running);
}

#[test]
fn an_empty_subtree_is_an_empty_directory_and_one_that_goes_stays() {
    let mut fixture = with_tree("an_empty_subtree", &[]);
    let running = start(&fixture, &[]);
    assert_eq!(fixture.names("conf"), [".zkexec"]);
    fixture.zk.create("/tree/a", "1").unwrap();
    wait_tree(&fixture, "./a=1");
    fixture.zk.delete_recursive("/tree").unwrap();
    running.wait_log("a znode was deleted");
    let log = stop(running).stderr;
    assert_eq!(log.matches("a znode was deleted").count(), 1, "{log}");
    assert!(fixture.scratch.join("conf").is_dir());
}

#[test]
fn a_subtree_is_checked_as_a_whole() {
    let mut fixture = with_tree("checked_as_a_whole", &[("a", "1"), ("b", "1")]);
    let child = format!("echo \"$$ $( {TREE})\" >> starts; exec sleep 1000");
    let mirror = "conf/=/tree/,check=cmp {}/a {}/b";
    let running = fixture.zkexec(&["-w", "0", "-m", mirror, "-e", &child]).spawn();
    fixture.wait_starts(1);
    fixture.zk.set("/tree/a", "2").unwrap();
    running.wait_log("the check refuses the new content; the files stay");
    assert_eq!(fixture.scratch.read("conf/a").unwrap(), "1");
    fixture.zk.set("/tree/b", "2").unwrap();
    wait_tree(&fixture, "./a=2 ./b=2");
    assert_eq!(fixture.starts().len(), 2);
    stop(running);
    assert_eq!(fixture.names(""), ["conf", "starts"]);
}

#[test]
fn five_hundred_files_are_one_restart() {
    let mut fixture = with_tree("five_hundred", &[]);
    for n in 0..500 {
        fixture.zk.create(&format!("/tree/{n:03}"), n.to_string()).unwrap();
    }
    let child = "echo \"$$ $(ls conf | wc -l) $(cat conf/* | wc -c)\" >> starts; exec sleep 1000";
    let running = fixture.zkexec(&["-w", "2s:60s", "-m", "conf/=/tree/", "-e", child]).spawn();
    // Reading 500 znodes takes a while.
    let limit = Duration::from_secs(30);
    assert_eq!(fixture.wait_starts_within(limit, 1).1, "500 1390");
    for n in 0..500 {
        fixture.zk.set(&format!("/tree/{n:03}"), "x").unwrap();
    }
    assert_eq!(fixture.wait_starts_within(limit, 2).1, "500 500");
    stop(running);
    fs::read(fixture.scratch.join("conf/499")).unwrap();
}
