//! What somebody at a terminal sees of it.

use crate::latecomer;
use crate::shell::{Desk, INTERACTIVE};
use crate::ward::{Run, is_stopped, wait_until};
use farm_harness::eventually;

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";
const CAT: Run<'static> = Run::Argv(&["cat"]);
/// (A shell that runs a command can't be stopped in the moment between fork and program, and
/// waits for that command, which can: so there is no loop here.)
const SLEEP: Run<'static> = Run::Shell("echo $$ >up; exec sleep 60");

/// In every shell with job control that is here.
fn in_each_shell(manner: &str, run: &Run<'_>, test: impl Fn(&Desk)) {
    for shell in INTERACTIVE {
        if farm_harness::toolbox::in_path(shell[0]).is_some() {
            test(&Desk::new(shell, manner, run));
        }
    }
}

/// The terminal repeats what is typed, and the child does.
fn type_to_child(desk: &Desk, word: &str) {
    desk.press(&format!("{word}\n"));
    desk.wait_for(&format!("{word}\r\n{word}\r\n"));
}

fn end_with_ctrl_c(desk: &Desk, code: i32) {
    desk.press(CTRL_C);
    desk.ward.first("gone");
    desk.wait_for_foreground(desk.shell());
    desk.press("echo code=$?\n");
    desk.wait_for(&format!("code={code}\r\n"));
}

pub(crate) fn the_child_reads_what_is_typed_also_after_a_restart() {
    in_each_shell("stay", &CAT, |desk| {
        desk.press("sh w\n");
        desk.wait_for_foreground(desk.ward.child());
        type_to_child(desk, "hello");
        let warden = desk.warden();

        desk.ward.tell("stop TERM 60000");
        desk.ward.first("gone");
        // Meanwhile the keys are ours.
        desk.wait_for_foreground(warden);
        desk.press(CTRL_C);
        desk.ward.first("told to end by 2");

        desk.ward.tell("start");
        let second = desk.ward.nth(1, "up ").parse().unwrap();
        desk.wait_for_foreground(second);
        type_to_child(desk, "again");
        desk.ward.tell("stop TERM 60000");
        desk.ward.nth(1, "gone");
        assert_eq!(desk.ward.count("stopped"), 0, "it had to ask for the terminal");
        desk.ward.tell("quit");
        desk.wait_for_foreground(desk.shell());
    });
}

pub(crate) fn ctrl_c_reaches_the_child_and_nobody_else() {
    let own_code = Run::Shell("trap 'exit 42' INT; echo ready; while :; do sleep 0.05; done");
    for (run, code) in [(CAT, 130), (own_code, 42)] {
        in_each_shell("follow", &run, |desk| {
            desk.press("sh w\n");
            desk.wait_for_foreground(desk.ward.child());
            if code == 42 {
                desk.wait_for("ready");
            }
            end_with_ctrl_c(desk, code);
            assert_eq!(desk.ward.count("told to end"), 0, "{:?}", desk.ward.log());
        });
    }
}

pub(crate) fn ctrl_z_stops_both_and_fg_resumes_both() {
    in_each_shell("follow", &CAT, |desk| {
        desk.press("sh w\n");
        let (child, warden) = (desk.ward.child(), desk.warden());
        desk.wait_for_foreground(child);
        type_to_child(desk, "hello");
        for round in ["one", "two", "three"] {
            desk.press(CTRL_Z);
            desk.wait_for_foreground(desk.shell());
            assert!(is_stopped(child) && is_stopped(warden), "{:?}", desk.ward.log());
            desk.press("fg\n");
            desk.wait_for_foreground(child);
            type_to_child(desk, round);
            assert!(!is_stopped(child) && !is_stopped(warden));
        }
        end_with_ctrl_c(desk, 130);
    });
}

pub(crate) fn after_ctrl_z_the_child_goes_on_in_the_background_and_comes_back() {
    in_each_shell("follow", &SLEEP, |desk| {
        desk.press("sh w\n");
        let (child, warden) = (desk.ward.child(), desk.warden());
        desk.wait_for_foreground(child);
        desk.ward.pid_in("up");
        desk.press(CTRL_Z);
        desk.wait_for_foreground(desk.shell());
        wait_until("both are stopped", || is_stopped(child) && is_stopped(warden));
        desk.press("bg\n");
        wait_until("both go on", || !is_stopped(child) && !is_stopped(warden));
        desk.press("echo the-$((40+2))\n");
        desk.wait_for("the-42");
        assert_eq!(desk.foreground(), desk.shell());
        fetch_running(desk);
        end_with_ctrl_c(desk, 130);
    });
}

/// Fetches a job that is not stopped. Of the shells, bash alone tells nobody, so that the
/// terminal is the warden's for the time being.
fn fetch_running(desk: &Desk) {
    // Not in the moments in which the warden looks for itself.
    desk.ward.wait_until_nothing_is_due();
    desk.press("fg\n");
    desk.wait_for_foreground(if desk.is_bash() { desk.warden() } else { desk.ward.child() });
}

/// Waits until the shell knows that its job is stopped, and not only we.
fn wait_for_stop(desk: &Desk) {
    eventually("the job is stopped", || {
        desk.press("jobs\n");
        if desk.text().contains("Stopped") { Ok(()) } else { Err(desk.text()) }
    });
}

