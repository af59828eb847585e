//! Commands that a tool runs, and their time limit.

use super::duration::parse_limit;
use clap::Args;
use std::time::Duration;

/// The command that runs after a change.
#[derive(Debug, Clone, Args)]
pub struct ChangedCmdArg {
    /// Run CMD with sh -c after each change of CONF, and once at start
    #[arg(long, value_name = "CMD")]
    pub changed_cmd: Option<String>,
}

/// How long a command may take.
#[derive(Debug, Clone, Copy, Args)]
pub struct CmdTimeoutArg {
    /// Stop a CMD that runs longer than this; 0 means no limit
    #[arg(long, value_name = "DUR", default_value = "60s", value_parser = parse_limit)]
    pub cmd_timeout: Duration,
}

/// A command and its time limit.
#[derive(Debug, Clone)]
pub struct TimedCommand {
    /// The command line for the shell.
    pub text: String,
    /// The command is stopped after this time.
    pub limit: Duration,
}

impl CmdTimeoutArg {
    /// Adds this limit to the command, if there is one.
    #[must_use]
    pub fn on(self, text: Option<String>) -> Option<TimedCommand> {
        text.map(|text| TimedCommand { text, limit: self.cmd_timeout })
    }
}
