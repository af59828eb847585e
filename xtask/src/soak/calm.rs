//! When all faults are taken back, everything must come right.

use super::error::SoakError;
use super::eye::Eye;
use super::farm::{self, Farm, counter};
use super::shared::COMMON;
use super::stage::Stage;
use super::tools::Joiner;
use farm_harness::{FaultProxy, Server};
use std::time::{Duration, Instant};

/// The longest pause between two attempts of a tool, and a new session after it.
const CALM_WAIT: Duration = Duration::from_secs(30);
/// How long nothing may move any more: no write answers another for ever.
const STILL: Duration = Duration::from_millis(600);
/// Notable lines of one tool for one fault.
const LINES_PER_FAULT_MAX: usize = 20;

/// What is wrong, and whose log tells about it.
struct Complaint {
    what: String,
    daemon: Option<String>,
}

impl Stage {
    /// Waits until everything is right again, and returns how long that took.
    pub(super) fn calm(&mut self, faults: usize) -> Result<Duration, SoakError> {
        self.is_editing = false;
        self.wires.iter().for_each(FaultProxy::pass);
        self.wait_serving()?;
        let start = Instant::now();
        let deadline = start + CALM_WAIT + self.session_timeout * 2;
        let mut eye = Eye::new(self.ensemble.servers().iter().map(Server::addr).collect());
        let (settled, took) = loop {
            let complaint = match farm::read(&mut eye) {
                Ok(farm) => match self.complaint(&farm, &mut eye)? {
                    None => break (farm, start.elapsed()),
                    Some(complaint) => complaint,
                },
                Err(error) => Complaint { what: format!("no farm: {error:?}"), daemon: None },
            };
            if Instant::now() > deadline {
                return Err(self.complain(complaint, "not right in time"));
            }
            self.pass(Duration::from_millis(50))?;
        };
        self.pass(STILL)?;
        let after = farm::read(&mut eye)?;
        if after != settled {
            let moved = after.iter().find(|(name, host)| settled.get(*name) != Some(*host));
            let daemon = moved.map(|(name, _)| name.clone());
            let what = format!("{settled:?}\nbecame {after:?}");
            return Err(self.complain(Complaint { what, daemon }, "it does not come to rest"));
        }
        if let Some(complaint) = self.complaint(&after, &mut eye)? {
            return Err(self.complain(complaint, "it was right, and is no more"));
        }
        self.catch_up()?;
        for joiner in &mut self.joiners {
            let host = &after[&joiner.daemon.name];
            joiner.identity = Some(host.identity);
            joiner.is_excused = false;
            // An edit that went with an old znode is not asked for again.
            joiner.remote.settle(counter(&host.record, "remote"));
            joiner.is_locals_turn = !joiner.is_locals_turn;
        }
        self.common.settle(&after);
        self.rollers.settle();
        self.weigh(faults)?;
        Ok(took)
    }

    /// The first thing that is not as it should be.
    fn complaint(&self, farm: &Farm, eye: &mut Eye) -> Result<Option<Complaint>, SoakError> {
        let of = |daemon: &str, what| Ok(Some(Complaint { what, daemon: Some(daemon.to_owned()) }));
        let is_known = |name: &&String| {
            *name == COMMON || self.joiners.iter().any(|joiner| joiner.daemon.name == **name)
        };
        if let Some(name) = farm.keys().find(|name| !is_known(name)) {
            let what = format!("a stranger: {name}");
            return Ok(Some(Complaint { what, daemon: None }));
        }
        for joiner in &self.joiners {
            if let Err(what) = stands(joiner, farm) {
                return of(&joiner.daemon.name, what);
            }
        }
        if let Some((name, what)) = self.common.complaint(farm) {
            return of(name, what);
        }
        for exporter in &self.exporters {
            if let Err(what) = exporter.shows(farm) {
                return of(&exporter.daemon.name, what);
            }
        }
        match self.rollers.complaint(eye) {
            Ok(Some((name, what))) => of(name, what),
            Ok(None) => Ok(None),
            Err(error) => Ok(Some(Complaint { what: format!("{error:?}"), daemon: None })),
        }
    }

    fn complain(&mut self, complaint: Complaint, why: &str) -> SoakError {
        let Complaint { what, daemon: name } = complaint;
        let what = format!("{why}: {}: {what}", name.as_deref().unwrap_or("the farm"));
        let daemon = self.daemons().find(|daemon| Some(&daemon.name) == name.as_ref());
        let log = daemon.map(|daemon| daemon.running.stderr());
        self.broken(what, log.unwrap_or_default())
    }

    /// Nobody takes more than it should, and nobody says more.
    fn weigh(&mut self, faults: usize) -> Result<(), SoakError> {
        let lines_max = LINES_PER_FAULT_MAX * (faults + 1);
        let excess = self.daemons().find_map(|daemon| {
            let what = daemon.usage.look(&daemon.running, lines_max).err()?;
            Some((format!("{}: {what}", daemon.name), daemon.running.stderr()))
        });
        excess.map_or(Ok(()), |(what, log)| Err(self.broken(what, log)))
    }
}

/// The host is what it was, both its sides hold the same, and no edit is lost.
fn stands(joiner: &Joiner, farm: &Farm) -> Result<(), String> {
    let host = farm.get(&joiner.daemon.name).ok_or("it is not in the farm")?;
    joiner.conf.agrees(&host.record)?;
    let (local, remote) = (counter(&host.record, "local"), counter(&host.record, "remote"));
    if local != joiner.local.wanted {
        return Err(format!("local edit {} is lost: {local}", joiner.local.wanted));
    }
    let wanted = &joiner.remote;
    if joiner.is_excused {
        // What was written to a znode just before it went, went with it.
        let is_kept = (wanted.settled..=wanted.wanted).contains(&remote);
        let is_made = wanted.wanted == wanted.made;
        return if is_kept && is_made { Ok(()) } else { Err(format!("{wanted:?}: {remote}")) };
    }
    if Some(host.identity) != joiner.identity {
        return Err(format!("it was {:x?} and is {:x?}", joiner.identity, host.identity));
    }
    if remote == wanted.wanted { Ok(()) } else { Err(format!("{wanted:?} is lost: {remote}")) }
}
