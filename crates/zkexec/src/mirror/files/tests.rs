use super::*;
use farm_core::cli::Failure;
use farm_core::farm::rollout::Version;
use farm_harness::Scratch;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

impl Staged {
    /// Whether there is nothing to install.
    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl Backups {
    /// Whether there is nothing to put back.
    fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }
}

fn content_of(mirrored: Vec<Mirrored>) -> Content {
    Content::of(mirrored, Version::of([]))
}

fn mirrors(scratch: &Scratch, specs: &[&str]) -> Files {
    let top = scratch.path().display();
    Files::new(specs.iter().map(|spec| format!("{top}/{spec}").parse().unwrap()).collect())
}

fn bytes(bytes: impl AsRef<[u8]>) -> Mirrored {
    Mirrored::Bytes(bytes.as_ref().into())
}

fn tree(pairs: &[(&str, &str)]) -> Mirrored {
    let leaf = |(path, text): &(&str, &str)| ((*path).to_owned(), Arc::from(text.as_bytes()));
    Mirrored::Tree(Arc::new(pairs.iter().map(leaf).collect()))
}

fn install(files: &Files, mirrored: Vec<Mirrored>) -> Backups {
    let content = content_of(mirrored);
    let staged = files.stage(&content).unwrap();
    assert_eq!(staged.is_empty(), files.matches(&content).unwrap());
    let backups = files.install(staged).unwrap();
    assert!(files.matches(&content).unwrap());
    backups
}

/// All files below with their contents and inodes, hidden ones too.
fn listing(path: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut left = vec![path.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let at = entry.unwrap().path();
            if at.is_dir() {
                left.push(at);
            } else {
                let text = String::from_utf8_lossy(&fs::read(&at).unwrap()).into_owned();
                let name = at.strip_prefix(path).unwrap().display().to_string();
                let inode = fs::metadata(&at).unwrap().ino();
                all.push(if name.ends_with(".zkexec") {
                    name
                } else {
                    format!("{name}={text} {inode}")
                });
            }
        }
    }
    all.sort();
    all
}

fn without_inodes(path: &Path) -> Vec<String> {
    listing(path).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn any_bytes_are_written_exactly() {
    let scratch = Scratch::new();
    let files = mirrors(&scratch, &["conf=/z"]);
    let binary: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    for content in [&b""[..], b"\0", b"\xff\xfe\n\r\n", b"no newline", &binary] {
        drop(install(&files, vec![bytes(content)]));
        assert!(fs::read(scratch.join("conf")).unwrap() == content);
    }
    assert_eq!(listing(scratch.path()).len(), 1);
}

#[test]
fn what_is_not_there_leaves_the_file_as_it_is() {
    let scratch = Scratch::new();
    scratch.write("a", "kept");
    let files = mirrors(&scratch, &["a=/a,optional", "b=/b,optional", "t/=/t/,optional"]);
    let backups = install(&files, vec![Mirrored::Absent, Mirrored::Absent, Mirrored::Absent]);
    assert!(backups.is_empty());
    assert_eq!(without_inodes(scratch.path()), ["a=kept"]);
}

#[test]
fn equal_bytes_touch_nothing_and_need_no_check() {
    let scratch = Scratch::new();
    let files = mirrors(&scratch, &["a=/a,check=false", "t/=/t/,check=false"]);
    drop(install(&files, vec![bytes("1"), tree(&[("x", "2")])]));
    let before = listing(scratch.path());
    let staged = files.stage(&content_of(vec![bytes("1"), tree(&[("x", "2")])])).unwrap();
    assert_eq!((staged.is_empty(), staged.checks().unwrap()), (true, vec![]));
    assert!(files.install(staged).unwrap().is_empty());
    assert_eq!(listing(scratch.path()), before);
}

#[test]
fn files_that_differ_do_not_match() {
    let scratch = Scratch::new();
    let files = mirrors(&scratch, &["a=/a", "t/=/t/"]);
    let content = content_of(vec![bytes("1"), tree(&[("x", "2")])]);
    assert!(!files.matches(&content).unwrap());
    drop(install(&files, content.mirrored().to_vec()));
    for (path, other) in [("a", "2"), ("a", "12"), ("a", ""), ("t/x", "3"), ("t/y", "")] {
        let old = scratch.read(path);
        scratch.write(path, other);
        assert!(!files.matches(&content).unwrap(), "{path}");
        match old {
            Ok(old) => drop(scratch.write(path, old)),
            Err(_) => fs::remove_file(scratch.join(path)).unwrap(),
        }
        assert!(files.matches(&content).unwrap());
    }
}

#[test]
fn everything_comes_back_exactly_as_it_was() {
    let scratch = Scratch::new();
    scratch.write("old", "old");
    fs::set_permissions(scratch.join("old"), fs::Permissions::from_mode(0o640)).unwrap();
    let files = mirrors(&scratch, &["old=/a,mode=600", "new=/b", "t/=/t/", "same=/c"]);
    drop(install(&mirrors(&scratch, &["same=/c"]), vec![bytes("same")]));
    drop(install(&mirrors(&scratch, &["t/=/t/"]), vec![tree(&[("x", "1"), ("y/z", "2")])]));
    let before = listing(scratch.path());
    let content = vec![bytes("A"), bytes("B"), tree(&[("x/new", "3")]), bytes("same")];
    let mut backups = install(&files, content.clone());
    let expected = ["new=B", "old=A", "same=same", "t/.zkexec", "t/x/new=3"];
    let visible = |line: &String| !line.contains(".zk-");
    let names = without_inodes(scratch.path()).into_iter().filter(visible).collect::<Vec<_>>();
    assert_eq!(names, expected);
    backups.put_back().unwrap();
    assert!(backups.is_empty());
    drop(backups);
    assert_eq!(listing(scratch.path()), before);
    let mode = fs::metadata(scratch.join("old")).unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o640);

    // Two installations are undone at once.
    let mut first = install(&files, content);
    first.absorb(install(&files, vec![bytes("AA"), bytes("B"), tree(&[]), bytes("other")]));
    first.put_back().unwrap();
    drop(first);
    assert_eq!(listing(scratch.path()), before);
}

