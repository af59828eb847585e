//! All servers fail for a while, one after the other or at the same time.

use super::ensemble::{Cluster, Host, print_duration};
use crate::join::fixture::hostname;
use farm_harness::{Running, Scratch, Server, Tool, eventually, eventually_within, holds_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const FARM: &str = "/farm";

#[test]
fn hosts_survive_a_rolling_restart() {
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
            host.assert_unharmed(&mut zk, "rolling restart");
        }
    }
}

/// An exporter with its file or directory.
struct Export {
    running: Running,
    scratch: Scratch,
}

impl Export {
    fn start(cluster: &Cluster, timeout: &str, format: &str) -> Self {
        let scratch = Scratch::new();
        let args = ["-H", &cluster.servers(), "--session-timeout", timeout, "-f", format, FARM];
        let running = Tool::new("zkexport").args(args).arg(scratch.join("farm")).spawn();
        running.wait_log("the file is current; ");
        Self { running, scratch }
    }

    /// Waits until it has exactly the fields of this host.
    fn wait_host(&self, host: &Host) {
        let wanted = json!({"edits": host.edits(), "hostname": hostname()});
        eventually(&format!("the file has {wanted}"), || match self.record(host.name)? {
            found if found == wanted => Ok(()),
            found => Err(format!("{found}\n{}", self.running.stderr())),
        });
    }

    fn record(&self, host: &str) -> Result<Value, String> {
        let farm = self.scratch.join("farm");
        if !farm.is_dir() {
            let text = self.scratch.read("farm")?;
            let farm: Value =
                serde_json::from_str(&text).map_err(|e| format!("{e} in {text:?}"))?;
            return Ok(farm[host].clone());
        }
        let names = fs::read_dir(farm.join(host)).map_err(|e| e.to_string())?;
        let field = |name: io::Result<fs::DirEntry>| {
            let name = name.map_err(|e| e.to_string())?.file_name().display().to_string();
            let text = self.scratch.read(format!("farm/{host}/{name}"))?;
            Ok((name, Value::String(text)))
        };
        names.map(field).collect()
    }
}

/// The modification time, inode and length of all files in a directory.
type Tree = BTreeMap<PathBuf, (SystemTime, u64, u64)>;

/// Reads only metadata: opening a file would trigger the tool's inotify watches.
fn stamps(paths: impl IntoIterator<Item = PathBuf>) -> Tree {
    let stamp = |path: PathBuf| {
        // A removed file makes a difference, too.
        let found = fs::metadata(&path).ok()?;
        Some((path, (found.modified().ok()?, found.ino(), found.len())))
    };
    paths.into_iter().filter_map(stamp).collect()
}

/// The contents of all files below a directory.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let bytes = fs::read(&path).ok();
        found.insert(path, bytes);
    }
    found
}

/// The state of a tool before an outage.
struct ToolSnapshot {
    what: String,
    dir: PathBuf,
    tree: Tree,
    contents: BTreeMap<PathBuf, Option<Vec<u8>>>,
    cpu: Duration,
    lines: usize,
    contacts: usize,
}

impl ToolSnapshot {
    fn of(what: &str, running: &Running, dir: &Path) -> Self {
        let (log, contents) = (running.stderr(), contents(dir));
        Self {
            what: what.to_owned(),
            dir: dir.to_owned(),
            tree: stamps(contents.keys().cloned()),
            contents,
            cpu: running.cpu_time(),
            lines: log.lines().count(),
            contacts: log.matches(" connected").count(),
        }
    }

    /// Fails if a file or a directory was written or replaced.
    fn check_untouched(&self) -> Result<(), String> {
        let now = stamps(self.tree.keys().cloned());
        if now == self.tree {
            return Ok(());
        }
        Err(format!("{}: {:?} became {now:?}", self.what, self.tree))
    }

    /// Expects that the tool has used little CPU time during the outage.
    fn assert_cost_little(&self, running: &mut Running, outage: &str, time: Duration) {
        assert!(running.is_running(), "{}: {}", self.what, running.stderr());
        let (cost, log) = (running.cpu_time() - self.cpu, running.stderr());
        print_duration(&format!("{outage}: processor time of {}", self.what), cost);
        // At most 5%.
        assert!(cost * 20 < time, "{}: {cost:?} in {time:?}\n{log}", self.what);
    }

