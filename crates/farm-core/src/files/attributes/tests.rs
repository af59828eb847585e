use super::*;
use crate::files::compare_and_swap::{SwapOutcome, compare_and_swap};
use crate::files::file::{Replaced, replace, replace_as};
use crate::files::folder::Folder;
use crate::files::staging::StagedFile;
use crate::files::write_options::{FileMode, WriteOptions};
use farm_harness::Scratch;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const ACL_OF_NEW_FILES: &CStr = c"system.posix_acl_default";

/// An access list: owner, user 12, group, mask, others.
fn acl(permissions: [u8; 5]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    let tags = [(0x01_u16, u32::MAX), (0x02, 12), (0x04, u32::MAX), (0x10, u32::MAX)];
    let tags = tags.into_iter().chain([(0x20, u32::MAX)]);
    for ((tag, id), permissions) in tags.zip(permissions) {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(u16::from(permissions).to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Sets an attribute; false where the file system has none.
#[must_use]
fn set(path: &Path, name: &CStr, value: &[u8]) -> bool {
    match fsetxattr(File::open(path).unwrap(), name, value, XattrFlags::empty()) {
        Ok(()) => true,
        Err(XattrError::OPNOTSUPP) => false,
        Err(e) => panic!("{name:?}: {e}"),
    }
}

fn attributes(path: &Path) -> Attributes {
    Attributes::of(File::open(path).unwrap()).unwrap()
}

/// Mode, access list and all others.
type Facts = (u32, Option<Vec<u8>>, Vec<(CString, Vec<u8>)>);

fn facts(path: &Path) -> Facts {
    let Attributes { stat, acl, mut extended, .. } = attributes(path);
    extended.sort();
    (stat.st_mode & 0o7777, acl, extended)
}

#[test]
fn a_file_keeps_its_access_list_and_attributes_however_it_is_replaced() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "0");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let large = vec![b'x'; 3000];
    if !set(&path, c"user.origin", b"the farm")
        || !set(&path, c"user.large", &large)
        || !set(&path, ACL, &acl([6, 4, 0, 4, 0]))
    {
        return;
    }
    let before = facts(&path);
    assert_eq!((before.0, before.1.as_deref()), (0o640, Some(&acl([6, 4, 0, 4, 0])[..])));
    assert_eq!(before.2.iter().filter(|(name, _)| is_required(name)).count(), 2);

    assert_eq!(replace(&path, b"1").unwrap(), Replaced::Written);
    assert_eq!(facts(&path), before);
    let swapped = compare_and_swap(&path, Some(b"1"), b"2").unwrap();
    assert!(matches!(swapped, SwapOutcome::Done(Some(_))));
    assert_eq!(facts(&path), before);
    let stage = |text: &str, options| {
        StagedFile::write(&path, text.as_bytes().to_vec(), options).unwrap().unwrap()
    };
    stage("3", WriteOptions::default()).install().unwrap();
    assert_eq!(facts(&path), before);
    let mut backup = stage("4", WriteOptions::default()).install_over().unwrap();
    assert_eq!(facts(&path), before);
    backup.put_back().unwrap();
    assert_eq!((facts(&path), fs::read(&path).unwrap()), (before.clone(), b"3".to_vec()));
    // Rewritten, with another mode, and back.
    let mode = Some(FileMode::parse("600").unwrap());
    let in_place = WriteOptions { mode, is_in_place: true, ..WriteOptions::default() };
    let mut backup = stage("5", in_place).install_over().unwrap();
    assert_eq!(facts(&path).0, 0o600);
    backup.put_back().unwrap();
    assert_eq!((facts(&path), fs::read(&path).unwrap()), (before, b"3".to_vec()));
}

#[test]
fn a_wanted_mode_is_the_mask_of_the_access_list() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "old");
    if !set(&path, ACL, &acl([6, 4, 4, 6, 4])) {
        return;
    }
    let mode = Some(FileMode::parse("600").unwrap());
    replace_as(&path, b"new", &WriteOptions { mode, ..WriteOptions::default() }).unwrap();
    assert_eq!(facts(&path).0, 0o600);
    assert_eq!(facts(&path).1, Some(acl([6, 4, 4, 0, 0])));
    assert_eq!(with_mode(&acl([0, 4, 5, 0, 0]), 0o100_754), acl([7, 4, 5, 5, 4]));
    for short in [&b""[..], b"\x02\0", b"\x02\0\0\0\x01\0\0"] {
        assert_eq!(with_mode(short, 0o777), short);
    }
}

#[test]
fn the_access_list_of_the_directory_opens_no_file_that_had_none() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "old");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    if !set(scratch.path(), ACL_OF_NEW_FILES, &acl([7, 7, 7, 7, 0])) {
        return;
    }
    let before = facts(&path);
    assert_eq!(before.1, None);
    replace(&path, b"new").unwrap();
    assert_eq!(facts(&path), before);
    // A new file follows it, as every file does.
    replace(&scratch.join("new"), b"new").unwrap();
    assert!(facts(&scratch.join("new")).1.is_some());
}

#[test]
fn what_belongs_to_the_contents_is_not_copied() {
    for name in ["security.ima", "security.evm", "security.capability", "trusted.overlay.opaque"] {
        assert!(!is_copied(name.as_bytes()), "{name}");
    }
    for name in ["user.a", "system.posix_acl_access", "security.selinux", "trusted.a"] {
        assert!(is_copied(name.as_bytes()), "{name}");
    }
    assert!(is_required(&c"user.a".to_owned()) && !is_required(&c"security.selinux".to_owned()));
}

#[test]
fn attributes_that_are_not_all_known_are_not_given() {
    let scratch = Scratch::new();
    let partial = Attributes { is_partial: true, ..attributes(&scratch.write("conf", "")) };
    let folder = Folder::open(scratch.path()).unwrap();
    let error = folder.stage(b"new", Some(&partial)).unwrap_err();
    assert!(is_not_kept(&error), "{error:?}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    let rewrite = WriteOptions::default();
    folder.rewrite_to_keep(OsStr::new("conf"), b"new", &rewrite, error).unwrap();
    assert_eq!(scratch.read("conf").unwrap(), "new");
}
