//! Starting without ZooKeeper.

use super::fixture::{ExecFixture, RECORDING_CHILD, stop};
use farm_harness::{Ensemble, FaultProxy, holds_for, patience};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A port on which nobody listens, outside of the range that tests use.
const CLOSED: &str = "127.0.0.1:1";

#[test]
fn without_mirrors_the_child_waits_for_nobody() {
    let fixture = ExecFixture::new("waits_for_nobody");
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = mute.local_addr().unwrap().to_string();
    for servers in [CLOSED, &mute, "no-such-host.invalid"] {
        for more in [&[][..], &["-l", "group"]] {
            let begun = Instant::now();
            let output = fixture.zkexec(&["-c", servers, "-e", "exit 3"]).args(more).run();
            output.code(3);
            assert!(begun.elapsed() < patience(Duration::from_secs(2)), "{output}");
        }
    }
}

#[test]
fn with_mirrors_the_child_waits_also_if_the_files_are_there() {
    let fixture = ExecFixture::with_conf("the_child_waits", "new");
    fixture.scratch.write("conf", "old");
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    proxy.refuse();
    let servers = fixture.servers_at(proxy.addr());
    let args = ["-c", &servers, "-w", "0", "-m", "conf=/conf", "-e", RECORDING_CHILD];
    let running = fixture.zkexec(&args).spawn();
    running.wait_log("no server can be reached");
    holds_for(Duration::from_millis(500), "nothing is started", || match fixture.starts().len() {
        0 => Ok(()),
        more => Err(more),
    });
    proxy.accept();
    assert_eq!(fixture.wait_starts(1).1, "new");
    stop(running);
}

#[test]
fn who_asks_for_it_starts_on_the_files_that_are_there() {
    let fixture = ExecFixture::with_conf("the_files_that_are_there", "new");
    fixture.scratch.write("conf", "old");
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    proxy.stall();
    let servers = fixture.servers_at(proxy.addr());
    let args = ["-c", &servers, "-w", "0", "--start-without-zk", "300ms", "-m", "conf=/conf"];
    let begun = Instant::now();
    let running = fixture.zkexec(&args).args(["-e", RECORDING_CHILD]).spawn();
    assert_eq!(fixture.wait_starts(1).1, "old");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    running.wait_log("ZooKeeper does not answer; starting with the existing files");
    proxy.pass();
    assert_eq!(fixture.wait_starts(2).1, "new");
    stop(running);
}

#[test]
fn what_was_there_and_is_right_costs_no_restart() {
    let mut fixture = ExecFixture::with_conf("costs_no_restart", "same");
    fixture.scratch.write("conf", "same");
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    proxy.refuse();
    let servers = fixture.servers_at(proxy.addr());
    let args = ["-c", &servers, "-w", "0", "--start-without-zk", "0.1", "-m", "conf=/conf"];
    let running = fixture.zkexec(&args).args(["-e", RECORDING_CHILD]).spawn();
    fixture.wait_starts(1);
    proxy.accept();
    running.wait_log("connected");
    holds_for(Duration::from_millis(300), "the child runs on", || match fixture.starts().len() {
        1 => Ok(()),
        more => Err(more),
    });
    fixture.zk.set("/conf", "new").unwrap();
    assert_eq!(fixture.wait_starts(2).1, "new");
    stop(running);
}

#[test]
fn without_the_files_there_is_nothing_to_start_on() {
    let fixture = ExecFixture::with_conf("nothing_to_start_on", "new");
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    proxy.refuse();
    let servers = fixture.servers_at(proxy.addr());
    let args =
        ["-c", &servers, "--start-without-zk", "0.1", "-m", "conf=/conf", "-e", RECORDING_CHILD];
    let running = fixture.zkexec(&args).spawn();
    running.wait_log("some files do not exist; still waiting");
    assert_eq!(fixture.starts(), []);
    proxy.accept();
    assert_eq!(fixture.wait_starts(1).1, "new");
    stop(running);
}

#[test]
fn a_znode_that_turns_out_to_be_missing_leaves_a_child_that_runs() {
    let mut fixture = ExecFixture::new("turns_out_to_be_missing");
    fixture.scratch.write("conf", "old");
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    proxy.refuse();
    let servers = fixture.servers_at(proxy.addr());
    let args = ["-c", &servers, "-w", "0", "--start-without-zk", "0.1", "-m", "conf=/conf"];
    let running = fixture.zkexec(&args).args(["-e", RECORDING_CHILD]).spawn();
    fixture.wait_starts(1);
    proxy.accept();
    running.wait_log("no such znode; its file stays");
    assert_eq!(fixture.contents(), ["old"]);
    fixture.zk.create("/conf", "new").unwrap();
    assert_eq!(fixture.wait_starts(2).1, "new");
    stop(running);
}
