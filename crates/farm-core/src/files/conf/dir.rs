//! A config in a directory: one small file per field.
//!
//! **Invariant.** A file is written only if the value of its field changed, and
//! only over the bytes that we have read. Entries that are not ours (dot-files, links,
//! sockets, files that are not text) are neither read, nor written, nor removed.

use super::names::Names;
use super::outcome::{CONF_BYTES_MAX, CONF_ENTRIES_MAX, Loaded, QUIET, Stored};
use super::scan::{Found, Limits, ScanError, Skipped, scan};
use crate::codec::dir::{Decoded, Memory, Tree, carry_over, decode, encode_conf};
use crate::engine::check_stop;
use crate::files::cleanup::{Sweep, sweep};
use crate::files::compare_and_swap::{Displaced, SwapOutcome};
use crate::files::error::{Fault, FileError, is_no_file};
use crate::files::folder::{Folder, errno_of};
use crate::files::kind::Kind;
use crate::files::look::{Look, Stamp};
use crate::model::{Conflict, FieldPath, Record, Value};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How many files with overruled edits are kept until the conflicts are logged.
const OVERRULED_MAX: usize = 32;

const LIMITS: Limits = Limits { entries_max: CONF_ENTRIES_MAX, bytes_max: CONF_BYTES_MAX };

#[derive(Debug, Default)]
pub(super) struct ConfDir {
    path: PathBuf,
    look: Option<Look>,
    names: Names<Stamp>,
    /// How long a file must be empty before its field is.
    emptied: Duration,
    memory: Memory,
    /// The files as they were last read or written.
    seen: Tree,
    /// The record that was last loaded or stored.
    record: Record,
    skipped: BTreeSet<Skipped>,
    /// Fields of `record` that cannot have a file.
    unfiled: Vec<FieldPath>,
    /// The fields and reasons that were logged for them.
    logged: BTreeSet<(String, String)>,
    /// Directories whose field is gone, but which still contain entries that are not ours.
    leftover: BTreeSet<Vec<String>>,
    conflicts: Vec<Conflict>,
    /// Files with the edits that the conflicts are about.
    overruled: Vec<Displaced>,
}

