//! Removes hidden files and directories.

use super::folder::Folder;
use super::folder_lock::FolderLock;
use super::hidden::is_left_over;
use super::kind::Kind;
use std::ffi::OsStr;
use std::io;

/// How deep a removal descends. Our own trees are never deeper.
pub(crate) const REMOVAL_DEPTH_MAX: usize = 128;

/// Removes the files that killed processes have left in a directory, unless somebody has a
/// hidden file there: then it is left to a later sweep. The caller must have none.
pub(crate) fn sweep(folder: &Folder) -> io::Result<()> {
    let _lock = match folder.open_again().and_then(FolderLock::hold_alone) {
        Ok(lock) => lock,
        Err(e) => {
            let path = folder.path_of(OsStr::new(""));
            log::debug!(path:% = path.display(); "left-overs stay, somebody may use them: {e}");
            return Ok(());
        }
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::backup::Backup;
    use crate::files::staging::StagedFile;
    use crate::files::write_options::WriteOptions;
    use farm_harness::Scratch;
    use std::fs::{self, File};

    const LEFT: &str = ".zk-0123456789abcdef.new";

    fn swept(scratch: &Scratch) -> Vec<String> {
        sweep(&Folder::open(scratch.path()).unwrap()).unwrap();
        let names = fs::read_dir(scratch.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn stage(scratch: &Scratch) -> StagedFile {
        let path = scratch.join("conf");
        StagedFile::write(&path, b"new".to_vec(), WriteOptions::default()).unwrap().unwrap()
    }

    fn name_of(staged: &StagedFile) -> String {
        staged.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn nothing_is_swept_while_somebody_has_a_staged_file_or_a_backup_there() {
        let scratch = Scratch::new();
        scratch.write("conf", "old");
        scratch.write(LEFT, "x");
        let staged = stage(&scratch);
        let name = name_of(&staged);
        let mut all = vec![LEFT.to_owned(), "conf".to_owned(), name];
        all.sort();
        assert_eq!(swept(&scratch), all);
        let backup: Backup = staged.install_over().unwrap();
        assert_eq!(swept(&scratch).len(), 3);
        drop(backup);
        assert_eq!(swept(&scratch), ["conf"]);
    }

    #[test]
    fn a_left_over_is_recognised_without_the_pid_of_its_process() {
        let scratch = Scratch::new();
        // The process that had this name was killed: its lock is gone, and its file is not.
        let name = name_of(&stage(&scratch));
        assert_eq!(name.len(), LEFT.len(), "{name}");
        scratch.write(&name, "x");
        assert_eq!(swept(&scratch), [] as [String; 0]);
    }

    #[test]
    fn a_lock_that_somebody_keeps_holds_nobody_up() {
        let scratch = Scratch::new();
        scratch.write(LEFT, "x");
        let hostile = File::open(scratch.path()).unwrap();
        hostile.lock().unwrap();
        let staged = stage(&scratch);
        assert!(name_of(&staged).ends_with(&format!("-{}.new", std::process::id())));
        assert_eq!(swept(&scratch).len(), 2);
        staged.install().unwrap();
        assert_eq!(swept(&scratch), [LEFT, "conf"]);
        drop(hostile);
        assert_eq!(swept(&scratch), ["conf"]);
    }

    #[test]
    fn a_name_without_a_lock_is_kept_while_its_process_lives() {
        let scratch = Scratch::new();
        let name = format!(".zk-0123456789abcdef-{}.new", nix::unistd::getppid());
        scratch.write(&name, "x");
        assert_eq!(swept(&scratch), [name]);
    }
}
