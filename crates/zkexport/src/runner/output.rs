//! What the mirror wants done to the file, and what comes of it.

use super::Runner;
use crate::announce::Reason;
use crate::check::Checker;
use crate::difference::Difference;
use crate::hold::Hold;
use crate::mirror::{Action as MirrorAction, Event as MirrorEvent};
use crate::preview::unified;
use crate::target::TargetError;
use farm_core::cli::{Exit, ExitReason, Failure};
use farm_core::model::Farm;
use farm_core::process::command::{Failed, Finished};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Instant;

impl Runner {
    /// Brings an event to the mirror, and does what it wants.
    pub(super) fn mirror(&mut self, now: Instant, event: MirrorEvent) -> Result<(), Failure> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let farm = self.hold.as_ref().map_or(self.roster.farm(), Hold::farm);
            for action in self.mirror.step(now, &event, farm) {
                match action {
                    MirrorAction::Store(farm) => next = self.store(now, &farm)?,
                    MirrorAction::Install => next = Some(self.install()?),
                    MirrorAction::Discard => self.discard(),
                    MirrorAction::Begin(farm) => self.announce(now, Reason::Start, farm),
                    MirrorAction::Announce(farm) => self.announce(now, Reason::Change, farm),
                    MirrorAction::Complain => self.told.file_is_refused(&self.conf),
                    MirrorAction::Relax => self.told.file_is_well(&self.conf),
                    MirrorAction::Withhold { count } => self.withhold(count)?,
                    MirrorAction::Release => {
                        log::info!(file = self.conf; "there are enough hosts again");
                    }
                }
            }
        }
        Ok(())
    }

    /// Decides about hosts that have gone.
    pub(super) fn settle(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(hold) = &mut self.hold else { return Ok(()) };
        let settled = hold.settle(now);
        self.told.of_hold(hold, &settled);
        if settled.held > 0 {
            // Many may be shown again, and they are one change.
            return match self.mirror.is_live() {
                true => self.mirror(now, MirrorEvent::Complete),
                false => Ok(()),
            };
        }
        for host in settled.changed {
            self.mirror(now, MirrorEvent::Changed(host))?;
        }
        Ok(())
    }

    /// Stores the farm; `None` if a check has to look at it first.
    fn store(&mut self, now: Instant, farm: &Farm) -> Result<Option<MirrorEvent>, Failure> {
        if self.is_dry {
            self.show(farm)?;
            return Ok(Some(MirrorEvent::Stored { is_written: false }));
        }
        let Some(checker) = &mut self.checker else {
            let stored = self.target.store(farm);
            return self.outcome(stored).map(Some);
        };
        match self.target.stage(farm) {
            Ok(Some(staged)) => match checker.start(now, staged, farm.len()) {
                Ok(()) => Ok(None),
                Err(error) => self.outcome(Err(TargetError::Check(error))).map(Some),
            },
            Ok(None) => Ok(Some(MirrorEvent::Stored { is_written: false })),
            Err(error) => self.outcome(Err(error)).map(Some),
        }
    }

    /// Takes the end of a check.
    pub(super) fn checked(&mut self, now: Instant, finished: &Finished) -> Result<(), Failure> {
        let verdict = self.checker.as_mut().and_then(|checker| checker.finished(finished));
        let event = match verdict {
            None => return Ok(()),
            Some(Ok(())) => {
                self.told.check_passed(&self.conf);
                MirrorEvent::Passed
            }
            Some(Err(refusal)) => self.refuse(&refusal)?,
        };
        self.mirror(now, event)
    }

    fn refuse(&mut self, refusal: &Failed) -> Result<MirrorEvent, Failure> {
        self.told.check_refused(&self.conf, refusal);
        if self.once.is_some() {
            let what = format!("the check refused the new contents, {} stays as it is", self.conf);
            return Err(Failure::new(Exit::No, what));
        }
        Ok(MirrorEvent::Refused)
    }

    fn install(&mut self) -> Result<MirrorEvent, Failure> {
        let installed = self.checker.as_mut().map_or(Ok(()), Checker::install);
        self.outcome(installed.map(|()| true).map_err(TargetError::File))
    }

    fn discard(&mut self) {
        if let Some(checker) = &mut self.checker {
            checker.discard();
        }
    }

    fn outcome(&mut self, stored: Result<bool, TargetError>) -> Result<MirrorEvent, Failure> {
        match stored {
            Ok(is_written) => Ok(MirrorEvent::Stored { is_written }),
            Err(error) => {
                let ends_us = error.is_permanent() || self.once.is_some();
                if ends_us && !self.mirror.is_begun() {
                    return Err(error.into());
                }
                self.told.fault(error);
                Ok(MirrorEvent::Failed)
            }
        }
    }

    fn withhold(&self, count: usize) -> Result<(), Failure> {
        let (file, min) = (&self.conf, self.mirror.hosts_min());
        if self.once.is_some() {
            let what = format!("{count} hosts, fewer than {min}: {file} stays as it is");
            return Err(Failure::new(Exit::No, what));
        }
        log::warn!(file, hosts = count, min; "too few hosts, the file stays as it is");
        Ok(())
    }

    /// Shows what would be stored, as a difference.
    fn show(&mut self, farm: &Farm) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        for change in self.target.preview(farm)? {
            self.exit = Exit::No;
            stdout.write_all(unified(&change).as_bytes()).map_err(Failure::of_stdout)?;
        }
        stdout.flush().map_err(Failure::of_stdout)
    }

    fn announce(&mut self, now: Instant, reason: Reason, farm: Arc<Farm>) {
        let Difference { added, removed, changed } = Difference::between(&self.shown, &farm);
        let (added, removed, changed) = (added.len(), removed.len(), changed.len());
        let (file, hosts) = (&self.conf, farm.len());
        match reason {
            Reason::Start => log::info!(file, hosts; "the file is current"),
            Reason::Change => {
                log::info!(file, hosts, added, removed, changed; "the file has changed");
            }
        }
        self.shown = Arc::clone(&farm);
        if let Some(announcer) = &mut self.announcer {
            announcer.announce(now, reason, farm);
        }
    }
}
