//! Where a path leads, and which links on the way are followed.
//!
//! **Invariant.** A link is followed only if root or we own it, and if it does not lie in a
//! directory in which others may write and that is not ours. Each step starts at an open
//! directory, so what was checked is what is followed, whatever is renamed meanwhile.

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open as open_path, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// How many links are followed: the limit of Linux.
const LINKS_MAX: u32 = 40;

/// The bits of a mode that let the group and all others write.
const WRITABLE: u32 = 0o022;

const FOLDER: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// Where a path leads.
#[derive(Debug)]
pub struct Resolved {
    /// A directory, open only as the start of other calls (`O_PATH`).
    pub folder: OwnedFd,
    /// Its path without links; empty for the current directory.
    pub path: PathBuf,
    /// A name in it, which may be missing. It is not that of a link, unless of one that the
    /// kernel makes for an open file. `None` if the path leads to the directory itself.
    pub name: Option<OsString>,
}

/// Where a path leads, and the names that decide it.
#[derive(Debug)]
pub struct Trace {
    /// The links on the way, and the last name or the one that was not passed; each with the
    /// path of its directory.
    pub names: Vec<(PathBuf, OsString)>,
    /// The end of the way.
    pub end: io::Result<Resolved>,
}

/// A link that is not followed. It is the inner error of an [`io::Error`] of the kind
/// [`io::ErrorKind::PermissionDenied`].
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum UnsafeLink {
    /// Neither root nor we own it.
    #[error("the link {} belongs to another user (uid {owner})", .path.display())]
    OfOther {
        /// Where it is.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// Others may have put it there.
    #[error(
        "the link {} (of uid {owner}) lies in a directory in which others may write",
        .path.display()
    )]
    AmongOthers {
        /// Where it is.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// A hard link, in the directory of another user, to a file that is not this user's.
    #[error(
        "{} is a hard link, in a directory of another user, to a file of uid {owner}",
        .path.display()
    )]
    Hard {
        /// Where it is.
        path: PathBuf,
        /// Who owns the file.
        owner: u32,
    },
}

impl UnsafeLink {
    /// The one that an error is about.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<UnsafeLink> for io::Error {
    fn from(link: UnsafeLink) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, link)
    }
}

/// Follows a path.
///
/// # Errors
///
/// For a link that is not followed one with an [`UnsafeLink`], for too many links one with the
/// number `ELOOP`.
pub fn resolve(path: &Path) -> io::Result<Resolved> {
    trace(path).end
}

/// As [`resolve`], and tells which names decide where the path leads.
#[must_use]
pub fn trace(path: &Path) -> Trace {
    let mut names = Vec::new();
    let end = Walk::start(path, &mut names).and_then(Walk::run);
    Trace { names, end }
}

/// Opens what a path leads to for reading, also if it is not a regular file.
///
/// # Errors
///
/// As for [`resolve`], or if it cannot be opened.
pub fn open(path: &Path, flags: OFlag) -> io::Result<File> {
    let Resolved { folder, name, .. } = resolve(path)?;
    let name = name.as_deref().unwrap_or(OsStr::new("."));
    let flags = flags | OFlag::O_RDONLY | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let opened = match openat(&folder, name, flags | OFlag::O_NOFOLLOW, Mode::empty()) {
        // An open file of ours, as behind /dev/stdin.
        Err(Errno::ELOOP) if is_on_procfs(&folder) => openat(&folder, name, flags, Mode::empty()),
        opened => opened,
    };
    Ok(opened?.into())
}

/// Whether a user is neither root nor us.
#[must_use]
pub fn is_other(user: u32) -> bool {
    user != 0 && user != us()
}

fn us() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// A part of a path.
enum Part {
    Root,
    Up,
    Name(OsString),
}

