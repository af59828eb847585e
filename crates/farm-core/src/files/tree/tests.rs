use super::*;
use crate::codec::dir::Tree;
use crate::files::constrained;
use crate::files::error::Fault;
use crate::files::write_options::FileMode;
use farm_harness::Scratch;
use fastrand::Rng;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

const MARKER: OwnershipMarker = OwnershipMarker { name: ".marker", text: b"ours\n" };

fn owned_dir(path: &Path) -> OwnedDir {
    OwnedDir { path: path.to_owned(), marker: MARKER, options: WriteOptions::default() }
}

fn files(pairs: &[(&str, &str)]) -> Files {
    pairs.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().into())).collect()
}

/// All names below, hidden ones too; files with contents, inode and mode.
fn listing(path: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut left = vec![path.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let at = entry.unwrap().path();
            let name = at.strip_prefix(path).unwrap().display().to_string();
            let about = fs::symlink_metadata(&at).unwrap();
            if about.is_dir() {
                all.push(format!("{name}/ {:o}", about.mode()));
                left.push(at);
            } else if about.is_symlink() {
                all.push(format!("{name} -> {}", fs::read_link(&at).unwrap().display()));
            } else {
                let bytes = fs::read(&at).unwrap();
                let bytes = String::from_utf8_lossy(&bytes);
                all.push(format!("{name}={bytes} {} {:o}", about.ino(), about.mode()));
            }
        }
    }
    all.sort();
    all
}

/// Only the files that are not hidden, with contents.
fn plain(path: &Path) -> Vec<String> {
    let files =
        listing(path).into_iter().filter(|line| line.contains('=') && !line.starts_with('.'));
    files.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

fn install(tree: &OwnedDir, wanted: &Files) -> Option<TreeBackup> {
    let staged = tree.stage(wanted, false).unwrap();
    let backup = staged.map(|staged| staged.install().unwrap());
    assert!(tree.holds(wanted).unwrap());
    assert!(tree.stage(wanted, true).unwrap().is_none());
    backup
}

#[test]
fn a_file_whose_name_is_not_utf8_is_removed_and_put_back() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    let tree = owned_dir(&path);
    drop(install(&tree, &files(&[("a", "1")])));
    let odd = path.join(OsStr::from_bytes(b"\xffodd"));
    fs::copy(path.join("a"), &odd).unwrap();
    assert!(!tree.holds(&files(&[("a", "1")])).unwrap());
    let mut backup = install(&tree, &files(&[("a", "1")])).unwrap();
    assert!(!odd.exists());
    backup.put_back().unwrap();
    assert_eq!(fs::read(&odd).unwrap(), b"1");
}

#[test]
fn a_tree_is_written_and_only_what_differs_is_touched() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    let tree = owned_dir(&path);
    let first = files(&[("a", "1"), ("d/b", "2"), ("d/e/c", ""), ("x", "3")]);
    assert!(!tree.holds(&first).unwrap());
    drop(install(&tree, &first));
    assert_eq!(plain(&path), ["a=1", "d/b=2", "d/e/c=", "x=3"]);
    let before = listing(&path);
    let second = files(&[("a", "1"), ("d/b", "other"), ("d/e/c", ""), ("y/z", "4")]);
    drop(install(&tree, &second));
    assert_eq!(plain(&path), ["a=1", "d/b=other", "d/e/c=", "y/z=4"]);
    let untouched: Vec<_> =
        listing(&path).into_iter().filter(|line| before.contains(line)).collect();
    let names: Vec<_> =
        untouched.iter().map(|line| line.split(['=', ' ']).next().unwrap()).collect();
    assert_eq!(names, [".marker", "a", "d/", "d/e/", "d/e/c"]);
    drop(install(&tree, &files(&[])));
    assert_eq!(listing(&path).len(), 1, "but the marker");
}

