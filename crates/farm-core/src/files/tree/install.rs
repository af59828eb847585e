//! Installs new files, and puts the old ones back.
//!
//! **Invariant.** Every step is in the journal before the next one is tried. Undoing
//! the journal from its end restores the old state.

use super::stage::StagedTree;
use super::walk::{Slot, Visitor, walk};
use super::wanted::Wanted;
use crate::engine::is_stop_overdue;
use crate::files::attributes::Attributes;
use crate::files::cleanup::remove_all;
use crate::files::displace::displace;
use crate::files::error::FileError;
use crate::files::folder::{Entry, Folder};
use crate::files::hidden::{DISPLACED, HiddenName};
use crate::files::kind::Kind;
use crate::files::open_file::read_bounded;
use crate::files::write_options::WriteOptions;
use nix::sys::stat::FileStat;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The largest file that is kept in memory.
const BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
enum Step {
    /// A directory was made.
    MadeFolder,
    /// A directory was removed.
    RemovedFolder(Box<Attributes>),
    /// A file was installed where there was none.
    AddedFile,
    /// The old file was moved to the hidden directory, where its name is the number of
    /// this step. Another file may be at the path now.
    MovedAside,
    /// The file was rewritten; these are the old bytes.
    Rewritten(Vec<u8>),
}

/// A directory as it was. Dropping it deletes the old files.
#[derive(Debug)]
pub struct TreeBackup {
    path: PathBuf,
    top: Folder,
    /// The directory with the old files.
    hidden: HiddenName,
    /// The steps that were done, with their paths below the top.
    journal: Vec<(PathBuf, Step)>,
}

impl TreeBackup {
    /// The path of the directory.
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
    /// [`FileError`]; every file is still the new one, or the old one again.
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
                    Step::MadeFolder => drop(folder.remove_empty_folder(name)?),
                    Step::RemovedFolder(attributes) => {
                        folder.ensure_folder(name)?;
                        attributes.restore_on(folder.enter(name)?)?;
                    }
                    Step::AddedFile => folder.ensure_no_file(name)?,
                    Step::MovedAside => old.entry(&number).rename(folder.entry(name))?,
                    Step::Rewritten(bytes) => {
                        folder.overwrite(name, bytes, &WriteOptions::default())?;
                    }
                }
                Ok(sync(folder))
            })?;
            self.journal.pop();
            synced?;
        }
        Ok(())
    }
}

impl Drop for TreeBackup {
    fn drop(&mut self) {
        // After a failure it stays under its hidden name until the next sweep.
        drop(remove_all(&self.top, &self.hidden, 0));
    }
}

impl StagedTree {
    /// Installs the new files, and keeps the old ones.
    ///
    /// # Errors
    ///
    /// [`FileError`]; everything is as it was, and the new files are gone. It is
    /// [`Fault::Moved`](crate::files::error::Fault::Moved) if the path leads to another
    /// directory by now.
    pub fn install(self) -> Result<TreeBackup, FileError> {
        self.top.require_folder_at(&self.path)?;
        let mut at = self.path.clone();
        let begin = || -> io::Result<_> {
            let top = self.top.reopen()?;
            let hidden = top.hidden_name(DISPLACED);
            top.make_private_folder(&hidden)?;
            let backup = TreeBackup { path: at.clone(), top, hidden, journal: Vec::new() };
            let (new, old) = (self.top.enter(&self.hidden)?, self.top.enter(&backup.hidden)?);
            let (changed, rewritten) = (&self.changed, &self.rewritten);
            let installer = Installer { changed, rewritten, new, old, backup };
            Ok((Wanted::of_files(&self.files)?, installer))
        };
        let (wanted, mut installer) = begin().map_err(|e| FileError::writing(&self.path, e))?;
        match walk(&self.top, &wanted, &mut installer, &mut at) {
            Ok(()) => Ok(installer.backup),
            Err(e) => {
                installer.backup.put_back()?;
                Err(FileError::writing(&at, e))
            }
        }
    }
}

/// Only renames: it writes no file, except those that no other file can replace, and
/// deletes none.
struct Installer<'a> {
    changed: &'a BTreeSet<PathBuf>,
    rewritten: &'a BTreeSet<PathBuf>,
    new: Folder,
    old: Folder,
    backup: TreeBackup,
}

impl Installer<'_> {
    /// The name for the next file that is moved aside.
    fn aside(&self) -> OsString {
        name_of(self.backup.journal.len())
    }

    fn done(&mut self, path: &Path, step: Step) {
        self.backup.journal.push((path.to_owned(), step));
    }
}

impl Visitor for Installer<'_> {
    /// The files change together: only renames are left to do, and they are quick.
    fn check_stop(&self) -> io::Result<()> {
        Ok(())
    }

    fn remove_file(&mut self, Slot { folder, name, path }: Slot<'_>, _: Kind) -> io::Result<()> {
        folder.entry(name).rename(self.old.entry(&self.aside()))?;
        self.done(path, Step::MovedAside);
        Ok(())
    }

    fn remove_folder(&mut self, Slot { folder, name, path }: Slot<'_>) -> io::Result<bool> {
        let attributes = match folder.enter(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
            entered => Attributes::of(entered?)?,
        };
        let is_gone = folder.remove_empty_folder(name)?;
        if is_gone {
            self.done(path, Step::RemovedFolder(Box::new(attributes)));
        }
        Ok(is_gone)
    }

    fn make_folder(
        &mut self,
        Slot { folder, name, path }: Slot<'_>,
        _: &Wanted<'_>,
    ) -> io::Result<Option<Folder>> {
        if folder.ensure_folder(name)? {
            self.done(path, Step::MadeFolder);
        }
        folder.enter(name).map(Some)
    }

    fn put(&mut self, slot: Slot<'_>, stat: Option<&FileStat>, new: &[u8]) -> io::Result<bool> {
        let Slot { folder, name, path } = slot;
        if !self.changed.contains(path) {
            return Ok(false);
        }
        if stat.is_some() && self.rewritten.contains(path) {
            let file = folder.open_file(name)?.ok_or(io::ErrorKind::NotFound)?;
            let old = read_bounded(&file, BYTES_MAX)?.ok_or(io::ErrorKind::FileTooLarge)?;
            // First into the journal: a failure may leave a part of the new bytes.
            self.done(path, Step::Rewritten(old));
            folder.warn_of_attributes(name);
            folder.overwrite(name, new, &WriteOptions::default())?;
            return Ok(true);
        }
        let (target, aside) = (folder.entry(name), self.aside());
        self.new.at(path, |from, name| match stat {
            None => from.entry(name).rename(target),
            Some(_) => replace_keeping(from.entry(name), target, self.old.entry(&aside)),
        })?;
        self.done(path, if stat.is_some() { Step::MovedAside } else { Step::AddedFile });
        Ok(true)
    }

    fn blocked(&mut self, _: Slot<'_>) -> io::Result<()> {
        Err(io::ErrorKind::InvalidInput.into())
    }

    fn folder_differs(&mut self, folder: &Folder) -> io::Result<()> {
        sync(folder)
    }
}

/// Makes the names of a directory durable, unless the process has been told to stop: for thousands
/// of directories that takes long, and the kernel does it within a minute.
fn sync(folder: &Folder) -> io::Result<()> {
    if is_stop_overdue() { Ok(()) } else { folder.sync() }
}

fn name_of(number: usize) -> OsString {
    OsString::from(number.to_string())
}

/// As [`displace`]; where that is not possible, there is no file for a short time.
fn replace_keeping(new: Entry<'_>, old: Entry<'_>, aside: Entry<'_>) -> io::Result<()> {
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
