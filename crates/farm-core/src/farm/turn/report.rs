//! The log lines of a turn.

use super::drain::{self, Restored};
use super::health::FarmVerdict;
use crate::engine::chain;
use crate::farm::permit;

pub(super) fn verdict(verdict: &FarmVerdict) {
    log::info!("{verdict}");
}

pub(super) fn permit(news: &permit::News) {
    match news {
        permit::News::Waiting { ahead } => log::info!(ahead:%; "waiting for the lock"),
        permit::News::Granted { id } => log::info!(zxid:% = id; "acquired the lock"),
        permit::News::Lost => log::warn!("lost the lock, or the place in the queue for it"),
        permit::News::Left => log::info!("released the lock"),
        permit::News::UnequalHolders { ours, theirs } => log::warn!(
            ours:%, theirs:%; "members of the group disagree on how many may restart at once"
        ),
        permit::News::Refused(error) => {
            log::error!("the lock can't be used: {error}; trying again");
        }
        permit::News::Confirmed | permit::News::Unconfirmed => {}
    }
}

pub(super) fn drain(news: &drain::News) {
    match news {
        drain::News::Drained(drained) => {
            if let Some(retyped) = drained.retyped() {
                log::warn!("{} was {}, and is a string now", retyped.field, retyped.was);
            }
            log::info!("drained this host");
        }
        drain::News::NotThere => log::warn!("there is nothing to drain: no such znode"),
        drain::News::Failing(error) => {
            log::warn!("cannot drain, trying again: {}", chain(error));
        }
        drain::News::Restored(restored) => {
            let outcome = match restored {
                Restored::Back => "the field has its former value",
                Restored::Overruled => "the field keeps the value of another writer",
                Restored::Untouched => "the field was never set",
            };
            log::info!("restored: {outcome}");
        }
        drain::News::Postponed => log::warn!("there is nothing to restore: no such znode"),
    }
}
