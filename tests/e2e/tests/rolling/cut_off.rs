//! A member that loses ZooKeeper at some point of its turn: for a moment, for longer than
//! its session lives, or with its session ended behind its back.
//!
//! In each story a member written in Ruby stands in line behind ours. Where our session
//! is over, that one's turn comes, and ours has to wait for another.

use super::eye::Mark;
use super::site::{Contender, Gate, Member, Site};
use farm_harness::{FaultProxy, Running, Signal, eventually, steadily};
use std::time::Duration;

/// What befalls the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The connection ends; the session lives on.
    Cut,
    /// Nothing comes through until the server has given the session up.
    Silence,
    /// The server has ended the session.
    Expiry,
    /// Our host stands still until the server has given the session up; its child does not.
    Freeze,
}

const FAULTS: [Fault; 4] = [Fault::Cut, Fault::Silence, Fault::Expiry, Fault::Freeze];

/// A member behind a wire, and who comes after it.
struct Story {
    site: Site<'static>,
    wire: FaultProxy,
    member: Running,
    fault: Fault,
    ruby: Option<String>,
    pid: u32,
}

impl Story {
    fn begin(test: &str, fault: Fault, how: impl Fn(Member) -> Member) -> Self {
        let site = Site::new(&format!("{test}_{fault:?}"), 1);
        let wire = Site::wire();
        let member = how(site.zkexec(0)).at(site.servers_at(wire.addr()));
        let member = site.start(&member, "v1");
        let pid = site.eye.sees_up(0, "v1");
        Self { site, wire, member, fault, ruby: None, pid }
    }

    /// Whether a contender of ours is in line.
    fn is_ours(&self, one: &Contender) -> bool {
        one.pid == Some(self.member.pid())
    }

    fn strike(&mut self) {
        let behind = self.site.ruby_asks();
        self.ruby = Some(behind.clone());
        match self.fault {
            Fault::Cut => self.wire.cut(),
            Fault::Expiry => {
                self.wire.expire().unwrap();
                // Nobody but us ends sessions so early, while they are surely alive.
                self.member.wait_log("lost the lock");
            }
            Fault::Silence => {
                self.wire.stall();
                // Given up by the server, some time after it has heard nothing more.
                self.site.ruby_holds(&behind);
            }
            Fault::Freeze => {
                self.member.signal(Signal::SIGSTOP);
                self.site.ruby_holds(&behind);
            }
        }
    }

    /// What works on old content goes on as long as nobody grants it a turn.
    fn is_untouched(&self) {
        let marks = self.site.eye.marks_of(0);
        let is_touched =
            marks.iter().any(|mark| matches!(mark, Mark::Stopping | Mark::Down | Mark::Told(_)));
        assert!(!is_touched, "{marks:?}");
        assert_eq!((self.site.eye.sees_up(0, "v1"), &*self.site.file(0)), (self.pid, "v1"));
    }

    fn mend(&mut self) {
        match self.fault {
            Fault::Silence => {
                self.wire.pass();
                // What was held back for so long is of no use to anybody.
                self.wire.cut();
            }
            Fault::Freeze => self.member.signal(Signal::SIGCONT),
            Fault::Cut | Fault::Expiry => {}
        }
    }

    /// Nothing was touched: the turn goes on, or is waited for again.
    fn goes_on_before_the_stop(mut self) {
        let ruby = self.ruby.take().unwrap();
        if self.fault != Fault::Cut {
            self.site.ruby_holds(&ruby);
            self.is_untouched();
            self.mend();
            let pid = Some(self.member.pid());
            self.site.line_is("ours is behind", |line| {
                line.len() == 2 && line[0].name == ruby && line[1].pid == pid
            });
            steadily(Duration::from_millis(200), "it waits", || {
                self.is_untouched();
                Ok::<_, String>(())
            });
            self.site.ruby_leaves(&ruby);
        }
        self.site.works_on(0, "v2");
        if self.fault == Fault::Cut {
            self.site.ruby_holds(&ruby);
            self.site.ruby_leaves(&ruby);
        }
        self.ends_well();
    }

