//! Three servers, each behind a wire that can be cut, and hosts that live on them.

use crate::join::fixture::{edit, hostname, record};
use farm_harness::{
    Ensemble, FaultProxy, Options, Running, Scratch, Server, Stat, Tool, Zk, eventually_within,
};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// The farm of the hosts.
const FARM: &str = "/farm";

/// Longer than any of these faults may keep a host away.
const PATIENCE: Duration = Duration::from_secs(20);

const TICK_MS: u32 = 250;
const SYNC_TICKS: u32 = 6;

/// When the servers of a [`Cluster`] notice that their leader is gone.
pub(crate) const LEADER_LOST: Duration = Duration::from_millis((TICK_MS * SYNC_TICKS) as u64);

/// Tells what was measured to whoever runs a test with `--no-capture`.
#[expect(clippy::print_stderr, reason = "the test's own output, shown on demand")]
pub(crate) fn print_duration(what: &str, measured: Duration) {
    eprintln!("{what}: {} ms", measured.as_millis());
}

/// The session of a tool, as it names it.
pub(crate) fn session_of(running: &Running) -> String {
    let log = running.stderr();
    let told = log.rsplit(" session=").next().and_then(|rest| rest.split_whitespace().next());
    told.filter(|session| session.starts_with("0x")).unwrap_or_else(|| panic!("{log}")).to_owned()
}

pub(crate) struct Cluster {
    // The wires end before the servers do.
    proxies: Vec<FaultProxy>,
    pub(crate) ensemble: Ensemble,
}

impl Cluster {
    /// Followers are lost after a second, well within the session timeout.
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

    /// Brings all hosts to the server that leads, or to one that does not.
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
        eventually_within(PATIENCE, "everybody is on one server", || {
            let open: Vec<u64> = self.proxies.iter().map(|proxy| proxy.counts().open).collect();
            if open[target] == count { Ok(()) } else { Err(format!("{open:?}")) }
        });
        let server = format!("server={} ", self.proxies[target].addr());
        for host in &mut *hosts {
            host.assert_running("gathered");
            // Told as well, so that what is told from now on is about the fault.
            eventually_within(PATIENCE, "it says where it is", || {
                let log = host.running.stderr();
                let last = log.lines().rfind(|line| line.contains(" connected"));
                let is_there = last.is_some_and(|line| line.contains(&server));
                if is_there { Ok(()) } else { Err(log) }
            });
        }
        self.proxies.iter().for_each(FaultProxy::accept);
        target
    }

    /// The server that the only tool is on.
    pub(crate) fn connected_server(&self) -> usize {
        eventually_within(PATIENCE, "one server carries it", || {
            let open: Vec<u64> = self.proxies.iter().map(|proxy| proxy.counts().open).collect();
            let sum: u64 = open.iter().sum();
            open.iter().position(|count| *count == 1 && sum == 1).ok_or_else(|| format!("{open:?}"))
        })
    }

    /// Makes one server a black hole.
    pub(crate) fn stall(&self, index: usize) {
        self.proxies[index].stall();
    }

    pub(crate) fn pass(&self, index: usize) {
        self.proxies[index].pass();
        // What was held back for so long is of no use to anybody.
        self.proxies[index].cut();
    }
}

/// A host and what is known of its znode.
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

    /// Where its config is, and nothing else.
    pub(crate) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// A local edit, which some time later is in the znode.
    pub(crate) fn edit(&mut self) {
        self.edits += 1;
        self.scratch.write("conf/edits", self.edits.to_string());
    }

    /// What its znode is to say of the edits.
    pub(crate) fn edits(&self) -> String {
        self.edits.to_string()
    }

    pub(crate) fn assert_running(&mut self, what: &str) {
        assert!(self.running.is_running(), "{what}: {}", self.running.stderr());
    }

    /// How often it has been brought to another server, or back to one.
    pub(crate) fn reconnects(&self) -> usize {
        self.running.stderr().matches("connected again").count()
    }

    /// Edits ten times a second until it has moved more often than that, the probe is
    /// content and the edits arrive; returns the longest time in which none did.
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
            // The latest one may be on its way.
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

    /// The znode is the one it has been from the start, and both sides hold the same.
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

    /// A remote edit arrives too.
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
