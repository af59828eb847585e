//! Links of other users: not followed by anything that reads or writes a file.

use super::conf::Conf;
use super::constrained::{NOBODY, unprivileged_after};
use super::error::FileError;
use super::file::{Replaced, read, replace, replace_as};
use super::look::Look;
use super::marker::OwnershipMarker;
use super::staging::{StagedFile, sweep};
use super::tree::{Files, Folders, OwnedDir};
use super::write_options::WriteOptions;
use crate::codec::dir::Tree;
use crate::codec::{ConfFormat, ConfText};
use crate::engine::Worker;
use crate::host::resolve::UnsafeLink;
use crate::model::{FieldPath, Record, Value};
use farm_harness::{Scratch, patience};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MARKER: OwnershipMarker = OwnershipMarker { name: ".marker", text: b"ours\n" };

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A directory `user` of another user, and files and directories of root beside it.
fn place() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("root/secret", "{\"secret\": 1}");
    scratch.write("root/dir/secret", "1");
    fs::create_dir(scratch.join("user")).unwrap();
    chown(scratch.join("user"), Some(NOBODY), Some(NOBODY)).unwrap();
    scratch
}

/// Makes a link of the other user.
fn theirs(scratch: &Scratch, name: &str, target: &str) -> PathBuf {
    let path = scratch.join(name);
    symlink(scratch.join(target), &path).unwrap();
    lchown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    path
}

#[track_caller]
fn assert_names(error: &FileError, link: &Path) {
    let expected = UnsafeLink::OfOther { path: link.to_owned(), owner: NOBODY };
    assert_eq!(error.unsafe_link(), Some(&expected), "{error:?}");
    assert!(error.is_permission() && !error.is_missing());
}

#[test]
fn a_file_behind_a_link_of_another_user_is_neither_read_nor_written() {
    if !is_root() {
        return;
    }
    let scratch = place();
    let options = WriteOptions { is_in_place: true, ..WriteOptions::default() };
    for (name, target) in [("user/file", "root/secret"), ("user/new", "root/made")] {
        let link = theirs(&scratch, name, target);
        let dir = theirs(&scratch, &format!("{name}.dir"), "root");
        let deep = dir.join(target.trim_start_matches("root/"));
        // The link itself, a link on the way, and a link of ours to a link of theirs.
        let own = scratch.join(format!("to-{}", name.replace('/', "-")));
        symlink(&link, &own).unwrap();
        for (path, link) in [(&link, &link), (&deep, &dir), (&own, &link)] {
            assert_names(&read(path, 100).unwrap_err(), link);
            assert_names(&replace(path, b"x").unwrap_err(), link);
            assert_names(&replace_as(path, b"x", &options).unwrap_err(), link);
            let staged = StagedFile::write(path, b"x".to_vec(), WriteOptions::default());
            assert_names(&staged.unwrap_err(), link);
            sweep(path);
        }
    }
    assert_eq!(scratch.read("root/secret").unwrap(), "{\"secret\": 1}");
    assert_eq!(fs::read_dir(scratch.join("root")).unwrap().count(), 2);
    // A file that is no link can be used there.
    let path = scratch.join("user/plain");
    assert_eq!(replace(&path, b"x").unwrap(), Replaced::Written);
    assert_eq!(read(&path, 100).unwrap(), b"x");
}

#[test]
fn a_staged_file_is_not_installed_behind_a_link_that_has_come_since() {
    if !is_root() {
        return;
    }
    for is_kept in [false, true] {
        let scratch = place();
        let path = scratch.write("user/conf", "old");
        let staged = StagedFile::write(&path, b"new".to_vec(), WriteOptions::default());
        let staged = staged.unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        theirs(&scratch, "user/conf", "root/secret");
        let refused = if is_kept {
            staged.install_over().map(drop).unwrap_err()
        } else {
            staged.install().unwrap_err()
        };
        assert_names(&refused, &path);
        assert_eq!(scratch.read("root/secret").unwrap(), "{\"secret\": 1}");
        assert_eq!(fs::read_dir(scratch.join("user")).unwrap().count(), 1, "nothing is left");
    }
}

/// Exchanges two names again and again until the sender is dropped.
fn exchanging(one: PathBuf, other: PathBuf) -> (Worker, std::sync::mpsc::Sender<()>) {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let between = one.with_extension("between");
    let worker = Worker::start("exchanging", move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            fs::rename(&one, &between).unwrap();
            fs::rename(&other, &one).unwrap();
            fs::rename(&between, &other).unwrap();
        }
    });
    (worker.unwrap(), stop)
}

#[test]
fn what_another_user_exchanges_meanwhile_is_not_followed_either() {
    if !is_root() {
        return;
    }
    let scratch = place();
    scratch.write("user/dir/secret", "plain");
    scratch.write("user/file", "plain");
    let names = [("dir", "user/dir/secret", "root"), ("file", "user/file", "root/secret")];
    for (name, path, target) in names {
        let link = theirs(&scratch, &format!("user/{name}.link"), target);
        let path = scratch.join(path);
        let (_worker, stop) = exchanging(scratch.join(format!("user/{name}")), link);
        let until = Instant::now() + patience(Duration::from_secs(5));
        let (mut reads, mut writes, mut refusals) = (0, 0, 0);
        // A write may replace the link itself, and then there is none left.
        while reads.min(writes).min(refusals) < 50 && Instant::now() < until {
            match read(&path, 100) {
                Ok(bytes) => {
                    assert_ne!(bytes, b"{\"secret\": 1}");
                    reads += 1;
                }
                Err(error) => refusals += u32::from(error.unsafe_link().is_some()),
            }
            writes += u32::from(replace(&path, format!("{writes}").as_bytes()).is_ok());
        }
        drop(stop);
        assert_eq!(scratch.read("root/secret").unwrap(), "{\"secret\": 1}");
    }
    assert_eq!(fs::read_dir(scratch.join("root")).unwrap().count(), 2);
}

