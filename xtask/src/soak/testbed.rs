//! The servers, the proxies and the tools, and what happens while they run.
//!
//! **Invariant.** One thread owns everything; the other threads only send events. While time
//! passes, edits are made and the invariants that always hold are checked.

use super::conf::Format;
use super::error::SoakError;
use super::exec_group::{self, ExecGroup};
use super::farm::FARM;
use super::options::Soak;
use super::report::Report;
use super::shared_record::{COMMON, SharedRecord};
use super::threads::{self, Edit, Event};
use super::tools::{Daemon, Exporter, Joiner};
use super::user::have_own_user;
use crate::workspace;
use farm_harness::{Ensemble, FaultProxy, Options, Scratch, Tool};
use fastrand::Rng;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

const JOINERS: usize = 8;
/// Stands for the group of zkexec in an edit. No host has this name.
const EXEC_GROUP: &str = "exec-group";
/// How often an edit is made and the invariants are checked.
const TICK: Duration = Duration::from_millis(50);
/// If no server answers for this share of the session timeout, sessions may have ended.
pub(super) const SAFE_SHARE: f64 = 0.5;

/// Everything that runs, and what is known about it.
pub(super) struct Testbed {
    // Fields are dropped in this order: tools, proxies, servers, directory.
    pub(super) joiners: Vec<Joiner>,
    pub(super) shared: SharedRecord,
    pub(super) exporters: Vec<Exporter>,
    pub(super) execs: ExecGroup,
    pub(super) proxies: Vec<FaultProxy>,
    pub(super) ensemble: Ensemble,
    _scratch: Scratch,
    signals: Signals,
    events: Receiver<Event>,
    edits: Sender<Edit>,
    rng: Rng,
    pub(super) session_timeout: Duration,
    pub(super) report: Report,
    pub(super) is_editing: bool,
    next_tick: Instant,
}

impl Testbed {
    pub(super) fn start(soak: &Soak, seed: u64) -> Result<Self, SoakError> {
        // From here on, a signal must not kill the process: there is something to clean up.
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
        let proxies: Vec<_> = servers.iter().map(|addr| FaultProxy::start(*addr)).collect();
        ensemble.zk().create_all(FARM, "").map_err(SoakError::Zk)?;
        ensemble.zk().create_all(exec_group::MIRRORED, "{}").map_err(SoakError::Zk)?;
        let (event_sender, events) = channel();
        let (edits, edit_receiver) = channel();
        threads::start_watcher(servers.clone(), event_sender.clone())?;
        threads::start_writer(servers, edit_receiver, event_sender)?;
        let scratch = Scratch::new();
        let tool_at = |host: &str, name: &str| {
            let addr = |proxy: &FaultProxy| format!("{host}:{}", proxy.addr().port());
            let addrs: Vec<_> = proxies.iter().map(addr).collect();
            let timeout = format!("{}ms", soak.session_timeout.as_millis());
            let tool = if have_own_user() {
                Tool::unprivileged(name, &scratch)
            } else {
                Tool::program(workspace::bin_dir().join(name))
            };
            tool.args(["--host", &addrs.join(","), "--session-timeout", &timeout])
        };
        let tool = |name: &str| tool_at("127.0.0.1", name);
        let joiners =
            (0..JOINERS).map(|index| Joiner::start(tool("zkjoin"), scratch.path(), index));
        let sharers = ["127.0.0.1", "localhost"].map(|host| tool_at(host, "zkjoin"));
        let exporters = [Format::Php, Format::Json, Format::Dir]
            .map(|format| Exporter::start(tool("zkexport"), scratch.path(), format));
        Ok(Self {
            joiners: joiners.collect(),
            shared: SharedRecord::start(sharers, scratch.path()),
            exporters: exporters.into(),
            execs: ExecGroup::start([tool("zkexec"), tool("zkexec")], scratch.path()),
            proxies,
            ensemble,
            _scratch: scratch,
            signals,
            events,
            edits,
            // Not the one of the faults, which must not depend on the number of edits.
            rng: Rng::with_seed(seed ^ 0x5eed),
            session_timeout: soak.session_timeout,
            report: Report::new(soak.verbose),
            is_editing: false,
            next_tick: Instant::now(),
        })
    }

    /// The error for a violated invariant.
    pub(super) fn violated(&self, what: String, log: String) -> SoakError {
        let after = self.report.start.elapsed();
        SoakError::Violated { what, after, timeline: self.report.timeline(), log }
    }

    /// All tools.
    pub(super) fn daemons(&mut self) -> impl Iterator<Item = &mut Daemon> {
        let joiners = self.joiners.iter_mut().map(|joiner| &mut joiner.daemon);
        let sharers = self.shared.sharers.iter_mut().map(|sharer| &mut sharer.daemon);
        let exporters = self.exporters.iter_mut().map(|exporter| &mut exporter.daemon);
        let execs = self.execs.members.iter_mut().map(|exec| &mut exec.daemon);
        joiners.chain(sharers).chain(exporters).chain(execs)
    }

