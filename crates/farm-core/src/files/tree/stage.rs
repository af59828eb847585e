//! Writes new files to a hidden directory, before any of them is installed.

use super::walk::{Slot, Visitor, walk};
use super::wanted::{Files, Wanted};
use crate::engine::check_stop;
use crate::files::cleanup::remove_all;
use crate::files::folder::{Folder, Staged};
use crate::files::hidden::{HiddenName, STAGED};
use crate::files::write_options::WriteOptions;
use nix::sys::stat::FileStat;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// The new files of a directory, synced to the disk. Dropping it removes them.
#[derive(Debug)]
pub struct StagedTree {
    pub(super) path: PathBuf,
    pub(super) top: Folder,
    pub(super) hidden: HiddenName,
    /// All wanted files.
    pub(super) files: Files,
    /// Those that are new or have changed.
    pub(super) changed: BTreeSet<PathBuf>,
    /// Those of them whose old file has to be rewritten to keep its attributes.
    pub(super) rewritten: BTreeSet<PathBuf>,
}

impl StagedTree {
    /// Writes the files that differ, or all if `is_whole` is set; `None` if none differs.
    pub(super) fn write(
        path: &Path,
        options: &WriteOptions,
        files: &Files,
        is_whole: bool,
    ) -> io::Result<Option<Self>> {
        let top = Folder::open(path)?;
        let comparison = Comparison::of(&top, files, Some(*options))?;
        if !comparison.differs {
            return Ok(None);
        }
        let (path, hidden) = (path.to_owned(), top.hidden_name(STAGED));
        top.make_private_folder(&hidden)?;
        let (changed, rewritten) = (BTreeSet::new(), BTreeSet::new());
        let mut staged = Self { path, top, hidden, files: files.clone(), changed, rewritten };
        for (path, bytes) in files {
            check_stop()?;
            let path = Path::new(path);
            match comparison.present.get(path) {
                Some(true) if is_whole => staged.add_copy(path, bytes, options)?,
                Some(true) => {}
                present => {
                    staged.changed.insert(path.to_owned());
                    if !staged.add(path, bytes, present.is_some(), options)? {
                        staged.rewritten.insert(path.to_owned());
                    }
                }
            }
        }
        Ok(Some(staged))
    }

    /// The absolute path of the hidden directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let path = self.path.join(&*self.hidden);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// Writes a new file; returns whether it can replace the one that is `present`.
    fn add(
        &self,
        path: &Path,
        bytes: &[u8],
        is_present: bool,
        options: &WriteOptions,
    ) -> io::Result<bool> {
        let folder = self.folder_of(path)?;
        let (staged, can_replace) = if is_present {
            self.top.at(path, |old, name| old.stage_into(&folder, name, bytes, options))?
        } else {
            (folder.stage_as(bytes, None, options)?, true)
        };
        put_at(staged, path)?;
        Ok(can_replace)
    }

    /// Writes a file that is not installed, because the present one has these bytes.
    fn add_copy(&self, path: &Path, bytes: &[u8], options: &WriteOptions) -> io::Result<()> {
        let folder = self.folder_of(path)?;
        let stage = |old: &Folder, name: &OsStr| {
            let (staged, _) = old.stage_copy(&folder, name, bytes, options)?;
            put_at(staged, path)
        };
        self.top.at(path, stage)
    }

    /// The hidden directory for this path, created if it is missing.
    fn folder_of(&self, path: &Path) -> io::Result<Folder> {
        let mut folder = self.top.enter(&self.hidden)?;
        for key in path.parent().into_iter().flat_map(Path::iter) {
            folder.ensure_folder(key)?;
            folder = folder.enter(key)?;
        }
        Ok(folder)
    }
}

/// Gives a staged file its name in the hidden directory.
fn put_at(staged: Staged<'_>, path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    staged.rename_over(name).map_err(|(_, e)| e.into())
}

impl Drop for StagedTree {
    fn drop(&mut self) {
        // After a failure it stays under its hidden name until the next sweep.
        drop(remove_all(&self.top, &self.hidden, 0));
    }
}

/// Compares a directory with the wanted files, and changes no bytes.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// The mode and owner for files that have the wanted bytes.
    options: Option<WriteOptions>,
    /// The files at wanted paths, and whether their bytes are equal.
    present: BTreeMap<PathBuf, bool>,
    pub(super) differs: bool,
}

impl Comparison {
    pub(super) fn of(
        top: &Folder,
        files: &Files,
        options: Option<WriteOptions>,
    ) -> io::Result<Self> {
        let mut comparison = Self { options, ..Self::default() };
        walk(top, &Wanted::of_files(files)?, &mut comparison, &mut PathBuf::new())?;
        Ok(comparison)
    }
}

impl Visitor for Comparison {
    fn put(&mut self, slot: Slot<'_>, stat: Option<&FileStat>, bytes: &[u8]) -> io::Result<bool> {
        let Slot { folder, name, path } = slot;
        let Some(stat) = stat else { return Ok(true) };
        let is_equal = match &self.options {
            Some(options) => folder.adjust_if_equal(name, Some(stat), bytes, options)?,
            None => folder.holds(name, bytes)?,
        };
        self.present.insert(path.to_owned(), is_equal);
        Ok(!is_equal)
    }

    fn blocked(&mut self, _: Slot<'_>) -> io::Result<()> {
        // The installation will fail, and says why.
        self.differs = true;
        Ok(())
    }

    fn folder_differs(&mut self, _: &Folder) -> io::Result<()> {
        self.differs = true;
        Ok(())
    }
}
