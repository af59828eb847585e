//! Whole groups, with events in random order.

mod records;

use super::*;
use fastrand::Rng;
use records::{CountedTurn, Records};
use std::collections::VecDeque;

const STEPS: usize = 400;

const CHANGES: [OnChange; 4] = [OnChange::Restart, OnChange::Restart, HUP, COMMAND];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChildState {
    Down,
    Up,
    Stopping,
}

struct Member {
    id: String,
    rollout: Rollout<Content>,
    inbox: VecDeque<Event<Content>>,
    child: ChildState,
    /// The content of its files, the one that worked last, and the staged one.
    files: Content,
    good: Content,
    staged: Option<Content>,
    /// It was stopped under a permit that it has not lost since.
    is_stopped_with_permit: bool,
    is_drained: bool,
    /// Its permit counts only at the head of the queue.
    needs_head: bool,
    /// The turn that the files are from, and the one on newer content.
    turns: Vec<CountedTurn>,
    /// The content of which it hears what the group knows, and what it has heard.
    followed: Content,
    heard: Option<Known>,
    heard_orders: Orders,
}

impl Member {
    fn new(number: usize, options: &RolloutOptions, now: Instant) -> Self {
        let mut rollout = Rollout::new(options.clone(), OPEN);
        rollout.step(now, Event::Orders(Orders::default()));
        rollout.step(now, Event::FirstStarted(0));
        Self {
            id: number.to_string(),
            rollout,
            inbox: VecDeque::new(),
            child: ChildState::Up,
            files: 0,
            good: 0,
            staged: None,
            is_stopped_with_permit: false,
            is_drained: false,
            needs_head: false,
            turns: Vec::new(),
            followed: 0,
            heard: None,
            heard_orders: Orders::default(),
        }
    }

    /// Hears what has changed since it has heard of it last.
    fn hear(&mut self, records: &Records) {
        let known = records.known(self.followed.version());
        if self.heard.as_ref() != Some(&known) {
            self.heard = Some(known.clone());
            self.inbox.push_back(Event::Known(self.followed.version(), known));
        }
        let orders = records.orders(&self.id);
        if self.heard_orders != orders {
            self.heard_orders = orders.clone();
            self.inbox.push_back(Event::Orders(orders));
        }
    }

    fn follow(&mut self, content: Content) {
        if self.followed != content {
            self.followed = content;
            self.heard = None;
            self.inbox.retain(|event| !matches!(event, Event::Known(..)));
        }
    }
}

struct World {
    rng: Rng,
    now: Instant,
    members: Vec<Member>,
    /// The members in the queue, in its order.
    queue: Vec<usize>,
    holders: usize,
    wanted: Content,
    records: Records,
    /// Sessions end, disks are full, leases expire.
    has_faults: bool,
    had_faults: bool,
    has_operators: bool,
}

impl World {
    fn new(seed: u64, has_faults: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let holders = rng.usize(1..3);
        let options = RolloutOptions {
            on_failure: if rng.bool() { OnFailure::Hold } else { OnFailure::RollBack },
            on_change: rng.choice(&CHANGES).expect("there are some").clone(),
            has_health: rng.bool(),
            soak: Duration::from_secs(rng.u64(0..2) * 5),
            drains: rng.bool(),
            ..options()
        };
        let options = RolloutOptions { has_many_holders: holders > 1, ..options };
        let now = Instant::now();
        let members = (0..rng.usize(1..6)).map(|number| Member::new(number, &options, now));
        Self {
            members: members.collect(),
            now,
            queue: Vec::new(),
            holders,
            wanted: 0,
            records: Records::new(0.version()),
            has_faults,
            had_faults: has_faults,
            has_operators: rng.bool(),
            rng,
        }
    }

    fn is_holder(&self, index: usize) -> bool {
        let limit = if self.members[index].needs_head { 1 } else { self.holders };
        self.queue.iter().take(limit).any(|holder| *holder == index)
    }

    fn step(&mut self) {
        match self.rng.usize(0..25) {
            0 => self.publish(),
            1 => self.advance(),
            2 => {
                // A health check succeeds at a random time, if the content works.
                let index = self.rng.usize(0..self.members.len());
                let member = &mut self.members[index];
                if member.child == ChildState::Up && member.files.is_multiple_of(2) {
                    member.inbox.push_back(Event::Healthy);
                }
            }
            3 if self.has_faults => self.lose_a_session(),
            4 if self.has_faults => {
                let index = self.rng.usize(0..self.members.len());
                let gates = Gates { is_in_hours: self.rng.bool(), can_spare_us: self.rng.bool() };
                self.members[index].inbox.push_back(Event::Gates(gates));
            }
            5 if self.has_operators => {
                let ids: Vec<String> =
                    self.members.iter().map(|member| member.id.clone()).collect();
                self.records.command(&mut self.rng, &ids, self.wanted.version());
            }
            6..9 => {
                let index = self.rng.usize(0..self.members.len());
                self.members[index].hear(&self.records);
            }
            _ => {
                self.grant();
                let index = self.rng.usize(0..self.members.len());
                if let Some(event) = self.members[index].inbox.pop_front() {
                    self.deliver(index, event);
                }
            }
        }
    }

