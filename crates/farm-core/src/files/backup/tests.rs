use super::*;
use crate::files::constrained;
use crate::files::displace::{keep_exchanged, link_aside};
use crate::files::error::Fault;
use crate::files::staging::StagedFile;
use crate::files::write_options::FileMode;
use farm_harness::Scratch;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn over(path: &Path, bytes: &[u8]) -> Backup {
    over_as(path, bytes, WriteOptions::default())
}

fn over_as(path: &Path, bytes: &[u8], options: WriteOptions) -> Backup {
    let staged = StagedFile::write(path, bytes.to_vec(), options).unwrap().unwrap();
    staged.install_over().unwrap()
}

/// The contents and attributes of a file.
fn snapshot(path: &Path) -> (Vec<u8>, u32, u32, u32, u64, i64, i64) {
    let about = fs::symlink_metadata(path).unwrap();
    let times = (about.mtime(), about.mtime_nsec());
    let bytes = fs::read(path).unwrap();
    (bytes, about.mode(), about.uid(), about.gid(), about.ino(), times.0, times.1)
}

#[test]
fn a_file_comes_back_exactly_as_it_was() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", [0, 255, b'\n', 0]);
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4710)).unwrap();
    let before = snapshot(&path);
    let mode = Some(FileMode::parse("600").unwrap());
    let mut backup = over_as(&path, b"new", WriteOptions { mode, ..WriteOptions::default() });
    assert_eq!((&snapshot(&path).0[..], snapshot(&path).1 & 0o7777), (&b"new"[..], 0o600));
    backup.put_back().unwrap();
    assert_eq!(snapshot(&path), before);
    assert_eq!(names(scratch.path()), ["conf"]);
    // There is nothing left to put back.
    let again = over(&path, b"newer");
    backup.put_back().unwrap();
    drop((backup, again));
    assert_eq!(fs::read(&path).unwrap(), b"newer");
    assert_eq!(names(scratch.path()), ["conf"]);
}

#[test]
fn where_there_was_no_file_there_is_none_again() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    over(&path, b"new").put_back().unwrap();
    assert_eq!(names(scratch.path()), Vec::<String>::new());
    let mut backup = over(&path, b"new");
    fs::remove_file(&path).unwrap();
    backup.put_back().unwrap();
    assert_eq!(names(scratch.path()), Vec::<String>::new());
}

#[test]
fn what_is_forgotten_leaves_nothing() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "old");
    drop(over(&path, b"new"));
    assert_eq!(
        (fs::read(&path).unwrap().as_slice(), names(scratch.path())),
        (&b"new"[..], vec!["conf".to_owned()])
    );
}

#[test]
fn two_backups_lead_back_to_the_first_file() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "first");
    let before = snapshot(&path);
    let mut second = over(&path, b"second");
    let mut third = over(&path, b"third");
    third.put_back().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    second.put_back().unwrap();
    assert_eq!(snapshot(&path), before);
}

#[test]
fn a_link_stays_and_its_target_comes_back() {
    let scratch = Scratch::new();
    let target = scratch.write("deep/target", "old");
    symlink("deep/target", scratch.join("conf")).unwrap();
    let before = snapshot(&target);
    let mut backup = over(&scratch.join("conf"), b"new");
    assert_eq!(fs::read(&target).unwrap(), b"new");
    // The link has another target by now; the old target gets its file back.
    fs::remove_file(scratch.join("conf")).unwrap();
    symlink("elsewhere", scratch.join("conf")).unwrap();
    backup.put_back().unwrap();
    assert_eq!(snapshot(&target), before);
    assert_eq!(names(scratch.path()), ["conf", "deep"]);
}

#[test]
fn what_became_a_directory_meanwhile_stays_one() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "old");
    let staged =
        StagedFile::write(&path, b"new".to_vec(), WriteOptions::default()).unwrap().unwrap();
    fs::remove_file(&path).unwrap();
    scratch.write("conf/inside", "x");
    let error = staged.install_over().unwrap_err();
    assert!(matches!(error.fault, Fault::NotAFile), "{error}");
    assert_eq!(scratch.read("conf/inside").unwrap(), "x");
    assert_eq!(names(scratch.path()), ["conf"]);
}

