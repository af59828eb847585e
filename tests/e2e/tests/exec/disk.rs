//! Full disks, directories without write permission, and mounted files.

use super::fixture::{ExecFixture, RECORDING_CHILD, stop};
use super::processes::is_alive;
use farm_harness::{Tmpfs, Tool, eventually};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

fn must(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

fn closed_directory(fixture: &ExecFixture) -> (PathBuf, impl Fn(u32) + use<>) {
    let dir = fixture.scratch.join("dir");
    fs::create_dir(&dir).unwrap();
    if nix::unistd::geteuid().is_root() {
        must("chown", &["65534:65534", dir.to_str().unwrap()]);
    }
    let at = dir.clone();
    (dir, move |mode| fs::set_permissions(&at, Permissions::from_mode(mode)).unwrap())
}

const CHILD: &str = "echo \"$$ $(cat dir/conf)\" >> starts; exec sleep 1000";

#[test]
fn a_directory_that_is_closed_is_told_once_and_written_once_it_is_open() {
    let mut fixture = ExecFixture::with_conf("a_closed_directory", "a");
    let (_, set_mode) = closed_directory(&fixture);
    let tool = fixture.configure(Tool::unprivileged("zkexec", &fixture.scratch));
    let alert = "echo $ZKEXEC_EVENT >> alerts";
    let args = ["-w", "0", "-m", "dir/conf=/conf", "-a", alert, "-e", CHILD];
    let running = tool.args(args).spawn();
    let (pid, _) = fixture.wait_starts(1);
    set_mode(0o555);
    fixture.zk.set("/conf", "b").unwrap();
    running.wait_log("; trying again");
    fixture.zk.set("/conf", "c").unwrap();
    fixture.wait_file("alerts", "config\n");
    assert!(is_alive(pid) && fixture.scratch.read("dir/conf").unwrap() == "a");
    set_mode(0o755);
    assert_eq!(fixture.wait_starts(2).1, "c");
    let log = stop(running).stderr;
    assert_eq!(log.matches("trying again").count(), 1, "{log}");
    assert_eq!(fixture.names("dir"), ["conf"]);
    fixture.wait_file("alerts", "config\n");
}

#[test]
fn a_directory_that_is_closed_from_the_start_is_a_refusal() {
    let fixture = ExecFixture::with_conf("closed_from_the_start", "a");
    let (_, set_mode) = closed_directory(&fixture);
    set_mode(0o555);
    let tool = fixture.configure(Tool::unprivileged("zkexec", &fixture.scratch));
    tool.args(["-m", "dir/conf=/conf", "-e", CHILD]).run().code(77).stderr_has("dir/conf");
    assert_eq!(fixture.starts(), []);
}

#[test]
fn a_directory_that_is_not_there_is_waited_for() {
    let fixture = ExecFixture::with_conf("not_there", "a");
    let running = fixture.zkexec(&["-m", "dir/conf=/conf", "-e", CHILD]).spawn();
    running.wait_log("dir/conf");
    fs::create_dir(fixture.scratch.join("dir")).unwrap();
    fixture.wait_starts(1);
    stop(running);
}

#[test]
fn a_full_disk_is_told_once_and_caught_up_with() {
    let mut fixture = ExecFixture::with_conf("a_full_disk", "a");
    let tmpfs = Tmpfs::mount(fixture.scratch.join("dir"));
    let child = "echo \"$$ $(wc -c < dir/conf)\" >> starts; exec sleep 1000";
    let args = ["-w", "0", "-m", "dir/conf=/conf", "-e", child];
    let Some(tmpfs) = tmpfs else {
        // Without permission to mount, a file size limit has the same effect, but can't be lifted.
        let running = fixture.by_shell("ulimit -f 64; trap '' XFSZ; exec \"$@\"", &args).spawn();
        fixture.wait_starts(1);
        fixture.zk.set("/conf", "x".repeat(200_000)).unwrap();
        running.wait_log("; trying again");
        assert_eq!(fixture.names("dir"), ["conf"]);
        stop(running);
        return;
    };
    let running = fixture.zkexec(&args).spawn();
    let (pid, _) = fixture.wait_starts(1);
    fixture.zk.set("/conf", "x".repeat(200_000)).unwrap();
    running.wait_log("; trying again");
    assert!(is_alive(pid) && fixture.scratch.read("dir/conf").unwrap() == "a");
    assert_eq!(fixture.names("dir"), ["conf"], "no half of it stays");
    tmpfs.resize("4m");
    assert_eq!(fixture.wait_starts(2).1, "200000");
    let log = stop(running).stderr;
    assert_eq!(log.matches("trying again").count(), 1, "{log}");
}

#[test]
fn a_full_disk_at_the_start_keeps_the_child_waiting_and_no_half_file() {
    let fixture = ExecFixture::with_conf("full_at_the_start", "x".repeat(200_000));
    let tmpfs = Tmpfs::mount(fixture.scratch.join("dir"));
    let child = "echo \"$$ $(wc -c < dir/conf)\" >> starts; exec sleep 1000";
    let args = ["-w", "0", "-m", "dir/conf=/conf", "-e", child];
    let Some(tmpfs) = tmpfs else {
        let running = fixture.by_shell("ulimit -f 64; trap '' XFSZ; exec \"$@\"", &args).spawn();
        running.wait_log("; trying again");
        assert_eq!((fixture.names("dir"), fixture.starts()), (vec![], vec![]));
        drop(running);
        return;
    };
    let running = fixture.zkexec(&args).spawn();
    running.wait_log("; trying again");
    assert_eq!((fixture.names("dir"), fixture.starts()), (vec![], vec![]));
    tmpfs.resize("4m");
    assert_eq!(fixture.wait_starts(1).1, "200000");
    stop(running);
}

#[test]
fn a_mounted_file_is_rewritten_with_a_warning() {
    let mut fixture = ExecFixture::with_conf("a_mounted_file", "a");
    let real = fixture.scratch.write("real", "x".repeat(10_000));
    fixture.scratch.write("conf", "");
    let inode = fs::metadata(&real).unwrap().ino();
    let namespace = if nix::unistd::geteuid().is_root() { "-m" } else { "-Urm" };
    let may_mount = Command::new("unshare")
        .args([namespace, "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .status()
        .is_ok_and(|end| end.success());
    assert!(may_mount, "nothing can be mounted here, not even in a namespace of its own");
    let script = "mount --bind real conf && exec \"$0\" \"$@\"";
    let tool = Tool::program("unshare").args([namespace, "sh", "-c", script]);
    let tool = fixture.configure(tool.arg(Tool::path_of("zkexec")));
    let running = tool.args(["-w", "0", "-m", "conf=/conf", "-e", RECORDING_CHILD]).spawn();
    fixture.wait_starts(1);
    running.wait_log("rewriting it in place");
    for (round, content) in ["longer than before", "b"].into_iter().enumerate() {
        fixture.zk.set("/conf", content).unwrap();
        assert_eq!(fixture.wait_starts(round + 2).1, content);
        eventually("the content", || match fs::read_to_string(&real) {
            Ok(found) if found == content => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
    assert_eq!(fs::metadata(&real).unwrap().ino(), inode);
    assert_eq!(fixture.names(""), ["conf", "real", "starts"]);
    stop(running);
}
