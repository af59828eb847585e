//! A file that is written beside another one, and replaces it later or never.
//!
//! **Invariant.** A staged file that is not installed is removed. Until it is
//! installed, the file itself does not change.

use super::backup::{self, Backup};
use super::cleanup::{self, Sweep};
use super::error::FileError;
use super::file::FileLocation;
use super::hidden::HiddenName;
use super::write_options::WriteOptions;
use std::io;
use std::path::{Path, PathBuf};

/// A file with its new bytes, synced to the disk under a hidden name.
#[derive(Debug)]
pub struct StagedFile {
    path: PathBuf,
    /// Where it is to be installed, and its name until then.
    hidden: Option<(FileLocation, HiddenName)>,
    bytes: Vec<u8>,
    options: WriteOptions,
}

/// Removes what killed processes have left beside a file. An edit that is nowhere else is kept
/// under another name.
pub fn sweep(path: &Path) {
    match FileLocation::of(path) {
        Ok(location) => cleanup::sweep(&location.folder, Sweep::Folder),
        // This is reported when the file is written.
        Err(e) => log::debug!(path:% = path.display(); "cannot look for left-overs: {e}"),
    }
}

impl StagedFile {
    /// Writes `bytes` beside the file at `path`; `None` if the file has them already.
    ///
    /// # Errors
    ///
    /// [`FileError`]; the file is untouched, and no other one is left behind.
    pub fn write(
        path: &Path,
        bytes: Vec<u8>,
        options: WriteOptions,
    ) -> Result<Option<Self>, FileError> {
        let location = FileLocation::of(path)?;
        let FileLocation { folder, name } = &location;
        let stage = || -> io::Result<Option<(HiddenName, bool)>> {
            let old = folder.stat(name)?;
            if folder.adjust_if_equal(name, old.as_ref(), &bytes, &options)? {
                return Ok(None);
            }
            let (staged, can_replace) = folder.stage_into(folder, name, &bytes, &options)?;
            if !(can_replace || options.is_in_place) {
                folder.warn_of_attributes(name);
            }
            Ok(Some((staged.into_name(), can_replace)))
        };
        let staged = stage().map_err(|e| FileError::writing(path, e))?;
        Ok(staged.map(|(hidden, can_replace)| {
            let hidden = Some((location, hidden));
            let options =
                WriteOptions { is_in_place: options.is_in_place || !can_replace, ..options };
            Self { path: path.to_owned(), hidden, bytes, options }
        }))
    }

