//! The user that the tools run as.

use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

/// The user and group `nobody`.
const NOBODY: u32 = 65534;

/// Whether the tools run as another user than we do: root has no limit of threads.
pub(super) fn have_own_user() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Makes the tools' user the owner of a file.
pub(super) fn give_to_tools(path: &Path) -> io::Result<()> {
    if have_own_user() { chown(path, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
}
