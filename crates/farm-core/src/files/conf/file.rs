//! A config in one file.
//!
//! **Invariant.** We replace the file only if it is, byte for byte, what we have read.
//! A file that we have displaced is checked for a while longer ([`IDLE`], [`LATE`]): the
//! edit of an editor that still has it open is merged. Then it is closed.

use super::outcome::{CONF_BYTES_MAX, Loaded, QUIET, Stored};
use super::stale_save::{RecentVersions, without_stale_fields};
use crate::codec::{self, ConfText, DecodeError, VALUES_MAX, json};
use crate::files::compare_and_swap::{Displaced, SwapOutcome, compare_and_swap};
use crate::files::error::{Fault, FileError, Operation};
use crate::files::file::read;
use crate::files::look::Look;
use crate::files::staging;
use crate::model::{Conflict, PackedRecord, Record, merge};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a displaced file is kept open for an editor that may still write to it, from the
/// last write on. While it is open, its space is not free and its volume cannot be unmounted.
const IDLE: Duration = Duration::from_secs(5);
/// How long it is kept open at most, and until when a save may be incomplete.
const LATE: Duration = Duration::from_secs(30);
/// How many displaced files are kept open.
const LATE_MAX: usize = 32;
/// How many bytes of them are remembered, those of the latest one not counted.
const LATE_BYTES_MAX: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct ConfFile {
    path: PathBuf,
    format: ConfText,
    look: Option<Look>,
    /// The bytes at the last good load or store; `None` for no file.
    seen: Option<Vec<u8>>,
    /// Their record.
    record: Record,
    recent: RecentVersions,
    /// Set from the load of a save that is based on an older version until our next
    /// write: until then no editor can have read the newest one.
    overwritten: Option<Overwritten>,
    displaced: Vec<DisplacedConf>,
    idle: Duration,
    /// Edits found in displaced files, and not yet in the file.
    edits: Vec<Edit>,
    /// Whether the last load found all of them in the file.
    has_edits: bool,
}

/// A version of ours that was replaced by a save based on an older one.
#[derive(Debug)]
struct Overwritten {
    newest: Record,
    past: Vec<PackedRecord>,
}

/// A displaced file, while an editor may still write to it.
#[derive(Debug)]
struct DisplacedConf {
    file: Displaced,
    /// The version that its editor started from.
    base: PackedRecord,
    past: Vec<PackedRecord>,
    /// The bytes that are already merged.
    known: Vec<u8>,
    /// Whether an edit was found in it.
    is_edited: bool,
    /// New bytes, and since when it has them.
    changed: Option<(Vec<u8>, Instant)>,
    since: Instant,
    /// When new bytes were last found in it; at first, when it was displaced.
    written: Instant,
}

#[derive(Debug)]
struct Edit {
    base: Record,
    edited: Record,
    is_reported: bool,
}

impl ConfFile {
    pub(super) fn new(path: PathBuf, format: ConfText) -> Self {
        Self {
            path,
            format,
            look: None,
            seen: None,
            record: Record::new(),
            recent: RecentVersions::default(),
            overwritten: None,
            displaced: Vec::new(),
            idle: IDLE,
            edits: Vec::new(),
            has_edits: false,
        }
    }

    pub(super) fn sweep(&self) {
        staging::sweep(&self.path);
    }

    pub(super) const fn last_look(&self) -> Option<&Look> {
        self.look.as_ref()
    }

    pub(super) fn load(&mut self) -> Result<Loaded, FileError> {
        let now = Instant::now();
        self.read(now)?;
        let again = self.collect_late_edits(now);
        let mut record = self.record.clone();
        if let Some(Overwritten { newest, past }) = &self.overwritten {
            record = without_stale_fields(record, newest, past);
        }
        let mut conflicts: Vec<Conflict> = Vec::new();
        for edit in &mut self.edits {
            let merged = merge(&edit.base, &edit.edited, &record);
            record = merged.record;
            if !std::mem::replace(&mut edit.is_reported, true) {
                conflicts.extend(merged.conflicts);
            }
        }
        let needs_store = record != self.record;
        self.has_edits = !needs_store;
        Ok(Loaded { needs_store, record, conflicts, again })
    }

    pub(super) fn conflicts_logged(&mut self) {
        if self.has_edits {
            self.drop_edits();
        }
    }

    fn read(&mut self, now: Instant) -> Result<(), FileError> {
        self.look = Some(Look::at(&self.path));
        let bytes = match read(&self.path, CONF_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(e) => {
                if e.is_missing() {
                    self.seen = None;
                    self.record = Record::new();
                    self.overwritten = None;
                }
                return Err(FileError { act: Operation::Load, ..e });
            }
        };
        if self.seen.as_ref() == Some(&bytes) {
            return Ok(());
        }
        let saved =
            codec::decode(self.format, &bytes).map_err(|e| FileError::loading(&self.path, e))?;
        let before = std::mem::replace(&mut self.record, saved);
        if self.overwritten.is_none() && self.seen.is_some() {
            let past = self.recent.versions(now);
            if without_stale_fields(self.record.clone(), &before, &past) != self.record {
                self.overwritten = Some(Overwritten { newest: before, past });
            }
        }
        self.seen = Some(bytes);
        Ok(())
    }

