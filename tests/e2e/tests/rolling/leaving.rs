//! Members that end: what becomes of their contender, their turn and their child.

use super::fixture::{GroupFixture, Member, queue};
use super::observer::ChildEvent;
use super::print;
use farm_harness::{Running, Signal, eventually, holds_for, patience};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// How long a waiting member that ends may take to leave the queue.
const ROOM_WITHIN: Duration = Duration::from_millis(100);

#[test]
fn a_waiting_member_that_is_told_to_end_makes_room_at_once_and_ends_after_its_child() {
    let mut took = Vec::new();
    for _ in 0..5 {
        let mut group = GroupFixture::new("a_waiting_member_that_is_told_to_end", 1);
        let mut end = group.gate(0, "end");
        let mut running = group.start(&group.zkexec(0), "v1");
        let ruby = group.ruby_enqueue();
        group.publish("v2");
        group.wait_contenders(&running, 1);
        let start = Instant::now();
        running.signal(Signal::SIGTERM);
        let gone = eventually("it has left the queue", || {
            if group.queue().len() == 1 { Ok(Instant::now()) } else { Err("it is there") }
        });
        took.push(gone - start);
        // The child does not end yet, and zkexec waits for it.
        group.observer.wait_event(0, &ChildEvent::Stopping);
        holds_for(Duration::from_millis(200), "it waits for its child", || {
            if running.is_running() && group.observer.down_count(0) == 0 {
                Ok(())
            } else {
                Err("it ended")
            }
        });
        end.open();
        running.wait_exit().code(7);
        assert_eq!((group.observer.down_count(0), group.file(0).as_str()), (1, "v1"));
        group.ruby_leave(&ruby);
    }
    took.sort_unstable();
    print(&format!("out of the queue after: {took:?}"));
    assert!(took[2] < patience(ROOM_WITHIN), "{took:?}");
}

#[test]
fn a_holder_that_is_told_to_end_keeps_the_lock_until_its_child_is_gone() {
    let mut group = GroupFixture::new("a_holder_that_is_told_to_end", 1);
    let mut end = group.gate(0, "end");
    let mut running = group.start(&group.zkexec(0).delay("60s"), "v1");
    group.publish("v2 unwell");
    group.observer.wait_event(0, &ChildEvent::Stopping);
    end.open();
    group.observer.wait_up(0, "v2");
    let ruby = group.ruby_enqueue();
    // The second child waits at a closed gate.
    let mut end = group.gate_anew(0, "end");
    running.signal(Signal::SIGTERM);
    group.observer.wait_event_times(0, 2, &ChildEvent::Stopping);
    holds_for(Duration::from_millis(200), "the lock is kept", || {
        let queue = group.queue();
        if queue.len() == 2 { Ok(()) } else { Err(format!("{queue:?}")) }
    });
    end.open();
    group.wait_ruby_holds(&ruby);
    running.wait_exit().code(7);
    assert_eq!(group.observer.down_count(0), 2);
}

#[test]
fn an_unconfirmed_child_that_ends_well_ends_its_zkexec_and_frees_the_lock() {
    let mut group = GroupFixture::new("an_unconfirmed_child_that_ends_well", 1);
    let mut running = group.start(&group.zkexec(0), "v1");
    group.publish("v2 leaves");
    group.wait_contenders(&running, 1);
    let ruby = group.ruby_enqueue();
    running.wait_exit().code(0);
    group.wait_ruby_holds(&ruby);
    assert_eq!(group.queue().len(), 1);
    assert_eq!(group.file(0), "v2 leaves");
}

#[test]
fn a_failed_member_that_is_told_to_end_frees_the_lock_and_tells_how_its_child_ended() {
    let mut group = GroupFixture::new("a_failed_member_that_is_told_to_end", 2);
    let members = [0, 1].map(|who| group.zkexec(who));
    let mut running = members.each_ref().map(|member| group.start(member, "v1"));
    group.publish("v2 dies");
    let first = eventually("one has failed", || {
        (0..2).find(|who| running[*who].stderr().contains("config failure")).ok_or("none")
    });
    running[1 - first].wait_log("the group has refused version");
    running[first].signal(Signal::SIGTERM);
    running[first].wait_exit().code(1);
    // The other member does not try the same content.
    group.wait_queue_empty();
    holds_for(Duration::from_millis(300), "the other one runs on", || {
        let is = (group.file(1 - first), group.observer.down_count(1 - first));
        if is == ("v1".to_owned(), 0) { Ok(()) } else { Err(format!("{is:?}")) }
    });
}

