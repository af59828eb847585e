//! A member that loses ZooKeeper at some point of its turn: for a short time, for longer
//! than its session lasts, or because the server ends its session.
//!
//! In each scenario a member written in Ruby is queued behind ours. If our session ends,
//! the Ruby member gets the turn, and ours queues again.

use super::fixture::{Contender, Gate, GroupFixture, Member};
use super::observer::ChildEvent;
use farm_harness::{FaultProxy, Running, Signal, eventually, holds_for};
use std::time::Duration;

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The connection is closed; the session lives on.
    Cut,
    /// The proxy stalls until the server has expired the session.
    Silence,
    /// The server ends the session.
    Expiry,
    /// zkexec is stopped by SIGSTOP until the server has expired the session; its child runs.
    Freeze,
}

const FAULTS: [Fault; 4] = [Fault::Cut, Fault::Silence, Fault::Expiry, Fault::Freeze];

/// A member behind a proxy, and the Ruby member that is queued behind it.
struct Scenario {
    group: GroupFixture<'static>,
    proxy: FaultProxy,
    member: Running,
    fault: Fault,
    ruby: Option<String>,
    pid: u32,
}

impl Scenario {
    fn begin(test: &str, fault: Fault, how: impl Fn(Member) -> Member) -> Self {
        let group = GroupFixture::new(&format!("{test}_{fault:?}"), 1);
        let proxy = GroupFixture::proxy();
        let member = how(group.zkexec(0)).at(group.servers_at(proxy.addr()));
        let member = group.start(&member, "v1");
        let pid = group.observer.wait_up(0, "v1");
        Self { group, proxy, member, fault, ruby: None, pid }
    }

    /// Whether a contender is ours.
    fn is_ours(&self, one: &Contender) -> bool {
        one.pid == Some(self.member.pid())
    }

    fn inject_fault(&mut self) {
        let behind = self.group.ruby_enqueue();
        self.ruby = Some(behind.clone());
        match self.fault {
            Fault::Cut => self.proxy.cut(),
            Fault::Expiry => {
                self.proxy.expire().unwrap();
                // Waits until zkexec has noticed: no timeout ends a session this early.
                self.member.wait_log("lost the lock");
            }
            Fault::Silence => {
                self.proxy.stall();
                // The server expires the session when its timeout has passed.
                self.group.wait_ruby_holds(&behind);
            }
            Fault::Freeze => {
                self.member.signal(Signal::SIGSTOP);
                self.group.wait_ruby_holds(&behind);
            }
        }
    }

    /// The child runs on, on the old content, as long as the member has no turn.
    fn assert_untouched(&self) {
        let events = self.group.observer.events_of(0);
        let is_touched = events.iter().any(|event| {
            matches!(event, ChildEvent::Stopping | ChildEvent::Down | ChildEvent::Reloaded(_))
        });
        assert!(!is_touched, "{events:?}");
        assert_eq!((self.group.observer.wait_up(0, "v1"), &*self.group.file(0)), (self.pid, "v1"));
    }

    fn clear_fault(&mut self) {
        match self.fault {
            Fault::Silence => {
                self.proxy.pass();
                // The bytes held back belong to a connection that zkexec has given up.
                self.proxy.cut();
            }
            Fault::Freeze => self.member.signal(Signal::SIGCONT),
            Fault::Cut | Fault::Expiry => {}
        }
    }

    /// Expects that nothing was touched, and that the turn goes on or the member queues again.
    fn goes_on_before_the_stop(mut self) {
        let ruby = self.ruby.take().unwrap();
        if self.fault != Fault::Cut {
            self.group.wait_ruby_holds(&ruby);
            self.assert_untouched();
            self.clear_fault();
            let pid = Some(self.member.pid());
            self.group.wait_queue("ours is second", |queue| {
                queue.len() == 2 && queue[0].name == ruby && queue[1].pid == pid
            });
            holds_for(Duration::from_millis(200), "it waits", || {
                self.assert_untouched();
                Ok::<_, String>(())
            });
            self.group.ruby_leave(&ruby);
        }
        self.group.wait_healthy_on(0, "v2");
        if self.fault == Fault::Cut {
            self.group.wait_ruby_holds(&ruby);
            self.group.ruby_leave(&ruby);
        }
        self.assert_ends_well();
    }

