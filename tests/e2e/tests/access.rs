//! Credentials and access lists of all tools.

#![expect(clippy::unwrap_used, reason = "what a test sets up either works or fails the test")]

mod acls;
mod links;
mod locked;
mod mistakes;
mod refused;
mod slips;

use farm_harness::{Running, Scratch, Tool};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const USER: &str = "farmer";
/// Unusual enough that it appears in an output only if it leaks.
const PASSWORD: &str = "s3cr3t:pass word#";

/// A file of credentials that only its owner can read.
fn auth_file(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.write(name, text);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

fn good_auth(scratch: &Scratch) -> PathBuf {
    let text = format!("# ours\n\ndigest:other:one\ndigest:{USER}:{PASSWORD}\n");
    auth_file(scratch, "auth", &text)
}

/// All tools, each with arguments that make it read the farm `/db`.
fn readers(scratch: &Scratch) -> [Tool; 5] {
    let conf = scratch.write("host.json", r#"{"a":"1"}"#);
    [
        Tool::new("zkjoin").args(["--name", "host", "/db"]).arg(conf),
        Tool::new("zkexport").args(["/db", "daemon.json"]).cwd(scratch.path()),
        Tool::new("zkexport").args(["--once", "/db", "once.json"]).cwd(scratch.path()),
        Tool::new("zkctl").args(["ls", "/db"]),
        Tool::new("zkctl").args(["set", "--create", "/db/new", "a", "1"]),
    ]
}

/// Asserts that neither the log nor `/proc` shows the password.
#[track_caller]
fn assert_keeps_secret(running: &Running) {
    for name in ["cmdline", "environ"] {
        let path = format!("/proc/{}/{name}", running.pid());
        let seen = fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&seen).contains(PASSWORD), "{path}");
    }
    assert_no_secret(&running.stderr());
}

#[track_caller]
fn assert_no_secret(text: &str) {
    assert!(!text.contains(PASSWORD), "{text}");
    // Nor as a list of byte values.
    let bytes = format!("{:?}", PASSWORD.as_bytes());
    assert!(!text.contains(bytes.trim_matches(['[', ']'])), "{text}");
}
