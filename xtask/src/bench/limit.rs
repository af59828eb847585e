//! The raw limits: the same outcome with nothing in the way.

use super::error::BenchError;
use super::stage::Stage;
use crate::command::line_of;
use farm_harness::{Zk, toolbox};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command to its end, its output unseen.
pub(super) fn run(command: &mut Command) -> Result<(), BenchError> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().map_err(BenchError::io(command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    Err(BenchError::Tool { line: line_of(command), said: status.to_string() })
}

/// A process that does nothing.
pub(super) fn idle_process() -> Command {
    let mut command = Command::new(toolbox::in_path("true").unwrap_or_else(|| "true".into()));
    command.env_clear();
    command
}

/// Puts bytes into a file the careful way: written beside, synced, renamed.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), BenchError> {
    let staged = path.with_extension("staged");
    let written = File::create(&staged)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&staged, path));
    written.map_err(BenchError::io(path))
}

/// Two bare clients and a znode of which one is told what the other sets.
pub(super) struct Wire {
    writer: Zk,
    watcher: Zk,
    path: &'static str,
}

impl Wire {
    pub(super) fn new(stage: &Stage, path: &'static str) -> Result<Self, BenchError> {
        let (mut writer, mut watcher) = (stage.zk()?, stage.zk()?);
        if writer.exists(path)?.is_none() {
            writer.create_all(path, "")?;
        }
        watcher.watch(path)?;
        Ok(Self { writer, watcher, path })
    }

    /// From the set until the other client is told.
    pub(super) fn set_to_change(&mut self, data: &str) -> Result<Duration, BenchError> {
        let start = Instant::now();
        self.writer.set(self.path, data)?;
        self.watcher.next_change()?;
        let elapsed = start.elapsed();
        self.watcher.watch(self.path)?;
        Ok(elapsed)
    }

    /// From the set until the other client has read the znode and put a file in place.
    pub(super) fn set_to_file(
        &mut self,
        data: &str,
        file: &BareFile,
    ) -> Result<Duration, BenchError> {
        let start = Instant::now();
        self.writer.set(self.path, data)?;
        self.watcher.next_change()?;
        self.watcher.watch(self.path)?;
        replace(&file.path, &file.bytes)?;
        Ok(start.elapsed())
    }
}

/// A file that is only there to be replaced.
pub(super) struct BareFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}
