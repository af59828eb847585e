//! A directory that holds given files and no others, replaced together.
//!
//! New files are written in a hidden directory within it, and take their places by
//! being renamed; what was there moves to another hidden directory, from where it
//! can be put back. Dot-files are left alone, links are never followed.
//!
//! **Invariant.** Nothing is written or removed in a directory without the mark.

mod install;
#[cfg(test)]
mod tests;

pub use install::PreviousTree;

use super::file::StoreError;
use super::folder::{Folder, Kind, kind_of};
use super::hidden::{STAGED, hidden, remove_all, sweep};
use super::manner::Manner;
use super::mark::{ClaimError, Mark};
use super::tree;
use crate::codec::dir::{DEPTH_MAX, check_name};
use nix::sys::stat::FileStat;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// More than any subtree has in one directory.
const NAMES_MAX: usize = 1_000_000;
/// Our own trees are no deeper; a stranger's may be.
const REMOVAL_DEPTH_MAX: usize = 128;

/// Files by their paths below the directory, with slashes.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// A directory that is ours.
#[derive(Debug, Clone)]
pub struct Subtree {
    /// Where it is.
    pub path: PathBuf,
    /// What says that it is ours.
    pub mark: Mark,
    /// How its files are written.
    pub manner: Manner,
}

impl Subtree {
    /// Makes the directory, or takes one that is empty or has the mark, and removes
    /// what a run that was killed has left in it.
    ///
    /// # Errors
    ///
    /// [`ClaimError::NotOurs`] for a directory with somebody else's files.
    pub fn claim(&self) -> Result<(), ClaimError> {
        self.mark.claim(&self.path, false)?;
        let swept = Folder::open(&self.path).and_then(|top| sweep(&top));
        swept.map_err(|e| ClaimError::Store(StoreError::io(&self.path, e)))
    }

    /// Whether it holds just these files.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it can't be read.
    pub fn holds(&self, files: &Files) -> Result<bool, StoreError> {
        let look = || -> io::Result<bool> {
            let top = match Folder::open(&self.path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                top => top?,
            };
            if !self.mark.is_on(&top)? {
                return Ok(false);
            }
            let mut comparison = Comparison { manner: None, ..Comparison::default() };
            comparison.folder(&top, &branch(files)?, "")?;
            Ok(!comparison.has_extra && comparison.places.iter().all(|(_, place)| !place.differs))
        };
        look().map_err(|e| StoreError::io(&self.path, e))
    }

    /// Writes what differs to a hidden directory, or everything if `is_whole` is
    /// set; `None` if nothing differs. The directory is made if it is missing.
    ///
    /// # Errors
    ///
    /// [`ClaimError`]; the files are untouched and nothing is left behind.
    pub fn stage(&self, files: &Files, is_whole: bool) -> Result<Option<StagedTree>, ClaimError> {
        self.mark.claim(&self.path, false)?;
        let stage = || -> io::Result<Option<StagedTree>> {
            let top = Folder::open(&self.path)?;
            let mut comparison = Comparison { manner: Some(self.manner), ..Comparison::default() };
            comparison.folder(&top, &branch(files)?, "")?;
            let Comparison { places, has_extra, .. } = comparison;
            if !has_extra && places.values().all(|place| !place.differs) {
                return Ok(None);
            }
            let name = hidden(STAGED);
            top.make_folder(&name)?;
            let mut staged = StagedTree {
                path: self.path.clone(),
                top,
                hidden: name,
                wanted: files.keys().cloned().collect(),
                changed: BTreeSet::new(),
            };
            for (path, place) in places {
                if let Some(bytes) = files.get(&path)
                    && (place.differs || is_whole)
                {
                    staged.write(&path, bytes, place.stat.as_ref(), &self.manner)?;
                    if place.differs {
                        staged.changed.insert(path);
                    }
                }
            }
            Ok(Some(staged))
        };
        stage().map_err(|e| ClaimError::Store(StoreError::io(&self.path, e)))
    }
}

/// The new files of a directory, down on the disk. Dropped, they are removed.
#[derive(Debug)]
pub struct StagedTree {
    path: PathBuf,
    top: Folder,
    hidden: OsString,
    /// All files that there shall be.
    wanted: BTreeSet<String>,
    /// Those that are new or other than they were.
    changed: BTreeSet<String>,
}

impl StagedTree {
    /// The hidden directory, from the root on.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let path = self.path.join(&self.hidden);
        std::path::absolute(&path).unwrap_or(path)
    }

    fn write(
        &self,
        path: &str,
        bytes: &[u8],
        like: Option<&FileStat>,
        manner: &Manner,
    ) -> io::Result<()> {
        let keys = keys_of(path);
        let hidden = self.top.enter(&self.hidden)?;
        for depth in 1..keys.len() {
            match tree::at(&hidden, &keys[..depth], Folder::make_folder) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                Ok(()) | Err(_) => {}
            }
        }
        tree::at(&hidden, &keys, |folder, name| {
            let staged = folder.stage_as(bytes, like, manner)?;
            staged.rename_over(name).map_err(|(_, e)| e.into())
        })
    }
}

