//! A config in one file.
//!
//! **Invariant.** What is in the file is only ever replaced by us if it is, byte
//! for byte, what we have read. A file that we have displaced is watched until it
//! is quiet for long: an editor that still held it open has its edit merged.

use super::stale_save::{RecentVersions, without_stale_fields};
use super::{CONF_BYTES_MAX, Loaded, QUIET, Stored};
use crate::codec::{self, ConfText};
use crate::files::compare_and_swap::{Displaced, SwapOutcome, compare_and_swap};
use crate::files::error::{Act, Fault, FileError};
use crate::files::file::read;
use crate::model::{Conflict, Record, merge};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a displaced file is kept open for an editor that may still write to it.
const LATE: Duration = Duration::from_secs(30);
/// How many displaced files are kept open.
const LATE_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct ConfFile {
    path: PathBuf,
    format: ConfText,
    /// The bytes at the last good load or store; `None` for no file.
    seen: Option<Vec<u8>>,
    /// What they mean.
    record: Record,
    moment: RecentVersions,
    /// Set from the moment that a save was read as based on an older version until
    /// our next write: so long nobody can have seen the newest one.
    overwritten: Option<Overwritten>,
    late: Vec<Late>,
    /// Edits found in displaced files, not yet in the file.
    edits: Vec<Edit>,
}

/// A version of ours that a save put an older one over.
#[derive(Debug)]
struct Overwritten {
    newest: Record,
    past: Vec<Record>,
}

/// A displaced file, while somebody may still write to it.
#[derive(Debug)]
struct Late {
    file: Displaced,
    /// What its editor started from.
    base: Record,
    past: Vec<Record>,
    /// The bytes that are dealt with.
    known: Vec<u8>,
    /// Other bytes, and since when it has them.
    fresh: Option<(Vec<u8>, Instant)>,
    since: Instant,
}

#[derive(Debug)]
struct Edit {
    base: Record,
    edited: Record,
    is_told: bool,
}

impl ConfFile {
    pub(super) fn new(path: PathBuf, format: ConfText) -> Self {
        Self {
            path,
            format,
            seen: None,
            record: Record::new(),
            moment: RecentVersions::default(),
            overwritten: None,
            late: Vec::new(),
            edits: Vec::new(),
        }
    }

    pub(super) fn load(&mut self) -> Result<Loaded, FileError> {
        let now = Instant::now();
        self.read(now)?;
        let again = self.look_at_late(now);
        let mut record = self.record.clone();
        if let Some(Overwritten { newest, past }) = &self.overwritten {
            record = without_stale_fields(record, newest, past);
        }
        let mut conflicts: Vec<Conflict> = Vec::new();
        for edit in &mut self.edits {
            let merged = merge(&edit.base, &edit.edited, &record);
            record = merged.record;
            if !std::mem::replace(&mut edit.is_told, true) {
                conflicts.extend(merged.conflicts);
            }
        }
        Ok(Loaded { is_ahead: record != self.record, record, conflicts, again })
    }

    fn read(&mut self, now: Instant) -> Result<(), FileError> {
        let bytes = match read(&self.path, CONF_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(e) => {
                if e.is_missing() {
                    self.seen = None;
                    self.record = Record::new();
                    self.overwritten = None;
                }
                return Err(FileError { act: Act::Load, ..e });
            }
        };
        if self.seen.as_ref() == Some(&bytes) {
            return Ok(());
        }
        let saved =
            codec::decode(self.format, &bytes).map_err(|e| FileError::loading(&self.path, e))?;
        let before = std::mem::replace(&mut self.record, saved);
        if self.overwritten.is_none() && self.seen.is_some() {
            let past = self.moment.versions(now);
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
            return Err(FileError::writing(&self.path, Fault::RecordTooLarge));
        }
        let (stored, displaced) = match compare_and_swap(&self.path, self.seen.as_deref(), &bytes)?
        {
            SwapOutcome::Stale => return Ok(Stored::Overtaken),
            SwapOutcome::Unchanged => (Stored::Unchanged, None),
            SwapOutcome::Done(displaced) => (Stored::Written, displaced),
            SwapOutcome::Raced(displaced) => (Stored::Overtaken, Some(displaced)),
        };
        // After the write: the disk may have taken its time.
        let now = Instant::now();
        self.forget_edits();
        let base = std::mem::replace(&mut self.record, wanted.clone());
        let known = self.seen.replace(bytes);
        if let (Some(file), Some(known)) = (displaced, known) {
            if self.late.len() == LATE_MAX {
                self.late.remove(0);
            }
            let past = self.moment.versions(now);
            self.late.push(Late { file, base: base.clone(), past, known, fresh: None, since: now });
        }
        self.moment.replaced(now, base);
        Ok(stored)
    }

    #[cfg(test)]
    pub(super) fn long_moment(mut self) -> Self {
        self.moment = RecentVersions::lasting(Duration::from_secs(60));
        self
    }

    /// The file has what they say, or is about to.
    fn forget_edits(&mut self) {
        self.edits.clear();
        self.overwritten = None;
    }

    /// Collects the edits that went to displaced files; says when to look again.
    fn look_at_late(&mut self, now: Instant) -> Option<Duration> {
        let mut again = None;
        let format = self.format;
        let edits = &mut self.edits;
        self.late.retain_mut(|late| {
            let look = late.look(format, now);
            edits.extend(look.edit);
            again = again.or(look.again);
            let is_over = now.duration_since(late.since) > LATE;
            if is_over && late.fresh.is_some() {
                log::warn!(file:% = self.path.display(); "an edit was lost, it was never finished");
            }
            !is_over
        });
        again
    }
}

#[derive(Debug, Default)]
struct Look {
    edit: Option<Edit>,
    again: Option<Duration>,
}

impl Late {
    fn look(&mut self, format: ConfText, now: Instant) -> Look {
        // A file that can't be read any more, or has grown out of bounds, holds no edit.
        let Ok(Some(bytes)) = self.file.read(CONF_BYTES_MAX) else { return Look::default() };
        if bytes == self.known {
            self.fresh = None;
            return Look::default();
        }
        let since = match &self.fresh {
            Some((fresh, since)) if *fresh == bytes => *since,
            Some(_) | None => {
                self.fresh = Some((bytes.clone(), now));
                now
            }
        };
        // The beginning of a YAML file is often one too; that of a JSON object never.
        let quiet = now.duration_since(since);
        if format != ConfText::Json && quiet < QUIET {
            return Look { edit: None, again: Some(QUIET.saturating_sub(quiet)) };
        }
        let Ok(saved) = codec::decode(format, &bytes) else {
            // Half of a save: the rest of it, or the end of it, is a hint.
            return Look::default();
        };
        let edited = without_stale_fields(saved, &self.base, &self.past);
        let base = std::mem::replace(&mut self.base, edited.clone());
        self.known = bytes;
        self.fresh = None;
        Look { edit: Some(Edit { base, edited, is_told: false }), again: None }
    }
}
