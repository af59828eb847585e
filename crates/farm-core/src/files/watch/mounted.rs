//! Which files are mount points.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const MOUNTS: &str = "/proc/self/mountinfo";
/// The index of the path in a line.
const PATH_FIELD: usize = 4;

/// Whether a path is a mount point. An edit of such a file causes an event in the
/// directory that it comes from, not in the one that it is mounted in.
pub(super) fn is_mounted(path: &Path) -> bool {
    // If the list cannot be read, the file is watched like any other.
    std::fs::read(MOUNTS).is_ok_and(|mounts| lists(&mounts, path))
}

fn lists(mounts: &[u8], path: &Path) -> bool {
    let path = escaped(path);
    let mounted_at = |line: &[u8]| line.split(|&b| b == b' ').nth(PATH_FIELD) == Some(&path[..]);
    mounts.split(|&b| b == b'\n').any(mounted_at)
}

/// The path as the kernel writes it: separators of fields and lines are in octal.
fn escaped(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => text.extend(format!("\\{byte:03o}").into_bytes()),
            _ => text.push(byte),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_by_their_whole_path() {
        let mounts = b"22 1 0:21 / / rw - ext4 /dev/vda rw\n\
            30 22 0:21 /a /etc/db.json rw shared:1 - ext4 /dev/vda rw\n\
            31 22 0:21 /b /etc/a\\040b\\134c rw - ext4 /dev/vda rw\n";
        for (path, is_there) in [
            ("/", true),
            ("/etc/db.json", true),
            ("/etc/a b\\c", true),
            ("/etc", false),
            ("/a", false),
            ("/etc/db", false),
        ] {
            assert_eq!(lists(mounts, Path::new(path)), is_there, "{path}");
        }
        assert!(is_mounted(Path::new("/proc")));
        assert!(!is_mounted(Path::new("/proc/self")));
    }
}