impl Drop for StagedTree {
    fn drop(&mut self) {
        // Nobody to tell, and the name is hidden.
        drop(remove_all(&self.top, &self.hidden, 0));
    }
}

/// A directory as it shall be.
#[derive(Debug, Default)]
struct Branch<'a> {
    folders: BTreeMap<&'a str, Self>,
    files: BTreeMap<&'a str, &'a [u8]>,
}

/// Who gives us a path that leads elsewhere gets an error, and nothing is done.
fn branch(files: &Files) -> io::Result<Branch<'_>> {
    let mut top = Branch::default();
    for (path, bytes) in files {
        let (above, name) = path.rsplit_once('/').map_or((None, &**path), |(a, n)| (Some(a), n));
        let above = above.into_iter().flat_map(|above| above.split('/'));
        if path.split('/').count() > DEPTH_MAX || path.split('/').any(|n| check_name(n).is_err()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut at = &mut top;
        for folder in above {
            // A file sorts before what would lie below it.
            if at.files.contains_key(folder) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            at = at.folders.entry(folder).or_default();
        }
        at.files.insert(name, bytes);
    }
    Ok(top)
}

/// A file as it is.
#[derive(Debug)]
struct Standing {
    differs: bool,
    stat: Option<FileStat>,
}

/// What is, beside what shall be.
#[derive(Debug, Default)]
struct Comparison {
    /// What the files that are as they shall be get as well.
    manner: Option<Manner>,
    places: BTreeMap<String, Standing>,
    /// Is there something to be removed?
    has_extra: bool,
}

impl Comparison {
    fn folder(&mut self, folder: &Folder, branch: &Branch<'_>, above: &str) -> io::Result<()> {
        for name in visible(folder)? {
            let is_wanted =
                branch.files.contains_key(&*name) || branch.folders.contains_key(&*name);
            self.has_extra |= !is_wanted && is_removable(folder, OsStr::new(&name), 0)?;
        }
        for (name, bytes) in &branch.files {
            let stat = folder.stat(OsStr::new(name))?;
            let is_file = stat.as_ref().is_some_and(|stat| kind_of(stat) == Kind::File);
            let holds =
                is_file && self.is_as_wanted(folder, OsStr::new(name), stat.as_ref(), bytes)?;
            let stat = stat.filter(|_| is_file);
            self.places.insert(format!("{above}{name}"), Standing { differs: !holds, stat });
        }
        for (name, below) in &branch.folders {
            let path = format!("{above}{name}/");
            match folder.kind(OsStr::new(name))? {
                Some(Kind::Folder) => {
                    self.folder(&folder.enter(OsStr::new(name))?, below, &path)?;
                }
                Some(Kind::File | Kind::Other) | None => self.all_missing(below, &path),
            }
        }
        Ok(())
    }

    fn is_as_wanted(
        &self,
        folder: &Folder,
        name: &OsStr,
        stat: Option<&FileStat>,
        bytes: &[u8],
    ) -> io::Result<bool> {
        match &self.manner {
            Some(manner) => folder.is_settled(name, stat, bytes, manner),
            None => folder.holds(name, bytes),
        }
    }

    fn all_missing(&mut self, branch: &Branch<'_>, above: &str) {
        for name in branch.files.keys() {
            let missing = Standing { differs: true, stat: None };
            self.places.insert(format!("{above}{name}"), missing);
        }
        for (name, below) in &branch.folders {
            self.all_missing(below, &format!("{above}{name}/"));
        }
    }
}

/// The names in a directory that are ours to see: one that is hidden or no text is
/// no znode's.
fn visible(folder: &Folder) -> io::Result<Vec<String>> {
    let names = folder.names(NAMES_MAX)?.ok_or(io::ErrorKind::FileTooLarge)?;
    let text = names.into_iter().filter_map(|name| name.into_string().ok());
    Ok(text.filter(|name| !name.starts_with('.')).collect())
}

/// Links and the like are nobody's file and stay, and with them the directories
/// that they are in.
fn is_removable(folder: &Folder, name: &OsStr, depth: usize) -> io::Result<bool> {
    match folder.kind(name)? {
        None | Some(Kind::Other) => Ok(false),
        Some(Kind::File) => Ok(true),
        Some(Kind::Folder) if depth == REMOVAL_DEPTH_MAX => Ok(false),
        Some(Kind::Folder) => {
            let below = folder.enter(name)?;
            if below.names(0)?.is_some() {
                return Ok(true);
            }
            for inner in visible(&below)? {
                if is_removable(&below, OsStr::new(&inner), depth + 1)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// The path of a file, as the names that lead to it.
fn keys_of(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}
