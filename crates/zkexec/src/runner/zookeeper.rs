//! What is heard from ZooKeeper, and to whom it is brought.
//!
//! **Invariant.** The permit hears first that a session is over: nobody acts on what
//! another may hold by then.

use super::{Event, Runner};
use crate::gate::drain::{self, Action as DrainAction, News as DrainNews, Restored};
use crate::gate::fleet;
use crate::mirror::{self, Action as SourceAction, Content, News as SourceNews};
use crate::rollout::{Event as Step, Gates};
use farm_core::cli::{ExitReason, Failure, chain};
use farm_core::farm::permit::{self, Action as PermitAction, News as PermitNews};
use farm_core::session;
use farm_core::session::cache::Refusal;
use std::time::{Instant, SystemTime};

impl Runner {
    pub(super) fn session_event(
        &mut self,
        now: Instant,
        event: &session::Event,
    ) -> Result<(), Failure> {
        match event {
            session::Event::Connected { .. } => self.had_contact = true,
            session::Event::GaveUp(error) if !self.boot.is_done() => {
                return Err(error.clone().into());
            }
            session::Event::AuthRefused(trouble) if !self.boot.is_done() => {
                return Err(session::SessionError::AuthRefused(trouble.clone()).into());
            }
            // The session logs it and tries on; the child does not care.
            session::Event::GaveUp(_) | session::Event::AuthRefused(_) => return Ok(()),
            session::Event::Suspended(_) | session::Event::Lost | session::Event::Hint(_) => {}
        }
        self.permit(now, permit::Event::Session(event.clone()))?;
        self.drain(now, drain::Event::Session(event.clone()))?;
        self.fleet(now, fleet::Event::Session(event.clone()))?;
        self.source(now, mirror::Event::Session(event.clone()))?;
        if matches!(event, session::Event::Lost) {
            self.session.renew(now);
        }
        Ok(())
    }

    pub(super) fn source(&mut self, now: Instant, event: mirror::Event) -> Result<(), Failure> {
        for action in self.source.step(now, event) {
            match action {
                SourceAction::Ask(request) => {
                    request.dispatch(&self.session, self.outbox.posting(Event::Source));
                }
                SourceAction::Tell(news) => self.learn(now, news)?,
            }
        }
        Ok(())
    }

    fn learn(&mut self, now: Instant, news: SourceNews) -> Result<(), Failure> {
        match news {
            SourceNews::Complete(content) => {
                let is_news = self.latest.as_ref() != Some(&content);
                self.latest = Some(content.clone());
                if !self.boot.is_done() {
                    return self.boot_on(now, content);
                }
                self.recognise(now, &content)?;
                if std::mem::take(&mut self.is_rereading) {
                    self.settle.clear();
                    self.rollout(now, Step::Reread(content))?;
                } else if is_news {
                    self.settle.changed(now);
                }
            }
            SourceNews::Changed(content) => {
                self.latest = Some(content);
                self.settle.changed(now);
            }
            SourceNews::Missing(path) => return self.boot_lacks(path),
            SourceNews::Deleted(path) => {
                log::warn!("a znode is gone, its file stays; znode={path}");
            }
            SourceNews::Unreadable(path, why) => return self.unreadable(&path, why),
            SourceNews::Skipped(path, why) => {
                log::warn!("left out: {why}; znode={path}");
            }
            SourceNews::Overlooked(path) => {
                log::info!("it has children: its own bytes are left out; znode={path}");
            }
        }
        Ok(())
    }

    fn unreadable(&self, path: &session::ZnodePath, why: Refusal) -> Result<(), Failure> {
        if !self.boot.is_done() && why.is_permanent() {
            return Err(Failure::from(why).during(format!("cannot mirror {path}")));
        }
        log::warn!("a znode can't be read, its file stays: {}; znode={path}", chain(&why));
        Ok(())
    }

    pub(super) fn drain(&mut self, now: Instant, event: drain::Event) -> Result<(), Failure> {
        let Some(drainer) = &mut self.drainer else { return Ok(()) };
        let mut steps = Vec::new();
        for action in drainer.step(now, event) {
            match action {
                DrainAction::Ask(request) => {
                    request.dispatch(&self.session, self.outbox.posting(Event::Drain));
                }
                DrainAction::Tell(news) => steps.extend(told_of_drain(&news)),
            }
        }
        self.rollout_each(now, steps)
    }

