//! Hosts that stop while nobody can hear it.

use farm_harness::{Ensemble, FaultProxy, Running, Scratch, Signal, Tool, Zk, eventually_within};
use std::time::{Duration, Instant};

const PATH: &str = "/farm/host";
/// The session timeout, and a tick of the server until it looks.
const GONE_WITHIN: Duration = Duration::from_millis(4000 + 500);

struct Host {
    running: Running,
    proxy: FaultProxy,
    zk: Zk,
    _scratch: Scratch,
}

impl Host {
    fn join(test: &str) -> Self {
        let chroot = Ensemble::shared().chroot(test);
        let (scratch, zk) = (Scratch::new(), chroot.zk());
        let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
        let servers = format!("{}{}", proxy.addr(), chroot.path());
        let running = Tool::new("zkjoin")
            .args(["-H", &servers, "--session-timeout", "4s", "--name", "host", "/farm"])
            .arg(scratch.join("conf.json"))
            .spawn();
        running.wait_log("joined; ");
        Self { running, proxy, zk, _scratch: scratch }
    }

    /// Stops it well within a second, and waits until nothing of it is left.
    fn stop_and_be_forgotten(mut self, within: Duration) {
        self.running.signal(Signal::SIGTERM);
        let stopped = Instant::now();
        let output = self.running.wait_exit();
        output.ok();
        assert!(stopped.elapsed() < farm_harness::patience(Duration::from_secs(1)), "{output}");
        eventually_within(within, "its znode is gone", || match self.zk.exists(PATH) {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

#[test]
fn a_host_that_stops_leaves_at_once() {
    Host::join("stops").stop_and_be_forgotten(Duration::from_millis(500));
}

#[test]
fn a_host_that_stops_in_a_black_hole_is_forgotten_with_its_session() {
    let host = Host::join("stops_in_a_black_hole");
    host.proxy.stall();
    host.stop_and_be_forgotten(GONE_WITHIN);
}

#[test]
fn a_host_that_stops_while_it_looks_for_a_server_is_forgotten_with_its_session() {
    let host = Host::join("stops_disconnected");
    host.proxy.refuse();
    host.proxy.cut();
    host.running.wait_log("no server can be reached");
    host.stop_and_be_forgotten(GONE_WITHIN);
}

#[test]
fn a_host_that_crashes_is_forgotten_with_its_session() {
    let mut host = Host::join("crashes");
    host.running.kill9();
    eventually_within(GONE_WITHIN, "its znode is gone", || match host.zk.exists(PATH) {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}
