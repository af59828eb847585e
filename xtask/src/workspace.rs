//! The directory of the workspace, and cargo in it.

use farm_harness::{die_with_parent, toolbox};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The top directory of the workspace.
pub(crate) fn root() -> PathBuf {
    // At run time cargo names the directory of this package. The one that was compiled in may have
    // moved since.
    let own = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let own = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    own.parent().map_or_else(|| own.clone(), Path::to_path_buf)
}

/// The directory with the workspace's binaries of this build.
pub(crate) fn bin_dir() -> PathBuf {
    let own = env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
    own.unwrap_or_else(|| toolbox::target_dir().join("debug"))
}

/// A cargo that is killed when this process ends.
pub(crate) fn cargo() -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = die_with_parent(&cargo);
    command.current_dir(root());
    // Cargo sets these variables for this package. A build script that reads them would see a
    // change and run again, and everything that depends on it would be rebuilt.
    for (name, _) in env::vars_os() {
        let is_of_package =
            |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|p| name.starts_with(p));
        if name.to_str().is_some_and(is_of_package) {
            command.env_remove(name);
        }
    }
    command
}
