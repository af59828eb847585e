//! `--verbose` and `--quiet`: how much is logged.

use crate::cli::{Failure, logging};
use clap::{ArgAction, Args};
use env_logger::Builder;
use log::LevelFilter;
use std::env;

/// The options about logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct LogArgs {
    /// Log more; repeat for still more
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Logging")]
    verbose: u8,

    /// Log less; repeat for still less
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Logging")]
    quiet: u8,
}

/// The kind of tool, which sets its usual log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A tool that keeps running: it logs what happens.
    Daemon,
    /// A tool that answers and exits: it logs only warnings.
    Command,
    /// A tool that runs another command: one `-q` leaves only errors, so that the user sees
    /// the output of the command.
    Wrapper,
}

impl Role {
    const fn usual_level(self) -> LevelFilter {
        match self {
            Self::Daemon | Self::Wrapper => LevelFilter::Info,
            Self::Command => LevelFilter::Warn,
        }
    }
}

impl LogArgs {
    /// Starts logging to stderr, at the usual level of the role unless options or `RUST_LOG`
    /// change it.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub fn start(self, role: Role) -> Result<(), Failure> {
        let mut builder = Builder::new();
        builder.filter_level(self.level(role));
        if self.is_default() {
            if role == Role::Command {
                // The error message of the command repeats what the session would warn of.
                builder.filter_module("farm_core::session", LevelFilter::Error);
            }
            // -v and -q take precedence over the environment.
            if let Ok(directives) = env::var("RUST_LOG") {
                builder.parse_filters(&directives);
            }
        }
        // The lines of a command are bounded by what it was asked to read.
        let is_limited = role != Role::Command;
        logging::start(builder, is_limited).map_err(Failure::system_error("cannot start a thread"))
    }

    /// Is the level above the usual one?
    #[must_use]
    pub const fn is_verbose(self) -> bool {
        self.verbose > self.quiet
    }

    const fn is_default(self) -> bool {
        self.verbose == 0 && self.quiet == 0
    }

    fn level(self, role: Role) -> LevelFilter {
        let levels = [
            LevelFilter::Off,
            LevelFilter::Error,
            LevelFilter::Warn,
            LevelFilter::Info,
            LevelFilter::Debug,
            LevelFilter::Trace,
        ];
        let usual = role.usual_level();
        let usual = levels.iter().position(|level| *level == usual).unwrap_or_default();
        let extra = usize::from(role == Role::Wrapper && self.quiet > 0);
        let quiet = usize::from(self.quiet) + extra;
        let wanted = (usual + usize::from(self.verbose)).saturating_sub(quiet);
        levels[wanted.min(levels.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_move_the_level_within_its_bounds() {
        let table = [
            (Role::Command, 0, 0, LevelFilter::Warn),
            (Role::Command, 1, 0, LevelFilter::Info),
            (Role::Command, 2, 0, LevelFilter::Debug),
            (Role::Daemon, 0, 1, LevelFilter::Warn),
            (Role::Daemon, 0, 3, LevelFilter::Off),
            (Role::Daemon, 200, 0, LevelFilter::Trace),
            (Role::Daemon, 0, 200, LevelFilter::Off),
            (Role::Daemon, 1, 1, LevelFilter::Info),
            (Role::Wrapper, 0, 0, LevelFilter::Info),
            (Role::Wrapper, 0, 1, LevelFilter::Error),
            (Role::Wrapper, 0, 2, LevelFilter::Off),
            (Role::Wrapper, 1, 0, LevelFilter::Debug),
        ];
        for (role, verbose, quiet, level) in table {
            assert_eq!(
                LogArgs { verbose, quiet }.level(role),
                level,
                "{role:?} +{verbose} -{quiet}"
            );
        }
    }
}
