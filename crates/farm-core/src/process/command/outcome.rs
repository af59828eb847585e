//! How a run ended.

use crate::engine::shown;
use log::Level;
use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

const LINE_CHARS_MAX: usize = 500;
/// How many of the last lines of a failed command are logged.
const LINES_MAX: usize = 10;

/// Why a command counts as failed: it did not exit with 0, or took too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The exit status, the signal, or the time limit.
    pub reason: String,
    /// The last lines of the command's output, safe to log.
    pub said: Vec<String>,
    /// Whether the system could not run it, or how it ended is unknown: this says nothing about
    /// what it was to check.
    pub is_unknown: bool,
}

impl Failed {
    /// Logs the output line by line, as that of `who`.
    pub fn log_output(&self, level: Level, who: &str) {
        for line in &self.said {
            log::log!(level, "{who} said: {line}");
        }
    }
}

/// The exit status and the output of a run.
#[derive(Debug)]
pub(in crate::process) struct Outcome {
    pub(super) status: io::Result<ExitStatus>,
    pub(super) output: VecDeque<u8>,
    /// The time limit, if the command was ended because it took longer.
    pub(super) overrun: Option<Duration>,
}

impl Outcome {
    /// The outcome of a command that could not be started.
    pub(super) const fn unstarted(error: io::Error) -> Self {
        Self { status: Err(error), output: VecDeque::new(), overrun: None }
    }

    /// Whether the command succeeded; one that took too long did not, whatever its exit status.
    pub(in crate::process) fn verdict(&self) -> Result<(), Failed> {
        match self.overrun {
            None => self.exit(),
            Some(limit) => Err(self.failed(format!("not done in {limit:?}"))),
        }
    }

    /// Whether the exit status was 0, in time or not.
    pub(in crate::process) fn exit(&self) -> Result<(), Failed> {
        let is_success = self.status.as_ref().is_ok_and(ExitStatus::success);
        if is_success { Ok(()) } else { Err(self.failed(self.reason())) }
    }

    fn failed(&self, reason: String) -> Failed {
        let is_unknown = self.status.is_err();
        Failed { reason, said: self.last_lines(LINES_MAX), is_unknown }
    }

    fn reason(&self) -> String {
        match &self.status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (None, Some(signal)) => format!("killed by signal {signal}"),
                (None, None) => status.to_string(),
            },
            Err(e) => e.to_string(),
        }
    }

    /// The last lines that are not empty, safe to log.
    pub(super) fn last_lines(&self, lines_max: usize) -> Vec<String> {
        let bytes: Vec<u8> = self.output.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> =
            text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(lines_max));
        last.map(|line| line.chars().take(LINE_CHARS_MAX).map(shown).collect()).collect()
    }
}
