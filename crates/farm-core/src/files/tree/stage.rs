//! New files are written in a hidden directory, before any of them takes its place.

use super::walk::{Hand, Spot, walk};
use super::wanted::Wanted;
use super::{Files, OwnedDir};
use crate::files::folder::Folder;
use crate::files::hidden::{STAGED, hidden, remove_all};
use crate::files::write_options::WriteOptions;
use nix::sys::stat::FileStat;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The new files of a directory, down on the disk. Dropped, they are removed.
#[derive(Debug)]
pub struct StagedTree {
    pub(super) path: PathBuf,
    pub(super) top: Folder,
    pub(super) hidden: OsString,
    /// All files that there shall be.
    pub(super) files: Files,
    /// Those that are new or other than they were.
    pub(super) changed: BTreeSet<PathBuf>,
}

impl StagedTree {
    /// Writes what differs, or everything if `is_whole` is set; `None` if nothing differs.
    pub(super) fn write(dir: &OwnedDir, files: &Files, is_whole: bool) -> io::Result<Option<Self>> {
        let top = Folder::open(&dir.path)?;
        let comparison = Comparison::of(&top, files, Some(dir.options))?;
        if !comparison.differs {
            return Ok(None);
        }
        let (path, hidden) = (dir.path.clone(), hidden(STAGED));
        top.make_folder(&hidden)?;
        let changed = BTreeSet::new();
        let mut staged = Self { path, top, hidden, files: files.clone(), changed };
        for (path, bytes) in files {
            let path = Path::new(path);
            let (is_right, like) = match comparison.places.get(path) {
                Some((is_right, stat)) => (*is_right, Some(stat)),
                None => (false, None),
            };
            if !is_right || is_whole {
                staged.add(path, bytes, like, &dir.options)?;
            }
            if !is_right {
                staged.changed.insert(path.to_owned());
            }
        }
        Ok(Some(staged))
    }

    /// The hidden directory, from the root on.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let path = self.path.join(&self.hidden);
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
        // Nobody to tell, and the name is hidden.
        drop(remove_all(&self.top, &self.hidden, 0));
    }
}

/// What is, beside what shall be. Nothing has other bytes after it.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// What the files that hold the right bytes get as well.
    options: Option<WriteOptions>,
    /// The files in whose place one shall be: whether it is right, and its mode and owner.
    places: BTreeMap<PathBuf, (bool, FileStat)>,
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

impl Hand for Comparison {
    fn put(&mut self, spot: Spot<'_>, stat: Option<&FileStat>, bytes: &[u8]) -> io::Result<bool> {
        let Spot { folder, name, path } = spot;
        let Some(stat) = stat else { return Ok(true) };
        let is_right = match &self.options {
            Some(options) => folder.is_settled(name, Some(stat), bytes, options)?,
            None => folder.holds(name, bytes)?,
        };
        self.places.insert(path.to_owned(), (is_right, *stat));
        Ok(!is_right)
    }

    fn is_blocked(&mut self, _: Spot<'_>) -> io::Result<()> {
        // Whoever installs is told.
        self.differs = true;
        Ok(())
    }

    fn differs(&mut self, _: &Folder) -> io::Result<()> {
        self.differs = true;
        Ok(())
    }
}
