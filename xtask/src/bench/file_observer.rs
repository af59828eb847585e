//! Notices when a file changes, without the help of the tool that writes it.
//!
//! The observer polls with `stat` and a yield in a loop. Nothing else is both prompt and without
//! effect on the measured time: with inotify, the kernel would do extra work during the writes of
//! the tool, and a changed-command would start a process.

use super::error::BenchError;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CHANGE_WAIT: Duration = Duration::from_secs(10);

/// What differs between two versions of a file: inode and change time.
type Version = Option<(u64, i64, i64)>;

/// Observes one file.
pub(super) struct FileObserver {
    path: PathBuf,
    version: Version,
}

impl FileObserver {
    /// Remembers the current version of the file.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), version: version_of(path) }
    }

    /// Waits until the file contains this text, and returns when it was first seen.
    pub(super) fn wait_for(mut self, text: &str) -> Result<Instant, BenchError> {
        let deadline = Instant::now() + CHANGE_WAIT;
        loop {
            let version = version_of(&self.path);
            let now = Instant::now();
            if version != self.version {
                // Reading the file is no part of the measured time.
                let bytes = fs::read_to_string(&self.path).unwrap_or_default();
                if bytes.contains(text) {
                    return Ok(now);
                }
                self.version = version;
            } else if now > deadline {
                return Err(BenchError::TimedOut { expected: "a file with the new value" });
            }
            std::thread::yield_now();
        }
    }
}

fn version_of(path: &Path) -> Version {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.ctime(), found.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;

    #[test]
    fn a_changed_file_is_noticed_when_it_has_the_text() {
        let scratch = Scratch::new();
        let path = scratch.write("file", "old");
        let observer = FileObserver::new(&path);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for text in ["half", "new"] {
                    fs::rename(scratch.write(".temporary", text), &path).unwrap();
                }
            });
            observer.wait_for("new").unwrap();
            assert_eq!(scratch.read("file").as_deref(), Ok("new"));
        });
    }

    #[test]
    fn a_new_file_is_noticed() {
        let scratch = Scratch::new();
        let observer = FileObserver::new(&scratch.join("file"));
        scratch.write("file", "text");
        observer.wait_for("text").unwrap();
    }
}