    pub(super) fn permit(&mut self, now: Instant, event: permit::Event) -> Result<(), Failure> {
        let Some(permit) = &mut self.permit else { return Ok(()) };
        let mut steps = Vec::new();
        for action in permit.step(now, event) {
            match action {
                PermitAction::Ask(request) => {
                    request.dispatch(&self.session, self.outbox.posting(Event::Permit));
                }
                PermitAction::Tell(PermitNews::Confirmed) => steps.extend(self.confirmed(true)),
                PermitAction::Tell(PermitNews::Unconfirmed) => steps.extend(self.confirmed(false)),
                PermitAction::Tell(news) => steps.extend(told_of_permit(&news)),
            }
        }
        self.rollout_each(now, steps)
    }

    pub(super) fn fleet(&mut self, now: Instant, event: fleet::Event) -> Result<(), Failure> {
        let Some(fleet) = &mut self.fleet else { return Ok(()) };
        for request in fleet.step(now, event) {
            request.dispatch(&self.session, self.outbox.posting(Event::Fleet));
        }
        self.look_at_gates(now)
    }

    /// Tells the rollout what the gates say, if that is news.
    pub(super) fn look_at_gates(&mut self, now: Instant) -> Result<(), Failure> {
        let clock = SystemTime::now();
        if let Some(hours) = &self.hours {
            self.look_at_hours = Some(now + hours.look_again(clock));
        }
        let gates = Gates {
            is_in_hours: self.hours.as_ref().is_none_or(|hours| hours.is_open(clock)),
            can_spare_us: self.fleet.as_ref().is_none_or(|fleet| fleet.verdict().is_allowed()),
        };
        if gates == self.rollout.gates() {
            self.say_what_bars();
            return Ok(());
        }
        if let Some(fleet) = &self.fleet {
            log::info!("{}", fleet.verdict());
        }
        self.rollout(now, Step::Gates(gates))
    }
}

fn told_of_permit(news: &PermitNews) -> Option<Step<Content>> {
    match news {
        PermitNews::Waiting { ahead } => {
            log::info!("waiting for the lock; ahead={ahead}");
            None
        }
        PermitNews::Confirmed | PermitNews::Unconfirmed => None,
        PermitNews::Granted { id } => {
            log::info!("acquired the lock; zxid={id}");
            Some(Step::Granted)
        }
        PermitNews::Lost => {
            log::warn!("lost the lock, or the place in the queue for it");
            Some(Step::PermitLost)
        }
        PermitNews::Left => {
            log::info!("released the lock");
            None
        }
        PermitNews::UnequalHolders { ours, theirs } => {
            log::warn!(
                "members of the group disagree on how many may restart at once: ours={ours} \
                 theirs={theirs}"
            );
            None
        }
        PermitNews::Refused(error) => {
            log::error!("the lock can't be used: {error}; trying again");
            None
        }
    }
}

fn told_of_drain(news: &DrainNews) -> Option<Step<Content>> {
    match news {
        DrainNews::Drained(drained) => {
            if let Some(retyped) = drained.retyped() {
                log::warn!("{} was {}, and is a string now", retyped.field, retyped.was);
            }
            log::info!("drained");
            Some(Step::Drained)
        }
        DrainNews::NotThere => {
            log::warn!("there is nothing to drain: no such znode");
            Some(Step::Drained)
        }
        DrainNews::Failing(error) => {
            log::warn!("cannot drain, trying again: {}", chain(error));
            None
        }
        DrainNews::Restored(restored) => {
            let how = match restored {
                Restored::Back => "as it was",
                Restored::Overruled => "somebody has changed it meanwhile",
                Restored::Untouched => "it was never set",
            };
            log::info!("restored: {how}");
            Some(Step::Restored)
        }
        DrainNews::Postponed => {
            log::warn!("there is nothing to restore: no such znode");
            Some(Step::Restored)
        }
    }
}
