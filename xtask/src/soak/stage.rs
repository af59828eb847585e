//! The servers, the wires, the tools, and how time passes for them.
//!
//! **Invariant.** One thread owns all of it; the others only post. While time
//! passes, edits are made, and whoever may not be missing is looked for.

use super::conf::Kind;
use super::error::SoakError;
use super::farm::FARM;
use super::options::Soak;
use super::report::Report;
use super::roll::{self, Rollers};
use super::shared::{COMMON, Common};
use super::threads::{self, Edit, News};
use super::tools::{Daemon, Exporter, Joiner};
use crate::workspace;
use farm_harness::{Ensemble, FaultProxy, Options, Scratch, Tool};
use fastrand::Rng;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

const JOINERS: usize = 8;
/// No host has this name.
const ROLLERS: &str = "rollers";
/// Edits of either side fall about that often.
const TICK: Duration = Duration::from_millis(50);
/// Nobody could look at the farm for so long a part of the session timeout:
/// sessions may have ended.
pub(super) const SHARE_MAX: f64 = 0.5;

/// Everything that runs, and what is known of it.
pub(super) struct Stage {
    // First the tools go, then the wires, the servers, and the directory.
    pub(super) joiners: Vec<Joiner>,
    pub(super) common: Common,
    pub(super) exporters: Vec<Exporter>,
    pub(super) rollers: Rollers,
    pub(super) wires: Vec<FaultProxy>,
    pub(super) ensemble: Ensemble,
    _scratch: Scratch,
    signals: Signals,
    news: Receiver<News>,
    edits: Sender<Edit>,
    rng: Rng,
    pub(super) session_timeout: Duration,
    pub(super) report: Report,
    pub(super) is_editing: bool,
    next_tick: Instant,
}

impl Stage {
    pub(super) fn set(soak: &Soak, seed: u64) -> Result<Self, SoakError> {
        // From here on there is something to clean up.
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(SoakError::System)?;
        let options = Options {
            servers: 3,
            tick_ms: 250,
            init_limit: 40,
            sync_limit: 6,
            heap_mb: 128,
            ..Options::default()
        };
        let ensemble = Ensemble::try_with(&options).map_err(SoakError::Servers)?;
        let servers: Vec<SocketAddr> =
            ensemble.servers().iter().map(farm_harness::Server::addr).collect();
        let wires: Vec<_> = servers.iter().map(|addr| FaultProxy::start(*addr)).collect();
        ensemble.zk().create_all(FARM, "").map_err(SoakError::Zk)?;
        ensemble.zk().create_all(roll::CONTENT, "{}").map_err(SoakError::Zk)?;
        let (post, news) = channel();
        let (edits, orders) = channel();
        threads::watch(servers.clone(), post.clone())?;
        threads::write(servers, orders, post)?;
        let scratch = Scratch::new();
        let tool_at = |host: &str, name: &str| {
            let addr = |wire: &FaultProxy| format!("{host}:{}", wire.addr().port());
            let addrs: Vec<_> = wires.iter().map(addr).collect();
            let timeout = format!("{}ms", soak.session_timeout.as_millis());
            Tool::program(workspace::bin_dir().join(name)).args([
                "--host",
                &addrs.join(","),
                "--session-timeout",
                &timeout,
            ])
        };
        let tool = |name: &str| tool_at("127.0.0.1", name);
        let joiners =
            (0..JOINERS).map(|index| Joiner::start(tool("zkjoin"), scratch.path(), index));
        let sharers = ["127.0.0.1", "localhost"].map(|host| tool_at(host, "zkjoin"));
        let exporters = [Kind::Php, Kind::Json, Kind::Dir]
            .map(|kind| Exporter::start(tool("zkexport"), scratch.path(), kind));
        Ok(Self {
            joiners: joiners.collect(),
            common: Common::start(sharers, scratch.path()),
            exporters: exporters.into(),
            rollers: Rollers::start([tool("zkexec"), tool("zkexec")], scratch.path()),
            wires,
            ensemble,
            _scratch: scratch,
            signals,
            news,
            edits,
            // Of its own: how many edits are made must not change the faults.
            rng: Rng::with_seed(seed ^ 0x5eed),
            session_timeout: soak.session_timeout,
            report: Report::new(soak.verbose),
            is_editing: false,
            next_tick: Instant::now(),
        })
    }

    /// What must hold does not.
    pub(super) fn broken(&self, what: String, log: String) -> SoakError {
        let after = self.report.start.elapsed();
        SoakError::Broken { what, after, timeline: self.report.timeline(), log }
    }

    /// All tools, for what is the same for each.
    pub(super) fn daemons(&mut self) -> impl Iterator<Item = &mut Daemon> {
        let joiners = self.joiners.iter_mut().map(|joiner| &mut joiner.daemon);
        let sharers = self.common.sharers.iter_mut().map(|sharer| &mut sharer.daemon);
        let exporters = self.exporters.iter_mut().map(|exporter| &mut exporter.daemon);
        let rollers = self.rollers.rollers.iter_mut().map(|roller| &mut roller.daemon);
        joiners.chain(sharers).chain(exporters).chain(rollers)
    }

