//! The lock file beside a temporary file, which tells the files of a running process from those
//! of a killed one.
//!
//! Its process makes it before the temporary file, holds its lock (`flock`), and removes it last.
//! The kernel releases the lock when its holder ends, however it ends, and it holds across pid
//! namespaces: containers that share a directory see each other's locks.
//!
//! **Invariant.** Nobody but its owner may open a lock file, and `flock` needs an open one. So no
//! other user can hold its lock, and nobody waits for it.

use super::kind::{Kind, kind_of};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The most bytes of a note.
const NOTE_BYTES_MAX: usize = 1 << 10;
const FLAGS: OFlag =
    OFlag::O_RDWR.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);

/// A lock file whose lock is held as long as this lives. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct LockFile {
    folder: OwnedFd,
    name: OsString,
    file: File,
    stays: bool,
}

/// The lock file of a process that may have been killed.
#[derive(Debug)]
pub(super) enum Claim {
    /// Its process runs.
    InUse,
    /// There is none, or it belongs to another user.
    Missing,
    /// Its process has ended, and we hold the lock now.
    Taken(LockFile),
}

impl LockFile {
    /// Makes the lock file; `None` if the name exists, or a sweep has just removed it.
    pub(super) fn create(folder: impl AsFd, name: &OsStr) -> io::Result<Option<Self>> {
        let mode = Mode::from_bits_truncate(0o600);
        // First: without a descriptor for it, the file would stay.
        let own_folder = folder.as_fd().try_clone_to_owned()?;
        let file = match openat(&folder, name, FLAGS | OFlag::O_CREAT | OFlag::O_EXCL, mode) {
            Ok(fd) => File::from(fd),
            Err(Errno::EEXIST) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let lock = Self { folder: own_folder, name: name.to_owned(), file, stays: false };
        // Until here, a sweep takes it for a left-over.
        match lock.file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system without locks: a sweep cannot lock it either, and leaves it alone.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(lock.is_there()?.then_some(lock)),
        }
    }

    /// Takes over the lock file of a process that has ended.
    pub(super) fn take_over(folder: impl AsFd, name: &OsStr) -> io::Result<Claim> {
        // Another user may have put anything there, so it is not opened before it is known.
        match fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) if is_own_file(&stat) => {}
            Ok(_) | Err(Errno::ENOENT) => return Ok(Claim::Missing),
            Err(e) => return Err(e.into()),
        }
        let file = match openat(&folder, name, FLAGS, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT | Errno::ELOOP) => return Ok(Claim::Missing),
            Err(e) => return Err(e.into()),
        };
        if !is_own_file(&fstat(&file)?) {
            return Ok(Claim::Missing);
        }
        if file.try_lock().is_err() {
            return Ok(Claim::InUse);
        }
        let folder = folder.as_fd().try_clone_to_owned()?;
        let lock = Self { folder, name: name.to_owned(), file, stays: false };
        // Otherwise its process has just finished, or another sweep has.
        Ok(if lock.is_there()? { Claim::Taken(lock) } else { Claim::InUse })
    }

    fn is_there(&self) -> io::Result<bool> {
        Ok(fstat(&self.file)?.st_nlink > 0)
    }

    /// Writes to the lock file what a sweep has to know.
    pub(super) fn note(&self, note: &[u8]) -> io::Result<()> {
        self.file.write_all_at(note, 0)
    }

    /// What was written to the lock file.
    pub(super) fn noted(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; NOTE_BYTES_MAX];
        let length = self.file.read_at(&mut bytes, 0)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Removes a file beside it, and the lock file too.
    pub(super) fn remove_with(mut self, name: &OsStr) {
        self.stays = self.unlink(name).is_err();
    }

    /// Leaves the lock file where it is when this is dropped.
    pub(super) const fn leave(&mut self) {
        self.stays = true;
    }

    fn unlink(&self, name: &OsStr) -> Result<(), Errno> {
        unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir)
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if !self.stays {
            // After a failure it stays until the next sweep.
            let _ = self.unlink(&self.name);
        }
    }
}

/// Whether it is a regular file of this user.
fn is_own_file(stat: &FileStat) -> bool {
    kind_of(stat) == Kind::File && stat.st_uid == geteuid().as_raw()
}
