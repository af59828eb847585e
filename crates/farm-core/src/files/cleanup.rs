//! Removes hidden files and directories, and keeps the edits among them.

use super::folder::Folder;
use super::hidden::{DISPLACED, HiddenName, STAGED, id_of, is_hidden};
use super::kind::{Kind, kind_of};
use super::open_file::read_bounded;
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use nix::unistd::geteuid;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;

/// How deep a removal descends. Our own trees are never deeper.
pub(crate) const REMOVAL_DEPTH_MAX: usize = 128;
/// The most left-overs in one directory.
const LEFT_OVERS_MAX: usize = 100_000;
/// The most directories of a tree that are swept.
const FOLDERS_MAX: usize = 1_000_000;
/// A larger file is an edit: we displace none of this size.
const DISPLACED_BYTES_MAX: usize = 4 << 20;
/// How many edits of one file are kept.
const KEPT_MAX: u32 = 1000;

/// Where left-overs are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// In a directory in which others may have files and directories.
    Folder,
    /// In a directory and all below it, except in hidden ones.
    Tree,
    /// As [`Sweep::Tree`], and the top may have hidden directories, which are ours.
    OwnedTree,
}

/// Removes what killed processes of this user have left in a directory. An edit that is nowhere
/// else is kept under another name. The files of running processes, and of other users, stay.
pub(crate) fn sweep(top: &Folder, kind: Sweep) {
    if let Err(e) = sweep_folder(top, kind == Sweep::OwnedTree) {
        log::debug!(path:% = top.path_of(OsStr::new("")).display(); "cannot look for left-overs: {e}");
    }
    if kind != Sweep::Folder {
        let mut left = FOLDERS_MAX;
        sweep_below(top, 0, &mut left);
    }
}

fn sweep_below(folder: &Folder, depth: usize, left: &mut usize) {
    let is_folder =
        |name: &OsStr| !is_hidden(name) && matches!(folder.kind(name), Ok(Some(Kind::Folder)));
    let Ok(Some(names)) = folder.names_if(*left, is_folder) else { return };
    *left = left.saturating_sub(names.len());
    for name in names {
        // What cannot be read now is reported when it is to be written.
        let Ok(below) = folder.enter(&name) else { continue };
        let _ = sweep_folder(&below, false);
        if depth < REMOVAL_DEPTH_MAX {
            sweep_below(&below, depth + 1, left);
        }
    }
}

fn sweep_folder(folder: &Folder, has_folders: bool) -> io::Result<()> {
    let is_candidate = |name: &OsStr| {
        // Anybody may have put such a name there, so only our own are gathered.
        id_of(name).is_some() && matches!(folder.stat(name), Ok(Some(stat)) if is_own(&stat))
    };
    let names = folder.names_if(LEFT_OVERS_MAX, is_candidate)?;
    let names = names.ok_or(io::ErrorKind::FileTooLarge)?;
    let ids: BTreeSet<&str> = names.iter().filter_map(|name| id_of(name)).collect();
    for id in ids {
        if let Err(e) = sweep_id(folder, id, has_folders) {
            let path = folder.path_of(OsStr::new(&format!(".zk-{id}")));
            log::warn!(file:% = path.display(), why:% = e; "cannot remove what a killed run has left");
        }
    }
    Ok(())
}

/// Sweeps the files of one hidden name, which all belong to one process.
fn sweep_id(folder: &Folder, id: &str, has_folders: bool) -> io::Result<()> {
    let Some(mut hidden) = HiddenName::take_over(folder, id)? else { return Ok(()) };
    for ending in [STAGED, DISPLACED] {
        let name = hidden.with_ending(ending);
        let Some(stat) = folder.stat(&name)? else { continue };
        // A file may have the owner of the one that it was to replace; its lock file is ours.
        if !hidden.is_locked() && !is_own(&stat) {
            continue;
        }
        let kept = match ending {
            DISPLACED => edit_in(folder, &hidden, &name, &stat)
                .and_then(|target| target.map(|target| keep(folder, &name, target)).transpose()),
            _ => Ok(None),
        };
        let removed = match kept {
            Ok(Some(())) => continue,
            Ok(None) if kind_of(&stat) == Kind::Folder && !has_folders => {
                Err(io::ErrorKind::IsADirectory.into())
            }
            Ok(None) => {
                log::debug!(file:% = folder.path_of(&name).display(); "removing a left-over");
                remove_all(folder, &name, 0)
            }
            Err(e) => Err(e),
        };
        match removed {
            // Another sweep was faster.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                hidden.leave();
                return Err(e);
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

fn is_own(stat: &FileStat) -> bool {
    stat.st_uid == geteuid().as_raw()
}

/// Whether a displaced file holds an edit; then the name that it had.
fn edit_in(
    folder: &Folder,
    hidden: &HiddenName,
    name: &OsStr,
    stat: &FileStat,
) -> io::Result<Option<OsString>> {
    let is_file = kind_of(stat) == Kind::File;
    let Some(note) = hidden.noted()? else {
        // Nobody knows what it is if there was no room for a lock file.
        let nameless = OsString::from(name.to_string_lossy().trim_matches('.'));
        return Ok((is_file && !hidden.is_locked()).then_some(nameless));
    };
    let bytes = match folder.open_file(name) {
        Ok(file) => {
            file.map(|file| read_bounded(&file, DISPLACED_BYTES_MAX)).transpose()?.flatten()
        }
        // A file that we may not read, or no file at all.
        Err(_) => None,
    };
    let is_known = bytes.is_some_and(|bytes| note.knows(&bytes));
    Ok((!is_known).then_some(note.target))
}

/// Gives an edit a name that is free, and that no config takes for that of a field.
fn keep(folder: &Folder, name: &OsStr, mut target: OsString) -> io::Result<()> {
    let file = folder.path_of(&target);
    let mut number = 1;
    while number <= KEPT_MAX {
        let mut kept = target.clone();
        kept.push(format!(".~{number}~"));
        match folder.entry(name).rename_no_replace(folder.entry(&kept)) {
            Ok(()) => {
                let kept = folder.path_of(&kept);
                log::warn!(
                    file:% = file.display(), kept:% = kept.display();
                    "an edit is kept under another name: a run was killed while it replaced the file"
                );
                return folder.sync();
            }
            Err(Errno::EEXIST) => number += 1,
            Err(Errno::ENAMETOOLONG) if target.len() > name.len() => {
                target = OsString::from(name.to_string_lossy().trim_matches('.'));
            }
            Err(e) => return Err(e.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
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

#[cfg(test)]
mod tests;
