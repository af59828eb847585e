//! Reads an open file within bounds, and tells which file it is.

use nix::sys::stat::fstat;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

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
