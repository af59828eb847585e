use super::*;
use crate::files::compare_and_swap::compare_and_swap;
use crate::files::constrained;
use crate::files::staging::StagedFile;
use crate::files::write_options::Owner;
use farm_harness::Scratch;
use nix::sys::stat::Mode;
use std::error::Error;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_file_follows_the_umask_and_leaves_nothing_else() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    let plain = scratch.write("plain", "");
    assert_eq!(replace(&path, b"one\n").unwrap(), Replaced::Written);
    assert_eq!(scratch.read("conf").unwrap(), "one\n");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode();
    assert_eq!(mode(&path), mode(&plain));
    assert_eq!(names(scratch.path()), ["conf", "plain"]);
}

#[test]
fn an_existing_file_keeps_its_mode_and_owner() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "old");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).unwrap();
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).unwrap();
    }
    let before = fs::metadata(&path).unwrap();
    assert_eq!(replace(&path, b"new").unwrap(), Replaced::Written);
    let after = fs::metadata(&path).unwrap();
    assert_ne!(before.ino(), after.ino());
    assert_eq!((before.uid(), before.gid()), (after.uid(), after.gid()));
    assert_eq!(before.mode(), after.mode());
}

#[test]
fn equal_bytes_are_not_written() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "same");
    let before = fs::metadata(&path).unwrap();
    assert_eq!(replace(&path, b"same").unwrap(), Replaced::Unchanged);
    let after = fs::metadata(&path).unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
    for other in [&b"sam"[..], b"same", b"", b"same!"] {
        assert_eq!(replace(&path, other).unwrap(), Replaced::Written);
        assert_eq!(fs::read(&path).unwrap(), other);
    }
}

#[test]
fn links_stay_and_their_targets_are_replaced_or_made() {
    let scratch = Scratch::new();
    scratch.write("deep/target", "old");
    symlink("deep/target", scratch.join("link")).unwrap();
    symlink("link", scratch.join("second")).unwrap();
    symlink("deep/new", scratch.join("dangling")).unwrap();
    symlink("loop", scratch.join("loop")).unwrap();
    replace(&scratch.join("second"), b"new").unwrap();
    replace(&scratch.join("dangling"), b"made").unwrap();
    assert_eq!(scratch.read("deep/target").unwrap(), "new");
    assert_eq!(scratch.read("deep/new").unwrap(), "made");
    assert!(fs::symlink_metadata(scratch.join("second")).unwrap().is_symlink());
    assert!(fs::symlink_metadata(scratch.join("dangling")).unwrap().is_symlink());
    assert_eq!(names(&scratch.join("deep")), ["new", "target"]);
    let error = replace(&scratch.join("loop"), b"x").unwrap_err();
    assert!(matches!(error.fault, Fault::LinkLoop), "{error}");
    assert_eq!(read(&scratch.join("second"), 10).unwrap(), b"new");
}

#[test]
fn what_is_no_regular_file_is_neither_read_nor_written() {
    let scratch = Scratch::new();
    nix::unistd::mkfifo(&scratch.join("fifo"), Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(scratch.join("socket")).unwrap();
    fs::create_dir(scratch.join("folder")).unwrap();
    symlink("/dev/zero", scratch.join("device")).unwrap();
    symlink("/dev/stdin", scratch.join("stdin")).unwrap();
    symlink("/proc/self/fd/2", scratch.join("stderr")).unwrap();
    for name in ["fifo", "socket", "folder", "device", "stdin", "stderr"] {
        let path = scratch.join(name);
        assert!(matches!(read(&path, 10).unwrap_err().fault, Fault::NotAFile), "{name}");
        assert!(matches!(replace(&path, b"x").unwrap_err().fault, Fault::NotAFile), "{name}");
    }
    assert_eq!(names(scratch.path()).len(), 6);
}

#[test]
fn reading_is_bounded_and_tells_missing_from_unreadable() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "12345");
    assert_eq!(read(&path, 5).unwrap(), b"12345");
    assert!(matches!(read(&path, 4).unwrap_err().fault, Fault::TooLarge { bytes_max: 4 }));
    assert!(read(&scratch.join("none"), 4).unwrap_err().is_missing());
    assert!(read(&scratch.join("none/deeper"), 4).unwrap_err().is_missing());
    assert!(matches!(read(&path.join("below"), 4).unwrap_err().fault, Fault::Io(_)));
}

#[test]
fn a_failure_names_path_and_cause_and_knows_a_lack_of_permission() {
    // Not even root can create files there.
    let forbidden = replace(Path::new("/sys/farm-test"), b"x").unwrap_err();
    assert!(forbidden.is_permission(), "{forbidden}: {:?}", forbidden.source());
    assert_eq!(forbidden.to_string(), "cannot write /sys/farm-test");
    assert!(forbidden.source().is_some());
    let scratch = Scratch::new();
    let missing = replace(&scratch.join("none/conf"), b"x").unwrap_err();
    assert!(!missing.is_permission());
}

#[test]
fn a_closed_directory_leaves_the_old_file_alone() {
    let test = "files::file::tests::a_closed_directory_leaves_the_old_file_alone";
    let Some(top) = constrained::unprivileged(test) else { return };
    let folder = top.join("closed");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("conf");
    replace(&path, b"old").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let error = replace(&path, b"new").unwrap_err();
    assert!(error.is_permission(), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(&folder), ["conf"]);

    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(replace(&path, b"new").unwrap(), Replaced::Written);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    assert!(read(&path, 10).unwrap_err().is_permission());
    // We may not read it, but we may replace it.
    assert_eq!(replace(&path, b"newer").unwrap(), Replaced::Written);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0);
    fs::remove_dir_all(&folder).unwrap();
}