#[test]
fn a_file_becomes_a_directory_and_back() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    let tree = owned_dir(&path);
    drop(install(&tree, &files(&[("a", "file"), ("b/c/d", "1")])));
    let before = listing(&path);
    let mut backup = install(&tree, &files(&[("a/x/y", "2"), ("b", "file")])).unwrap();
    assert_eq!(plain(&path), ["a/x/y=2", "b=file"]);
    backup.put_back().unwrap();
    drop(backup);
    assert_eq!(listing(&path), before);
}

#[test]
fn an_empty_directory_is_removed_and_put_back() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    let tree = owned_dir(&path);
    drop(install(&tree, &files(&[("a", "1")])));
    fs::create_dir_all(path.join("empty/deep")).unwrap();
    let before = listing(&path);
    assert!(!tree.holds(&files(&[("a", "1")])).unwrap());
    let mut backup = install(&tree, &files(&[("a", "1")])).unwrap();
    assert!(!path.join("empty").exists());
    backup.put_back().unwrap();
    drop(backup);
    assert_eq!(listing(&path), before);
}

#[test]
fn modes_are_kept_given_and_given_back() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    let tree = owned_dir(&path);
    drop(install(&tree, &files(&[("a", "1"), ("d/b", "1")])));
    fs::set_permissions(path.join("a"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(path.join("d"), fs::Permissions::from_mode(0o750)).unwrap();
    let before = listing(&path);
    let mut backup = install(&tree, &files(&[("a", "2")])).unwrap();
    let mode = |name: &str| fs::metadata(path.join(name)).unwrap().mode() & 0o7777;
    assert_eq!(mode("a"), 0o640);
    backup.put_back().unwrap();
    drop(backup);
    assert_eq!(listing(&path), before);
    let options =
        WriteOptions { mode: Some(FileMode::parse("600").unwrap()), ..WriteOptions::default() };
    let strict = OwnedDir { options, ..tree };
    drop(install(&strict, &files(&[("a", "1"), ("d/b", "2"), ("n", "3")])));
    assert_eq!([mode("a"), mode("d/b"), mode("n"), mode("d")], [0o600, 0o600, 0o600, 0o750]);
}

#[test]
fn what_is_staged_is_whole_on_demand_and_leaves_nothing() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    let tree = owned_dir(&path);
    drop(install(&tree, &files(&[("a", "1"), ("d/b", "2")])));
    let before = listing(&path);
    let wanted = files(&[("a", "1"), ("d/b", "3")]);
    let part = tree.stage(&wanted, false).unwrap().unwrap();
    assert_eq!(plain(&part.path()), ["d/b=3"]);
    drop(part);
    let whole = tree.stage(&wanted, true).unwrap().unwrap();
    assert_eq!(plain(&whole.path()), ["a=1", "d/b=3"]);
    assert!(whole.path().is_absolute());
    // The check command may leave files.
    fs::create_dir_all(whole.path().join("cache/deep")).unwrap();
    symlink("/etc", whole.path().join("cache/link")).unwrap();
    drop(whole);
    assert_eq!(listing(&path), before);
    assert!(Path::new("/etc").exists());
}

#[test]
fn somebody_elses_directory_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    scratch.write("etc/passwd", "root");
    let tree = owned_dir(&scratch.join("etc"));
    let before = listing(scratch.path());
    let error = tree.claim(false).unwrap_err().to_string();
    assert!(error.ends_with("etc is not empty and has no file .marker"), "{error}");
    assert!(matches!(tree.stage(&files(&[]), false).unwrap_err().fault, Fault::NotOurs { .. }));
    assert!(!tree.holds(&files(&[("passwd", "root")])).unwrap());
    let file = owned_dir(&scratch.join("etc/passwd"));
    assert!(matches!(file.claim(false).unwrap_err().fault, Fault::NotADirectory));
    let nowhere = owned_dir(&scratch.join("none/conf"));
    assert!(matches!(nowhere.stage(&files(&[]), false).unwrap_err().fault, Fault::Io(_)));
    assert_eq!(listing(scratch.path()), before);
}

