//! What a turn wants done.

use super::Runner;
use super::alerts::About;
use super::stager::Outcome;
use crate::gate::drain;
use crate::gate::fleet::{self, Doubt, FleetVerdict};
use crate::mirror::{self, Content};
use crate::options::Reaction;
use crate::rollout::{Action, Alarm, Event as Step, Phase};
use farm_core::cli::Failure;
use farm_core::farm::permit;
use std::time::Instant;

/// How many znodes are named as the reason of a turn.
const NAMES_MAX: usize = 3;

impl Runner {
    /// Does it, and tells what came of it if that is known at once.
    pub(super) fn perform(
        &mut self,
        now: Instant,
        action: Action<Content>,
    ) -> Result<Option<Step<Content>>, Failure> {
        let mut step = None;
        match action {
            Action::Ask => {
                let why = self.reason();
                self.permit(now, permit::Event::Ask { why })?;
            }
            Action::GiveBack => self.permit(now, permit::Event::GiveBack)?,
            Action::Reread => {
                self.is_rereading = true;
                self.source(now, mirror::Event::Refresh)?;
                if self.fleet.is_some() {
                    self.fleet(now, fleet::Event::Refresh)?;
                }
            }
            Action::Stage(content) => step = self.stager.stage(now, &content).as_ref().map(step_of),
            Action::Unstage => self.stager.discard(),
            Action::Drain => self.drain(now, drain::Event::Drain)?,
            Action::Restore => self.drain(now, drain::Event::Restore)?,
            Action::Install if self.permit.is_some() => self.permit(now, permit::Event::Confirm)?,
            Action::Install => step = Some(self.install()),
            Action::PutBack => {
                log::warn!("putting the files back that worked");
                let is_done = self.stager.put_back().is_ok();
                step = Some(if is_done { Step::PutBack } else { Step::PutBackFailed });
            }
            Action::Keep => self.stager.keep(),
            Action::StopChild => {
                self.is_told_to_end = true;
                self.family.stop(now, self.stopping.signal, self.stopping.kill_timeout);
                step = self.family.is_gone().then_some(Step::Gone);
            }
            Action::StartChild => step = Some(self.start_child()),
            Action::Apply => step = self.apply(now),
            Action::CheckHealth => {
                if let Some(checkup) = &mut self.checkup {
                    checkup.begin_at_once(now);
                }
            }
            Action::RestHealth => {
                if let Some(checkup) = &mut self.checkup {
                    checkup.rest();
                }
            }
            Action::Alert(alarm) => self.alarm(now, alarm),
            Action::End => self.is_over = true,
        }
        Ok(step)
    }

    /// What others are told that we want the permit for.
    fn reason(&self) -> String {
        let Some((from, to)) = self.change() else { return "new content".to_owned() };
        let positions: Vec<usize> = from.differing(to).collect();
        let names = positions.iter().take(NAMES_MAX);
        let names: Vec<&str> = names
            .filter_map(|position| self.mirrors.get(*position))
            .map(|mirror| mirror.znode.as_str())
            .collect();
        let more = if positions.len() > NAMES_MAX { " and more" } else { "" };
        format!("new content of {}{more}", names.join(", "))
    }

    fn change(&self) -> Option<(&Content, &Content)> {
        Some((self.rollout.running()?, self.latest.as_ref()?))
    }

    /// Says why a turn stands still before the child is touched, as often as that changes.
    pub(super) fn say_what_bars(&mut self) {
        let verdict = match &self.fleet {
            Some(fleet) if self.rollout.phase() == Phase::Barred => fleet.verdict(),
            _ => {
                self.barred_by.clear();
                return;
            }
        };
        if matches!(verdict, FleetVerdict::Unknown(Doubt::Reading)) {
            return;
        }
        self.barred_by.warn(format!("the command is not stopped yet: {verdict}"));
    }

    pub(super) fn staged(&mut self, now: Instant, outcome: Option<Outcome>) -> Result<(), Failure> {
        let Some(outcome) = outcome else { return Ok(()) };
        if self.boot.is_done() {
            let step = step_of(&outcome);
            self.rollout(now, step)
        } else {
            self.boot_staged(now, outcome)
        }
    }

    /// The permit is known to be ours, or not.
    pub(super) fn confirmed(&mut self, is_ours: bool) -> Option<Step<Content>> {
        if self.rollout.phase() != Phase::Installing {
            return None;
        }
        if is_ours && self.session.lease().is_valid() {
            return Some(self.install());
        }
        log::warn!("no contact with ZooKeeper, the turn has to wait");
        Some(Step::LeaseOver)
    }

    /// Puts what is staged in place.
    fn install(&mut self) -> Step<Content> {
        match self.stager.install() {
            Ok(()) => Step::Installed,
            Err(_) => Step::InstallFailed,
        }
    }

    /// Starts the child on what is in the files.
    pub(super) fn start_child(&mut self) -> Step<Content> {
        log::info!("forking {}", self.program);
        match self.family.start(&self.program, &[], &self.terminal) {
            Ok(pid) => {
                log::info!("forked {pid}");
                self.pid = Some(pid);
                self.fate = None;
                self.is_told_to_end = false;
                Step::Started
            }
            Err(error) => {
                log::error!("{}", farm_core::cli::chain(&error));
                self.fate = Some(error.exit());
                Step::StartFailed
            }
        }
    }

    fn apply(&mut self, now: Instant) -> Option<Step<Content>> {
        match &self.reaction {
            Reaction::Signal(signal) => {
                log::info!("sending {signal}");
                self.family.signal(*signal);
            }
            Reaction::Command(text) => {
                log::info!("running {text}");
                if let Some(command) = &mut self.command {
                    let event = ("ZK_EVENT", "change".to_owned());
                    command.request(now, vec![event]);
                    return None;
                }
            }
            Reaction::Restart | Reaction::Nothing => {}
        }
        Some(Step::Applied { is_success: true })
    }

    pub(super) fn alert_of_exit(&mut self, now: Instant) {
        self.alarm(now, Alarm::Exit);
    }

    fn alarm(&mut self, now: Instant, alarm: Alarm) {
        let about = match alarm {
            Alarm::Exit => About::Exit,
            Alarm::Config => {
                log::error!("config failure: the new content does not work");
                About::Config
            }
        };
        let status = if self.family.is_up() { None } else { self.fate };
        self.alert(now, about, status);
    }
}

const fn step_of(outcome: &Outcome) -> Step<Content> {
    match outcome {
        Outcome::Ready => Step::Staged,
        Outcome::Refused => Step::Refused,
        Outcome::Failed(_) => Step::StageFailed,
    }
}
