//! Hidden names for files that are about to replace others, or were replaced.
//!
//! **Invariant.** A name contains the pid of the process that made it, so the files of
//! a killed process are recognised, and those of a running one are not touched.
//! (Processes in different pid namespaces that write to one directory cannot tell.)

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The ending of names of new files.
pub(crate) const STAGED: &str = ".new";
/// The ending of names of displaced files.
pub(crate) const DISPLACED: &str = ".old";
const PREFIX: &str = ".zk-";

/// Makes a name that no file has.
pub(crate) fn hidden(ending: &str) -> OsString {
    OsString::from(format!("{PREFIX}{:016x}-{}{ending}", fastrand::u64(..), std::process::id()))
}

/// Whether a name is that of a dot-file. Dot-files are not fields, and are left alone.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a name is the hidden one of a new file.
#[cfg(feature = "watch")]
pub(crate) fn is_staged(name: &OsStr) -> bool {
    is_between(name, STAGED)
}

/// Whether a name is the hidden one of a displaced file.
#[cfg(feature = "watch")]
pub(crate) fn is_displaced(name: &OsStr) -> bool {
    is_between(name, DISPLACED)
}

#[cfg(feature = "watch")]
fn is_between(name: &OsStr, ending: &str) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(ending.as_bytes())
}

/// Whether a name was made by a process that is gone, or by an earlier process with our
/// pid, which is common in containers.
pub(crate) fn is_left_over(name: &OsStr) -> bool {
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
