//! Performs the actions of the rollout.

use super::{Boot, Runner};
use crate::mirror::{self, Content, News};
use crate::rollout::{Action, Event as Step, Phase};
use farm_core::cli::{ExitReason, Failure, chain};
use farm_core::farm::turn::Event as TurnEvent;
use farm_core::farm::turn::{FarmVerdict, News as TurnNews, Obstacle, UnknownReason};
use farm_core::process::health::Checkup;
use std::time::Instant;

/// Events for the rollout.
type Steps = Result<Vec<Step<Content>>, Failure>;

impl Runner {
    /// Passes events to the rollout, each after everything that followed from the one before.
    pub(super) fn feed(
        &mut self,
        now: Instant,
        events: impl IntoIterator<Item = Step<Content>>,
    ) -> Result<(), Failure> {
        for event in events {
            self.events.push_back(event);
            self.pump(now)?;
        }
        Ok(())
    }

    /// Steps the rollout until the queue is empty.
    fn pump(&mut self, now: Instant) -> Result<(), Failure> {
        while let Some(event) = self.events.pop_front() {
            for action in self.rollout.step(now, event) {
                self.perform(now, action)?;
            }
        }
        Ok(())
    }

    /// Performs an action, and queues its result if that is known at once.
    fn perform(&mut self, now: Instant, action: Action<Content>) -> Result<(), Failure> {
        match action {
            Action::Ask => {
                let reason = self.wanted.reason(self.rollout.running());
                self.queue_turn(now, TurnEvent::Ask { why: reason });
            }
            Action::GiveBack => self.queue_turn(now, TurnEvent::GiveBack),
            Action::Reread => {
                let steps = self.source_steps(now, mirror::Event::Refresh)?;
                self.events.extend(steps);
                self.queue_turn(now, TurnEvent::Refresh);
            }
            Action::Drain => self.queue_turn(now, TurnEvent::Drain),
            Action::Restore => self.queue_turn(now, TurnEvent::Restore),
            Action::Install => self.queue_turn(now, TurnEvent::Confirm),
            Action::Stage(content) => {
                let outcome = self.stager.stage(now, &content);
                self.events.extend(outcome.as_ref().map(Step::from));
            }
            Action::PutBack => {
                log::warn!("putting back the files that worked last");
                let is_done = self.stager.put_back().is_ok();
                self.events.push_back(if is_done { Step::PutBack } else { Step::PutBackFailed });
            }
            Action::StopChild => self.events.extend(self.child.stop(now)),
            Action::StartChild => self.events.extend(self.child.restart(now)),
            Action::Apply => self.events.extend(self.commands.apply(now, &self.child)),
            Action::Unstage => self.stager.discard(),
            Action::MarkGood => self.stager.forget_backups(),
            Action::CheckHealth => {
                self.commands.checkup.iter_mut().for_each(|checkup| checkup.begin_now(now));
            }
            Action::PauseHealth => self.commands.checkup.iter_mut().for_each(Checkup::rest),
            Action::Alert(reason) => self.commands.alert(now, reason, &self.child),
            Action::End => {
                self.child.give_up_restart();
                self.exit_by = Some(now + super::RESTORE_TIMEOUT);
            }
        }
        Ok(())
    }

    fn queue_turn(&mut self, now: Instant, event: TurnEvent) {
        let steps = self.turn_steps(now, event);
        self.events.extend(steps);
    }

    pub(super) fn turn(&mut self, now: Instant, event: TurnEvent) -> Result<(), Failure> {
        let steps = self.turn_steps(now, event);
        self.feed(now, steps)
    }

    fn turn_steps(&mut self, now: Instant, event: TurnEvent) -> Vec<Step<Content>> {
        let news = self.turn.step(now, &self.session, event);
        news.into_iter().filter_map(|news| self.step_of(news)).collect()
    }

    fn step_of(&mut self, news: TurnNews) -> Option<Step<Content>> {
        let is_installing = self.rollout.phase() == Phase::Installing;
        Some(match news {
            TurnNews::Granted => Step::Granted,
            TurnNews::Lost => Step::PermitLost,
            TurnNews::Gates(gates) => Step::Gates(gates),
            TurnNews::Drained => Step::Drained,
            TurnNews::Restored => Step::Restored,
            TurnNews::Confirmed if is_installing => match self.stager.install() {
                Ok(()) => Step::Installed,
                Err(_) => Step::InstallFailed,
            },
            TurnNews::Unconfirmed if is_installing => {
                log::warn!("no connection to ZooKeeper; the turn waits");
                Step::PermitUnconfirmed
            }
            TurnNews::Confirmed | TurnNews::Unconfirmed => return None,
        })
    }

    pub(super) fn source(&mut self, now: Instant, event: mirror::Event) -> Result<(), Failure> {
        let steps = self.source_steps(now, event)?;
        self.feed(now, steps)
    }

    fn source_steps(&mut self, now: Instant, event: mirror::Event) -> Steps {
        let mut steps = Vec::new();
        for news in self.wanted.step(now, &self.session, event) {
            match news {
                News::Complete(content) => steps.extend(self.complete(now, content)?),
                News::Changed(content) => self.wanted.changed(now, content),
                News::Missing(path) => self.boot.znode_missing(path)?,
                News::Unreadable(path, why) if !self.boot.is_done() && why.is_permanent() => {
                    return Err(Failure::from(why).during(format!("cannot mirror {path}")));
                }
                News::Unreadable(path, why) => {
                    let why = chain(&why);
                    log::warn!(znode:% = path; "a znode can't be read; its file stays: {why}");
                }
                News::Readable(path) => {
                    log::info!(znode:% = path; "a znode can be read again");
                }
                News::Deleted(path) => {
                    log::warn!(znode:% = path; "a znode was deleted; its file stays");
                }
                News::Skipped(path, why) => {
                    log::warn!(znode:% = path; "a znode is left out: {why}");
                }
                News::BytesIgnored(path) => {
                    log::info!(znode:% = path; "a znode has children; its own bytes are left out");
                }
            }
        }
        Ok(steps)
    }

    /// Handles a complete read of the mirrors.
    fn complete(&mut self, now: Instant, content: Content) -> Steps {
        let is_new = self.wanted.replace(&content);
        if !self.boot.is_done() {
            let start = self.boot.content_read(now, &content, &mut self.stager);
            return self.boot(now, start).map(|()| Vec::new());
        }
        let mut steps = Vec::new();
        // The child was started on files that had not been compared with ZooKeeper.
        let is_unknown = self.rollout.running() == Some(&Boot::unknown_content());
        if is_unknown && !self.wanted.mirrors.is_empty() && self.stager.holds(&content) {
            steps.push(Step::Recognised(content.clone()));
        }
        if self.rollout.phase() == Phase::Rereading {
            self.wanted.debounce.clear();
            steps.push(Step::Reread(content));
        } else if is_new {
            self.wanted.debounce.changed(now);
        }
        Ok(steps)
    }

    /// Logs why a turn may not stop the child yet, once per reason.
    pub(super) fn log_obstacle(&mut self) {
        let is_blocked = self.rollout.phase() == Phase::Blocked;
        match is_blocked.then(|| self.turn.obstacle()).flatten() {
            Some(Obstacle::Farm(FarmVerdict::Unknown(UnknownReason::Reading))) => {}
            Some(obstacle @ (Obstacle::Farm(_) | Obstacle::OffHours)) => {
                log::warn!(logger: self.obstacle_log, "the command is not stopped yet: {obstacle}");
            }
            _ => {
                self.obstacle_log.clear();
            }
        }
    }
}
