//! A group of three members and its ZooKeeper.

use super::super::*;
use super::member::{ChildState, Link, Member, Process, Shared};
use super::moves::{Move, hears};
use super::scenario::{Content, Scenario};
use super::zookeeper::ZooKeeper;
use std::rc::Rc;

pub(super) const MEMBERS: usize = 3;

/// The state of everything.
#[derive(Debug, Clone)]
pub(super) struct World<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) zookeeper: ZooKeeper,
    pub(super) members: [Rc<Shared>; MEMBERS],
    /// The position of the wanted content in what the scenario publishes.
    pub(super) published: usize,
    /// How many faults and commands may still happen.
    pub(super) faults: u8,
    pub(super) commands: u8,
    /// How many faults and commands may have kept an outcome from the group in time.
    pub(super) losses: u8,
    /// The members that took a turn on the new content in its latest round, while it was not
    /// known to work.
    pub(super) ran: [bool; MEMBERS],
    pub(super) round: u64,
    /// The first rule that was broken.
    pub(super) violation: Option<&'static str>,
}

impl<'a> World<'a> {
    /// All members run on the old content.
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        let zookeeper = ZooKeeper::new();
        let saved = scenario.is_saved.then_some(Content::Old);
        let members = [0, 1, 2].map(|_| Rc::new(Shared::new(Member::new(saved))));
        let mut world = Self {
            scenario,
            zookeeper,
            members,
            published: 0,
            faults: scenario.faults,
            commands: scenario.commands,
            losses: 0,
            ran: [false; MEMBERS],
            round: 0,
            violation: None,
        };
        for index in 0..MEMBERS {
            // They have seen nothing of what is published.
            world.start(index, Content::Old, usize::MAX);
        }
        world
    }

    pub(super) fn wanted(&self) -> Content {
        self.scenario.published[self.published]
    }

    /// The world after that move.
    pub(super) fn after(&self, step: Move) -> Self {
        let mut world = self.clone();
        world.make(step);
        world
    }

    fn make(&mut self, step: Move) {
        self.happen(step);
        if self.scenario.is_prompt {
            self.catch_up();
        }
    }

    /// A member that was slow to hear is not any more, once it has heard everything.
    fn catch_up(&mut self) {
        for index in 0..MEMBERS {
            let is_slow = self.members[index].process.as_ref().is_some_and(|it| it.is_slow);
            if is_slow && !hears(self, index) {
                self.process(index).is_slow = false;
            }
        }
    }

    fn happen(&mut self, step: Move) {
        self.faults -= u8::from(step.is_fault());
        self.commands -= u8::from(step.is_command());
        let may_lose = match step {
            Move::Skip(_) | Move::BreakLock(_) => true,
            // A turn on it may have been given up for other content.
            Move::Publish => self.scenario.is_published_again(self.published + 1),
            _ => step.is_fault(),
        };
        self.losses += u8::from(may_lose);
        match step {
            Move::HearContent(id) => self.hear_content(id.into(), Event::Wanted),
            Move::ReadAgain(id) => self.hear_content(id.into(), Event::Reread),
            Move::HearKnown(id) => self.hear_known(id.into()),
            Move::HearOrders(id) => {
                let orders = self.zookeeper.orders(id.into());
                self.hear_orders(id.into(), orders);
            }
            Move::Grant(id) => {
                self.process(id.into()).permit.is_held = true;
                self.feed(id.into(), Event::Granted);
            }
            Move::HearBroken(id) => self.permit_lost(id.into()),
            Move::HearLost(id) => {
                self.process(id.into()).link = Link::Lost;
                self.permit_lost(id.into());
                self.process(id.into()).group.session_over();
            }
            Move::Connect(id) => self.connect(id.into()),
            Move::Install(id) => self.install(id.into()),
            Move::Gone(id) => {
                self.process(id.into()).child.state = ChildState::Down;
                self.feed(id.into(), Event::Gone);
            }
            Move::ChildEnds(id) => self.feed(id.into(), Event::Ended { is_success: false }),
            Move::Healthy(id) => self.feed(id.into(), Event::Healthy),
            Move::Tick(id) => self.feed(id.into(), Event::Tick),
            Move::Change(id) => self.change(id.into()),
            Move::Answer(id) => self.answer(id.into()),
            Move::Expire(id) => self.zookeeper.expire(id.into()),
            Move::Publish => self.published += 1,
            Move::Crash(id) => {
                self.zookeeper.leave_behind(id.into());
                let member = self.member(id.into());
                (member.process, member.can_boot) = (None, true);
            }
            Move::Boot(id) => self.boot(id.into()),
            Move::EndSession(id) => {
                self.zookeeper.leave(id.into());
                let process = self.process(id.into());
                process.link = Link::Expired;
                process.child.is_down_in_turn = false;
            }
            Move::Delay(id) => self.process(id.into()).is_slow = true,
            Move::Cut(id) => {
                let process = self.process(id.into());
                process.link = Link::Cut;
                process.group.unanswered();
            }
            Move::CutAfterChange(id) => {
                let first = self.process(id.into()).group.changes[0];
                self.change(id.into());
                let process = self.process(id.into());
                process.link = Link::Cut;
                process.group.changes.insert(0, first);
            }
            Move::Pause => self.zookeeper.is_paused = true,
            Move::Resume => self.zookeeper.is_paused = false,
            Move::Restart => self.zookeeper.restart += 1,
            // As `zkctl rollout retry` does: the number is for what no version is to blame for.
            Move::Retry if self.zookeeper.is_refused(self.wanted()) => {
                self.zookeeper.forget_refusal(self.wanted());
            }
            Move::Retry => self.zookeeper.retry += 1,
            Move::Skip(id) => {
                self.zookeeper.skips[usize::from(id)] = Some(self.wanted());
                self.zookeeper.forget_refusal(self.wanted());
            }
            Move::BreakLock(place) => {
                let broken = self.zookeeper.queue.remove(place.into());
                if let Some(process) = &mut self.member(broken.member).process
                    && !broken.is_left_behind
                {
                    process.child.is_down_in_turn = false;
                }
            }
        }
    }

    pub(super) fn member(&mut self, index: usize) -> &mut Member {
        Rc::make_mut(&mut self.members[index]).change()
    }

    pub(super) fn process(&mut self, index: usize) -> &mut Process {
        self.member(index).process.as_mut().expect("only a running process acts")
    }
}
