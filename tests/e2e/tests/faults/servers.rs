//! One server of three is lost: nobody notices.

use super::ensemble::{Cluster, Host};
use farm_harness::Zk;
use std::time::Duration;

/// Kills, freezes and swallows the server that a busy and an idle host are on.
fn survive(on_leader: bool, timeout: &str, bound: Duration) {
    let cluster = Cluster::start();
    let mut hosts = [Host::join(&cluster, "busy", timeout), Host::join(&cluster, "idle", timeout)];
    for fault in ["kill", "freeze", "swallow"] {
        let lost = cluster.gather(&mut hosts, on_leader);
        let server = cluster.ensemble.server(lost);
        let moves = [hosts[0].moves(), hosts[1].moves()];
        match fault {
            "kill" => server.kill(),
            "freeze" => server.pause(),
            _ => cluster.swallow(lost),
        }
        let [busy, idle] = &mut hosts;
        let others: Vec<_> =
            cluster.ensemble.servers().iter().filter(|s| s.addr() != server.addr()).collect();
        let observe = || {
            let up = others.iter().find(|server| farm_harness::mode(server.addr()).is_ok());
            up.and_then(|server| Zk::connect(server.addr()).ok())
        };
        let longest = busy.edits_until(moves[0], observe, || idle.moves() > moves[1]);
        let what = format!("{fault}, leader {on_leader}");
        assert!(longest < bound, "{what}: {longest:?}\n{}", busy.running.stderr());
        figure(&what, longest);
        let mut zk = observe().unwrap_or_else(|| cluster.ensemble.zk());
        for host in [busy, idle] {
            host.is_unharmed(&mut zk, &what);
            host.takes_edits(&mut zk, &what);
        }
        match fault {
            "kill" => server.restart(),
            "freeze" => server.resume(),
            _ => cluster.pass(lost),
        }
        server.wait_until_serving();
    }
    for host in &mut hosts {
        host.is_unharmed(&mut cluster.ensemble.zk(), "in the end");
    }
}

/// Tells the longest time without an update to whoever runs this with `--no-capture`.
#[expect(clippy::print_stderr, reason = "the test's own output, shown on demand")]
fn figure(what: &str, longest: Duration) {
    eprintln!("{what}: {} ms", longest.as_millis());
}

#[test]
fn hosts_survive_the_loss_of_a_follower() {
    survive(false, "4s", Duration::from_secs(4));
}

#[test]
fn hosts_survive_the_loss_of_the_leader() {
    survive(true, "4s", Duration::from_secs(8));
}
