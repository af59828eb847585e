//! Environment variables.

use std::env;
use std::ffi::OsString;

/// The value of a variable. One that is set but empty counts as unset: scripts and units clear a
/// variable in this way.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
