//! Job control, as a user at a terminal sees it.

use crate::host_process::{Run, is_stopped, wait_until};
use crate::latecomer;
use crate::shell::{INTERACTIVE, ShellSession};
use farm_harness::eventually;

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";
const CAT: Run<'static> = Run::Argv(&["cat"]);
/// No loop: a shell can be stopped only between its commands, and a command only after its exec.
const SLEEP: Run<'static> = Run::Shell("echo $$ >up; exec sleep 60");

/// Runs the test in every installed shell with job control.
fn in_each_shell(mode: &str, run: &Run<'_>, test: impl Fn(&ShellSession)) {
    for shell in INTERACTIVE {
        if farm_harness::toolbox::in_path(shell[0]).is_some() {
            test(&ShellSession::new(shell, mode, run));
        }
    }
}

/// The word appears twice: the terminal echoes it, and the child repeats it.
fn type_to_child(session: &ShellSession, word: &str) {
    session.press(&format!("{word}\n"));
    session.wait_for(&format!("{word}\r\n{word}\r\n"));
}

fn end_with_ctrl_c(session: &ShellSession, code: i32) {
    session.press(CTRL_C);
    session.host.first("gone");
    session.wait_for_foreground(session.shell());
    session.press("echo code=$?\n");
    session.wait_for(&format!("code={code}\r\n"));
}

pub(crate) fn the_child_reads_what_is_typed_also_after_a_restart() {
    in_each_shell("stay", &CAT, |session| {
        session.press("sh w\n");
        session.wait_for_foreground(session.host.child());
        type_to_child(session, "hello");
        let host_pid = session.host_pid();

        session.host.tell("stop TERM 60000");
        session.host.first("gone");
        // Without a child the host has the foreground.
        session.wait_for_foreground(host_pid);
        session.press(CTRL_C);
        session.host.first("asked to end by 2");

        session.host.tell("start");
        let second = session.host.nth(1, "up ").parse().unwrap();
        session.wait_for_foreground(second);
        type_to_child(session, "again");
        session.host.tell("stop TERM 60000");
        session.host.nth(1, "gone");
        assert_eq!(session.host.count("stopped"), 0, "the child was stopped for the terminal");
        session.host.tell("quit");
        session.wait_for_foreground(session.shell());
    });
}

pub(crate) fn ctrl_c_reaches_the_child_and_nobody_else() {
    let own_code = Run::Shell("trap 'exit 42' INT; echo ready; while :; do sleep 0.05; done");
    for (run, code) in [(CAT, 130), (own_code, 42)] {
        in_each_shell("follow", &run, |session| {
            session.press("sh w\n");
            session.wait_for_foreground(session.host.child());
            if code == 42 {
                session.wait_for("ready");
            }
            end_with_ctrl_c(session, code);
            assert_eq!(session.host.count("asked to end"), 0, "{:?}", session.host.log());
        });
    }
}

pub(crate) fn ctrl_z_stops_both_and_fg_resumes_both() {
    in_each_shell("follow", &CAT, |session| {
        session.press("sh w\n");
        let (child, host_pid) = (session.host.child(), session.host_pid());
        session.wait_for_foreground(child);
        type_to_child(session, "hello");
        for round in ["one", "two", "three"] {
            session.press(CTRL_Z);
            session.wait_for_foreground(session.shell());
            assert!(is_stopped(child) && is_stopped(host_pid), "{:?}", session.host.log());
            session.press("fg\n");
            session.wait_for_foreground(child);
            type_to_child(session, round);
            assert!(!is_stopped(child) && !is_stopped(host_pid));
        }
        end_with_ctrl_c(session, 130);
    });
}

pub(crate) fn after_ctrl_z_the_child_goes_on_in_the_background_and_comes_back() {
    in_each_shell("follow", &SLEEP, |session| {
        session.press("sh w\n");
        let (child, host_pid) = (session.host.child(), session.host_pid());
        session.wait_for_foreground(child);
        session.host.pid_in("up");
        session.press(CTRL_Z);
        session.wait_for_foreground(session.shell());
        wait_until("both are stopped", || is_stopped(child) && is_stopped(host_pid));
        session.press("bg\n");
        wait_until("both go on", || !is_stopped(child) && !is_stopped(host_pid));
        session.press("echo the-$((40+2))\n");
        session.wait_for("the-42");
        assert_eq!(session.foreground(), session.shell());
        bring_to_foreground(session);
        end_with_ctrl_c(session, 130);
    });
}

/// Brings a running job to the foreground. bash is the only shell that sends no CONT, so there the
/// host keeps the terminal.
fn bring_to_foreground(session: &ShellSession) {
    // After the probes of the host, which would lend the terminal too.
    session.host.wait_until_nothing_is_due();
    session.press("fg\n");
    session.wait_for_foreground(if session.is_bash() {
        session.host_pid()
    } else {
        session.host.child()
    });
}

/// Waits until the shell, too, has seen that its job is stopped.
fn wait_for_stop(session: &ShellSession) {
    eventually("the job is stopped", || {
        session.press("jobs\n");
        if session.text().contains("Stopped") { Ok(()) } else { Err(session.text()) }
    });
}

