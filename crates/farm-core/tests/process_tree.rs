//! Trees of real processes that misbehave.
//!
//! A process has only one process tree, so every test starts a *host* process for it and looks at
//! that from outside. The host is this program, started again. The process tree belongs to the main
//! thread, where the standard test harness runs no test, so this program has a small harness of its
//! own.

#![expect(clippy::unwrap_used, reason = "a failing helper fails the test")]

#[path = "process_tree/host.rs"]
mod host;
#[path = "process_tree/host_process.rs"]
mod host_process;
#[path = "process_tree/keyboard.rs"]
mod keyboard;
#[path = "process_tree/latecomer.rs"]
mod latecomer;
#[path = "process_tree/others.rs"]
mod others;
#[path = "process_tree/shell.rs"]
mod shell;
#[path = "process_tree/shutdown.rs"]
mod shutdown;
#[path = "process_tree/starting.rs"]
mod starting;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;

type Test = (&'static str, fn());

const THREADS: usize = 8;

macro_rules! tests {
    ($($module:ident: $($name:ident),* $(,)?;)*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name as fn())),*),*]
    };
}

const TESTS: &[Test] = tests! {
    starting:
        a_shell_line_and_an_argv_run_as_they_are_given,
        exit_codes_are_exact,
        a_program_that_can_not_run_has_the_exit_code_of_a_shell,
        a_second_child_is_refused_while_the_first_is_up,
        stdin_and_stdout_are_ours_and_stay_so_over_restarts,
        the_child_has_its_own_group_and_no_signal_is_blocked_or_ignored,
        what_we_were_started_with_as_ignored_stays_so_for_us_and_the_child,
        the_child_does_not_inherit_the_variables_of_our_service_manager;
    shutdown:
        a_child_that_ends_when_asked_is_not_killed,
        a_child_that_ignores_term_is_gone_at_the_kill_timeout_with_its_children,
        a_daemon_of_the_child_is_asked_once_and_waited_for,
        a_group_is_asked_once,
        a_process_forked_after_the_signal_does_not_wait_for_the_kill,
        daemons_of_daemons_that_ignore_everything_are_gone,
        a_chain_of_forks_is_killed,
        a_stopped_child_can_act_when_it_is_asked,
        a_kill_takes_all_at_once,
        what_the_child_leaves_behind_lives_until_it_is_stopped,
        orphans_are_reaped_while_the_child_lives,
        a_new_child_is_not_killed_by_the_stop_of_the_old_one,
        the_child_dies_with_a_parent_that_was_killed,
        the_child_dies_with_a_parent_that_panics;
    others:
        a_hook_beside_is_neither_killed_nor_reaped,
        orphans_behind_an_ended_hook_are_reaped,
        inherited_children_stay_and_are_reaped,
        pid_1_of_a_container_does_the_same,
        a_process_that_can_not_be_signalled_is_logged_once_and_waited_for;
    keyboard:
        the_child_reads_what_is_typed_also_after_a_restart,
        ctrl_c_reaches_the_child_and_nobody_else,
        ctrl_z_stops_both_and_fg_resumes_both,
        after_ctrl_z_the_child_goes_on_in_the_background_and_comes_back,
        a_pipeline_stops_as_one,
        a_latecomer_of_our_group_does_not_keep_the_terminal,
        a_start_in_the_background_takes_no_terminal_until_fg,
        the_terminal_is_given_back_to_a_script,
        a_program_that_can_not_run_leaves_the_terminal_with_us,
        without_a_shell_that_could_continue_us_nothing_stops,
        a_child_that_stops_itself_gives_the_terminal_to_the_shell;
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((role, rest)) if role == host::ROLE => host::run(rest),
        Some((role, rest)) if role == latecomer::ROLE => latecomer::run(rest),
        Some((role, rest)) if role == shell::ROLE => shell::run(rest),
        _ => run_tests(&args),
    }
}

/// Runs the tests whose names contain one of the words among the arguments.
fn run_tests(args: &[String]) -> ExitCode {
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
        wanted.iter().for_each(|(name, _)| print(&format!("{name}: test")));
        return ExitCode::SUCCESS;
    }
    print(&format!("\nrunning {} tests", wanted.len()));
    let failed = Mutex::new(Vec::new());
    let queue = Mutex::new(wanted.iter());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((name, test)) = { queue.lock().unwrap().next() } {
                    let is_passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
                    print(&format!("test {name} ... {}", if is_passed { "ok" } else { "FAILED" }));
                    if !is_passed {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let passed = wanted.len() - failed.len();
    print(&format!("\n{passed} passed; {} failed: {failed:?}\n", failed.len()));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
