//! Removes hidden files and directories.

use super::folder::Folder;
use super::hidden::is_left_over;
use super::kind::Kind;
use std::ffi::OsStr;
use std::io;

/// How deep a removal descends. Our own trees are never deeper.
pub(crate) const REMOVAL_DEPTH_MAX: usize = 128;

/// Removes the files that killed processes have left in a directory. The caller must
/// have no hidden file there.
pub(crate) fn sweep(folder: &Folder) -> io::Result<()> {
    for name in folder.all_names()? {
        if is_left_over(&name) {
            log::debug!(file:% = folder.path_of(&name).display(); "removing a left-over");
            remove_all(folder, &name, 0)?;
        }
    }
    Ok(())
}

/// Removes a file, or a directory with all its contents.
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