/// Sends a signal to the child of the first member.
fn kill_child(group: &GroupFixture<'_>, version: &str, signal: Signal) {
    let pid = i32::try_from(group.observer.wait_up(0, version)).unwrap();
    nix::sys::signal::kill(Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn a_child_that_ends_while_its_member_waits_ends_that_and_leaves_the_queue() {
    let mut group = GroupFixture::new("a_child_that_ends_while_its_member_waits", 1);
    let mut running = group.start(&group.zkexec(0), "v1");
    let ruby = group.ruby_enqueue();
    group.publish("v2");
    group.wait_contenders(&running, 1);
    kill_child(&group, "v1", Signal::SIGKILL);
    running.wait_exit().code(137);
    assert_eq!(group.queue().len(), 1);
    group.ruby_leave(&ruby);
    assert_eq!(group.file(0), "v1");
}

#[test]
fn a_child_that_ends_while_its_content_is_checked_ends_its_member() {
    let mut group = GroupFixture::new("a_child_that_ends_while_its_content_is_checked", 1);
    let mut check = group.gate(0, "check");
    let start = std::thread::scope(|scope| {
        // The content of the first start is checked as well.
        let opener = scope.spawn(|| {
            group.observer.wait_event(0, &ChildEvent::Checking);
            check.open();
        });
        let running = group.start(&group.zkexec(0).checked(), "v1");
        opener.join().unwrap();
        running
    });
    let mut running = start;
    drop(group.gate_anew(0, "check"));
    group.publish("v2");
    group.observer.wait_event_times(0, 2, &ChildEvent::Checking);
    kill_child(&group, "v1", Signal::SIGKILL);
    running.wait_exit().code(137);
    group.wait_queue_empty();
    assert_eq!(group.file(0), "v1");
    // No staged file is left.
    let left = std::fs::read_dir(group.scratch.join("0")).unwrap();
    let mut left: Vec<String> =
        left.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    left.sort();
    assert_eq!(left, ["alive", "check", "conf", "made", "pid-v1", "starts"]);
}

#[test]
fn a_killed_holder_takes_its_child_with_it_and_the_group_goes_on_after_its_session() {
    let mut group = GroupFixture::new("a_killed_holder_takes_its_child_with_it", 2);
    let mut gates = [0, 1].map(|who| group.gate(who, "health"));
    let mut running = [0, 1].map(|who| group.start(&group.zkexec(who), "v1"));
    group.publish("v2");
    running.iter().for_each(|running| group.wait_contenders(running, 1));
    let pid = group.queue()[0].pid;
    let first = running.iter().position(|running| Some(running.pid()) == pid).unwrap();
    group.observer.wait_up(first, "v2");
    let downs = group.observer.down_count(first);
    running[first].kill9();
    group.observer.wait_event_times(first, downs + 1, &ChildEvent::Down);
    assert_eq!(group.observer.down_count(1 - first), 0);
    gates.iter_mut().for_each(super::fixture::Gate::open);
    group.wait_healthy_on(1 - first, "v2");
    group.wait_queue_empty();
}

#[test]
fn a_member_without_zookeeper_ends_as_soon_as_its_child_has() {
    let mut group = GroupFixture::new("a_member_without_zookeeper_ends", 1);
    let proxy = GroupFixture::proxy();
    let member: Member = group.zkexec(0).at(group.servers_at(proxy.addr()));
    let mut running: Running = group.start(&member, "v1");
    let ruby = group.ruby_enqueue();
    group.publish("v2");
    group.wait_contenders(&running, 1);
    proxy.stall();
    let start = Instant::now();
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(7);
    let took = start.elapsed();
    print(&format!("ended without ZooKeeper after {took:?}"));
    assert!(took < patience(Duration::from_secs(3)), "{took:?}");
    let mut client = group.new_client();
    eventually("its session ends by itself", || {
        let queue = queue(&mut client);
        if queue.len() == 1 { Ok(()) } else { Err(format!("{queue:?}")) }
    });
    group.ruby_leave(&ruby);
}
