//! Performs the actions of the rollout.

use super::member::Member;
use super::saved::SavedContent;
use super::stager::Stager;
use super::supervisor::Supervisor;
use super::{Runner, TURN_WAITS};
use crate::mirror::{self, Content, News};
use crate::rollout::{Action, AlertReason, Event as Step, Phase, Versioned};
use farm_core::cli::{ExitReason, Failure, chain};
use farm_core::farm::rollout::{Verdict, state};
use farm_core::farm::turn::Event as TurnEvent;
use farm_core::farm::turn::News as TurnNews;
use farm_core::process::health::Checkup;
use farm_core::session::Session;
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
            Action::NeedHead(needs_head) => self.queue_turn(now, TurnEvent::NeedHead(needs_head)),
            Action::GiveBack => self.queue_turn(now, TurnEvent::GiveBack),
            Action::Reread => {
                let steps = self.source_steps(now, mirror::Event::Refresh)?;
                self.events.extend(steps);
                self.queue_turn(now, TurnEvent::Refresh);
            }
            Action::Drain => self.queue_turn(now, TurnEvent::Drain),
            Action::Restore => self.queue_turn(now, TurnEvent::Restore),
            Action::Try(version) => {
                if self.member.as_ref().is_some_and(|member| !member.is_connected()) {
                    log::warn!("{TURN_WAITS}");
                }
                self.queue_group(now, state::Event::Try(version));
            }
            Action::Untouched => self.queue_group(now, state::Event::Untouched),
            Action::Confirm(version) => self.queue_group(now, state::Event::Confirm(version)),
            Action::Refuse(version) => {
                let reason = self.failure();
                self.queue_group(now, state::Event::Refuse(version, reason));
            }
            Action::RefuseUntried(version) => {
                let reason = self.failure();
                self.queue_group(now, state::Event::RefuseUntried(version, reason));
            }
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
            Action::MarkGood => {
                self.stager.forget_backups();
                self.save();
            }
            Action::CheckHealth => {
                self.commands.checkup.iter_mut().for_each(|checkup| checkup.begin_now(now));
            }
            Action::PauseHealth => self.commands.checkup.iter_mut().for_each(Checkup::rest),
            Action::Alert(reason) => {
                if let (Some(member), AlertReason::Config) = (&mut self.member, reason) {
                    member.failed(failure_of(&self.child, &self.stager));
                }
                self.commands.alert(now, reason, &self.child);
            }
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
                log::warn!("{TURN_WAITS}");
                Step::PermitUnconfirmed
            }
            TurnNews::Confirmed | TurnNews::Unconfirmed => return None,
        })
    }

    fn queue_group(&mut self, now: Instant, event: state::Event) {
        if let Some(member) = &mut self.member {
            let steps = member.step(now, &self.session, event);
            self.events.extend(steps);
        }
    }

    pub(super) fn group_event(&mut self, now: Instant, event: state::Event) -> Result<(), Failure> {
        self.group(now, |member, now, session| member.step(now, session, event))
    }

    /// Has the member do something, and passes what follows to the rollout.
    pub(super) fn group(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Member, Instant, &Session) -> Vec<Step<Content>>,
    ) -> Result<(), Failure> {
        let Some(member) = &mut self.member else { return Ok(()) };
        let steps = act(member, now, &self.session);
        let ignored_until_ms = member.ignored_hours_until_ms();
        if steps.iter().any(|step| matches!(step, Step::Orders(_))) {
            self.turn(now, TurnEvent::IgnoreHours(ignored_until_ms))?;
        }
        let is_news = !steps.is_empty();
        self.feed(now, steps)?;
        if is_news && !self.boot.is_done() {
            self.begin_first_start(now)?;
        }
        Ok(())
    }

    /// Has the group tell what it knows of the version of this content.
    pub(super) fn follow(&mut self, now: Instant, content: &Content) -> Result<(), Failure> {
        self.group_event(now, state::Event::Follow(content.version()))
    }

    /// Stages the content of the first start, once the group has told what it knows of it.
    fn begin_first_start(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(content) = self.wanted.latest.clone() else { return Ok(()) };
        let Some(member) = &mut self.member else { return self.stage_first(now, &content) };
        let Some(known) = member.known(content.version()) else { return Ok(()) };
        let what = match known.verdict {
            _ if member.leaves_out(content.version()) => {
                "this member leaves out the content in ZooKeeper"
            }
            None | Some(Verdict::Confirmed) => return self.stage_first(now, &content),
            Some(Verdict::Refused) => "the group has refused the content in ZooKeeper",
            Some(Verdict::Trying) => "the group is trying the content in ZooKeeper",
        };
        let saved = member.saved.as_mut().and_then(SavedContent::load);
        if let Some(saved) = saved {
            log::warn!("{what}; starting with the files that were confirmed last");
            return self.stage_first(now, &saved);
        }
        let is_better = !self.stager.holds(&content);
        if let Some(existing) = self.boot.use_existing(&self.stager).filter(|_| is_better) {
            log::warn!("{what}; starting with the existing files");
            return self.boot(now, Ok(Some(existing)));
        }
        log::warn!("{what}; starting on it, because there are no other files");
        self.stage_first(now, &content)
    }

    fn stage_first(&mut self, now: Instant, content: &Content) -> Result<(), Failure> {
        let start = self.boot.content_read(now, content, &mut self.stager);
        self.boot(now, start)
    }

    /// Keeps the content of the first start once it turns out to work.
    pub(super) fn save_first(&mut self, now: Instant) {
        let is_working = self.commands.is_healthy() && self.rollout.is_confirmed();
        let member = self.member.as_mut();
        if member.is_some_and(|member| member.has_proven_start(now, is_working)) {
            self.save();
        }
    }

    /// Keeps the content that works for the next start.
    pub(super) fn save(&mut self) {
        if let (Some(member), Some(good)) = (&mut self.member, self.rollout.good())
            && let Some(saved) = member.saved.as_mut().filter(|_| good.is_known())
        {
            saved.save(good);
        }
    }

    /// Why the turn has failed.
    fn failure(&mut self) -> String {
        let reason = failure_of(&self.child, &self.stager);
        if let Some(member) = &mut self.member {
            member.failed(reason.clone());
        }
        reason
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
            self.follow(now, &content)?;
            return self.begin_first_start(now).map(|()| Vec::new());
        }
        let mut steps = Vec::new();
        // The child was started on files that had not been compared with ZooKeeper.
        let is_unknown = self.rollout.running() == Some(&Content::unknown());
        if is_unknown && !self.wanted.mirrors.is_empty() && self.stager.holds(&content) {
            steps.push(Step::Recognised(content.clone()));
        }
        if self.rollout.phase() == Phase::Rereading {
            self.wanted.debounce.clear();
            if let Some(member) = &mut self.member {
                let follow = state::Event::Follow(content.version());
                steps.extend(member.step(now, &self.session, follow));
            }
            steps.push(Step::Reread(content));
        } else if is_new {
            self.wanted.debounce.changed(now);
        }
        Ok(steps)
    }
}

/// Why a turn has failed, in one line.
fn failure_of(child: &Supervisor, stager: &Stager) -> String {
    match (stager.last_failure(), child.exit_code) {
        (Some(why), _) => why.to_owned(),
        (None, Some(code)) if !child.processes.is_up() => format!("the command ended with {code}"),
        (None, _) => "the command was not confirmed in time".to_owned(),
    }
}