pub(crate) fn a_pipeline_stops_as_one() {
    in_each_shell("follow", &CAT, |session| {
        session.press("sh w | cat\n");
        let (child, host_pid) = (session.host.child(), session.host_pid());
        session.wait_for_foreground(child);
        type_to_child(session, "hello");
        // The other program may have taken the terminal from the child when it started.
        session.wait_for_foreground(child);
        session.press(CTRL_Z);
        session.wait_for_foreground(session.shell());
        assert!(
            is_stopped(child) && is_stopped(host_pid),
            "{:?}; {}",
            session.host.log(),
            session.text()
        );
        session.press("fg\n");
        session.wait_for_foreground(child);
        type_to_child(session, "again");
        session.press(CTRL_C);
        session.host.first("ended 130");
        session.wait_for_foreground(session.shell());
    });
}

pub(crate) fn a_latecomer_of_our_group_does_not_keep_the_terminal() {
    let program = std::env::current_exe().unwrap();
    let script =
        format!("'{}' {} stolen </dev/tty & exec sh w", program.display(), latecomer::ROLE);
    let session = ShellSession::new(&["sh", "-c", &script], "stay", &CAT);
    session.host.wait_for_text("stolen", "stolen");
    session.wait_for_foreground(session.host.child());
    type_to_child(&session, "hello");
}

pub(crate) fn a_start_in_the_background_takes_no_terminal_until_fg() {
    in_each_shell("follow", &SLEEP, |session| {
        session.press("sh w &\n");
        session.host.pid_in("up");
        assert_eq!(session.foreground(), session.shell());
        bring_to_foreground(session);
        end_with_ctrl_c(session, 130);
        assert_eq!(session.host.count("asked to end"), 0, "{:?}", session.host.log());
    });
    // A child that reads later gets the terminal when it needs it.
    let later = Run::Shell("echo $$ >up; while [ ! -e go ]; do sleep 0.05; done; exec cat");
    in_each_shell("follow", &later, |session| {
        session.press("sh w &\n");
        let child = session.host.child();
        session.host.pid_in("up");
        bring_to_foreground(session);
        session.host.scratch.write("go", "");
        session.press("hello\n");
        session.wait_for("hello\r\nhello\r\n");
        session.wait_for_foreground(child);
        end_with_ctrl_c(session, 130);
    });
    // A child that reads at once is stopped, as it would be without us.
    in_each_shell("follow", &CAT, |session| {
        session.press("sh w &\n");
        let (child, host_pid) = (session.host.child(), session.host_pid());
        assert_eq!(session.host.first("stopped "), "21");
        wait_for_stop(session);
        assert!(is_stopped(child) && is_stopped(host_pid));
        assert_eq!(session.foreground(), session.shell());
        session.press("fg\n");
        session.wait_for_foreground(child);
        type_to_child(session, "hello");
        end_with_ctrl_c(session, 130);
    });
}

pub(crate) fn the_terminal_is_given_back_to_a_script() {
    // Only the host gives the terminal back: a shell without job control does not.
    let session = ShellSession::new(
        &["sh", "-c", "sh w; read line; echo \"got-$line\"; read line"],
        "follow",
        &CAT,
    );
    session.wait_for_foreground(session.host.child());
    type_to_child(&session, "hello");
    session.press(CTRL_C);
    session.host.first("gone");
    session.wait_for_foreground(session.shell());
    session.press("it\n");
    session.wait_for("got-it");
}

pub(crate) fn a_program_that_can_not_run_leaves_the_terminal_with_us() {
    let run = Run::Argv(&["./no-such-program"]);
    let script = "sh w; echo \"code=$?\"; read line; echo \"got-$line\"; read line";
    let session = ShellSession::new(&["sh", "-c", script], "follow", &run);
    session.wait_for("code=127");
    session.wait_for_foreground(session.shell());
    session.press("it\n");
    session.wait_for("got-it");
}

pub(crate) fn without_a_shell_that_could_continue_us_nothing_stops() {
    let session = ShellSession::new(&["sh", "-c", "sh w; read line"], "follow", &CAT);
    let child = session.host.child();
    session.wait_for_foreground(child);
    for (number, word) in ["one", "two"].into_iter().enumerate() {
        session.press(CTRL_Z);
        session.host.nth(number, "continued");
        type_to_child(&session, word);
    }
    assert_eq!(session.foreground(), child);
}

pub(crate) fn a_child_that_stops_itself_gives_the_terminal_to_the_shell() {
    let run = Run::Shell("echo $$ >up; kill -STOP $$; exit 8");
    in_each_shell("follow", &run, |session| {
        session.press("sh w\n");
        let host_pid = session.host_pid();
        assert_eq!(session.host.first("stopped "), "19");
        session.wait_for_foreground(session.shell());
        wait_until("we are stopped", || is_stopped(host_pid));
        session.press("fg\n");
        session.host.first("ended 8");
        session.wait_for_foreground(session.shell());
        session.press("echo code=$?\n");
        session.wait_for("code=8\r\n");
    });
}