    /// Expects that the tool reconnects, and has logged little.
    fn wait_reconnected(&self, running: &Running, outage: &str) {
        let served = Instant::now();
        eventually_within(Duration::from_secs(20), "it is back", || {
            let log = running.stderr();
            if log.matches(" connected").count() > self.contacts { Ok(()) } else { Err(log) }
        });
        let log = running.stderr();
        let lines = log.lines().count() - self.lines;
        print_duration(
            &format!("{outage}: {}, {lines} lines, back after", self.what),
            served.elapsed(),
        );
        assert!(lines < 20, "{log}");
    }
}

#[test]
fn outages_of_any_length_touch_nothing_cost_nothing_and_end_by_themselves() {
    let cluster = Cluster::start();
    let mut hosts = [Host::join(&cluster, "busy", "10s"), Host::join(&cluster, "quick", "4s")];
    let mut exports =
        [Export::start(&cluster, "10s", "json"), Export::start(&cluster, "4s", "dir")];
    let leader = cluster.ensemble.leader().addr();
    let servers = cluster.ensemble.servers();
    let followers: Vec<&Server> = servers.iter().filter(|s| s.addr() != leader).collect();
    let quorum = ("no quorum", followers, Duration::from_secs(20));
    let all = ("no server", servers.iter().collect(), Duration::from_secs(60));
    for (outage, lost, time) in [quorum, all] {
        let of_hosts = hosts.each_ref().map(|h| ToolSnapshot::of(h.name, &h.running, h.dir()));
        let of_exports = exports
            .each_ref()
            .map(|e| ToolSnapshot::of("an exporter", &e.running, e.scratch.path()));
        let all_before = || of_hosts.iter().chain(&of_exports);
        lost.iter().for_each(|server| server.kill());
        holds_for(time, "everything stays as it is", || {
            all_before().try_for_each(ToolSnapshot::check_untouched)
        });
        let all_running = hosts.iter_mut().map(|host| &mut host.running);
        let all_running = all_running.chain(exports.iter_mut().map(|export| &mut export.running));
        for (before, running) in all_before().zip(all_running) {
            before.assert_cost_little(running, outage, time);
        }
        lost.iter().for_each(|server| server.start_again());
        lost.iter().for_each(|server| server.wait_until_serving());
        let all_running = hosts.iter().map(|host| &host.running);
        let all_running = all_running.chain(exports.iter().map(|export| &export.running));
        all_before().zip(all_running).for_each(|(before, it)| before.wait_reconnected(it, outage));
        let mut zk = cluster.ensemble.zk();
        hosts.iter_mut().for_each(|host| host.assert_unharmed(&mut zk, outage));
        // The tools read everything again and write nothing.
        holds_for(Duration::from_millis(500), "everything stays as it is", || {
            all_before().try_for_each(ToolSnapshot::check_untouched)
        });
        all_before().for_each(|before| assert_eq!(contents(&before.dir), before.contents));

        hosts[0].edit();
        for host in &mut hosts {
            host.assert_takes_edits(&mut zk, outage);
            host.assert_unharmed(&mut zk, outage);
        }
        // The next outage begins when all edits have arrived everywhere.
        for export in &exports {
            hosts.iter().for_each(|host| export.wait_host(host));
        }
    }
}

#[test]
fn an_edit_made_without_a_quorum_arrives_when_there_is_one() {
    let cluster = Cluster::start();
    let mut hosts = [Host::join(&cluster, "busy", "10s"), Host::join(&cluster, "idle", "4s")];
    let leader = cluster.ensemble.leader().addr();
    let servers = cluster.ensemble.servers();
    let followers: Vec<&Server> = servers.iter().filter(|s| s.addr() != leader).collect();
    followers.iter().for_each(|server| server.kill());
    hosts.iter().for_each(|host| host.running.wait_log("no server can be reached"));
    hosts[0].edit();
    followers.iter().for_each(|server| server.start_again());
    followers.iter().for_each(|server| server.wait_until_serving());
    let mut zk = cluster.ensemble.zk();
    hosts.iter_mut().for_each(|host| host.assert_unharmed(&mut zk, "quorum lost and back"));
}