#[test]
fn what_an_exchange_brought_gets_its_place_back_if_it_is_no_file() {
    let scratch = Scratch::new();
    scratch.write("conf/inside", "x");
    let location = FileLocation::of(&scratch.join("conf")).unwrap();
    let staged = location.folder.stage(b"new", None).unwrap();
    staged.exchange(&location.name).unwrap();
    let (old, aside) =
        (location.folder.entry(&location.name), location.folder.entry("aside".as_ref()));
    assert!(keep_exchanged(staged.entry(), old, aside).is_err());
    drop(staged);
    assert_eq!(scratch.read("conf/inside").unwrap(), "x");
    assert_eq!(names(scratch.path()), ["conf"]);
}

#[test]
fn putting_back_needs_no_room() {
    let Some(top) = constrained::without_room("files::backup::tests::putting_back_needs_no_room")
    else {
        return;
    };
    // A file larger than the limit for new files.
    let folder = top.join("full");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("conf");
    fs::hard_link(top.join("program"), &path).unwrap();
    let before = fs::metadata(&path).unwrap();
    assert!(before.len() > 1 << 20);
    let mut backup = over(&path, b"new");
    backup.put_back().unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((before.ino(), before.len()), (after.ino(), after.len()));
    // There is no room for the new bytes, so nothing changes.
    assert!(StagedFile::write(&path, vec![b'x'; 1 << 20], WriteOptions::default()).is_err());
    assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
    assert_eq!(names(&folder), ["conf"]);
}

#[test]
fn what_could_not_be_put_back_can_be_tried_again() {
    let test = "files::backup::tests::what_could_not_be_put_back_can_be_tried_again";
    let Some(top) = constrained::unprivileged(test) else { return };
    let folder = top.join("closed");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("conf");
    crate::files::file::replace(&path, b"old").unwrap();
    // We may not read it, but we may replace it and put it back.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let mut backup = over(&path, b"new");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    for _ in 0..2 {
        assert!(backup.put_back().unwrap_err().is_permission());
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    backup.put_back().unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(&folder), ["conf"]);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_same_file_gets_its_bytes_and_its_mode_back() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "old and longer than the new one");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let mode = Some(FileMode::parse("600").unwrap());
    let mut backup =
        over_as(&path, b"new", WriteOptions { mode, is_in_place: true, ..WriteOptions::default() });
    assert_eq!(
        (fs::read(&path).unwrap().as_slice(), fs::metadata(&path).unwrap().ino()),
        (&b"new"[..], inode)
    );
    backup.put_back().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old and longer than the new one");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(names(scratch.path()), ["conf"]);
}

#[test]
fn a_mounted_file_comes_back_too() {
    let test = "files::backup::tests::a_mounted_file_comes_back_too";
    let Some((top, may_mount)) = constrained::with_own_mounts(test) else { return };
    let (real, path) = (top.join("real"), top.join("conf"));
    crate::files::file::replace(&real, b"old").unwrap();
    crate::files::file::replace(&path, b"").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    if !may_mount {
        // Without mounts this test adds nothing to the others.
        return;
    }
    let mount = Command::new("mount").arg("--bind").args([&real, &path]).status().unwrap();
    assert!(mount.success());
    let inode = fs::metadata(&path).unwrap().ino();
    let mode = Some(FileMode::parse("600").unwrap());
    let mut backup = over_as(&path, b"new", WriteOptions { mode, ..WriteOptions::default() });
    assert_eq!(fs::read(&real).unwrap(), b"new");
    backup.put_back().unwrap();
    assert_eq!(fs::read(&real).unwrap(), b"old");
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.ino(), after.mode() & 0o7777), (inode, 0o640));
    assert_eq!(names(&top).iter().filter(|name| name.starts_with('.')).count(), 0);
    assert!(Command::new("umount").arg(&path).status().unwrap().success());
}

#[test]
fn without_exchange_a_second_name_keeps_it() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "old");
    let before = snapshot(&path);
    let location = FileLocation::of(&path).unwrap();
    let staged = location.folder.stage(b"new", None).unwrap();
    let (old, aside) =
        (location.folder.entry(&location.name), location.folder.hidden_name(DISPLACED));
    assert!(link_aside(staged.entry(), old, location.folder.entry(&aside)).unwrap());
    staged.into_name();
    let kept = Kept::Aside(aside);
    assert_eq!(fs::read(&path).unwrap(), b"new");
    let mut backup = Backup { path: path.clone(), location, kept };
    backup.put_back().unwrap();
    assert_eq!(snapshot(&path), before);
    assert_eq!(names(scratch.path()), ["conf"]);
}
