//! Commands that a tool runs: what, and for how long.

use super::duration::parse_duration;
use clap::Args;
use std::time::Duration;

/// The command that runs after a change.
#[derive(Debug, Clone, Args)]
pub struct ChangedCmdArg {
    /// Run CMD with sh -c after CONF changed, and once at start
    #[arg(long, value_name = "CMD")]
    pub changed_cmd: Option<String>,
}

/// How long a command may take.
#[derive(Debug, Clone, Copy, Args)]
pub struct CmdTimeoutArg {
    /// End a CMD after this time
    #[arg(long, value_name = "DUR", default_value = "60s", value_parser = parse_duration)]
    pub cmd_timeout: Duration,
}

/// A command and how long it may take.
#[derive(Debug, Clone)]
pub struct TimedCommand {
    /// What a shell runs.
    pub text: String,
    /// It is ended then.
    pub limit: Duration,
}

impl CmdTimeoutArg {
    /// The command, if there is one, with this limit.
    #[must_use]
    pub fn on(self, text: Option<String>) -> Option<TimedCommand> {
        text.map(|text| TimedCommand { text, limit: self.cmd_timeout })
    }
}
