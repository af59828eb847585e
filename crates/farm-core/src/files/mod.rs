//! Files of this machine: written as a whole, compared and swapped, watched.
//!
//! From the bottom up: `attributes` are those of a file, `folder` is an open directory,
//! `hidden` makes temporary names, `lock_file` tells which are in use, and `cleanup` removes
//! the others. `file` replaces a file and `staging` does so
//! later or never, both with `write_options`. `compare_and_swap` replaces a file only
//! if it is as expected. `look` tells without
//! reading whether a path names what it named. `displace` keeps the old file, and `backup` puts it back.
//! `tree` writes a whole directory, which has a `marker`. `conf` is a file or a
//! directory that people edit too. All of them report an `error`.
//!
//! **Invariant.** A reader of a file that we write sees the old bytes or the new
//! ones, never a part. An edit that is saved while we write is not lost, and a failed
//! read is an error, never an empty record.

mod attributes;
pub mod backup;
mod cleanup;
mod compare_and_swap;
pub mod conf;
#[cfg(test)]
mod constrained;
mod displace;
pub mod error;
pub mod file;
mod folder;
mod hidden;
mod kind;
mod lock_file;
pub mod look;
pub mod marker;
mod open_file;
pub mod staging;
pub mod tree;
#[cfg(test)]
mod unsafe_links;
#[cfg(feature = "watch")]
pub mod watch;
pub mod write_options;
