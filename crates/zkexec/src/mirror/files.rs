//! The local files of all mirrors.
//!
//! **Invariant.** Only [`Files::install`] and [`Backups::put_back`] change the files. A failed
//! installation leaves them all as they were; a failed `put_back` can be repeated.

#[cfg(test)]
mod tests;

use super::{Content, MirrorSpec, Mirrored};
use farm_core::cli::{Exit, ExitReason, chain};
use farm_core::files::backup::Backup as FileBackup;
use farm_core::files::error::{Fault, FileError};
use farm_core::files::file::read;
use farm_core::files::marker::OwnershipMarker;
use farm_core::files::staging::{StagedFile, sweep};
use farm_core::files::tree::{OwnedDir, StagedTree, TreeBackup};
use farm_core::process::command::{Environment, Failed, about_file};
use std::path::PathBuf;

/// The file that marks the directory of a subtree as written by zkexec.
const MARKER: OwnershipMarker = OwnershipMarker {
    name: ".zkexec",
    text: b"Written by zkexec: other files here are removed.\n",
};

/// The local files of all mirrors.
#[derive(Debug)]
pub(crate) struct Files {
    mirrors: Vec<MirrorSpec>,
}

impl Files {
    /// Creates the files of these mirrors, without touching the disk.
    #[must_use]
    pub(crate) fn new(mirrors: Vec<MirrorSpec>) -> Self {
        Self { mirrors }
    }

    /// Refuses directories that zkexec does not own, and removes temporary files of an earlier run
    /// that was killed. Call it before staging. A missing directory is created when files are
    /// installed in it.
    ///
    /// # Errors
    ///
    /// [`FilesError`] for a directory that is not owned.
    pub(crate) fn claim(&self) -> Result<(), FilesError> {
        for mirror in &self.mirrors {
            if !mirror.is_tree {
                sweep(&mirror.local);
            } else if mirror.local.symlink_metadata().is_ok() {
                owned_dir(mirror).claim(false)?;
            }
        }
        Ok(())
    }

    /// Whether all files exist, so that a child can be started without ZooKeeper. Those of
    /// optional mirrors may be missing.
    #[must_use]
    pub(crate) fn all_exist(&self) -> bool {
        self.mirrors.iter().all(|mirror| mirror.is_optional || mirror.local.exists())
    }

    /// Whether the files hold exactly this content.
    ///
    /// # Errors
    ///
    /// [`FilesError`] when the files can't be read.
    pub(crate) fn matches(&self, content: &Content) -> Result<bool, FilesError> {
        for (mirror, mirrored) in self.mirrors.iter().zip(content.mirrored()) {
            let holds = match mirrored {
                Mirrored::Absent => true,
                Mirrored::Bytes(bytes) => match read(&mirror.local, bytes.len()) {
                    Ok(found) => *found == **bytes,
                    Err(FileError { fault: Fault::TooLarge { .. }, .. }) => false,
                    // A file without read permission may still be replaced.
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

    /// Writes the content to new files beside the current ones. A file that has this content
    /// already only gets its mode and owner.
    ///
    /// # Errors
    ///
    /// [`FilesError`]; the files are unchanged, and no new file is left behind.
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

    /// Replaces the files with the staged ones.
    ///
    /// # Errors
    ///
    /// [`FilesError`]; files that were replaced before the error have been put back.
    pub(crate) fn install(&self, staged: Staged) -> Result<Backups, FilesError> {
        let mut backups = Backups { layers: Vec::new() };
        for (_, item) in staged.items {
            let layer = match item {
                Item::File(file) => file.install_over().map(Layer::File),
                Item::Tree(tree) => tree.install().map(Layer::Tree),
            };
            match layer {
                Ok(layer) => backups.layers.push(layer),
                Err(error) => {
                    backups.put_back()?;
                    return Err(error.into());
                }
            }
        }
        Ok(backups)
    }
}

fn owned_dir(mirror: &MirrorSpec) -> OwnedDir {
    OwnedDir { path: mirror.local.clone(), marker: MARKER, options: mirror.options }
}

/// New files on the disk, not yet in place. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Staged {
    items: Vec<(MirrorSpec, Item)>,
}

#[derive(Debug)]
enum Item {
    File(StagedFile),
    Tree(StagedTree),
}

/// The check of one mirror, which has to succeed before the staged files are installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagedCheck {
    /// The file or directory that is checked.
    pub(crate) local: PathBuf,
    /// The command, with the name of the staged file in it.
    pub(crate) command: String,
    /// The variables of its environment.
    pub(crate) environment: Environment,
}

impl Staged {
    /// The files and directories that will change.
    pub(crate) fn locals(&self) -> impl Iterator<Item = &PathBuf> {
        self.items.iter().map(|(mirror, _)| &mirror.local)
    }

    /// The checks of the files that will change, in the order of the mirrors.
    ///
    /// # Errors
    ///
    /// [`FilesError::Name`] when the path of a staged file can't be passed to a command.
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

/// The previous files of an installation. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Backups {
    /// In the order of installation.
    layers: Vec<Layer>,
}

#[derive(Debug)]
enum Layer {
    File(FileBackup),
    Tree(TreeBackup),
}

impl Backups {
    /// Adds the backups of a later installation, so that both are undone together.
    pub(crate) fn absorb(&mut self, later: Self) {
        self.layers.extend(later.layers);
    }

    /// Restores the bytes, modes and owners of the previous files, and removes files that did not
    /// exist. It can be repeated after a failure.
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

/// Why files could not be read, staged, checked, installed or put back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// A file or a directory could not be read or written.
    #[error("{}", chain(.0))]
    File(FileError),
    /// The path is not UTF-8 and can't be passed to a command.
    #[error("cannot check {}: its name is not UTF-8", .0.display())]
    Name(PathBuf),
    /// The check was not run, so nothing is known of the content.
    #[error("the check can't be run: {}", .0.reason)]
    Check(Failed),
}

impl FilesError {
    /// Whether zkexec was told to stop before all files were written.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self, Self::File(error) if error.is_stop())
    }
}

impl ExitReason for FilesError {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Name(_) => Exit::Configuration,
            Self::Check(_) => Exit::CannotWrite,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::File(FileError { fault: Fault::NotOurs { marker }, path, .. }) => {
                let marker = path.join(marker);
                Some(format!("create {} to let zkexec remove all other files", marker.display()))
            }
            Self::File(error) if error.is_missing() => {
                let parent = error.path.parent().filter(|parent| !parent.exists())?;
                Some(format!("the directory {} must exist first", parent.display()))
            }
            Self::File(error) => error.hint(),
            Self::Name(_) | Self::Check(_) => None,
        }
    }
}

impl From<FileError> for FilesError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}
