//! Starts, signals and stops the child, and records how it ended.
//!
//! **Invariant.** The main thread starts every process: a child dies with the thread that
//! started it.

use crate::options::ChildConfig;
use crate::rollout::Event as Step;
use farm_core::cli::{Failure, chain};
use farm_core::engine::{LogOnce, Retry};
use farm_core::process::terminal::Terminal;
use farm_core::process::tree::{News, Pid, ProcessTree, StartError};
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(10);

/// The child, or the exit code of the last one.
#[derive(Debug)]
pub(super) struct Supervisor {
    config: ChildConfig,
    pub(super) processes: ProcessTree,
    pub(super) terminal: Terminal,
    /// The child that was started last.
    pub(super) pid: Option<Pid>,
    /// The exit code of the last child, or of the failure to start it.
    pub(super) exit_code: Option<u8>,
    is_stopping: bool,
    /// When to start the child again, for which the system had no process.
    retry: Retry,
    retry_log: LogOnce,
}

impl Supervisor {
    pub(super) fn new(config: ChildConfig) -> Result<Self, Failure> {
        let processes =
            ProcessTree::new().map_err(Failure::system_error("cannot supervise a command"))?;
        Ok(Self {
            config,
            processes,
            terminal: Terminal::of_stdin(),
            pid: None,
            exit_code: None,
            is_stopping: false,
            retry: Retry::new(RETRY_LEAST, RETRY_MOST),
            retry_log: LogOnce::default(),
        })
    }

    /// Starts the child for the first time.
    pub(super) fn start<C>(&mut self) -> Step<C> {
        log::info!("forking {}", self.config.program);
        let started = self.try_start();
        self.started(started)
    }

    /// Starts the child again. `None` if the system has no process for it now, which says nothing
    /// about its new files: it has to be tried again after [`Supervisor::retry_deadline`].
    pub(super) fn restart<C>(&mut self, now: Instant) -> Option<Step<C>> {
        if self.retry.deadline().is_none() {
            log::info!("forking {}", self.config.program);
        }
        match self.try_start() {
            Err(error @ StartError::NoProcess(_)) => {
                log::error!(logger: self.retry_log, "{}; trying again", chain(&error));
                self.retry.failed(now);
                None
            }
            started => {
                self.retry.reset();
                self.retry_log.clear();
                Some(self.started(started))
            }
        }
    }

    /// Does not start the child again.
    pub(super) const fn give_up_restart(&mut self) {
        self.retry.cancel();
    }

    /// When [`Supervisor::restart`] has to try again.
    pub(super) const fn retry_deadline(&self) -> Option<Instant> {
        self.retry.deadline()
    }

    fn try_start(&mut self) -> Result<Pid, StartError> {
        self.processes.start(&self.config.program, &[], &self.terminal)
    }

    fn started<C>(&mut self, started: Result<Pid, StartError>) -> Step<C> {
        match started {
            Ok(pid) => {
                log::info!("forked {pid}");
                self.pid = Some(pid);
                self.exit_code = None;
                self.is_stopping = false;
                Step::Started
            }
            Err(error) => {
                log::error!("{}", chain(&error));
                self.exit_code = Some(error.exit());
                Step::StartFailed
            }
        }
    }

    /// Stops the child and its descendants; returns an event if none are left.
    pub(super) fn stop<C>(&mut self, now: Instant) -> Option<Step<C>> {
        self.is_stopping = true;
        self.processes.stop(now, self.config.stop_signal, self.config.kill_timeout);
        self.processes.is_gone().then_some(Step::Gone)
    }

    /// Handles changes in the process tree.
    pub(super) fn handle<C>(&mut self, news: Vec<News>) -> Vec<Step<C>> {
        let mut steps = Vec::new();
        for news in news {
            match news {
                News::Ended(status) => {
                    self.exit_code = Some(u8::try_from(status.exit_code()).unwrap_or(u8::MAX));
                    if status.is_success() || self.is_stopping {
                        log::info!("command ended: {status}");
                    } else {
                        log::warn!("command failed: {status}");
                    }
                    steps.push(Step::Ended { is_success: status.is_success() });
                }
                News::Gone => steps.push(Step::Gone),
                News::Stopped(signal) if self.terminal.is_for_us(signal) => {
                    self.terminal.suspend_ourselves();
                }
                News::Stopped(_) | News::Continued => {}
            }
        }
        if self.processes.is_stuck() {
            // A process that cannot be killed must not keep the next child from starting.
            steps.push(Step::Gone);
        }
        steps
    }
}