pub(crate) fn a_pipeline_stops_as_one() {
    in_each_shell("follow", &CAT, |desk| {
        desk.press("sh w | cat\n");
        let (child, warden) = (desk.ward.child(), desk.warden());
        desk.wait_for_foreground(child);
        type_to_child(desk, "hello");
        // The other program may have taken the terminal from the child when it came up.
        desk.wait_for_foreground(child);
        desk.press(CTRL_Z);
        desk.wait_for_foreground(desk.shell());
        assert!(is_stopped(child) && is_stopped(warden), "{:?}; {}", desk.ward.log(), desk.text());
        desk.press("fg\n");
        desk.wait_for_foreground(child);
        type_to_child(desk, "again");
        desk.press(CTRL_C);
        desk.ward.first("ended 130");
        desk.wait_for_foreground(desk.shell());
    });
}

pub(crate) fn a_latecomer_of_our_group_does_not_keep_the_terminal() {
    let program = std::env::current_exe().unwrap();
    let script =
        format!("'{}' {} stolen </dev/tty & exec sh w", program.display(), latecomer::ROLE);
    let desk = Desk::new(&["sh", "-c", &script], "stay", &CAT);
    desk.ward.wait_for_text("stolen", "stolen");
    desk.wait_for_foreground(desk.ward.child());
    type_to_child(&desk, "hello");
}

pub(crate) fn a_start_in_the_background_takes_no_terminal_until_it_is_fetched() {
    in_each_shell("follow", &SLEEP, |desk| {
        desk.press("sh w &\n");
        desk.ward.pid_in("up");
        assert_eq!(desk.foreground(), desk.shell());
        fetch_running(desk);
        end_with_ctrl_c(desk, 130);
        assert_eq!(desk.ward.count("told to end"), 0, "{:?}", desk.ward.log());
    });
    // One that reads later gets the terminal when it asks for it.
    let later = Run::Shell("echo $$ >up; while [ ! -e go ]; do sleep 0.05; done; exec cat");
    in_each_shell("follow", &later, |desk| {
        desk.press("sh w &\n");
        let child = desk.ward.child();
        desk.ward.pid_in("up");
        fetch_running(desk);
        desk.ward.scratch.write("go", "");
        desk.press("hello\n");
        desk.wait_for("hello\r\nhello\r\n");
        desk.wait_for_foreground(child);
        end_with_ctrl_c(desk, 130);
    });
    // One that reads is stopped for it, as it would be without us.
    in_each_shell("follow", &CAT, |desk| {
        desk.press("sh w &\n");
        let (child, warden) = (desk.ward.child(), desk.warden());
        assert_eq!(desk.ward.first("stopped "), "21");
        wait_for_stop(desk);
        assert!(is_stopped(child) && is_stopped(warden));
        assert_eq!(desk.foreground(), desk.shell());
        desk.press("fg\n");
        desk.wait_for_foreground(child);
        type_to_child(desk, "hello");
        end_with_ctrl_c(desk, 130);
    });
}

pub(crate) fn the_terminal_is_given_back_to_a_script() {
    // Nobody but us gives it back: such a shell knows nothing of groups.
    let desk =
        Desk::new(&["sh", "-c", "sh w; read line; echo \"got-$line\"; read line"], "follow", &CAT);
    desk.wait_for_foreground(desk.ward.child());
    type_to_child(&desk, "hello");
    desk.press(CTRL_C);
    desk.ward.first("gone");
    desk.wait_for_foreground(desk.shell());
    desk.press("it\n");
    desk.wait_for("got-it");
}

pub(crate) fn a_program_that_can_not_run_leaves_the_terminal_with_us() {
    let run = Run::Argv(&["./no-such-program"]);
    let script = "sh w; echo \"code=$?\"; read line; echo \"got-$line\"; read line";
    let desk = Desk::new(&["sh", "-c", script], "follow", &run);
    desk.wait_for("code=127");
    desk.wait_for_foreground(desk.shell());
    desk.press("it\n");
    desk.wait_for("got-it");
}

pub(crate) fn where_nobody_could_continue_us_nothing_stops() {
    let desk = Desk::new(&["sh", "-c", "sh w; read line"], "follow", &CAT);
    let child = desk.ward.child();
    desk.wait_for_foreground(child);
    for (number, word) in ["one", "two"].into_iter().enumerate() {
        desk.press(CTRL_Z);
        desk.ward.nth(number, "continued");
        type_to_child(&desk, word);
    }
    assert_eq!(desk.foreground(), child);
}

pub(crate) fn a_child_that_stops_itself_gives_the_terminal_to_the_shell() {
    let run = Run::Shell("echo $$ >up; kill -STOP $$; exit 8");
    in_each_shell("follow", &run, |desk| {
        desk.press("sh w\n");
        let warden = desk.warden();
        assert_eq!(desk.ward.first("stopped "), "19");
        desk.wait_for_foreground(desk.shell());
        wait_until("we are stopped", || is_stopped(warden));
        desk.press("fg\n");
        desk.ward.first("ended 8");
        desk.wait_for_foreground(desk.shell());
        desk.press("echo code=$?\n");
        desk.wait_for("code=8\r\n");
    });
}