impl ConfDir {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, emptied: QUIET, ..Self::default() }
    }

    pub(super) fn settle_after(&mut self, quiet: Duration) {
        self.names = Names::settling(quiet);
        self.emptied = QUIET.max(quiet);
    }

    pub(super) fn sweep(&self) {
        match Folder::open(&self.path) {
            Ok(top) => sweep(&top, Sweep::Tree),
            // This is reported when it is read.
            Err(e) => log::debug!(path:% = self.path.display(); "cannot look for left-overs: {e}"),
        }
    }

    pub(super) fn conflicts_logged(&mut self) {
        for mut displaced in self.overruled.drain(..) {
            displaced.discard();
        }
    }

    pub(super) const fn last_look(&self) -> Option<&Look> {
        self.look.as_ref()
    }

    pub(super) fn learn_types(&mut self, record: &Record) {
        self.memory.learn(record);
    }

    pub(super) fn load(&mut self) -> Result<Loaded, FileError> {
        let found = match self.scan() {
            Ok(found) => found,
            Err(e) => {
                if e.is_missing() {
                    self.seen = Tree::default();
                    self.leftover.clear();
                    self.names.release();
                }
                return Err(e);
            }
        };
        let Found { mut tree, skipped, just_emptied, stamps } = found;
        self.log_skipped(skipped);
        self.hide_leftover(&mut tree);
        let others = self.skipped.iter().filter_map(|skipped| skipped.keys.clone()).collect();
        let folder_of = |keys: &[String]| stamps.get(keys).copied().flatten();
        let (vanished, settled_in) =
            self.names.scanned(Instant::now(), &mut tree, others, folder_of);
        let Decoded { mut record, skipped: undecoded } = decode(&tree, &self.memory);

        let (filled_in, held) = self.hold_emptied(&just_emptied, &mut record);
        let mut unseen: Vec<FieldPath> = self.skipped.iter().filter_map(Skipped::field).collect();
        unseen.extend(undecoded);
        unseen.extend(self.unfiled.iter().cloned());
        unseen.extend(held);
        unseen.extend(vanished.into_iter().map(FieldPath::from_keys));
        carry_over(&mut record, &self.record, &unseen);

        self.memory.learn(&record);
        self.seen = tree;
        self.record = record.clone();
        let conflicts = std::mem::take(&mut self.conflicts);
        let again = filled_in.into_iter().chain(settled_in).min();
        // Fields that cannot have a file do not count: storing them again would not help.
        Ok(Loaded { record, conflicts, again, needs_store: false })
    }

    fn scan(&mut self) -> Result<Found, FileError> {
        let look = self.look.insert(Look::at(&self.path));
        let found = Folder::open(&self.path).map_err(ScanError::from);
        let found = found.and_then(|top| scan(&top, LIMITS, self.emptied));
        for (keys, stamp) in found.iter().flat_map(|found| &found.stamps) {
            if !keys.is_empty() {
                look.add(keys.iter().collect(), *stamp);
            }
        }
        found.map_err(|e| {
            let fault = match e {
                ScanError::TooLarge => Fault::TooLarge { bytes_max: CONF_BYTES_MAX },
                ScanError::TooManyEntries => {
                    Fault::TooManyEntries { entries_max: CONF_ENTRIES_MAX }
                }
                ScanError::Io(e) => Fault::of_directory(e),
            };
            FileError::loading(&self.path, fault)
        })
    }

    fn log_skipped(&mut self, skipped: Vec<Skipped>) {
        let skipped: BTreeSet<Skipped> = skipped.into_iter().collect();
        for new in skipped.difference(&self.skipped) {
            log::warn!(file:% = new.path.display(); "skipped: {}", new.reason);
        }
        self.skipped = skipped;
    }

    /// Removes directories from `tree` that stayed only for entries that are not ours:
    /// their objects were removed.
    fn hide_leftover(&mut self, tree: &mut Tree) {
        self.leftover.retain(|keys| {
            let is_below =
                |other: &Vec<String>| other.len() > keys.len() && other.starts_with(keys);
            tree.folders.contains(keys)
                && !tree.files.range(keys.clone()..).next().is_some_and(|(k, _)| is_below(k))
        });
        for keys in &self.leftover {
            tree.folders.remove(keys);
        }
    }

    /// Most editors truncate a file before they write it. A field whose file has just
    /// become empty keeps its value until the file has been empty for a while.
    fn hold_emptied(
        &self,
        just_emptied: &[Vec<String>],
        record: &mut Record,
    ) -> (Option<Duration>, Vec<FieldPath>) {
        let held: Vec<FieldPath> = just_emptied
            .iter()
            .map(|keys| FieldPath::from_keys(keys.clone()))
            .filter(|field| {
                let known = self.record.get(field);
                known.is_some_and(|value| !value.is_object() && value.as_str() != Some(""))
            })
            .collect();
        for field in &held {
            record.unset(field);
        }
        ((!held.is_empty()).then_some(self.emptied), held)
    }

    pub(super) fn store(&mut self, wanted: &Record) -> Result<Stored, FileError> {
        let encoded = encode_conf(wanted);
        let Tree { files, folders } = &encoded.tree;
        let bytes: usize = files.values().map(Vec::len).sum();
        let too_large =
            |max, unit| Err(FileError::writing(&self.path, Fault::RecordTooLarge { max, unit }));
        if bytes > CONF_BYTES_MAX {
            return too_large(CONF_BYTES_MAX, "bytes");
        }
        if files.len() + folders.len() > CONF_ENTRIES_MAX {
            return too_large(CONF_ENTRIES_MAX, "files and directories");
        }
        let top = Folder::open_or_make(&self.path);
        let mut writing = Writing {
            top: top.map_err(|e| FileError::writing(&self.path, e))?,
            wanted,
            target: encoded.tree,
            blocked: BTreeSet::new(),
            is_written: false,
            is_overtaken: false,
            is_unsettled: false,
        };
        let before = self.seen.clone();
        let written = writing.run(self);
        self.names.wrote(&before, &self.seen);
        written.map_err(|(keys, e)| FileError::writing(&self.path.join(keys.join("/")), e))?;

        let refused = encoded.refused.into_iter().map(|(field, why)| (field, why.to_string()));
        let blocked = writing.blocked.iter().map(|keys| {
            let why = "something that is not ours is in the way".to_owned();
            (FieldPath::from_keys(keys.clone()), why)
        });
        self.log_unfiled(refused.chain(blocked).collect());
        if writing.is_overtaken {
            return Ok(Stored::Overtaken);
        }
        if writing.is_unsettled {
            return Ok(Stored::Unsettled { is_written: writing.is_written });
        }
        self.record = wanted.clone();
        Ok(if writing.is_written { Stored::Written } else { Stored::Unchanged })
    }

    fn log_unfiled(&mut self, unfiled: Vec<(FieldPath, String)>) {
        let mut logged = BTreeSet::new();
        self.unfiled.clear();
        for (field, why) in unfiled {
            let line = (field.to_string(), why);
            if !self.logged.contains(&line) {
                log::warn!(field:? = line.0; "a field has no file: {}", line.1);
            }
            logged.insert(line);
            self.unfiled.push(field);
        }
        self.logged = logged;
    }
}

