//! Hidden names, for what is on its way in or out of a directory.
//!
//! **Invariant.** A name tells which process gave it: what a process that was killed
//! has left is known, and no other one's is touched. (Processes of different pid
//! namespaces that write to one directory can't know of one another.)

use super::folder::{Folder, Kind, REMOVAL_DEPTH_MAX};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

/// How the name of what we are writing ends.
pub(crate) const STAGED: &str = ".new";
/// How the name of what we have displaced ends.
pub(crate) const DISPLACED: &str = ".old";
const PREFIX: &str = ".zk-";

/// A name that nobody has.
pub(crate) fn hidden(ending: &str) -> OsString {
    OsString::from(format!("{PREFIX}{:016x}-{}{ending}", fastrand::u64(..), std::process::id()))
}

/// Whether a name is a dot-file's: those are nobody's fields, and left alone.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a name is one of what is on its way in.
#[cfg(feature = "watch")]
pub(crate) fn is_staged(name: &OsStr) -> bool {
    is_between(name, STAGED)
}

/// Whether a name is one of what is on its way out.
#[cfg(feature = "watch")]
pub(crate) fn is_displaced(name: &OsStr) -> bool {
    is_between(name, DISPLACED)
}

#[cfg(feature = "watch")]
fn is_between(name: &OsStr, ending: &str) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(ending.as_bytes())
}

/// Whether a name was given by a process that is gone, or by an earlier one with our
/// number: in a container that is the rule.
fn is_left_over(name: &OsStr) -> bool {
    let process = || {
        let name = name.to_str()?.strip_prefix(PREFIX)?;
        let name = name.strip_suffix(STAGED).or_else(|| name.strip_suffix(DISPLACED))?;
        let (random, process) = name.split_once('-')?;
        let is_random = random.len() == 16 && random.bytes().all(|c| c.is_ascii_hexdigit());
        process.parse::<u32>().ok().filter(|_| is_random)
    };
    process().is_some_and(|process| {
        process == std::process::id() || !Path::new("/proc").join(process.to_string()).exists()
    })
}

/// Removes what processes that were killed have left in a directory. Whoever calls
/// it has nothing hidden there.
pub(crate) fn sweep(folder: &Folder) -> io::Result<()> {
    for name in folder.all_names()? {
        if is_left_over(&name) {
            log::debug!(file:% = folder.path_of(&name).display(); "removing a left-over");
            remove_all(folder, &name, 0)?;
        }
    }
    Ok(())
}

/// Removes a file, or a directory with all that is in it.
pub(crate) fn remove_all(folder: &Folder, name: &OsStr, depth: usize) -> io::Result<()> {
    match folder.kind(name)? {
        None => Ok(()),
        Some(Kind::File | Kind::Other) => folder.remove_file(name),
        Some(Kind::Folder) => {
            let below = folder.enter(name)?;
            if depth < REMOVAL_DEPTH_MAX {
                for inner in below.all_names()? {
                    remove_all(&below, &inner, depth + 1)?;
                }
            }
            folder.remove_folder(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_living_process_hides_is_not_left_over() {
        let own = std::process::id();
        let parent = nix::unistd::getppid();
        for (name, expected) in [
            (".zk-0123456789abcdef-4194305.new", true),
            (".zk-0123456789abcdef-4194305.old", true),
            (&format!(".zk-0123456789abcdef-{own}.old"), true),
            (&format!(".zk-0123456789abcdef-{parent}.new"), false),
            (".zk-0123456789abcdef-4194305.txt", false),
            (".zk-0123456789abcde-4194305.new", false),
            (".zk-0123456789abcdef.new", false),
            (".zk-0123456789abcdef-x.new", false),
            (".zk-0123456789abcdef-.new", false),
            (".zk-mine.old", false),
            ("zk-0123456789abcdef-4194305.new", false),
        ] {
            assert_eq!(is_left_over(OsStr::new(name)), expected, "{name}");
        }
    }
}