#[test]
fn dropped_staging_leaves_nothing() {
    let scratch = Scratch::new();
    let files = mirrors(&scratch, &["a=/a", "t/=/t/"]);
    drop(install(&files, vec![bytes("1"), tree(&[("x", "1")])]));
    let staged = files.stage(&content_of(vec![bytes("2"), tree(&[("x", "2")])])).unwrap();
    assert_eq!(staged.locals().count(), 2);
    drop(staged);
    assert_eq!(without_inodes(scratch.path()), ["a=1", "t/.zkexec", "t/x=1"]);
    drop(install(&files, vec![bytes("3"), tree(&[("x", "3")])]));
    assert_eq!(without_inodes(scratch.path()), ["a=3", "t/.zkexec", "t/x=3"]);
}

#[test]
fn a_failure_in_the_middle_leaves_all_files_as_they_were() {
    let scratch = Scratch::new();
    scratch.write("c", "c");
    let files = mirrors(&scratch, &["a=/a", "t/=/t/", "n=/n", "c=/c", "z=/z"]);
    drop(install(&mirrors(&scratch, &["a=/a"]), vec![bytes("1")]));
    drop(install(&mirrors(&scratch, &["t/=/t/"]), vec![tree(&[("x", "1")])]));
    let content = vec![bytes("2"), tree(&[("y", "2")]), bytes("2"), bytes("2"), bytes("2")];
    let staged = files.stage(&content_of(content)).unwrap();
    // A file becomes a directory before the installation.
    fs::remove_file(scratch.join("c")).unwrap();
    fs::create_dir(scratch.join("c")).unwrap();
    let before: Vec<_> =
        listing(scratch.path()).into_iter().filter(|line| !line.contains(".zk-")).collect();
    let error = files.install(staged).unwrap_err();
    assert_eq!(error.exit(), Exit::Configuration);
    assert_eq!(listing(scratch.path()), before);
}