#[test]
fn a_directory_behind_a_link_of_another_user_is_left_alone() {
    if !is_root() {
        return;
    }
    let tree_of = |_: &str| Tree::default();
    let nothing = Folders { names: Vec::new(), tree_of: &tree_of };
    let scratch = place();
    for target in ["root/dir", "root/made"] {
        let link = theirs(&scratch, &format!("user/{}", target.replace('/', "-")), target);
        for path in [link.clone(), link.join("below")] {
            assert_names(&MARKER.claim(&path, true).unwrap_err(), &link);
            let dir = OwnedDir { path, marker: MARKER, options: WriteOptions::default() };
            assert_names(&dir.claim(true).unwrap_err(), &link);
            assert_names(&dir.write(&nothing).unwrap_err(), &link);
            assert_names(&dir.holds(&Files::new()).unwrap_err(), &link);
            assert_names(&dir.stage(&Files::new(), true).unwrap_err(), &link);
            assert_names(&dir.preview(true, &nothing, |_| Ok(())).unwrap_err(), &link);
        }
    }
    assert_eq!(fs::read_dir(scratch.join("root/dir")).unwrap().count(), 1);
    assert!(!scratch.join("root/made").exists());
}

#[test]
fn a_config_behind_a_link_of_another_user_is_unreadable_and_not_missing() {
    if !is_root() {
        return;
    }
    let mut record = Record::new();
    record.set(&FieldPath::parse("a").unwrap(), Value::from("1")).unwrap();
    for (format, targets) in [
        (ConfFormat::Text(ConfText::Json), ["root/secret", "root/made"]),
        (ConfFormat::Dir, ["root/dir", "root/made"]),
    ] {
        for target in targets {
            let scratch = place();
            let link = theirs(&scratch, "user/conf", target);
            let mut conf = Conf::new(link.clone(), format);
            assert_names(&conf.load().unwrap_err(), &link);
            assert_names(&conf.store(&record).unwrap_err(), &link);
            let look: Look = conf.last_look().unwrap().again();
            assert_eq!(&look, conf.last_look().unwrap());
            assert_eq!(scratch.join(target).exists(), target != "root/made");
            // A look notices when the link becomes one that is followed.
            chown(scratch.join("user"), Some(0), Some(0)).unwrap();
            lchown(&link, Some(0), Some(0)).unwrap();
            let is_noticed = conf.last_look().unwrap().again() != look;
            assert_eq!(is_noticed, target != "root/made");
            assert_eq!(conf.load().is_ok(), target != "root/made");
            conf.store(&record).unwrap();
            assert!(scratch.join(target).exists());
        }
    }
}

#[test]
fn a_hard_link_that_another_user_made_to_a_file_of_root_is_not_used() {
    if !is_root() {
        return;
    }
    let scratch = place();
    let (secret, link) = (scratch.join("root/secret"), scratch.join("user/conf"));
    fs::hard_link(&secret, &link).unwrap();
    let error = read(&link, 100).unwrap_err();
    let expected = UnsafeLink::Hard { path: link.clone(), owner: 0 };
    assert_eq!(error.unsafe_link(), Some(&expected));
    let in_place = WriteOptions { is_in_place: true, ..WriteOptions::default() };
    assert!(replace_as(&link, b"x", &in_place).unwrap_err().is_permission());
    assert_eq!(fs::metadata(&secret).unwrap().nlink(), 2);
    // A new file takes the name, and the old one stays what it was.
    assert_eq!(replace(&link, b"x").unwrap(), Replaced::Written);
    assert_eq!(scratch.read("root/secret").unwrap(), "{\"secret\": 1}");
    assert_eq!(read(&link, 100).unwrap(), b"x");
    // Files of their own they may link as they like, and so may we.
    chown(&link, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::hard_link(&link, scratch.join("user/again")).unwrap();
    assert_eq!(read(&link, 100).unwrap(), b"x");
    fs::hard_link(&secret, scratch.join("root/again")).unwrap();
    assert_eq!(read(&secret, 100).unwrap(), b"{\"secret\": 1}");
}

#[test]
fn our_own_link_is_followed_in_our_directory_and_not_where_others_may_write() {
    let test = "files::unsafe_links::\
                our_own_link_is_followed_in_our_directory_and_not_where_others_may_write";
    let Some(top) = unprivileged_after(test, |_| {}) else { return };
    let own = top.join("own");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o2775)).unwrap();
    replace(&own.join("file"), b"x").unwrap();
    symlink("file", own.join("link")).unwrap();
    assert_eq!(read(&own.join("link"), 10).unwrap(), b"x");
    // This directory is root's, and everybody may write there, as in /tmp.
    let shared = top.join("link");
    symlink("own/file", &shared).unwrap();
    for error in [read(&shared, 10).unwrap_err(), replace(&shared, b"y").unwrap_err()] {
        let expected = UnsafeLink::AmongOthers { path: shared.clone(), owner: NOBODY };
        assert_eq!(error.unsafe_link(), Some(&expected));
    }
}