#[test]
fn a_tree_whose_directory_was_replaced_is_not_installed_in_the_old_one() {
    let scratch = Scratch::new();
    let tree = owned_dir(&scratch.join("app/conf"));
    fs::create_dir(scratch.join("app")).unwrap();
    drop(install(&tree, &files(&[("a", "old")])));
    let staged = tree.stage(&files(&[("a", "new")]), false).unwrap().unwrap();
    fs::rename(scratch.join("app"), scratch.join("app.old")).unwrap();
    fs::create_dir(scratch.join("app")).unwrap();
    tree.claim(false).unwrap();
    let refused = staged.install().map(drop).unwrap_err();
    assert!(matches!(refused.fault, Fault::Moved), "{refused}");
    assert_eq!(plain(&scratch.join("app.old/conf")), ["a=old"]);
    drop(install(&tree, &files(&[("a", "new")])));
    assert_eq!(plain(&scratch.join("app/conf")), ["a=new"]);
}

#[test]
fn what_a_killed_run_left_is_swept() {
    let scratch = Scratch::new();
    let tree = owned_dir(&scratch.join("conf"));
    tree.claim(false).unwrap();
    scratch.write("conf/.zk-0123456789abcdef.lock", "");
    scratch.write("conf/.zk-0123456789abcdef.new/a/b", "x");
    scratch.write("conf/.zk-0123456789abcde0.lock", "");
    scratch.write("conf/.zk-0123456789abcde0.old/0", "x");
    scratch.write("conf/.zk-0123456789abcde1.new", "x");
    scratch.write("conf/d/e/.zk-0123456789abcde2.new", "x");
    scratch.write("conf/.other", "x");
    tree.claim(false).unwrap();
    let left = listing(&scratch.join("conf"));
    assert_eq!(left.len(), 4, "the mark, .other, and two directories: {left:?}");
}

#[test]
fn nobody_else_can_enter_the_hidden_directories() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    let tree = owned_dir(&path);
    drop(install(&tree, &files(&[("private/a", "1")])));
    // The file has a mode for all, and its directory has not.
    let set = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(path.join("private"), set(0o700)).unwrap();
    let modes = || {
        let lines = listing(&path).into_iter().filter(|line| line.starts_with(".zk-"));
        let tops = lines.filter(|line| line.matches('/').count() == 1 && line.contains("/ "));
        tops.map(|line| line[line.len() - 3..].to_owned()).collect::<Vec<_>>()
    };
    let staged = tree.stage(&files(&[("private/a", "2")]), false).unwrap().unwrap();
    assert_eq!(modes(), ["700"]);
    let backup = staged.install().unwrap();
    assert_eq!(modes(), ["700"]);
    drop(backup);
    assert_eq!(modes(), [] as [&str; 0]);
}

#[test]
fn links_are_never_followed_and_dot_files_stay() {
    let scratch = Scratch::new();
    scratch.write("outside/secret", "s");
    let path = scratch.join("conf");
    let tree = owned_dir(&path);
    tree.claim(false).unwrap();
    scratch.write("conf/old/.keep", "mine");
    scratch.write("conf/old/gone", "x");
    symlink("../outside", path.join("d")).unwrap();
    symlink("../outside/secret", path.join("f")).unwrap();
    symlink("../outside", path.join("unwanted")).unwrap();
    let before = listing(scratch.path());
    let mut backup = install(&tree, &files(&[("d/secret", "new"), ("f", "new")])).unwrap();
    assert_eq!(scratch.read("outside/secret").unwrap(), "s");
    assert_eq!(scratch.read("conf/d/secret").unwrap(), "new");
    assert!(fs::symlink_metadata(path.join("f")).unwrap().is_file());
    assert!(fs::symlink_metadata(path.join("unwanted")).unwrap().is_symlink());
    assert_eq!(scratch.read("conf/old/.keep").unwrap(), "mine");
    assert!(!path.join("old/gone").exists());
    backup.put_back().unwrap();
    drop(backup);
    assert_eq!(listing(scratch.path()), before);
}

