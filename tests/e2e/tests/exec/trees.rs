//! Directories from subtrees.

use super::stage::{Stage, stop};
use farm_harness::{Running, eventually};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

const TREE: &str = "(cd conf && find . -type f ! -name .zkexec | sort | \
                    while read -r f; do echo \"$f=$(cat \"$f\")\"; done) | tr '\\n' ' '";

fn with_tree(test: &str, nodes: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::new(test);
    stage.zk.create("/tree", "").unwrap();
    for (path, bytes) in nodes {
        stage.zk.create(&format!("/tree/{path}"), bytes).unwrap();
    }
    stage
}

fn start(stage: &Stage, more: &[&str]) -> Running {
    let child = format!("echo \"$$ $( {TREE})\" >> starts; exec sleep 1000");
    let args = [&["-w", "200ms:10s", "-m", "conf/=/tree/", "-e", &child], more].concat();
    let running = stage.zkexec(&args).spawn();
    stage.wait_starts(1);
    running
}

#[track_caller]
fn wait_tree(stage: &Stage, wanted: &str) {
    eventually(&format!("a child on {wanted:?}"), || {
        let found = stage.found();
        let is_it = found.last().is_some_and(|last| last.trim_end() == wanted);
        if is_it { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn files_come_change_and_go_as_znodes_do() {
    let nodes = [("a", "1"), ("d", ""), ("d/x", "2"), ("empty", "")];
    let mut stage = with_tree("come_change_and_go", &nodes);
    let running = start(&stage, &[]);
    wait_tree(&stage, "./a=1 ./d/x=2 ./empty=");
    assert!(stage.scratch.join("conf/.zkexec").exists(), "marked as ours");
    stage.zk.create("/tree/d/y", "3").unwrap();
    wait_tree(&stage, "./a=1 ./d/x=2 ./d/y=3 ./empty=");
    stage.zk.set("/tree/a", "one").unwrap();
    wait_tree(&stage, "./a=one ./d/x=2 ./d/y=3 ./empty=");
    // Renamed: gone here, and there under another name.
    stage.zk.delete("/tree/d/x").unwrap();
    stage.zk.create("/tree/d/z", "2").unwrap();
    wait_tree(&stage, "./a=one ./d/y=3 ./d/z=2 ./empty=");
    // A file becomes a directory, and a directory a file.
    stage.zk.create("/tree/a/below", "4").unwrap();
    wait_tree(&stage, "./a/below=4 ./d/y=3 ./d/z=2 ./empty=");
    stage.zk.delete_recursive("/tree/d").unwrap();
    stage.zk.create("/tree/d", "file").unwrap();
    wait_tree(&stage, "./a/below=4 ./d=file ./empty=");
    stop(running);
    assert_eq!(stage.names(""), ["conf", "starts"], "nothing else is left behind");
}

#[test]
fn files_of_nobody_in_our_directory_go_at_the_next_change() {
    let mut stage = with_tree("files_of_nobody", &[("a", "1")]);
    let running = start(&stage, &[]);
    stage.scratch.write("conf/stray", "x");
    stage.scratch.write("conf/.hidden", "x");
    stage.zk.set("/tree/a", "2").unwrap();
    wait_tree(&stage, "./.hidden=x ./a=2");
    stop(running);
}

#[test]
fn names_that_can_not_be_files_are_left_out_one_by_one() {
    let nodes = [("...", "1"), (".zkexec", "2"), (".bashrc", "3"), ("fine", "4")];
    let mut stage = with_tree("names_that_can_not_be", &nodes);
    let long = "n".repeat(256);
    stage.zk.create(&format!("/tree/{long}"), "5").unwrap();
    // A link out of the tree is no way out.
    stage.scratch.write("outside/file", "precious");
    let running = start(&stage, &[]);
    wait_tree(&stage, "./fine=4");
    running.wait_log_times("left out: ", 4);
    symlink("../outside", stage.scratch.join("conf/out")).unwrap();
    stage.zk.create("/tree/out", "").unwrap();
    stage.zk.create("/tree/out/file", "overwritten").unwrap();
    wait_tree(&stage, "./fine=4 ./out/file=overwritten");
    assert_eq!(stage.scratch.read("outside/file").unwrap(), "precious");
    assert_ne!(stage.scratch.read("conf/.zkexec").unwrap(), "2");
    stop(running);
}

#[test]
fn an_empty_subtree_is_an_empty_directory_and_one_that_goes_stays() {
    let mut stage = with_tree("an_empty_subtree", &[]);
    let running = start(&stage, &[]);
    assert_eq!(stage.names("conf"), [".zkexec"]);
    stage.zk.create("/tree/a", "1").unwrap();
    wait_tree(&stage, "./a=1");
    stage.zk.delete_recursive("/tree").unwrap();
    running.wait_log("a znode is gone");
    let log = stop(running).stderr;
    assert_eq!(log.matches("a znode is gone").count(), 1, "{log}");
    assert!(stage.scratch.join("conf").is_dir());
}

#[test]
fn a_subtree_is_checked_as_a_whole() {
    let mut stage = with_tree("checked_as_a_whole", &[("a", "1"), ("b", "1")]);
    let child = format!("echo \"$$ $( {TREE})\" >> starts; exec sleep 1000");
    let mirror = "conf/=/tree/,check=cmp {}/a {}/b";
    let running = stage.zkexec(&["-w", "0", "-m", mirror, "-e", &child]).spawn();
    stage.wait_starts(1);
    stage.zk.set("/tree/a", "2").unwrap();
    running.wait_log("refused, the files stay");
    assert_eq!(stage.scratch.read("conf/a").unwrap(), "1");
    stage.zk.set("/tree/b", "2").unwrap();
    wait_tree(&stage, "./a=2 ./b=2");
    assert_eq!(stage.starts().len(), 2);
    stop(running);
    assert_eq!(stage.names(""), ["conf", "starts"]);
}

#[test]
fn five_hundred_files_are_one_restart() {
    let mut stage = with_tree("five_hundred", &[]);
    for n in 0..500 {
        stage.zk.create(&format!("/tree/{n:03}"), n.to_string()).unwrap();
    }
    let child = "echo \"$$ $(ls conf | wc -l) $(cat conf/* | wc -c)\" >> starts; exec sleep 1000";
    let running = stage.zkexec(&["-w", "2s:60s", "-m", "conf/=/tree/", "-e", child]).spawn();
    // Each of them is read by itself.
    let limit = Duration::from_secs(30);
    assert_eq!(stage.wait_starts_within(limit, 1).1, "500 1390");
    for n in 0..500 {
        stage.zk.set(&format!("/tree/{n:03}"), "x").unwrap();
    }
    assert_eq!(stage.wait_starts_within(limit, 2).1, "500 500");
    stop(running);
    fs::read(stage.scratch.join("conf/499")).unwrap();
}
