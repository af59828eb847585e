//! Why a file or a directory could not be read or written.
//!
//! **Invariant.** The message of each fault is here and nowhere else.

use super::attributes::is_not_kept;
use super::folder::errno_of;
use crate::codec::{DecodeError, EncodeError};
use crate::engine::is_stop;
use crate::host::resolve::UnsafeLink;
use nix::errno::Errno;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file or a directory could not be read or written.
#[derive(Debug)]
pub struct FileError {
    /// What was tried.
    pub act: Operation,
    /// The file or directory.
    pub path: PathBuf,
    /// What prevented it.
    pub fault: Fault,
}

/// An operation on a file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Its bytes are read.
    Read,
    /// It is read as a config.
    Load,
    /// It is written, or claimed in order to be written.
    Write,
}

/// What is wrong with a file or a directory, or with its new contents.
#[derive(Debug)]
pub enum Fault {
    /// A system call failed.
    Io(io::Error),
    /// It is not a regular file, and was not opened.
    NotAFile,
    /// It is not a directory, but has to be one.
    NotADirectory,
    /// Its path has too many links, or a loop of links.
    LinkLoop,
    /// Its path leads to another directory since it was opened.
    Moved,
    /// It is larger than the caller allows.
    TooLarge {
        /// The most bytes that the caller allows.
        bytes_max: usize,
    },
    /// It has more files and directories than a config may have.
    TooManyEntries {
        /// How many it may have.
        entries_max: usize,
    },
    /// The record is larger than what can be read again.
    RecordTooLarge {
        /// How much may be read.
        max: usize,
        /// Of what.
        unit: &'static str,
    },
    /// The directory is not empty, and has no marker of ours.
    NotOurs {
        /// The name of the marker.
        marker: &'static str,
    },
    /// The format cannot express the record.
    Encode(EncodeError),
    /// The contents do not follow their format, at least at the moment.
    Malformed(DecodeError),
}

impl FileError {
    pub(crate) fn reading(path: &Path, fault: impl Into<Fault>) -> Self {
        Self { act: Operation::Read, path: path.to_owned(), fault: fault.into() }
    }

    pub(super) fn loading(path: &Path, fault: impl Into<Fault>) -> Self {
        Self { act: Operation::Load, path: path.to_owned(), fault: fault.into() }
    }

    /// Failed to write to `path`.
    pub fn writing(path: &Path, fault: impl Into<Fault>) -> Self {
        Self { act: Operation::Write, path: path.to_owned(), fault: fault.into() }
    }

    /// The link on the way that is not followed, if that is the reason.
    #[must_use]
    pub fn unsafe_link(&self) -> Option<&UnsafeLink> {
        if let Fault::Io(e) = &self.fault { UnsafeLink::of(e) } else { None }
    }

    /// Whether permission was denied, the file system is read-only, or a link is not followed.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(&self.fault, Fault::Io(e) if is_permission(e))
    }

    /// Whether the process was told to stop before all was written.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        match &self.fault {
            Fault::Io(e) => is_stop(e),
            Fault::Encode(e) => matches!(e, EncodeError::Stopped),
            _ => false,
        }
    }

    /// Whether the path, or a directory on the way to it, does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(&self.fault, Fault::Io(e) if e.kind() == io::ErrorKind::NotFound)
    }
}

pub(super) fn is_permission(error: &io::Error) -> bool {
    matches!(errno_of(error), Some(Errno::EACCES | Errno::EPERM | Errno::EROFS))
        || is_not_kept(error)
        || UnsafeLink::of(error).is_some()
}

/// Whether the system had nothing left to open a file with. That says nothing about the file.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    matches!(errno_of(error), Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
}

/// Whether an error is our own one for something that is not a regular file.
pub(super) fn is_no_file(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none()
}

impl Fault {
    /// The fault for an error about a path that has to be a directory.
    pub(super) fn of_directory(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotADirectory => Self::NotADirectory,
            _ => error.into(),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match errno_of(&error) {
            _ if is_no_file(&error) => Self::NotAFile,
            Some(Errno::ELOOP) => Self::LinkLoop,
            _ => Self::Io(error),
        }
    }
}

