//! A process that has no file descriptors left when its session ends.

use farm_harness::{Ensemble, FaultProxy, Running, Scratch, Tool, eventually};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Limits how many more descriptors a process can open; `None` removes the limit.
fn limit(running: &Running, more: Option<usize>) {
    let pid = running.pid().to_string();
    // The limit applies to descriptor numbers, and the lowest free number is used first.
    let is_free = |number: &usize| !fs::exists(format!("/proc/{pid}/fd/{number}")).unwrap();
    let soft = more.map_or(Some(1024), |more| (0..1024).filter(is_free).nth(more)).unwrap();
    let set = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={soft}:")]).status();
    assert!(set.unwrap().success());
}

/// Limits the descriptors, ends the session, checks the process, and lifts the limit.
fn starve(running: &mut Running, proxy: &FaultProxy) {
    // Enough for a connection to a server, but not for a whole session.
    limit(running, Some(4));
    proxy.expire().unwrap();
    running.wait_log("lost: the session is over");
    running
        .wait_log("no new session yet, retrying; why=\"cannot open a session: Too many open files");
    let before = running.cpu_time();
    // At least two attempts to open a session.
    farm_harness::holds_for(Duration::from_secs(3), "it runs", || {
        if running.is_running() { Ok(()) } else { Err("it ended") }
    });
    let took = running.cpu_time() - before;
    assert!(took < Duration::from_millis(300), "{took:?} of CPU");
    assert_eq!(running.stderr().matches("no new session").count(), 1, "logged once");
    limit(running, None);
    running.wait_log("opened a new session");
}

#[test]
fn a_host_without_descriptors_joins_again_when_it_has_some() {
    let chroot = Ensemble::shared().chroot("a_host_without_descriptors");
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let mut running = Tool::new("zkjoin")
        .args(["-H", &format!("{}{}", proxy.addr(), chroot.path())])
        .args(["--session-timeout", "4s", "--name", "host", "/farm"])
        .arg(scratch.join("conf.json"))
        .spawn();
    running.wait_log("joined; ");
    starve(&mut running, &proxy);
    eventually("its znode is back", || match zk.exists("/farm/host") {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn an_export_without_descriptors_goes_on_when_it_has_some() {
    let chroot = Ensemble::shared().chroot("an_export_without_descriptors");
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    zk.create_all("/farm/a", "{}").unwrap();
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let mut running = Tool::new("zkexport")
        .args(["-H", &format!("{}{}", proxy.addr(), chroot.path())])
        .args(["--session-timeout", "4s", "/farm"])
        .arg(scratch.join("farm.json"))
        .spawn();
    running.wait_log("the file is current");
    starve(&mut running, &proxy);
    zk.create_all("/farm/b", "{}").unwrap();
    eventually("the new host in the file", || match scratch.read("farm.json") {
        Ok(text) if text.contains("\"b\"") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}
