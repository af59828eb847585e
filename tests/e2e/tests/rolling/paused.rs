//! Content that does not work: one member is affected, and the group stands still.

use super::eye::Mark;
use super::site::{Member, Site};
use farm_harness::{Running, eventually, steadily};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Two members, the first one of which is granted a turn for this content.
struct Pair {
    site: Site<'static>,
    running: [Running; 2],
    pids: [u32; 2],
    /// The other one's file: which one it is, and when it was written.
    file: (u64, i64, i64),
}

const FIRST: usize = 0;
const OTHER: usize = 1;

impl Pair {
    fn new(test: &str, how: impl Fn(Member) -> Member) -> Self {
        let site = Site::new(test, 2);
        let running = [FIRST, OTHER].map(|who| site.start(&how(site.zkexec(who)), "v1"));
        let pids = [FIRST, OTHER].map(|who| site.eye.sees_up(who, "v1"));
        let file = stamp(&site);
        Self { site, running, pids, file }
    }

    /// Sees to it that the first one is the first in line.
    fn publish_to_first(&mut self, content: &str) {
        let ruby = self.site.ruby_asks();
        self.running[OTHER].signal(farm_harness::Signal::SIGSTOP);
        self.site.publish(content);
        self.site.contends(&self.running[FIRST], 1);
        self.running[OTHER].signal(farm_harness::Signal::SIGCONT);
        self.site.contends(&self.running[OTHER], 1);
        self.site.ruby_leaves(&ruby);
    }

    /// The first one is first in line, the other one second, and that one's child and file
    /// are what they were, byte for byte.
    fn is_paused(&mut self) {
        let pids = [FIRST, OTHER].map(|who| Some(self.running[who].pid()));
        let what = "the first one holds, the other one waits";
        self.site.line_is(what, |line| line.iter().map(|one| one.pid).collect::<Vec<_>>() == pids);
        steadily(Duration::from_millis(300), "the other one is as it was", || {
            let is = (
                self.site.file(OTHER),
                stamp(&self.site),
                self.site.eye.sees_up(OTHER, "v1"),
                self.site.eye.downs(OTHER),
            );
            let was = ("v1".to_owned(), self.file, self.pids[OTHER], 0);
            if is == was { Ok(()) } else { Err(format!("{is:?} {was:?}")) }
        });
        assert!(self.running[FIRST].is_running());
    }

    /// Content that works goes on from there and reaches all.
    fn goes_on_with(mut self, content: &str) {
        self.all_work_on(content);
        let sights = self.site.eye.sights();
        let position = |who: usize, mark: &Mark| {
            sights.iter().position(|sight| sight.who == who && sight.mark == *mark)
        };
        let healthy = Mark::Healthy(content.to_owned());
        assert!(position(FIRST, &healthy) < position(OTHER, &Mark::Down), "{sights:#?}");
        self.running.iter_mut().for_each(|running| assert!(running.is_running()));
    }

    fn all_work_on(&mut self, content: &str) {
        self.site.publish(content);
        for who in [FIRST, OTHER] {
            self.site.works_on(who, content);
        }
        self.site.nobody_contends();
        assert_eq!(self.site.eye.downs(OTHER), 1);
    }
}

fn stamp(site: &Site<'_>) -> (u64, i64, i64) {
    let found = fs::metadata(site.scratch.join(format!("{OTHER}/conf"))).unwrap();
    (found.ino(), found.mtime(), found.mtime_nsec())
}

#[test]
fn a_child_that_dies_of_new_content_is_the_only_one() {
    let mut pair = Pair::new("a_child_that_dies_of_new_content", |member| {
        member.more(&["-a", "echo $ZKEXEC_EVENT $ZKEXEC_STATUS >>alerts"])
    });
    pair.publish_to_first("v2 dies");
    eventually("somebody is alerted", || {
        let text = pair.site.scratch.read("0/alerts")?;
        if text == "config 1\n" { Ok(()) } else { Err(text) }
    });
    pair.is_paused();
    assert_eq!(pair.site.file(FIRST), "v2 dies");
    assert!(!pair.site.scratch.join("1/alerts").exists());
    // Other content that does not work goes no further either.
    pair.site.publish("v3 dies");
    pair.running[FIRST].wait_log_times("config failure", 2);
    assert_eq!(pair.site.file(FIRST), "v3 dies");
    pair.is_paused();
    pair.goes_on_with("v4");
}

