//! New files take their places, and can be taken back.
//!
//! **Invariant.** Every step that was done stands in the journal before the next one
//! is tried, and undoing the journal from its end leads back to where it began.

use super::{Kind, REMOVAL_DEPTH_MAX, StagedTree, keys_of, visible};
use crate::files::file::StoreError;
use crate::files::folder::{Folder, resemble};
use crate::files::hidden::{DISPLACED, hidden, remove_all};
use crate::files::tree;
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

type Keys = Vec<String>;

#[derive(Debug)]
enum Step {
    /// A directory was made.
    Made(Keys),
    /// A directory was removed.
    Removed(Keys, Box<FileStat>),
    /// A file was put where there was none.
    Put(Keys),
    /// What was there was moved away, under this number; maybe something else is
    /// there now.
    Taken(Keys, usize),
}

/// A directory as it was. Dropped, it is forgotten.
#[derive(Debug)]
pub struct PreviousTree {
    path: PathBuf,
    top: Folder,
    /// Where the files are that were moved away.
    hidden: OsString,
    journal: Vec<Step>,
}

impl PreviousTree {
    /// The directory that it was.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts everything back as it was.
    ///
    /// After a failure it can be tried again.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; every file is either new still or back already.
    pub fn put_back(&mut self) -> Result<(), StoreError> {
        let mut at = self.path.clone();
        let outcome = self.undo(&mut at);
        outcome.map_err(|e| StoreError::io(&at, e))
    }

    fn undo(&mut self, at: &mut PathBuf) -> io::Result<()> {
        let old = self.top.enter(&self.hidden)?;
        while let Some(step) = self.journal.last() {
            let (Step::Made(keys)
            | Step::Removed(keys, _)
            | Step::Put(keys)
            | Step::Taken(keys, _)) = step;
            *at = self.path.join(keys.iter().collect::<PathBuf>());
            let synced = tree::at(&self.top, keys, |folder, name| {
                match step {
                    Step::Made(_) => unless_others_use_it(folder.remove_folder(name))?,
                    Step::Removed(_, stat) => {
                        match folder.make_folder(name) {
                            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                            Ok(()) | Err(_) => {}
                        }
                        resemble(folder.enter(name)?, stat)?;
                    }
                    Step::Put(_) => match folder.remove_file(name) {
                        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                        Ok(()) | Err(_) => {}
                    },
                    Step::Taken(_, number) => {
                        old.rename(OsStr::new(&number.to_string()), folder, name)?;
                    }
                }
                Ok(folder.sync())
            })?;
            self.journal.pop();
            synced?;
        }
        Ok(())
    }
}

impl Drop for PreviousTree {
    fn drop(&mut self) {
        // Nobody to tell, and the name is hidden.
        drop(remove_all(&self.top, &self.hidden, 0));
    }
}

impl StagedTree {
    /// Puts the new files in their places, and keeps what was there.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; everything is as it was, and the new files are gone.
    pub fn install(self) -> Result<PreviousTree, StoreError> {
        let begin = || -> io::Result<(Folder, OsString)> {
            let (top, name) = (self.top.reopen()?, hidden(DISPLACED));
            top.make_folder(&name)?;
            Ok((top, name))
        };
        let (top, hidden) = begin().map_err(|e| StoreError::io(&self.path, e))?;
        let previous = PreviousTree { path: self.path.clone(), top, hidden, journal: Vec::new() };
        let mut installing =
            Installing { staged: &self, previous, taken: 0, at: self.path.clone() };
        match installing.run() {
            Ok(()) => Ok(installing.previous),
            Err(e) => {
                let error = StoreError::io(&installing.at, e);
                installing.previous.put_back()?;
                Err(error)
            }
        }
    }
}

struct Installing<'a> {
    staged: &'a StagedTree,
    previous: PreviousTree,
    /// So many files were moved away.
    taken: usize,
    /// Where we are, for the message if it fails there.
    at: PathBuf,
}

