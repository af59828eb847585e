//! Hidden names for files that are about to replace others, or were replaced.
//!
//! Beside the file `.zk-ID.new` or `.zk-ID.old` there is a lock file, `.zk-ID.lock`.
//!
//! **Invariant.** A file that we displaced and that may hold an edit has `.old` in its name, and
//! the lock file says which contents are no edit. What has `.new` in its name was written by us.

use super::lock_file::{Claim, LockFile};
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The ending of names of new files.
pub(crate) const STAGED: &str = ".new";
/// The ending of names of displaced files.
pub(crate) const DISPLACED: &str = ".old";
const LOCK: &str = ".lock";
const PREFIX: &str = ".zk-";
const ID_BYTES: usize = 16;
/// How often a lock file is tried to be made. Only a sweep at the same moment is in the way.
const ATTEMPTS_MAX: u32 = 8;

/// A name that no other file has. The file under it is safe from sweeps as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct HiddenName {
    id: String,
    name: OsString,
    /// Dropped last: the lock file goes after the file.
    lock: Option<LockFile>,
}

/// What a sweep has to know of a displaced file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The name that the file had.
    pub(super) target: OsString,
    /// The digests of contents that are known elsewhere.
    known: Vec<u64>,
}

impl HiddenName {
    /// Makes a name in a directory.
    pub(super) fn new(folder: impl AsFd, ending: &str) -> Self {
        for _ in 0..ATTEMPTS_MAX {
            let id = random_id();
            match LockFile::create(&folder, &name_of(&id, LOCK)) {
                Ok(None) => {}
                Ok(lock @ Some(_)) => return Self { name: name_of(&id, ending), id, lock },
                Err(e) => {
                    log::debug!("no lock file for a temporary file: {e}");
                    break;
                }
            }
        }
        let id = random_id();
        Self { name: name_of(&id, ending), id, lock: None }
    }

    /// Takes over the names of a process that has ended; `None` if it runs.
    pub(super) fn take_over(folder: impl AsFd, id: &str) -> io::Result<Option<Self>> {
        let lock = match LockFile::take_over(folder, &name_of(id, LOCK))? {
            Claim::InUse => return Ok(None),
            Claim::Missing => None,
            Claim::Taken(lock) => Some(lock),
        };
        Ok(Some(Self { id: id.to_owned(), name: OsString::new(), lock }))
    }

    /// The same name with another ending.
    pub(super) fn with_ending(&self, ending: &str) -> OsString {
        name_of(&self.id, ending)
    }

    /// The file was renamed to the same name with this ending.
    pub(super) fn renamed(mut self, ending: &str) -> Self {
        self.name = self.with_ending(ending);
        self
    }

    /// Whether there is a lock file.
    pub(super) const fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Notes for a sweep that the file was displaced from `target`, and that these contents are
    /// known elsewhere: with any others, it holds an edit.
    pub(super) fn note(&mut self, target: &OsStr, known: &[&[u8]]) {
        let note =
            Note { target: target.to_owned(), known: known.iter().map(|b| digest(b)).collect() };
        if let Some(lock) = &self.lock
            && let Err(e) = lock.note(&note.encode())
        {
            log::debug!("cannot write to a lock file: {e}");
            // Without a lock file, a sweep takes the file for an edit.
            self.lock = None;
        }
    }

    /// What was noted, if anything.
    pub(super) fn noted(&self) -> io::Result<Option<Note>> {
        let bytes = self.lock.as_ref().map(LockFile::noted).transpose()?;
        Ok(bytes.and_then(|bytes| Note::decode(&bytes)))
    }

    /// Leaves the lock file to the next sweep.
    pub(super) fn leave(&mut self) {
        self.lock.iter_mut().for_each(LockFile::leave);
    }

    /// Removes the file and its lock file.
    pub(super) fn remove(self) {
        if let Some(lock) = self.lock {
            lock.remove_with(&self.name);
        }
    }
}

impl Deref for HiddenName {
    type Target = OsStr;

    fn deref(&self) -> &OsStr {
        &self.name
    }
}

impl Note {
    fn encode(&self) -> Vec<u8> {
        let known: Vec<String> = self.known.iter().map(|digest| format!("{digest:016x}")).collect();
        [known.join(" ").as_bytes(), b"/", self.target.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let slash = bytes.iter().position(|byte| *byte == b'/')?;
        let known = std::str::from_utf8(&bytes[..slash]).ok()?.split(' ');
        let known: Result<_, _> = known.map(|digest| u64::from_str_radix(digest, 16)).collect();
        let target = OsString::from_vec(bytes[slash + 1..].to_vec());
        Some(Self { target, known: known.ok()? })
    }

    /// Whether the contents are known elsewhere.
    pub(super) fn knows(&self, bytes: &[u8]) -> bool {
        self.known.contains(&digest(bytes))
    }
}

/// Another build may have another digest: then a file is taken for an edit that is none.
fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// No other user can guess the next one: the hasher has random keys of the system.
fn random_id() -> String {
    format!("{:016x}", RandomState::new().hash_one(()))
}

fn name_of(id: &str, ending: &str) -> OsString {
    OsString::from(format!("{PREFIX}{id}{ending}"))
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

/// The id in the name of a temporary file, or of a lock file.
pub(super) fn id_of(name: &OsStr) -> Option<&str> {
    let name = name.to_str()?.strip_prefix(PREFIX)?;
    let id = [STAGED, DISPLACED, LOCK].iter().find_map(|ending| name.strip_suffix(ending))?;
    (id.len() == ID_BYTES && id.bytes().all(|c| c.is_ascii_hexdigit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn only_names_of_ours_have_an_id() {
        for (name, expected) in [
            (".zk-0123456789abcdef.new", true),
            (".zk-0123456789abcdef.old", true),
            (".zk-0123456789abcdef.lock", true),
            (".zk-0123456789abcdef.txt", false),
            (".zk-0123456789abcdef-4194305.new", false),
            (".zk-0123456789abcde.new", false),
            (".zk-0123456789abcdeg.new", false),
            (".zk-.new", false),
            (".zk-mine.old", false),
            ("zk-0123456789abcdef.new", false),
        ] {
            let id = expected.then_some("0123456789abcdef");
            assert_eq!(id_of(OsStr::new(name)), id, "{name}");
        }
    }

    #[test]
    fn ids_differ() {
        let ids: BTreeSet<String> = (0..1000).map(|_| random_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id_of(&name_of(id, STAGED)) == Some(id)));
    }

    #[test]
    fn a_note_survives_any_file_name() {
        for target in [&b"conf.json"[..], b"a b", b"\xff\n", b"0123 4567"] {
            let target = OsStr::from_bytes(target).to_owned();
            let note = Note { target, known: vec![digest(b"old"), digest(b"new")] };
            assert!(note.knows(b"old") && note.knows(b"new") && !note.knows(b"edit"));
            assert_eq!(Note::decode(&note.encode()), Some(note));
        }
        for bytes in [&b""[..], b"/", b"x/conf", b"0123", b"\xff/conf"] {
            assert_eq!(Note::decode(bytes), None, "{bytes:?}");
        }
    }
}
