//! What is said in the log, and that it is said once.

use farm_core::model::{Conflict, Value};
use log::Level;

/// What was said last about a lasting trouble, so that it is said once.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) znode: Option<String>,
    pub(crate) request: Option<String>,
    pub(crate) size: Option<String>,
}

/// Warns, unless that was the last thing said about this trouble.
pub(crate) fn say_once(told: &mut Option<String>, text: String) {
    say_once_at(Level::Warn, told, text);
}

/// Says it at another level, unless that was the last thing said about this trouble.
pub(crate) fn say_once_at(level: Level, told: &mut Option<String>, text: String) {
    if told.as_ref() != Some(&text) {
        log::log!(level, "{text}");
        *told = Some(text);
    }
}

/// Tells which local edits are lost, with both values.
pub(crate) fn tell_conflicts(conflicts: &[Conflict]) {
    for Conflict { field, local, remote } in conflicts {
        let (local, remote) = (show(local), show(remote));
        log::warn!(
            "the remote value stands, the local one is lost; field={field} remote={remote} local={local}"
        );
    }
}

/// Tells what a znode held that was left over from an earlier run.
pub(crate) fn tell_overruled(conflicts: &[Conflict]) {
    for Conflict { field, local, remote } in conflicts {
        let (local, remote) = (show(local), show(remote));
        log::warn!(
            "the config stands, what the znode held is gone; field={field} local={local} remote={remote}"
        );
    }
}

fn show(value: &Option<Value>) -> String {
    value.as_ref().map_or_else(|| "none".to_owned(), Value::to_string)
}
