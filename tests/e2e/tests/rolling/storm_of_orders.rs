//! Random faults and random orders of operators, in a group that remembers.
//!
//! `FARM_STORM_SEED` repeats a run, `FARM_STORM_STEPS` sets its length.

use super::fixture::{Member, QUEUE, id};
use super::fleet::Fleet;
use super::group_state::version_of;
use super::print;
use super::storm::{children_of, number};
use farm_harness::{FaultProxy, Signal, eventually_within, until};
use fastrand::Rng;
use std::time::{Duration, Instant};

const MEMBERS: usize = 4;
const STEPS: usize = 30;

/// Enough for two sessions to expire and for a roll of all members.
const PATIENCE: Duration = Duration::from_secs(60);

/// A content on which every child fails.
struct BadContent {
    version: String,
    /// How often a refusal was to be forgotten before it was there.
    retries_before: usize,
    /// How often when there was other content.
    retries_after: Option<usize>,
}

struct Storm {
    fleet: Fleet,
    rng: Rng,
    bad: Vec<BadContent>,
    retries: usize,
}

impl Storm {
    /// Waits a random time, or until the observer sees an event.
    fn pass_some_time(&mut self) {
        let observer = &self.fleet.group.observer;
        let before = observer.observations().len();
        let deadline = Instant::now() + Duration::from_millis(self.rng.u64(1..400));
        let is_news = || observer.observations().len() > before;
        let seen = until(deadline, &mut || if is_news() { Ok(()) } else { Err(()) });
        // Either outcome is fine.
        seen.unwrap_or_default();
    }

    fn publish(&mut self, version: &str, how: &str) {
        for bad in &mut self.bad {
            bad.retries_after.get_or_insert(self.retries);
        }
        if how == "fails" {
            let (version, retries_before) = (version.to_owned(), self.retries);
            self.bad.push(BadContent { version, retries_before, retries_after: None });
        }
        self.fleet.group.publish(&format!("{version} {how}"));
    }

    /// A member at random, and often the one that has the lock.
    fn pick(&mut self) -> usize {
        let holder = self.fleet.group.queue().first().and_then(|first| first.pid);
        let running = &self.fleet.running;
        let holder = running.iter().position(|running| Some(running.pid()) == holder);
        holder.filter(|_| self.rng.u8(0..3) > 0).unwrap_or_else(|| self.rng.usize(0..MEMBERS))
    }

    fn step(&mut self, step: usize) {
        let who = self.pick();
        let proxies = &self.fleet.proxies;
        // What stops the rolls is ended soon, or little would happen.
        match self.rng.usize(0..26) {
            0..3 => {
                let how = ["well", "fails", "fails", "unwell"];
                let how = how[self.rng.usize(0..how.len())];
                self.publish(&format!("s{step}"), how);
            }
            3 => proxies[who].cut(),
            4 => proxies[who].reset(),
            5 => proxies[who].stall(),
            6..10 => proxies.iter().for_each(FaultProxy::pass),
            10..14 => drop(proxies[who].expire()),
            14..16 => self.kill(who),
            16 => self.freeze(who),
            17 => self.order(&["pause", "web"]),
            18..21 => self.order(&["resume", "web"]),
            21 => self.order_again(&["retry", "web"]),
            22 => self.order(&["restart", "web"]),
            23 => self.order_again(&["skip", "web", &id(who)]),
            _ => self.break_lock(),
        }
    }

    fn kill(&mut self, who: usize) {
        if self.fleet.running[who].is_running() {
            self.fleet.kill(who);
        }
        self.fleet.launch(who);
    }

    fn freeze(&mut self, who: usize) {
        if self.fleet.running[who].is_running() {
            self.fleet.running[who].signal(Signal::SIGSTOP);
            self.pass_some_time();
            self.fleet.running[who].signal(Signal::SIGCONT);
        }
    }

    /// An order that may not be possible.
    fn order(&self, args: &[&str]) {
        let output = self.fleet.group.rollout(args);
        assert!(matches!(output.code, Some(0 | 1)), "{output}");
    }

    /// An order that has a refusal forgotten.
    fn order_again(&mut self, args: &[&str]) {
        self.retries += 1;
        self.order(args);
    }

    /// Deletes the first contender.
    fn break_lock(&mut self) {
        if let Some(first) = self.fleet.group.queue().first() {
            let path = format!("{QUEUE}/{}", first.name);
            drop(self.fleet.group.zk.delete(&path));
        }
    }

