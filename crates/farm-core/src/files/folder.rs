//! An open directory, and the operations on its entries.
//!
//! **Invariant.** A path leads to a directory as [`resolve`] says. From then on every call
//! names one entry of the directory that was opened, and none follows a link: a directory
//! that is swapped for a link meanwhile does not lead us out of it.

use super::attributes::Attributes;
use super::hidden::{DISPLACED, HiddenName, STAGED};
use super::kind::{Kind, kind_of};
use super::open_file::write_in_steps;
use super::write_options::WriteOptions;
use crate::host::resolve::{Resolved, UnsafeLink, is_other, resolve};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, linkat, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A name in a directory; there may be nothing of that name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) name: &'a OsStr,
}

/// The most entries of a directory that [`Folder::all_names`] returns.
const NAMES_MAX: usize = 1_000_000;
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
/// The mode of a new directory, before the umask.
const NEW_FOLDER: Mode = Mode::from_bits_truncate(0o777);
// Without these flags a fifo without a writer would block the open, and a terminal
// would become our controlling terminal.
const FILE: OFlag =
    OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

impl Folder {
    /// Opens a directory by its path.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::open_resolved(path, &resolve(path)?)
    }

    /// As [`Folder::open`], and makes the directory if it is missing, but not those above it.
    pub(crate) fn open_or_make(path: &Path) -> io::Result<Self> {
        let place = resolve(path)?;
        match (Self::open_resolved(path, &place), &place.name) {
            (Err(e), Some(name)) if e.kind() == io::ErrorKind::NotFound => {
                mkdirat(&place.folder, name.as_os_str(), NEW_FOLDER)?;
                Self::open_resolved(path, &place)
            }
            (opened, _) => opened,
        }
    }

    fn open_resolved(path: &Path, Resolved { folder, name, .. }: &Resolved) -> io::Result<Self> {
        let name = name.as_deref().unwrap_or(OsStr::new("."));
        let fd = openat(folder, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// The directory in which a path leads to a file, and the name of that file; only its
    /// entries can be opened, until [`Folder::reopen`].
    pub(crate) fn around(path: &Path) -> io::Result<(Self, OsString)> {
        let Resolved { folder: fd, path, name } = resolve(path)?;
        let name = name.ok_or(io::ErrorKind::InvalidInput)?;
        let path = if path.as_os_str().is_empty() { PathBuf::from(".") } else { path };
        Ok((Self { fd, path }, name))
    }

    /// Opens the same directory once more.
    pub(crate) fn reopen(&self) -> io::Result<Self> {
        Ok(Self { fd: self.open_again()?, path: self.path.clone() })
    }

    /// As [`Folder::reopen`], for a descriptor alone.
    fn open_again(&self) -> io::Result<OwnedFd> {
        Ok(openat(&self.fd, ".", FOLDER, Mode::empty())?)
    }

    /// Makes a name in this directory that no file has.
    pub(super) fn hidden_name(&self, ending: &str) -> HiddenName {
        HiddenName::new(self, ending)
    }

    /// Opens a directory in this one.
    pub(crate) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let fd = openat(&self.fd, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty())?;
        Ok(Self { fd, path: self.path.join(name) })
    }

    /// Calls `act` with the name at the end of `keys`, and with the directory below this
    /// one that the other keys lead to.
    pub(crate) fn at<K: AsRef<OsStr>, T>(
        &self,
        keys: impl IntoIterator<Item = K, IntoIter: DoubleEndedIterator>,
        act: impl FnOnce(&Self, &OsStr) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut above = keys.into_iter();
        let name = above.next_back().ok_or(io::ErrorKind::InvalidInput)?;
        let mut below: Option<Self> = None;
        for key in above {
            below = Some(below.as_ref().unwrap_or(self).enter(key.as_ref())?);
        }
        act(below.as_ref().unwrap_or(self), name.as_ref())
    }

    /// The path of an entry, for messages.
    pub(crate) fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) const fn entry<'a>(&'a self, name: &'a OsStr) -> Entry<'a> {
        Entry { folder: self, name }
    }

    /// The names in it without `.` and `..`, sorted; `None` if there are more than
    /// `count_max`.
    pub(crate) fn names(&self, count_max: usize) -> io::Result<Option<Vec<OsString>>> {
        self.names_if(count_max, |_| true)
    }

    /// As [`Folder::names`], but only those that are wanted.
    pub(crate) fn names_if(
        &self,
        count_max: usize,
        is_wanted: impl Fn(&OsStr) -> bool,
    ) -> io::Result<Option<Vec<OsString>>> {
        let again = self.open_again()?;
        let mut names = Vec::new();
        for entry in Dir::from_fd(again)?.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." || !is_wanted(name) {
                continue;
            }
            if names.len() == count_max {
                return Ok(None);
            }
            names.push(name.to_owned());
        }
        names.sort_unstable();
        Ok(Some(names))
    }

    /// All names in it, as [`Folder::names`].
    pub(crate) fn all_names(&self) -> io::Result<Vec<OsString>> {
        self.names(NAMES_MAX)?.ok_or_else(|| io::ErrorKind::FileTooLarge.into())
    }

    pub(crate) fn stat(&self, name: &OsStr) -> io::Result<Option<FileStat>> {
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    pub(crate) fn kind(&self, name: &OsStr) -> io::Result<Option<Kind>> {
        Ok(self.stat(name)?.map(|stat| kind_of(&stat)))
    }

    /// Opens a file for reading; `None` if there is no such name.
    ///
    /// Anything but a regular file is [`io::ErrorKind::InvalidInput`], and not opened.
    pub(crate) fn open_file(&self, name: &OsStr) -> io::Result<Option<File>> {
        self.open_regular(name, OFlag::O_RDONLY)
    }

    /// As [`Folder::open_file`], but for overwriting.
    pub(crate) fn open_to_rewrite(&self, name: &OsStr) -> io::Result<Option<File>> {
        self.open_regular(name, OFlag::O_WRONLY)
    }

    fn open_regular(&self, name: &OsStr, access: OFlag) -> io::Result<Option<File>> {
        // Opening a device can have side effects, so check the kind before. Check again
        // after, because the name may belong to another file by then.
        match self.kind(name)? {
            None => return Ok(None),
            Some(Kind::File) => {}
            Some(Kind::Folder | Kind::Other) => return Err(io::ErrorKind::InvalidInput.into()),
        }
        let fd = match openat(&self.fd, name, access | FILE, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err(io::ErrorKind::InvalidInput.into()),
            Err(e) => return Err(e.into()),
        };
        let stat = fstat(&fd)?;
        if kind_of(&stat) != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if stat.st_nlink > 1 {
            self.require_own_link(name, stat.st_uid)?;
        }
        Ok(Some(fd.into()))
    }

    /// Fails for a hard link that another user may have made to a file of somebody else: the
    /// kernel allows it with `fs.protected_hardlinks=0`.
    fn require_own_link(&self, name: &OsStr, owner: u32) -> io::Result<()> {
        let user = fstat(&self.fd)?.st_uid;
        if is_other(user) && user != owner {
            return Err(UnsafeLink::Hard { path: self.path_of(name), owner }.into());
        }
        Ok(())
    }

    /// The attributes of a file; `None` if there is no such name.
    pub(crate) fn attributes(&self, name: &OsStr) -> io::Result<Option<Attributes>> {
        match self.open_file(name) {
            Ok(file) => file.map(Attributes::of).transpose(),
            // A file that we may not read can still be replaced.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let fd = openat(&self.fd, name, flags, Mode::empty())?;
                Attributes::of_unreadable(fd).map(Some)
            }
            Err(e) => Err(e),
        }
    }

    /// Writes a new file under a hidden name, and syncs it to the disk.
    ///
    /// It gets the attributes of `like`, or fails with an error for which
    /// [`is_not_kept`](super::attributes::is_not_kept) holds.
    pub(crate) fn stage(&self, bytes: &[u8], like: Option<&Attributes>) -> io::Result<Staged<'_>> {
        self.stage_as(bytes, like, &WriteOptions::default())
    }

    /// As [`Folder::stage`], with the mode and owner of `options`.
    pub(crate) fn stage_as(
        &self,
        bytes: &[u8],
        like: Option<&Attributes>,
        options: &WriteOptions,
    ) -> io::Result<Staged<'_>> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | FILE;
        let is_closed = like.is_some() || options.mode.is_some();
        let mode = Mode::from_bits_truncate(if is_closed { 0o600 } else { 0o666 });
        let (name, fd) = loop {
            let name = self.hidden_name(STAGED);
            match openat(&self.fd, &*name, flags, mode) {
                Ok(fd) => break (name, fd),
                Err(Errno::EEXIST) => {}
                Err(e) => return Err(e.into()),
            }
        };
        let staged = Staged { folder: self, name, is_ours: true };
        let file = File::from(fd);
        write_in_steps(&file, bytes)?;
        // After the bytes: a write clears bits of the mode.
        match like {
            Some(like) => {
                options.apply_owner(&file)?;
                like.give_to(&file, &options.over(like.stat))?;
            }
            None => options.apply(&file)?,
        }
        file.sync_all()?;
        Ok(staged)
    }

    /// Takes over a hidden file from [`Staged::into_name`].
    pub(crate) const fn adopt(&self, name: HiddenName) -> Staged<'_> {
        Staged { folder: self, name, is_ours: true }
    }

    /// Renames a file to a hidden name. A sweep takes it for an edit unless it has the `known`
    /// contents.
    pub(crate) fn move_aside(&self, name: &OsStr, known: &[u8]) -> io::Result<Staged<'_>> {
        let mut hidden = self.hidden_name(DISPLACED);
        hidden.note(name, &[known]);
        renameat(&self.fd, name, &self.fd, &*hidden)?;
        Ok(Staged { folder: self, name: hidden, is_ours: true })
    }

    pub(crate) fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(mkdirat(&self.fd, name, NEW_FOLDER)?)
    }

    /// As [`Folder::make_folder`], for copies of files: nobody but us can enter it, whatever
    /// the modes of the directories are in which the files will be.
    pub(super) fn make_private_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(mkdirat(&self.fd, name, Mode::from_bits_truncate(0o700))?)
    }

    /// Creates a directory unless the name exists; returns whether it did. If the name
    /// is not a directory, [`Folder::enter`] fails.
    pub(crate) fn ensure_folder(&self, name: &OsStr) -> io::Result<bool> {
        match self.make_folder(name) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            made => made.map(|()| true),
        }
    }

    pub(crate) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir)?)
    }

    /// Removes a directory unless it is missing or not empty; returns whether it did.
    pub(crate) fn remove_empty_folder(&self, name: &OsStr) -> io::Result<bool> {
        match self.remove_folder(name) {
            Err(e)
                if matches!(
                    errno_of(&e),
                    Some(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOENT)
                ) =>
            {
                Ok(false)
            }
            removed => removed.map(|()| true),
        }
    }

    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes a file if it exists.
    pub(crate) fn ensure_no_file(&self, name: &OsStr) -> io::Result<()> {
        match self.remove_file(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Makes the names durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match fsync(&self.fd) {
            // Some file systems cannot sync a directory; nothing else would help.
            Ok(()) | Err(Errno::EINVAL | Errno::EBADF) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

impl Entry<'_> {
    /// Renames it, and replaces what has that name.
    pub(crate) fn rename(self, to: Entry<'_>) -> io::Result<()> {
        Ok(renameat(&self.folder.fd, self.name, &to.folder.fd, to.name)?)
    }

    /// Exchanges it with another one.
    pub(crate) fn exchange(self, other: Entry<'_>) -> io::Result<()> {
        Ok(exchange(&self.folder.fd, self.name, &other.folder.fd, other.name)?)
    }

    /// Renames it, unless the name exists (`EEXIST`).
    pub(super) fn rename_no_replace(self, to: Entry<'_>) -> Result<(), Errno> {
        let (fd, at) = (&self.folder.fd, &to.folder.fd);
        // On every file system that has hard links, linking never replaces a file.
        match linkat(fd, self.name, at, to.name, AtFlags::empty()) {
            Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EMLINK) => {}
            Ok(()) => {
                // After a failure, a sweep removes the hidden name.
                let _ = unlinkat(fd, self.name, UnlinkatFlags::NoRemoveDir);
                return Ok(());
            }
            Err(e) => return Err(e),
        }
        match fstatat(at, to.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => renameat(fd, self.name, at, to.name),
            Ok(_) => Err(Errno::EEXIST),
            Err(e) => Err(e),
        }
    }

    /// Gives the file a second name.
    pub(crate) fn link(self, other: Entry<'_>) -> io::Result<()> {
        let (fd, to) = (&self.folder.fd, &other.folder.fd);
        Ok(linkat(fd, self.name, to, other.name, AtFlags::empty())?)
    }
}

/// A file under a hidden name. Dropping it removes the file, unless it was renamed.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    folder: &'a Folder,
    name: HiddenName,
    is_ours: bool,
}

