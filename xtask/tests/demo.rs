//! The demo, complete and interrupted.

mod task;

use farm_harness::{Running, Scratch, Signal, eventually_within};
use std::env;
use std::fs;
use task::{TASK_WAIT, assert_nothing_left, task};

#[track_caller]
fn wait_shown(running: &Running, text: &str) {
    eventually_within(TASK_WAIT, &format!("{text:?} is shown"), || {
        let shown = running.stdout();
        if shown.contains(text) { Ok(()) } else { Err(format!("{shown}\n{}", running.stderr())) }
    });
}

#[test]
fn the_demo_shows_every_outcome_and_leaves_nothing() {
    let dir = Scratch::new();
    let output = task(&dir, &["demo"]).run();
    output.ok();
    for shown in [
        "10.0.0.3             hostname=db-03.example.com, enabled=0\n",
        "$ echo 1 > db-01/enabled\n-> in hosts.php ",
        "$ cat db-02/weight\n10\n",
        "$ zkctl get /services/db/10.0.0.2 enabled\n1\n",
        "$ zkctl ls /services/db\n10.0.0.1\n10.0.0.2\n",
        "change: 2 hosts\n",
        "started with {\"workers\":4}\n",
        "All of it was seen to happen",
    ] {
        output.stdout_has(shown);
    }
    assert!(!output.text().contains('\x1b'), "colours in a pipe\n{output}");
    assert_nothing_left(&dir);
}

#[test]
fn ctrl_c_ends_a_kept_demo_well_and_leaves_nothing() {
    let dir = Scratch::new();
    let mut running = task(&dir, &["demo", "--keep"]).spawn();
    wait_shown(&running, "Ctrl-C in this terminal");
    assert!(running.stdout().contains("export ZKHOST=127.0.0.1:"));
    running.signal(Signal::SIGINT);
    running.wait_exit().ok();
    assert_nothing_left(&dir);
}

#[test]
fn ctrl_c_in_the_middle_leaves_nothing() {
    let dir = Scratch::new();
    let mut running = task(&dir, &["demo"]).spawn();
    wait_shown(&running, "$ kill -9 ");
    running.signal(Signal::SIGINT);
    let output = running.wait_exit();
    output.code(130).stderr_has("interrupted");
    assert!(!output.text().contains("All of it was seen"), "{output}");
    assert_nothing_left(&dir);
}

#[test]
fn a_missing_outcome_fails_and_leaves_nothing() {
    let (dir, fakes) = (Scratch::new(), Scratch::new());
    let grep = fakes.write("grep", "#!/bin/sh\necho 'out of order' >&2\nexit 3\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(grep, mode).unwrap();
    let path = format!("{}:{}", fakes.path().display(), env::var("PATH").unwrap());
    let output = task(&dir, &["demo"]).env("PATH", path).run();
    output.code(1).stderr_has("hosts.php` ended with code 3\nout of order");
    assert_nothing_left(&dir);
}
