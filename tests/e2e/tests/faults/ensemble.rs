//! Three servers, each behind a proxy, and hosts that connect to them.

use crate::join::fixture::{edit, hostname, record};
use farm_harness::{
    Ensemble, FaultProxy, Options, Running, Scratch, Server, Stat, Tool, Zk, eventually_within,
};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// The farm of the hosts.
const FARM: &str = "/farm";

/// Longer than any of these faults may disconnect a host.
const PATIENCE: Duration = Duration::from_secs(20);

const TICK_MS: u32 = 250;
const SYNC_TICKS: u32 = 6;

/// How long the servers of a [`Cluster`] take to notice that their leader is gone.
pub(crate) const LEADER_TIMEOUT: Duration = Duration::from_millis((TICK_MS * SYNC_TICKS) as u64);

/// Prints a measurement to the test's output.
#[expect(clippy::print_stderr, reason = "the test's own output, shown on demand")]
pub(crate) fn print_duration(what: &str, measured: Duration) {
    eprintln!("{what}: {} ms", measured.as_millis());
}

/// The session id in a tool's log.
pub(crate) fn session_of(running: &Running) -> String {
    let log = running.stderr();
    let session = log.rsplit(" session=").next().and_then(|rest| rest.split_whitespace().next());
    session.filter(|id| id.starts_with("0x")).unwrap_or_else(|| panic!("{log}")).to_owned()
}

pub(crate) struct Cluster {
    // Dropped before the servers.
    proxies: Vec<FaultProxy>,
    pub(crate) ensemble: Ensemble,
}

impl Cluster {
    /// A lost leader or follower is noticed after 1.5 seconds, well within the session timeout.
    pub(crate) fn start() -> Self {
        let options = Options {
            servers: 3,
            tick_ms: TICK_MS,
            init_limit: 40,
            sync_limit: SYNC_TICKS,
            ..Options::default()
        };
        let ensemble = Ensemble::with(&options);
        let proxies = ensemble.servers().iter().map(|server| FaultProxy::start(server.addr()));
        Self { proxies: proxies.collect(), ensemble }
    }

    pub(crate) fn servers(&self) -> String {
        let addrs: Vec<String> =
            self.proxies.iter().map(|proxy| proxy.addr().to_string()).collect();
        addrs.join(",")
    }

    /// Makes all hosts connect to the leader, or to a follower, and returns its index.
    pub(crate) fn gather(&self, hosts: &mut [Host], on_leader: bool) -> usize {
        let target = eventually_within(PATIENCE, "a server to gather on", || {
            let modes: Vec<_> = self.ensemble.servers().iter().map(Server::is_leader).collect();
            if !modes.contains(&true) {
                return Err(format!("no leader: {modes:?}"));
            }
            modes.iter().position(|is_leader| *is_leader == on_leader).ok_or("none".to_owned())
        });
        self.ensemble.server(target).wait_until_serving();
        for (index, proxy) in self.proxies.iter().enumerate() {
            if index != target {
                proxy.refuse();
                proxy.cut();
            }
        }
        let count = hosts.len() as u64;
        eventually_within(PATIENCE, "all hosts are on one server", || {
            let open: Vec<u64> = self.proxies.iter().map(|proxy| proxy.counts().open).collect();
            if open[target] == count { Ok(()) } else { Err(format!("{open:?}")) }
        });
        let server = format!("server={} ", self.proxies[target].addr());
        for host in &mut *hosts {
            host.assert_running("gathered");
            // Later log lines are then about the fault.
            eventually_within(PATIENCE, "it logs its server", || {
                let log = host.running.stderr();
                let last = log.lines().rfind(|line| line.contains(" connected"));
                let is_there = last.is_some_and(|line| line.contains(&server));
                if is_there { Ok(()) } else { Err(log) }
            });
        }
        self.proxies.iter().for_each(FaultProxy::accept);
        target
    }

    /// The server to which the only tool is connected.
    pub(crate) fn connected_server(&self) -> usize {
        eventually_within(PATIENCE, "one server has its connection", || {
            let open: Vec<u64> = self.proxies.iter().map(|proxy| proxy.counts().open).collect();
            let sum: u64 = open.iter().sum();
            open.iter().position(|count| *count == 1 && sum == 1).ok_or_else(|| format!("{open:?}"))
        })
    }

    /// Makes one server's proxy a black hole.
    pub(crate) fn stall(&self, index: usize) {
        self.proxies[index].stall();
    }

    pub(crate) fn pass(&self, index: usize) {
        self.proxies[index].pass();
        // The bytes held back belong to connections that the tools have given up.
        self.proxies[index].cut();
    }
}

