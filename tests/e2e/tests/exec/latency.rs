//! How long a change takes to start a new child.

use super::fixture::{ExecFixture, stop};
use farm_harness::patience;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

#[test]
fn a_change_is_a_new_child_in_no_time() {
    let mut fixture = ExecFixture::with_conf("in_no_time", "0");
    mkfifo(&fixture.scratch.join("up"), Mode::from_bits_truncate(0o600)).unwrap();
    let child = "cat conf; echo; exec sleep 1000";
    let args = ["-s", "-w", "0", "-m", "conf=/conf", "-e", child];
    let running = fixture.by_shell("exec \"$@\" 1<>up", &args).spawn();
    let mut lines = BufReader::new(File::open(fixture.scratch.join("up")).unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "0");
    let mut times: Vec<Duration> = (1..=50)
        .map(|round| {
            let begun = Instant::now();
            fixture.zk.set("/conf", round.to_string()).unwrap();
            assert_eq!(lines.next().unwrap().unwrap(), round.to_string());
            begun.elapsed()
        })
        .collect();
    stop(running);
    times.sort();
    let figures = format!("median {:?}, slowest {:?}", times[25], times[49]);
    std::io::Write::write_all(&mut std::io::stderr(), format!("{figures}\n").as_bytes()).unwrap();
    assert!(times[25] < patience(Duration::from_millis(100)), "{figures}");
}
