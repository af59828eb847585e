//! What is said in the log.

use farm_core::engine::LogOnce;
use farm_core::model::{Conflict, Value};

/// The troubles that last, by what they are about.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    pub(crate) znode: LogOnce,
    pub(crate) request: LogOnce,
    pub(crate) size: LogOnce,
}

/// Tells which local edits are lost, with both values.
pub(crate) fn tell_conflicts(conflicts: &[Conflict]) {
    for Conflict { field, local, remote } in conflicts {
        let (local, remote) = (show(local), show(remote));
        log::warn!(field:%, remote, local; "the remote value stands, the local one is lost");
    }
}

/// Tells what a znode held that was left over from an earlier run.
pub(crate) fn tell_overruled(conflicts: &[Conflict]) {
    for Conflict { field, local, remote } in conflicts {
        let (local, remote) = (show(local), show(remote));
        log::warn!(field:%, local, remote; "the config stands, what the znode held is gone");
    }
}

fn show(value: &Option<Value>) -> String {
    value.as_ref().map_or_else(|| "none".to_owned(), Value::to_string)
}
