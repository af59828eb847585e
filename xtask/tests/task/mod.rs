//! Runs a task of `cargo xtask` in a directory of its own.

use farm_harness::{Scratch, Tool};
use std::env;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long a task may take, or any outcome of it.
pub(crate) const TASK_WAIT: Duration = Duration::from_secs(240);
/// The variables that the nested cargo and the server need.
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

/// The task, with a directory for all files that it writes.
pub(crate) fn task(dir: &Scratch, arguments: &[&str]) -> Tool {
    let kept = |tool: Tool, name: &str| match env::var_os(name) {
        Some(value) => tool.env(name, value),
        None => tool,
    };
    let tool = Tool::program(env!("CARGO_BIN_EXE_xtask")).args(arguments);
    KEPT_VARIABLES.into_iter().fold(tool, kept).env("TMPDIR", dir.path()).patience(TASK_WAIT)
}

/// Asserts that the directory is empty and no process runs in it.
#[track_caller]
pub(crate) fn assert_nothing_left(dir: &Scratch) {
    let left: Vec<_> = fs::read_dir(dir.path()).expect("the directory exists").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let is_there = |process: &Path| {
        let cwd = fs::read_link(process.join("cwd")).unwrap_or_default();
        cwd.to_string_lossy().starts_with(&*dir.path().to_string_lossy())
    };
    let processes =
        fs::read_dir("/proc").expect("this is Linux").flatten().map(|entry| entry.path());
    let left: Vec<_> = processes.filter(|process| is_there(process)).collect();
    assert!(left.is_empty(), "{left:?}");
}