/// The parts of a path, in reverse order.
fn parts(path: &Path) -> Vec<Part> {
    let part = |component| match component {
        Component::RootDir => Some(Part::Root),
        Component::ParentDir => Some(Part::Up),
        Component::Normal(name) => Some(Part::Name(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(part).collect()
}

/// A way that is being followed.
struct Walk<'a> {
    folder: OwnedFd,
    path: PathBuf,
    /// The directories that we came through, as device and inode.
    above: Vec<(u64, u64)>,
    /// What is left of the path, in reverse order.
    left: Vec<Part>,
    links: u32,
    names: &'a mut Vec<(PathBuf, OsString)>,
}

impl<'a> Walk<'a> {
    fn start(path: &Path, names: &'a mut Vec<(PathBuf, OsString)>) -> io::Result<Self> {
        let (start, left) = match path.strip_prefix("/") {
            Ok(below) => ("/", parts(below)),
            Err(_) => (".", parts(path)),
        };
        let folder = open_path(start, FOLDER, Mode::empty())?;
        let path = if path.is_absolute() { PathBuf::from("/") } else { PathBuf::new() };
        Ok(Self { folder, path, above: Vec::new(), left, links: 0, names })
    }

    fn run(mut self) -> io::Result<Resolved> {
        while let Some(part) = self.left.pop() {
            match part {
                Part::Root => {
                    self.folder = open_path("/", FOLDER, Mode::empty())?;
                    self.path = PathBuf::from("/");
                    self.above.clear();
                }
                Part::Up => self.go_up()?,
                Part::Name(name) => {
                    if !self.enter(&name).inspect_err(|_| self.note(&name))? {
                        self.note(&name);
                        return Ok(Resolved {
                            folder: self.folder,
                            path: self.path,
                            name: Some(name),
                        });
                    }
                }
            }
        }
        Ok(Resolved { folder: self.folder, path: self.path, name: None })
    }

    fn note(&mut self, name: &OsStr) {
        self.names.push((self.path.clone(), name.to_owned()));
    }

    /// Goes to the directory above, which has to be the one that we came from: the owner of a
    /// directory can move it.
    fn go_up(&mut self) -> io::Result<()> {
        let folder = openat(&self.folder, "..", FOLDER, Mode::empty())?;
        if let Some(above) = self.above.pop()
            && above != identity(&folder)?
        {
            return Err(io::Error::other("a directory on the way was moved meanwhile"));
        }
        self.folder = folder;
        if self.path.as_os_str().is_empty() || self.path.ends_with("..") {
            self.path.push("..");
        } else {
            self.path.pop();
        }
        Ok(())
    }

    /// Goes through a name; false if it is the end of the way.
    fn enter(&mut self, name: &OsStr) -> io::Result<bool> {
        let is_last = self.left.is_empty();
        if is_last {
            match fstatat(&self.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) if is_link(&stat) => {}
                Ok(_) | Err(Errno::ENOENT) => return Ok(false),
                Err(e) => return Err(e.into()),
            }
        } else {
            match openat(&self.folder, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty()) {
                Ok(folder) => {
                    self.above.push(identity(&self.folder)?);
                    self.folder = folder;
                    self.path.push(name);
                    return Ok(true);
                }
                // Perhaps it is a link.
                Err(Errno::ENOTDIR | Errno::ELOOP) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let link = openat(&self.folder, name, flags, Mode::empty())?;
        let stat = fstat(&link)?;
        if is_link(&stat) {
            self.follow(name, &link, &stat)
        } else if is_last {
            // It is not a link any more.
            Ok(false)
        } else {
            Err(Errno::ENOTDIR.into())
        }
    }

    /// Follows a link; false if the kernel made it for an open file, and it is the end.
    fn follow(&mut self, name: &OsStr, link: &OwnedFd, stat: &FileStat) -> io::Result<bool> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::ELOOP.into());
        }
        let folder = fstat(&self.folder)?;
        let facts = Facts {
            us: us(),
            link_owner: stat.st_uid,
            folder_owner: folder.st_uid,
            is_writable: folder.st_mode & WRITABLE != 0 && !is_read_only(&self.folder),
        };
        facts.check(|| self.path.join(name))?;
        if !is_on_procfs(link) {
            self.note(name);
            self.left.extend(parts(Path::new(&readlinkat(link, "")?)));
            return Ok(true);
        }
        // What it says need not be the way to what it names.
        match openat(&self.folder, name, FOLDER, Mode::empty()) {
            Ok(folder) => {
                self.folder = folder;
                self.path.push(name);
                self.above.clear();
                Ok(true)
            }
            Err(Errno::ENOTDIR) if self.left.is_empty() => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

/// What decides whether a link is followed.
#[derive(Debug, Clone, Copy)]
struct Facts {
    us: u32,
    link_owner: u32,
    folder_owner: u32,
    /// Whether the mode of its directory lets others write there.
    is_writable: bool,
}

impl Facts {
    fn check(self, path: impl FnOnce() -> PathBuf) -> Result<(), UnsafeLink> {
        let Self { us, link_owner, folder_owner, is_writable } = self;
        let is_trusted = |user| user == 0 || user == us;
        let is_among_others = folder_owner != us && (is_writable || !is_trusted(folder_owner));
        if !is_trusted(link_owner) {
            Err(UnsafeLink::OfOther { path: path(), owner: link_owner })
        } else if is_among_others {
            Err(UnsafeLink::AmongOthers { path: path(), owner: link_owner })
        } else {
            Ok(())
        }
    }
}

fn is_link(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits()
}

/// Whether it is mounted read-only, as the config maps of Kubernetes are, whose directories
/// have the mode 777.
fn is_read_only(folder: impl AsFd) -> bool {
    fstatvfs(folder).is_ok_and(|mounted| mounted.flags().contains(FsFlags::ST_RDONLY))
}

fn is_on_procfs(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|system| system.filesystem_type() == PROC_SUPER_MAGIC)
}

fn identity(folder: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = fstat(folder)?;
    Ok((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests;