    fn publish(&mut self) {
        self.wanted = self.rng.u32(0..6);
        for member in &mut self.members {
            member.inbox.push_back(Event::Wanted(self.wanted));
        }
    }

    fn advance(&mut self) {
        let next = self.members.iter().filter_map(|member| member.rollout.deadline()).min();
        self.now = next.unwrap_or(self.now).max(self.now);
        for index in 0..self.members.len() {
            // Bad content fails before a timer confirms it.
            while self.members[index].inbox.contains(&Event::Ended { is_success: false })
                && let Some(event) = self.members[index].inbox.pop_front()
            {
                self.deliver(index, event);
            }
            if self.members[index].rollout.deadline().is_some_and(|due| due <= self.now) {
                self.deliver(index, Event::Tick);
            }
        }
    }

    fn grant(&mut self) {
        for index in self.queue.clone() {
            let is_holder = self.is_holder(index);
            let member = &mut self.members[index];
            let is_told = member.rollout.is_holder() || member.inbox.contains(&Event::Granted);
            if is_holder && !is_told {
                member.inbox.push_back(Event::Granted);
            }
        }
    }

    fn lose_a_session(&mut self) {
        let index = self.rng.usize(0..self.members.len());
        if self.queue.contains(&index) {
            self.queue.retain(|other| *other != index);
            let member = &mut self.members[index];
            // With the session, the answers to its requests are lost.
            member.inbox.retain(|event| !matches!(event, Event::Granted | Event::Tried(_)));
            member.inbox.push_back(Event::PermitLost);
            member.is_stopped_with_permit = false;
        }
    }

    fn deliver(&mut self, index: usize, event: Event<Content>) {
        let now = self.now;
        match event {
            Event::Gone => self.members[index].child = ChildState::Down,
            Event::Wanted(content) | Event::Reread(content) => self.members[index].follow(content),
            _ => {}
        }
        for action in self.members[index].rollout.step(now, event) {
            self.perform(index, action);
        }
        self.check();
    }

