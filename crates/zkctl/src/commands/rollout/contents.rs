//! What the sources of members hold now.
//!
//! **Invariant.** Each source is read once, so members with the same sources have the same
//! version.

use farm_core::cli::{Exit, ExitReason};
use farm_core::farm::rollout::{Source, SourceBytes, Version, version_of};
use farm_core::session::{Client, SessionError};
use std::collections::BTreeMap;

/// The most sources that the members of a group may have together.
const SOURCES_MAX: usize = 1_000;
/// The most bytes that they may hold together, in MiB.
const MEBIBYTES_MAX: usize = 256;

/// What the sources of some members hold.
#[derive(Debug, Default)]
pub(super) struct Contents(BTreeMap<Source, Result<SourceBytes, Unread>>);

/// Why the content of a source is unknown.
#[derive(Debug, thiserror::Error, Clone)]
pub(super) enum Unread {
    #[error(transparent)]
    Session(SessionError),
    #[error("the members have more than {SOURCES_MAX} sources; {0} is one too many")]
    TooMany(String),
    #[error("the sources hold more than {MEBIBYTES_MAX} MiB; {0} is one too many")]
    TooLarge(String),
}

impl ExitReason for Unread {
    fn exit(&self) -> Exit {
        match self {
            Self::Session(error) => error.exit(),
            Self::TooMany(_) | Self::TooLarge(_) => Exit::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        if let Self::Session(error) = self { error.hint() } else { None }
    }
}

impl Contents {
    /// Reads the sources of all these members.
    pub(super) fn read<'a>(
        client: &Client,
        members: impl IntoIterator<Item = &'a [Source]>,
    ) -> Result<Self, SessionError> {
        let mut contents = Self::default();
        let mut bytes = 0;
        for source in members.into_iter().flatten() {
            if contents.0.contains_key(source) {
                continue;
            }
            let path = || source.path().to_string();
            let read = if contents.0.len() >= SOURCES_MAX {
                Err(Unread::TooMany(path()))
            } else if bytes > MEBIBYTES_MAX << 20 {
                Err(Unread::TooLarge(path()))
            } else {
                match source.read(client) {
                    Err(error) if error.is_transient() => return Err(error),
                    read => read.map_err(Unread::Session),
                }
            };
            bytes += read.as_ref().map_or(0, length);
            let is_over = matches!(read, Err(Unread::TooMany(_) | Unread::TooLarge(_)));
            contents.0.insert(source.clone(), read);
            if is_over {
                break;
            }
        }
        Ok(contents)
    }

    /// The version of the content of these sources; `None` if one of them could not be read.
    pub(super) fn version(&self, sources: &[Source]) -> Option<Version> {
        let bytes = |source| Some((source, self.0.get(source)?.as_ref().ok()?));
        let read: Option<Vec<_>> = sources.iter().map(bytes).collect();
        read.map(version_of)
    }

    /// Why sources could not be read.
    pub(super) fn into_unread(self) -> Vec<Unread> {
        self.0.into_values().filter_map(Result::err).collect()
    }
}

fn length(bytes: &SourceBytes) -> usize {
    match bytes {
        SourceBytes::Absent => 0,
        SourceBytes::Bytes(bytes) => bytes.len(),
        SourceBytes::Tree(leaves) => leaves.values().map(|bytes| bytes.len()).sum(),
    }
}