#[test]
fn what_cannot_be_staged_leaves_nothing_staged() {
    let scratch = Scratch::new();
    scratch.write("foreign/file", "x");
    let top = scratch.path().display();
    for (spec, content, exit, reason, hint) in [
        (
            "none/b=/b",
            bytes("1"),
            Exit::CannotWrite,
            "none/b: No such file",
            "none must exist first",
        ),
        ("a/b=/b", bytes("1"), Exit::CannotWrite, "a/b: Not a directory", ""),
        ("foreign=/b", bytes("1"), Exit::Configuration, "not a regular file", ""),
        ("foreign/=/b/", tree(&[]), Exit::Configuration, "no file .zkexec", "foreign/.zkexec"),
        ("a/=/b/", tree(&[]), Exit::Configuration, "is not a directory", ""),
        ("none/t/=/b/", tree(&[]), Exit::CannotWrite, "none/t: No such", "none must exist"),
    ] {
        let files = mirrors(&scratch, &["a=/a", spec]);
        drop(install(&mirrors(&scratch, &["a=/a"]), vec![bytes("old")]));
        let before = listing(scratch.path());
        let error = files.stage(&content_of(vec![bytes("new"), content])).unwrap_err();
        assert_eq!(error.exit(), exit, "{spec}: {error}");
        let failure = Failure::from(error).render("zkexec");
        assert!(failure.contains(reason) && failure.contains(hint), "{spec}: {failure}");
        assert!(failure.contains(&top.to_string()), "{failure}");
        assert_eq!(listing(scratch.path()), before, "{spec}");
    }
}

#[test]
fn a_foreign_directory_is_refused_before_anything_is_done() {
    let scratch = Scratch::new();
    scratch.write("foreign/file", "x");
    let files = mirrors(&scratch, &["a=/a", "new/=/n/", "foreign/=/f/"]);
    let error = files.claim().unwrap_err();
    assert!(error.is_permanent(), "{error}");
    assert_eq!(without_inodes(scratch.path()), ["foreign/file=x"]);
    // The hint suggests this file.
    scratch.write("foreign/.zkexec", "");
    files.claim().unwrap();
    assert!(!scratch.join("new").exists());
}

#[test]
fn what_a_killed_run_left_is_gone_before_the_next_one_begins() {
    let scratch = Scratch::new();
    let files = mirrors(&scratch, &["conf/a=/a", "t/=/t/", "none/b=/b"]);
    scratch.write("conf/a", "1");
    scratch.write("conf/.zk-0123456789abcdef.lock", "");
    scratch.write("conf/.zk-0123456789abcdef.old", "secret");
    scratch.write("t/.zkexec", "");
    scratch.write("t/.zk-0123456789abcdef.lock", "");
    scratch.write("t/.zk-0123456789abcdef.new/x", "secret");
    files.claim().unwrap();
    assert_eq!(without_inodes(scratch.path()), ["conf/a=1", "t/.zkexec"]);
}

#[test]
fn a_check_sees_the_new_bytes_and_its_own_name_is_one_word() {
    let scratch = Scratch::new();
    let name = "it's $(touch pwned) `x`";
    fs::create_dir(scratch.join(name)).unwrap();
    let file =
        format!("{name}/conf=/z/a,check=test \"$(cat {{}})\" = new && test {{}} = \"$ZK_FILE\"");
    let whole = "t/=/t/,check=test \"$ZK_PATH\" = /t && cat {}/kept {}/d/new";
    let files = mirrors(&scratch, &[&file, whole, "plain=/p"]);
    let content = vec![bytes("old"), tree(&[("kept", "1"), ("d/new", "1")]), bytes("1")];
    drop(install(&files, content));
    let content = vec![bytes("new"), tree(&[("kept", "1"), ("d/new", "2")]), bytes("2")];
    let staged = files.stage(&content_of(content)).unwrap();
    let checks = staged.checks().unwrap();
    assert_eq!(checks.len(), 2);
    for (check, output) in checks.iter().zip(["", "12"]) {
        let shell = Command::new("sh")
            .args(["-c", &check.command])
            .envs(check.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(scratch.path())
            .output()
            .unwrap();
        assert!(shell.status.success(), "{check:?} {shell:?}");
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), output);
    }
    assert!(!scratch.join("pwned").exists());
    assert_eq!(checks[1].local, scratch.join("t"));
    // The file is unchanged until the installation.
    assert_eq!(fs::read(scratch.join(name).join("conf")).unwrap(), b"old");
}
