//! A process that has no file descriptors left when its session ends.

use farm_harness::{
    Ensemble, FaultProxy, Running, Scratch, Signal, Tool, eventually, eventually_within, holds_for,
};
use std::fs;
use std::time::Duration;

/// Limits how many more descriptors a process can open; `None` removes the limit.
pub(super) fn limit_descriptors(running: &Running, more: Option<usize>) {
    let pid = running.pid().to_string();
    // The limit applies to descriptor numbers, and the lowest free number is used first.
    let is_free = |number: &usize| !fs::exists(format!("/proc/{pid}/fd/{number}")).unwrap();
    let soft = more.map_or(Some(1024), |more| (0..1024).filter(is_free).nth(more)).unwrap();
    running.set_limit("nofile", soft);
}

/// Limits the descriptors, ends the session, checks the process, and lifts the limit.
fn starve(running: &mut Running, proxy: &FaultProxy) {
    // Enough for a connection to a server, but not for a whole session.
    limit_descriptors(running, Some(4));
    proxy.expire().unwrap();
    running.wait_log("lost: the session is over");
    running
        .wait_log("no new session yet, retrying; why=\"cannot open a session: Too many open files");
    let before = running.cpu_time();
    // At least two attempts to open a session.
    holds_for(Duration::from_secs(3), "it runs", || {
        if running.is_running() { Ok(()) } else { Err("it ended") }
    });
    let took = running.cpu_time() - before;
    assert!(took < Duration::from_millis(300), "{took:?} of CPU");
    assert_eq!(running.stderr().matches("no new session").count(), 1, "logged once");
    limit_descriptors(running, None);
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

#[test]
fn a_config_directory_is_read_again_when_there_are_descriptors() {
    let chroot = Ensemble::shared().chroot("a_directory_without_descriptors");
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    for name in ["a", "b", "sub/c"] {
        scratch.write(format!("conf/{name}"), "0");
    }
    let mut running = Tool::new("zkjoin")
        .args(["-H", &chroot.connect_string(), "--name", "host", "/farm"])
        .arg(scratch.join("conf"))
        .spawn();
    running.wait_log("joined; ");
    // From none, with which not even the top can be opened, to enough for a part of the tree.
    for (more, value) in (0..4).zip(["1", "2", "3", "4"]) {
        limit_descriptors(&running, Some(more));
        for name in ["a", "b", "sub/c"] {
            scratch.write(format!("conf/{name}"), value);
        }
        running.signal(Signal::SIGHUP);
        holds_for(Duration::from_millis(500), "it runs", || match running.is_running() {
            true => Ok(()),
            false => Err("it ended"),
        });
        limit_descriptors(&running, None);
        eventually_within(Duration::from_secs(15), "all edits arrive", || {
            let text = zk.get("/farm/host").map_err(|error| format!("{error:?}"))?.text();
            let count = text.matches(&format!(":\"{value}\"")).count();
            if count == 3 { Ok(()) } else { Err(text) }
        });
    }
    assert!(!running.stderr().contains("skipped"), "{}", running.stderr());
}
