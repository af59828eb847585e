//! Full disks, missing permissions, links and mounts.

use super::*;
use farm_harness::Tmpfs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[track_caller]
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// `zkexport` as a user to whom permissions apply.
fn unprivileged(fixture: &ExportFixture, args: &[&str]) -> Tool {
    Tool::unprivileged("zkexport", &fixture.scratch)
        .args(["/services/db"])
        .args(args)
        .env("ZKHOST", fixture.chroot.connect_string())
        .cwd(fixture.scratch.path())
}

/// Makes the farm too large for the disk, waits for the error, makes room, and waits until
/// the file is current.
fn a_disk_that_fills_up(
    mut fixture: ExportFixture,
    running: Running,
    make_room: impl FnOnce(&Running),
) {
    let (disk, file) = (fixture.scratch.join("disk"), fixture.scratch.join("disk/db.json"));
    let old = fs::read_to_string(&file).unwrap();
    fixture.host("1.2.3.4", &json!({"large": "x".repeat(200_000)}));
    running.wait_log("the file stays as it is, trying again: cannot write disk/db.json: ");
    fixture.host("1.2.3.5", &json!({"n": 1}));
    holds_for(QUIET_TIME, "the old file is whole", || match fs::read_to_string(&file) {
        Ok(text) if text == old => Ok(()),
        other => Err(format!("{:?}", other.map(|text| text.len()))),
    });
    eventually("no other file", || match names(&disk) {
        names if names == ["db.json"] => Ok(()),
        names => Err(format!("{names:?}")),
    });
    make_room(&running);
    running.wait_log("the file can be written again; file=disk/db.json");
    let seen: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(seen["1.2.3.4"]["large"].as_str().map(str::len), Some(200_000));
    assert_eq!(seen["1.2.3.5"], json!({"n": 1}));
    assert_eq!(names(&disk), ["db.json"]);
    let log = stop(running);
    assert_eq!(log.matches("the file stays as it is").count(), 1, "{log}");
}

/// Renames the directory `app`, and makes another one.
fn replace_app(fixture: &ExportFixture) {
    fs::rename(fixture.scratch.join("app"), fixture.scratch.join("app.old")).unwrap();
    fs::create_dir_all(fixture.scratch.join("app/etc")).unwrap();
}

#[test]
fn a_path_that_leads_elsewhere_gets_the_file_there_with_the_next_change_or_hup() {
    for conf in ["app/etc/db.json", "app/etc/hosts"] {
        let args: &[&str] = if conf.ends_with("json") { &[conf] } else { &[conf, "-f", "dir"] };
        let mut fixture = ExportFixture::with_farm("leads_elsewhere");
        fs::create_dir_all(fixture.scratch.join("app/etc")).unwrap();
        let mut running = fixture.start(args);
        let about = if conf.ends_with("json") { "" } else { "/1.2.3.4/n" };
        let text = |fixture: &ExportFixture, app: &str| {
            fixture.scratch.read(format!("{}{about}", conf.replacen("app", app, 1)))
        };
        for (n, is_hup) in [("one", false), ("two", true)] {
            fixture.host("1.2.3.4", &json!({"n": n}));
            let wait = |what: &str| {
                eventually(what, || {
                    let text = text(&fixture, "app")?;
                    if text.contains(n) { Ok(()) } else { Err(text) }
                });
            };
            wait("the first place");
            let old = text(&fixture, "app").unwrap();
            replace_app(&fixture);
            if is_hup {
                running.signal(Signal::SIGHUP);
                wait("the new place");
            } else {
                fixture.host("1.2.3.4", &json!({"n": "another"}));
                fixture.wait_for_text_with(&format!("{conf}{about}"), "another");
            }
            assert_eq!(text(&fixture, "app.old").unwrap(), old, "the old place is left alone");
            fs::remove_dir_all(fixture.scratch.join("app.old")).unwrap();
        }
        stop(running);
    }
}