    /// Any session may have ended.
    pub(super) fn excuse_all(&mut self, why: &str) {
        if !self.joiners.iter().all(|joiner| joiner.is_excused) {
            self.report.note(&format!("  sessions may end: {why}"));
        }
        self.joiners.iter_mut().for_each(|joiner| joiner.is_excused = true);
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) -> Result<(), SoakError> {
        let end = Instant::now() + time;
        loop {
            if self.signals.pending().next().is_some() {
                return Err(SoakError::Interrupted);
            }
            let now = Instant::now();
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                self.tick()?;
            }
            let wait = self.next_tick.min(end).saturating_duration_since(Instant::now());
            match self.news.recv_timeout(wait) {
                Ok(news) => self.take(news)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(
                        self.broken("the soak's own threads have ended".to_owned(), String::new())
                    );
                }
            }
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }

    /// Reads what has been posted, without waiting.
    pub(super) fn catch_up(&mut self) -> Result<(), SoakError> {
        while let Ok(news) = self.news.try_recv() {
            self.take(news)?;
        }
        Ok(())
    }

    fn take(&mut self, news: News) -> Result<(), SoakError> {
        match news {
            News::Written { host, number } => {
                let joiner = self.joiners.iter_mut().find(|joiner| joiner.daemon.name == host);
                let remote = match joiner {
                    Some(joiner) => &mut joiner.remote,
                    None if host == ROLLERS => &mut self.rollers.edits,
                    None => &mut self.common.remote,
                };
                remote.made = number;
                self.report.edits += 1;
                Ok(())
            }
            News::Seen { members, gap } => {
                if gap > self.session_timeout.mul_f64(SHARE_MAX) {
                    self.excuse_all(&format!("no server told for {:.1} s", gap.as_secs_f64()));
                }
                if let Err(what) = self.common.is_the_same(members.get(COMMON)) {
                    return Err(self.broken(what, String::new()));
                }
                let stranger = self.joiners.iter().find(|joiner| {
                    let seen = members.get(&joiner.daemon.name).copied();
                    !joiner.is_excused && seen != joiner.identity
                });
                let Some(joiner) = stranger else { return Ok(()) };
                let (name, seen) = (&joiner.daemon.name, members.get(&joiner.daemon.name));
                let what = format!("{name} was {:x?} and is {seen:x?}", joiner.identity);
                Err(self.broken(what, joiner.daemon.running.stderr()))
            }
        }
    }

    fn tick(&mut self) -> Result<(), SoakError> {
        self.report.progress();
        let ended = self.daemons().find_map(|daemon| {
            let log = (!daemon.is_up()).then(|| daemon.running.stderr())?;
            Some((format!("{} has ended", daemon.name), log))
        });
        if let Some((what, log)) = ended {
            return Err(self.broken(what, log));
        }
        for exporter in &self.exporters {
            let present = self.joiners.iter().filter(|joiner| !joiner.is_excused);
            let present = present.map(|joiner| joiner.daemon.name.as_str());
            let common = self.common.is_settled().then_some(COMMON);
            if let Some(name) = exporter.lacks(present.chain(common)) {
                let what = format!("{} has lost {name}", exporter.daemon.name);
                return Err(self.broken(what, exporter.daemon.running.stderr()));
            }
        }
        if let Err(what) = self.rollers.are_not_all_down() {
            return Err(self.broken(what, String::new()));
        }
        if self.is_editing { self.edit() } else { Ok(()) }
    }

    fn edit(&mut self) -> Result<(), SoakError> {
        if let Some(number) = self.rollers.edit(&mut self.rng) {
            let edit = Edit { host: ROLLERS.to_owned(), path: roll::CONTENT.to_owned(), number };
            drop(self.edits.send(edit));
        }
        let index = self.rng.usize(..=self.joiners.len());
        let Some(joiner) = self.joiners.get_mut(index) else {
            let remote = self.common.edit(&mut self.rng).map_err(SoakError::System)?;
            match remote {
                Some(number) => self.order(COMMON.to_owned(), number),
                None => self.report.edits += 1,
            }
            return Ok(());
        };
        let (is_local, is_in_place) = (self.rng.bool(), self.rng.bool());
        let is_dir = joiner.conf.kind == Kind::Dir;
        let is_local = if is_dir { is_local } else { joiner.is_locals_turn };
        if is_local {
            joiner.edit(is_in_place).map_err(SoakError::System)?;
            self.report.edits += 1;
        } else if joiner.remote.wanted == joiner.remote.made {
            joiner.remote.wanted += 1;
            let (host, number) = (joiner.daemon.name.clone(), joiner.remote.wanted);
            self.order(host, number);
        }
        Ok(())
    }

    /// Has the writer edit a znode.
    fn order(&self, host: String, number: u64) {
        // The writer's end shows when its news are missing.
        let path = format!("{FARM}/{host}");
        drop(self.edits.send(Edit { host, path, number }));
    }
}
