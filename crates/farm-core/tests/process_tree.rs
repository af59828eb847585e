//! Families of real processes that misbehave.
//!
//! Who falls to whom is a matter of whole processes, so every test has a process of its
//! own for the process tree, the *warden*, and looks at it from outside. It is this very program,
//! started again. The process tree belongs to the main thread, which the standard test harness
//! gives to nobody: hence the small one below.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test as well")]

#[path = "process_tree/beside.rs"]
mod beside;
#[path = "process_tree/keyboard.rs"]
mod keyboard;
#[path = "process_tree/latecomer.rs"]
mod latecomer;
#[path = "process_tree/shell.rs"]
mod shell;
#[path = "process_tree/shutdown.rs"]
mod shutdown;
#[path = "process_tree/starting.rs"]
mod starting;
#[path = "process_tree/ward.rs"]
mod ward;
#[path = "process_tree/warden.rs"]
mod warden;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;

type Test = (&'static str, fn());

const TOGETHER: usize = 8;

macro_rules! tests {
    ($($module:ident: $($name:ident),* $(,)?;)*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name as fn())),*),*]
    };
}

const TESTS: &[Test] = tests! {
    starting:
        a_shell_line_and_an_argv_run_as_they_are_given,
        exit_codes_are_exact,
        what_can_not_run_has_the_codes_of_shells,
        a_second_child_waits_for_the_end_of_the_first,
        stdin_and_stdout_are_ours_and_stay_so_over_restarts,
        the_child_has_its_own_group_and_no_signal_is_blocked_or_ignored,
        the_child_is_not_told_of_our_service_manager;
    shutdown:
        a_child_that_ends_when_asked_is_not_killed,
        who_ignores_term_is_gone_at_the_kill_timeout_with_its_children,
        a_daemon_of_the_child_is_asked_once_and_waited_for,
        a_group_is_asked_once,
        who_was_forked_too_late_to_be_asked_does_not_sit_until_it_is_killed,
        daemons_of_daemons_that_ignore_everything_are_gone,
        a_chain_of_forks_is_outrun,
        a_stopped_child_can_act_when_it_is_asked,
        a_kill_takes_all_at_once,
        what_the_child_leaves_behind_lives_until_it_is_stopped,
        orphans_are_reaped_while_the_child_lives,
        a_new_child_is_not_killed_by_the_stop_of_the_old_one,
        the_child_dies_with_a_parent_that_was_killed,
        the_child_dies_with_a_parent_that_panics;
    beside:
        a_hook_beside_is_neither_killed_nor_reaped,
        orphans_behind_an_ended_hook_are_reaped,
        what_was_there_before_us_stays_and_is_reaped,
        the_first_process_of_a_container_does_the_same,
        who_can_not_be_signalled_is_told_of_once_and_not_forgotten;
    keyboard:
        the_child_reads_what_is_typed_also_after_a_restart,
        ctrl_c_reaches_the_child_and_nobody_else,
        ctrl_z_stops_both_and_fg_resumes_both,
        after_ctrl_z_the_child_goes_on_in_the_background_and_comes_back,
        a_pipeline_stops_as_one,
        a_latecomer_of_our_group_does_not_keep_the_terminal,
        a_start_in_the_background_takes_no_terminal_until_it_is_fetched,
        the_terminal_is_given_back_to_a_script,
        a_program_that_can_not_run_leaves_the_terminal_with_us,
        where_nobody_could_continue_us_nothing_stops,
        a_child_that_stops_itself_gives_the_terminal_to_the_shell;
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((role, rest)) if role == warden::ROLE => warden::run(rest),
        Some((role, rest)) if role == latecomer::ROLE => latecomer::run(rest),
        Some((role, rest)) if role == shell::ROLE => shell::run(rest),
        _ => examine(&args),
    }
}

/// Runs the tests whose names contain one of the words among the arguments.
fn examine(args: &[String]) -> ExitCode {
    let mut words: Vec<&String> = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if ["--test-threads", "--skip", "--format", "--color"].contains(&arg.as_str()) {
            rest.next();
        } else if !arg.starts_with('-') {
            words.push(arg);
        }
    }
    let is_wanted = |(name, _): &&Test| {
        words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
    };
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let wanted: Vec<&Test> = TESTS.iter().filter(is_wanted).filter(|_| !has("--ignored")).collect();
    if has("--list") {
        wanted.iter().for_each(|(name, _)| say(&format!("{name}: test")));
        return ExitCode::SUCCESS;
    }
    say(&format!("\nrunning {} tests", wanted.len()));
    let failed = Mutex::new(Vec::new());
    let queue = Mutex::new(wanted.iter());
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                while let Some((name, test)) = { queue.lock().unwrap().next() } {
                    let is_passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
                    say(&format!("test {name} ... {}", if is_passed { "ok" } else { "FAILED" }));
                    if !is_passed {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let passed = wanted.len() - failed.len();
    say(&format!("\n{passed} passed; {} failed: {failed:?}\n", failed.len()));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
