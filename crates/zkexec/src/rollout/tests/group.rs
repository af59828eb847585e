//! Whole groups, with events in random order.

use super::*;
use fastrand::Rng;
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
}

struct World {
    rng: Rng,
    now: Instant,
    members: Vec<Member>,
    /// The members in the queue, in its order.
    queue: Vec<usize>,
    holders: usize,
    wanted: Content,
    /// Sessions end, disks are full, leases expire.
    has_faults: bool,
    had_faults: bool,
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
        let now = Instant::now();
        let member = || {
            let mut rollout = Rollout::new(options.clone(), OPEN);
            rollout.step(now, Event::FirstStarted(0));
            Member {
                rollout,
                inbox: VecDeque::new(),
                child: ChildState::Up,
                files: 0,
                good: 0,
                staged: None,
                is_stopped_with_permit: false,
                is_drained: false,
            }
        };
        let members = (0..rng.usize(1..6)).map(|_| member()).collect();
        Self {
            rng,
            now,
            members,
            queue: Vec::new(),
            holders,
            wanted: 0,
            has_faults,
            had_faults: has_faults,
        }
    }

    fn is_holder(&self, index: usize) -> bool {
        self.queue.iter().take(self.holders).any(|holder| *holder == index)
    }

    fn step(&mut self) {
        match self.rng.usize(0..20) {
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
        for index in self.queue.iter().take(self.holders) {
            let member = &mut self.members[*index];
            if !member.rollout.is_holder() && !member.inbox.contains(&Event::Granted) {
                member.inbox.push_back(Event::Granted);
            }
        }
    }

    fn lose_a_session(&mut self) {
        let index = self.rng.usize(0..self.members.len());
        if self.queue.contains(&index) {
            self.queue.retain(|other| *other != index);
            let member = &mut self.members[index];
            member.inbox.retain(|event| *event != Event::Granted);
            member.inbox.push_back(Event::PermitLost);
            member.is_stopped_with_permit = false;
        }
    }

    fn deliver(&mut self, index: usize, event: Event<Content>) {
        let now = self.now;
        if event == Event::Gone {
            self.members[index].child = ChildState::Down;
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
            Action::GiveBack => {
                self.queue.retain(|other| *other != index);
                member.inbox.retain(|event| *event != Event::Granted);
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
                member.files = member.staged.take().expect("something is staged");
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
        assert!(self.had_faults || bad <= self.holders, "{bad} have bad content");
    }

    /// Publishes good content and runs without faults until every member has it.
    fn come_to_rest(&mut self) {
        self.has_faults = false;
        self.wanted = 8;
        for member in &mut self.members {
            member.inbox.push_back(Event::Gates(OPEN));
            member.inbox.push_back(Event::Wanted(8));
        }
        for _ in 0..10_000 {
            self.grant();
            for index in 0..self.members.len() {
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
        }
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