    /// Tells the checks that any session may have ended.
    pub(super) fn expect_session_ends(&mut self, why: &str) {
        if !self.joiners.iter().all(|joiner| joiner.session_may_have_ended) {
            self.report.note(&format!("  sessions may end: {why}"));
        }
        self.joiners.iter_mut().for_each(|joiner| joiner.session_may_have_ended = true);
    }

    /// Lets everything run for some time.
    pub(super) fn run_for(&mut self, time: Duration) -> Result<(), SoakError> {
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
            match self.events.recv_timeout(wait) {
                Ok(event) => self.on_event(event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.violated(
                        "the threads of the soak test have ended".to_owned(),
                        String::new(),
                    ));
                }
            }
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }

    /// Handles the events that have been sent, without waiting.
    pub(super) fn drain_events(&mut self) -> Result<(), SoakError> {
        while let Ok(event) = self.events.try_recv() {
            self.on_event(event)?;
        }
        Ok(())
    }

    fn on_event(&mut self, event: Event) -> Result<(), SoakError> {
        match event {
            Event::Written { host, number } => {
                let joiner = self.joiners.iter_mut().find(|joiner| joiner.daemon.name == host);
                let remote = match joiner {
                    Some(joiner) => &mut joiner.remote,
                    None if host == EXEC_GROUP => &mut self.execs.edits,
                    None => &mut self.shared.remote,
                };
                remote.confirmed = number;
                self.report.edits += 1;
                Ok(())
            }
            Event::Observed { members, gap } => {
                if gap > self.session_timeout.mul_f64(SAFE_SHARE) {
                    self.expect_session_ends(&format!(
                        "no server answered for {:.1} s",
                        gap.as_secs_f64()
                    ));
                }
                if let Err(what) = self.shared.check_identity(members.get(COMMON)) {
                    return Err(self.violated(what, String::new()));
                }
                let changed = self.joiners.iter().find(|joiner| {
                    let seen = members.get(&joiner.daemon.name).copied();
                    !joiner.session_may_have_ended && seen != joiner.identity
                });
                let Some(joiner) = changed else { return Ok(()) };
                let (name, seen) = (&joiner.daemon.name, members.get(&joiner.daemon.name));
                let what =
                    format!("the znode of {name} was {:x?} and is {seen:x?}", joiner.identity);
                Err(self.violated(what, joiner.daemon.running.stderr()))
            }
        }
    }

    fn tick(&mut self) -> Result<(), SoakError> {
        self.report.progress();
        let exited = self.daemons().find_map(|daemon| {
            let log = daemon.has_exited_by_itself().then(|| daemon.running.stderr())?;
            Some((format!("{} has exited", daemon.name), log))
        });
        if let Some((what, log)) = exited {
            return Err(self.violated(what, log));
        }
        for exporter in &self.exporters {
            let present = self.joiners.iter().filter(|joiner| !joiner.session_may_have_ended);
            let present = present.map(|joiner| joiner.daemon.name.as_str());
            let common = self.shared.is_known().then_some(COMMON);
            if let Some(name) = exporter.missing_host(present.chain(common)) {
                let what = format!("{} no longer has {name}", exporter.daemon.name);
                return Err(self.violated(what, exporter.daemon.running.stderr()));
            }
        }
        if let Err(what) = self.execs.check_not_all_down() {
            return Err(self.violated(what, String::new()));
        }
        if self.is_editing { self.edit() } else { Ok(()) }
    }

    fn edit(&mut self) -> Result<(), SoakError> {
        if let Some(number) = self.execs.edit(&mut self.rng) {
            let edit =
                Edit { host: EXEC_GROUP.to_owned(), path: exec_group::MIRRORED.to_owned(), number };
            drop(self.edits.send(edit));
        }
        let index = self.rng.usize(..=self.joiners.len());
        let Some(joiner) = self.joiners.get_mut(index) else {
            let remote = self.shared.edit(&mut self.rng).map_err(SoakError::System)?;
            match remote {
                Some(number) => self.request_edit(COMMON.to_owned(), number),
                None => self.report.edits += 1,
            }
            return Ok(());
        };
        let (is_local, is_in_place) = (self.rng.bool(), self.rng.bool());
        let is_dir = joiner.conf.format == Format::Dir;
        let is_local = if is_dir { is_local } else { joiner.is_local_turn };
        if is_local {
            joiner.edit(is_in_place).map_err(SoakError::System)?;
            self.report.edits += 1;
        } else if joiner.remote.requested == joiner.remote.confirmed {
            joiner.remote.requested += 1;
            let (host, number) = (joiner.daemon.name.clone(), joiner.remote.requested);
            self.request_edit(host, number);
        }
        Ok(())
    }

    /// Sends an edit to the writer.
    fn request_edit(&self, host: String, number: u64) {
        // If the writer has exited, `run_for` notices it.
        let path = format!("{FARM}/{host}");
        drop(self.edits.send(Edit { host, path, number }));
    }
}
