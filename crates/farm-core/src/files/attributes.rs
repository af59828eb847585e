//! What a file has besides its contents: mode, owner, access list, extended attributes.
//!
//! **Invariant.** A file gets the owner, the access list and the `user` attributes of
//! another one, or an error: it is never readable by more users than the other one, and
//! never by fewer without a word.

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode, fchmod, fstat};
use nix::unistd::{Gid, Uid, fchown};
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, listxattr};
use rustix::io::Errno as XattrError;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The access list. Of a directory, the list for new entries has another name.
const ACL: &CStr = c"system.posix_acl_access";
/// Extended attributes that belong to the contents, or to the file system.
const NOT_COPIED: [&[u8]; 5] = [
    b"security.capability",
    b"security.evm",
    b"security.ima",
    b"trusted.overlay.",
    b"trusted.overlayfs.",
];
/// The bound of Linux for all names, and for one value.
const XATTR_BYTES_MAX: usize = 64 << 10;
/// The most bytes of all values.
const VALUES_BYTES_MAX: usize = 1 << 20;

/// What a file has besides its contents.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    pub(crate) stat: FileStat,
    acl: Option<Vec<u8>>,
    /// Names and values, without the access list.
    extended: Vec<(CString, Vec<u8>)>,
    /// There are others, which could not be read or are too large.
    is_partial: bool,
}

impl Attributes {
    /// Those of a file that is open for reading.
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        let mut found = Self::without_extended(&file)?;
        let mut bytes_left = VALUES_BYTES_MAX;
        for name in names(|buffer| flistxattr(&file, buffer))? {
            match filled(|buffer| fgetxattr(&file, &name, buffer)) {
                Ok(value) if value.len() > bytes_left => found.is_partial = true,
                Ok(value) => {
                    bytes_left -= value.len();
                    if name.as_c_str() == ACL {
                        found.acl = Some(value);
                    } else {
                        found.extended.push((name, value));
                    }
                }
                // Removed since.
                Err(XattrError::NODATA) => {}
                Err(_) => found.is_partial |= is_required(&name),
            }
        }
        Ok(found)
    }

    /// Those of a file that we may not read, and that is open as a path.
    pub(crate) fn of_unreadable(file: impl AsFd) -> io::Result<Self> {
        let mut found = Self::without_extended(&file)?;
        let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        let names = names(|buffer| listxattr(path.as_str(), buffer))?;
        found.is_partial = names.iter().any(is_required);
        Ok(found)
    }

    fn without_extended(file: impl AsFd) -> io::Result<Self> {
        Ok(Self { stat: fstat(file)?, acl: None, extended: Vec::new(), is_partial: false })
    }

    /// Gives them to a file of ours that nobody else can open yet, with the mode and
    /// owner of `stat`.
    ///
    /// # Errors
    ///
    /// If it cannot have all of them: one for which [`is_not_kept`] holds if we are not
    /// permitted to.
    pub(crate) fn give_to(&self, file: impl AsFd, stat: &FileStat) -> io::Result<()> {
        if self.is_partial {
            return Err(not_kept(Errno::EACCES.into()));
        }
        for (name, value) in &self.extended {
            match fsetxattr(&file, name.as_c_str(), value, XattrFlags::empty()) {
                Err(e) if is_required(name) => return Err(kept_or(e.into())),
                // Labels of the system: the new file has one by its rules.
                Ok(()) | Err(_) => {}
            }
        }
        if self.acl.is_none() {
            remove_acl(&file)?;
        }
        let own = fstat(&file)?;
        if own.st_uid != stat.st_uid || own.st_gid != stat.st_gid {
            let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            fchown(&file, Some(user), Some(group)).map_err(|e| kept_or(e.into()))?;
        }
        // After the owner: until then its group is ours.
        if let Some(acl) = &self.acl {
            let acl = with_mode(acl, stat.st_mode);
            fsetxattr(&file, ACL, &acl, XattrFlags::empty()).map_err(|e| kept_or(e.into()))?;
        }
        // After the owner: a change of owner clears bits of the mode.
        let mode = Mode::from_bits_truncate(stat.st_mode & 0o7777);
        fchmod(&file, mode).map_err(|e| kept_or(e.into()))
    }

    /// Whether a file that had them has this mode and owner still.
    pub(crate) fn are_kept_by(&self, file: impl AsFd) -> io::Result<bool> {
        let facts = |stat: &FileStat| (stat.st_mode, stat.st_uid, stat.st_gid);
        Ok(facts(&fstat(file)?) == facts(&self.stat))
    }

    /// Gives a file or directory what we are permitted to give it.
    pub(crate) fn restore_on(&self, file: impl AsFd) -> io::Result<()> {
        match self.give_to(&file, &self.stat) {
            Err(e) if is_not_kept(&e) => {}
            given => return given,
        }
        let mut mode = Mode::from_bits_truncate(self.stat.st_mode & 0o7777);
        let own = fstat(&file)?;
        if (own.st_uid, own.st_gid) != (self.stat.st_uid, self.stat.st_gid) {
            // It belongs to us now, and must not run with our rights.
            mode &= !(Mode::S_ISUID | Mode::S_ISGID);
            // It keeps its group if we are a member.
            let _ = fchown(&file, None, Some(Gid::from_raw(self.stat.st_gid)));
        }
        Ok(fchmod(&file, mode)?)
    }
}

