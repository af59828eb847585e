//! Tests in dire straits: without privileges, without room for a file.
//!
//! A test that needs them runs itself again, alone, in a process that has them.

use farm_harness::Scratch;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

const INSIDE: &str = "FARM_TEST_STRAITS";
const MOUNTS: &str = "FARM_TEST_MOUNTS";
const NOBODY: u32 = 65534;

/// Runs `test`, which must be the caller, as a user without privileges.
///
/// The directory belongs to that user. Returns what the inner run is to do; the
/// outer one gets `None` and is done.
pub(crate) fn unprivileged(test: &str) -> Option<PathBuf> {
    within(test, |command, scratch| {
        if nix::unistd::geteuid().is_root() {
            let open = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(scratch.path(), open).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
    })
}

/// Runs `test`, which must be the caller, where no file can grow beyond a few KiB.
///
/// What a full disk does to a write (it stops in the middle and fails), this does
/// for every user and on every machine.
pub(crate) fn without_room(test: &str) -> Option<PathBuf> {
    within(test, |command, _| {
        let inner = std::mem::replace(command, Command::new("sh"));
        command.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    })
}

/// Runs `test`, which must be the caller, in a view of the file system that goes with
/// the process, and tells whether it may mount there.
pub(crate) fn with_own_mounts(test: &str) -> Option<(PathBuf, bool)> {
    // Who is not root is root in it.
    let namespace = if nix::unistd::geteuid().is_root() { "-m" } else { "-Urm" };
    let inner = within(test, |command, _| {
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

fn within(test: &str, confine: impl FnOnce(&mut Command, &Scratch)) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(INSIDE) {
        return Some(path.into());
    }
    let scratch = Scratch::new();
    // The test program may lie where only its builder can go.
    let program = scratch.join("program");
    let own = std::env::current_exe().unwrap();
    std::fs::hard_link(&own, &program)
        .or_else(|_| std::fs::copy(&own, &program).map(drop))
        .unwrap();
    let mut command = Command::new(&program);
    command.args(["--exact", test, "--nocapture"]).env(INSIDE, scratch.path());
    confine(&mut command, &scratch);
    let output = command.output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{test} was not found: {said}");
    None
}
