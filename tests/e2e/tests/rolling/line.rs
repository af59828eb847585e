//! A member's place in line, through everything that happens to its connection.

use super::site::{Site, line};
use farm_harness::{FaultProxy, Running, Tool, eventually, steadily};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A member behind a wire, which waits, or is about to.
struct Waiting {
    site: Site<'static>,
    wire: FaultProxy,
    running: Running,
    ruby: String,
}

impl Waiting {
    fn new(test: &str, more: &[&str]) -> Self {
        let mut site = Site::new(test, 1);
        let wire = Site::wire();
        let member = site.zkexec(0).more(more).at(site.servers_at(wire.addr()));
        let running = site.start(&member, "v1");
        let ruby = site.ruby_asks();
        Self { site, wire, running, ruby }
    }

    /// How often it was brought to a server again.
    fn contacts(&self) -> usize {
        self.running.stderr().matches("connected").count()
    }

    /// Breaks the connection in some way, and waits until there is another.
    fn reconnect(&self, by: impl Fn(&FaultProxy)) {
        let (before, connections) = (self.contacts(), self.wire.counts().connections);
        by(&self.wire);
        eventually("there is contact again", || {
            let is_new = self.wire.counts().connections > connections;
            if is_new && self.contacts() > before { Ok(()) } else { Err(self.running.stderr()) }
        });
    }

    /// It has one place in line, and its turn comes.
    fn has_one_place(mut self) {
        let pid = Some(self.running.pid());
        self.site.line_is("it has one place", |line| line.len() == 2 && line[1].pid == pid);
        self.site.ruby_leaves(&self.ruby);
        self.site.works_on(0, "v2");
        self.site.nobody_contends();
        assert_eq!(self.site.eye.downs(0), 1);
    }
}

#[test]
fn a_waiting_member_has_one_contender_at_any_moment_however_often_it_is_cut_off() {
    let mut waiting = Waiting::new("a_waiting_member_has_one_contender_at_any_moment", &[]);
    waiting.site.publish("v2");
    waiting.site.contends(&waiting.running, 1);
    let name = waiting.site.line()[1].name.clone();
    let mut observer = waiting.site.observer();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0_u32;
            while !is_over.load(Ordering::Relaxed) {
                let line = line(&mut observer);
                assert!(line.len() == 2 && line[1].name == name, "{line:?}");
                looks += 1;
            }
            looks
        });
        for round in 0..10 {
            waiting.reconnect(if round % 2 == 0 { FaultProxy::cut } else { FaultProxy::reset });
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(watcher.join().unwrap() > 10);
    });
    waiting.has_one_place();
}

/// Publishes new content and waits until the member behind that wire has read it: it is
/// about to ask for a turn, a little later.
fn publish_and_read(site: &mut Site<'_>, wire: &FaultProxy) {
    let long = " ".repeat(5000);
    let before = wire.counts().bytes_to_client;
    site.publish(&format!("v2{long}"));
    let is_read =
        wire.wait_for(Duration::from_secs(10), |counts| counts.bytes_to_client > before + 5000);
    assert!(is_read, "{:?}", wire.counts());
}

/// Long enough for a test to do something about it.
const A_LITTLE_LATER: [&str; 2] = ["--wait", "1500ms"];

#[test]
fn a_contender_is_found_again_though_nobody_was_told_that_it_was_made() {
    let mut waiting = Waiting::new("a_contender_is_found_again", &A_LITTLE_LATER);
    publish_and_read(&mut waiting.site, &waiting.wire);
    waiting.wire.stall_towards_client();
    waiting.site.contends(&waiting.running, 1);
    waiting.wire.cut();
    waiting.wire.pass();
    waiting.has_one_place();
}

#[test]
fn a_request_that_is_held_back_on_a_dead_wire_makes_no_second_contender() {
    let mut site = Site::new("a_request_that_is_held_back_on_a_dead_wire", 1);
    let wires = [Site::wire(), Site::wire()];
    let addrs = format!("{},{}", wires[0].addr(), wires[1].addr());
    let member = site.zkexec(0).more(&A_LITTLE_LATER).at(site.servers_at(addrs));
    let running = site.start(&member, "v1");
    let ruby = site.ruby_asks();
    let dead = wires.iter().position(|wire| wire.counts().open == 1).unwrap();
    publish_and_read(&mut site, &wires[dead]);
    wires[dead].stall_towards_server();
    // By the other one, as soon as nobody believes in this one any more.
    site.contends(&running, 1);
    assert_eq!(wires[1 - dead].counts().open, 1);
    wires[dead].pass();
    steadily(Duration::from_millis(300), "there is one", || {
        let line = site.line();
        if line.len() == 2 { Ok(()) } else { Err(format!("{line:?}")) }
    });
    site.ruby_leaves(&ruby);
    site.works_on(0, "v2");
    site.nobody_contends();
    assert_eq!(site.eye.downs(0), 1);
}

#[test]
fn every_session_has_one_contender_and_none_is_left_of_the_ones_before() {
    let mut waiting = Waiting::new("every_session_has_one_contender", &[]);
    waiting.site.publish("v2");
    waiting.site.contends(&waiting.running, 1);
    for _ in 0..3 {
        let before = waiting.site.line()[1].name.clone();
        waiting.wire.expire().unwrap();
        let what = "it has another place";
        waiting.site.line_is(what, |line| line.len() == 2 && line[1].name != before);
    }
    waiting.has_one_place();
}

#[test]
fn a_contender_that_is_broken_by_hand_is_replaced_by_one() {
    let mut waiting = Waiting::new("a_contender_that_is_broken_by_hand", &[]);
    waiting.site.publish("v2");
    waiting.site.contends(&waiting.running, 1);
    for _ in 0..3 {
        let id = waiting.site.line()[1].name.clone();
        let servers = waiting.site.servers();
        let zkctl = Tool::new("zkctl").args(["-H", &servers, "locks", "web", "--break", &id]);
        zkctl.run().ok();
        waiting.site.line_is("it has another place", |line| line.len() == 2 && line[1].name != id);
    }
    waiting.has_one_place();
}

#[test]
fn a_turn_that_is_broken_by_hand_after_the_stop_is_finished_and_not_asked_for_again() {
    let mut site = Site::new("a_turn_that_is_broken_by_hand", 1);
    let mut health = site.gate(0, "health");
    let running = site.start(&site.zkexec(0), "v1");
    site.publish("v2");
    site.eye.sees_up(0, "v2");
    let id = site.line()[0].name.clone();
    let servers = site.servers();
    Tool::new("zkctl").args(["-H", &servers, "locks", "web", "--break", &id]).run().ok();
    running.wait_log("lost the lock");
    health.open();
    site.works_on(0, "v2");
    steadily(Duration::from_millis(200), "nobody asks again", || {
        if site.line().is_empty() { Ok(()) } else { Err("somebody does") }
    });
    assert_eq!(site.eye.downs(0), 1);
    site.publish("v3");
    site.works_on(0, "v3");
}