#[test]
fn what_was_checked_is_not_installed_in_a_directory_that_was_replaced_meanwhile() {
    let mut fixture = ExportFixture::with_farm("replaced_meanwhile");
    fs::create_dir_all(fixture.scratch.join("app/etc")).unwrap();
    let check = "grep -q slow $ZK_FILE || exit 0; echo >> runs; while [ ! -e go ]; do :; done";
    let running = fixture.start(&["app/etc/db.json", "--check-cmd", check]);
    let old = fixture.scratch.read("app/etc/db.json").unwrap();
    fixture.host("1.2.3.4", &json!({"x": "slow"}));
    fixture.wait_for_text("runs", "\n");
    replace_app(&fixture);
    fixture.scratch.write("go", "");
    running.wait_log("its directory was replaced meanwhile");
    running.wait_log("the file can be written again; file=app/etc/db.json");
    fixture.wait_for_text_with("app/etc/db.json", "slow");
    assert_eq!(fixture.scratch.read("app.old/etc/db.json").unwrap(), old);
    assert_eq!(names(&fixture.scratch.join("app.old/etc")), ["db.json"]);
    stop(running);
}

#[test]
fn a_full_disk_leaves_the_old_file_and_is_caught_up() {
    let fixture = ExportFixture::with_farm("a_full_disk");
    let path = fixture.scratch.join("disk");
    let Some(tmpfs) = Tmpfs::mount(path.clone()) else {
        // Without permission to mount, a file size limit has the same effect.
        drop(fs::remove_dir(path));
        return a_limit_is_a_full_disk(fixture);
    };
    let running = fixture.start(&["disk/db.json"]);
    a_disk_that_fills_up(fixture, running, |_| tmpfs.resize("4m"));
}

#[test]
fn a_full_disk_ends_a_single_run_and_leaves_the_old_file() {
    let mut fixture = ExportFixture::with_farm("a_full_disk_once");
    fs::create_dir(fixture.scratch.join("conf")).unwrap();
    let once = |fixture: &ExportFixture, extra: &[&str]| {
        let limited = "trap '' XFSZ; ulimit -S -f 8; exec \"$0\" \"$@\"";
        let tool = Tool::program("sh").args(["-c", limited]).arg(Tool::path_of("zkexport"));
        let tool = tool.args(["/services/db", "conf/db.json", "--once"]).args(extra);
        tool.env("ZKHOST", fixture.chroot.connect_string()).cwd(fixture.scratch.path()).run()
    };
    once(&fixture, &[]).ok();
    let old = fixture.scratch.read("conf/db.json").unwrap();
    fixture.host("1.2.3.4", &json!({"large": "x".repeat(200_000)}));
    for extra in [&[][..], &["--in-place"], &["--check-cmd", "touch checked"]] {
        once(&fixture, extra)
            .code(73)
            .stderr_has("zkexport: cannot write conf/db.json: File too large");
        assert_eq!(fixture.scratch.read("conf/db.json").unwrap(), old, "{extra:?}");
        assert_eq!(names(&fixture.scratch.join("conf")), ["db.json"], "{extra:?}");
    }
    assert!(!fixture.scratch.join("checked").exists());
}

#[test]
fn a_limit_of_the_file_size_is_like_a_full_disk() {
    a_limit_is_a_full_disk(ExportFixture::with_farm("a_limit_of_the_file_size"));
}

fn a_limit_is_a_full_disk(fixture: ExportFixture) {
    fs::create_dir(fixture.scratch.join("disk")).unwrap();
    let limited = "trap '' XFSZ; ulimit -S -f 8; exec \"$0\" \"$@\"";
    let running = Tool::program("sh")
        .args(["-c", limited])
        .arg(Tool::path_of("zkexport"))
        .args(["/services/db", "disk/db.json"])
        .env("ZKHOST", fixture.chroot.connect_string())
        .cwd(fixture.scratch.path())
        .spawn();
    running.wait_log("the file is current");
    let make_room = |running: &Running| {
        running.set_limit("fsize", "unlimited");
    };
    a_disk_that_fills_up(fixture, running, make_room);
}

