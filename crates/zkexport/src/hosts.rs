//! The hosts that the file may show: those with a znode, and those that are held.

use crate::hold::{Decision, Hold, HoldPolicy};
use farm_core::cli::chain;
use farm_core::codec::Parse;
use farm_core::engine::LogOnce;
use farm_core::farm::FarmView;
use farm_core::farm::view::Unreadable;
use farm_core::model::{Farm, HostName};
use farm_core::session::ZnodePath;
use std::time::Instant;

/// The farm view, the hold, and what was logged about them.
#[derive(Debug)]
pub(crate) struct Hosts {
    pub(crate) path: ZnodePath,
    pub(crate) view: FarmView,
    hold: Option<Hold>,
    are_held: bool,
    pub(crate) missing: LogOnce,
    pub(crate) refusal: LogOnce,
}

impl Hosts {
    pub(crate) fn new(path: ZnodePath, parse: Parse, policy: Option<HoldPolicy>) -> Self {
        Self {
            view: FarmView::new(path.clone(), parse),
            path,
            hold: policy.map(Hold::new),
            are_held: false,
            missing: LogOnce::default(),
            refusal: LogOnce::default(),
        }
    }

    /// All hosts that the file may show.
    pub(crate) fn farm(&self) -> &Farm {
        self.hold.as_ref().map_or(self.view.farm(), Hold::farm)
    }

    /// How many hosts are held.
    pub(crate) fn held(&self) -> usize {
        self.hold.as_ref().map_or(0, Hold::held)
    }

    /// When [`Hosts::decide`] is due.
    pub(crate) fn hold_deadline(&self) -> Option<Instant> {
        self.hold.as_ref().and_then(Hold::deadline)
    }

    /// A host came, went or has another record; returns whether it is shown differently now.
    pub(crate) fn changed(&mut self, now: Instant, host: &HostName) -> bool {
        let Some(hold) = &mut self.hold else { return true };
        let is_shown = hold.changed(now, host, self.view.farm());
        self.log_hold(&Decision::default());
        is_shown
    }

    /// The farm is complete.
    pub(crate) fn complete(&mut self, now: Instant) {
        self.missing.clear();
        if self.refusal.clear() {
            log::info!(farm:% = self.path; "the farm can be listed again");
        }
        if let Some(hold) = &mut self.hold {
            let decision = hold.complete(now, self.view.farm());
            self.log_hold(&decision);
        }
    }

    /// Decides about hosts that have gone.
    pub(crate) fn decide(&mut self, now: Instant) -> Decision {
        let Some(hold) = &mut self.hold else { return Decision::default() };
        let decision = hold.decide(now);
        self.log_hold(&decision);
        decision
    }

    fn log_hold(&mut self, decision: &Decision) {
        let Some(hold) = &self.hold else { return };
        let hosts = hold.held();
        if decision.held > 0 && !self.are_held {
            let limit = hold.limit();
            log::warn!(hosts; "many hosts went at once, keeping them for {limit:?}");
        }
        if decision.expired > 0 {
            log::warn!(hosts = decision.expired; "held hosts did not come back, removing them");
        }
        if self.are_held && hosts == 0 && decision.expired == 0 {
            log::info!("all hosts that were held are back");
        }
        self.are_held = hosts > 0;
    }

    pub(crate) fn log_unreadable(&self, host: &HostName, why: &Unreadable) {
        let kept = match self.view.farm().get(host.as_str()) {
            Some(_) => "keeping its last record",
            None => "leaving it out",
        };
        let why = chain(why);
        log::warn!(host:%, farm:% = self.path; "a host can't be read, {kept}: {why}");
    }
}
