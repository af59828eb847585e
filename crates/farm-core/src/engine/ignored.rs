//! The signals that were ignored when this process was started.
//!
//! `nohup` ignores HUP, and a shell without job control ignores INT and QUIT in what it runs in
//! the background. A program has to leave such signals alone, or it ends with the terminal all
//! the same.

use signal_hook::consts::SIGPIPE;
use std::sync::LazyLock;

/// A set of signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IgnoredSignals(u64);

impl IgnoredSignals {
    /// Those that were ignored when this process was started. None, if /proc does not tell.
    ///
    /// PIPE is never one of them: the Rust runtime ignores it before we can look.
    #[must_use]
    pub fn at_start() -> Self {
        // Read before the first handler is installed, which would hide a signal: every function
        // that installs one calls this first.
        static AT_START: LazyLock<IgnoredSignals> = LazyLock::new(|| {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            IgnoredSignals::in_status(&status)
        });
        *AT_START
    }

    /// The set in the text of /proc/PID/status.
    fn in_status(status: &str) -> Self {
        let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let bits = bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
        Self(bits.unwrap_or_default() & !Self::bit(SIGPIPE))
    }

    /// Whether the signal is one of them.
    #[must_use]
    pub const fn contains(self, signal: i32) -> bool {
        self.0 & Self::bit(signal) != 0
    }

    const fn bit(signal: i32) -> u64 {
        if 0 < signal && signal <= 64 { 1 << (signal - 1) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    #[test]
    fn the_kernel_s_list_is_read_without_pipe() {
        let status = "Name:\tx\nSigBlk:\tffff\nSigIgn:\t8000000000001003\nSigCgt:\t4000\n";
        let ignored = IgnoredSignals::in_status(status);
        let has = |signal| ignored.contains(signal);
        assert!(has(SIGHUP) && has(SIGINT) && has(64));
        assert!(!has(SIGTERM) && !has(SIGPIPE) && !has(0) && !has(-1) && !has(65));
    }

    #[test]
    fn no_list_is_an_empty_one() {
        for status in ["", "SigIgn:", "SigIgn:\tx\n", "SigCgt:\t1\n"] {
            assert_eq!(IgnoredSignals::in_status(status), IgnoredSignals(0), "{status:?}");
        }
    }
}