#[test]
fn paths_that_lead_elsewhere_do_nothing() {
    let scratch = Scratch::new();
    let tree = owned_dir(&scratch.join("conf"));
    tree.claim(false).unwrap();
    let before = listing(scratch.path());
    let deep = "d/".repeat(64) + "x";
    for path in ["../x", "a/../../x", "", "/x", "a//b", "a/", ".x", "a/.x", ".", "a\0b", &deep] {
        for whole in [false, true] {
            let hostile = files(&[("ok", "1"), (path, "x")]);
            assert!(tree.stage(&hostile, whole).is_err(), "{path:?}");
            assert!(tree.holds(&hostile).is_err(), "{path:?}");
        }
    }
    for pair in [["a", "a/b"], ["a/b", "a/b/c"]] {
        let hostile = files(&[(pair[0], "1"), (pair[1], "2")]);
        assert!(tree.stage(&hostile, false).is_err());
        assert!(tree.holds(&hostile).is_err());
    }
    assert_eq!(listing(scratch.path()), before);
}

#[test]
fn a_failure_in_the_middle_undoes_what_was_done() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    let tree = owned_dir(&path);
    drop(install(&tree, &files(&[("a", "1"), ("b/c", "2"), ("gone", "3"), ("z", "4")])));
    let wanted = files(&[("a", "new"), ("b", "file"), ("m/n", "new"), ("y", "5"), ("z", "new")]);
    let staged = tree.stage(&wanted, false).unwrap().unwrap();
    // The step for this path comes late, and fails.
    scratch.write("conf/y/.mine", "x");
    let before = listing(&path);
    let error = staged.install().unwrap_err();
    assert_eq!(error.path, path.join("y"));
    assert!(matches!(error.fault, Fault::NotAFile), "{error}");
    let mut expected: Vec<_> = before.into_iter().filter(|line| !line.contains(".zk-")).collect();
    expected.sort();
    assert_eq!(listing(&path), expected);
}

#[test]
fn a_full_disk_leaves_the_old_tree_and_nothing_else() {
    let test = "files::tree::tests::a_full_disk_leaves_the_old_tree_and_nothing_else";
    let Some(top) = constrained::without_room(test) else { return };
    let path = top.join("conf");
    let tree = owned_dir(&path);
    drop(install(&tree, &files(&[("a", "1"), ("d/b", "2")])));
    let before = listing(&path);
    let large = "x".repeat(1 << 20);
    let error = tree.stage(&files(&[("a", "new"), ("d/b", &large)]), false).unwrap_err();
    assert!(matches!(error.fault, Fault::Io(_)), "{error}");
    assert_eq!(listing(&path), before);
    drop(install(&tree, &files(&[("a", "new")])));
}

