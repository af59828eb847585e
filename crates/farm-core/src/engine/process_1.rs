//! Process 1 of a container, and the signals that end a process.
//!
//! The kernel drops every signal to process 1 that has its default action, so TERM, which ends any
//! other process, would not end a tool that is the command of a container.
//!
//! **Invariant.** A signal of [`ENDING`] that [`Signals`](super::Signals) does not catch ends
//! process 1 with the code that a shell shows for it.

use super::ignored::IgnoredSignals;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook::low_level::{emulate_default_handler, exit};
use std::sync::atomic::{AtomicBool, Ordering};

/// The signals by which somebody asks a process to end. Each is ours until it is caught.
static ENDING: [(i32, AtomicBool); 4] = [
    (SIGTERM, AtomicBool::new(true)),
    (SIGINT, AtomicBool::new(true)),
    (SIGHUP, AtomicBool::new(true)),
    (SIGQUIT, AtomicBool::new(true)),
];

fn is_process_1() -> bool {
    std::process::id() == 1
}

/// The exit code that a shell shows for a process that a signal has ended.
const fn code_of(signal: i32) -> i32 {
    128 + signal
}

/// Makes the signals that end any other process end this one if it is process 1, except those
/// that were ignored when it was started.
pub fn end_process_1_on_signals() {
    if is_process_1() {
        let ignored = IgnoredSignals::at_start();
        for (signal, is_ending) in ENDING.iter().filter(|(signal, _)| !ignored.contains(*signal)) {
            // It fails only for signals that can't be caught.
            drop(register_conditional_shutdown(*signal, code_of(*signal), is_ending));
        }
    }
}

/// Somebody else handles these signals from now on.
pub(super) fn leave_to_handlers<'a>(signals: impl IntoIterator<Item = &'a i32>) {
    for caught in signals {
        for (_, is_ending) in ENDING.iter().filter(|(signal, _)| signal == caught) {
            is_ending.store(false, Ordering::SeqCst);
        }
    }
}

/// Ends the process as if the signal were not caught.
pub(super) fn end_by(signal: i32) {
    if is_process_1() {
        exit(code_of(signal));
    }
    // This fails only for signals that can't be caught.
    drop(emulate_default_handler(signal));
}
