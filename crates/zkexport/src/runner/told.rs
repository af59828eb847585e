//! What was said about lasting troubles, so that each is said once.

use crate::hold::{Hold, Settled};
use crate::target::TargetError;
use farm_core::engine::LogOnce;
use farm_core::process::command::Failed;
use log::Level;

/// Memory of what the log says already.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) farm_missing: LogOnce,
    pub(super) farm_refusal: LogOnce,
    fault: Option<TargetError>,
    is_check_refused: bool,
    are_hosts_held: bool,
}

impl Told {
    pub(super) fn farm_is_well(&mut self) {
        self.farm_missing.clear();
        self.farm_refusal.clear();
    }

    /// Keeps the latest reason why the file can't be written.
    pub(super) fn fault(&mut self, error: TargetError) {
        self.fault = Some(error);
    }

    pub(super) fn file_is_refused(&self, conf: &str) {
        if let Some(error) = &self.fault {
            log::error!(file = conf; "the file stays as it is, trying again: {error}");
        }
    }

    pub(super) fn file_is_well(&mut self, conf: &str) {
        self.fault = None;
        log::info!(file = conf; "the file can be written again");
    }

    pub(super) fn check_refused(&mut self, conf: &str, refusal: &Failed) {
        self.is_check_refused = true;
        let reason = &refusal.reason;
        log::error!(file = conf; "the check refused the new contents, the file stays: {reason}");
        refusal.log_said(Level::Error, "the check");
    }

    pub(super) fn check_passed(&mut self, conf: &str) {
        if std::mem::take(&mut self.is_check_refused) {
            log::info!(file = conf; "the check takes the new contents again");
        }
    }

    pub(super) fn of_hold(&mut self, hold: &Hold, settled: &Settled) {
        let count = hold.count();
        if settled.held > 0 && !self.are_hosts_held {
            let limit = hold.limit();
            log::warn!(hosts = count; "many hosts went at once, keeping them for {limit:?}");
        }
        if settled.given_up > 0 {
            log::warn!(hosts = settled.given_up; "held hosts did not come back, removing them");
        }
        if self.are_hosts_held && count == 0 && settled.given_up == 0 {
            log::info!("all hosts that were held are back");
        }
        self.are_hosts_held = count > 0;
    }
}
