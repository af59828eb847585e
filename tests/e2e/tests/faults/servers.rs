//! The loss of one server of three.

use super::ensemble::{Cluster, Host, LEADER_TIMEOUT, print_duration};
use farm_harness::{Zk, patience};
use std::time::Duration;

/// How long a server may take to answer before a session of ten seconds gives it up.
const ANSWER: Duration = Duration::from_millis(10_000 / 6);

/// Kills, freezes, stalls and kills the server that a busy and an idle host are connected to.
fn survive(on_leader: bool, bound: Duration) {
    let cluster = Cluster::start();
    let mut hosts = [Host::join(&cluster, "busy", "10s"), Host::join(&cluster, "idle", "10s")];
    for fault in ["kill", "freeze", "stall", "kill again"] {
        let lost = cluster.gather(&mut hosts, on_leader);
        let server = cluster.ensemble.server(lost);
        let reconnects = [hosts[0].reconnects(), hosts[1].reconnects()];
        match fault {
            "freeze" => server.pause(),
            "stall" => cluster.stall(lost),
            _ => server.kill(),
        }
        let [busy, idle] = &mut hosts;
        let others: Vec<_> =
            cluster.ensemble.servers().iter().filter(|s| s.addr() != server.addr()).collect();
        let connect = || {
            let up = others.iter().find(|server| farm_harness::mode(server.addr()).is_ok());
            up.and_then(|server| Zk::connect(server.addr()).ok())
        };
        let longest =
            busy.edits_until(reconnects[0], connect, || idle.reconnects() > reconnects[1]);
        let what = format!("{fault} the {}", if on_leader { "leader" } else { "follower" });
        print_duration(&what, longest);
        assert!(longest < patience(bound), "{what}: {longest:?}\n{}", busy.running.stderr());
        let mut zk = connect().unwrap_or_else(|| cluster.ensemble.zk());
        for host in [busy, idle] {
            host.assert_unharmed(&mut zk, &what);
            host.assert_takes_edits(&mut zk, &what);
        }
        match fault {
            "freeze" => server.resume(),
            "stall" => cluster.pass(lost),
            _ => server.restart(),
        }
        server.wait_until_serving();
    }
    for host in &mut hosts {
        host.assert_unharmed(&mut cluster.ensemble.zk(), "in the end");
    }
}

#[test]
fn hosts_survive_the_loss_of_a_follower() {
    survive(false, ANSWER + Duration::from_secs(2));
}

#[test]
fn hosts_survive_the_loss_of_the_leader() {
    survive(true, LEADER_TIMEOUT + ANSWER + Duration::from_secs(5));
}
