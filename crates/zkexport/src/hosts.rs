//! The hosts of the farm as the file shall show them: those that are there, and those
//! that are held.

use crate::hold::{Hold, Rule, Settled};
use farm_core::cli::chain;
use farm_core::engine::LogOnce;
use farm_core::farm::FarmView;
use farm_core::farm::view::Unreadable;
use farm_core::model::{Farm, HostName};
use farm_core::session::ZnodePath;
use std::time::Instant;

/// The farm view, the hold, and what was said about either.
#[derive(Debug)]
pub(crate) struct Hosts {
    pub(crate) path: ZnodePath,
    pub(crate) roster: FarmView,
    hold: Option<Hold>,
    are_held: bool,
    pub(crate) missing: LogOnce,
    pub(crate) refusal: LogOnce,
}

impl Hosts {
    pub(crate) fn new(path: ZnodePath, rule: Option<Rule>) -> Self {
        Self {
            roster: FarmView::new(path.clone()),
            path,
            hold: rule.map(Hold::new),
            are_held: false,
            missing: LogOnce::default(),
            refusal: LogOnce::default(),
        }
    }

    /// All that the file may show.
    pub(crate) fn farm(&self) -> &Farm {
        self.hold.as_ref().map_or(self.roster.farm(), Hold::farm)
    }

    /// How many hosts are held.
    pub(crate) fn held(&self) -> usize {
        self.hold.as_ref().map_or(0, Hold::count)
    }

    /// When [`Hosts::settle`] has something to decide.
    pub(crate) fn hold_deadline(&self) -> Option<Instant> {
        self.hold.as_ref().and_then(Hold::deadline)
    }

    /// A host came, went or has another record; tells whether it is shown otherwise than before.
    pub(crate) fn changed(&mut self, now: Instant, host: &HostName) -> bool {
        let Some(hold) = &mut self.hold else { return true };
        let is_shown = hold.changed(now, host, self.roster.farm());
        self.tell_hold(&Settled::default());
        is_shown
    }

    /// The farm is known as a whole.
    pub(crate) fn complete(&mut self, now: Instant) {
        self.missing.clear();
        self.refusal.clear();
        if let Some(hold) = &mut self.hold {
            let settled = hold.complete(now, self.roster.farm());
            self.tell_hold(&settled);
        }
    }

    /// Decides about hosts that have gone.
    pub(crate) fn settle(&mut self, now: Instant) -> Settled {
        let Some(hold) = &mut self.hold else { return Settled::default() };
        let settled = hold.settle(now);
        self.tell_hold(&settled);
        settled
    }

    fn tell_hold(&mut self, settled: &Settled) {
        let Some(hold) = &self.hold else { return };
        let hosts = hold.count();
        if settled.held > 0 && !self.are_held {
            let limit = hold.limit();
            log::warn!(hosts; "many hosts went at once, keeping them for {limit:?}");
        }
        if settled.given_up > 0 {
            log::warn!(hosts = settled.given_up; "held hosts did not come back, removing them");
        }
        if self.are_held && hosts == 0 && settled.given_up == 0 {
            log::info!("all hosts that were held are back");
        }
        self.are_held = hosts > 0;
    }

    pub(crate) fn tell_unreadable(&self, host: &HostName, why: &Unreadable) {
        let kept = match self.roster.farm().get(host.as_str()) {
            Some(_) => "keeping its last record",
            None => "leaving it out",
        };
        let why = chain(why);
        log::warn!(host:%, farm:% = self.path; "a host can't be read, {kept}: {why}");
    }
}
