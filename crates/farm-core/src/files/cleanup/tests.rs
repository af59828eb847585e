use super::*;
use crate::files::backup::Backup;
use crate::files::constrained::NOBODY;
use crate::files::staging::StagedFile;
use crate::files::write_options::WriteOptions;
use farm_harness::{Scratch, Tool};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;

const ID: &str = ".zk-0123456789abcdef";

/// All names below a directory, links not followed.
fn names(path: &Path) -> Vec<String> {
    let (mut names, mut left) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
            names.push(entry.path().strip_prefix(path).unwrap().display().to_string());
        }
    }
    names.sort();
    names
}

fn swept(scratch: &Scratch, kind: Sweep) -> Vec<String> {
    sweep(&Folder::open(scratch.path()).unwrap(), kind);
    names(scratch.path())
}

/// Writes files whose names begin with [`ID`], as a killed process leaves them.
fn leave(scratch: &Scratch, folder: &str, endings: &[&str]) {
    for ending in endings {
        scratch.write(Path::new(folder).join(format!("{ID}{ending}")), "x");
    }
}

fn stage(scratch: &Scratch) -> StagedFile {
    let path = scratch.join("conf");
    StagedFile::write(&path, b"new".to_vec(), WriteOptions::default()).unwrap().unwrap()
}

/// A process is killed after it has displaced `conf`, which contained `text` then, although it
/// expected `old`; or before, if `is_displaced` is not set.
fn kill_while_replacing(scratch: &Scratch, text: &str, is_displaced: bool) {
    scratch.write("conf", text);
    let folder = Folder::open(scratch.path()).unwrap();
    let mut staged = folder.stage(b"new", None).unwrap();
    staged.mark_displaced(OsStr::new("conf"), &[b"old", b"new"]).unwrap();
    if is_displaced {
        staged.exchange(OsStr::new("conf")).unwrap();
    }
    drop(staged.leave());
}

#[test]
fn nothing_of_a_running_process_is_swept() {
    let scratch = Scratch::new();
    scratch.write("conf", "old");
    leave(&scratch, "", &[".lock", ".new"]);
    let staged = stage(&scratch);
    let with_staged = swept(&scratch, Sweep::Folder);
    let staged_name = staged.path().file_name().unwrap().to_str().unwrap().to_owned();
    let lock = staged_name.replace(".new", ".lock");
    assert_eq!(with_staged, [&lock, &staged_name, "conf"]);
    let mode = |name: &str| fs::metadata(scratch.join(name)).unwrap().permissions().mode();
    assert_eq!(mode(&lock) & 0o777, 0o600, "only its owner can hold its lock");
    let backup: Backup = staged.install_over().unwrap();
    leave(&scratch, "", &[".lock", ".old"]);
    let aside = staged_name.replace(".new", ".old");
    assert_eq!(swept(&scratch, Sweep::Folder), [&lock, &aside, "conf"]);
    drop(backup);
    assert_eq!(names(scratch.path()), ["conf"]);
}

#[test]
fn what_a_killed_process_left_is_swept_whatever_it_was_about_to_do() {
    for endings in [
        &[".lock"][..],
        &[".lock", ".new"],
        &[".lock", ".old"],
        &[".lock", ".new", ".old"],
        &[".new"],
    ] {
        let scratch = Scratch::new();
        scratch.write(".zk-mine", "x");
        leave(&scratch, "", endings);
        assert_eq!(swept(&scratch, Sweep::Folder), [".zk-mine"], "{endings:?}");
    }
}

#[test]
fn locks_that_somebody_holds_on_what_he_can_read_hold_nobody_up() {
    let scratch = Scratch::new();
    leave(&scratch, "", &[".lock", ".new", ".old"]);
    let hostile = ["", ".zk-0123456789abcdef.new", ".zk-0123456789abcdef.old"].map(|name| {
        let file = File::open(scratch.join(name)).unwrap();
        file.lock().unwrap();
        file
    });
    let staged = stage(&scratch);
    assert_eq!(swept(&scratch, Sweep::Folder).len(), 2);
    staged.install().unwrap();
    assert_eq!(names(scratch.path()), ["conf"]);
    drop(hostile);
}

#[test]
fn an_edit_that_a_killed_process_had_displaced_is_kept() {
    let scratch = Scratch::new();
    for (text, is_displaced, kept) in [
        ("old", true, &[][..]),
        ("old", false, &[]),
        ("new", true, &[]),
        ("an edit", true, &["conf.~1~"]),
        ("another edit", true, &["conf.~1~", "conf.~2~"]),
    ] {
        kill_while_replacing(&scratch, text, is_displaced);
        let wanted: Vec<&str> = [&["conf"], kept].concat();
        assert_eq!(swept(&scratch, Sweep::Folder), wanted, "{text}");
        assert_eq!(scratch.read("conf").unwrap(), if is_displaced { "new" } else { text });
    }
    assert_eq!(scratch.read("conf.~1~").unwrap(), "an edit");
    assert_eq!(scratch.read("conf.~2~").unwrap(), "another edit");
}