    fn perform(&mut self, index: usize, action: Action<Content>) {
        let (wanted, is_holder) = (self.wanted, self.is_holder(index));
        let fails = self.has_faults && self.rng.usize(0..8) == 0;
        let member = &mut self.members[index];
        match action {
            // Its session is over, but it does not know yet: the request goes nowhere.
            Action::Ask if member.inbox.contains(&Event::PermitLost) => {}
            Action::Ask => {
                assert!(!self.queue.contains(&index), "a member queues twice");
                self.queue.push(index);
            }
            Action::NeedHead(needs_head) => {
                member.needs_head = needs_head;
                member.inbox.retain(|event| *event != Event::Granted);
            }
            Action::GiveBack => {
                self.queue.retain(|other| *other != index);
                member.inbox.retain(|event| *event != Event::Granted);
                // A skipped member gives the lock away, whatever its child does.
                member.is_stopped_with_permit &= member.rollout.phase() != Phase::Skipped;
            }
            Action::Try(version) => {
                let (tried, turn) = self.records.begin_try(&member.id, version);
                member.turns.drain(..member.turns.len().saturating_sub(1));
                member.turns.extend(turn);
                member.inbox.push_back(Event::Tried(tried));
            }
            Action::Untouched => {
                member.inbox.retain(|event| !matches!(event, Event::Tried(_)));
                if let Some(turn) = member.turns.pop() {
                    self.records.untouched(&turn);
                }
            }
            Action::Confirm(version) => {
                self.records.confirm(&member.id, version, &member.turns);
                member.inbox.push_back(Event::Recorded);
            }
            Action::RefuseUntried(version) => {
                let heard = member.heard.as_ref().map_or(0, |known| known.round);
                self.records.refuse(&member.id, version, &[], heard);
            }
            Action::Refuse(version) => {
                let heard = member.heard.as_ref().map_or(0, |known| known.round);
                self.records.refuse(&member.id, version, &member.turns, heard);
            }
            Action::Reread => member.inbox.push_back(Event::Reread(wanted)),
            Action::Stage(content) => {
                member.staged = Some(content);
                member.inbox.retain(|event| !matches!(event, Event::Staged | Event::StageFailed));
                member.inbox.push_back(if fails { Event::StageFailed } else { Event::Staged });
            }
            Action::Unstage => {
                member.staged = None;
                member.inbox.retain(|event| !matches!(event, Event::Staged | Event::StageFailed));
            }
            Action::Install if !is_holder || fails => {
                member.inbox.push_back(Event::PermitUnconfirmed);
            }
            Action::Install => {
                // Nothing is staged for a mere restart.
                member.files = member.staged.take().unwrap_or(member.files);
                // As in the runner, no other event comes in between.
                self.deliver(index, Event::Installed);
            }
            Action::PutBack => {
                member.files = member.good;
                self.deliver(index, Event::PutBack);
            }
            Action::MarkGood => member.good = member.files,
            Action::Drain => {
                member.is_drained = true;
                member.inbox.push_back(Event::Drained);
            }
            Action::Restore => {
                member.is_drained = false;
                member.inbox.push_back(Event::Restored);
            }
            Action::StopChild => {
                if member.child == ChildState::Up {
                    member.is_stopped_with_permit = is_holder;
                }
                member.child = ChildState::Stopping;
                member.inbox.retain(|event| !matches!(event, Event::Ended { .. }));
                member.inbox.push_back(Event::Ended { is_success: true });
                member.inbox.push_back(Event::Gone);
            }
            Action::StartChild => {
                assert_eq!(member.child, ChildState::Down, "two children at once");
                member.child = ChildState::Up;
                member.is_stopped_with_permit = false;
                self.deliver(index, Event::Started);
                let member = &mut self.members[index];
                if member.files % 2 == 1 && (self.rng.bool() || !member.rollout.options.has_health)
                {
                    member.inbox.push_back(Event::Ended { is_success: false });
                }
            }
            Action::End => panic!("no member was told to stop"),
            // The result of a check of an earlier child is ignored.
            Action::PauseHealth => member.inbox.retain(|event| *event != Event::Healthy),
            Action::Apply => {
                let is_good = member.files.is_multiple_of(2);
                let is_success = is_good || member.rollout.options.on_change == HUP;
                // Newer files replace the ones of an earlier notification.
                let is_old =
                    |event: &_| matches!(event, Event::Applied { .. } | Event::Ended { .. });
                member.inbox.retain(|event| !is_old(event));
                member.inbox.push_back(Event::Applied { is_success });
                if !is_good && (self.rng.bool() || !member.rollout.options.has_health) {
                    member.inbox.push_back(Event::Ended { is_success: false });
                }
            }
            Action::CheckHealth | Action::Alert(_) => {}
        }
    }

    fn check(&self) {
        let down = self.members.iter().filter(|member| member.is_stopped_with_permit).count();
        assert!(down <= self.holders, "{down} children are down at once");
        let bad = self.members.iter().filter(|member| member.files % 2 == 1).count();
        // While a content is not known to work, one member at a time tries it.
        let is_undisturbed = !self.had_faults && !self.has_operators;
        assert!(!is_undisturbed || bad <= 1, "{bad} have bad content");
    }

    /// Publishes good content and runs without faults until every member has it.
    fn come_to_rest(&mut self) {
        self.has_faults = false;
        self.records.release();
        self.wanted = 8;
        for member in &mut self.members {
            member.inbox.push_back(Event::Gates(OPEN));
            member.inbox.push_back(Event::Wanted(8));
        }
        for _ in 0..10_000 {
            self.grant();
            for index in 0..self.members.len() {
                self.members[index].hear(&self.records);
                while let Some(event) = self.members[index].inbox.pop_front() {
                    self.deliver(index, event);
                }
                let member = &self.members[index];
                if member.child == ChildState::Up && member.files.is_multiple_of(2) {
                    self.deliver(index, Event::Healthy);
                }
            }
            let is_quiet = self.members.iter().all(|member| member.inbox.is_empty());
            if is_quiet
                && self.members.iter().all(|member| member.rollout.phase() == Phase::Settled)
            {
                break;
            }
            self.advance();
        }
        for member in &self.members {
            assert_eq!((member.rollout.phase(), member.files), (Phase::Settled, 8));
            assert_eq!((member.child, member.is_drained), (ChildState::Up, false));
            assert_eq!(member.rollout.restarted(), self.records.control.restart);
        }
        assert!(self.records.is_confirmed(8.version()));
        assert!(self.queue.is_empty(), "a member still queues");
    }
}

fn run(has_faults: bool) {
    let start: u64 = fastrand::u64(..);
    for seed in farm_harness::seeds(300).map(|number| start.wrapping_add(number)) {
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, has_faults);
            for _ in 0..STEPS {
                world.step();
            }
            world.come_to_rest();
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_group_takes_turns_and_a_bad_content_goes_no_further_than_its_holders() {
    run(false);
}

#[test]
fn a_group_comes_to_rest_whatever_happens_to_sessions_disks_and_gates() {
    run(true);
}
