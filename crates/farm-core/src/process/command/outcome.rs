//! How a run ended.

use crate::engine::{chain, shown};
use crate::process::tree::StartError;
use log::Level;
use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

const LINE_CHARS_MAX: usize = 500;
/// How many of the last lines of a failed command are logged.
const LINES_MAX: usize = 10;

/// Why a command counts as failed: it did not exit with 0, took too long, or could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The exit status, the signal, the time limit, or why it could not be started.
    pub reason: String,
    /// Whether the command was started: otherwise its failure says nothing about what it was to
    /// check.
    pub has_run: bool,
    /// The last lines of the command's output, safe to log.
    pub said: Vec<String>,
}

impl Failed {
    /// Logs the output line by line, as that of `who`.
    pub fn log_output(&self, level: Level, who: &str) {
        for line in &self.said {
            log::log!(level, "{who} said: {line}");
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum End {
    /// It could not be started.
    Unstarted(StartError),
    /// It was reaped, or somebody else has reaped it.
    Reaped(io::Result<ExitStatus>),
}

/// The end and the output of a run.
#[derive(Debug)]
pub(in crate::process) struct Outcome {
    pub(super) end: End,
    pub(super) output: VecDeque<u8>,
    /// The time limit, if the command was ended because it took longer.
    pub(super) overrun: Option<Duration>,
}

impl Outcome {
    /// The outcome of a command that could not be started.
    pub(super) const fn unstarted(error: StartError) -> Self {
        Self { end: End::Unstarted(error), output: VecDeque::new(), overrun: None }
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
        let is_success = matches!(&self.end, End::Reaped(Ok(status)) if status.success());
        if is_success { Ok(()) } else { Err(self.failed(self.reason())) }
    }

    fn failed(&self, reason: String) -> Failed {
        let has_run = matches!(self.end, End::Reaped(_));
        Failed { reason, has_run, said: self.last_lines(LINES_MAX) }
    }

    fn reason(&self) -> String {
        match &self.end {
            End::Unstarted(error) => chain(error),
            End::Reaped(Err(error)) => error.to_string(),
            End::Reaped(Ok(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (None, Some(signal)) => format!("killed by signal {signal}"),
                (None, None) => status.to_string(),
            },
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