impl Staged<'_> {
    pub(crate) fn entry(&self) -> Entry<'_> {
        self.folder.entry(&self.name)
    }

    /// The hidden name for the file that it replaces.
    pub(super) fn displaced_name(&self) -> OsString {
        self.name.with_ending(DISPLACED)
    }

    /// Returns the hidden name; the caller has to remove the file.
    pub(crate) fn into_name(mut self) -> HiddenName {
        self.is_ours = false;
        std::mem::take(&mut self.name)
    }

    /// Renames it to `name`, and replaces what has that name.
    pub(crate) fn rename_over(mut self, name: &OsStr) -> Result<(), (Self, Errno)> {
        match renameat(&self.folder.fd, &*self.name, &self.folder.fd, name) {
            Ok(()) => {
                self.is_ours = false;
                Ok(())
            }
            Err(e) => Err((self, e)),
        }
    }

    /// Renames it to `name`; `EEXIST` if the name exists.
    pub(crate) fn rename_no_replace(mut self, name: &OsStr) -> Result<(), Errno> {
        self.entry().rename_no_replace(self.folder.entry(name))?;
        self.is_ours = false;
        Ok(())
    }

    /// Exchanges it with `name`: afterwards this is the file that had the name.
    pub(crate) fn exchange(&self, name: &OsStr) -> Result<(), Errno> {
        let fd = &self.folder.fd;
        exchange(fd, &self.name, fd, name)
    }

    /// Renames it to the hidden name of a displaced file. It is to be exchanged with `target`;
    /// afterwards, a sweep takes it for an edit unless it has one of the `known` contents.
    pub(super) fn mark_displaced(&mut self, target: &OsStr, known: &[&[u8]]) -> Result<(), Errno> {
        self.name.note(target, known);
        let displaced = self.displaced_name();
        renameat(&self.folder.fd, &*self.name, &self.folder.fd, &*displaced)?;
        self.name = std::mem::take(&mut self.name).renamed(DISPLACED);
        Ok(())
    }

    /// Leaves it to the next sweep, unless the name is used to remove it.
    pub(super) fn leave(mut self) -> HiddenName {
        self.name.leave();
        self.into_name()
    }

    /// Whether a sweep leaves it alone as long as we run.
    pub(super) const fn is_locked(&self) -> bool {
        self.name.is_locked()
    }

    pub(crate) fn open(&self) -> io::Result<File> {
        self.folder.open_file(&self.name)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if self.is_ours {
            // After a failure it stays under its hidden name until the next sweep.
            drop(self.folder.remove_file(&self.name));
        }
    }
}

#[cfg(target_env = "gnu")]
fn exchange(fd: &OwnedFd, one: &OsStr, at: &OwnedFd, other: &OsStr) -> Result<(), Errno> {
    use nix::fcntl::{RenameFlags, renameat2};
    renameat2(fd, one, at, other, RenameFlags::RENAME_EXCHANGE)
}

// nix has the call only for glibc.
#[cfg(not(target_env = "gnu"))]
fn exchange(_: &OwnedFd, _: &OsStr, _: &OwnedFd, _: &OsStr) -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}

/// The system error code, if the error has one.
pub(crate) fn errno_of(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// Whether the file system cannot exchange two names.
pub(crate) const fn is_no_exchange(error: Errno) -> bool {
    matches!(error, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP)
}