#[test]
fn an_edit_is_kept_also_if_it_is_large_or_nobody_knows_its_name() {
    let scratch = Scratch::new();
    kill_while_replacing(&scratch, &"x".repeat(DISPLACED_BYTES_MAX + 1), true);
    assert_eq!(swept(&scratch, Sweep::Folder), ["conf", "conf.~1~"]);
    fs::remove_file(scratch.join("conf.~1~")).unwrap();
    // There was no room for the lock file.
    leave(&scratch, "", &[".old"]);
    assert_eq!(swept(&scratch, Sweep::Folder), ["conf", "zk-0123456789abcdef.old.~1~"]);
    // The name of the file is as long as a name can be.
    let long = "n".repeat(255);
    let folder = Folder::open(scratch.path()).unwrap();
    fs::remove_file(scratch.join("zk-0123456789abcdef.old.~1~")).unwrap();
    let name = OsStr::new(&long);
    scratch.write(&long, "edit");
    drop(folder.move_aside(name, b"old").unwrap().leave());
    let left = swept(&scratch, Sweep::Folder);
    assert!(left.len() == 2 && left[1].ends_with(".old.~1~"), "{left:?}");
    assert_eq!(scratch.read(&left[1]).unwrap(), "edit");
}

#[test]
fn a_removal_that_was_cut_short_loses_no_edit() {
    let scratch = Scratch::new();
    let folder = Folder::open(scratch.path()).unwrap();
    for (text, left) in [("old", &[][..]), ("edit", &["conf.~1~"])] {
        scratch.write("conf", text);
        drop(folder.move_aside(OsStr::new("conf"), b"old").unwrap().leave());
        assert_eq!(swept(&scratch, Sweep::Folder), left, "{text}");
    }
}

#[test]
fn the_directories_below_a_tree_are_swept_too_and_links_are_not_followed() {
    let scratch = Scratch::new();
    let outside = Scratch::new();
    leave(&outside, "", &[".lock", ".new"]);
    leave(&scratch, "a/b", &[".lock", ".new"]);
    leave(&scratch, "a", &[".new"]);
    leave(&scratch, ".hidden", &[".new"]);
    symlink(outside.path(), scratch.join("link")).unwrap();
    let hidden = format!(".hidden/{ID}.new");
    assert_eq!(swept(&scratch, Sweep::Tree), [".hidden", &hidden, "a", "a/b", "link"]);
    assert_eq!(names(outside.path()).len(), 2);
}

#[test]
fn only_the_owner_of_a_directory_has_hidden_directories_in_it() {
    let scratch = Scratch::new();
    leave(&scratch, "", &[".lock"]);
    scratch.write(format!("{ID}.new/etc/passwd"), "x");
    let all = names(scratch.path());
    assert_eq!(swept(&scratch, Sweep::Folder), all);
    assert_eq!(swept(&scratch, Sweep::Tree), all);
    assert_eq!(swept(&scratch, Sweep::OwnedTree), [] as [&str; 0]);
}

#[test]
fn what_is_no_file_neither_fools_nor_blocks_a_sweep() {
    let scratch = Scratch::new();
    let outside = Scratch::new();
    outside.write("file", "x");
    for (number, ending) in [".new", ".old", ".lock"].into_iter().enumerate() {
        let name = |kind: usize| format!(".zk-{:016x}{ending}", number * 3 + kind);
        symlink(outside.join("file"), scratch.join(name(0))).unwrap();
        Tool::program("mkfifo").arg(scratch.join(name(1))).run().ok();
        fs::create_dir(scratch.join(name(2))).unwrap();
    }
    swept(&scratch, Sweep::OwnedTree);
    assert_eq!(outside.read("file").unwrap(), "x");
    // Nobody waited for a writer of the fifo; and locks have to be files.
    let left = names(scratch.path());
    assert!(left.iter().all(|name| name.ends_with(".lock")) && left.len() == 3, "{left:?}");
}

#[test]
fn only_files_of_this_user_are_swept() {
    if !geteuid().is_root() {
        return;
    }
    let scratch = Scratch::new();
    leave(&scratch, "", &[".lock", ".new", ".old"]);
    let give = |ending: &str| lchown(scratch.join(format!("{ID}{ending}")), Some(NOBODY), None);
    for ending in [".lock", ".new", ".old"] {
        give(ending).unwrap();
    }
    assert_eq!(swept(&scratch, Sweep::OwnedTree).len(), 3);
    // A staged file has the owner of the file that it is to replace. The lock file is ours.
    fs::remove_file(scratch.join(format!("{ID}.lock"))).unwrap();
    leave(&scratch, "", &[".lock"]);
    assert_eq!(swept(&scratch, Sweep::OwnedTree), [] as [&str; 0]);
}