impl From<EncodeError> for Fault {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let act = match self.act {
            Operation::Read | Operation::Load => "read",
            Operation::Write => "write",
        };
        match &self.fault {
            Fault::NotAFile | Fault::NotADirectory if self.act == Operation::Load => {
                write!(f, "{path} is not the kind of file that its format needs")
            }
            Fault::TooLarge { bytes_max } if self.act == Operation::Load => {
                write!(f, "{path} is too large for a config: more than {bytes_max} bytes")
            }
            Fault::TooManyEntries { entries_max } if self.act == Operation::Load => write!(
                f,
                "{path} is too large for a config: more than {entries_max} files and directories"
            ),
            Fault::TooManyEntries { entries_max } => {
                write!(f, "cannot {act} {path}: more than {entries_max} files and directories")
            }
            Fault::Io(_) | Fault::Encode(_) => write!(f, "cannot {act} {path}"),
            Fault::NotAFile => write!(f, "cannot {act} {path}: not a regular file"),
            Fault::NotADirectory => write!(f, "{path} is not a directory"),
            Fault::LinkLoop => write!(f, "cannot {act} {path}: too many levels of links"),
            Fault::Moved => write!(f, "cannot {act} {path}: its directory was replaced meanwhile"),
            Fault::TooLarge { bytes_max } => {
                write!(f, "cannot {act} {path}: more than {bytes_max} bytes")
            }
            Fault::RecordTooLarge { max, unit } => {
                write!(f, "cannot {act} {path}: the record has more than {max} {unit}")
            }
            Fault::NotOurs { marker } => write!(f, "{path} is not empty and has no file {marker}"),
            Fault::Malformed(_) => write!(f, "cannot understand {path}"),
        }
    }
}

impl Error for FileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.fault {
            Fault::Io(e) => Some(e),
            Fault::Encode(e) => Some(e),
            Fault::Malformed(e) => Some(e),
            Fault::NotAFile
            | Fault::NotADirectory
            | Fault::LinkLoop
            | Fault::Moved
            | Fault::TooLarge { .. }
            | Fault::TooManyEntries { .. }
            | Fault::RecordTooLarge { .. }
            | Fault::NotOurs { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message with its cause.
    fn message(error: &FileError) -> String {
        let cause = error.source().map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    }

    #[test]
    fn messages_name_the_operation_and_the_cause() {
        let path = Path::new("/etc/conf");
        let full = || io::Error::from_raw_os_error(28);
        let malformed = crate::codec::json::decode_znode(b"[1]").unwrap_err();
        let why = malformed.to_string();
        let no_file = || io::Error::from(io::ErrorKind::InvalidInput);
        let no_directory = || Fault::of_directory(io::Error::from_raw_os_error(20));
        for (error, expected) in [
            (
                FileError::writing(path, full()),
                "cannot write /etc/conf: No space left on device (os error 28)",
            ),
            (
                FileError::reading(path, full()),
                "cannot read /etc/conf: No space left on device (os error 28)",
            ),
            (
                FileError::loading(path, full()),
                "cannot read /etc/conf: No space left on device (os error 28)",
            ),
            (FileError::writing(path, no_file()), "cannot write /etc/conf: not a regular file"),
            (FileError::reading(path, no_file()), "cannot read /etc/conf: not a regular file"),
            (
                FileError::loading(path, no_file()),
                "/etc/conf is not the kind of file that its format needs",
            ),
            (FileError::writing(path, no_directory()), "/etc/conf is not a directory"),
            (
                FileError::loading(path, no_directory()),
                "/etc/conf is not the kind of file that its format needs",
            ),
            (
                FileError::writing(path, Fault::LinkLoop),
                "cannot write /etc/conf: too many levels of links",
            ),
            (
                FileError::writing(path, Fault::Moved),
                "cannot write /etc/conf: its directory was replaced meanwhile",
            ),
            (
                FileError::reading(path, Fault::TooLarge { bytes_max: 4 }),
                "cannot read /etc/conf: more than 4 bytes",
            ),
            (
                FileError::loading(path, Fault::TooLarge { bytes_max: 4 }),
                "/etc/conf is too large for a config: more than 4 bytes",
            ),
            (
                FileError::loading(path, Fault::TooManyEntries { entries_max: 4 }),
                "/etc/conf is too large for a config: more than 4 files and directories",
            ),
            (
                FileError::writing(path, Fault::RecordTooLarge { max: 4, unit: "bytes" }),
                "cannot write /etc/conf: the record has more than 4 bytes",
            ),
            (
                FileError::writing(path, Fault::NotOurs { marker: ".marker" }),
                "/etc/conf is not empty and has no file .marker",
            ),
            (FileError::loading(path, malformed), &format!("cannot understand /etc/conf: {why}")),
        ] {
            assert_eq!(message(&error), expected);
        }
    }

    #[test]
    fn only_our_own_error_says_that_something_is_no_file() {
        let invalid = io::Error::from_raw_os_error(22);
        assert_eq!(invalid.kind(), io::ErrorKind::InvalidInput);
        assert!(matches!(Fault::from(invalid), Fault::Io(_)));
        assert!(matches!(
            Fault::from(io::Error::from(io::ErrorKind::InvalidInput)),
            Fault::NotAFile
        ));
    }

    #[test]
    fn permission_errors_are_recognised_for_every_operation() {
        for errno in [13, 1, 30] {
            let error = || io::Error::from_raw_os_error(errno);
            for make in [FileError::reading, FileError::loading, FileError::writing] {
                assert!(make(Path::new("/conf"), error()).is_permission(), "{errno}");
            }
        }
        assert!(!FileError::writing(Path::new("/conf"), Fault::NotAFile).is_permission());
    }
}
