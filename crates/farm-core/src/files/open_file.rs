//! Reads and writes an open file within bounds, and tells which file it is.

use crate::engine::check_stop;
use nix::sys::stat::fstat;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

/// How many bytes are written before they are synced: few enough for a slow disk.
const STEP_BYTES: usize = 8 << 20;

/// Writes a new file, of which nothing is left if the process is told to stop meanwhile.
pub(super) fn write_in_steps(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    for (number, step) in bytes.chunks(STEP_BYTES).enumerate() {
        if number > 0 {
            // Otherwise the sync at the end would take as long as all of them.
            file.sync_data()?;
            check_stop()?;
        }
        file.write_all(step)?;
    }
    Ok(())
}

/// Whether a file has exactly these bytes.
pub(crate) fn is_equal(mut file: &File, mut bytes: &[u8]) -> io::Result<bool> {
    const CHUNK_BYTES_MAX: usize = 64 << 10;
    let mut chunk = vec![0; CHUNK_BYTES_MAX.min(bytes.len() + 1)];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(bytes.is_empty());
        }
        let Some(rest) = bytes.strip_prefix(&chunk[..read]) else { return Ok(false) };
        bytes = rest;
    }
}

/// Reads a file to its end; `None` if it has more than `bytes_max`.
pub(crate) fn read_bounded(file: &File, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let bytes = read_start(file, bytes_max.saturating_add(1))?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}

/// Reads at most the first `count` bytes of a file.
pub(crate) fn read_start(file: &File, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(u64::try_from(count).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The device and inode of a file, which identify it under any name.
pub(crate) fn identity(file: impl AsFd) -> io::Result<(u64, u64)> {
    let stat = fstat(file)?;
    Ok((stat.st_dev, stat.st_ino))
}
