//! Files of this machine: written as a whole, compared and swapped, watched.
//!
//! From the bottom up: `folder` is a directory held open, `hidden` the names of what
//! is on its way. `file` replaces a file, `staging` does so later or never, both as
//! `manner` says; `swap` only if the file is as expected, and `displace` keeps what
//! was there, which `previous` puts back. `tree` writes a whole directory, on which
//! there is a `mark`. `conf` is a file or a directory that people edit as well. All of
//! them report a failure as an `error`.
//!
//! **Invariant.** A reader of a file that we write sees the old bytes or the new
//! ones, never a part. What somebody saves while we write is found again, and a
//! failed read is an error, never an empty record.

pub mod backup;
mod compare_and_swap;
pub mod conf;
#[cfg(test)]
mod constrained;
mod displace;
pub mod error;
pub mod file;
mod folder;
mod hidden;
pub mod marker;
pub mod staging;
pub mod tree;
#[cfg(feature = "watch")]
pub mod watch;
pub mod write_options;