/// Owner, group and mode.
fn facts(path: &Path) -> (u32, u32, u32) {
    let about = fs::metadata(path).unwrap();
    (about.uid(), about.gid(), about.mode() & 0o7777)
}

#[test]
fn a_file_that_cannot_keep_its_owner_is_rewritten_or_left_alone() {
    let test = "files::file::tests::a_file_that_cannot_keep_its_owner_is_rewritten_or_left_alone";
    // Its name, owner, group, mode, and whether we may write it.
    let files = [
        ("group", constrained::NOBODY, 33, 0o640, true),
        ("owner", 1234, constrained::NOBODY, 0o664, true),
        ("both", 1234, 33, 0o646, true),
        ("closed", 1234, 33, 0o644, false),
        ("read-only", constrained::NOBODY, 33, 0o440, false),
    ];
    let prepare = |top: &Path| {
        fs::create_dir(top.join("files")).unwrap();
        fs::set_permissions(top.join("files"), fs::Permissions::from_mode(0o777)).unwrap();
        for (name, owner, group, mode, _) in files {
            let path = top.join("files").join(name);
            replace(&path, b"old").unwrap();
            std::os::unix::fs::chown(&path, Some(owner), Some(group)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    let Some(top) = constrained::unprivileged_after(test, prepare) else { return };
    let folder = top.join("files");
    for (name, owner, group, mode, is_writable) in files {
        let path = folder.join(name);
        let inode = fs::metadata(&path).unwrap().ino();
        let outcome = replace(&path, b"new");
        if is_writable {
            assert_eq!(outcome.unwrap(), Replaced::Written, "{name}");
            assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "{name}");
        } else {
            let error = outcome.unwrap_err();
            assert!(error.is_permission(), "{name}: {error:?}");
            let why = error.source().unwrap().to_string();
            assert!(why.starts_with("a new file cannot have its owner"), "{name}: {why}");
        }
        assert_eq!(fs::read(&path).unwrap(), if is_writable { b"new" } else { b"old" }, "{name}");
        assert_eq!(facts(&path), (owner, group, mode), "{name}");
        // One that others edit, too: with the bytes that they are expected to be.
        let swapped = compare_and_swap(&path, Some(&fs::read(&path).unwrap()), b"newer");
        assert_eq!(swapped.is_ok(), is_writable, "{name}: {swapped:?}");
        assert_eq!(facts(&path), (owner, group, mode), "{name}");
        // Staged, installed and put back.
        let staged = StagedFile::write(&path, b"newest".to_vec(), WriteOptions::default());
        if is_writable {
            let staged = staged.unwrap().unwrap();
            assert_eq!(fs::read(staged.path()).unwrap(), b"newest");
            let mut backup = staged.install_over().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"newest", "{name}");
            backup.put_back().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"newer", "{name}");
            assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "{name}");
        } else {
            assert!(staged.unwrap_err().is_permission(), "{name}");
        }
        assert_eq!(facts(&path), (owner, group, mode), "{name}");
    }
    // Another group that we can't give, when asked: the file stays as it is.
    let owner = Some(Owner::parse(":33").unwrap());
    let path = folder.join("ours");
    replace(&path, b"old").unwrap();
    let options = WriteOptions { owner, ..WriteOptions::default() };
    assert!(replace_as(&path, b"new", &options).unwrap_err().is_permission());
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(&folder).len(), files.len() + 1);
}

#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    let test = "files::file::tests::a_full_disk_leaves_the_old_file_and_nothing_else";
    let Some(top) = constrained::without_room(test) else { return };
    let folder = top.join("full");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("conf");
    replace(&path, b"old").unwrap();
    let error = replace(&path, &vec![b'x'; 1 << 20]).unwrap_err();
    assert!(!error.is_permission(), "{error}");
    assert!(fs::read(&path).unwrap() == b"old");
    assert_eq!(names(&folder), ["conf"]);
    // The old file stays too if it has to be rewritten in location.
    let location = FileLocation::of(&path).unwrap();
    location
        .folder
        .rewrite(&location.name, &vec![b'x'; 1 << 20], &WriteOptions::default())
        .unwrap_err();
    assert!(fs::read(&path).unwrap() == b"old");
    assert_eq!(replace(&path, b"new").unwrap(), Replaced::Written);
}

#[test]
fn rewriting_in_place_keeps_the_file_and_cuts_its_end() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "a longer text than the new one");
    let inode = fs::metadata(&path).unwrap().ino();
    let location = FileLocation::of(&path).unwrap();
    for bytes in [&b"short"[..], b"", b"long again"] {
        location.folder.rewrite(&location.name, bytes, &WriteOptions::default()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    assert!(needs_rewrite(Errno::EBUSY) && needs_rewrite(Errno::EXDEV));
}

#[test]
fn a_reader_never_sees_a_part() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "a".repeat(100_000));
    let reading = path.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reader = crate::engine::Worker::start("reader", move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let text = fs::read(&reading).unwrap();
            assert_eq!(text.len(), 100_000);
            assert!(text.iter().all(|byte| *byte == text[0]));
        }
    })
    .unwrap();
    for round in 0..200_u8 {
        replace(&path, &vec![b'a' + round % 26; 100_000]).unwrap();
    }
    // The reader is still alive, so none of its assertions failed.
    stop.send(()).unwrap();
    drop(reader);
}
