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

const RETRY_LEAST: Duration = Duration::from_millis(500);
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
    /// When to start the child, for which the system had no process.
    pub(super) retry: Retry,
    start_log: LogOnce,
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
            start_log: LogOnce::default(),
        })
    }

    /// Starts the first child.
    pub(super) fn start<C>(&mut self) -> Step<C> {
        log::info!("forking {}", self.config.program);
        match self.launch() {
            Ok(()) => Step::Started,
            Err(error) => {
                log::error!("{}", chain(&error));
                Step::StartFailed
            }
        }
    }

    /// Starts the child in place of one that was stopped. If the system has no process for it,
    /// there is no result yet, and [`Self::tick`] tries again.
    pub(super) fn restart<C>(&mut self, now: Instant) -> Option<Step<C>> {
        log::info!("forking {}", self.config.program);
        self.try_restart(now)
    }

    /// Tries again to start the child, if that is due.
    pub(super) fn tick<C>(&mut self, now: Instant) -> Option<Step<C>> {
        if self.retry.take(now) { self.try_restart(now) } else { None }
    }

    fn try_restart<C>(&mut self, now: Instant) -> Option<Step<C>> {
        match self.launch() {
            Ok(()) => {
                self.retry.reset();
                self.start_log.clear();
                Some(Step::Started)
            }
            Err(error @ StartError::NoProcess(_)) => {
                log::error!(logger: self.start_log, "{}; trying again", chain(&error));
                self.retry.failed(now);
                None
            }
            Err(error) => {
                log::error!("{}", chain(&error));
                Some(Step::StartFailed)
            }
        }
    }

    fn launch(&mut self) -> Result<(), StartError> {
        let started = self.processes.start(&self.config.program, &[], &self.terminal);
        let pid = started.inspect_err(|error| self.exit_code = Some(error.exit()))?;
        log::info!("forked {pid}");
        self.pid = Some(pid);
        self.exit_code = None;
        self.is_stopping = false;
        Ok(())
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