    pub(super) fn store(&mut self, wanted: &Record) -> Result<Stored, FileError> {
        if self.seen.is_some() && self.record == *wanted {
            self.forget_edits();
            return Ok(Stored::Unchanged);
        }
        let bytes = codec::encode_record(self.format, wanted)
            .map_err(|e| FileError::writing(&self.path, e))?;
        if bytes.len() > CONF_BYTES_MAX {
            let fault = Fault::RecordTooLarge { max: CONF_BYTES_MAX, unit: "bytes" };
            return Err(FileError::writing(&self.path, fault));
        }
        // Otherwise we could not read again what we have written.
        let checked = json::check_znode(&json::encode_znode(wanted));
        if matches!(checked, Err(DecodeError::TooManyValues { .. })) {
            let fault = Fault::RecordTooLarge { max: VALUES_MAX, unit: "values" };
            return Err(FileError::writing(&self.path, fault));
        }
        let (stored, displaced) = match compare_and_swap(&self.path, self.seen.as_deref(), &bytes)?
        {
            SwapOutcome::Stale => return Ok(Stored::Overtaken),
            SwapOutcome::Unchanged => (Stored::Unchanged, None),
            SwapOutcome::Done(displaced) => (Stored::Written, displaced),
            SwapOutcome::Raced(displaced) => (Stored::Overtaken, Some(displaced)),
        };
        // After the write, which may take long.
        let now = Instant::now();
        self.forget_edits();
        let base = std::mem::replace(&mut self.record, wanted.clone());
        let known = self.seen.replace(bytes);
        if let (Some(file), Some(known)) = (displaced, known) {
            let bytes =
                |all: &[DisplacedConf]| all.iter().map(|one| one.known.len()).sum::<usize>();
            while self.displaced.len() >= LATE_MAX || bytes(&self.displaced) > LATE_BYTES_MAX {
                self.displaced.remove(0);
            }
            let (base, past) = (base.clone().into(), self.recent.versions(now));
            self.displaced.push(DisplacedConf {
                file,
                base,
                past,
                known,
                is_edited: false,
                changed: None,
                since: now,
                written: now,
            });
        }
        self.recent.replaced(now, base);
        Ok(stored)
    }

    /// When to close a displaced file.
    pub(super) fn close_at(&self) -> Option<Instant> {
        self.displaced.iter().map(|displaced| displaced.close_at(self.idle)).min()
    }

    /// Closes those that are due; returns whether there is an edit to load.
    pub(super) fn close_displaced(&mut self) -> bool {
        let again = self.collect_late_edits(Instant::now());
        again.is_some() || self.edits.iter().any(|edit| !edit.is_reported)
    }

    #[cfg(test)]
    pub(super) const fn closing_after(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    #[cfg(test)]
    pub(super) fn with_long_span(mut self) -> Self {
        self.recent = RecentVersions::lasting(Duration::from_secs(60));
        self
    }

    /// Called when the file has the late edits.
    fn forget_edits(&mut self) {
        self.drop_edits();
        self.overwritten = None;
    }

    fn drop_edits(&mut self) {
        self.edits.clear();
        for displaced in self.displaced.iter_mut().filter(|displaced| displaced.is_edited) {
            displaced.file.discard();
        }
    }

    /// Collects the edits of displaced files; returns when to check them again.
    fn collect_late_edits(&mut self, now: Instant) -> Option<Duration> {
        let mut again = None;
        let format = self.format;
        let edits = &mut self.edits;
        self.displaced.retain_mut(|displaced| {
            let check = displaced.check(format, now);
            edits.extend(check.edit);
            again = again.or(check.again);
            let is_over = now >= displaced.close_at(self.idle);
            // If it is still on the disk, the next sweep keeps it.
            if is_over && displaced.changed.is_some() {
                log::warn!(file:% = self.path.display(); "an unfinished edit was lost");
            }
            !is_over
        });
        again
    }
}

#[derive(Debug, Default)]
struct Check {
    edit: Option<Edit>,
    again: Option<Duration>,
}

impl DisplacedConf {
    fn close_at(&self, idle: Duration) -> Instant {
        let latest = self.since + LATE;
        // Somebody has begun to save it.
        if self.changed.is_some() { latest } else { latest.min(self.written + idle) }
    }

    fn check(&mut self, format: ConfText, now: Instant) -> Check {
        // A file that can no longer be read, or is too large, has no edit.
        let Ok(Some(bytes)) = self.file.read(CONF_BYTES_MAX) else { return Check::default() };
        if bytes == self.known {
            self.changed = None;
            return Check::default();
        }
        let since = match &self.changed {
            Some((changed, since)) if *changed == bytes => *since,
            Some(_) | None => {
                self.changed = Some((bytes.clone(), now));
                self.written = now;
                now
            }
        };
        // The first half of a YAML file is often valid YAML, but half a JSON object is
        // never valid.
        let quiet = now.duration_since(since);
        if format != ConfText::Json && quiet < QUIET {
            return Check { edit: None, again: Some(QUIET.saturating_sub(quiet)) };
        }
        let Ok(saved) = codec::decode(format, &bytes) else {
            // The save is not complete; the next write to the file causes a hint.
            return Check::default();
        };
        let base = self.base.unpack().into_owned();
        let edited = without_stale_fields(saved, &base, &self.past);
        self.base = edited.clone().into();
        self.known = bytes;
        self.is_edited = true;
        self.changed = None;
        Check { edit: Some(Edit { base, edited, is_reported: false }), again: None }
    }
}