    fn relaunch_ended(&mut self) {
        for who in 0..MEMBERS {
            // A member that was started on bad content has ended.
            if !self.fleet.running[who].is_running() {
                self.fleet.launch(who);
            }
        }
    }

    /// Clears all faults, publishes good content and expects all members to be well on it.
    fn assert_recovers(&mut self) {
        for proxy in &self.fleet.proxies {
            proxy.pass();
            proxy.cut();
        }
        self.publish("calm", "well");
        self.order(&["resume", "web"]);
        let wanted = self.fleet.group.wanted_restart();
        let calm = version_of("calm well");
        eventually_within(PATIENCE, "all members are well on it", || {
            self.relaunch_ended();
            let known = self.fleet.group.verdict("calm well");
            if known["verdict"] == "refused" {
                // The machine was too busy for its check.
                assert_eq!(known["reason"], "the command was not confirmed in time", "{known}");
                self.order(&["retry", "web"]);
            }
            let told: Vec<_> = (0..MEMBERS).map(|who| self.fleet.group.told_by(&id(who))).collect();
            let is_well = |told: &serde_json::Value| {
                let versions = [&told["wanted"], &told["running"], &told["confirmed"]];
                let is_on_it = versions.iter().all(|version| **version == *calm);
                is_on_it && told["state"] == "running" && told["restarted"] == wanted
            };
            let is_calm = told.iter().all(is_well) && self.fleet.group.queue().is_empty();
            if is_calm { Ok(()) } else { Err(format!("{told:#?}\n{}", self.fleet.logs())) }
        });
        self.fleet.group.rollout(&["wait", "web", "--for", "10s"]).ok();
        for who in 0..MEMBERS {
            assert_eq!(self.fleet.group.file(who), "calm well");
            let pid = self.fleet.group.observer.wait_up(who, "calm");
            let running = &self.fleet.running[who];
            assert_eq!(children_of(running.pid()), [pid], "{}", running.stderr());
        }
    }

    /// Expects that no more than two turns have begun on bad content, anew after each refusal that
    /// was forgotten. The start of a host is no turn.
    fn assert_tries_were_counted(&self) {
        let turns: Vec<String> = (0..MEMBERS).flat_map(|who| self.turns_of(who)).collect();
        let mut counts = Vec::new();
        for BadContent { version, retries_before, retries_after } in &self.bad {
            let count = turns.iter().filter(|turn| *turn == version).count();
            counts.push(count);
            let retries = retries_after.unwrap_or(self.retries) - retries_before;
            assert!(count <= 2 * (1 + retries), "{version}: {count} turns\n{}", self.fleet.logs());
        }
        print(&format!("turns on bad content: {counts:?}"));
    }

    /// The versions on which a member has started its child, but for the first starts.
    fn turns_of(&self, who: usize) -> Vec<String> {
        let starts = self.fleet.group.scratch.read(format!("{who}/starts")).unwrap();
        let mut zkexecs = std::collections::BTreeSet::new();
        let is_turn = |line: &&str| {
            let zkexec = line.split_once(' ').map(|(_, zkexec)| zkexec.to_owned());
            !zkexecs.insert(zkexec)
        };
        let turns: Vec<&str> = starts.lines().filter(is_turn).collect();
        turns.iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }
}

fn storm(name: &str, options: &[&str]) {
    let seed = number("FARM_STORM_SEED").unwrap_or_else(|| fastrand::u64(..));
    print(&format!("FARM_STORM_SEED={seed}"));
    let member = |member: Member| member.keeping().delay("1s").healthy_after(0.05).more(options);
    let fleet = Fleet::start(name, MEMBERS, member);
    let mut storm = Storm { fleet, rng: Rng::with_seed(seed), bad: Vec::new(), retries: 0 };
    for step in 0..number("FARM_STORM_STEPS").unwrap_or(STEPS) {
        storm.step(step);
        storm.pass_some_time();
    }
    storm.assert_recovers();
    storm.assert_tries_were_counted();
}

#[test]
fn bad_content_gets_two_turns_at_most_and_good_content_everybody() {
    storm("bad_content_gets_two_turns_at_most", &["--kill-timeout", "5s"]);
}

#[test]
fn bad_content_gets_two_turns_at_most_with_rollback_two_at_a_time() {
    let options = ["--on-failed-restart", "rollback", "--concurrency", "2", "--soak", "100ms"];
    storm("bad_content_gets_two_turns_with_rollback", &options);
}