#[test]
fn a_child_that_stays_unwell_is_the_only_one() {
    let mut pair = Pair::new("a_child_that_stays_unwell", |member| member.delay("1s"));
    pair.publish_to_first("v2 unwell");
    pair.running[FIRST].wait_log("config failure");
    pair.is_paused();
    // It is left as it is.
    pair.site.eye.sees_up(FIRST, "v2");
    assert_eq!(pair.site.file(FIRST), "v2 unwell");
    pair.goes_on_with("v3");
}

#[test]
fn content_that_a_check_refuses_stops_nobody() {
    let mut pair = Pair::new("content_that_a_check_refuses", Member::checked);
    pair.publish_to_first("v2 refused");
    pair.running[FIRST].wait_log("config failure");
    pair.is_paused();
    // The file of the first one and its child are the old ones too.
    assert_eq!((pair.site.file(FIRST).as_str(), pair.site.eye.downs(FIRST)), ("v1", 0));
    pair.goes_on_with("v3");
}

#[test]
fn a_program_that_cannot_be_started_is_the_only_one() {
    let mut site = Site::new("a_program_that_cannot_be_started", 2);
    // The program is what is mirrored: it tells that it runs, and what it is.
    let program = |version: &str| {
        let content = format!("exec 8>alive; echo \"$1 up {version} $$\" >../marks");
        format!("#!/bin/sh\n{content}; exec sleep 10000\n")
    };
    site.publish(&program("p1"));
    let members = [0, 1].map(|who| {
        let member = site.zkexec(who).without_health().delay("300ms").mode("755");
        let running = member.tool_of(&["./conf", &who.to_string()]).spawn();
        site.eye.sees_up(who, "p1");
        running
    });
    for bad in ["#!/no/such/interpreter\n", "\u{7f}ELF no more"] {
        site.publish(bad);
        let first = eventually("one of them fails", || {
            (0..2).find(|who| site.file(*who) == bad).ok_or("none")
        });
        members[first].wait_log("config failure");
        site.contends(&members[1 - first], 1);
        steadily(Duration::from_millis(200), "the other one runs on", || {
            let downs = site.eye.downs(1 - first);
            if downs == 0 { Ok(()) } else { Err(downs.to_string()) }
        });
        assert_eq!(site.file(1 - first), program("p1"));
    }
    site.publish(&program("p2"));
    for who in [0, 1] {
        site.eye.sees_up(who, "p2");
    }
    site.nobody_contends();
}

#[test]
fn rolled_back_a_member_serves_the_old_content_after_one_restart() {
    let mut pair = Pair::new("rolled_back_a_member_serves_the_old_content", |member| {
        member.more(&["--on-failed-restart", "rollback"])
    });
    pair.publish_to_first("v2 dies");
    pair.site.eye.sees_times(FIRST, 1, &Mark::Healthy("v1".to_owned()));
    pair.is_paused();
    let ups = |pair: &Pair| -> Vec<String> {
        let marks = pair.site.eye.marks_of(FIRST);
        let ups = marks.into_iter().filter_map(|mark| match mark {
            Mark::Up(version, _) => Some(version),
            _ => None,
        });
        ups.collect()
    };
    assert_eq!(ups(&pair), ["v1", "v2", "v1"]);
    assert_eq!(pair.site.file(FIRST), "v1");
    // That went well: other bad content costs one more, and good content reaches all.
    pair.site.publish("v3 dies");
    eventually("it is rolled back again", || {
        let ups = ups(&pair);
        if ups == ["v1", "v2", "v1", "v3", "v1"] { Ok(()) } else { Err(format!("{ups:?}")) }
    });
    pair.is_paused();
    assert_eq!(pair.site.file(FIRST), "v1");
    pair.goes_on_with("v4");
}

#[test]
fn rolled_back_from_a_child_that_stays_unwell_too() {
    let mut pair = Pair::new("rolled_back_from_a_child_that_stays_unwell", |member| {
        member.delay("1s").more(&["--on-failed-restart", "rollback"])
    });
    pair.publish_to_first("v2 unwell");
    pair.site.eye.sees_up(FIRST, "v2");
    pair.site.eye.sees_up(FIRST, "v1");
    pair.is_paused();
    assert_eq!(pair.site.file(FIRST), "v1");
    pair.goes_on_with("v3");
}

