//! Members that end: what becomes of their place in line, their turn and their child.

use super::eye::Mark;
use super::site::{Member, Site, line};
use super::tell;
use farm_harness::{Running, Signal, eventually, patience, steadily};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// What a waiting member that ends may take to make room for others.
const ROOM_WITHIN: Duration = Duration::from_millis(100);

#[test]
fn a_waiting_member_that_is_told_to_end_makes_room_at_once_and_ends_after_its_child() {
    let mut took = Vec::new();
    for _ in 0..5 {
        let mut site = Site::new("a_waiting_member_that_is_told_to_end", 1);
        let mut end = site.gate(0, "end");
        let mut running = site.start(&site.zkexec(0), "v1");
        let ruby = site.ruby_asks();
        site.publish("v2");
        site.contends(&running, 1);
        let start = Instant::now();
        running.signal(Signal::SIGTERM);
        let gone = eventually("it has left the line", || {
            if site.line().len() == 1 { Ok(Instant::now()) } else { Err("it is there") }
        });
        took.push(gone - start);
        // The child takes its time, and gets it.
        site.eye.sees(0, &Mark::Stopping);
        steadily(Duration::from_millis(200), "it waits for its child", || {
            if running.is_running() && site.eye.downs(0) == 0 { Ok(()) } else { Err("it ended") }
        });
        end.open();
        running.wait_exit().code(7);
        assert_eq!((site.eye.downs(0), site.file(0).as_str()), (1, "v1"));
        site.ruby_leaves(&ruby);
    }
    took.sort_unstable();
    tell(&format!("out of the line after: {took:?}"));
    assert!(took[2] < patience(ROOM_WITHIN), "{took:?}");
}

#[test]
fn a_holder_that_is_told_to_end_keeps_the_lock_until_its_child_is_gone() {
    let mut site = Site::new("a_holder_that_is_told_to_end", 1);
    let mut end = site.gate(0, "end");
    let mut running = site.start(&site.zkexec(0).delay("60s"), "v1");
    site.publish("v2 unwell");
    site.eye.sees(0, &Mark::Stopping);
    end.open();
    site.eye.sees_up(0, "v2");
    let ruby = site.ruby_asks();
    // The gate is let through by nobody from now on.
    let mut end = site.gate_anew(0, "end");
    running.signal(Signal::SIGTERM);
    site.eye.sees_times(0, 2, &Mark::Stopping);
    steadily(Duration::from_millis(200), "the lock is kept", || {
        let line = site.line();
        if line.len() == 2 { Ok(()) } else { Err(format!("{line:?}")) }
    });
    end.open();
    site.ruby_holds(&ruby);
    running.wait_exit().code(7);
    assert_eq!(site.eye.downs(0), 2);
}

#[test]
fn an_unconfirmed_child_that_ends_well_ends_its_zkexec_and_frees_the_lock() {
    let mut site = Site::new("an_unconfirmed_child_that_ends_well", 1);
    let mut running = site.start(&site.zkexec(0), "v1");
    site.publish("v2 leaves");
    site.contends(&running, 1);
    let ruby = site.ruby_asks();
    running.wait_exit().code(0);
    site.ruby_holds(&ruby);
    assert_eq!(site.line().len(), 1);
    assert_eq!(site.file(0), "v2 leaves");
}

#[test]
fn a_paused_member_that_is_told_to_end_frees_the_lock_and_tells_how_its_child_ended() {
    let mut site = Site::new("a_paused_member_that_is_told_to_end", 2);
    let members = [0, 1].map(|who| site.zkexec(who));
    let mut running = members.each_ref().map(|member| site.start(member, "v1"));
    site.publish("v2 dies");
    let first = eventually("one is paused", || {
        (0..2).find(|who| running[*who].stderr().contains("config failure")).ok_or("none")
    });
    site.contends(&running[1 - first], 1);
    running[first].signal(Signal::SIGTERM);
    running[first].wait_exit().code(1);
    // The next one is not better off, but that is what was asked for.
    running[1 - first].wait_log("config failure");
    assert_eq!(site.line().len(), 1);
}

