//! What remains of tools that end, even while no server can be reached.

use super::ensemble::{Cluster, Host, print_duration, session_of};
use farm_harness::{
    Ensemble, FaultProxy, Running, Scratch, Server, Signal, Tool, Zk, eventually,
    eventually_within, patience,
};
use std::time::{Duration, Instant};

const PATH: &str = "/farm/host";
/// The limit if a server can be reached.
const AT_ONCE: Duration = Duration::from_millis(500);
/// The limit otherwise: the session timeout, a tick until the server checks it, and a margin
/// for a busy machine.
const FORGOTTEN: Duration = Duration::from_millis(4000 + 500 + 500);

/// A tool behind its own proxy.
struct ProxiedTool {
    running: Running,
    proxy: FaultProxy,
    zk: Zk,
    _scratch: Scratch,
}

impl ProxiedTool {
    fn start(test: &str, tool: &str) -> Self {
        let chroot = Ensemble::shared().chroot(test);
        let (scratch, mut zk) = (Scratch::new(), chroot.zk());
        zk.create("/farm", "").unwrap();
        let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
        let servers = format!("{}{}", proxy.addr(), chroot.path());
        let tool_args: &[&str] = if tool == "zkjoin" { &["--name", "host"] } else { &[] };
        let running = Tool::new(tool)
            .args(["-H", &servers, "--session-timeout", "4s"])
            .args(tool_args)
            .arg("/farm")
            .arg(scratch.join("conf.json"))
            .spawn();
        running.wait_log(if tool == "zkjoin" { "joined; " } else { "the file is current; " });
        Self { running, proxy, zk, _scratch: scratch }
    }

    fn disconnect(&self) {
        self.proxy.refuse();
        self.proxy.cut();
        self.running.wait_log("no server can be reached");
    }

    /// Ends the tool and waits until its session and its znode are gone.
    fn assert_forgotten_after(mut self, signal: Signal, what: &str, within: Duration) {
        let (session, server) = (session_of(&self.running), Ensemble::shared().server(0));
        wait_listed(&session, server);
        end(&mut self.running, signal);
        wait_forgotten(&session, server, what, within, || {
            match self.zk.exists(PATH).map_err(|e| e.to_string())? {
                None => Ok(()),
                Some(stat) => Err(format!("{stat:?}")),
            }
        });
    }
}

/// Ends the tool with a signal; on TERM it must end within a second.
fn end(running: &mut Running, signal: Signal) {
    running.signal(signal);
    let signalled_at = Instant::now();
    let output = running.wait_exit();
    if signal == Signal::SIGTERM {
        output.ok();
        assert!(signalled_at.elapsed() < patience(Duration::from_secs(1)), "{output}");
    }
}

fn has_session(server: &Server, session: &str) -> bool {
    let dump = server.four_letter("dump");
    // The dump also lists connections, even those of ended sessions.
    let sessions = dump.split("Connections dump").next().unwrap_or_default();
    sessions.split_whitespace().any(|word| word == session)
}

/// Waits until the server lists the session: its list may lack a session whose expiry is just
/// being moved.
fn wait_listed(session: &str, server: &Server) {
    eventually("the session is in the server's list", || {
        if has_session(server, session) { Ok(()) } else { Err(server.four_letter("dump")) }
    });
}

/// Waits until neither the session nor the znode exists.
fn wait_forgotten(
    session: &str,
    server: &Server,
    what: &str,
    within: Duration,
    mut has_no_znode: impl FnMut() -> Result<(), String>,
) {
    let ended = Instant::now();
    eventually_within(within, &format!("nothing is left: {what}"), || {
        has_no_znode()?;
        if has_session(server, session) { Err("its session is there".to_owned()) } else { Ok(()) }
    });
    print_duration(&format!("{what}: nothing is left after"), ended.elapsed());
}

/// Prepares and ends zkjoin, and then zkexport.
fn both(test: &str, signal: Signal, within: Duration, prepare: impl Fn(&ProxiedTool)) {
    for tool in ["zkjoin", "zkexport"] {
        let proxied = ProxiedTool::start(test, tool);
        prepare(&proxied);
        proxied.assert_forgotten_after(signal, &format!("{tool}, {test}"), within);
    }
}

#[test]
fn who_stops_is_forgotten_at_once() {
    both("stops", Signal::SIGTERM, AT_ONCE, |_| {});
}

#[test]
fn who_stops_in_a_black_hole_is_forgotten_with_its_session() {
    both("stops_in_a_black_hole", Signal::SIGTERM, FORGOTTEN, |proxied| proxied.proxy.stall());
}

#[test]
fn who_stops_while_it_looks_for_a_server_is_forgotten_with_its_session() {
    both("stops_disconnected", Signal::SIGTERM, FORGOTTEN, ProxiedTool::disconnect);
}

#[test]
fn who_stops_disconnected_when_a_server_is_back_is_forgotten_at_once() {
    both("stops_when_a_server_is_back", Signal::SIGTERM, AT_ONCE, |proxied| {
        proxied.disconnect();
        proxied.proxy.accept();
    });
}

#[test]
fn who_crashes_is_forgotten_with_its_session() {
    both("crashes", Signal::SIGKILL, FORGOTTEN, |_| {});
}

#[test]
fn who_crashes_in_a_black_hole_is_forgotten_with_its_session() {
    both("crashes_in_a_black_hole", Signal::SIGKILL, FORGOTTEN, |proxied| proxied.proxy.stall());
}

#[test]
fn who_crashes_while_it_looks_for_a_server_is_forgotten_with_its_session() {
    both("crashes_disconnected", Signal::SIGKILL, FORGOTTEN, ProxiedTool::disconnect);
}

#[test]
fn who_stops_while_its_server_is_mute_is_forgotten_at_once_by_another() {
    for (on_leader, fault) in [(false, "stall"), (true, "stall"), (false, "freeze")] {
        let cluster = Cluster::start();
        let mut hosts = [Host::join(&cluster, "host", "10s")];
        let lost = cluster.gather(&mut hosts, on_leader);
        let [mut host] = hosts;
        let session = session_of(&host.running);
        wait_listed(&session, cluster.ensemble.leader());
        let mut zk = cluster.ensemble.zk();
        if fault == "stall" {
            cluster.stall(lost);
        } else {
            zk = Zk::connect(cluster.ensemble.server((lost + 1) % 3).addr()).unwrap();
            cluster.ensemble.server(lost).pause();
        }
        end(&mut host.running, Signal::SIGTERM);
        let leader = cluster.ensemble.leader();
        let what = format!("stops while its server is lost, {fault}, on the leader: {on_leader}");
        wait_forgotten(&session, leader, &what, AT_ONCE, || match zk.exists(PATH) {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}
