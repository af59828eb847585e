//! Writing the config on disks and mounts of all kinds.

use super::fixture::{ENTRY, JoinFixture, edit, hostname};
use farm_harness::{Running, Tool, eventually, eventually_within, holds_for};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Waits until a directory has this many files: a replaced file still exists under a hidden
/// name for a short time.
#[track_caller]
fn wait_file_count(dir: &Path, wanted: usize) {
    eventually("no other file is left", || {
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
    let mut fixture = JoinFixture::new("linked_file");
    fixture.scratch.write("real/db.json", r#"{"a": 1}"#);
    fs::create_dir(fixture.scratch.join("etc")).unwrap();
    symlink("../real/db.json", fixture.scratch.join("etc/first")).unwrap();
    symlink("first", fixture.scratch.join("etc/db.json")).unwrap();
    let _running = fixture.join("etc/db.json", &[]);
    fixture.wait_json("real/db.json", json!({"a": 1}));
    fixture.edit(|record| record["b"] = json!(2));
    fixture.wait_json("real/db.json", json!({"a": 1, "b": 2}));
    // Edits of the link's target are noticed, too.
    fixture.replace("real/db.json", r#"{"a": 3, "b": 2}"#);
    fixture.wait_record(json!({"a": 3, "b": 2}));
    let link = |name: &str| fs::read_link(fixture.scratch.join(name)).unwrap();
    assert_eq!(link("etc/db.json"), Path::new("first"));
    assert_eq!(link("etc/first"), Path::new("../real/db.json"));
    wait_file_count(&fixture.scratch.join("etc"), 2);
    // A link that is changed to another file makes that file the config.
    fixture.scratch.write("real/other.json", r#"{"a": 4, "b": 2}"#);
    symlink("../real/other.json", fixture.scratch.join("etc/new")).unwrap();
    fs::rename(fixture.scratch.join("etc/new"), fixture.scratch.join("etc/first")).unwrap();
    fixture.wait_record(json!({"a": 4, "b": 2}));
    fixture.wait_json("real/other.json", json!({"a": 4, "b": 2}));
}

#[test]
fn a_link_to_a_directory_is_followed_and_stays() {
    let mut fixture = JoinFixture::new("linked_dir");
    fixture.scratch.write("real/a", "1");
    symlink("real", fixture.scratch.join("conf")).unwrap();
    let _running = fixture.join("conf", &[]);
    fixture.wait_record(json!({"a": "1"}));
    fixture.edit(|record| record["b"] = json!("2"));
    fixture.wait_file("real/b", "2");
    fixture.scratch.write("real/a", "3");
    fixture.wait_record(json!({"a": "3", "b": "2"}));
    assert!(fs::symlink_metadata(fixture.scratch.join("conf")).unwrap().is_symlink());
}

#[test]
fn mode_and_owner_are_kept() {
    let mut fixture = JoinFixture::new("kept_mode");
    let file = fixture.scratch.write("db.json", r#"{"a": 1}"#);
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
    let _running = fixture.join("db.json", &[]);
    for round in 0..3 {
        fixture.edit(|record| record["round"] = json!(round));
        fixture.wait_json("db.json", json!({"a": 1, "round": round}));
    }
    let after = facts(&file);
    assert_eq!((after.0, after.1), (0o604, owner));
    assert_ne!(after.2, before.2, "it was replaced as a whole");
    wait_file_count(fixture.scratch.path(), 1);

    // The same for each file of a directory.
    let mut fixture = JoinFixture::new("kept_mode_dir");
    fixture.dir(&[("a", "1")]);
    let file = fixture.scratch.join("conf/a");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    if is_root() {
        chown(&file, Some(owner.0), Some(owner.1)).unwrap();
    }
    let _running = fixture.join("conf", &[]);
    fixture.edit(|record| record["a"] = json!("2"));
    fixture.wait_file("conf/a", "2");
    let after = facts(&file);
    assert_eq!(after.0, 0o640);
    assert!(!is_root() || after.1 == owner, "{after:?}");
}

/// Runs zkjoin in its own mount namespace after the commands `mounts`, which find the scratch
/// directory in `$AT`.
struct Mounted {
    running: Running,
    at: PathBuf,
}

impl Mounted {
    #[track_caller]
    fn start(fixture: &JoinFixture, mounts: &str, conf: &str) -> Self {
        let at = fixture.scratch.path();
        let running = Tool::program("unshare")
            .args(["-rm", "sh", "-ec", &format!("{mounts}; exec \"$@\""), "sh"])
            .arg(Tool::path_of("zkjoin"))
            .args(["-H", &fixture.servers(), "--name", "host", "/farm"])
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

    /// Runs a command in the mount namespace of zkjoin.
    #[track_caller]
    fn mount(&self, arguments: &[&str]) {
        let mount = Tool::program("nsenter").args(["-m", "-U", "--preserve-credentials", "-t"]);
        mount.arg(self.running.pid().to_string()).args(arguments).run().ok();
    }

    #[track_caller]
    fn wait_file(&self, name: &str, wanted: &str) {
        eventually(&format!("{name} contains {wanted:.60}"), || {
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
    let mut fixture = JoinFixture::new("bind_mount");
    fixture.scratch.write("outside.json", r#"{"a": 1}"#);
    fixture.scratch.write("etc/db.json", "");
    let mounts = "mount --bind $AT/outside.json $AT/etc/db.json";
    let mounted = Mounted::start(&fixture, mounts, "etc/db.json");
    let inode = fixture.scratch.join("outside.json").metadata().unwrap().ino();
    for round in 0..3 {
        edit(&mut fixture.zk, ENTRY, |record| record["b"] = json!(round));
        mounted.wait_file("etc/db.json", &one_line(&json!({"a": 1, "b": round})));
    }
    fixture.scratch.write("outside.json", r#"{"a": 2, "b": 2}"#);
    fixture.wait_record(json!({"a": 2, "b": 2}));
    mounted.wait_file("etc/db.json", &one_line(&json!({"a": 2, "b": 2})));
    let meta = fixture.scratch.join("outside.json").metadata().unwrap();
    assert_eq!(meta.ino(), inode, "{}", mounted.running.stderr());
    wait_file_count(&mounted.inside("etc"), 1);
    assert_eq!(mounted.count("in place"), 1, "{}", mounted.running.stderr());
}

#[test]
fn a_directory_above_that_is_mounted_over_is_noticed_and_followed() {
    let mut fixture = JoinFixture::new("mounted_over");
    fixture.scratch.write("app/etc/db.json", r#"{"a": 1}"#);
    fixture.scratch.write("app2/etc/db.json", r#"{"a": 2}"#);
    let mounted = Mounted::start(&fixture, "true", "app/etc/db.json");
    fixture.wait_record(json!({"a": 1}));
    let at = |name: &str| mounted.at.join(name).display().to_string();
    mounted.mount(&["mount", "--bind", &at("app2"), &at("app")]);
    fixture.wait_record(json!({"a": 2}));
    fixture.replace("app2/etc/db.json", r#"{"a": 3}"#);
    fixture.wait_record(json!({"a": 3}));
    mounted.mount(&["umount", "-l", &at("app")]);
    fixture.wait_record(json!({"a": 1}));
}

#[test]
fn a_read_only_disk_is_told_once_and_survived() {
    for conf in ["etc/db.json", "etc/dir"] {
        let mut fixture = JoinFixture::new("read_only");
        fixture.scratch.write("etc/db.json", one_line(&json!({"a": "1"})));
        fixture.scratch.write("etc/dir/a", "1");
        fixture.scratch.write("etc/dir/hostname", hostname());
        let mounts = "mount --bind $AT/etc $AT/etc; mount -o remount,bind,ro $AT/etc";
        let mounted = Mounted::start(&fixture, mounts, conf);
        let text = fs::read(fixture.scratch.join("etc/db.json")).unwrap();
        edit(&mut fixture.zk, ENTRY, |record| record["a"] = json!("remote"));
        mounted.running.wait_log("cannot write the config");
        edit(&mut fixture.zk, ENTRY, |record| record["b"] = json!("x"));
        holds_for(Duration::from_millis(1500), "it is logged once", || {
            match mounted.count("cannot write the config") {
                1 => Ok(()),
                count => Err(count),
            }
        });
        assert_eq!(fs::read(fixture.scratch.join("etc/db.json")).unwrap(), text);
        // The directory can be written outside of the mount: local edits arrive meanwhile.
        let local = conf == "etc/dir";
        if local {
            fixture.scratch.write("etc/dir/c", "local");
            fixture.wait_record(json!({"a": "remote", "b": "x", "c": "local"}));
        }
        mounted.mount(&[
            "mount",
            "-o",
            "remount,bind,rw",
            &format!("{}/etc", mounted.at.display()),
        ]);
        if local {
            mounted.wait_file("etc/dir/a", "remote");
            mounted.wait_file("etc/dir/b", "x");
        } else {
            mounted.wait_file("etc/db.json", &one_line(&json!({"a": "remote", "b": "x"})));
        }
        wait_file_count(&fixture.scratch.join("etc"), 2);
    }
}

#[test]
fn a_full_disk_leaves_the_old_file_whole_and_no_other() {
    let mut fixture = JoinFixture::new("full_disk_file");
    fs::create_dir(fixture.scratch.join("etc")).unwrap();
    let mounts = "mount -t tmpfs -o size=64k,nr_inodes=64 none $AT/etc; \
                  echo '{\"a\": 1}' > $AT/etc/db.json";
    let mut mounted = Mounted::start(&fixture, mounts, "etc/db.json");
    mounted.wait_file("etc/db.json", &one_line(&json!({"a": 1})));
    let before = fs::read(mounted.inside("etc/db.json")).unwrap();
    let mut ballast = fs::File::create(mounted.inside("etc/ballast")).unwrap();
    while std::io::Write::write(&mut ballast, &[0; 1024]).is_ok() {}
    let big = "x".repeat(8 << 10);
    edit(&mut fixture.zk, ENTRY, |record| record["a"] = json!(big));
    mounted.running.wait_log("cannot write the config");
    holds_for(Duration::from_secs(1), "the old file stands, alone", || {
        let now = fs::read(mounted.inside("etc/db.json")).map_err(|e| e.to_string())?;
        let count = fs::read_dir(mounted.inside("etc")).map_err(|e| e.to_string())?.count();
        // The file that is being written may exist for a short time.
        if now == before && count <= 3 { Ok(()) } else { Err(format!("{count} files")) }
    });
    wait_file_count(&mounted.inside("etc"), 2);
    assert_eq!(mounted.count("cannot write the config"), 1, "{}", mounted.running.stderr());
    assert!(mounted.running.is_running());
    ballast.set_len(0).unwrap();
    mounted.wait_file("etc/db.json", &one_line(&json!({"a": big})));
}

#[test]
fn a_file_that_may_not_grow_is_as_good_as_a_full_disk() {
    let mut fixture = JoinFixture::new("small_files");
    fixture.scratch.write("db.json", r#"{"a": 1}"#);
    // The unit is 512 or 1024 bytes, depending on the shell: too small either way.
    let script = "ulimit -f 4; exec \"$@\"";
    let running = Tool::program("sh")
        .args(["-c", script, "sh"])
        .arg(Tool::path_of("zkjoin"))
        .args(["-H", &fixture.servers(), "--name", "host", "/farm"])
        .arg(fixture.scratch.join("db.json"))
        .spawn();
    running.wait_log("joined; ");
    fixture.wait_json("db.json", json!({"a": 1}));
    let before = fixture.scratch.read("db.json").unwrap();
    edit(&mut fixture.zk, ENTRY, |record| record["a"] = json!("x".repeat(8 << 10)));
    running.wait_log("cannot write the config");
    assert_eq!(fixture.scratch.read("db.json").unwrap(), before);
    edit(&mut fixture.zk, ENTRY, |record| record["a"] = json!("fits"));
    fixture.wait_json("db.json", json!({"a": "fits"}));
    wait_file_count(fixture.scratch.path(), 1);
}

#[test]
fn a_config_that_was_replaced_is_soon_closed() {
    let mut fixture = JoinFixture::new("replaced_is_closed");
    fixture.scratch.write("db.json", r#"{"a": 1}"#);
    let running = fixture.join("db.json", &[]);
    for value in 2..5 {
        fixture.edit(|record| record["a"] = json!(value));
        fixture.wait_json("db.json", json!({"a": value}));
    }
    // Also if the new one can't be read.
    fixture.scratch.write("db.json", "{");
    running.wait_log("the config is left alone");
    eventually_within(Duration::from_secs(20), "no deleted file is open", || {
        let links = fs::read_dir(format!("/proc/{}/fd", running.pid())).unwrap();
        let names = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
        let mut deleted = names.filter(|name| {
            let is_here = name.starts_with(fixture.scratch.path());
            is_here && name.to_string_lossy().ends_with("(deleted)")
        });
        deleted.next().map_or(Ok(()), |name| Err(name.display().to_string()))
    });
}