    /// The child comes up while ZooKeeper is away.
    fn goes_on_after_the_stop(mut self) {
        let ruby = self.ruby.take().unwrap();
        if self.fault == Fault::Freeze {
            self.mend();
            self.site.works_on(0, "v2");
        } else {
            self.site.works_on(0, "v2");
            self.mend();
        }
        self.site.ruby_holds(&ruby);
        // Nothing more is to be done, and so nothing more is asked for.
        self.site.line_is("ruby is alone", |line| line.len() == 1);
        self.site.ruby_leaves(&ruby);
        self.ends_well();
    }

    /// There was one restart, and the next content finds everything in order.
    fn ends_well(mut self) {
        self.site.nobody_contends();
        assert_eq!(self.site.eye.downs(0), 1, "{:?}", self.site.eye.marks_of(0));
        self.site.publish("v3");
        self.site.works_on(0, "v3");
        self.site.nobody_contends();
        assert_eq!(self.site.eye.downs(0), 2, "{:?}", self.site.eye.marks_of(0));
        assert!(self.member.is_running());
    }
}

/// Plays a story under each fault, all at once.
fn each_fault(story: impl Fn(Fault) + Sync) {
    std::thread::scope(|scope| {
        for fault in FAULTS {
            let story = &story;
            std::thread::Builder::new()
                .name(format!("{fault:?}"))
                .spawn_scoped(scope, move || story(fault))
                .unwrap();
        }
    });
}

#[test]
fn while_it_waits_nothing_is_stopped_and_it_queues_again() {
    each_fault(|fault| {
        let mut story = Story::begin("while_it_waits", fault, |member| member);
        let first = story.site.ruby_asks();
        story.site.publish("v2");
        story.site.contends(&story.member, 1);
        let behind = story.site.ruby_asks();
        match fault {
            Fault::Cut => story.wire.cut(),
            Fault::Expiry => story.wire.expire().unwrap(),
            Fault::Silence => {
                story.wire.stall();
                story.site.contends(&story.member, 0);
            }
            Fault::Freeze => {
                story.member.signal(Signal::SIGSTOP);
                story.site.contends(&story.member, 0);
            }
        }
        // The turn might be ours by now, and is another's.
        story.site.ruby_leaves(&first);
        if fault == Fault::Cut {
            story.site.works_on(0, "v2");
            story.site.ruby_holds(&behind);
            story.site.ruby_leaves(&behind);
            return story.ends_well();
        }
        story.ruby = Some(behind);
        story.goes_on_before_the_stop();
    });
}

#[test]
fn as_soon_as_it_has_its_turn_nothing_is_stopped_and_it_queues_again() {
    each_fault(|fault| {
        let mut story = Story::begin("as_soon_as_it_has_its_turn", fault, |member| member);
        story.wire.slow(Duration::from_millis(300));
        story.site.publish("v2");
        // It is reading again now, and that takes a while.
        story.member.wait_log("acquired the lock");
        story.strike();
        if fault != Fault::Silence {
            // What was on its way arrives now.
            story.wire.slow(Duration::ZERO);
        }
        story.goes_on_before_the_stop();
    });
}

#[test]
fn while_its_content_is_checked_nothing_is_stopped_and_it_queues_again() {
    each_fault(|fault| {
        let mut story = Story::begin("while_its_content_is_checked", fault, Member::checked);
        let mut check = story.site.gate(0, "check");
        story.site.publish("v2");
        story.site.eye.sees_times(0, 2, &Mark::Checking);
        story.strike();
        // It may go on now, as far as it knows.
        check.open();
        if fault == Fault::Silence {
            story.member.wait_log("no connection to ZooKeeper; the turn waits");
        }
        story.goes_on_before_the_stop();
    });
}

#[test]
fn while_its_child_ends_it_is_brought_up_again() {
    each_fault(|fault| {
        let mut story = Story::begin("while_its_child_ends", fault, |member| member);
        let mut end = story.site.gate(0, "end");
        story.site.publish("v2");
        story.site.eye.sees(0, &Mark::Stopping);
        story.strike();
        end.open();
        story.goes_on_after_the_stop();
    });
}

