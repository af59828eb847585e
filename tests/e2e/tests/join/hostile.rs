//! Hostile znodes and configs.

use super::fixture::{ENTRY, JoinFixture, hostname, record};
use farm_harness::{Tool, eventually, holds_for};
use serde_json::json;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

/// All files below a directory, as paths relative to it.
fn files(dir: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            // A staged file exists for a short time.
            if entry.file_name().to_string_lossy().starts_with(".zk-") {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
            found.push(entry.path().strip_prefix(dir).unwrap().display().to_string());
        }
    }
    found.sort();
    found
}

#[test]
fn names_that_lead_out_are_never_written_and_stay_in_the_znode() {
    let mut fixture = JoinFixture::new("escapes");
    fixture.dir(&[("a", "1")]);
    let running = fixture.join("conf", &[]);
    let long = "n".repeat(300);
    let bad = ["../x", "a/b", ".x", "..", ".", "", "nul\0", "/etc/farm-test", "x/../../y", &long];
    fixture.edit(|record| {
        for name in bad {
            record[name] = json!("hostile");
            record["nested"][name] = json!({"deep": "hostile"});
        }
        record["good"] = json!("g");
        record["nested"]["fine"] = json!("f");
    });
    fixture.wait_file("conf/good", "g");
    fixture.wait_file("conf/nested/fine", "f");
    let wanted =
        ["conf", "conf/a", "conf/good", "conf/hostname", "conf/nested", "conf/nested/fine"];
    assert_eq!(files(fixture.scratch.path()), wanted);
    for round in 0..3 {
        fixture.scratch.write("conf/a", format!("edit {round}"));
        eventually("the edit arrives and takes nothing away", || {
            let found = record(&mut fixture.zk, ENTRY)?;
            let is_whole = |name: &&str| {
                found[*name] == "hostile" && found["nested"][*name]["deep"] == "hostile"
            };
            let is_right = found["a"] == format!("edit {round}") && bad.iter().all(is_whole);
            if is_right { Ok(()) } else { Err(found.to_string()) }
        });
    }
    assert_eq!(files(fixture.scratch.path()), wanted);
    running.wait_log_times("a field has no file", bad.len() * 2);
    let logged = running.stderr().matches("a field has no file").count();
    assert_eq!(logged, bad.len() * 2, "once each: {}", running.stderr());
    // Remote edits can remove these fields.
    fixture.edit(|record| *record = json!({"a": "edit 2"}));
    fixture.wait_record(json!({"a": "edit 2"}));
    fixture.wait_removed("conf/nested");
}

#[test]
fn what_is_no_text_is_skipped_and_nobody_waits_for_it() {
    let mut fixture = JoinFixture::new("odd_files");
    fixture.dir(&[("a", "1"), (".hidden", "h"), ("sub/b", "2")]);
    Tool::program("mkfifo").arg(fixture.scratch.join("conf/fifo")).run().ok();
    let _socket = UnixListener::bind(fixture.scratch.join("conf/socket")).unwrap();
    fixture.scratch.write("conf/latin", b"caf\xe9");
    fixture.scratch.write("outside", "secret");
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, fixture.scratch.join(name)).unwrap();
    };
    link("../outside", "conf/link");
    link("/etc", "conf/etc");
    link("/dev/zero", "conf/zero");
    link(".", "conf/sub/loop");
    let odd = std::ffi::OsStr::from_bytes(b"conf/na\xffme");
    fixture.scratch.write(odd, "x");
    let running = fixture.join("conf", &[]);
    assert_eq!(fixture.record(), json!({"a": "1", "hostname": hostname(), "sub": {"b": "2"}}));
    fixture.scratch.write("conf/a", "2");
    fixture.wait_record(json!({"a": "2", "sub": {"b": "2"}}));
    // Fields with these names stay in the znode, and the files that are in the way stay, too.
    fixture.edit(|record| {
        for name in ["fifo", "socket", "latin", "link", "etc", "zero"] {
            record[name] = json!("remote");
        }
        record["etc"] = json!({"passwd": "remote"});
        record["done"] = json!("yes");
    });
    fixture.wait_file("conf/done", "yes");
    assert_eq!(fixture.scratch.read("outside").unwrap(), "secret");
    assert!(!fs::read_to_string("/etc/passwd").unwrap().contains("remote"));
    fixture.scratch.write("conf/a", "3");
    eventually("the edit arrives", || {
        let found = record(&mut fixture.zk, ENTRY)?;
        if found["a"] == "3" && found["link"] == "remote" { Ok(()) } else { Err(found.to_string()) }
    });
    let log = running.stderr();
    for name in ["fifo", "socket", "latin", "link", "etc", "zero", "sub/loop"] {
        let lines =
            log.lines().filter(|l| l.contains("skipped") && l.ends_with(&format!("/conf/{name}")));
        assert_eq!(lines.count(), 1, "{name} in {log}");
    }
}

