//! Log lines about lasting problems, and about lost edits.

use farm_core::engine::LogOnce;
use farm_core::model::{Conflict, Value};

/// The problems that last, each logged once.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    pub(crate) znode: LogOnce,
    pub(crate) request: LogOnce,
    pub(crate) size: LogOnce,
}

/// Logs the local edits that are lost, with both values.
pub(crate) fn log_conflicts(conflicts: &[Conflict]) {
    for Conflict { field, local, remote } in conflicts {
        let (local, remote) = (show(local), show(remote));
        log::warn!(field:%, remote, local; "the remote value stands, the local one is lost");
    }
}

/// Logs the fields of a left-over znode that the config replaces, with both values.
pub(crate) fn log_overruled(conflicts: &[Conflict]) {
    for Conflict { field, local, remote } in conflicts {
        let (local, remote) = (show(local), show(remote));
        log::warn!(field:%, local, remote; "the local value stands, the remote one is lost");
    }
}

fn show(value: &Option<Value>) -> String {
    value.as_ref().map_or_else(|| "none".to_owned(), Value::to_string)
}
