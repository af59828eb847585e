//! Members with ids of their own, each behind a proxy.

use super::fixture::{Gate, GroupFixture, Member, id};
use super::observer::ChildEvent;
use farm_harness::{FaultProxy, Running, Signal, eventually, holds_for};
use std::collections::BTreeSet;
use std::time::Duration;

/// The session timeout of the members.
pub(crate) const SESSION: Duration = Duration::from_secs(4);

/// Members with ids of their own, each behind a proxy.
pub(crate) struct Fleet {
    pub(crate) group: GroupFixture<'static>,
    pub(crate) proxies: Vec<FaultProxy>,
    pub(crate) running: Vec<Running>,
    members: Vec<Member>,
    /// Those of the health checks, once they were closed.
    gates: Vec<Gate>,
}

impl Fleet {
    /// Starts the members, and waits until they are in the group.
    #[track_caller]
    pub(crate) fn start(test: &str, members: usize, how: impl Fn(Member) -> Member) -> Self {
        let mut fleet = Self::with_room(test, members, members, how);
        for who in 0..members {
            fleet.group.wait_state(who, "running");
        }
        fleet
    }

    /// Starts the first members of a group that may have more.
    #[track_caller]
    pub(crate) fn with_room(
        test: &str,
        room: usize,
        started: usize,
        how: impl Fn(Member) -> Member,
    ) -> Self {
        let group = GroupFixture::new(test, room);
        let proxies: Vec<FaultProxy> = (0..room).map(|_| GroupFixture::proxy()).collect();
        let member = |who: usize| {
            let servers = group.servers_at(proxies[who].addr());
            how(group.zkexec(who).named().at(servers))
        };
        let members: Vec<Member> = (0..room).map(member).collect();
        let running = members[..started].iter().map(|member| group.start(member, "v1")).collect();
        Self { group, proxies, running, members, gates: Vec::new() }
    }

    /// Starts a member, again or for the first time, and does not wait.
    #[track_caller]
    pub(crate) fn launch(&mut self, who: usize) {
        let running = self.members[who].tool().spawn();
        if who == self.running.len() {
            self.running.push(running);
        } else {
            self.running[who] = running;
        }
    }

    #[track_caller]
    pub(crate) fn kill(&mut self, who: usize) {
        self.group.observer.record_kill(who);
        self.running[who].kill9();
    }

    /// Cuts a member off until its proxy accepts again.
    pub(crate) fn cut_off(&self, who: usize) {
        self.proxies[who].refuse();
        self.proxies[who].cut();
    }

    /// The position of the member with this id.
    #[track_caller]
    pub(crate) fn position(&self, member: &serde_json::Value) -> usize {
        let is_it = |who: &usize| member == &id(*who);
        (0..self.running.len()).find(is_it).unwrap_or_else(|| panic!("{member} is no member"))
    }

    /// Has the health checks of all members wait at closed gates.
    #[track_caller]
    pub(crate) fn close_gates(&mut self) {
        let gate = |who: usize| {
            if self.gates.is_empty() {
                self.group.gate(who, "health")
            } else {
                self.group.gate_anew(who, "health")
            }
        };
        // The former gates stay open until nobody finds them any more.
        self.gates = (0..self.running.len()).map(gate).collect();
    }

    pub(crate) fn open_gates(&mut self) {
        self.gates.iter_mut().for_each(Gate::open);
    }

    pub(crate) fn open_gates_of(&mut self, whos: &BTreeSet<usize>) {
        whos.iter().for_each(|who| self.gates[*who].open());
    }

    pub(crate) fn others(&self, who: usize) -> Vec<usize> {
        (0..self.running.len()).filter(|other| *other != who).collect()
    }

    /// The members whose child was started on this version, in order, each as often as it was.
    pub(crate) fn starts_on(&self, version: &str) -> Vec<usize> {
        let observations = self.group.observer.observations();
        let starts = observations
            .iter()
            .filter(|seen| matches!(&seen.event, ChildEvent::Up(started, _) if started == version));
        starts.map(|seen| seen.who).collect()
    }

    /// The members whose child was ever started on this version.
    pub(crate) fn reached_by(&self, version: &str) -> BTreeSet<usize> {
        self.starts_on(version).into_iter().collect()
    }

    /// Waits until the child of one of these members is started on this version.
    #[track_caller]
    pub(crate) fn wait_start(&self, among: &[usize], version: &str) -> usize {
        eventually(&format!("a child of {among:?} on {version}"), || {
            let starts = self.starts_on(version);
            let first = starts.iter().find(|who| among.contains(who)).copied();
            first.ok_or_else(|| format!("{:?}", self.group.observer.observations()))
        })
    }

    /// How often the child of each member was started on this version.
    pub(crate) fn start_counts(&self, version: &str) -> Vec<usize> {
        let starts = self.starts_on(version);
        let count = |who: usize| starts.iter().filter(|started| **started == who).count();
        (0..self.running.len()).map(count).collect()
    }

    /// Waits until a child was started on this version more often than before.
    #[track_caller]
    pub(crate) fn wait_restart(&self, version: &str, before: &[usize]) -> usize {
        eventually(&format!("a child is started on {version} again"), || {
            let counts = self.start_counts(version);
            let is_restarted = |who: &usize| counts[*who] > before[*who];
            (0..before.len()).find(is_restarted).ok_or_else(|| format!("{counts:?}"))
        })
    }

    /// Expects that nothing reaches another member for a while.
    #[track_caller]
    pub(crate) fn holds_back(&self, duration: Duration, version: &str, reached: &BTreeSet<usize>) {
        holds_for(duration, &format!("{version} is with {reached:?}"), || {
            let now = self.reached_by(version);
            if now.is_subset(reached) { Ok(()) } else { Err(format!("{now:?}")) }
        });
    }

    /// Publishes content while the others are frozen, so that this member is the first in line.
    #[track_caller]
    pub(crate) fn publish_to_first(&mut self, first: usize, content: &str) {
        let ruby = self.group.ruby_enqueue();
        for other in self.others(first) {
            self.running[other].signal(Signal::SIGSTOP);
        }
        self.group.publish(content);
        self.group.wait_contenders(&self.running[first], 1);
        for other in self.others(first) {
            self.running[other].signal(Signal::SIGCONT);
            self.group.wait_contenders(&self.running[other], 1);
        }
        self.group.ruby_leave(&ruby);
    }

    /// Publishes content that works, and waits until all are healthy on it.
    #[track_caller]
    pub(crate) fn publish_to_all(&mut self, version: &str) {
        self.group.publish(version);
        self.wait_all_on(version);
    }

    /// Waits until all are healthy on this version, and nobody has anything left to do.
    #[track_caller]
    pub(crate) fn wait_all_on(&mut self, version: &str) {
        for who in 0..self.running.len() {
            self.group.wait_healthy_on(who, version);
        }
        for who in 0..self.running.len() {
            self.group.wait_state(who, "running");
        }
        self.group.wait_queue_empty();
    }

    /// What all members have logged, for messages.
    pub(crate) fn logs(&self) -> String {
        self.running.iter().map(|running| running.stderr() + "---\n").collect()
    }
}
