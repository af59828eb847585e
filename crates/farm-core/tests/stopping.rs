//! A process that is told to stop while it writes.
//!
//! One test, in a process of its own: the stop is that of the process.

#![cfg(feature = "files")]
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use farm_core::codec::dir::{Tree, encode_host};
use farm_core::codec::{ConfFormat, EncodeError, TextFormat, encode_farm};
use farm_core::engine::{ask_for_stop, forget_stop, is_stop_overdue};
use farm_core::files::conf::{Conf, Stored};
use farm_core::files::error::FileError;
use farm_core::files::marker::OwnershipMarker;
use farm_core::files::staging::StagedFile;
use farm_core::files::tree::{Files, Folders, OwnedDir};
use farm_core::files::write_options::WriteOptions;
use farm_core::model::{Farm, HostName, Record, Value};
use farm_harness::{Scratch, eventually};
use std::fs;
use std::path::Path;

const MARKER: OwnershipMarker = OwnershipMarker { name: ".marker", text: b"ours\n" };

fn record() -> Record {
    Record::from_map((0..10).map(|n| (format!("f{n}"), Value::from("x"))).collect())
}

fn tree_of(name: &str) -> Tree {
    encode_host(name, &record()).tree
}

/// The names in a directory, hidden ones too.
fn names(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn is_stop<T>(outcome: Result<T, FileError>) -> bool {
    outcome.is_err_and(|error| error.is_stop())
}

#[test]
fn what_takes_long_ends_between_two_files_and_is_whole_afterwards() {
    let scratch = Scratch::new();
    let path = scratch.join("farm");
    let dir = OwnedDir { path: path.clone(), marker: MARKER, options: WriteOptions::default() };
    dir.claim(false).unwrap();
    let folders = Folders { names: vec!["a", "b"], tree_of: &tree_of };
    let files: Files = [("x".to_owned(), b"1"[..].into())].into();
    let staged_before = dir.stage(&files, false).unwrap().unwrap();
    fs::create_dir(scratch.join("conf")).unwrap();
    let mut conf = Conf::new(scratch.join("conf"), ConfFormat::Dir);
    conf.load().unwrap();
    let large = vec![b'x'; 20 << 20];
    let farm = Farm::from_iter([(HostName::parse("a").unwrap(), record())]);

    ask_for_stop();
    eventually("the stop is overdue", || if is_stop_overdue() { Ok(()) } else { Err("not yet") });
    let before = names(&path);
    assert!(is_stop(dir.write(&folders)));
    assert!(is_stop(dir.preview(false, &folders, |_| Ok(()))));
    assert!(is_stop(dir.stage(&files, true)));
    assert_eq!(names(&path), before);
    assert!(is_stop(conf.store(&record())));
    assert_eq!(names(&scratch.join("conf")), Vec::<String>::new());
    scratch.write("conf/f1", "x");
    assert!(is_stop(conf.load()));
    let file = scratch.join("large");
    assert!(is_stop(StagedFile::write(&file, large.clone(), WriteOptions::default())));
    assert_eq!(names(scratch.path()), ["conf", "farm"]);
    assert!(matches!(encode_farm(TextFormat::Json, &farm), Err(EncodeError::Stopped)));
    // A small file is still written, and an installation is always finished.
    StagedFile::write(&file, b"small".to_vec(), WriteOptions::default()).unwrap().unwrap();
    drop(staged_before.install().unwrap());
    assert_eq!(names(&path), [".marker", "x"]);

    forget_stop();
    dir.write(&folders).unwrap();
    assert_eq!(names(&path), [".marker", "a", "b"]);
    assert_eq!(names(&path.join("b")).len(), 10);
    conf.load().unwrap();
    assert_eq!(conf.store(&record()).unwrap(), Stored::Written);
    assert_eq!(names(&scratch.join("conf")).len(), 10);
    encode_farm(TextFormat::Json, &farm).unwrap();
}
