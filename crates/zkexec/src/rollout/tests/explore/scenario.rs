//! What can happen in a run.

use super::super::*;
use std::fmt;
use std::sync::LazyLock;

/// The content of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Content {
    /// All members run on it at the start.
    Old,
    /// It is published.
    New,
    /// It may be published later.
    Newer,
    /// Files that were not compared with ZooKeeper.
    Unknown,
}

static VERSIONS: LazyLock<[Version; 4]> = LazyLock::new(|| {
    [0, 1, 2, 3].map(|number: u32| format!("{number:012x}").parse().expect("twelve digits"))
});

impl Content {
    const ALL: [Self; 4] = [Self::Old, Self::New, Self::Newer, Self::Unknown];

    /// The content of that version.
    pub(super) fn of(version: Version) -> Self {
        let at = VERSIONS.iter().position(|other| *other == version);
        Self::ALL[at.expect("a version of the model")]
    }
}

impl Versioned for Content {
    fn version(&self) -> Version {
        VERSIONS[*self as usize]
    }
}

/// How the child does on [`Content::New`]. It works on all other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quality {
    /// It works.
    Good,
    /// It ends by itself.
    Exits,
    /// It stays up and is never healthy.
    Hangs,
    /// A check refuses its files.
    Unfit,
}

/// What can happen in a run. All gates are open, nothing is drained, every file can be written,
/// and a change is a restart.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    /// How many members may hold a permit.
    pub(super) holders: usize,
    /// The contents that are published, one after the other; the first one is there at the start.
    pub(super) published: &'static [Content],
    pub(super) quality: Quality,
    /// A child may be confirmed after its deadline.
    pub(super) is_slow: bool,
    pub(super) on_failure: OnFailure,
    /// Confirmed files are kept over a restart of zkexec.
    pub(super) is_saved: bool,
    pub(super) faults: u8,
    pub(super) commands: u8,
    /// A member hears of everything at once, unless a fault delays that. Otherwise it hears of each
    /// thing at any time.
    pub(super) is_prompt: bool,
}

impl Scenario {
    /// New content that fails, in a group with one holder, without faults and commands.
    pub(super) const fn new() -> Self {
        Self {
            holders: 1,
            published: &[Content::New],
            quality: Quality::Exits,
            is_slow: false,
            on_failure: OnFailure::Hold,
            is_saved: true,
            faults: 0,
            commands: 0,
            is_prompt: false,
        }
    }

    pub(super) fn options(&self) -> RolloutOptions {
        RolloutOptions {
            on_failure: self.on_failure,
            has_many_holders: self.holders > 1,
            ..options()
        }
    }

    /// Whether what is published there was published and replaced before.
    pub(super) fn is_published_again(&self, at: usize) -> bool {
        self.published[..at].contains(&self.published[at])
    }

    /// Whether a check lets it pass.
    pub(super) fn is_fit(&self, content: Content) -> bool {
        self.quality != Quality::Unfit || self.works(content)
    }

    pub(super) fn works(&self, content: Content) -> bool {
        content != Content::New || self.quality == Quality::Good
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { holders, published, quality, on_failure, faults, commands, .. } = self;
        write!(f, "N = {holders}, {published:?} ({quality:?}), {on_failure:?}, ")?;
        write!(f, "{faults} faults, {commands} commands")?;
        f.write_str(if self.is_prompt { ", prompt" } else { "" })?;
        f.write_str(if self.is_slow { ", slow" } else { "" })?;
        f.write_str(if self.is_saved { "" } else { ", nothing saved" })
    }
}
