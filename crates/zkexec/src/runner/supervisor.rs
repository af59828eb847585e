//! The child: started, signalled, stopped, and what became of it.
//!
//! **Invariant.** Every process is started by the main thread: a child dies with the thread
//! that started it.

use crate::options::ChildConfig;
use crate::rollout::Event as Step;
use farm_core::cli::{Failure, chain};
use farm_core::process::terminal::Terminal;
use farm_core::process::tree::{News, Pid, ProcessTree};
use std::time::Instant;

/// The child, and what is known of the one that ran last.
#[derive(Debug)]
pub(super) struct Supervisor {
    config: ChildConfig,
    pub(super) processes: ProcessTree,
    pub(super) terminal: Terminal,
    /// The process that ran last.
    pub(super) pid: Option<Pid>,
    /// How the last child ended, or why it could not be started.
    pub(super) exit_code: Option<u8>,
    is_told_to_end: bool,
}

impl Supervisor {
    pub(super) fn new(config: ChildConfig) -> Result<Self, Failure> {
        let processes =
            ProcessTree::new().map_err(Failure::for_want_of("cannot look after a command"))?;
        Ok(Self {
            config,
            processes,
            terminal: Terminal::of_stdin(),
            pid: None,
            exit_code: None,
            is_told_to_end: false,
        })
    }

    /// Starts the child on what is in the files.
    pub(super) fn start<C>(&mut self) -> Step<C> {
        log::info!("forking {}", self.config.program);
        match self.processes.start(&self.config.program, &[], &self.terminal) {
            Ok(pid) => {
                log::info!("forked {pid}");
                self.pid = Some(pid);
                self.exit_code = None;
                self.is_told_to_end = false;
                Step::Started
            }
            Err(error) => {
                log::error!("{}", chain(&error));
                self.exit_code = Some(error.exit());
                Step::StartFailed
            }
        }
    }

    /// Asks it to end; the answer if there is nothing to end.
    pub(super) fn stop<C>(&mut self, now: Instant) -> Option<Step<C>> {
        self.is_told_to_end = true;
        self.processes.stop(now, self.config.stop_signal, self.config.kill_timeout);
        self.processes.is_gone().then_some(Step::Gone)
    }

    /// Takes what became of the process tree.
    pub(super) fn learn<C>(&mut self, news: Vec<News>) -> Vec<Step<C>> {
        let mut steps = Vec::new();
        for news in news {
            match news {
                News::Ended(fate) => {
                    self.exit_code = Some(u8::try_from(fate.exit_code()).unwrap_or(u8::MAX));
                    if fate.is_success() || self.is_told_to_end {
                        log::info!("command ended: {fate}");
                    } else {
                        log::warn!("command failed: {fate}");
                    }
                    steps.push(Step::Ended { is_success: fate.is_success() });
                }
                News::Gone => steps.push(Step::Gone),
                News::Stopped(signal) if self.terminal.is_for_us(signal) => {
                    self.terminal.suspend_ourselves();
                }
                News::Stopped(_) | News::Continued => {}
            }
        }
        if self.processes.is_stuck() {
            // Nothing more can be done about it, and a child that is down helps nobody.
            steps.push(Step::Gone);
        }
        steps
    }
}
