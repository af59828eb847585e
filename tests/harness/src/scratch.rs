//! Temporary directories.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

const PREFIX: &str = "farm-test-";
/// The user and group `nobody`.
const NOBODY: u32 = 65534;

/// A temporary directory that is removed on drop. If the thread is panicking, it is kept for
/// inspection until the next test run removes it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a new, empty directory.
    ///
    /// # Panics
    ///
    /// When the temporary directory can't be written.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        static SWEPT: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let base = std::env::temp_dir();
        SWEPT.call_once(|| sweep(&base));
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Self { path },
                // Left by an earlier process with our pid.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => panic!("cannot make {}: {e}", path.display()),
            }
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in place and creates the directories above it.
    ///
    /// # Panics
    ///
    /// When that fails.
    #[track_caller]
    pub fn write(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        let written = fs::create_dir_all(path.parent().unwrap_or(&self.path))
            .and_then(|()| File::create(&path))
            .and_then(|mut file| file.write_all(contents.as_ref()));
        match written {
            Ok(()) => path,
            Err(e) => panic!("cannot write {}: {e}", path.display()),
        }
    }

    /// Reads a file as text.
    ///
    /// # Errors
    ///
    /// The path and the reason, as a probe of `eventually` needs them.
    pub fn read(&self, name: impl AsRef<Path>) -> Result<String, String> {
        let path = self.path.join(name);
        fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
    }
}

impl Scratch {
    /// Gives a file, a directory, or a link itself to the user `nobody`.
    ///
    /// # Panics
    ///
    /// When this process does not run as root.
    #[track_caller]
    pub fn give_to_nobody(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.join(name);
        match std::os::unix::fs::lchown(&path, Some(NOBODY), Some(NOBODY)) {
            Ok(()) => path,
            Err(e) => panic!("cannot give {} away: {e}", path.display()),
        }
    }

    /// Makes a link of the user `nobody`, in the place of a file of that name if there is one.
    ///
    /// # Panics
    ///
    /// When this process does not run as root.
    #[track_caller]
    pub fn link_of_nobody(&self, target: impl AsRef<Path>, name: &str) -> PathBuf {
        let beside = format!("{name}.new");
        let made = std::os::unix::fs::symlink(target, self.join(&beside));
        made.unwrap_or_else(|e| panic!("cannot make a link: {e}"));
        self.give_to_nobody(&beside);
        let path = self.join(name);
        fs::rename(self.join(&beside), &path)
            .unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        path
    }

    /// Copies a program here. `cp` does it and not this process: a child that another test
    /// forks meanwhile would inherit the copy open for writing, and running it would fail with
    /// ETXTBSY.
    ///
    /// # Panics
    ///
    /// When it can't be copied.
    #[track_caller]
    pub fn program(&self, from: &Path, name: &str) -> PathBuf {
        let copy = self.join(name);
        let copied = Command::new("cp").arg(from).arg(&copy).status();
        assert!(copied.is_ok_and(|end| end.success()), "cannot copy {}", from.display());
        copy
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let note = format!("kept for inspection: {}\n", self.path.display());
            drop(std::io::stderr().write_all(note.as_bytes()));
        } else {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// Removes the directories of processes that no longer exist.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let Some((id, _)) = rest.split_once('-') else { continue };
        if id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists() {
            // Fails if another process removes it first, or if it belongs to another user.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_is_gone_after_its_drop() {
        let scratch = Scratch::new();
        let path = scratch.write("deep/file", "text");
        assert_eq!(scratch.read("deep/file").as_deref(), Ok("text"));
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn sweep_takes_the_dead_and_leaves_the_living() {
        let base = Scratch::new();
        let living = base.join(format!("{PREFIX}{}-1", std::process::id()));
        let dead = base.join(format!("{PREFIX}4194305-1"));
        let stranger = base.join("other-4194305-1");
        for path in [&living, &dead, &stranger] {
            fs::create_dir(path).unwrap();
        }
        sweep(base.path());
        assert!(living.exists() && stranger.exists());
        assert!(!dead.exists());
    }
}