#[test]
fn what_is_too_large_is_refused_clearly_and_the_rest_goes_on() {
    let mut fixture = JoinFixture::new("too_large");
    fixture.dir(&[("a", "1")]);
    let mut running = fixture.join("conf", &[]);
    fixture.wait_record(json!({"a": "1"}));
    fixture.scratch.write("conf/big", vec![b'x'; 20 << 20]);
    running.wait_log("too large");
    holds_for(Duration::from_millis(300), "the znode keeps its record", || {
        let found = record(&mut fixture.zk, ENTRY)?;
        if found["a"] == "1" { Ok(()) } else { Err(found.to_string()) }
    });
    assert!(running.memory_peak_kb() < 64 << 10, "{} kB", running.memory_peak_kb());
    fs::remove_file(fixture.scratch.join("conf/big")).unwrap();
    fixture.scratch.write("conf/a", "2");
    fixture.wait_record(json!({"a": "2"}));

    // Within the limit as a file, too large as JSON.
    fixture.scratch.write("conf/grows", vec![b'\x01'; 300_000]);
    running.wait_log("are too many");
    fixture.edit(|record| record["r"] = json!("1"));
    fixture.wait_file("conf/r", "1");
    // The host stays in the farm with its last good record.
    fixture.zk.delete(ENTRY).unwrap();
    fixture.wait_record(json!({"a": "2", "r": "1"}));
    fs::remove_file(fixture.scratch.join("conf/grows")).unwrap();
    fixture.scratch.write("conf/a", "3");
    fixture.wait_record(json!({"a": "3", "r": "1"}));
    assert!(running.is_running());
}

#[test]
fn a_config_that_is_too_large_at_the_start_is_said() {
    let fixture = JoinFixture::new("too_large_start");
    fixture.dir(&[]);
    fixture.scratch.write("conf/grows", vec![b'\x01'; 300_000]);
    fixture.zkjoin("conf").run().code(65).stderr_has("are too many");
}

#[test]
fn a_full_disk_is_told_once_and_survived() {
    let mut fixture = JoinFixture::new("full_disk");
    fs::create_dir(fixture.scratch.join("conf")).unwrap();
    // A tiny file system in the mount namespace of zkjoin; the test reaches it through `/proc`.
    let script = "mount -t tmpfs -o size=64k,nr_inodes=64 none \"$CONF\" && exec \"$@\"";
    let running = Tool::program("unshare")
        .args(["-rm", "sh", "-c", script, "sh"])
        .arg(Tool::path_of("zkjoin"))
        .args(["-H", &fixture.servers(), "--name", "host", "/farm"])
        .arg(fixture.scratch.join("conf"))
        .env("CONF", fixture.scratch.join("conf"))
        .spawn();
    running.wait_log("joined; ");
    let root = format!("/proc/{}/root", running.pid());
    let inside = |name: &str| {
        let path = fixture.scratch.join("conf").join(name);
        std::path::PathBuf::from(format!("{root}{}", path.display()))
    };
    let wait_file = |name: &str, wanted: &str| {
        eventually(&format!("{name} contains {wanted:.20}"), || {
            match fs::read_to_string(inside(name)) {
                Ok(text) if text == wanted => Ok(()),
                other => Err(format!("{other:.40?}")),
            }
        });
    };
    wait_file("hostname", &hostname());
    super::fixture::edit(&mut fixture.zk, ENTRY, |record| record["a"] = json!("before"));
    wait_file("a", "before");
    let ballast = inside(".ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while std::io::Write::write(&mut file, &[0; 1024]).is_ok() {}
    drop(file);
    let big = "x".repeat(8 << 10);
    super::fixture::edit(&mut fixture.zk, ENTRY, |record| record["a"] = json!(big));
    running.wait_log("cannot write the config");
    let cpu = running.cpu_time();
    holds_for(Duration::from_secs(1), "the old file stands", || {
        let text = fs::read_to_string(inside("a")).map_err(|e| e.to_string())?;
        if text == "before" { Ok(()) } else { Err(text) }
    });
    assert!(running.cpu_time() - cpu < Duration::from_millis(200));
    // The file that is being written may exist for a short time.
    eventually("no other file is left", || {
        let names = fs::read_dir(inside("")).unwrap().flatten().map(|e| e.file_name());
        let names: Vec<_> = names.collect();
        if names.len() == 3 { Ok(()) } else { Err(format!("{names:?}")) }
    });
    assert_eq!(
        running.stderr().matches("cannot write the config").count(),
        1,
        "{}",
        running.stderr()
    );
    fs::remove_file(&ballast).unwrap();
    wait_file("a", &big);
}

#[test]
fn an_unwritable_config_is_told_once_and_survived() {
    let mut fixture = JoinFixture::new("unwritable");
    fixture.dir(&[("a", "1"), ("hostname", &hostname())]);
    let tool = Tool::unprivileged("zkjoin", &fixture.scratch);
    let tool = tool.args(["-H", &fixture.servers(), "--name", "host", "/farm"]);
    let running = tool.arg(fixture.scratch.join("conf")).spawn();
    let conf = fixture.scratch.join("conf");
    let set_mode = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&conf, mode).unwrap();
    };
    set_mode(0o555);
    running.wait_log("joined; ");
    super::fixture::edit(&mut fixture.zk, ENTRY, |record| record["b"] = json!("2"));
    running.wait_log("cannot write the config");
    fixture.scratch.write("conf/a", "local");
    fixture.wait_record(json!({"a": "local", "b": "2"}));
    set_mode(0o777);
    fixture.wait_file("conf/b", "2");
    assert_eq!(
        running.stderr().matches("cannot write the config").count(),
        1,
        "{}",
        running.stderr()
    );
}
