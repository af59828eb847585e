//! Good and bad content and random faults of all kinds.
//!
//! `FARM_STORM_SEED` repeats a run, `FARM_STORM_STEPS` sets its length.

use super::fixture::GroupFixture;
use super::observer::ChildEvent;
use super::print;
use farm_harness::{FaultProxy, Running, Signal, eventually_within, until};
use fastrand::Rng;
use std::time::{Duration, Instant};

const MEMBERS: usize = 4;
const STEPS: usize = 40;

/// Enough for a session to expire and for a roll of all members.
const PATIENCE: Duration = Duration::from_secs(40);

pub(super) fn number<N: std::str::FromStr>(name: &str) -> Option<N> {
    std::env::var(name).ok()?.parse().ok()
}

/// Some members, each behind its own proxy.
struct Storm {
    group: GroupFixture<'static>,
    proxies: Vec<FaultProxy>,
    running: Vec<Running>,
    options: [&'static str; 6],
    rng: Rng,
}

impl Storm {
    fn start(&self, who: usize) -> Running {
        let servers = self.group.servers_at(self.proxies[who].addr());
        let member = self.group.zkexec(who).at(servers).delay("700ms").healthy_after(0.05);
        member.more(&self.options).tool().spawn()
    }

    /// Waits a random time, or until the observer sees an event: a step right after an event
    /// finds more races.
    fn pass_some_time(&mut self) {
        let before = self.group.observer.observations().len();
        let deadline = Instant::now() + Duration::from_millis(self.rng.u64(1..300));
        let is_news = || self.group.observer.observations().len() > before;
        let seen = until(deadline, &mut || if is_news() { Ok(()) } else { Err(()) });
        // Either outcome is fine.
        seen.unwrap_or_default();
    }

    fn step(&mut self, step: usize) {
        let who = self.rng.usize(0..MEMBERS);
        match self.rng.usize(0..10) {
            0..3 => {
                let how = ["well", "well", "dies", "unwell", "well"];
                let how = how[self.rng.usize(0..how.len())];
                self.group.publish(&format!("s{step} {how}"));
            }
            3 => self.proxies[who].cut(),
            4 => self.proxies[who].reset(),
            5 => self.proxies[who].stall(),
            6 => self.proxies.iter().for_each(FaultProxy::pass),
            7 => drop(self.proxies[who].expire()),
            8 => self.kill(who),
            _ => self.freeze(who),
        }
    }

    fn kill(&mut self, who: usize) {
        if self.running[who].is_running() {
            self.running[who].kill9();
        }
        self.running[who] = self.start(who);
    }

    fn freeze(&mut self, who: usize) {
        if self.running[who].is_running() {
            self.running[who].signal(Signal::SIGSTOP);
            self.pass_some_time();
            self.running[who].signal(Signal::SIGCONT);
        }
    }

    /// Clears all faults, publishes good content and expects all members to run on it.
    fn assert_recovers(mut self) {
        for proxy in &self.proxies {
            proxy.pass();
            proxy.cut();
        }
        self.group.publish("calm");
        for who in 0..MEMBERS {
            // A member that was started on bad content has ended.
            if !self.running[who].is_running() {
                self.running[who] = self.start(who);
            }
        }
        for who in 0..MEMBERS {
            eventually_within(PATIENCE, &format!("{who} runs on it"), || {
                if !self.running[who].is_running() {
                    self.running[who] = self.start(who);
                }
                let events = self.group.observer.events_of(who);
                let last = events
                    .iter()
                    .rfind(|event| matches!(event, ChildEvent::Up(..) | ChildEvent::Down));
                let is_up = matches!(last, Some(ChildEvent::Up(version, _)) if version == "calm");
                if is_up && self.group.file(who) == "calm" { Ok(()) } else { Err(self.logs()) }
            });
        }
        eventually_within(PATIENCE, "the queue is empty", || {
            let queue = self.group.queue();
            if queue.is_empty() { Ok(()) } else { Err(format!("{queue:?}\n{}", self.logs())) }
        });
        // Each zkexec has exactly this child.
        for who in 0..MEMBERS {
            let pid = self.group.observer.wait_up(who, "calm");
            assert!(self.running[who].is_running());
            assert_eq!(
                children_of(self.running[who].pid()),
                [pid],
                "{}",
                self.running[who].stderr()
            );
        }
    }

    fn logs(&self) -> String {
        self.running.iter().map(|running| running.stderr() + "---\n").collect()
    }
}

/// The children of a process, without health checks.
pub(super) fn children_of(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let pids = std::fs::read_to_string(path).unwrap();
    let command = |pid: u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // Skips a process between fork and exec, which has zkexec's command line.
    let is_child = |pid: &u32| command(*pid).starts_with(b"sh\0../child.sh\0");
    pids.split_whitespace().filter_map(|pid| pid.parse().ok()).filter(is_child).collect()
}

fn storm(name: &str, options: [&'static str; 6]) {
    let seed = number("FARM_STORM_SEED").unwrap_or_else(|| fastrand::u64(..));
    print(&format!("FARM_STORM_SEED={seed}"));
    let group = GroupFixture::new(name, MEMBERS);
    let proxies = (0..MEMBERS).map(|_| GroupFixture::proxy()).collect();
    let rng = Rng::with_seed(seed);
    let mut storm = Storm { group, proxies, running: Vec::new(), options, rng };
    storm.running = (0..MEMBERS).map(|who| storm.start(who)).collect();
    for who in 0..MEMBERS {
        storm.group.observer.wait_up(who, "v1");
    }
    for step in 0..number("FARM_STORM_STEPS").unwrap_or(STEPS) {
        storm.step(step);
        storm.pass_some_time();
    }
    storm.assert_recovers();
}

#[test]
fn after_a_storm_everybody_runs_on_what_works() {
    let options = ["--kill-timeout", "5s", "--concurrency", "1", "--soak", "0"];
    storm("after_a_storm_everybody_runs_on_what_works", options);
}

#[test]
fn after_a_storm_everybody_runs_on_what_works_with_rollback_two_at_a_time() {
    let options = ["--on-failed-restart", "rollback", "--concurrency", "2", "--soak", "100ms"];
    storm("after_a_storm_with_rollback_two_at_a_time", options);
}