    /// Its absolute path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let path = match &self.hidden {
            Some((location, hidden)) => location.folder.path_of(hidden),
            None => self.path.clone(),
        };
        std::path::absolute(&path).unwrap_or(path)
    }

    /// Replaces the file with this one.
    ///
    /// # Errors
    ///
    /// [`FileError`]; the file has its old contents, and the new ones are gone. It is
    /// [`Fault::Moved`](super::error::Fault::Moved) if the path leads to another directory by
    /// now: the one in which this file was staged is left alone.
    pub fn install(mut self) -> Result<(), FileError> {
        self.require_in_place()?;
        self.replace_target().map_err(|e| FileError::writing(&self.path, e))
    }

    /// As [`StagedFile::install`], but the old file can be put back.
    ///
    /// # Errors
    ///
    /// [`FileError`], as [`StagedFile::install`].
    pub fn install_over(mut self) -> Result<Backup, FileError> {
        self.require_in_place()?;
        let Some((location, hidden)) = self.hidden.take() else {
            let e = io::Error::from(io::ErrorKind::NotFound);
            return Err(FileError::writing(&self.path, e));
        };
        backup::install(&self.path, location, hidden, &self.bytes, &self.options)
    }

    fn require_in_place(&self) -> Result<(), FileError> {
        self.hidden.as_ref().map_or(Ok(()), |(location, _)| location.require_at(&self.path))
    }

    fn replace_target(&mut self) -> io::Result<()> {
        let Some((FileLocation { folder, name }, hidden)) = self.hidden.take() else {
            return Ok(());
        };
        let staged = folder.adopt(hidden);
        let has_file = folder.stat(&name)?.is_some();
        if self.options.is_in_place && has_file {
            drop(staged);
            return folder.overwrite(&name, &self.bytes, &self.options);
        }
        folder.install(staged, &name, &self.bytes, &self.options)?;
        folder.sync()
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let Some((location, hidden)) = self.hidden.take() {
            drop(location.folder.adopt(hidden));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::error::Fault;
    use farm_harness::Scratch;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn count(scratch: &Scratch) -> usize {
        fs::read_dir(scratch.path()).unwrap().count()
    }

    fn stage(scratch: &Scratch, text: &str, options: WriteOptions) -> Option<StagedFile> {
        StagedFile::write(&scratch.join("conf"), text.as_bytes().to_vec(), options).unwrap()
    }

    #[test]
    fn a_staged_file_is_only_under_its_hidden_name() {
        let scratch = Scratch::new();
        scratch.write("conf", "old");
        let staged = stage(&scratch, "new", WriteOptions::default()).unwrap();
        assert!(staged.path().is_absolute());
        assert_eq!(fs::read_to_string(staged.path()).unwrap(), "new");
        assert_eq!(scratch.read("conf").unwrap(), "old");
        staged.install().unwrap();
        assert_eq!(scratch.read("conf").unwrap(), "new");
        assert_eq!(count(&scratch), 1);
        assert!(stage(&scratch, "new", WriteOptions::default()).is_none());
    }

    #[test]
    fn what_is_not_installed_leaves_nothing() {
        let scratch = Scratch::new();
        drop(stage(&scratch, "new", WriteOptions::default()).unwrap());
        assert_eq!(count(&scratch), 0);
    }

    #[test]
    fn what_a_killed_process_left_beside_it_is_swept() {
        let scratch = Scratch::new();
        let path = scratch.write("deep/conf", "old");
        scratch.write("deep/.zk-0123456789abcdef.lock", "");
        scratch.write("deep/.zk-0123456789abcdef.old", "left");
        scratch.write("deep/.zk-mine", "kept");
        std::os::unix::fs::symlink("deep/conf", scratch.join("link")).unwrap();
        sweep(&scratch.join("link"));
        assert_eq!(fs::read_dir(scratch.join("deep")).unwrap().count(), 2);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        sweep(&scratch.join("none/conf"));
    }

    #[test]
    fn the_same_file_is_rewritten_when_asked() {
        let scratch = Scratch::new();
        let path = scratch.write("conf", "old and longer");
        let inode = fs::metadata(&path).unwrap().ino();
        let options = WriteOptions { is_in_place: true, ..WriteOptions::default() };
        stage(&scratch, "new", options).unwrap().install().unwrap();
        assert_eq!(scratch.read("conf").unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(count(&scratch), 1);
    }

    #[test]
    fn a_file_whose_directory_was_replaced_is_not_installed_in_the_old_one() {
        let scratch = Scratch::new();
        let path = scratch.write("app/etc/conf", "old");
        let stage = || {
            let bytes = b"new".to_vec();
            StagedFile::write(&path, bytes, WriteOptions::default()).unwrap()
        };
        for is_kept in [false, true] {
            let staged = stage().unwrap();
            fs::rename(scratch.join("app"), scratch.join("app.old")).unwrap();
            scratch.write("app/etc/conf", "other");
            let refused = if is_kept {
                staged.install_over().map(drop).unwrap_err()
            } else {
                staged.install().unwrap_err()
            };
            assert!(matches!(refused.fault, Fault::Moved), "{refused}");
            assert_eq!(scratch.read("app.old/etc/conf").unwrap(), "old");
            assert_eq!(fs::read_dir(scratch.join("app.old/etc")).unwrap().count(), 1);
            assert_eq!(scratch.read("app/etc/conf").unwrap(), "other");
            // The next one is staged where the path leads to.
            stage().unwrap().install().unwrap();
            assert_eq!(scratch.read("app/etc/conf").unwrap(), "new");
            fs::remove_dir_all(scratch.join("app.old")).unwrap();
            scratch.write("app/etc/conf", "old");
        }
        let staged = stage().unwrap();
        fs::rename(scratch.join("app"), scratch.join("app.old")).unwrap();
        assert!(staged.install().unwrap_err().is_missing());
        assert_eq!(scratch.read("app.old/etc/conf").unwrap(), "old");
    }

    #[test]
    fn a_mode_is_there_from_the_first_byte_on() {
        let scratch = Scratch::new();
        let mode = Some(super::super::write_options::FileMode::parse("600").unwrap());
        let options = WriteOptions { mode, ..WriteOptions::default() };
        let staged = stage(&scratch, "new", options).unwrap();
        let mode_of = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode_of(&staged.path()), 0o600);
        staged.install().unwrap();
        assert_eq!(mode_of(&scratch.join("conf")), 0o600);
    }
}