#[test]
fn a_directory_that_can_not_be_written_for_a_while_is_caught_up() {
    let mut fixture = ExportFixture::with_farm("a_directory_not_writable");
    let conf = fixture.scratch.join("conf");
    fs::create_dir(&conf).unwrap();
    chmod(&conf, 0o777);
    let running = unprivileged(&fixture, &["conf/db.json", "-c", "echo $ZK_EVENT >> ran"]).spawn();
    running.wait_log("the file is current");
    fixture.wait_for_text("ran", "start\n");
    let old = fixture.scratch.read("conf/db.json").unwrap();
    chmod(&conf, 0o555);
    fixture.host("a", &json!({}));
    running.wait_log(
        "the file stays as it is, trying again: cannot write conf/db.json: Permission denied",
    );
    fixture.host("b", &json!({}));
    holds_for(QUIET_TIME, "the old file stays", || match fixture.scratch.read("conf/db.json") {
        Ok(text) if text == old => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(names(&conf), ["db.json"]);
    chmod(&conf, 0o777);
    running.wait_log("the file can be written again");
    let seen: Value = serde_json::from_str(&fixture.scratch.read("conf/db.json").unwrap()).unwrap();
    assert_eq!(seen.as_object().unwrap().len(), 4);
    fixture.wait_for_text("ran", "start\nchange\n");
    let log = stop(running);
    assert_eq!(log.matches("the file stays as it is").count(), 1, "{log}");
}

#[test]
fn what_can_never_be_written_ends_it_at_start() {
    let fixture = ExportFixture::with_farm("what_can_never_be_written");
    let closed = fixture.scratch.join("closed");
    fs::create_dir(&closed).unwrap();
    chmod(&closed, 0o555);
    let denied = unprivileged(&fixture, &["closed/db.json"]).run();
    denied.code(77).stderr_has("zkexport: cannot write closed/db.json: Permission denied");
    let given_away = unprivileged(&fixture, &["db.json", "--owner", "root"]).run();
    given_away.code(77).stderr_has("zkexport: cannot write db.json: Operation not permitted");
    assert!(!fixture.scratch.join("db.json").exists());
    fixture.scratch.write("dir.json/keep", "");
    fixture.tool(&["-f", "json", "dir.json"]).run().code(78).stderr_has("not a regular file");
    nix::unistd::mkfifo(&fixture.scratch.join("fifo.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for args in [&["fifo.json"][..], &["fifo.json", "--in-place"], &["fifo.json", "-n"]] {
        fixture.tool(args).run().code(78).stderr_has("fifo.json: not a regular file");
    }
    let stderr = fixture.tool(&["-f", "json", "/dev/stderr"]).run();
    stderr.code(78).stderr_has("cannot write /dev/stderr: not a regular file");
    fixture
        .tool(&["away/db.json", "--once"])
        .run()
        .code(73)
        .stderr_has("No such file or directory");
    for name in names(fixture.scratch.path()) {
        assert!(!name.starts_with('.'), "{name}");
    }
}

#[test]
fn a_directory_in_the_place_of_the_file_is_waited_out() {
    let mut fixture = ExportFixture::with_farm("a_directory_in_the_place");
    let running = fixture.start(&["-f", "json", "db.json"]);
    let path = fixture.scratch.join("db.json");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fixture.host("a", &json!({}));
    running.wait_log("trying again: cannot write db.json: not a regular file; file=db.json");
    fs::remove_dir(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fixture.host("b", &json!({}));
    fs::remove_file(&path).unwrap();
    fixture.wait_for("all of it", |file| file.as_object().is_some_and(|hosts| hosts.len() == 4));
    running.wait_log("the file can be written again");
    assert_eq!(names(fixture.scratch.path()), ["db.json"]);
    let log = stop(running);
    assert_eq!(log.matches("the file stays as it is").count(), 1, "{log}");
}

#[test]
fn a_link_stays_a_link_and_its_target_is_replaced() {
    let mut fixture = ExportFixture::with_farm("a_link_stays");
    let real = fixture.scratch.write("real/db.json", "old");
    symlink("real/db.json", fixture.scratch.join("db.json")).unwrap();
    let running = fixture.start(&["db.json"]);
    fixture.host("a", &json!({}));
    fixture.wait_for("the change", |file| file.get("a").is_some());
    let link = fs::symlink_metadata(fixture.scratch.join("db.json")).unwrap();
    assert!(link.file_type().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("\"a\""));
    // A missing target is created again.
    fs::remove_file(&real).unwrap();
    fixture.host("b", &json!({}));
    fixture.wait_for("the new target", |file| file.get("b").is_some());
    stop(running);
    assert_eq!(names(fixture.scratch.path()), ["db.json", "real"]);
    assert_eq!(names(&fixture.scratch.join("real")), ["db.json"]);
}

#[test]
fn a_mounted_file_is_rewritten_with_a_warning() {
    let mut fixture = ExportFixture::with_farm("a_mounted_file");
    let real = fixture.scratch.write("real.json", "x".repeat(10_000));
    fixture.scratch.write("db.json", "");
    let inode = fs::metadata(&real).unwrap().ino();
    // In a mount namespace that ends with the process; without root, in a user namespace, too.
    let namespace = if is_root() { "-m" } else { "-Urm" };
    let script = "mount --bind real.json db.json && exec \"$0\" \"$@\"";
    let may_mount = Command::new("unshare")
        .args([namespace, "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .status()
        .is_ok_and(|end| end.success());
    let (tool, warning) = if may_mount {
        let tool = Tool::program("unshare").args([namespace, "sh", "-c", script]);
        let tool = tool.arg(Tool::path_of("zkexport")).args(["/services/db", "db.json"]);
        (tool, "cannot be replaced, rewriting it in place; file=./db.json")
    } else {
        // Without permission to mount, `--in-place` makes zkexport rewrite the file.
        let tool = Tool::new("zkexport").args(["/services/db", "real.json", "--in-place"]);
        (tool, "the file is current")
    };
    let tool = tool.env("ZKHOST", fixture.chroot.connect_string()).cwd(fixture.scratch.path());
    let running = tool.spawn();
    running.wait_log("the file is current");
    running.wait_log(warning);
    for n in 0..3 {
        fixture.host("a", &json!({"n": n, "filler": "y".repeat(5000 * (3 - n))}));
        eventually("the change in the mounted file", || {
            let text = fs::read_to_string(&real).map_err(|error| error.to_string())?;
            let file: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            if file["a"]["n"] == json!(n) { Ok(()) } else { Err(text) }
        });
    }
    assert_eq!(fs::metadata(&real).unwrap().ino(), inode);
    let log = stop(running);
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert_eq!(names(fixture.scratch.path()), ["db.json", "real.json"]);
}

#[test]
fn the_same_file_is_rewritten_when_asked() {
    let mut fixture = ExportFixture::with_farm("the_same_file");
    let path = fixture.scratch.write("db.json", "old");
    let inode = fs::metadata(&path).unwrap().ino();
    let running = fixture.start(&["db.json", "--in-place", "--check-cmd", "test -s {}"]);
    fixture.host("a", &json!({}));
    fixture.wait_for("the change", |file| file.get("a").is_some());
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    let log = stop(running);
    assert!(!log.contains("rewriting"), "what was asked for is no surprise: {log}");
    assert_eq!(names(fixture.scratch.path()), ["db.json"]);
    fs::remove_file(&path).unwrap();
    fixture.tool(&["db.json", "--in-place", "--once"]).run().ok();
    assert!(path.exists(), "a missing file is made");
}

#[test]
fn a_file_of_another_group_stays_with_it_and_one_that_cannot_is_a_failure() {
    if !is_root() {
        // Only root can give a file to a group that the tool is no member of.
        return;
    }
    let fixture = ExportFixture::with_farm("a_file_of_another_group");
    let path = fixture.scratch.write("db.json", "old");
    let facts = || {
        let about = fs::metadata(&path).unwrap();
        (about.uid(), about.gid(), about.mode() & 0o7777, about.ino())
    };
    let warning = "a new file cannot have its owner, group or attributes, rewriting it in place";
    for check in [&[][..], &["--check-cmd", "test -s {}"]] {
        fixture.scratch.write("db.json", "old");
        std::os::unix::fs::chown(&path, Some(NOBODY), Some(33)).unwrap();
        chmod(&path, 0o640);
        let before = facts();
        let args = [&["db.json", "--once"], check].concat();
        let output = unprivileged(&fixture, &args).run();
        output.ok().stderr_has(&format!("{warning}; file=./db.json"));
        assert_eq!(output.stderr.matches("in place").count(), 1, "{output}");
        assert_eq!(facts(), before);
        assert!(fs::read_to_string(&path).unwrap().contains("1.2.3.4"));

        // A file of somebody else that the tool may not write either.
        fixture.scratch.write("db.json", "old");
        std::os::unix::fs::chown(&path, Some(0), Some(33)).unwrap();
        chmod(&path, 0o644);
        let before = facts();
        let output = unprivileged(&fixture, &args).run();
        output.code(77).stderr_has(
            "cannot write db.json: a new file cannot have its owner, group or attributes, \
             and it cannot be rewritten either: ",
        );
        assert_eq!((facts(), fs::read_to_string(&path).unwrap()), (before, "old".to_owned()));
    }
    assert_eq!(names(fixture.scratch.path()), ["db.json", "zkexport"]);
}

#[test]
fn mode_and_owner_are_kept_or_as_asked() {
    let mut fixture = ExportFixture::with_farm("mode_and_owner");
    let path = fixture.scratch.write("db.json", "old");
    let owner = |path: &Path| fs::metadata(path).map(|stat| (stat.uid(), stat.gid())).unwrap();
    chmod(&path, 0o604);
    if is_root() {
        std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let was = owner(&path);
    let running = fixture.start(&["db.json"]);
    fixture.host("a", &json!({}));
    fixture.wait_for("the change", |file| file.get("a").is_some());
    assert_eq!((mode(&path), owner(&path)), (0o604, was));
    stop(running);
    // The contents are current, but the mode is not.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fixture.tool(&["db.json", "--once", "--mode", "600"]).run().ok();
    assert_eq!((mode(&path), owner(&path)), (0o600, was));
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), modified);
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let wanted = if is_root() { (12345, 54321) } else { own };
    let text = format!("{}:{}", wanted.0, wanted.1);
    for args in [&["new.json"][..], &["db.json"], &["db.json", "--in-place"], &["-f", "dir", "d"]] {
        let args = [args, &["--once", "--mode", "0640", "--owner", &text]].concat();
        fixture.tool(&args).run().ok();
        fixture.host("a", &json!({"n": args.len()}));
    }
    for name in ["new.json", "db.json", "d/1.2.3.4/enabled"] {
        let path = fixture.scratch.join(name);
        assert_eq!((mode(&path), owner(&path)), (0o640, wanted), "{name}");
    }
    let masked = "umask 027; exec \"$0\" \"$@\"";
    let tool = Tool::program("sh").args(["-c", masked]).arg(Tool::path_of("zkexport"));
    let tool = tool.args(["/services/db", "masked.json", "--once"]).cwd(fixture.scratch.path());
    tool.env("ZKHOST", fixture.chroot.connect_string()).run().ok();
    assert_eq!(mode(&fixture.scratch.join("masked.json")), 0o640);
}
