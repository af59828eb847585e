//! Where the workspace is, and its cargo.

use farm_harness::{mortal, toolbox};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo names our own directory at run time; the one of the build may have moved.
    let own = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    own.parent().map_or_else(|| own.clone(), Path::to_path_buf)
}

/// Where this build puts the workspace's binaries.
pub(crate) fn bin_dir() -> PathBuf {
    let own = env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
    own.unwrap_or_else(|| toolbox::target_dir().join("debug"))
}

/// A cargo that does not outlive us.
pub(crate) fn cargo() -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = mortal(&cargo);
    command.current_dir(root());
    // What cargo tells us of our own package is news to every build script that looks at
    // such variables: it would run again, and what depends on it would be built anew.
    for (name, _) in env::vars_os() {
        let is_ours =
            |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| name.starts_with(of));
        if name.to_str().is_some_and(is_ours) {
            command.env_remove(name);
        }
    }
    command
}
