//! The end of zkexec: the exit code and signals.

use super::fixture::{ExecFixture, RECORDING_CHILD, stop};
use super::processes::{children, is_alive, send, wait_gone};
use farm_harness::{Running, Signal, Tool, eventually, holds_for, patience};
use std::fs;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(2);

#[test]
fn the_exit_code_is_the_childs() {
    let fixture = ExecFixture::with_conf("the_exit_code", "");
    fixture.scratch.write("plain", "no program");
    fs::create_dir(fixture.scratch.join("folder")).unwrap();
    fixture.script("no-interpreter", "#!/no/such/interpreter\n");
    let table: [(&[&str], i32); 20] = [
        (&["-e", "true"], 0),
        (&["-e", "exit 3"], 3),
        (&["-e", "exit 255"], 255),
        (&["-e", "kill -KILL $$"], 137),
        (&["-e", "kill -TERM $$"], 143),
        (&["-e", "kill -RTMIN $$"], 128 + 34),
        (&["-e", "./plain"], 126),
        (&["-e", "no-such-program"], 127),
        (&["-e", "if"], 2),
        (&["-e", ""], 0),
        (&["--", "true"], 0),
        (&["--", "sh", "-c", "exit 3"], 3),
        (&["--", "sh", "-c", "kill -KILL $$"], 137),
        (&["--", "sh", "-c", "kill -TERM $$"], 143),
        (&["--", "./plain"], 126),
        (&["--", "./folder"], 126),
        (&["--", "no-such-program"], 127),
        (&["--", "./no-such-program"], 127),
        (&["--", "./no-interpreter"], 127),
        (&["--", ""], 127),
    ];
    for (args, code) in table {
        // Without a mirror, with a mirror, and in a group.
        for more in [&[][..], &["-m", "conf=/conf"], &["-m", "conf=/conf", "-l", "group"]] {
            let output = fixture.zkexec(&[more, args].concat()).run();
            output.code(code).stdout_is("");
            assert!(output.stderr.lines().count() < 15, "{output}");
        }
    }
}

#[test]
fn arguments_reach_the_child_as_they_are() {
    let fixture = ExecFixture::new("arguments");
    let words = ["-s", "--help", "a  b", "$HOME", "*", "", "'", "é\n"];
    let args = [&["--", "printf", "[%s]"], &words[..]].concat();
    let expected: String = words.iter().map(|word| format!("[{word}]")).collect();
    fixture.zkexec(&args).run().ok().stdout_is(expected);
}

fn start(fixture: &ExecFixture, child: &str, more: &[&str]) -> Running {
    let child = format!("{child}; echo up >> up; while :; do sleep 0.05; done");
    let running = fixture.zkexec(&["-e", &child]).args(more).spawn();
    fixture.wait_file("up", "up\n");
    running
}

#[test]
fn term_and_int_end_the_child_and_then_us() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for (child, code) in [("true", 143), ("trap 'exit 7' TERM", 7), ("trap 'exit 0' TERM", 0)] {
            let fixture = ExecFixture::new("term_and_int");
            let mut running = start(&fixture, child, &["-a", "touch alerted"]);
            let asked_at = Instant::now();
            running.signal(signal);
            let output = running.wait_exit();
            output.code(code);
            assert!(asked_at.elapsed() < patience(SOON), "{signal} {child} {output}");
            assert!(
                !fixture.scratch.join("alerted").exists(),
                "nothing failed by itself: {output}"
            );
            assert!(!output.stderr.contains("failed"), "{output}");
        }
    }
}

#[test]
fn signals_that_were_blocked_for_us_are_heard_all_the_same() {
    let fixture = ExecFixture::new("blocked_for_us");
    let blocked = || {
        let tool = Tool::program("env").args(["--block-signal=CHLD,TERM,HUP", "--"]);
        fixture.configure(tool.arg(Tool::path_of("zkexec")))
    };
    blocked().args(["-e", "exit 3"]).run().code(3);
    stop_when_up(&blocked().args(["-e", "echo up > up; exec sleep 1000"]), &fixture);
}

fn stop_when_up(tool: &Tool, fixture: &ExecFixture) {
    let running = tool.spawn();
    fixture.wait_file("up", "up\n");
    stop(running);
}

#[test]
fn the_stop_signal_is_the_one_that_was_asked_for() {
    for signal in ["INT", "SIGHUP", "10"] {
        let fixture = ExecFixture::new("the_stop_signal");
        let child = "trap 'exit 1' TERM; trap 'exit 5' HUP INT USR1";
        let mut running = start(&fixture, child, &["--stop-signal", signal]);
        running.signal(Signal::SIGTERM);
        running.wait_exit().code(5);
    }
}

#[test]
fn a_child_that_does_not_end_is_killed_when_its_time_is_over() {
    let fixture = ExecFixture::new("a_child_that_does_not_end");
    let limit = Duration::from_millis(600);
    let mut running = start(&fixture, "trap '' TERM", &["--kill-timeout", "0.6"]);
    let asked_at = Instant::now();
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(137);
    let took = asked_at.elapsed();
    assert!(limit <= took && took < limit + patience(SOON), "{took:?}");
}

