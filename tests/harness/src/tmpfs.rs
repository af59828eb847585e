//! Small filesystems.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

const BALLAST: &str = "ballast";

/// A tmpfs of 64 KiB, unmounted on drop.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one on a directory, which is created if it is missing. `None` if this process may
    /// not mount.
    ///
    /// # Panics
    ///
    /// When the directory can't be created.
    #[must_use]
    #[track_caller]
    pub fn mount(path: PathBuf) -> Option<Self> {
        if let Err(error) = fs::create_dir_all(&path) {
            panic!("cannot make {}: {error}", path.display());
        }
        run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs"], &path).then_some(Self { path })
    }

    /// Changes the size, such as `4m`.
    ///
    /// # Panics
    ///
    /// When that fails.
    #[track_caller]
    pub fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(run("mount", &["-o", &options], &self.path), "cannot resize {self:?}");
    }

    /// Fills it with a file.
    ///
    /// # Panics
    ///
    /// When the file can't be created.
    #[track_caller]
    pub fn fill(&self) {
        let path = self.path.join(BALLAST);
        let mut ballast =
            File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        while ballast.write(&[0; 1024]).is_ok() {}
    }

    /// Removes what [`Self::fill`] wrote.
    ///
    /// # Panics
    ///
    /// When it can't be removed.
    #[track_caller]
    pub fn clear(&self) {
        let removed = fs::remove_file(self.path.join(BALLAST));
        let is_gone = match &removed {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        assert!(is_gone, "cannot clear {self:?}: {removed:?}");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a program that is killed later may still have files open.
        run("umount", &["-l"], &self.path);
    }
}

fn run(program: &str, args: &[&str], path: &Path) -> bool {
    Command::new(program).args(args).arg(path).status().is_ok_and(|end| end.success())
}
