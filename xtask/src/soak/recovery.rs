//! After a round of faults, everything must recover; then all invariants are checked.

use super::error::SoakError;
use super::farm::{self, Farm, counter};
use super::observer::Observer;
use super::shared_record::COMMON;
use super::testbed::Testbed;
use super::tools::Joiner;
use farm_harness::{FaultProxy, Server};
use std::time::{Duration, Instant};

/// Enough for the longest back-off of a tool, and a new session after it.
const RECOVERY_WAIT: Duration = Duration::from_secs(30);
/// How long nothing may change after a recovery: tools must not answer each other's writes forever.
const QUIET: Duration = Duration::from_millis(600);
/// How many notable lines a tool may log for a fault.
const LINES_PER_FAULT_MAX: usize = 20;

/// A violation, and the name of the tool whose log belongs to it.
struct Violation {
    what: String,
    daemon: Option<String>,
}

impl Testbed {
    /// Removes all faults, waits until everything has recovered, and returns how long that took.
    pub(super) fn recover(&mut self, faults: usize) -> Result<Duration, SoakError> {
        self.is_editing = false;
        self.proxies.iter().for_each(FaultProxy::pass);
        self.wait_for_servers()?;
        let start = Instant::now();
        let deadline = start + RECOVERY_WAIT + self.session_timeout * 2;
        let mut observer =
            Observer::new(self.ensemble.servers().iter().map(Server::addr).collect());
        let (settled, took) = loop {
            let violation = match farm::read(&mut observer) {
                Ok(farm) => match self.violation(&farm, &mut observer)? {
                    None => break (farm, start.elapsed()),
                    Some(violation) => violation,
                },
                Err(error) => {
                    Violation { what: format!("cannot read the farm: {error:?}"), daemon: None }
                }
            };
            if Instant::now() > deadline {
                return Err(self.violation_error(violation, "not recovered in time"));
            }
            self.run_for(Duration::from_millis(50))?;
        };
        self.run_for(QUIET)?;
        let after = farm::read(&mut observer)?;
        if after != settled {
            let changed = after.iter().find(|(name, host)| settled.get(*name) != Some(*host));
            let daemon = changed.map(|(name, _)| name.clone());
            let what = format!("{settled:?}\nbecame {after:?}");
            return Err(self.violation_error(Violation { what, daemon }, "the farm keeps changing"));
        }
        if let Some(violation) = self.violation(&after, &mut observer)? {
            return Err(self.violation_error(violation, "recovered, but not any more"));
        }
        self.drain_events()?;
        for joiner in &mut self.joiners {
            let host = &after[&joiner.daemon.name];
            joiner.identity = Some(host.identity);
            joiner.session_may_have_ended = false;
            // An edit that was lost with an old znode is not repeated.
            joiner.remote.settle(counter(&host.record, "remote"));
            joiner.is_local_turn = !joiner.is_local_turn;
        }
        self.shared.settle(&after);
        self.execs.settle();
        self.check_usage(faults)?;
        Ok(took)
    }

    /// The first violation of any invariant.
    fn violation(
        &self,
        farm: &Farm,
        observer: &mut Observer,
    ) -> Result<Option<Violation>, SoakError> {
        let violation_of =
            |daemon: &str, what| Ok(Some(Violation { what, daemon: Some(daemon.to_owned()) }));
        let is_known = |name: &&String| {
            *name == COMMON || self.joiners.iter().any(|joiner| joiner.daemon.name == **name)
        };
        if let Some(name) = farm.keys().find(|name| !is_known(name)) {
            let what = format!("an unknown host: {name}");
            return Ok(Some(Violation { what, daemon: None }));
        }
        for joiner in &self.joiners {
            if let Err(what) = check_joiner(joiner, farm) {
                return violation_of(&joiner.daemon.name, what);
            }
        }
        if let Some((name, what)) = self.shared.violation(farm) {
            return violation_of(name, what);
        }
        for exporter in &self.exporters {
            if let Err(what) = exporter.check(farm) {
                return violation_of(&exporter.daemon.name, what);
            }
        }
        match self.execs.violation(observer) {
            Ok(Some((name, what))) => violation_of(name, what),
            Ok(None) => Ok(None),
            Err(error) => Ok(Some(Violation { what: format!("{error:?}"), daemon: None })),
        }
    }

    fn violation_error(&mut self, violation: Violation, why: &str) -> SoakError {
        let Violation { what, daemon: name } = violation;
        let what = format!("{why}: {}: {what}", name.as_deref().unwrap_or("the farm"));
        let daemon = self.daemons().find(|daemon| Some(&daemon.name) == name.as_ref());
        let log = daemon.map(|daemon| daemon.running.stderr());
        self.violated(what, log.unwrap_or_default())
    }

    /// Checks the resource usage and the logs of all tools.
    fn check_usage(&mut self, faults: usize) -> Result<(), SoakError> {
        let lines_max = LINES_PER_FAULT_MAX * (faults + 1);
        let excess = self.daemons().find_map(|daemon| {
            let what = daemon.usage.check(&daemon.running, lines_max).err()?;
            Some((format!("{}: {what}", daemon.name), daemon.running.stderr()))
        });
        excess.map_or(Ok(()), |(what, log)| Err(self.violated(what, log)))
    }
}

/// Checks that the host has its znode, that config and znode are equal, and that no edit is lost.
fn check_joiner(joiner: &Joiner, farm: &Farm) -> Result<(), String> {
    let host = farm.get(&joiner.daemon.name).ok_or("it is not in the farm")?;
    joiner.conf.check(&host.record)?;
    let (local, remote) = (counter(&host.record, "local"), counter(&host.record, "remote"));
    if local != joiner.local.requested {
        return Err(format!("local edit {} is lost: {local}", joiner.local.requested));
    }
    let edits = &joiner.remote;
    if joiner.session_may_have_ended {
        // An edit of the old znode just before it was deleted was lost with it.
        let is_kept = (edits.settled..=edits.requested).contains(&remote);
        let is_confirmed = edits.requested == edits.confirmed;
        return if is_kept && is_confirmed { Ok(()) } else { Err(format!("{edits:?}: {remote}")) };
    }
    if Some(host.identity) != joiner.identity {
        return Err(format!("its znode was {:x?} and is {:x?}", joiner.identity, host.identity));
    }
    if remote == edits.requested { Ok(()) } else { Err(format!("{edits:?} is lost: {remote}")) }
}