/// One store: removals come first, so that a file can become a directory.
struct Writing<'a> {
    top: Folder,
    wanted: &'a Record,
    target: Tree,
    /// Paths that cannot be written because of an entry that is not ours.
    blocked: BTreeSet<Vec<String>>,
    is_written: bool,
    is_overtaken: bool,
    /// Fields were left alone because their files have just appeared or vanished.
    is_unsettled: bool,
}

type Failure = (Vec<String>, io::Error);

impl Writing<'_> {
    fn run(&mut self, conf: &mut ConfDir) -> Result<(), Failure> {
        self.remove_files(conf)?;
        self.remove_folders(conf)?;
        self.make_folders(conf)?;
        self.write_files(conf)
    }

    fn remove_files(&mut self, conf: &mut ConfDir) -> Result<(), Failure> {
        let gone = conf.seen.files.keys().filter(|keys| !self.target.files.contains_key(*keys));
        for keys in gone.cloned().collect::<Vec<_>>() {
            check_stop().map_err(|e| (keys.clone(), e))?;
            let expected = conf.seen.files[&keys].clone();
            match self.top.at(&keys, |folder, name| folder.remove_if(name, &expected)) {
                Ok(SwapOutcome::Stale) => self.is_overtaken = true,
                Ok(SwapOutcome::Raced(displaced)) => {
                    self.note_conflict(conf, &keys, displaced);
                    conf.seen.files.remove(&keys);
                }
                Ok(SwapOutcome::Done(_)) => {
                    self.is_written = true;
                    conf.seen.files.remove(&keys);
                }
                Ok(SwapOutcome::Unchanged) => drop(conf.seen.files.remove(&keys)),
                Err(e) => self.skip_if_blocked(conf, keys, e)?,
            }
        }
        Ok(())
    }

    fn remove_folders(&mut self, conf: &mut ConfDir) -> Result<(), Failure> {
        let gone: Vec<Vec<String>> =
            conf.seen.folders.difference(&self.target.folders).cloned().collect();
        // The deepest first: they sort after the directories that contain them.
        for keys in gone.into_iter().rev() {
            check_stop().map_err(|e| (keys.clone(), e))?;
            match self.top.at(&keys, Folder::remove_folder) {
                Ok(()) => self.is_written = true,
                Err(e) if errno_of(&e) == Some(Errno::ENOENT) => {}
                Err(e) if matches!(errno_of(&e), Some(Errno::ENOTEMPTY | Errno::EEXIST)) => {
                    conf.leftover.insert(keys.clone());
                }
                Err(e) => self.skip_if_blocked(conf, keys.clone(), e)?,
            }
            conf.seen.folders.remove(&keys);
        }
        Ok(())
    }

    fn make_folders(&mut self, conf: &mut ConfDir) -> Result<(), Failure> {
        let new: Vec<Vec<String>> =
            self.target.folders.difference(&conf.seen.folders).cloned().collect();
        for keys in new {
            check_stop().map_err(|e| (keys.clone(), e))?;
            if self.is_held(conf, &keys) || self.is_out_of_reach(conf, &keys) {
                continue;
            }
            let made = self.top.at(&keys, |folder, name| match folder.make_folder(name) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => folder.kind(name),
                made => made.map(|()| None),
            });
            match made {
                Ok(None) => self.is_written = true,
                Ok(Some(Kind::Folder)) => drop(conf.leftover.remove(&keys)),
                // Somebody created a file there since the scan.
                Ok(Some(Kind::File | Kind::Other)) => {
                    self.is_overtaken = true;
                    self.blocked.insert(keys);
                    continue;
                }
                Err(e) => {
                    self.skip_if_blocked(conf, keys, e)?;
                    continue;
                }
            }
            conf.seen.folders.insert(keys);
        }
        Ok(())
    }

    fn write_files(&mut self, conf: &mut ConfDir) -> Result<(), Failure> {
        for (keys, bytes) in std::mem::take(&mut self.target.files) {
            check_stop().map_err(|e| (keys.clone(), e))?;
            if self.is_held(conf, &keys) {
                continue;
            }
            let field = FieldPath::from_keys(keys.clone());
            let value = self.wanted.get(&field);
            let old = conf.seen.files.get(&keys);
            let is_current = old.is_some() && conf.record.get(&field) == value;
            if is_current || self.is_out_of_reach(conf, &keys) {
                continue;
            }
            let swap = |folder: &Folder, name: &std::ffi::OsStr| {
                if old.is_none() && folder.kind(name)? == Some(Kind::Folder) {
                    return Err(Errno::EISDIR.into());
                }
                folder.compare_and_swap(name, old.map(Vec::as_slice), &bytes)
            };
            match self.top.at(&keys, swap) {
                Ok(SwapOutcome::Stale) => {
                    self.is_overtaken = true;
                    continue;
                }
                Ok(SwapOutcome::Raced(displaced)) => self.note_conflict(conf, &keys, displaced),
                Ok(SwapOutcome::Done(_)) => self.is_written = true,
                Ok(SwapOutcome::Unchanged) => {}
                Err(e) => {
                    self.skip_if_blocked(conf, keys, e)?;
                    continue;
                }
            }
            conf.memory.learn_field(&keys, value.cloned().unwrap_or(Value::Null));
            conf.seen.files.insert(keys, bytes);
        }
        Ok(())
    }

    /// Somebody edited the field that we were changing: our value stays, theirs is
    /// reported as a conflict.
    fn note_conflict(&mut self, conf: &mut ConfDir, keys: &[String], mut displaced: Displaced) {
        self.is_overtaken = true;
        let bytes = displaced.read(CONF_BYTES_MAX).ok().flatten().unwrap_or_default();
        let field = FieldPath::from_keys(keys.to_vec());
        let local = conf.memory.value_of(keys, &String::from_utf8_lossy(&bytes));
        let remote = self.wanted.get(&field).cloned();
        conf.conflicts.push(Conflict { field, local: Some(local), remote });
        if conf.overruled.len() < OVERRULED_MAX {
            conf.overruled.push(displaced);
        } else {
            displaced.discard();
        }
    }

    /// Whether a name has just appeared or vanished, so that nobody knows yet whether its
    /// field is there.
    fn is_held(&mut self, conf: &ConfDir, keys: &[String]) -> bool {
        if !conf.names.is_held(keys) {
            return false;
        }
        let field = FieldPath::from_keys(keys.to_vec());
        self.is_unsettled |= conf.record.get(&field) != self.wanted.get(&field);
        true
    }

    /// Whether a path is, or is below, an entry that is not ours.
    fn is_out_of_reach(&self, conf: &ConfDir, keys: &[String]) -> bool {
        let mut above = (1..=keys.len()).map(|length| &keys[..length]);
        above.any(|part| {
            self.blocked.contains(part)
                || conf.skipped.iter().any(|skipped| skipped.keys.as_deref() == Some(part))
        })
    }

    /// Skips a path where the entry has another kind than expected, so that the rest is
    /// still written; any other failure ends the store.
    fn skip_if_blocked(
        &mut self,
        conf: &ConfDir,
        keys: Vec<String>,
        e: io::Error,
    ) -> Result<(), Failure> {
        let is_moved = matches!(
            errno_of(&e),
            Some(Errno::EISDIR | Errno::ENOTDIR | Errno::ELOOP | Errno::ENOENT)
        );
        if !is_no_file(&e) && !is_moved {
            return Err((keys, e));
        }
        // A left-over directory will be there next time too; anything else is a race.
        if !conf.leftover.contains(&keys) {
            self.is_overtaken = true;
        }
        self.blocked.insert(keys);
        Ok(())
    }
}
