//! Hidden names for files that are about to replace others, or were replaced.
//!
//! **Invariant.** While a process has a file under such a name, it shares the lock of the
//! directory. So whoever gets that lock alone knows that all of them are left-overs. A name that
//! was made when the lock was not to be had contains the pid of its process instead.

use super::folder_lock::FolderLock;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The ending of names of new files.
pub(crate) const STAGED: &str = ".new";
/// The ending of names of displaced files.
pub(crate) const DISPLACED: &str = ".old";
const PREFIX: &str = ".zk-";

/// A name that no other file has. The file under it is safe from sweeps as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct HiddenName {
    name: OsString,
    _lock: Option<FolderLock>,
}

impl HiddenName {
    /// Makes a name; `folder` is a descriptor of its directory that is open only for this.
    pub(super) fn new(folder: io::Result<OwnedFd>, ending: &str) -> Self {
        let random = fastrand::u64(..);
        match folder.and_then(FolderLock::share) {
            Ok(lock) => Self {
                name: OsString::from(format!("{PREFIX}{random:016x}{ending}")),
                _lock: Some(lock),
            },
            Err(e) => {
                log::debug!("the directory of a temporary file can't be locked: {e}");
                let process = std::process::id();
                let name = OsString::from(format!("{PREFIX}{random:016x}-{process}{ending}"));
                Self { name, _lock: None }
            }
        }
    }
}

impl Deref for HiddenName {
    type Target = OsStr;

    fn deref(&self) -> &OsStr {
        &self.name
    }
}

/// Whether a name is that of a dot-file. Dot-files are not fields, and are left alone.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a name is the hidden one of a new file.
#[cfg(feature = "watch")]
pub(crate) fn is_staged(name: &OsStr) -> bool {
    is_between(name, STAGED)
}

/// Whether a name is the hidden one of a displaced file.
#[cfg(feature = "watch")]
pub(crate) fn is_displaced(name: &OsStr) -> bool {
    is_between(name, DISPLACED)
}

#[cfg(feature = "watch")]
fn is_between(name: &OsStr, ending: &str) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(ending.as_bytes())
}

/// Whether a hidden name is a left-over, for a caller that holds the lock of the directory alone
/// and has no file there itself.
///
/// A name with a pid (see above, and earlier versions made only such names) is one if that process
/// is gone, or if it has our pid, which is common in containers.
pub(super) fn is_left_over(name: &OsStr) -> bool {
    let Some(middle) = middle_of(name) else { return false };
    let (random, process) = match middle.split_once('-') {
        Some((random, process)) => (random, Some(process)),
        None => (middle, None),
    };
    let is_random = random.len() == 16 && random.bytes().all(|c| c.is_ascii_hexdigit());
    is_random && process.is_none_or(is_gone)
}

/// The part of a hidden name that differs from name to name.
fn middle_of(name: &OsStr) -> Option<&str> {
    let name = name.to_str()?.strip_prefix(PREFIX)?;
    name.strip_suffix(STAGED).or_else(|| name.strip_suffix(DISPLACED))
}

fn is_gone(process: &str) -> bool {
    process.parse::<u32>().is_ok_and(|process| {
        process == std::process::id() || !Path::new("/proc").join(process.to_string()).exists()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_living_process_hides_is_not_left_over() {
        let own = std::process::id();
        let parent = nix::unistd::getppid();
        for (name, expected) in [
            (".zk-0123456789abcdef.new", true),
            (".zk-0123456789abcdef.old", true),
            (".zk-0123456789abcdef-4194305.new", true),
            (".zk-0123456789abcdef-4194305.old", true),
            (&format!(".zk-0123456789abcdef-{own}.old"), true),
            (&format!(".zk-0123456789abcdef-{parent}.new"), false),
            (".zk-0123456789abcdef-4194305.txt", false),
            (".zk-0123456789abcde-4194305.new", false),
            (".zk-0123456789abcde.new", false),
            (".zk-0123456789abcdeg.new", false),
            (".zk-0123456789abcdef.txt", false),
            (".zk-0123456789abcdef-x.new", false),
            (".zk-0123456789abcdef-.new", false),
            (".zk-.new", false),
            (".zk-mine.old", false),
            ("zk-0123456789abcdef-4194305.new", false),
            ("zk-0123456789abcdef.new", false),
        ] {
            assert_eq!(is_left_over(OsStr::new(name)), expected, "{name}");
        }
    }
}
