//! A member's contender while its connection or its session breaks.

use super::fixture::{GroupFixture, queue};
use farm_harness::{FaultProxy, Running, Tool, eventually, holds_for};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A member behind a proxy, queued behind a Ruby member.
struct Waiting {
    group: GroupFixture<'static>,
    proxy: FaultProxy,
    running: Running,
    ruby: String,
}

impl Waiting {
    fn new(test: &str, more: &[&str]) -> Self {
        let mut group = GroupFixture::new(test, 1);
        let proxy = GroupFixture::proxy();
        let member = group.zkexec(0).more(more).at(group.servers_at(proxy.addr()));
        let running = group.start(&member, "v1");
        let ruby = group.ruby_enqueue();
        Self { group, proxy, running, ruby }
    }

    /// How often the member has connected to a server.
    fn contacts(&self) -> usize {
        self.running.stderr().matches("connected").count()
    }

    /// Breaks the connection and waits until the member has another one.
    fn reconnect(&self, by: impl Fn(&FaultProxy)) {
        let (before, connections) = (self.contacts(), self.proxy.counts().connections);
        by(&self.proxy);
        eventually("it is connected again", || {
            let is_new = self.proxy.counts().connections > connections;
            if is_new && self.contacts() > before { Ok(()) } else { Err(self.running.stderr()) }
        });
    }

    /// Expects that the member has one contender, and gets its turn.
    fn assert_one_contender(mut self) {
        let pid = Some(self.running.pid());
        self.group
            .wait_queue("it has one contender", |queue| queue.len() == 2 && queue[1].pid == pid);
        self.group.ruby_leave(&self.ruby);
        self.group.wait_healthy_on(0, "v2");
        self.group.wait_queue_empty();
        assert_eq!(self.group.observer.down_count(0), 1);
    }
}

#[test]
fn a_waiting_member_has_one_contender_at_any_moment_however_often_it_is_cut_off() {
    let mut waiting = Waiting::new("a_waiting_member_has_one_contender_at_any_moment", &[]);
    waiting.group.publish("v2");
    waiting.group.wait_contenders(&waiting.running, 1);
    let name = waiting.group.queue()[1].name.clone();
    let mut client = waiting.group.new_client();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0_u32;
            while !is_over.load(Ordering::Relaxed) {
                let queue = queue(&mut client);
                assert!(queue.len() == 2 && queue[1].name == name, "{queue:?}");
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
    waiting.assert_one_contender();
}

/// Publishes new content and waits until the member behind that proxy has read it. The
/// member queues a little later.
fn publish_and_read(group: &mut GroupFixture<'_>, proxy: &FaultProxy) {
    let long = " ".repeat(5000);
    let before = proxy.counts().bytes_to_client;
    group.publish(&format!("v2{long}"));
    let is_read =
        proxy.wait_for(Duration::from_secs(10), |counts| counts.bytes_to_client > before + 5000);
    assert!(is_read, "{:?}", proxy.counts());
}

/// A wait that is long enough for a test to inject a fault.
const A_LITTLE_LATER: [&str; 2] = ["--wait", "1500ms"];

#[test]
fn a_contender_is_found_again_though_nobody_was_told_that_it_was_made() {
    let mut waiting = Waiting::new("a_contender_is_found_again", &A_LITTLE_LATER);
    publish_and_read(&mut waiting.group, &waiting.proxy);
    // The answer that tells it is still on its way when the connection breaks.
    waiting.proxy.slow(Duration::from_millis(500));
    waiting.group.wait_contenders(&waiting.running, 1);
    waiting.proxy.cut();
    waiting.proxy.slow(Duration::ZERO);
    waiting.assert_one_contender();
}

#[test]
fn a_request_that_is_held_back_on_a_dead_wire_makes_no_second_contender() {
    let mut group = GroupFixture::new("a_request_that_is_held_back_on_a_dead_wire", 1);
    let proxies = [GroupFixture::proxy(), GroupFixture::proxy()];
    let addrs = format!("{},{}", proxies[0].addr(), proxies[1].addr());
    let member = group.zkexec(0).more(&A_LITTLE_LATER).at(group.servers_at(addrs));
    let running = group.start(&member, "v1");
    let ruby = group.ruby_enqueue();
    let dead = proxies.iter().position(|proxy| proxy.counts().open == 1).unwrap();
    publish_and_read(&mut group, &proxies[dead]);
    proxies[dead].stall_towards_server();
    // The member gives up this connection and queues over the other one.
    group.wait_contenders(&running, 1);
    assert_eq!(proxies[1 - dead].counts().open, 1);
    proxies[dead].pass();
    holds_for(Duration::from_millis(300), "there is one", || {
        let queue = group.queue();
        if queue.len() == 2 { Ok(()) } else { Err(format!("{queue:?}")) }
    });
    group.ruby_leave(&ruby);
    group.wait_healthy_on(0, "v2");
    group.wait_queue_empty();
    assert_eq!(group.observer.down_count(0), 1);
}

#[test]
fn every_session_has_one_contender_and_none_is_left_of_the_ones_before() {
    let mut waiting = Waiting::new("every_session_has_one_contender", &[]);
    waiting.group.publish("v2");
    waiting.group.wait_contenders(&waiting.running, 1);
    for _ in 0..3 {
        let before = waiting.group.queue()[1].name.clone();
        waiting.proxy.expire().unwrap();
        let what = "it has another contender";
        waiting.group.wait_queue(what, |queue| queue.len() == 2 && queue[1].name != before);
    }
    waiting.assert_one_contender();
}

#[test]
fn a_contender_that_is_broken_by_hand_is_replaced_by_one() {
    let mut waiting = Waiting::new("a_contender_that_is_broken_by_hand", &[]);
    waiting.group.publish("v2");
    waiting.group.wait_contenders(&waiting.running, 1);
    for _ in 0..3 {
        let id = waiting.group.queue()[1].name.clone();
        let servers = waiting.group.servers();
        let zkctl = Tool::new("zkctl").args(["-H", &servers, "locks", "web", "--break", &id]);
        zkctl.run().ok();
        waiting.group.wait_queue("it has another contender", |queue| {
            queue.len() == 2 && queue[1].name != id
        });
    }
    waiting.assert_one_contender();
}

#[test]
fn a_turn_that_is_broken_by_hand_after_the_stop_is_finished_and_not_asked_for_again() {
    let mut group = GroupFixture::new("a_turn_that_is_broken_by_hand", 1);
    let mut health = group.gate(0, "health");
    let running = group.start(&group.zkexec(0), "v1");
    group.publish("v2");
    group.observer.wait_up(0, "v2");
    let id = group.queue()[0].name.clone();
    let servers = group.servers();
    Tool::new("zkctl").args(["-H", &servers, "locks", "web", "--break", &id]).run().ok();
    running.wait_log("lost the lock");
    health.open();
    group.wait_healthy_on(0, "v2");
    holds_for(Duration::from_millis(200), "it does not queue again", || {
        if group.queue().is_empty() { Ok(()) } else { Err("it does") }
    });
    assert_eq!(group.observer.down_count(0), 1);
    group.publish("v3");
    group.wait_healthy_on(0, "v3");
}
