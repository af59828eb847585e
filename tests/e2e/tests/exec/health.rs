//! Health checks and alerts.

use super::fixture::{ExecFixture, stop};
use super::processes::{is_alive, wait_gone};
use farm_harness::{Signal, eventually, holds_for, patience};
use std::time::{Duration, Instant};

const ALERT: &str = "echo \"$ZKEXEC_EVENT $ZKEXEC_PID ${ZKEXEC_STATUS:-none}\" >> alerts";

fn alerts(fixture: &ExecFixture) -> Vec<String> {
    fixture.scratch.read("alerts").unwrap_or_default().lines().map(str::to_owned).collect()
}

#[track_caller]
fn wait_alerts(fixture: &ExecFixture, count: usize) -> Vec<String> {
    eventually(&format!("{count} alerts"), || match alerts(fixture) {
        alerts if alerts.len() >= count => Ok(alerts),
        alerts => Err(format!("{alerts:?}")),
    })
}

#[test]
fn the_first_check_waits_for_the_delay_and_the_next_for_the_interval() {
    let fixture = ExecFixture::with_conf("the_first_check", "a");
    let stamp = "date +%s.%N >> stamps";
    let health = format!("{stamp}; sleep 0.1; {stamp}");
    let running = fixture.start(&["-H", &health, "-d", "0.5", "-i", "0.4"]);
    // The file is written before the child starts.
    let written = std::fs::metadata(fixture.scratch.join("conf")).unwrap().modified().unwrap();
    let stamps = eventually("three checks", || {
        let text = fixture.scratch.read("stamps")?;
        let stamps: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if stamps.len() >= 6 { Ok(stamps) } else { Err(text) }
    });
    stop(running);
    let written = written.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    // zkexec measures the delay with another clock.
    assert!(stamps[0] - written > 0.49, "{written} {stamps:?}");
    for pair in stamps[1..5].chunks(2) {
        assert!(pair[1] - pair[0] >= 0.39, "from the end of one to the next: {stamps:?}");
    }
}

#[test]
fn checks_never_overlap_not_even_over_a_restart() {
    let mut fixture = ExecFixture::with_conf("never_overlap", "0");
    // `mkdir` fails if another check is running.
    let health = "mkdir here || touch overlap; echo in >> checks; sleep 0.05; rmdir here";
    let running = fixture.start(&["-H", health, "-d", "0", "-i", "0.01"]);
    for round in 1..=5 {
        let seen = running.stderr().matches("health checking via").count();
        running.wait_log_times("health checking via", seen + 3);
        fixture.zk.set("/conf", round.to_string()).unwrap();
        fixture.wait_starts(round + 1);
    }
    stop(running);
    // No assertion on `overlap`: a check that is killed leaves the directory `here`.
    let log = fixture.scratch.read("checks").unwrap();
    assert!(log.lines().count() > 10, "{log}");
}

#[test]
fn a_check_that_takes_too_long_is_killed_with_its_group_and_has_failed() {
    for deaf in ["", "trap '' TERM; "] {
        let fixture = ExecFixture::with_conf("takes_too_long", "a");
        let health = format!("{deaf}sh -c 'sleep 1000; :' & echo $$ $! >> checks; wait");
        let args = ["-H", &health, "-d", "0", "-i", "0.01", "--health-timeout", "0.3", "-a", ALERT];
        let running = fixture.start(&args);
        let begun = Instant::now();
        running.wait_log("failed health check: not done in 300ms");
        let took = begun.elapsed();
        assert!(took < patience(Duration::from_secs(2)), "{took:?}: the limit is a limit");
        wait_alerts(&fixture, 1);
        running.wait_log_times("failed health check: not done in 300ms", 2);
        stop(running);
        let checks = fixture.scratch.read("checks").unwrap();
        checks.split_whitespace().for_each(|pid| wait_gone(pid.parse().unwrap()));
    }
}

#[test]
fn a_check_leaves_nothing_behind_when_we_end() {
    let fixture = ExecFixture::with_conf("leaves_nothing", "a");
    let health = "trap '' TERM; echo $$ > check; while :; do sleep 1000; done";
    let mut running = fixture.start(&["-H", health, "-d", "0"]);
    let check = fixture.pid_in("check");
    let begun = Instant::now();
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143);
    assert!(!is_alive(check));
    assert!(begun.elapsed() < patience(Duration::from_secs(1)), "{:?}", begun.elapsed());
}

#[test]
fn rise_and_fall_count_what_comes_in_a_row() {
    let fixture = ExecFixture::with_conf("rise_and_fall", "a");
    // Each check takes its exit code from a list; later ones succeed.
    fixture.scratch.write("list", "1\n1\n0\n1\n1\n1\n1\n0\n");
    let health = "v=$(head -n 1 list); sed -i 1d list; exit ${v:-0}";
    let args = ["-H", health, "-d", "0", "-i", "0.02", "--health-fall", "3", "-a", ALERT];
    let running = fixture.start(&args);
    running.wait_log_times("successful health check", 4);
    let (pid, _) = fixture.wait_starts(1);
    // One alert for the third failure in a row, and one for each further failure.
    wait_alerts(&fixture, 2);
    stop(running);
    assert_eq!(alerts(&fixture), vec![format!("health {pid} none"); 2]);
}

#[test]
fn an_alert_that_takes_long_is_run_once_for_each_event_and_one_by_one() {
    let fixture = ExecFixture::with_conf("takes_long", "a");
    fixture.scratch.write("list", "1\n1\n1\n");
    let health = "v=$(head -n 1 list); sed -i 1d list; exit ${v:-0}";
    let alert = "echo in >> order; sleep 0.3; echo out >> order";
    let running = fixture.start(&["-H", health, "-d", "0", "-i", "0.01", "-a", alert]);
    running.wait_log("successful health check");
    fixture.wait_file("order", &"in\nout\n".repeat(3));
    stop(running);
}