#[test]
fn while_its_child_is_not_confirmed_it_stays_up() {
    each_fault(|fault| {
        let mut story = Story::begin("while_its_child_is_not_confirmed", fault, |member| member);
        let mut health: Gate = story.site.gate(0, "health");
        story.site.publish("v2");
        story.site.eye.sees_up(0, "v2");
        story.strike();
        health.open();
        story.goes_on_after_the_stop();
    });
}

#[test]
fn while_it_soaks_its_turn_ends_and_it_stays_up() {
    each_fault(|fault| {
        let soaking = |member: Member| member.more(&["--soak", "2s"]);
        let mut story = Story::begin("while_it_soaks", fault, soaking);
        story.site.publish("v2");
        story.site.works_on(0, "v2");
        assert!(story.site.line().iter().any(|one| story.is_ours(one)));
        story.strike();
        story.goes_on_after_the_stop();
    });
}

#[test]
fn new_content_for_an_unconfirmed_child_waits_for_a_new_turn() {
    let mut story = Story::begin("new_content_for_an_unconfirmed_child", Fault::Expiry, |member| {
        member.delay("60s")
    });
    story.site.publish("v2 unwell");
    let pid = story.site.eye.sees_up(0, "v2");
    story.strike();
    let ruby = story.ruby.take().unwrap();
    story.site.ruby_holds(&ruby);
    story.site.publish("v3");
    story.site.contends(&story.member, 1);
    steadily(Duration::from_millis(300), "it waits", || {
        let is = (story.site.eye.sees_up(0, "v2"), &*story.site.file(0) == "v2 unwell");
        if is == (pid, true) { Ok(()) } else { Err(format!("{is:?}")) }
    });
    story.site.ruby_leaves(&ruby);
    story.site.works_on(0, "v3");
    story.site.nobody_contends();
}

#[test]
fn without_zookeeper_children_run_on_and_are_watched() {
    // Both are cut off for longer than their sessions live: `FARM_OUTAGE=60` is a minute.
    let outage = std::env::var("FARM_OUTAGE").ok().and_then(|text| text.parse().ok());
    let outage = Duration::from_secs(outage.unwrap_or(5));
    let mut site = Site::new("without_zookeeper_children_run_on_and_are_watched", 2);
    let wire = Site::wire();
    let members =
        [0, 1].map(|who| site.zkexec(who).delay("200ms").at(site.servers_at(wire.addr())));
    let alert = site.scratch.join("alert");
    let alert = format!("echo $ZKEXEC_EVENT $ZKEXEC_STATUS > {}", alert.display());
    let mut running =
        members.each_ref().map(|member| site.start(&member.clone().more(&["-a", &alert]), "v1"));
    let pids = [0, 1].map(|who| site.eye.sees_up(who, "v1"));
    wire.refuse();
    wire.cut();
    site.publish("v2");
    steadily(outage, "both children run", || {
        let downs = site.eye.downs(0) + site.eye.downs(1);
        if downs == 0 { Ok(()) } else { Err(format!("{:?}", site.eye.sights())) }
    });
    // They are checked as ever.
    for who in [0, 1] {
        let healthy = Mark::Healthy("v1".to_owned());
        let seen = |site: &Site<'_>| {
            site.eye.marks_of(who).iter().filter(|mark| **mark == healthy).count()
        };
        site.eye.sees_times(who, seen(&site) + 2, &healthy);
        assert_eq!(site.eye.sees_up(who, "v1"), pids[who]);
    }
    // One that ends by itself ends its zkexec too.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pids[1]).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    running[1].wait_exit().code(137);
    eventually("somebody is alerted", || {
        let text = site.scratch.read("alert")?;
        if text == "exit 137\n" { Ok(()) } else { Err(text) }
    });
    wire.accept();
    // The one before may have been silent for too long.
    site.zk = site.observer();
    site.works_on(0, "v2");
    site.nobody_contends();
}