    /// Expects that the child is started while ZooKeeper is away.
    fn goes_on_after_the_stop(mut self) {
        let ruby = self.ruby.take().unwrap();
        if self.fault == Fault::Freeze {
            self.clear_fault();
            self.group.wait_healthy_on(0, "v2");
        } else {
            self.group.wait_healthy_on(0, "v2");
            self.clear_fault();
        }
        self.group.wait_ruby_holds(&ruby);
        // The member has nothing left to do and does not queue again.
        self.group.wait_queue("ruby is alone", |queue| queue.len() == 1);
        self.group.ruby_leave(&ruby);
        self.assert_ends_well();
    }

    /// Expects that there was one restart, and that the next content is rolled out.
    fn assert_ends_well(mut self) {
        self.group.wait_queue_empty();
        assert_eq!(self.group.observer.down_count(0), 1, "{:?}", self.group.observer.events_of(0));
        self.group.publish("v3");
        self.group.wait_healthy_on(0, "v3");
        self.group.wait_queue_empty();
        assert_eq!(self.group.observer.down_count(0), 2, "{:?}", self.group.observer.events_of(0));
        assert!(self.member.is_running());
    }
}

/// Runs a scenario with each fault, all at the same time.
fn each_fault(scenario: impl Fn(Fault) + Sync) {
    std::thread::scope(|scope| {
        for fault in FAULTS {
            let scenario = &scenario;
            std::thread::Builder::new()
                .name(format!("{fault:?}"))
                .spawn_scoped(scope, move || scenario(fault))
                .unwrap();
        }
    });
}

#[test]
fn while_it_waits_nothing_is_stopped_and_it_queues_again() {
    each_fault(|fault| {
        let mut scenario = Scenario::begin("while_it_waits", fault, |member| member);
        let first = scenario.group.ruby_enqueue();
        scenario.group.publish("v2");
        scenario.group.wait_contenders(&scenario.member, 1);
        let behind = scenario.group.ruby_enqueue();
        match fault {
            Fault::Cut => scenario.proxy.cut(),
            Fault::Expiry => scenario.proxy.expire().unwrap(),
            Fault::Silence => {
                scenario.proxy.stall();
                scenario.group.wait_contenders(&scenario.member, 0);
            }
            Fault::Freeze => {
                scenario.member.signal(Signal::SIGSTOP);
                scenario.group.wait_contenders(&scenario.member, 0);
            }
        }
        // Without the fault, the turn would be ours now.
        scenario.group.ruby_leave(&first);
        if fault == Fault::Cut {
            scenario.group.wait_healthy_on(0, "v2");
            scenario.group.wait_ruby_holds(&behind);
            scenario.group.ruby_leave(&behind);
            return scenario.assert_ends_well();
        }
        scenario.ruby = Some(behind);
        scenario.goes_on_before_the_stop();
    });
}

#[test]
fn as_soon_as_it_has_its_turn_nothing_is_stopped_and_it_queues_again() {
    each_fault(|fault| {
        let mut scenario = Scenario::begin("as_soon_as_it_has_its_turn", fault, |member| member);
        scenario.proxy.slow(Duration::from_millis(300));
        scenario.group.publish("v2");
        // The member reads the content again now, which takes a while.
        scenario.member.wait_log("acquired the lock");
        scenario.inject_fault();
        if fault != Fault::Silence {
            // The delayed frames arrive now.
            scenario.proxy.slow(Duration::ZERO);
        }
        scenario.goes_on_before_the_stop();
    });
}

#[test]
fn while_its_content_is_checked_nothing_is_stopped_and_it_queues_again() {
    each_fault(|fault| {
        let mut scenario = Scenario::begin("while_its_content_is_checked", fault, Member::checked);
        let mut check = scenario.group.gate(0, "check");
        scenario.group.publish("v2");
        scenario.group.observer.wait_event_times(0, 2, &ChildEvent::Checking);
        scenario.inject_fault();
        // The check succeeds, and nothing else tells the member to wait.
        check.open();
        if fault == Fault::Silence {
            scenario.member.wait_log("no connection to ZooKeeper; the turn waits");
        }
        scenario.goes_on_before_the_stop();
    });
}

#[test]
fn while_its_child_ends_it_is_brought_up_again() {
    each_fault(|fault| {
        let mut scenario = Scenario::begin("while_its_child_ends", fault, |member| member);
        let mut end = scenario.group.gate(0, "end");
        scenario.group.publish("v2");
        scenario.group.observer.wait_event(0, &ChildEvent::Stopping);
        scenario.inject_fault();
        end.open();
        scenario.goes_on_after_the_stop();
    });
}