#[test]
fn the_end_waits_for_the_alert_of_it() {
    let fixture = ExecFixture::new("waits_for_the_alert");
    let alert = "sleep 0.5; echo \"$ZKEXEC_EVENT $ZKEXEC_STATUS\" > alerted";
    for (child, code) in [("exit 3", 3), ("kill -9 $$", 137)] {
        fixture.zkexec(&["-e", child, "-a", alert]).run().code(code);
        assert_eq!(fixture.scratch.read("alerted").unwrap(), format!("exit {code}\n"));
    }
    fixture.zkexec(&["-a", alert, "--", "no-such-program"]).run().code(127);
    assert_eq!(fixture.scratch.read("alerted").unwrap(), "exit 127\n");
    // An alert that never ends is given the command timeout.
    let begun = Instant::now();
    let args = ["-e", "exit 3", "-a", "exec sleep 1000", "--cmd-timeout", "0.3"];
    fixture.zkexec(&args).run().code(3).stderr_has("the alert failed: not done in 300ms");
    assert!(begun.elapsed() < patience(Duration::from_secs(3)));
    std::fs::remove_file(fixture.scratch.join("alerted")).unwrap();
    fixture.zkexec(&["-e", "exit 0", "-a", alert]).run().ok();
    assert!(!fixture.scratch.join("alerted").exists(), "an end that is none to worry about");
}

#[test]
fn who_asks_twice_does_not_wait_for_an_alert() {
    let fixture = ExecFixture::new("asks_twice");
    let alert = "trap '' TERM; echo $$ > alert; while :; do sleep 1000; done";
    let mut running = fixture.zkexec(&["-e", "exit 3", "-a", alert]).spawn();
    let alert = fixture.pid_in("alert");
    running.signal(Signal::SIGTERM);
    let begun = Instant::now();
    eventually("the second signal ends it", || {
        if running.is_running() {
            running.signal(Signal::SIGTERM);
        }
        if running.is_running() { Err("it runs") } else { Ok(()) }
    });
    running.wait_exit().code(3);
    assert!(begun.elapsed() < patience(Duration::from_secs(1)), "{:?}", begun.elapsed());
    assert!(!is_alive(alert));
}

#[test]
fn alerts_are_silent_for_the_delay_after_a_restart_and_then_one_tells_of_the_config() {
    let mut fixture = ExecFixture::with_conf("silent_for_the_delay", "good");
    let args = ["-H", "grep -q good conf", "-d", "1.5", "-i", "0.1", "-a", ALERT];
    let running = fixture.start(&args);
    running.wait_log("successful health check");
    let asked_at = Instant::now();
    fixture.zk.set("/conf", "bad").unwrap();
    let (second, _) = fixture.wait_starts(2);
    let begun = Instant::now();
    running.wait_log("failed health check");
    assert!(begun.elapsed() < patience(Duration::from_millis(1200)), "checked at once");
    let first = wait_alerts(&fixture, 1);
    // The delay counts from the start of the child, which was later.
    assert!(asked_at.elapsed() >= Duration::from_millis(1500), "{:?}", asked_at.elapsed());
    assert_eq!(first[0], format!("config {second} none"));
    running.wait_log("config failure");
    // After the delay each failure is an alert.
    let all = wait_alerts(&fixture, 3);
    assert_eq!(all[1..3], [format!("health {second} none"), format!("health {second} none")]);
    assert!(is_alive(second) && fixture.starts().len() == 2);
    // Better content is not delayed by the failure.
    let well = running.stderr().matches("successful health check").count();
    fixture.zk.set("/conf", "good again").unwrap();
    assert_eq!(fixture.wait_starts(3).1, "good again");
    running.wait_log_times("successful health check", well + 2);
    let now = alerts(&fixture).len();
    holds_for(Duration::from_millis(400), "no alerts", || match alerts(&fixture).len() {
        count if count == now => Ok(()),
        count => Err(count),
    });
    stop(running);
}

#[test]
fn new_content_on_which_the_child_ends_is_an_end_without_a_lock() {
    let mut fixture = ExecFixture::with_conf("an_end_without_a_lock", "good");
    let child = "echo \"$$ $(cat conf)\" >> starts; grep -q good conf || exit 6; exec sleep 1000";
    let args = ["-w", "0", "-m", "conf=/conf", "-a", ALERT, "-d", "0.1", "-e", child];
    let mut running = fixture.zkexec(&args).spawn();
    fixture.wait_starts(1);
    fixture.zk.set("/conf", "bad").unwrap();
    running.wait_exit().code(6);
    let (pid, _) = fixture.wait_starts(2);
    assert_eq!(alerts(&fixture), [format!("exit {pid} 6")]);
}

#[test]
fn a_check_in_flight_holds_up_no_restart() {
    let mut fixture = ExecFixture::with_conf("in_flight", "a");
    let health = "trap '' TERM; echo in >> checks; while :; do sleep 1000; done";
    let running = fixture.start(&["-H", health, "-d", "0", "-i", "0.01"]);
    let mut took = [Duration::ZERO; 5];
    for (round, took) in took.iter_mut().enumerate() {
        fixture.wait_file("checks", &"in\n".repeat(round + 1));
        let begun = Instant::now();
        fixture.zk.set("/conf", round.to_string()).unwrap();
        fixture.wait_starts(round + 2);
        *took = begun.elapsed();
    }
    fixture.wait_file("checks", &"in\n".repeat(6));
    stop(running);
    // The median, because the machine may be busy at times.
    took.sort_unstable();
    assert!(took[2] < patience(Duration::from_millis(200)), "{took:?}");
}
