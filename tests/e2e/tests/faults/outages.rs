//! All servers are lost for a while, one after the other or at once.

use super::ensemble::{Cluster, Host};
use farm_harness::{Server, steadily};
use std::time::Duration;

#[test]
fn hosts_survive_a_rolling_restart_and_the_loss_of_the_quorum() {
    let cluster = Cluster::start();
    let mut hosts = [
        Host::join(&cluster, "busy", "10s"),
        Host::join(&cluster, "idle", "10s"),
        Host::join(&cluster, "quick", "4s"),
    ];
    for server in cluster.ensemble.servers() {
        server.restart();
        hosts[0].edit();
        let mut zk = cluster.ensemble.zk();
        for host in &mut hosts {
            host.is_unharmed(&mut zk, "rolling restart");
        }
    }

    let lines = hosts.iter().map(|host| host.running.stderr().lines().count()).max().unwrap();
    let cpu: Vec<Duration> = hosts.iter().map(|host| host.running.cpu_time()).collect();
    let leader = cluster.ensemble.leader();
    let others: Vec<&Server> =
        cluster.ensemble.servers().iter().filter(|server| server.addr() != leader.addr()).collect();
    others.iter().for_each(|server| server.kill());
    steadily(Duration::from_secs(8), "everybody waits", || {
        hosts.iter_mut().for_each(|host| host.is_alive("no quorum"));
        Ok::<_, String>(())
    });
    for (host, cpu) in hosts.iter().zip(cpu) {
        let (cost, log) = (host.running.cpu_time() - cpu, host.running.stderr());
        assert!(cost < Duration::from_millis(400), "{cost:?}\n{log}");
        assert!(log.lines().count() <= lines + 6, "{log}");
    }
    hosts[0].edit();
    others.iter().for_each(|server| server.start_again());
    others.iter().for_each(|server| server.wait_until_serving());
    let mut zk = cluster.ensemble.zk();
    for host in &mut hosts {
        host.is_unharmed(&mut zk, "quorum lost and back");
        host.takes_edits(&mut zk, "back");
    }
}
