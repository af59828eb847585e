//! The mode and owner of a file that is written, and whether it is rewritten in place.

use super::kind::{Kind, kind_of};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat};
use nix::unistd::{Gid, Group, Uid, User, fchown};
use std::fs::File;
use std::io;

/// How a file is written. The default keeps its mode and owner, and replaces it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Its new mode.
    pub mode: Option<FileMode>,
    /// Its new owner.
    pub owner: Option<Owner>,
    /// Rewrite the same file instead of replacing it with another one.
    pub is_in_place: bool,
}

/// The permission bits of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// Reads an octal number of at most three digits, with or without a leading 0.
    ///
    /// # Errors
    ///
    /// [`WriteOptionsError::Mode`] for everything else.
    pub fn parse(text: &str) -> Result<Self, WriteOptionsError> {
        let is_octal = (1..=4).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
        mode.map(Self).ok_or_else(|| WriteOptionsError::Mode(text.to_owned()))
    }
}

/// The owner of a file: a user, a group, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    user: Option<Uid>,
    group: Option<Gid>,
}

impl Owner {
    /// Reads `USER`, `USER:GROUP` or `:GROUP`, each a name or a number.
    ///
    /// # Errors
    ///
    /// [`WriteOptionsError`] for a name that this machine does not know.
    pub fn parse(text: &str) -> Result<Self, WriteOptionsError> {
        let both = text.split_once(':').map(|(user, group)| (user, Some(group)));
        let (user, group) = both.unwrap_or((text, None));
        let user = match user {
            "" if group.is_some() => None,
            user => Some(uid(user)?),
        };
        Ok(Self { user, group: group.map(gid).transpose()? })
    }
}

fn uid(name: &str) -> Result<Uid, WriteOptionsError> {
    // As with chown, a number is first tried as a name.
    let known = User::from_name(name).ok().flatten().map(|user| user.uid);
    let known = known.or_else(|| number(name).map(Uid::from_raw));
    known.ok_or_else(|| WriteOptionsError::User(name.to_owned()))
}

fn gid(name: &str) -> Result<Gid, WriteOptionsError> {
    let known = Group::from_name(name).ok().flatten().map(|group| group.gid);
    let known = known.or_else(|| number(name).map(Gid::from_raw));
    known.ok_or_else(|| WriteOptionsError::Group(name.to_owned()))
}

/// Reads an id; the highest number is none, because to chown it means "no change".
fn number(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number != u32::MAX)
}

/// Why a text is neither a mode nor an owner.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum WriteOptionsError {
    /// It is not a mode.
    #[error("{0:?} is not a mode: it must be octal, like 640")]
    Mode(String),
    /// There is no such user.
    #[error("no such user: {0:?}")]
    User(String),
    /// There is no such group.
    #[error("no such group: {0:?}")]
    Group(String),
}

impl WriteOptions {
    /// The mode and owner of the old file with ours, if we have any: the new file must
    /// never have the old mode, not even briefly.
    pub(super) fn over(&self, mut old: FileStat) -> FileStat {
        if let Some(FileMode(mode)) = self.mode {
            old.st_mode = (old.st_mode & !0o7777) | mode;
        }
        if let Some(Owner { user, group }) = self.owner {
            old.st_uid = user.map_or(old.st_uid, Uid::as_raw);
            old.st_gid = group.map_or(old.st_gid, Gid::as_raw);
        }
        old
    }

    /// The options for a copy of a file that nobody but us can open.
    pub(super) const fn private(like: &FileStat) -> Self {
        let mode = FileMode(0o600 | like.st_mode & 0o100);
        Self { mode: Some(mode), owner: None, is_in_place: false }
    }

    /// Whether a file has this mode and owner.
    pub(super) fn is_met_by(&self, stat: &FileStat) -> bool {
        self.mode.is_none_or(|FileMode(mode)| mode == stat.st_mode & 0o7777) && self.has_owner(stat)
    }

    fn has_owner(&self, stat: &FileStat) -> bool {
        self.owner.is_none_or(|Owner { user, group }| {
            user.is_none_or(|user| user.as_raw() == stat.st_uid)
                && group.is_none_or(|group| group.as_raw() == stat.st_gid)
        })
    }

    /// Gives a file this owner.
    pub(super) fn apply_owner(&self, file: &File) -> io::Result<()> {
        let stat = fstat(file)?;
        debug_assert_eq!(kind_of(&stat), Kind::File);
        match self.owner.filter(|_| !self.has_owner(&stat)) {
            Some(Owner { user, group }) => Ok(fchown(file, user, group)?),
            None => Ok(()),
        }
    }

    /// Gives a file this mode and owner.
    pub(super) fn apply(&self, file: &File) -> io::Result<()> {
        self.apply_owner(file)?;
        // After the owner: a change of owner clears bits of the mode.
        let mode = match self.mode {
            Some(FileMode(mode)) => Mode::from_bits_truncate(mode),
            None => return Ok(()),
        };
        Ok(fchmod(file, mode)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_and_about_reading_and_writing() {
        for (text, mode) in [("640", 0o640), ("0600", 0o600), ("0", 0), ("777", 0o777)] {
            assert_eq!(FileMode::parse(text), Ok(FileMode(mode)), "{text}");
        }
        for text in ["", "8", "1777", "4755", "00640", "u=rw", "+640", "-1", " 640", "0o640"] {
            assert_eq!(
                FileMode::parse(text),
                Err(WriteOptionsError::Mode(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn an_owner_is_a_user_or_a_group_or_both() {
        let owner = |user: Option<u32>, group: Option<u32>| Owner {
            user: user.map(Uid::from_raw),
            group: group.map(Gid::from_raw),
        };
        for (text, expected) in [
            ("root", owner(Some(0), None)),
            ("0", owner(Some(0), None)),
            ("root:root", owner(Some(0), Some(0))),
            (":0", owner(None, Some(0))),
            ("65533:65532", owner(Some(65533), Some(65532))),
        ] {
            assert_eq!(Owner::parse(text), Ok(expected), "{text}");
        }
        let refused = |text: &str| Owner::parse(text).unwrap_err().to_string();
        assert_eq!(refused("no-such-user"), "no such user: \"no-such-user\"");
        assert_eq!(refused("root:no-such-group"), "no such group: \"no-such-group\"");
        for text in ["", ":", "root:", "-1", "4294967295", "0:4294967295", "+1", "a:b:c"] {
            assert!(Owner::parse(text).is_err(), "{text:?}");
        }
    }
}
