//! Seeing a file change, from outside.
//!
//! The path is asked for in a loop (`stat`, then a yield), because nothing else is
//! both prompt and without effect on what is measured: a watch of our own would
//! have the kernel work for us in the tool's writes, and a changed-command starts
//! a process.

use super::error::BenchError;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SIGHT_WAIT: Duration = Duration::from_secs(10);

/// What tells one version of a file from the next.
type Print = Option<(u64, i64, i64)>;

/// A file under observation.
pub(super) struct Sight {
    path: PathBuf,
    print: Print,
}

impl Sight {
    /// Remembers the file as it is now.
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), print: print_of(path) }
    }

    /// Waits until the file has this text, and says when it first had.
    pub(super) fn wait_for(mut self, text: &str) -> Result<Instant, BenchError> {
        let deadline = Instant::now() + SIGHT_WAIT;
        loop {
            let print = print_of(&self.path);
            let now = Instant::now();
            if print != self.print {
                // Read after the clock, so that the reading costs the tool nothing.
                let bytes = fs::read_to_string(&self.path).unwrap_or_default();
                if bytes.contains(text) {
                    return Ok(now);
                }
                self.print = print;
            } else if now > deadline {
                return Err(BenchError::NotSeen { what: "a file with the new value" });
            }
            std::thread::yield_now();
        }
    }
}

fn print_of(path: &Path) -> Print {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.ctime(), found.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;

    #[test]
    fn a_file_is_seen_when_it_has_the_text() {
        let scratch = Scratch::new();
        let path = scratch.write("file", "old");
        let sight = Sight::of(&path);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for text in ["half", "new"] {
                    fs::rename(scratch.write(".staged", text), &path).unwrap();
                }
            });
            sight.wait_for("new").unwrap();
            assert_eq!(scratch.read("file").as_deref(), Ok("new"));
        });
    }

    #[test]
    fn a_file_that_comes_to_be_is_seen() {
        let scratch = Scratch::new();
        let sight = Sight::of(&scratch.join("file"));
        scratch.write("file", "text");
        sight.wait_for("text").unwrap();
    }
}
