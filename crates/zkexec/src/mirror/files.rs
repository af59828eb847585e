//! What is on the disk.
//!
//! **Invariant.** Other bytes get into the files by [`Files::install`] and
//! [`Backups::put_back`] alone, and each of the two does all of it or nothing.

#[cfg(test)]
mod tests;

use super::{Content, MirrorSpec, Mirrored};
use farm_core::cli::{Exit, ExitReason, chain};
use farm_core::files::backup::Backup as PreviousFile;
use farm_core::files::error::{Fault, FileError};
use farm_core::files::file::read;
use farm_core::files::marker::OwnershipMarker;
use farm_core::files::staging::{StagedFile, sweep};
use farm_core::files::tree::{OwnedDir, StagedTree, TreeBackup};
use farm_core::process::command::{Environment, about_file};
use std::path::PathBuf;

/// The mark on the directory of a subtree.
const MARK: OwnershipMarker = OwnershipMarker {
    name: ".zkexec",
    text: b"Written by zkexec: other files here are removed.\n",
};

/// The local side of all mirrors.
#[derive(Debug)]
pub(crate) struct Files {
    mirrors: Vec<MirrorSpec>,
}

impl Files {
    /// The files of these mirrors; nothing is looked at yet.
    #[must_use]
    pub(crate) fn new(mirrors: Vec<MirrorSpec>) -> Self {
        Self { mirrors }
    }

    /// Refuses directories that are somebody else's, and removes what an earlier run
    /// that was killed has left. To be called before anything is staged; a directory
    /// that is not there yet is made when there is something to put into it.
    ///
    /// # Errors
    ///
    /// [`FilesError`] for a directory that can't be ours.
    pub(crate) fn claim(&self) -> Result<(), FilesError> {
        for mirror in &self.mirrors {
            if !mirror.is_tree {
                // What is in the way of the file itself shows when it is written.
                if let Err(error) = sweep(&mirror.local) {
                    log::debug!("cannot look for left-overs: {}", chain(&error));
                }
            } else if mirror.local.symlink_metadata().is_ok() {
                owned_dir(mirror).claim()?;
            }
        }
        Ok(())
    }

    /// Whether there is something at every place, for a child that can't wait for
    /// ZooKeeper. What may be missing there may be missing here.
    #[must_use]
    pub(crate) fn are_there(&self) -> bool {
        self.mirrors.iter().all(|mirror| mirror.is_optional || mirror.local.exists())
    }

