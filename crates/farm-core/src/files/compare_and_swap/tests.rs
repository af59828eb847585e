use super::*;
use crate::files::cleanup::{Sweep, sweep};
use farm_harness::Scratch;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

fn is_alone(scratch: &Scratch) -> bool {
    fs::read_dir(scratch.path()).unwrap().count() == 1
}

#[test]
fn only_what_is_expected_is_replaced() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    assert!(matches!(compare_and_swap(&path, Some(b"x"), b"new").unwrap(), SwapOutcome::Stale));
    assert!(!path.exists());
    assert!(matches!(compare_and_swap(&path, None, b"one").unwrap(), SwapOutcome::Done(None)));
    assert!(matches!(compare_and_swap(&path, None, b"two").unwrap(), SwapOutcome::Stale));
    assert!(matches!(compare_and_swap(&path, None, b"one").unwrap(), SwapOutcome::Unchanged));
    assert!(matches!(compare_and_swap(&path, Some(b"zero"), b"two").unwrap(), SwapOutcome::Stale));
    assert!(matches!(
        compare_and_swap(&path, Some(b"zero"), b"one").unwrap(),
        SwapOutcome::Unchanged
    ));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let SwapOutcome::Done(Some(mut displaced)) =
        compare_and_swap(&path, Some(b"one"), b"two").unwrap()
    else {
        panic!("not done");
    };
    assert_eq!(displaced.read(100).unwrap().unwrap(), b"one");
    assert_eq!(scratch.read("conf").unwrap(), "two");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert!(is_alone(&scratch));
}

#[test]
fn a_link_stays() {
    let scratch = Scratch::new();
    scratch.write("target", "old");
    symlink("target", scratch.join("conf")).unwrap();
    let swapped = compare_and_swap(&scratch.join("conf"), Some(b"old"), b"new").unwrap();
    assert!(matches!(swapped, SwapOutcome::Done(Some(_))));
    assert_eq!(scratch.read("target").unwrap(), "new");
    assert!(fs::symlink_metadata(scratch.join("conf")).unwrap().is_symlink());
}

#[test]
fn a_late_write_to_the_displaced_file_is_found() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "old");
    let mut editor = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let SwapOutcome::Done(Some(mut displaced)) =
        compare_and_swap(&path, Some(b"old"), b"new").unwrap()
    else {
        panic!("not done");
    };
    editor.write_all(b"late edit").unwrap();
    assert_eq!(displaced.read(100).unwrap().unwrap(), b"late edit");
    assert_eq!(displaced.read(3).unwrap(), None);
    assert_eq!(scratch.read("conf").unwrap(), "new");
}

#[test]
fn the_file_displaced_by_an_exchange_is_checked() {
    let scratch = Scratch::new();
    scratch.write("conf", "edited in the last moment");
    let folder = Folder::open(scratch.path()).unwrap();
    let name = OsStr::new("conf");
    let raced = || {
        let mut staged = folder.stage(b"new", None).unwrap();
        staged.mark_displaced(name, &[b"expected", b"new"]).unwrap();
        staged.exchange(name).unwrap();
        match folder.check_exchanged(staged, name, b"expected").unwrap() {
            SwapOutcome::Raced(displaced) => displaced,
            other => panic!("{other:?}"),
        }
    };
    let mut displaced = raced();
    assert_eq!(displaced.read(100).unwrap().unwrap(), b"edited in the last moment");
    assert_eq!(scratch.read("conf").unwrap(), "new");
    // It is on the disk until it is known elsewhere: we may be killed.
    assert!(!is_alone(&scratch));
    displaced.discard();
    assert!(is_alone(&scratch));

    scratch.write("conf", "not merged");
    drop(raced());
    sweep(&folder, Sweep::Folder);
    assert_eq!(scratch.read("conf.~1~").unwrap(), "not merged");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
}

#[test]
fn what_is_no_file_gets_its_place_back() {
    let scratch = Scratch::new();
    symlink("/etc/passwd", scratch.join("conf")).unwrap();
    let folder = Folder::open(scratch.path()).unwrap();
    let name = OsStr::new("conf");
    let staged = folder.stage(b"new", None).unwrap();
    staged.exchange(name).unwrap();
    assert!(matches!(
        folder.check_exchanged(staged, name, b"expected").unwrap(),
        SwapOutcome::Stale
    ));
    assert_eq!(fs::read_link(scratch.join("conf")).unwrap(), Path::new("/etc/passwd"));
    assert!(is_alone(&scratch));
}

#[test]
fn without_exchange_a_writer_in_place_is_still_noticed() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "old");
    let folder = Folder::open(scratch.path()).unwrap();
    let name = OsStr::new("conf");
    let mut editor = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let old = folder.open_file(name).unwrap().unwrap();
    let staged = folder.stage(b"new", None).unwrap();
    editor.write_all(b"edit").unwrap();
    let swapped = folder.rename_over(staged, name, old, b"old").unwrap();
    let SwapOutcome::Raced(mut displaced) = swapped else { panic!("{swapped:?}") };
    assert_eq!(displaced.read(100).unwrap().unwrap(), b"edit");

    let old = folder.open_file(name).unwrap().unwrap();
    fs::rename(scratch.write("other", "renamed into place"), &path).unwrap();
    let staged = folder.stage(b"newer", None).unwrap();
    assert!(matches!(folder.rename_over(staged, name, old, b"new").unwrap(), SwapOutcome::Stale));
    assert_eq!(scratch.read("conf").unwrap(), "renamed into place");
    assert!(is_alone(&scratch));
}

#[test]
fn only_what_is_expected_is_removed() {
    let scratch = Scratch::new();
    scratch.write("conf", "edited");
    let folder = Folder::open(scratch.path()).unwrap();
    let name = OsStr::new("conf");
    assert!(matches!(folder.remove_if(name, b"old").unwrap(), SwapOutcome::Stale));
    assert_eq!(scratch.read("conf").unwrap(), "edited");
    assert!(matches!(folder.remove_if(name, b"edited").unwrap(), SwapOutcome::Done(_)));
    assert!(matches!(folder.remove_if(name, b"edited").unwrap(), SwapOutcome::Unchanged));
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn a_removed_file_with_other_bytes_stays_on_the_disk_until_it_is_discarded() {
    let scratch = Scratch::new();
    scratch.write("conf", "edited");
    let folder = Folder::open(scratch.path()).unwrap();
    let staged = folder.move_aside(OsStr::new("conf"), b"old").unwrap();
    let file = staged.open().unwrap();
    let SwapOutcome::Raced(mut displaced) = folder.check_displaced(staged, file, b"old").unwrap()
    else {
        panic!("not raced");
    };
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
    displaced.discard();
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}
