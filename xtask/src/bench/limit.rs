//! The limits: the outcomes of the tools, reached with as little work as possible.

use super::error::BenchError;
use super::testbed::Testbed;
use crate::command::line_of;
use farm_harness::{Zk, toolbox};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command until it exits, without its output.
pub(super) fn run(command: &mut Command) -> Result<(), BenchError> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().map_err(BenchError::io(command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    Err(BenchError::Tool { line: line_of(command), status })
}

/// A program that does nothing.
pub(super) fn idle_process() -> Command {
    let mut command = Command::new(toolbox::in_path("true").unwrap_or_else(|| "true".into()));
    command.env_clear();
    command
}

/// Replaces a file atomically: writes a temporary file, syncs it, and renames it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), BenchError> {
    let temporary = path.with_extension("temporary");
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(BenchError::io(path))
}

/// Two bare clients: one sets a znode, the other one watches it.
pub(super) struct BareClients {
    writer: Zk,
    watcher: Zk,
    path: &'static str,
}

impl BareClients {
    pub(super) fn new(testbed: &Testbed, path: &'static str) -> Result<Self, BenchError> {
        let (mut writer, mut watcher) = (testbed.zk()?, testbed.zk()?);
        if writer.exists(path)?.is_none() {
            writer.create_all(path, "")?;
        }
        watcher.watch(path)?;
        Ok(Self { writer, watcher, path })
    }

    /// The time from the set until the other client gets the watch event.
    pub(super) fn set_to_change(&mut self, data: &str) -> Result<Duration, BenchError> {
        let start = Instant::now();
        self.writer.set(self.path, data)?;
        self.watcher.next_change()?;
        let elapsed = start.elapsed();
        self.watcher.watch(self.path)?;
        Ok(elapsed)
    }

    /// The time from the set until the other client has read the znode and replaced a file.
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

/// A file that only exists to be replaced.
pub(super) struct BareFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}