/// Ends the child of the member behind its back.
fn kill_child(site: &Site<'_>, version: &str, signal: Signal) {
    let pid = i32::try_from(site.eye.sees_up(0, version)).unwrap();
    nix::sys::signal::kill(Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn a_child_that_ends_while_its_member_waits_ends_that_and_leaves_the_line() {
    let mut site = Site::new("a_child_that_ends_while_its_member_waits", 1);
    let mut running = site.start(&site.zkexec(0), "v1");
    let ruby = site.ruby_asks();
    site.publish("v2");
    site.contends(&running, 1);
    kill_child(&site, "v1", Signal::SIGKILL);
    running.wait_exit().code(137);
    assert_eq!(site.line().len(), 1);
    site.ruby_leaves(&ruby);
    assert_eq!(site.file(0), "v1");
}

#[test]
fn a_child_that_ends_while_its_content_is_checked_ends_its_member() {
    let mut site = Site::new("a_child_that_ends_while_its_content_is_checked", 1);
    let mut check = site.gate(0, "check");
    let start = std::thread::scope(|scope| {
        // The first start is checked as well.
        let opener = scope.spawn(|| {
            site.eye.sees(0, &Mark::Checking);
            check.open();
        });
        let running = site.start(&site.zkexec(0).checked(), "v1");
        opener.join().unwrap();
        running
    });
    let mut running = start;
    drop(site.gate_anew(0, "check"));
    site.publish("v2");
    site.eye.sees_times(0, 2, &Mark::Checking);
    kill_child(&site, "v1", Signal::SIGKILL);
    running.wait_exit().code(137);
    site.nobody_contends();
    assert_eq!(site.file(0), "v1");
    // Nothing is left of what was staged.
    let left = std::fs::read_dir(site.scratch.join("0")).unwrap();
    let mut left: Vec<String> =
        left.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    left.sort();
    assert_eq!(left, ["alive", "check", "conf", "made", "pid-v1"]);
}

#[test]
fn a_killed_holder_takes_its_child_with_it_and_the_group_goes_on_after_its_session() {
    let mut site = Site::new("a_killed_holder_takes_its_child_with_it", 2);
    let mut gates = [0, 1].map(|who| site.gate(who, "health"));
    let mut running = [0, 1].map(|who| site.start(&site.zkexec(who), "v1"));
    site.publish("v2");
    running.iter().for_each(|running| site.contends(running, 1));
    let pid = site.line()[0].pid;
    let first = running.iter().position(|running| Some(running.pid()) == pid).unwrap();
    site.eye.sees_up(first, "v2");
    let downs = site.eye.downs(first);
    running[first].kill9();
    site.eye.sees_times(first, downs + 1, &Mark::Down);
    assert_eq!(site.eye.downs(1 - first), 0);
    gates.iter_mut().for_each(super::site::Gate::open);
    site.works_on(1 - first, "v2");
    site.nobody_contends();
}

#[test]
fn a_member_without_zookeeper_ends_as_soon_as_its_child_has() {
    let mut site = Site::new("a_member_without_zookeeper_ends", 1);
    let wire = Site::wire();
    let member: Member = site.zkexec(0).at(site.servers_at(wire.addr()));
    let mut running: Running = site.start(&member, "v1");
    let ruby = site.ruby_asks();
    site.publish("v2");
    site.contends(&running, 1);
    wire.stall();
    let start = Instant::now();
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(7);
    let took = start.elapsed();
    tell(&format!("ended without ZooKeeper after {took:?}"));
    assert!(took < patience(Duration::from_secs(3)), "{took:?}");
    let mut observer = site.observer();
    eventually("its session ends by itself", || {
        let line = line(&mut observer);
        if line.len() == 1 { Ok(()) } else { Err(format!("{line:?}")) }
    });
    site.ruby_leaves(&ruby);
}