#[test]
fn who_asks_twice_has_no_time() {
    let fixture = ExecFixture::new("who_asks_twice");
    let mut running = start(&fixture, "trap '' TERM", &["--kill-timeout", "100"]);
    let child = children(running.pid().cast_signed()).pop().unwrap().pid;
    running.signal(Signal::SIGTERM);
    running.wait_log("stopping");
    let asked_at = Instant::now();
    assert!(is_alive(child));
    running.signal(Signal::SIGINT);
    running.wait_exit().code(137);
    assert!(asked_at.elapsed() < patience(SOON), "{:?}", asked_at.elapsed());
    assert!(!is_alive(child));
}

#[test]
fn four_signals_are_forwarded_to_the_group_and_mean_nothing_to_us() {
    let fixture = ExecFixture::with_conf("four_signals", "");
    let note = |who: &str| -> String {
        let traps = ["HUP", "USR1", "USR2", "QUIT", "WINCH", "CONT", "ALRM"];
        traps.map(|name| format!("trap 'echo {name} >> {who}' {name};")).concat()
    };
    // A process in the child's group gets the signals too, one in another group does not.
    let wait = "while :; do sleep 0.05; done";
    let beside = format!("{} echo up >> beside; {wait}", note("beside"));
    let apart = format!("{} echo up >> apart; {wait}", note("apart"));
    fixture.script("beside.sh", &beside);
    fixture.script("apart.sh", &apart);
    let child =
        format!("sh ./beside.sh & setsid sh ./apart.sh & {} echo up >> got; {wait}", note("got"));
    let mut running = fixture.zkexec(&["-m", "conf=/conf", "-e", &child]).spawn();
    let mut expected = "up\n".to_owned();
    for who in ["got", "beside", "apart"] {
        fixture.wait_file(who, "up\n");
    }
    running.signal(Signal::SIGWINCH);
    running.signal(Signal::SIGCONT);
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGQUIT] {
        running.signal(signal);
        expected += &format!("{}\n", &signal.as_str()[3..]);
        fixture.wait_file("got", &expected);
        // A shell's background jobs ignore QUIT.
        if signal != Signal::SIGQUIT {
            fixture.wait_file("beside", &expected);
        }
    }
    assert_eq!(fixture.scratch.read("apart").unwrap(), "up\n");
    assert!(running.is_running());
    stop(running);
}

#[test]
fn signals_before_there_is_a_child_do_no_harm() {
    let fixture = ExecFixture::new("signals_before");
    let mut running =
        fixture.zkexec(&["-m", "conf=/conf", "-c", "127.0.0.1:1", "-e", RECORDING_CHILD]).spawn();
    running.wait_log("no server can be reached");
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGQUIT] {
        running.signal(signal);
    }
    holds_for(Duration::from_millis(200), "it waits on", || {
        if running.is_running() { Ok(()) } else { Err("it ended") }
    });
    let asked_at = Instant::now();
    running.signal(Signal::SIGTERM);
    running.wait_exit().ok();
    assert!(asked_at.elapsed() < patience(SOON), "{:?}", asked_at.elapsed());
    assert_eq!(fixture.starts(), []);
}

#[test]
fn term_during_a_restart_ends_it_and_starts_nothing() {
    let mut fixture = ExecFixture::with_conf("term_during_a_restart", "a");
    let child = "trap 'touch asked' TERM; echo \"$$ $(cat conf)\" >> starts; \
                 while [ ! -e go ]; do sleep 0.02; done; exit 4";
    let args = ["-m", "conf=/conf", "-w", "0", "-e", child];
    let mut running = fixture.zkexec(&args).spawn();
    fixture.wait_starts(1);
    fixture.zk.set("/conf", "b").unwrap();
    fixture.wait_file("asked", "");
    running.signal(Signal::SIGTERM);
    running.wait_log("stopping");
    fixture.scratch.write("go", "");
    running.wait_exit().code(4);
    assert_eq!(fixture.contents(), ["a"]);
}

#[test]
fn a_child_dies_with_a_zkexec_that_is_killed() {
    for args in [&["--", "sleep", "1000"][..], &["-e", "exec sleep 1000"]] {
        let fixture = ExecFixture::new("killed");
        let mut running = fixture.zkexec(args).spawn();
        running.wait_log("forked ");
        let tool = running.pid().cast_signed();
        let child = eventually("a child", || children(tool).pop().ok_or("none")).pid;
        running.kill9();
        wait_gone(child);
    }
}

#[test]
fn a_child_that_others_kill_has_failed_by_itself() {
    let fixture = ExecFixture::with_conf("others_kill", "a");
    let alert = "echo \"$ZKEXEC_EVENT $ZKEXEC_PID $ZKEXEC_STATUS\" >> alerts";
    let mut running = fixture.start(&["-a", alert]);
    let (pid, _) = fixture.wait_starts(1);
    send(pid, Signal::SIGTERM);
    let output = running.wait_exit();
    output.code(143).stderr_has("command failed: killed by signal 15");
    fixture.wait_file("alerts", &format!("exit {pid} 143\n"));
}