#[test]
fn content_that_is_reverted_after_a_rollback_frees_the_group() {
    let mut pair = Pair::new("content_that_is_reverted_after_a_rollback", |member| {
        member.more(&["--on-failed-restart", "rollback"])
    });
    pair.publish_to_first("v2 dies");
    pair.site.eye.sees_times(FIRST, 1, &Mark::Healthy("v1".to_owned()));
    pair.is_paused();
    let downs = pair.site.eye.downs(FIRST);
    pair.site.publish("v1");
    pair.site.nobody_contends();
    assert_eq!((pair.site.eye.downs(FIRST), pair.site.eye.downs(OTHER)), (downs, 0));
    pair.all_work_on("v3");
}

#[test]
fn content_that_is_reverted_after_a_failure_that_holds_reaches_the_one_that_failed() {
    let mut pair = Pair::new("content_that_is_reverted_after_a_failure", |member| member);
    pair.publish_to_first("v2 dies");
    pair.running[FIRST].wait_log("config failure");
    pair.is_paused();
    pair.site.publish("v1");
    pair.site.eye.sees_times(FIRST, 1, &Mark::Healthy("v1".to_owned()));
    pair.site.nobody_contends();
    assert_eq!((pair.site.file(FIRST).as_str(), pair.site.eye.downs(OTHER)), ("v1", 0));
    pair.all_work_on("v3");
}

#[test]
fn a_fresh_start_during_a_pause_takes_the_new_content_without_the_lock() {
    let mut pair = Pair::new("a_fresh_start_during_a_pause", |member| member.delay("1s"));
    pair.publish_to_first("v2 unwell");
    pair.running[FIRST].wait_log("config failure");
    pair.is_paused();
    let member = pair.site.zkexec(OTHER).delay("1s");
    pair.running[OTHER].kill9();
    pair.running[OTHER] = pair.site.start(&member, "v2");
    assert_eq!(pair.site.file(OTHER), "v2 unwell");
    // The one that was killed may be in line yet; nobody else is, but the one that holds.
    let pids = pair.running.each_ref().map(Running::pid);
    assert!(pair.site.line().iter().all(|one| one.pid != Some(pids[OTHER])));
    assert_eq!(pair.site.line()[0].pid, Some(pids[FIRST]));
    pair.site.publish("v3");
    pair.site.all_work_on("v3");
    pair.site.nobody_contends();
}

#[test]
fn late_health_ends_a_pause() {
    let mut pair = Pair::new("late_health_ends_a_pause", |member| member.delay("1s"));
    let mut gate = pair.site.gate(FIRST, "health");
    pair.publish_to_first("v2");
    pair.running[FIRST].wait_log("config failure");
    pair.is_paused();
    gate.open();
    pair.site.all_work_on("v2");
    pair.site.nobody_contends();
    assert_eq!((pair.site.eye.downs(FIRST), pair.site.eye.downs(OTHER)), (1, 1));
}

#[test]
fn a_session_that_ends_during_a_pause_is_followed_by_another_place_in_line() {
    let mut site = Site::new("a_session_that_ends_during_a_pause", 1);
    let wire = Site::wire();
    let member = site.zkexec(0).at(site.servers_at(wire.addr()));
    let running = site.start(&member, "v1");
    site.publish("v2 dies");
    running.wait_log("config failure");
    let behind = site.ruby_asks();
    wire.expire().unwrap();
    site.ruby_holds(&behind);
    site.contends(&running, 1);
    // What works needs a turn again, which is another's now.
    site.publish("v3");
    steadily(Duration::from_millis(300), "it waits", || {
        if site.file(0) == "v2 dies" { Ok(()) } else { Err(site.file(0)) }
    });
    site.ruby_leaves(&behind);
    site.works_on(0, "v3");
    site.nobody_contends();
}

#[test]
fn a_child_that_is_dead_is_not_well_whatever_its_check_says() {
    let mut site = Site::new("a_child_that_is_dead_is_not_well", 1);
    let mut running = site.start(&site.zkexec(0), "v1");
    for round in 1..=20 {
        site.publish(&format!("v{} killed", round + 1));
        running.wait_log_times("config failure", round);
        assert!(running.is_running());
    }
    site.publish("w1");
    site.works_on(0, "w1");
    site.nobody_contends();
}