impl Installing<'_> {
    fn run(&mut self) -> io::Result<()> {
        let (top, new) = (self.staged.top.reopen()?, self.staged.top.enter(&self.staged.hidden)?);
        let old = top.enter(&self.previous.hidden)?;
        let mut folders = BTreeSet::new();
        for path in &self.staged.wanted {
            let keys = keys_of(path);
            folders.extend((1..keys.len()).map(|depth| keys[..depth].to_vec()));
        }
        self.clear(&top, &old, &mut Vec::new(), &folders)?;
        // A directory sorts before what is in it.
        for keys in &folders {
            self.go_to(keys);
            self.make(&top, keys)?;
        }
        for path in &self.staged.changed {
            let keys = keys_of(path);
            self.go_to(&keys);
            self.put(&top, &new, &old, keys)?;
        }
        self.sync(&top)
    }

    fn go_to(&mut self, keys: &[String]) {
        self.at = self.previous.path.join(keys.iter().collect::<PathBuf>());
    }

    /// Takes away what shall not be, and what stands in the way of what shall.
    fn clear(
        &mut self,
        folder: &Folder,
        old: &Folder,
        above: &mut Keys,
        folders: &BTreeSet<Keys>,
    ) -> io::Result<()> {
        for name in visible(folder)? {
            above.push(name.clone());
            self.go_to(above);
            let name = OsStr::new(&name);
            let is_file = self.staged.wanted.contains(&above.join("/"));
            let is_folder = folders.contains(above);
            match folder.kind(name)? {
                Some(Kind::File) if !is_file => self.take(folder, old, above)?,
                Some(Kind::Other) if is_file || is_folder => self.take(folder, old, above)?,
                Some(Kind::Folder) if above.len() < REMOVAL_DEPTH_MAX => {
                    self.clear(&folder.enter(name)?, old, above, folders)?;
                    if !is_folder {
                        self.remove(folder, name, above)?;
                    }
                }
                Some(Kind::File | Kind::Other | Kind::Folder) | None => {}
            }
            above.pop();
        }
        Ok(())
    }

    fn take(&mut self, folder: &Folder, old: &Folder, keys: &[String]) -> io::Result<()> {
        let name = keys.last().ok_or(io::ErrorKind::InvalidInput)?;
        folder.rename(OsStr::new(name), old, OsStr::new(&self.taken.to_string()))?;
        self.has_taken(keys.to_vec());
        Ok(())
    }

    fn has_taken(&mut self, keys: Keys) {
        self.previous.journal.push(Step::Taken(keys, self.taken));
        self.taken += 1;
    }

    fn remove(&mut self, folder: &Folder, name: &OsStr, keys: &[String]) -> io::Result<()> {
        let Some(stat) = folder.stat(name)? else { return Ok(()) };
        match folder.remove_folder(name) {
            Ok(()) => {
                self.previous.journal.push(Step::Removed(keys.to_vec(), Box::new(stat)));
                Ok(())
            }
            // Somebody's dot-files or links are in it.
            Err(e) => unless_others_use_it(Err(e)),
        }
    }

    fn make(&mut self, top: &Folder, keys: &Keys) -> io::Result<()> {
        match tree::at(top, keys, Folder::make_folder) {
            Ok(()) => self.previous.journal.push(Step::Made(keys.clone())),
            // A file or a link shows when it is entered.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    fn put(&mut self, top: &Folder, new: &Folder, old: &Folder, keys: Keys) -> io::Result<()> {
        let number = self.taken.to_string();
        let has_taken = tree::at(top, &keys, |to, name| {
            tree::at(new, &keys, |from, _| match to.kind(name)? {
                None => from.rename(name, to, name).map(|()| false),
                Some(Kind::File) => trade(from, to, name, old, OsStr::new(&number)).map(|()| true),
                Some(Kind::Folder | Kind::Other) => Err(io::ErrorKind::InvalidInput.into()),
            })
        })?;
        if has_taken {
            self.has_taken(keys);
        } else {
            self.previous.journal.push(Step::Put(keys));
        }
        Ok(())
    }

    /// Makes all the names durable.
    fn sync(&self, top: &Folder) -> io::Result<()> {
        let mut touched = BTreeSet::new();
        for step in &self.previous.journal {
            let (Step::Made(keys)
            | Step::Removed(keys, _)
            | Step::Put(keys)
            | Step::Taken(keys, _)) = step;
            touched.extend(keys.split_last().map(|(_, above)| above));
        }
        for above in touched {
            match tree::walk(top, above) {
                Ok(Some(folder)) => folder.sync()?,
                Ok(None) => top.sync()?,
                // Removed after what was in it; there may be a file now.
                Err(e) if is_gone(&e) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Puts the file `from/name` in the place of `to/name`, which becomes `old/number`.
fn trade(from: &Folder, to: &Folder, name: &OsStr, old: &Folder, number: &OsStr) -> io::Result<()> {
    match from.exchange(name, to, name) {
        Ok(()) => {
            let moved = from.rename(name, old, number);
            if moved.is_err() {
                from.exchange(name, to, name)?;
            }
            moved
        }
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
            // Without links either there is no file for a moment.
            if to.link_to(name, old, number).is_err() {
                to.rename(name, old, number)?;
            }
            let put = from.rename(name, to, name);
            if put.is_err() {
                old.rename(number, to, name)?;
            }
            put
        }
        Err(e) => Err(e.into()),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unless_others_use_it(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) => match e.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOENT) => Ok(()),
            _ => Err(e),
        },
        Ok(()) => Ok(()),
    }
}
