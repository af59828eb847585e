//! A directory held open, and what can be done to the names in it.
//!
//! **Invariant.** Every call names one entry of the directory that was opened,
//! and none follows a link: who swaps a directory for a link while we work
//! leads us nowhere.

use super::hidden::{DISPLACED, STAGED, hidden};
use super::write_options::WriteOptions;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, linkat, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A directory held open.
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

/// A name in a directory, whatever has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) name: &'a OsStr,
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    /// A link, a socket, a fifo or a device.
    Other,
}

/// More than any directory has.
const NAMES_MAX: usize = 1_000_000;
/// Our own trees are no deeper; a stranger's may be, and is not gone into further.
pub(crate) const REMOVAL_DEPTH_MAX: usize = 128;
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
// A fifo without a writer would block the open, a terminal would become ours.
const FILE: OFlag =
    OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

impl Folder {
    /// Opens a directory by its path; links in the path are followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let fd = open(path, FOLDER, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens the same directory once more.
    pub(crate) fn reopen(&self) -> io::Result<Self> {
        let fd = openat(&self.fd, ".", FOLDER, Mode::empty())?;
        Ok(Self { fd, path: self.path.clone() })
    }

    /// Opens a directory in this one.
    pub(crate) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let fd = openat(&self.fd, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty())?;
        Ok(Self { fd, path: self.path.join(name) })
    }

    /// Calls `act` with the directory below this one that has, or would have, the
    /// entry at the end of `keys`, and with the entry's name.
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

    /// The names in it but `.` and `..`, sorted; `None` if they are more than `count_max`.
    pub(crate) fn names(&self, count_max: usize) -> io::Result<Option<Vec<OsString>>> {
        let again = openat(&self.fd, ".", FOLDER, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::from_fd(again)?.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == count_max {
                return Ok(None);
            }
            names.push(OsStr::from_bytes(name).to_owned());
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
    /// What is no regular file is [`io::ErrorKind::InvalidInput`], and is not opened.
    pub(crate) fn open_file(&self, name: &OsStr) -> io::Result<Option<File>> {
        self.open_regular(name, OFlag::O_RDONLY)
    }

    /// Opens a file for writing over its bytes; else as [`Folder::open_file`].
    pub(crate) fn open_to_rewrite(&self, name: &OsStr) -> io::Result<Option<File>> {
        self.open_regular(name, OFlag::O_WRONLY)
    }

    fn open_regular(&self, name: &OsStr, access: OFlag) -> io::Result<Option<File>> {
        // Opening a device can be an act of its own: look before, and again
        // after, because the name may be another's by then.
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
        if kind_of(&fstat(&fd)?) != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Some(fd.into()))
    }

    /// Writes a new file under a name of its own, down to the disk.
    ///
    /// It gets the mode and, as far as we may, the owner of `like`.
    pub(crate) fn stage(&self, bytes: &[u8], like: Option<&FileStat>) -> io::Result<Staged<'_>> {
        self.stage_as(bytes, like, &WriteOptions::default())
    }

    /// As [`Folder::stage`], with a mode and an owner of our choice.
    pub(crate) fn stage_as(
        &self,
        bytes: &[u8],
        like: Option<&FileStat>,
        options: &WriteOptions,
    ) -> io::Result<Staged<'_>> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | FILE;
        let is_closed = like.is_some() || options.mode.is_some();
        let mode = Mode::from_bits_truncate(if is_closed { 0o600 } else { 0o666 });
        let (name, fd) = loop {
            let name = hidden(STAGED);
            match openat(&self.fd, name.as_os_str(), flags, mode) {
                Ok(fd) => break (name, fd),
                Err(Errno::EEXIST) => {}
                Err(e) => return Err(e.into()),
            }
        };
        let staged = Staged { folder: self, name, is_ours: true };
        let mut file = File::from(fd);
        file.write_all(bytes)?;
        // After the bytes: a write clears bits of the mode.
        if let Some(like) = like {
            resemble(&file, &options.over(*like))?;
        }
        options.apply(&file)?;
        file.sync_all()?;
        Ok(staged)
    }

    /// Takes care of a hidden file that somebody else has let go of.
    pub(crate) const fn adopt(&self, name: OsString) -> Staged<'_> {
        Staged { folder: self, name, is_ours: true }
    }

    /// Takes a name away from its file, which is then staged under another.
    pub(crate) fn unname(&self, name: &OsStr) -> io::Result<Staged<'_>> {
        let hidden = hidden(DISPLACED);
        renameat(&self.fd, name, &self.fd, hidden.as_os_str())?;
        Ok(Staged { folder: self, name: hidden, is_ours: true })
    }

    pub(crate) fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(mkdirat(&self.fd, name, Mode::from_bits_truncate(0o777))?)
    }

    /// Makes a directory unless the name is taken; tells whether it did. What has the
    /// name shows when it is entered.
    pub(crate) fn ensure_folder(&self, name: &OsStr) -> io::Result<bool> {
        match self.make_folder(name) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            made => made.map(|()| true),
        }
    }

    pub(crate) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir)?)
    }

    /// Removes a directory unless something is in it; tells whether it did.
    pub(crate) fn remove_empty_folder(&self, name: &OsStr) -> io::Result<bool> {
        match self.remove_folder(name) {
            Err(e)
                if matches!(code(&e), Some(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOENT)) =>
            {
                Ok(false)
            }
            removed => removed.map(|()| true),
        }
    }

    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes a file if there is one.
    pub(crate) fn ensure_no_file(&self, name: &OsStr) -> io::Result<()> {
        match self.remove_file(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Makes names durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match fsync(&self.fd) {
            // Some file systems can't sync a directory; there is nothing better to do.
            Ok(()) | Err(Errno::EINVAL | Errno::EBADF) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

impl Entry<'_> {
    /// Moves it to another name, over what is there.
    pub(crate) fn rename(self, to: Entry<'_>) -> io::Result<()> {
        Ok(renameat(&self.folder.fd, self.name, &to.folder.fd, to.name)?)
    }

    /// Trades it for another one.
    pub(crate) fn exchange(self, other: Entry<'_>) -> io::Result<()> {
        Ok(exchange(&self.folder.fd, self.name, &other.folder.fd, other.name)?)
    }

    /// Gives a file another name beside the one it has.
    pub(crate) fn link(self, other: Entry<'_>) -> io::Result<()> {
        let (fd, to) = (&self.folder.fd, &other.folder.fd);
        Ok(linkat(fd, self.name, to, other.name, AtFlags::empty())?)
    }
}

/// A file under a hidden name, removed on drop unless it found a better one.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    folder: &'a Folder,
    name: OsString,
    is_ours: bool,
}

impl Staged<'_> {
    pub(crate) fn entry(&self) -> Entry<'_> {
        self.folder.entry(&self.name)
    }

    /// Lets go of it: the name is the caller's to remove.
    pub(crate) fn into_name(mut self) -> OsString {
        self.is_ours = false;
        std::mem::take(&mut self.name)
    }

    /// Puts it in the place of `name`, whatever is there.
    pub(crate) fn rename_over(mut self, name: &OsStr) -> Result<(), (Self, Errno)> {
        match renameat(&self.folder.fd, self.name.as_os_str(), &self.folder.fd, name) {
            Ok(()) => {
                self.is_ours = false;
                Ok(())
            }
            Err(e) => Err((self, e)),
        }
    }

    /// Gives it `name`, unless that is taken (`EEXIST`).
    pub(crate) fn settle(self, name: &OsStr) -> Result<(), Errno> {
        let fd = &self.folder.fd;
        // A link never replaces, on every file system that has links at all.
        match linkat(fd, self.name.as_os_str(), fd, name, AtFlags::empty()) {
            Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EMLINK) => {}
            answer => return answer,
        }
        match fstatat(fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => self.rename_over(name).map_err(|(_, e)| e),
            Ok(_) => Err(Errno::EEXIST),
            Err(e) => Err(e),
        }
    }

    /// Trades places with `name`: afterwards this is what was there.
    pub(crate) fn exchange(&self, name: &OsStr) -> Result<(), Errno> {
        let fd = &self.folder.fd;
        exchange(fd, &self.name, fd, name)
    }

    /// Moves it to a name that says it was displaced.
    pub(crate) fn mark_displaced(&mut self) -> Result<(), Errno> {
        let name = hidden(DISPLACED);
        let fd = &self.folder.fd;
        renameat(fd, self.name.as_os_str(), fd, name.as_os_str())?;
        self.name = name;
        Ok(())
    }

    pub(crate) fn open(&self) -> io::Result<File> {
        self.folder.open_file(&self.name)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if self.is_ours {
            // Nobody to tell, and the name is hidden: the next look will show it.
            drop(self.folder.remove_file(&self.name));
        }
    }
}