#[test]
fn while_its_child_is_not_confirmed_it_stays_up() {
    each_fault(|fault| {
        let mut scenario =
            Scenario::begin("while_its_child_is_not_confirmed", fault, |member| member);
        let mut health: Gate = scenario.group.gate(0, "health");
        scenario.group.publish("v2");
        scenario.group.observer.wait_up(0, "v2");
        scenario.inject_fault();
        health.open();
        scenario.goes_on_after_the_stop();
    });
}

#[test]
fn while_it_soaks_its_turn_ends_and_it_stays_up() {
    each_fault(|fault| {
        let soaking = |member: Member| member.more(&["--soak", "2s"]);
        let mut scenario = Scenario::begin("while_it_soaks", fault, soaking);
        scenario.group.publish("v2");
        scenario.group.wait_healthy_on(0, "v2");
        assert!(scenario.group.queue().iter().any(|one| scenario.is_ours(one)));
        scenario.inject_fault();
        scenario.goes_on_after_the_stop();
    });
}

#[test]
fn new_content_for_an_unconfirmed_child_waits_for_a_new_turn() {
    let mut scenario =
        Scenario::begin("new_content_for_an_unconfirmed_child", Fault::Expiry, |member| {
            member.delay("60s")
        });
    scenario.group.publish("v2 unwell");
    let pid = scenario.group.observer.wait_up(0, "v2");
    scenario.inject_fault();
    let ruby = scenario.ruby.take().unwrap();
    scenario.group.wait_ruby_holds(&ruby);
    scenario.group.publish("v3");
    scenario.group.wait_contenders(&scenario.member, 1);
    holds_for(Duration::from_millis(300), "it waits", || {
        let is =
            (scenario.group.observer.wait_up(0, "v2"), &*scenario.group.file(0) == "v2 unwell");
        if is == (pid, true) { Ok(()) } else { Err(format!("{is:?}")) }
    });
    scenario.group.ruby_leave(&ruby);
    scenario.group.wait_healthy_on(0, "v3");
    scenario.group.wait_queue_empty();
}

#[test]
fn without_zookeeper_children_run_on_and_are_watched() {
    // Both are cut off for longer than their sessions last. `FARM_OUTAGE` sets the seconds.
    let outage = std::env::var("FARM_OUTAGE").ok().and_then(|text| text.parse().ok());
    let outage = Duration::from_secs(outage.unwrap_or(5));
    let mut group = GroupFixture::new("without_zookeeper_children_run_on_and_are_watched", 2);
    let proxy = GroupFixture::proxy();
    let members =
        [0, 1].map(|who| group.zkexec(who).delay("200ms").at(group.servers_at(proxy.addr())));
    let alert = group.scratch.join("alert");
    let alert = format!("echo $ZKEXEC_EVENT $ZKEXEC_STATUS > {}", alert.display());
    let mut running =
        members.each_ref().map(|member| group.start(&member.clone().more(&["-a", &alert]), "v1"));
    let pids = [0, 1].map(|who| group.observer.wait_up(who, "v1"));
    proxy.refuse();
    proxy.cut();
    group.publish("v2");
    holds_for(outage, "both children run", || {
        let downs = group.observer.down_count(0) + group.observer.down_count(1);
        if downs == 0 { Ok(()) } else { Err(format!("{:?}", group.observer.observations())) }
    });
    // Health checks go on.
    for who in [0, 1] {
        let healthy = ChildEvent::Healthy("v1".to_owned());
        let seen = |group: &GroupFixture<'_>| {
            group.observer.events_of(who).iter().filter(|event| **event == healthy).count()
        };
        group.observer.wait_event_times(who, seen(&group) + 2, &healthy);
        assert_eq!(group.observer.wait_up(who, "v1"), pids[who]);
    }
    // If a child ends by itself, so does its zkexec.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pids[1]).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    running[1].wait_exit().code(137);
    eventually("an alert", || {
        let text = group.scratch.read("alert")?;
        if text == "exit 137\n" { Ok(()) } else { Err(text) }
    });
    proxy.accept();
    // The former client may have been idle for too long.
    group.zk = group.new_client();
    group.wait_healthy_on(0, "v2");
    group.wait_queue_empty();
}
