//! How the config is written, on disks and mounts of all kinds.

use super::stage::{ENTRY, Stage, edit, hostname};
use farm_harness::{Running, Tool, eventually, steadily};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What has been replaced is still there under a hidden name for a moment.
#[track_caller]
fn holds(dir: &Path, wanted: usize) {
    eventually("nothing is left lying about", || {
        match fs::read_dir(dir).map_err(|e| e.to_string())?.count() {
            count if count == wanted => Ok(()),
            count => Err(format!("{count} files")),
        }
    });
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

#[test]
fn a_link_to_a_file_is_followed_and_stays() {
    let mut stage = Stage::new("linked_file");
    stage.scratch.write("real/db.json", r#"{"a": 1}"#);
    fs::create_dir(stage.scratch.join("etc")).unwrap();
    symlink("../real/db.json", stage.scratch.join("etc/first")).unwrap();
    symlink("first", stage.scratch.join("etc/db.json")).unwrap();
    let _running = stage.join("etc/db.json", &[]);
    stage.json_says("real/db.json", json!({"a": 1}));
    stage.edit(|record| record["b"] = json!(2));
    stage.json_says("real/db.json", json!({"a": 1, "b": 2}));
    // Whoever edits the file itself is heard as well.
    stage.replace("real/db.json", r#"{"a": 3, "b": 2}"#);
    stage.sees(json!({"a": 3, "b": 2}));
    let link = |name: &str| fs::read_link(stage.scratch.join(name)).unwrap();
    assert_eq!(link("etc/db.json"), Path::new("first"));
    assert_eq!(link("etc/first"), Path::new("../real/db.json"));
    holds(&stage.scratch.join("etc"), 2);
    // Turned to another file, the link leads to what counts.
    stage.scratch.write("real/other.json", r#"{"a": 4, "b": 2}"#);
    symlink("../real/other.json", stage.scratch.join("etc/new")).unwrap();
    fs::rename(stage.scratch.join("etc/new"), stage.scratch.join("etc/first")).unwrap();
    stage.sees(json!({"a": 4, "b": 2}));
    stage.json_says("real/other.json", json!({"a": 4, "b": 2}));
}

#[test]
fn a_link_to_a_directory_is_followed_and_stays() {
    let mut stage = Stage::new("linked_dir");
    stage.scratch.write("real/a", "1");
    symlink("real", stage.scratch.join("conf")).unwrap();
    let _running = stage.join("conf", &[]);
    stage.sees(json!({"a": "1"}));
    stage.edit(|record| record["b"] = json!("2"));
    stage.file_says("real/b", "2");
    stage.scratch.write("real/a", "3");
    stage.sees(json!({"a": "3", "b": "2"}));
    assert!(fs::symlink_metadata(stage.scratch.join("conf")).unwrap().is_symlink());
}

#[test]
fn mode_and_owner_are_kept() {
    let mut stage = Stage::new("kept_mode");
    let file = stage.scratch.write("db.json", r#"{"a": 1}"#);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
    let owner = if is_root() { (12, 34) } else { (file.metadata().unwrap().uid(), 0) };
    if is_root() {
        chown(&file, Some(owner.0), Some(owner.1)).unwrap();
    }
    let facts = |path: &Path| {
        let meta = path.metadata().unwrap();
        let group = if is_root() { meta.gid() } else { 0 };
        (meta.mode() & 0o7777, (meta.uid(), group), meta.ino())
    };
    let before = facts(&file);
    let _running = stage.join("db.json", &[]);
    for round in 0..3 {
        stage.edit(|record| record["round"] = json!(round));
        stage.json_says("db.json", json!({"a": 1, "round": round}));
    }
    let after = facts(&file);
    assert_eq!((after.0, after.1), (0o604, owner));
    assert_ne!(after.2, before.2, "it was replaced as a whole");
    holds(stage.scratch.path(), 1);

    // The same for each file of a directory.
    let mut stage = Stage::new("kept_mode_dir");
    stage.dir(&[("a", "1")]);
    let file = stage.scratch.join("conf/a");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    if is_root() {
        chown(&file, Some(owner.0), Some(owner.1)).unwrap();
    }
    let _running = stage.join("conf", &[]);
    stage.edit(|record| record["a"] = json!("2"));
    stage.file_says("conf/a", "2");
    let after = facts(&file);
    assert_eq!(after.0, 0o640);
    assert!(!is_root() || after.1 == owner, "{after:?}");
}

/// Runs it on a disk of its own, made by `mounts` around `$AT`, and reached through
/// the process.
struct Mounted {
    running: Running,
    at: PathBuf,
}

impl Mounted {
    #[track_caller]
    fn start(stage: &Stage, mounts: &str, conf: &str) -> Self {
        let at = stage.scratch.path();
        let running = Tool::program("unshare")
            .args(["-rm", "sh", "-ec", &format!("{mounts}; exec \"$@\""), "sh"])
            .arg(Tool::path_of("zkjoin"))
            .args(["-H", &stage.servers(), "--name", "host", "/farm"])
            .arg(at.join(conf))
            .env("AT", at)
            .spawn();
        running.wait_log("joined; ");
        Self { at: at.to_owned(), running }
    }

    fn inside(&self, name: &str) -> PathBuf {
        let path = self.at.join(name);
        PathBuf::from(format!("/proc/{}/root{}", self.running.pid(), path.display()))
    }

    /// Runs a command among the mounts of the process.
    #[track_caller]
    fn mount(&self, arguments: &[&str]) {
        let mount = Tool::program("nsenter").args(["-m", "-U", "--preserve-credentials", "-t"]);
        mount.arg(self.running.pid().to_string()).args(arguments).run().ok();
    }

    #[track_caller]
    fn says(&self, name: &str, wanted: &str) {
        eventually(&format!("{name} says {wanted:.60}"), || {
            match fs::read_to_string(self.inside(name)) {
                Ok(text) if text.split_whitespace().collect::<String>() == wanted => Ok(()),
                other => Err(format!("{other:.200?}")),
            }
        });
    }

    fn count(&self, text: &str) -> usize {
        self.running.stderr().matches(text).count()
    }
}

fn one_line(record: &serde_json::Value) -> String {
    let mut record = record.clone();
    record["hostname"] = json!(hostname());
    record.to_string()
}

#[test]
fn a_file_that_is_mounted_by_itself_is_rewritten_in_place() {
    let mut stage = Stage::new("bind_mount");
    stage.scratch.write("outside.json", r#"{"a": 1}"#);
    stage.scratch.write("etc/db.json", "");
    let mounts = "mount --bind $AT/outside.json $AT/etc/db.json";
    let mounted = Mounted::start(&stage, mounts, "etc/db.json");
    let inode = stage.scratch.join("outside.json").metadata().unwrap().ino();
    for round in 0..3 {
        edit(&mut stage.zk, ENTRY, |record| record["b"] = json!(round));
        mounted.says("etc/db.json", &one_line(&json!({"a": 1, "b": round})));
    }
    stage.scratch.write("outside.json", r#"{"a": 2, "b": 2}"#);
    stage.sees(json!({"a": 2, "b": 2}));
    mounted.says("etc/db.json", &one_line(&json!({"a": 2, "b": 2})));
    let meta = stage.scratch.join("outside.json").metadata().unwrap();
    assert_eq!(meta.ino(), inode, "{}", mounted.running.stderr());
    holds(&mounted.inside("etc"), 1);
    assert_eq!(mounted.count("in place"), 1, "{}", mounted.running.stderr());
}

#[test]
fn a_read_only_disk_is_told_once_and_survived() {
    for conf in ["etc/db.json", "etc/dir"] {
        let mut stage = Stage::new("read_only");
        stage.scratch.write("etc/db.json", one_line(&json!({"a": "1"})));
        stage.scratch.write("etc/dir/a", "1");
        stage.scratch.write("etc/dir/hostname", hostname());
        let mounts = "mount --bind $AT/etc $AT/etc; mount -o remount,bind,ro $AT/etc";
        let mounted = Mounted::start(&stage, mounts, conf);
        let text = fs::read(stage.scratch.join("etc/db.json")).unwrap();
        edit(&mut stage.zk, ENTRY, |record| record["a"] = json!("remote"));
        mounted.running.wait_log("cannot write the config");
        edit(&mut stage.zk, ENTRY, |record| record["b"] = json!("x"));
        steadily(Duration::from_millis(1500), "it is told once", || {
            match mounted.count("cannot write the config") {
                1 => Ok(()),
                count => Err(count),
            }
        });
        assert_eq!(fs::read(stage.scratch.join("etc/db.json")).unwrap(), text);
        // Both sides of the mount are one directory: local edits arrive meanwhile.
        let local = conf == "etc/dir";
        if local {
            stage.scratch.write("etc/dir/c", "local");
            stage.sees(json!({"a": "remote", "b": "x", "c": "local"}));
        }
        mounted.mount(&[
            "mount",
            "-o",
            "remount,bind,rw",
            &format!("{}/etc", mounted.at.display()),
        ]);
        if local {
            mounted.says("etc/dir/a", "remote");
            mounted.says("etc/dir/b", "x");
        } else {
            mounted.says("etc/db.json", &one_line(&json!({"a": "remote", "b": "x"})));
        }
        holds(&stage.scratch.join("etc"), 2);
    }
}

#[test]
fn a_full_disk_leaves_the_old_file_whole_and_no_other() {
    let mut stage = Stage::new("full_disk_file");
    fs::create_dir(stage.scratch.join("etc")).unwrap();
    let mounts = "mount -t tmpfs -o size=64k,nr_inodes=64 none $AT/etc; \
                  echo '{\"a\": 1}' > $AT/etc/db.json";
    let mut mounted = Mounted::start(&stage, mounts, "etc/db.json");
    mounted.says("etc/db.json", &one_line(&json!({"a": 1})));
    let before = fs::read(mounted.inside("etc/db.json")).unwrap();
    let mut ballast = fs::File::create(mounted.inside("etc/ballast")).unwrap();
    while std::io::Write::write(&mut ballast, &[0; 1024]).is_ok() {}
    let big = "x".repeat(8 << 10);
    edit(&mut stage.zk, ENTRY, |record| record["a"] = json!(big));
    mounted.running.wait_log("cannot write the config");
    steadily(Duration::from_secs(1), "the old file stands, alone", || {
        let now = fs::read(mounted.inside("etc/db.json")).map_err(|e| e.to_string())?;
        let count = fs::read_dir(mounted.inside("etc")).map_err(|e| e.to_string())?.count();
        // For a moment there may be the one that is being written.
        if now == before && count <= 3 { Ok(()) } else { Err(format!("{count} files")) }
    });
    holds(&mounted.inside("etc"), 2);
    assert_eq!(mounted.count("cannot write the config"), 1, "{}", mounted.running.stderr());
    assert!(mounted.running.is_running());
    ballast.set_len(0).unwrap();
    mounted.says("etc/db.json", &one_line(&json!({"a": big})));
}

#[test]
fn a_file_that_may_not_grow_is_as_good_as_a_full_disk() {
    let mut stage = Stage::new("small_files");
    stage.scratch.write("db.json", r#"{"a": 1}"#);
    // In blocks of 512 bytes, or of 1024 where the shell says so: too small either way.
    let script = "ulimit -f 4; exec \"$@\"";
    let running = Tool::program("sh")
        .args(["-c", script, "sh"])
        .arg(Tool::path_of("zkjoin"))
        .args(["-H", &stage.servers(), "--name", "host", "/farm"])
        .arg(stage.scratch.join("db.json"))
        .spawn();
    running.wait_log("joined; ");
    stage.json_says("db.json", json!({"a": 1}));
    let before = stage.scratch.read("db.json").unwrap();
    edit(&mut stage.zk, ENTRY, |record| record["a"] = json!("x".repeat(8 << 10)));
    running.wait_log("cannot write the config");
    assert_eq!(stage.scratch.read("db.json").unwrap(), before);
    edit(&mut stage.zk, ENTRY, |record| record["a"] = json!("fits"));
    stage.json_says("db.json", json!({"a": "fits"}));
    holds(stage.scratch.path(), 1);
}