#[cfg(target_env = "gnu")]
fn exchange(fd: &OwnedFd, one: &OsStr, at: &OwnedFd, other: &OsStr) -> Result<(), Errno> {
    use nix::fcntl::{RenameFlags, renameat2};
    renameat2(fd, one, at, other, RenameFlags::RENAME_EXCHANGE)
}

// nix has the call for glibc alone.
#[cfg(not(target_env = "gnu"))]
fn exchange(_: &OwnedFd, _: &OsStr, _: &OwnedFd, _: &OsStr) -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}

/// Gives a file the mode and, as far as we may, the owner of another.
pub(crate) fn resemble(file: impl AsFd, like: &FileStat) -> io::Result<()> {
    let own = fstat(&file)?;
    let mut mode = Mode::from_bits_truncate(like.st_mode & 0o7777);
    if own.st_uid != like.st_uid || own.st_gid != like.st_gid {
        let (user, group) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
        if fchown(&file, Some(user), Some(group)).is_err() {
            // Not root: the file is ours now, and never lends our name to who runs
            // it. It keeps its group if we are in it; if not, nothing can be done.
            let _ = fchown(&file, None, Some(group));
            mode &= !(Mode::S_ISUID | Mode::S_ISGID);
        }
    }
    // After the owner: a change of owner clears bits of the mode.
    Ok(fchmod(&file, mode)?)
}

pub(crate) fn kind_of(stat: &FileStat) -> Kind {
    match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFDIR => Kind::Folder,
        _ => Kind::Other,
    }
}

/// Reads a file to its end; `None` if it has more than `bytes_max`.
pub(crate) fn read_bounded(file: &File, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let bytes = read_start(file, bytes_max.saturating_add(1))?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}

/// Reads the first `count` bytes of a file, or all if it has fewer.
pub(crate) fn read_start(file: &File, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(u64::try_from(count).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What the system called an error.
pub(crate) fn code(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// Whether a file system can't exchange two names.
pub(crate) const fn is_no_exchange(error: Errno) -> bool {
    matches!(error, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP)
}

/// The directory that a path names an entry of, and the name.
pub(crate) fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let name = path.file_name().filter(|name| !name.is_empty());
    let name = name.ok_or(io::ErrorKind::InvalidInput)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok((parent.unwrap_or(Path::new(".")), name))
}

/// The device and number of a file: what it is, whatever its name.
pub(crate) fn identity(file: impl AsFd) -> io::Result<(u64, u64)> {
    let stat = fstat(file)?;
    Ok((stat.st_dev, stat.st_ino))
}
