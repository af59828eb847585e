//! `zkctl rollout status --watch`.

use super::super::json;
use super::fixture::{GROUP, Group, runs, version, wants};
use crate::terminals::open_terminal;
use farm_harness::{Tool, die_with_parent, eventually};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

#[test]
fn a_pipe_gets_one_line_for_each_change() {
    let mut group = Group::new("a_pipe_gets_one_line", "new");
    let mut member = group.join("web-1", &wants("waiting", "old", "new"));
    let watch = group.start("status", &["--watch", "--json"]);
    watch.wait_stdout("\"state\":\"waiting\"");
    member.tell(&wants("restarting", "old", "new"));
    watch.wait_stdout("\"state\":\"restarting\"");
    member.tell(&runs("new"));
    watch.wait_stdout("\"state\":\"running\"");
    group.order(&json!({"paused": true}));
    watch.wait_stdout("\"paused\":true");
    let printed = watch.stdout();
    let lines: Vec<Value> = printed.lines().map(json).collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (&line["members"][0]["state"], &line["done"], &line["control"]["paused"]))
        .collect();
    let expected = json!([
        ["waiting", 0, false],
        ["restarting", 0, false],
        ["running", 1, false],
        ["running", 1, true],
    ]);
    assert_eq!(json!(seen), expected, "{printed}");
}

#[test]
fn text_and_all_groups_are_watched_too() {
    let group = Group::new("text_and_all_groups_are_watched", "new");
    let mut member = group.join("web-1", &wants("waiting", "old", "new"));
    let text = group.start("status", &["--watch"]);
    let all = group.fixture.tool(&["rollout", "status", "--watch", "-o", "tsv"]).spawn();
    text.wait_stdout("0 of 1 confirmed");
    all.wait_stdout("services__app\t0\t1\twaiting");
    member.tell(&runs("new"));
    text.wait_stdout(&format!("\n\nservices__app: 1 of 1 confirmed\nversion {}", version("new")));
    all.wait_stdout("\n\nservices__app\t1\t1\trunning");
}

#[test]
fn it_ends_when_nobody_reads_any_more() {
    let group = Group::new("it_ends_when_nobody_reads", "new");
    let _member = group.join("web-1", &runs("new"));
    // Nothing changes: there is no write that could fail.
    let tool = format!("{} rollout status {GROUP} --watch", Tool::path_of("zkctl").display());
    let mut shell = die_with_parent(OsStr::new("sh"));
    shell.args(["-c", &format!("{{ timeout 20 {tool}; echo $? >&2; }} | head -1")]);
    shell.env("ZKHOST", group.fixture.chroot.connect_string()).stdin(Stdio::null());
    let mut shell = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut code = String::new();
    shell.stderr.take().unwrap().read_to_string(&mut code).unwrap();
    assert_eq!(code, "0\n");
    let mut line = String::new();
    shell.stdout.take().unwrap().read_to_string(&mut line).unwrap();
    assert_eq!(line, "services__app: 1 of 1 confirmed\n");
    assert!(shell.wait().unwrap().success());
}

#[test]
fn a_terminal_shows_a_bar() {
    let group = Group::new("a_terminal_shows_a_bar", "new");
    let _first = group.join("web-1", &runs("new"));
    let mut second = group.join("we\u{202e}b-2", &wants("waiting", "old", "new"));
    let (master, tty) = open_terminal();
    let mut command = die_with_parent(Tool::path_of("zkctl").as_os_str());
    command.args(["rollout", "status", GROUP, "--watch"]).env_clear().env("TERM", "xterm");
    command.env("ZKHOST", group.fixture.chroot.connect_string());
    let mut child = command.stdin(Stdio::null()).stdout(tty).spawn().unwrap();
    drop(command);
    let screen = Arc::new(Mutex::new(Vec::new()));
    let mut output = File::from(master.as_fd().try_clone_to_owned().unwrap());
    let written = Arc::clone(&screen);
    let reader = std::thread::Builder::new().spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut piece) {
            written.lock().unwrap().extend(&piece[..count]);
        }
    });
    let wait_for = |text: &str| {
        eventually("the terminal shows it", || {
            let shown = String::from_utf8_lossy(&screen.lock().unwrap()).into_owned();
            if shown.contains(text) { Ok(()) } else { Err(shown) }
        });
    };
    wait_for("1 of 2 confirmed");
    wait_for("we\\u{202e}b-2");
    second.tell(&runs("new"));
    wait_for("2 of 2 confirmed");
    child.kill().unwrap();
    child.wait().unwrap();
    reader.unwrap().join().unwrap();
}