#[test]
fn what_could_not_be_put_back_can_be_tried_again() {
    let test = "files::tree::tests::what_could_not_be_put_back_can_be_tried_again";
    let Some(top) = constrained::unprivileged(test) else { return };
    let path = top.join("conf");
    let tree = owned_dir(&path);
    drop(install(&tree, &files(&[("a", "1"), ("d/b", "2"), ("d/c", "3")])));
    let before = listing(&path);
    let mut backup = install(&tree, &files(&[("a", "4"), ("d/b", "5"), ("d/x", "6")])).unwrap();
    let set = |mode| fs::set_permissions(path.join("d"), fs::Permissions::from_mode(mode)).unwrap();
    set(0o555);
    for _ in 0..2 {
        assert!(backup.put_back().unwrap_err().is_permission());
    }
    set(0o755);
    let mode = |lines: &[String]| lines.iter().find(|line| line.starts_with("d/ ")).cloned();
    backup.put_back().unwrap();
    drop(backup);
    let after = listing(&path);
    set(mode(&before).map_or(0o755, |line| u32::from_str_radix(&line[3..], 8).unwrap() & 0o7777));
    assert_eq!(listing(&path), before, "{after:?}");
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn files_that_cannot_keep_their_owner_are_rewritten_or_left_alone() {
    let test = "files::tree::tests::files_that_cannot_keep_their_owner_are_rewritten_or_left_alone";
    let prepare = |top: &Path| {
        let path = top.join("conf");
        drop(install(&owned_dir(&path), &files(&[("a", "1"), ("d/b", "2"), ("c", "3")])));
        let own = |name: &str, group, mode| {
            let path = path.join(name);
            std::os::unix::fs::chown(&path, Some(constrained::NOBODY), Some(group)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for (name, group, mode) in
            [("", constrained::NOBODY, 0o755), ("d", constrained::NOBODY, 0o755)]
                .into_iter()
                .chain([("a", constrained::NOBODY, 0o640), ("d/b", 33, 0o640), ("c", 33, 0o440)])
        {
            own(name, group, mode);
        }
    };
    let Some(top) = constrained::unprivileged_after(test, prepare) else { return };
    let path = top.join("conf");
    let tree = owned_dir(&path);
    let facts = || {
        let about = fs::metadata(path.join("d/b")).unwrap();
        (about.ino(), about.gid(), about.mode() & 0o7777)
    };
    let (before, all_before) = (facts(), listing(&path));
    let mut backup = install(&tree, &files(&[("a", "4"), ("d/b", "5"), ("c", "3")])).unwrap();
    assert_eq!((plain(&path), facts()), (vec!["a=4".into(), "c=3".into(), "d/b=5".into()], before));
    backup.put_back().unwrap();
    drop(backup);
    assert_eq!(listing(&path), all_before);

    // One that we may not write: no file changes.
    let error = tree.stage(&files(&[("a", "4"), ("d/b", "5"), ("c", "6")]), false).unwrap_err();
    assert!(error.is_permission(), "{error}");
    assert_eq!(listing(&path), all_before);
    // But it can be among those that are only checked.
    let staged =
        tree.stage(&files(&[("a", "4"), ("d/b", "2"), ("c", "3")]), true).unwrap().unwrap();
    assert_eq!(fs::read(staged.path().join("c")).unwrap(), b"3");
    drop(staged);

    let tree_of = |name: &str| {
        let files = [(vec![name.to_owned(), "b".to_owned()], b"7".to_vec())];
        let folders = [vec![name.to_owned()]];
        Tree { files: files.into_iter().collect(), folders: folders.into_iter().collect() }
    };
    let wanted = Folders { names: vec!["d"], tree_of: &tree_of };
    assert_eq!(tree.write(&wanted).unwrap(), Replaced::Written);
    assert_eq!((plain(&path), facts()), (vec!["d/b=7".to_owned()], before));
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn any_tree_can_replace_any_other() {
    let paths = ["a", "b", "a/x", "a/y", "a/x/1", "b/x", "c/d/e", "c/d", "c"];
    let scratch = Scratch::new();
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let path = scratch.join(seed.to_string());
        let tree = owned_dir(&path);
        tree.claim(false).unwrap();
        for step in 0..12 {
            let mut wanted = Files::new();
            for _ in 0..rng.usize(..6) {
                let new = paths[rng.usize(..paths.len())];
                let clashes = |old: &String| {
                    old.starts_with(&format!("{new}/")) || new.starts_with(&format!("{old}/"))
                };
                if !wanted.keys().any(clashes) {
                    wanted.insert(new.to_owned(), rng.u8(..3).to_string().as_bytes().into());
                }
            }
            let before = listing(&path);
            let backup = install(&tree, &wanted);
            let expected: Vec<String> = wanted
                .iter()
                .map(|(name, bytes)| format!("{name}={}", String::from_utf8_lossy(bytes)))
                .collect();
            assert_eq!(plain(&path), expected, "seed {seed} step {step}");
            if let Some(mut backup) = backup
                && rng.bool()
            {
                backup.put_back().unwrap();
                drop(backup);
                assert_eq!(listing(&path), before, "seed {seed} step {step}");
            }
            assert!(!listing(&path).iter().any(|line| line.contains(".zk-")), "seed {seed}");
        }
    }
}
