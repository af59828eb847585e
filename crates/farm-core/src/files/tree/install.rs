//! New files take their places, and can be taken back.
//!
//! **Invariant.** Every step that was done stands in the journal before the next one
//! is tried, and undoing the journal from its end leads back to where it began.

use super::stage::StagedTree;
use super::walk::{Hand, Spot, walk};
use super::wanted::Wanted;
use crate::files::displace::displace;
use crate::files::error::FileError;
use crate::files::folder::{Entry, Folder, Kind, resemble};
use crate::files::hidden::{DISPLACED, hidden, remove_all};
use nix::sys::stat::FileStat;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
enum Step {
    /// A directory was made.
    Made,
    /// A directory was removed.
    Removed(Box<FileStat>),
    /// A file was put where there was none.
    Put,
    /// What was there was moved away, and has its number in the journal for a name;
    /// maybe something else is there now.
    Taken,
}

/// A directory as it was. Dropped, it is forgotten.
#[derive(Debug)]
pub struct TreeBackup {
    path: PathBuf,
    top: Folder,
    /// Where the files are that were moved away.
    hidden: OsString,
    /// What was done, and at which path from the top on.
    journal: Vec<(PathBuf, Step)>,
}

impl TreeBackup {
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
    /// [`FileError`]; every file is either new still or back already.
    pub fn put_back(&mut self) -> Result<(), FileError> {
        let mut at = self.path.clone();
        let outcome = self.undo(&mut at);
        outcome.map_err(|e| FileError::writing(&at, e))
    }

    fn undo(&mut self, at: &mut PathBuf) -> io::Result<()> {
        let old = self.top.enter(&self.hidden)?;
        while let Some((path, step)) = self.journal.last() {
            *at = self.path.join(path);
            let number = name_of(self.journal.len() - 1);
            let synced = self.top.at(path, |folder, name| {
                match step {
                    Step::Made => drop(folder.remove_empty_folder(name)?),
                    Step::Removed(stat) => {
                        folder.ensure_folder(name)?;
                        resemble(folder.enter(name)?, stat)?;
                    }
                    Step::Put => folder.ensure_no_file(name)?,
                    Step::Taken => old.entry(&number).rename(folder.entry(name))?,
                }
                Ok(folder.sync())
            })?;
            self.journal.pop();
            synced?;
        }
        Ok(())
    }
}

impl Drop for TreeBackup {
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
    /// [`FileError`]; everything is as it was, and the new files are gone.
    pub fn install(self) -> Result<TreeBackup, FileError> {
        let mut at = self.path.clone();
        let begin = || -> io::Result<_> {
            let (top, hidden) = (self.top.reopen()?, hidden(DISPLACED));
            top.make_folder(&hidden)?;
            let previous = TreeBackup { path: at.clone(), top, hidden, journal: Vec::new() };
            let (new, old) = (self.top.enter(&self.hidden)?, self.top.enter(&previous.hidden)?);
            let installing = Installing { changed: &self.changed, new, old, previous };
            Ok((Wanted::of_files(&self.files)?, installing))
        };
        let (wanted, mut installing) = begin().map_err(|e| FileError::writing(&self.path, e))?;
        match walk(&self.top, &wanted, &mut installing, &mut at) {
            Ok(()) => Ok(installing.previous),
            Err(e) => {
                installing.previous.put_back()?;
                Err(FileError::writing(&at, e))
            }
        }
    }
}

/// Renames alone: nothing is written, and nothing is thrown away.
struct Installing<'a> {
    changed: &'a BTreeSet<PathBuf>,
    new: Folder,
    old: Folder,
    previous: TreeBackup,
}

impl Installing<'_> {
    /// The name that the next file gets which is moved away.
    fn aside(&self) -> OsString {
        name_of(self.previous.journal.len())
    }

    fn done(&mut self, path: &Path, step: Step) {
        self.previous.journal.push((path.to_owned(), step));
    }
}

impl Hand for Installing<'_> {
    fn remove_file(&mut self, Spot { folder, name, path }: Spot<'_>, _: Kind) -> io::Result<()> {
        folder.entry(name).rename(self.old.entry(&self.aside()))?;
        self.done(path, Step::Taken);
        Ok(())
    }

    fn remove_folder(&mut self, Spot { folder, name, path }: Spot<'_>) -> io::Result<bool> {
        let Some(stat) = folder.stat(name)? else { return Ok(true) };
        let is_gone = folder.remove_empty_folder(name)?;
        if is_gone {
            self.done(path, Step::Removed(Box::new(stat)));
        }
        Ok(is_gone)
    }

    fn make_folder(
        &mut self,
        Spot { folder, name, path }: Spot<'_>,
        _: &Wanted<'_>,
    ) -> io::Result<Option<Folder>> {
        if folder.ensure_folder(name)? {
            self.done(path, Step::Made);
        }
        folder.enter(name).map(Some)
    }

    fn put(&mut self, spot: Spot<'_>, stat: Option<&FileStat>, _: &[u8]) -> io::Result<bool> {
        let Spot { folder, name, path } = spot;
        if !self.changed.contains(path) {
            return Ok(false);
        }
        let (place, aside) = (folder.entry(name), self.aside());
        self.new.at(path, |from, name| match stat {
            None => from.entry(name).rename(place),
            Some(_) => trade(from.entry(name), place, self.old.entry(&aside)),
        })?;
        self.done(path, if stat.is_some() { Step::Taken } else { Step::Put });
        Ok(true)
    }

    fn is_blocked(&mut self, _: Spot<'_>) -> io::Result<()> {
        Err(io::ErrorKind::InvalidInput.into())
    }

    fn differs(&mut self, folder: &Folder) -> io::Result<()> {
        folder.sync()
    }
}

fn name_of(number: usize) -> OsString {
    OsString::from(number.to_string())
}

/// As [`displace`], but where there must be a moment without a file there is one.
fn trade(new: Entry<'_>, old: Entry<'_>, aside: Entry<'_>) -> io::Result<()> {
    if displace(new, old, aside)? {
        return Ok(());
    }
    old.rename(aside)?;
    let put = new.rename(old);
    if put.is_err() {
        aside.rename(old)?;
    }
    put
}
