//! The value of `--mirror`: `LOCAL=ZNODE[,optional][,mode=M][,owner=O][,check=CMD]`, or
//! `LOCAL/=ZNODE/…` for a subtree. It is parsed in three steps:
//!
//! 1. The first `,check=` after a `=/` starts CMD, which takes the rest of the text.
//! 2. The last `=/` before CMD separates LOCAL from ZNODE: LOCAL may contain `=` and commas, and
//!    ZNODE may contain `=`.
//! 3. ZNODE ends at its first comma. The options follow, in any order, each at most once.
//!
//! **Invariant.** LOCAL ends in a plain name, and a slash ends both sides or none.

use farm_core::farm::rollout::Source;
use farm_core::files::write_options::{FileMode, Owner, WriteOptions, WriteOptionsError};
use farm_core::session::{PathError, ZnodePath};
use std::path::PathBuf;
use std::str::FromStr;

const CHECK: &str = ",check=";

/// One mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MirrorSpec {
    /// The file, or the directory of a subtree.
    pub(crate) local: PathBuf,
    /// The znode, or the top of the subtree.
    pub(crate) znode: ZnodePath,
    /// Whether it is a subtree.
    pub(crate) is_tree: bool,
    /// Whether the znode may be missing at the first start.
    pub(crate) is_optional: bool,
    /// How files are written.
    pub(crate) options: WriteOptions,
    /// The command that has to accept new bytes before they are installed.
    pub(crate) check: Option<String>,
}

impl FromStr for MirrorSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let first = text.find("=/").ok_or(SpecError::NoZnode)?;
        let (head, check) = match text[first..].find(CHECK) {
            Some(at) => {
                let (head, check) = text.split_at(first + at);
                (head, Some(check[CHECK.len()..].to_owned()))
            }
            None => (text, None),
        };
        if check.as_ref().is_some_and(|command| command.trim().is_empty()) {
            return Err(SpecError::NoCommand);
        }
        let split = head.rfind("=/").ok_or(SpecError::NoZnode)?;
        let (local, rest) = (&head[..split], &head[split + 1..]);
        let (znode, options) = match rest.split_once(',') {
            Some((znode, options)) => (znode, Some(options)),
            None => (rest, None),
        };
        let (local, znode, is_tree) = both_ends(local, znode)?;
        let mut spec = Self {
            local,
            znode,
            is_tree,
            is_optional: false,
            options: WriteOptions::default(),
            check,
        };
        for option in options.into_iter().flat_map(|options| options.split(',')) {
            spec.take(option)?;
        }
        Ok(spec)
    }
}

impl MirrorSpec {
    /// Where its content comes from.
    pub(crate) fn source(&self) -> Source {
        let path = self.znode.clone();
        if self.is_tree { Source::Tree(path) } else { Source::Znode(path) }
    }

    fn take(&mut self, option: &str) -> Result<(), SpecError> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        let is_repeated = match (name, value) {
            ("optional", None) => std::mem::replace(&mut self.is_optional, true),
            ("mode", Some(mode)) => self.options.mode.replace(FileMode::parse(mode)?).is_some(),
            ("owner", Some(owner)) => self.options.owner.replace(Owner::parse(owner)?).is_some(),
            _ => return Err(SpecError::Option(option.to_owned())),
        };
        if is_repeated { Err(SpecError::Twice(name.to_owned())) } else { Ok(()) }
    }
}

fn both_ends(local: &str, znode: &str) -> Result<(PathBuf, ZnodePath, bool), SpecError> {
    let is_tree = local.ends_with('/');
    let name = local.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if matches!(name, "" | "." | "..") || local.contains('\0') {
        return Err(SpecError::Local(local.to_owned()));
    }
    let znode = match (is_tree, znode.strip_suffix('/')) {
        (_, Some("")) => Ok(ZnodePath::root()),
        (true, Some(below)) if below != "/" => ZnodePath::parse(below),
        (false, None) | (true, Some(_)) => ZnodePath::parse(znode),
        (true, None) | (false, Some(_)) => return Err(SpecError::HalfATree),
    };
    Ok((PathBuf::from(local.trim_end_matches('/')), znode?, is_tree))
}

/// Why a value of `--mirror` is invalid.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub(crate) enum SpecError {
    /// It contains no `=/`.
    #[error("it must be LOCAL=/ZNODE")]
    NoZnode,
    /// LOCAL does not end in the name of a file or a directory.
    #[error("{0:?} does not name a file")]
    Local(String),
    /// ZNODE is not a valid path.
    #[error(transparent)]
    Znode(#[from] PathError),
    /// One side ends with a slash, the other does not.
    #[error("a subtree is LOCAL/=/ZNODE/, with a slash at the end of both")]
    HalfATree,
    /// An option is unknown.
    #[error("{0:?} is not an option; the options are optional, mode=M, owner=O and check=CMD")]
    Option(String),
    /// An option is given twice.
    #[error("{0} is given twice")]
    Twice(String),
    /// A mode or an owner is invalid.
    #[error(transparent)]
    WriteOptions(#[from] WriteOptionsError),
    /// `check=` has no command.
    #[error("check= needs a command")]
    NoCommand,
}

#[cfg(test)]
mod tests;
