//! The lock on a directory that tells the temporary files of a running process from left-overs.
//!
//! A process shares the lock while it has a temporary file in the directory, and who removes
//! left-overs holds it alone. The kernel releases it when its holder ends, however it ends, and
//! it holds across pid namespaces: containers that share a directory see each other's locks.
//!
//! **Invariant.** Nobody waits for the lock, so nobody can hold us up with it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// The lock, as long as this lives. It belongs to the open directory, which is closed on exec.
#[derive(Debug)]
pub(super) struct FolderLock {
    _folder: File,
}

impl FolderLock {
    /// Takes the lock with others, on a descriptor that is open only for this.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if somebody holds it alone.
    pub(super) fn share(folder: OwnedFd) -> io::Result<Self> {
        let folder = File::from(folder);
        folder.try_lock_shared()?;
        Ok(Self { _folder: folder })
    }

    /// Takes the lock alone, as [`FolderLock::share`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if somebody else holds it, also in this process.
    pub(super) fn hold_alone(folder: OwnedFd) -> io::Result<Self> {
        let folder = File::from(folder);
        folder.try_lock()?;
        Ok(Self { _folder: folder })
    }
}