/// The names of the extended attributes that are copied.
fn names(list: impl Fn(&mut [u8]) -> Result<usize, XattrError>) -> io::Result<Vec<CString>> {
    let bytes = match filled(list) {
        Ok(bytes) => bytes,
        // The file system has none; or, for a file that we may not read, there is no /proc.
        Err(XattrError::OPNOTSUPP | XattrError::NOSYS | XattrError::NOENT) => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    let names = bytes.split_inclusive(|byte| *byte == 0);
    let names = names.filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    Ok(names.filter(|name| is_copied(name.to_bytes())).map(CStr::to_owned).collect())
}

/// What `read` writes to a buffer. Few files need the large one.
fn filled(read: impl Fn(&mut [u8]) -> Result<usize, XattrError>) -> Result<Vec<u8>, XattrError> {
    const USUAL_BYTES: usize = 1 << 10;
    let fill = |size| {
        let mut buffer = vec![0; size];
        let length = read(&mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    };
    match fill(USUAL_BYTES) {
        Err(XattrError::RANGE) => fill(XATTR_BYTES_MAX),
        filled => filled,
    }
}

fn is_copied(name: &[u8]) -> bool {
    !NOT_COPIED.iter().any(|start| name.starts_with(start))
}

/// Whether a file without it is another file to its users.
fn is_required(name: &CString) -> bool {
    let name = name.to_bytes();
    name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_")
}

/// The access list that a file with this mode has.
fn with_mode(acl: &[u8], mode: u32) -> Vec<u8> {
    // A version, then entries: tag, permissions, id.
    const VERSION_BYTES: usize = 4;
    const ENTRY_BYTES: usize = 8;
    const OWNER: u8 = 0x01;
    const MASK: u8 = 0x10;
    const OTHERS: u8 = 0x20;
    let mut acl = acl.to_vec();
    let entries = acl.get_mut(VERSION_BYTES..).unwrap_or_default();
    for entry in entries.chunks_exact_mut(ENTRY_BYTES) {
        let shift = match entry[0] {
            OWNER => 6,
            // What the mode shows as the permissions of the group.
            MASK => 3,
            OTHERS => 0,
            _ => continue,
        };
        entry[2] = u8::try_from((mode >> shift) & 0o7).unwrap_or(0);
    }
    acl
}

/// A new file may have inherited an access list from its directory.
fn remove_acl(file: impl AsFd) -> io::Result<()> {
    match fremovexattr(file, ACL) {
        Ok(()) | Err(XattrError::NODATA | XattrError::OPNOTSUPP | XattrError::NOSYS) => Ok(()),
        Err(e) => Err(kept_or(e.into())),
    }
}

/// A new file cannot have the attributes of the old one.
#[derive(Debug, thiserror::Error)]
#[error("a new file cannot have its owner, group or attributes, and it cannot be rewritten either")]
struct NotKept(#[source] io::Error);

fn not_kept(why: io::Error) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, NotKept(why))
}

/// The error of an attempt to keep an attribute: other errors than a refusal stay.
fn kept_or(error: io::Error) -> io::Error {
    // An id that our user namespace does not have is invalid.
    let refusals = [Errno::EPERM, Errno::EACCES, Errno::EINVAL, Errno::EOPNOTSUPP, Errno::ENOSYS];
    let is_refusal = error.raw_os_error().is_some_and(|e| refusals.contains(&Errno::from_raw(e)));
    if is_refusal { not_kept(error) } else { error }
}

/// Whether an error means that we are not permitted to give a new file the attributes
/// of the old one.
pub(crate) fn is_not_kept(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NotKept>())
}

#[cfg(test)]
mod tests;
