//! Twenty hosts, and a file that shows them all.

use super::ensemble::Cluster;
use farm_harness::{
    Chroot, Ensemble, FaultProxy, Running, Scratch, Stat, Tool, Zk, eventually_within, mode,
    steadily,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const HOSTS: usize = 20;
const FARM: &str = "/farm";

fn name(index: usize) -> String {
    format!("host-{index:02}")
}

fn join(servers: &str, scratch: &Scratch, index: usize) -> Running {
    scratch.write(format!("{}/enabled", name(index)), "1");
    Tool::new("zkjoin")
        .args(["-H", servers, "--session-timeout", "4s", "--name", &name(index), FARM])
        .arg(scratch.join(name(index)))
        .spawn()
}

fn stats(zk: &mut Zk) -> Vec<Stat> {
    (0..HOSTS).map(|index| zk.get(&format!("{FARM}/{}", name(index))).unwrap().stat).collect()
}

/// The names that the exported file lacks, or why it can't be read.
fn lacks_nobody(scratch: &Scratch) -> Result<(), String> {
    let text = scratch.read("farm.json")?;
    let farm: Value = serde_json::from_str(&text).map_err(|e| format!("{e} in {text:?}"))?;
    let missing: Vec<_> = (0..HOSTS).map(name).filter(|name| farm.get(name).is_none()).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("without {missing:?}")) }
}

#[test]
fn a_rolling_restart_takes_no_host_from_the_file() {
    let cluster = Cluster::start();
    let (servers, scratch) = (cluster.servers(), Scratch::new());
    let joined: Vec<Running> = (0..HOSTS).map(|index| join(&servers, &scratch, index)).collect();
    joined.iter().for_each(|running| running.wait_log("joined; "));
    let exporter = Tool::new("zkexport")
        .args(["-H", &servers, "--session-timeout", "4s", FARM])
        .arg(scratch.join("farm.json"))
        .spawn();
    exporter.wait_log("the file is current; ");
    lacks_nobody(&scratch).unwrap();
    let before = stats(&mut cluster.ensemble.zk());
    for server in cluster.ensemble.servers() {
        server.start_again();
        eventually_within(Duration::from_secs(30), "the server is back", || {
            lacks_nobody(&scratch).unwrap_or_else(|e| panic!("{e}\n{}", exporter.stderr()));
            mode(server.addr())
        });
    }
    // Whoever was lost by a server is lost to the file within the timeout.
    steadily(Duration::from_secs(5), "everybody is in the file", || lacks_nobody(&scratch));
    let after = stats(&mut cluster.ensemble.zk());
    for (index, (before, after)) in before.iter().zip(&after).enumerate() {
        let (was, is) =
            ((before.czxid, before.ephemeral_owner), (after.czxid, after.ephemeral_owner));
        assert_eq!(was, is, "{}: {}", name(index), joined[index].stderr());
    }
}

/// A host that has a wire of its own.
struct Wired {
    running: Running,
    proxy: FaultProxy,
}

fn wire(chroot: &Chroot<'_>, scratch: &Scratch, index: usize) -> Wired {
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let running = join(&format!("{}{}", proxy.addr(), chroot.path()), scratch, index);
    Wired { running, proxy }
}

#[test]
fn twenty_hosts_whose_sessions_end_at_once_are_back_within_two_seconds() {
    let chroot = Ensemble::shared().chroot("crowd");
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    let hosts: Vec<Wired> = (0..HOSTS).map(|index| wire(&chroot, &scratch, index)).collect();
    hosts.iter().for_each(|host| host.running.wait_log("joined; "));
    let old: Vec<i64> = stats(&mut zk).iter().map(|stat| stat.ephemeral_owner).collect();
    hosts.iter().for_each(|host| host.proxy.expire().unwrap());
    let owners = eventually_within(Duration::from_secs(2), "everybody is back", || {
        let mut owners = BTreeSet::new();
        for index in 0..HOSTS {
            let stat = zk.exists(&format!("{FARM}/{}", name(index))).map_err(|e| e.to_string())?;
            let owner = stat.ok_or_else(|| name(index))?.ephemeral_owner;
            if old.contains(&owner) {
                return Err(format!("{} is the old one", name(index)));
            }
            owners.insert(owner);
        }
        Ok::<_, String>(owners)
    });
    assert_eq!(owners.len(), HOSTS);
    for host in &hosts {
        let log = host.running.stderr();
        let is_live = |owner: &i64| log.contains(&format!("session=0x{owner:x} "));
        assert_eq!(owners.iter().filter(|owner| is_live(owner)).count(), 1, "{log}");
        assert_eq!(log.matches(" connected; ").count(), 2, "{log}");
    }
}