    /// Whether the files hold just this.
    ///
    /// # Errors
    ///
    /// [`FilesError`] when that can't be known.
    pub(crate) fn matches(&self, content: &Content) -> Result<bool, FilesError> {
        for (mirror, mirrored) in self.mirrors.iter().zip(content.mirrored()) {
            let holds = match mirrored {
                Mirrored::Absent => true,
                Mirrored::Bytes(bytes) => match read(&mirror.local, bytes.len()) {
                    Ok(found) => *found == **bytes,
                    Err(FileError { fault: Fault::TooLarge { .. }, .. }) => false,
                    // What we may not read we may still replace.
                    Err(error) if error.is_missing() || error.is_permission() => false,
                    Err(error) => return Err(error.into()),
                },
                Mirrored::Tree(leaves) => owned_dir(mirror).holds(leaves)?,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes beside the files what they shall hold. A file that holds it already is
    /// left alone but for its mode and owner.
    ///
    /// # Errors
    ///
    /// [`FilesError`]; no file has other bytes, and none is left behind.
    pub(crate) fn stage(&self, content: &Content) -> Result<Staged, FilesError> {
        let mut staged = Staged { items: Vec::new() };
        for (mirror, mirrored) in self.mirrors.iter().zip(content.mirrored()) {
            let item = match mirrored {
                Mirrored::Absent => None,
                Mirrored::Bytes(bytes) => {
                    StagedFile::write(&mirror.local, bytes.to_vec(), mirror.options)?
                        .map(Item::File)
                }
                Mirrored::Tree(leaves) => {
                    owned_dir(mirror).stage(leaves, mirror.check.is_some())?.map(Item::Tree)
                }
            };
            staged.items.extend(item.map(|item| (mirror.clone(), item)));
        }
        Ok(staged)
    }

    /// Puts all that is staged in the place of what is there.
    ///
    /// # Errors
    ///
    /// [`FilesError`]; what had its place already was put back.
    pub(crate) fn install(&self, staged: Staged) -> Result<Backups, FilesError> {
        let mut previous = Backups { layers: Vec::new() };
        for (_, item) in staged.items {
            let layer = match item {
                Item::File(file) => file.install_over().map(Layer::File),
                Item::Tree(tree) => tree.install().map(Layer::Tree),
            };
            match layer {
                Ok(layer) => previous.layers.push(layer),
                Err(error) => {
                    previous.put_back()?;
                    return Err(error.into());
                }
            }
        }
        Ok(previous)
    }
}

fn owned_dir(mirror: &MirrorSpec) -> OwnedDir {
    OwnedDir { path: mirror.local.clone(), marker: MARK, options: mirror.options }
}

/// New files, down on the disk. Dropped, they are removed.
#[derive(Debug)]
pub(crate) struct Staged {
    items: Vec<(MirrorSpec, Item)>,
}

#[derive(Debug)]
enum Item {
    File(StagedFile),
    Tree(StagedTree),
}

/// A command that has to succeed before staged files are installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagedCheck {
    /// The file or directory it is about.
    pub(crate) local: PathBuf,
    /// The command, with the name of the staged file in it.
    pub(crate) command: String,
    /// What it finds in its environment.
    pub(crate) environment: Environment,
}

impl Staged {
    /// The files and directories that will change.
    pub(crate) fn locals(&self) -> impl Iterator<Item = &PathBuf> {
        self.items.iter().map(|(mirror, _)| &mirror.local)
    }

    /// The checks of what will change, in the order of the mirrors.
    ///
    /// # Errors
    ///
    /// [`FilesError::Name`] when a staged file lies where a command can't be told of.
    pub(crate) fn checks(&self) -> Result<Vec<StagedCheck>, FilesError> {
        let mut checks = Vec::new();
        for (mirror, item) in &self.items {
            let Some(command) = &mirror.check else { continue };
            let path = match item {
                Item::File(file) => file.path(),
                Item::Tree(tree) => tree.path(),
            };
            let path = path.into_os_string().into_string();
            let path = path.map_err(|path| FilesError::Name(path.into()))?;
            let (command, environment) = about_file(command, &path, mirror.znode.to_string());
            checks.push(StagedCheck { local: mirror.local.clone(), command, environment });
        }
        Ok(checks)
    }
}

/// The files as they were before. Dropped, they are forgotten.
#[derive(Debug)]
pub(crate) struct Backups {
    /// The newest last.
    layers: Vec<Layer>,
}

#[derive(Debug)]
enum Layer {
    File(PreviousFile),
    Tree(TreeBackup),
}

impl Backups {
    /// Adds what was there before a later installation: both are undone together.
    pub(crate) fn absorb(&mut self, later: Self) {
        self.layers.extend(later.layers);
    }

    /// Puts the files back as they were: bytes, mode and owner, and none where there
    /// was none.
    ///
    /// After a failure it can be tried again.
    ///
    /// # Errors
    ///
    /// [`FilesError`]; some files may have been put back already.
    pub(crate) fn put_back(&mut self) -> Result<(), FilesError> {
        while let Some(layer) = self.layers.last_mut() {
            match layer {
                Layer::File(file) => file.put_back()?,
                Layer::Tree(tree) => tree.put_back()?,
            }
            self.layers.pop();
        }
        Ok(())
    }
}

/// Why the files could not be what they should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// A file or a directory could not be read or written.
    #[error("{}", chain(.0))]
    File(FileError),
    /// This path is no text, and can't be given to a command.
    #[error("cannot check {}: its name is no text", .0.display())]
    Name(PathBuf),
}

impl ExitReason for FilesError {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Name(_) => Exit::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::File(FileError { fault: Fault::NotOurs { marker }, path, .. }) => {
                let marker = path.join(marker);
                Some(format!("all files in it may go once there is a file {}", marker.display()))
            }
            Self::File(error) if error.is_missing() => {
                let parent = error.path.parent().filter(|parent| !parent.exists())?;
                Some(format!("the directory {} has to be there first", parent.display()))
            }
            Self::File(_) | Self::Name(_) => None,
        }
    }
}

impl From<FileError> for FilesError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}
