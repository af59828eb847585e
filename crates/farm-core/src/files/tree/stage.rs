//! Writes new files to a hidden directory, before any of them is installed.

use super::walk::{Slot, Visitor, walk};
use super::wanted::{Files, Wanted};
use crate::files::cleanup::remove_all;
use crate::files::folder::Folder;
use crate::files::hidden::{HiddenName, STAGED};
use crate::files::write_options::WriteOptions;
use nix::sys::stat::FileStat;
use std::collections::{BTreeMap, BTreeSet};
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
        top.make_folder(&hidden)?;
        let changed = BTreeSet::new();
        let mut staged = Self { path, top, hidden, files: files.clone(), changed };
        for (path, bytes) in files {
            let path = Path::new(path);
            let (is_equal, like) = match comparison.present.get(path) {
                Some((is_equal, stat)) => (*is_equal, Some(stat)),
                None => (false, None),
            };
            if !is_equal || is_whole {
                staged.add(path, bytes, like, options)?;
            }
            if !is_equal {
                staged.changed.insert(path.to_owned());
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

    fn add(
        &self,
        path: &Path,
        bytes: &[u8],
        like: Option<&FileStat>,
        options: &WriteOptions,
    ) -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut folder = self.top.enter(&self.hidden)?;
        for key in path.parent().into_iter().flat_map(Path::iter) {
            folder.ensure_folder(key)?;
            folder = folder.enter(key)?;
        }
        let staged = folder.stage_as(bytes, like, options)?;
        staged.rename_over(name).map_err(|(_, e)| e.into())
    }
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
    /// The files at wanted paths: whether the bytes are equal, and the attributes.
    present: BTreeMap<PathBuf, (bool, FileStat)>,
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
        self.present.insert(path.to_owned(), (is_equal, *stat));
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