/// A host, and the state of its znode when it joined.
pub(crate) struct Host {
    pub(crate) running: Running,
    pub(crate) name: &'static str,
    scratch: Scratch,
    stat: Stat,
    edits: usize,
}

impl Host {
    pub(crate) fn join(cluster: &Cluster, name: &'static str, timeout: &str) -> Self {
        let scratch = Scratch::new();
        scratch.write("conf/edits", "0");
        let servers = cluster.servers();
        let args = ["-H", &servers, "--session-timeout", timeout, "--name", name, FARM];
        let running = Tool::new("zkjoin").args(args).arg(scratch.join("conf")).spawn();
        running.wait_log("joined; ");
        let path = format!("{FARM}/{name}");
        let stat = cluster.ensemble.zk().get(&path).unwrap().stat;
        Self { running, name, scratch, stat, edits: 0 }
    }

    pub(crate) fn path(&self) -> String {
        format!("{FARM}/{}", self.name)
    }

    /// The directory that holds only its config.
    pub(crate) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// Makes a local edit.
    pub(crate) fn edit(&mut self) {
        self.edits += 1;
        self.scratch.write("conf/edits", self.edits.to_string());
    }

    /// The number of edits, as its znode will show it.
    pub(crate) fn edits(&self) -> String {
        self.edits.to_string()
    }

    pub(crate) fn assert_running(&mut self, what: &str) {
        assert!(self.running.is_running(), "{what}: {}", self.running.stderr());
    }

    /// How often it has reconnected.
    pub(crate) fn reconnects(&self) -> usize {
        self.running.stderr().matches("connected again").count()
    }

    /// Edits ten times a second until it has reconnected more often than `reconnects`, `is_over`
    /// holds and the edits arrive. Returns the longest time during which no edit arrived.
    pub(crate) fn edits_until(
        &mut self,
        reconnects: usize,
        connect: impl Fn() -> Option<Zk>,
        is_over: impl Fn() -> bool,
    ) -> Duration {
        let mut client: Option<Zk> = None;
        let mut last_arrival = Instant::now();
        let mut longest = Duration::ZERO;
        let mut next_edit = Instant::now();
        let path = self.path();
        eventually_within(PATIENCE * 2, "the fault is over", || {
            if Instant::now() >= next_edit {
                self.edit();
                next_edit = Instant::now() + Duration::from_millis(100);
            }
            if client.is_none() {
                client = connect();
            }
            let seen = client.as_mut().and_then(|zk| record(zk, &path).ok());
            let Some(seen) = seen else {
                client = None;
                return Err(self.running.stderr());
            };
            let arrived = seen["edits"].as_str().and_then(|text| text.parse::<usize>().ok());
            // The latest edit may not have arrived yet.
            let is_flowing = arrived.is_some_and(|arrived| arrived + 2 > self.edits);
            if is_flowing {
                last_arrival = Instant::now();
            }
            longest = longest.max(last_arrival.elapsed());
            let is_done = is_flowing && self.reconnects() > reconnects && is_over();
            if is_done { Ok(()) } else { Err(self.running.stderr()) }
        });
        longest
    }

    /// Expects that the znode is still the one from the start, and has all edits.
    pub(crate) fn assert_unharmed(&mut self, zk: &mut Zk, what: &str) {
        let wanted = json!({"edits": self.edits.to_string(), "hostname": hostname()});
        self.wait_record(zk, &wanted, what);
        let stat = zk.get(&self.path()).unwrap().stat;
        let (is, was) =
            ((stat.czxid, stat.ephemeral_owner), (self.stat.czxid, self.stat.ephemeral_owner));
        assert_eq!(is, was, "{what}: {}", self.running.stderr());
        self.assert_running(what);
    }

    pub(crate) fn wait_record(&self, zk: &mut Zk, wanted: &Value, what: &str) {
        let path = self.path();
        eventually_within(PATIENCE, &format!("{what}: {path} holds {wanted}"), || {
            let found = record(zk, &path)?;
            let log = self.running.stderr();
            if found == *wanted { Ok(()) } else { Err(format!("{found}\n{log}")) }
        });
    }

    /// Expects that remote edits arrive.
    pub(crate) fn assert_takes_edits(&self, zk: &mut Zk, value: &str) {
        edit(zk, &self.path(), |record| record["remote"] = json!(value));
        eventually_within(PATIENCE, "the remote edit is in the config", || {
            let text = self.scratch.read("conf/remote")?;
            if text == value { Ok(()) } else { Err(text) }
        });
        edit(zk, &self.path(), |record| drop(record.as_object_mut().unwrap().remove("remote")));
        eventually_within(PATIENCE, "the field is gone again", || {
            if self.scratch.join("conf/remote").exists() { Err("it is there") } else { Ok(()) }
        });
    }
}
