//! A chore of the workspace as somebody runs it, in a place of its own.

use farm_harness::{Scratch, Tool};
use std::env;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long a chore may take, or what is waited for in it.
pub(crate) const CHORE_WAIT: Duration = Duration::from_secs(240);
/// What the nested cargo and the server need to be the same as ours.
const KEPT_VARIABLES: [&str; 9] = [
    "CARGO",
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "RUSTUP_HOME",
    "RUSTFLAGS",
    "FARM_JAVA",
    "FARM_ZOOKEEPER_CLASSPATH",
    "FARM_PROVISION",
    "FARM_TEST_PATIENCE",
];

/// The chore, with a place of its own for everything that it writes.
pub(crate) fn chore(place: &Scratch, arguments: &[&str]) -> Tool {
    let kept = |tool: Tool, name: &str| match env::var_os(name) {
        Some(value) => tool.env(name, value),
        None => tool,
    };
    let tool = Tool::program(env!("CARGO_BIN_EXE_xtask")).args(arguments);
    KEPT_VARIABLES.into_iter().fold(tool, kept).env("TMPDIR", place.path()).patience(CHORE_WAIT)
}

/// Nothing on the disk, and no process that was started there.
#[track_caller]
pub(crate) fn assert_nothing_left(place: &Scratch) {
    let left: Vec<_> = fs::read_dir(place.path()).expect("the place stays").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let is_there = |process: &Path| {
        let cwd = fs::read_link(process.join("cwd")).unwrap_or_default();
        cwd.to_string_lossy().starts_with(&*place.path().to_string_lossy())
    };
    let processes =
        fs::read_dir("/proc").expect("this is Linux").flatten().map(|entry| entry.path());
    let left: Vec<_> = processes.filter(|process| is_there(process)).collect();
    assert!(left.is_empty(), "{left:?}");
}
