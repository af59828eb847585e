//! Tests under constraints: without privileges, without room for files, with mounts of
//! their own.
//!
//! Such a test runs itself again, alone, in a process with the constraint.

use farm_harness::Scratch;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const DIR: &str = "FARM_TEST_CONSTRAINED_DIR";
const MOUNTS: &str = "FARM_TEST_MOUNTS";
/// The user and group `nobody`.
pub(crate) const NOBODY: u32 = 65534;

/// Runs `test`, which must be the caller, as a user without privileges.
///
/// Returns a directory that this user can write to, or `None` in the outer process,
/// which has nothing else to do.
pub(crate) fn unprivileged(test: &str) -> Option<PathBuf> {
    rerun(test, drop_privileges)
}

/// As [`unprivileged`], in a directory that root has prepared; without root there is no
/// such test.
pub(crate) fn unprivileged_after(test: &str, prepare: impl FnOnce(&Path)) -> Option<PathBuf> {
    if !nix::unistd::geteuid().is_root() && std::env::var_os(DIR).is_none() {
        return None;
    }
    rerun(test, |command, scratch| {
        prepare(scratch.path());
        drop_privileges(command, scratch);
    })
}

fn drop_privileges(command: &mut Command, scratch: &Scratch) {
    if nix::unistd::geteuid().is_root() {
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(scratch.path(), open).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Runs `test`, which must be the caller, where no file can grow beyond a few KiB.
///
/// As on a full disk, a write stops in the middle and fails, but for every user and on
/// every machine.
pub(crate) fn without_room(test: &str) -> Option<PathBuf> {
    rerun(test, |command, _| {
        let inner = std::mem::replace(command, Command::new("sh"));
        command.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    })
}

/// Runs `test`, which must be the caller, in a mount namespace of its own, and tells
/// whether it may mount there.
pub(crate) fn with_own_mounts(test: &str) -> Option<(PathBuf, bool)> {
    // With -Ur any other user is root in the namespace.
    let namespace = if nix::unistd::geteuid().is_root() { "-m" } else { "-Urm" };
    let inner = rerun(test, |command, _| {
        let try_it = [namespace, "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
        if Command::new("unshare").args(try_it).status().is_ok_and(|end| end.success()) {
            let inner = std::mem::replace(command, Command::new("unshare"));
            command.arg(namespace).arg(inner.get_program()).args(inner.get_args());
            command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command.env(MOUNTS, "");
        }
    });
    inner.map(|path| (path, std::env::var_os(MOUNTS).is_some()))
}

fn rerun(test: &str, constrain: impl FnOnce(&mut Command, &Scratch)) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(DIR) {
        return Some(path.into());
    }
    let scratch = Scratch::new();
    // The test program may be in a directory that the other user cannot enter.
    let program = scratch.join("program");
    let own = std::env::current_exe().unwrap();
    std::fs::hard_link(&own, &program)
        .or_else(|_| std::fs::copy(&own, &program).map(drop))
        .unwrap();
    let mut command = Command::new(&program);
    command.args(["--exact", test, "--nocapture"]).env(DIR, scratch.path());
    constrain(&mut command, &scratch);
    let output = command.output().unwrap();
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "{test} was not found: {printed}");
    None
}
