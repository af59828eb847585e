//! Links that other users put in the place of the config.

use super::fixture::{ENTRY, JoinFixture, edit, record};
use farm_harness::{Running, Tool, eventually, holds_for};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

const QUIET_TIME: Duration = Duration::from_millis(400);

/// Only root can make the links of others.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A directory `user` of another user, and what this user may not read or write.
fn fixture(test: &str) -> JoinFixture {
    let fixture = JoinFixture::new(test);
    for name in ["root/secret.json", "root/dir/password"] {
        let path = fixture.scratch.write(name, r#"{"password": "secret"}"#);
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }
    fs::create_dir(fixture.scratch.join("user")).unwrap();
    fixture.scratch.give_to_nobody("user");
    fixture
}

/// Checks that what belongs to root is as it was, and not in the znode either.
#[track_caller]
fn assert_untouched(fixture: &mut JoinFixture, wanted: &Value) {
    let top = fixture.scratch.join("root");
    holds_for(QUIET_TIME, "nothing is published, and nothing is written", || {
        let names = |path: &Path| -> Vec<String> {
            let entries = fs::read_dir(path).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut found = names(&top);
        found.sort();
        let texts =
            ["root/secret.json", "root/dir/password"].map(|name| fixture.scratch.read(name));
        let is_same = texts.iter().all(|text| text.as_deref() == Ok(r#"{"password": "secret"}"#));
        if !is_same || found != ["dir", "secret.json"] || names(&top.join("dir")).len() != 1 {
            return Err(format!("{found:?} {texts:?}"));
        }
        let record = record(&mut fixture.zk, ENTRY)?;
        if record == *wanted { Ok(()) } else { Err(record.to_string()) }
    });
}

#[track_caller]
fn wait_names_link(running: &Running, link: &Path) {
    let link = link.display();
    running.wait_log(&format!("the link {link} belongs to another user (uid 65534)"));
    running.wait_log("the config is left alone");
}

#[test]
fn what_a_link_of_another_user_leads_to_is_not_published_at_the_start() {
    if !is_root() {
        return;
    }
    // The link, its target, the config.
    for (link, target, conf, format) in [
        ("user/c.json", "root/secret.json", "user/c.json", "json"),
        ("user/new.json", "root/made.json", "user/new.json", "json"),
        ("user/etc", "root", "user/etc/secret.json", "json"),
        ("user/conf", "root/dir", "user/conf", "dir"),
        ("user/newdir", "root/made", "user/newdir", "dir"),
        ("user/etc2", "root", "user/etc2/dir", "dir"),
    ] {
        let mut fixture = fixture("foreign_link");
        let link = fixture.scratch.link_of_nobody(fixture.scratch.join(target), link);
        let running = fixture.join(conf, &["-f", format, "--no-hostname"]);
        wait_names_link(&running, &link);
        edit(&mut fixture.zk, ENTRY, |record| record["remote"] = json!("1"));
        assert_untouched(&mut fixture, &json!({"remote": "1"}));
        assert_eq!(running.stderr().matches(" WARN ").count(), 1, "{}", running.stderr());
        // The user thinks better of it.
        fs::remove_file(&link).unwrap();
        fs::create_dir_all(fixture.scratch.join(conf).parent().unwrap()).unwrap();
        let file = if format == "dir" { format!("{conf}/a") } else { conf.to_owned() };
        let text = if format == "dir" { "1" } else { r#"{"a": "1"}"# };
        fixture.scratch.write(file, text);
        fixture.wait_exact_record(&json!({"a": "1", "remote": "1"}));
    }
}

#[test]
fn a_config_that_another_user_swaps_for_a_link_is_left_alone_until_it_is_a_config_again() {
    if !is_root() {
        return;
    }
    // The config, the file with the field `a`, what is swapped, and for what.
    for (conf, file, swapped, targets) in [
        ("user/c.json", "user/c.json", "user/c.json", ["root/secret.json", "root/made.json"]),
        ("user/etc/secret.json", "user/etc/secret.json", "user/etc", ["root", "root/made"]),
        ("user/conf", "user/conf/a", "user/conf", ["root/dir", "root/made"]),
    ] {
        let mut fixture = fixture("swapped_link");
        let text = |value: &str| match Path::new(file).extension() {
            Some(_) => format!("{{\"a\": \"{value}\"}}"),
            None => value.to_owned(),
        };
        fixture.scratch.write(file, text("1"));
        let running = fixture.join(conf, &["--no-hostname"]);
        fixture.wait_exact_record(&json!({"a": "1"}));
        let path = fixture.scratch.join(swapped);
        for (n, target) in targets.into_iter().enumerate() {
            if path.is_dir() && !path.is_symlink() {
                fs::rename(&path, fixture.scratch.join("user/was")).unwrap();
            }
            let link = fixture.scratch.link_of_nobody(fixture.scratch.join(target), swapped);
            wait_names_link(&running, &link);
            let value = n.to_string();
            edit(&mut fixture.zk, ENTRY, |record| record["remote"] = json!(value));
            assert_untouched(&mut fixture, &json!({"a": "1", "remote": value}));
        }
        fs::remove_file(&path).unwrap();
        fixture.scratch.write(file, text("2"));
        fixture.wait_exact_record(&json!({"a": "2", "remote": "1"}));
        edit(&mut fixture.zk, ENTRY, |record| record["a"] = json!("3"));
        eventually("the remote edit is in the config", || {
            let text = fixture.scratch.read(file)?;
            if text.contains('3') { Ok(()) } else { Err(text) }
        });
    }
}

#[test]
fn a_plain_config_in_the_directory_of_another_user_works_as_anywhere() {
    if !is_root() {
        return;
    }
    for (conf, file) in [("user/c.json", "user/c.json"), ("user/deep/conf", "user/deep/conf/a")] {
        let mut fixture = fixture("plain_in_foreign");
        let text = |value: &str| {
            if conf == file { format!("{{\"a\": \"{value}\"}}") } else { value.to_owned() }
        };
        fixture.scratch.write(file, text("1"));
        for path in Path::new(file).ancestors().filter(|path| path.starts_with("user")) {
            fixture.scratch.give_to_nobody(path);
        }
        let _running = fixture.join(conf, &["--no-hostname"]);
        fixture.wait_exact_record(&json!({"a": "1"}));
        edit(&mut fixture.zk, ENTRY, |record| record["a"] = json!("2"));
        eventually("the remote edit is in the config", || {
            let text = fixture.scratch.read(file)?;
            if text.contains('2') { Ok(()) } else { Err(text) }
        });
        let owner =
            std::os::unix::fs::MetadataExt::uid(&fs::metadata(fixture.scratch.join(file)).unwrap());
        assert_eq!(owner, 65534);
        fixture.scratch.write(file, text("3"));
        fixture.wait_exact_record(&json!({"a": "3"}));
    }
}

/// A volume as Kubernetes makes it of a config map: links of root in a directory of the mode
/// 777, mounted read-only.
#[test]
fn the_links_of_a_config_map_are_followed() {
    let may_mount = Tool::program("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    if !is_root() || may_mount.run().code != Some(0) {
        return;
    }
    let mut fixture = JoinFixture::new("config_map");
    let volume = fixture.scratch.join("volume");
    fixture.scratch.write("volume/..v1/c.json", r#"{"a": 1}"#);
    fixture.scratch.write("volume/..v2/c.json", r#"{"a": 2}"#);
    symlink("..v1", volume.join("..data")).unwrap();
    symlink("..data/c.json", volume.join("c.json")).unwrap();
    fs::set_permissions(&volume, Permissions::from_mode(0o777)).unwrap();
    fixture.scratch.program(&Tool::path_of("zkjoin"), "zkjoin");
    let (servers, top) = (fixture.servers(), fixture.scratch.path().to_owned());
    let start = |mount: &str| {
        let script = format!(
            "{mount} && exec setpriv --reuid 65534 --regid 65534 --clear-groups \
             ./zkjoin -H {servers} --one-way --no-hostname --name host /farm volume/c.json"
        );
        let tool = Tool::program("unshare").args(["-m", "sh", "-c", &script]);
        tool.cwd(&top).spawn()
    };
    let read_only = "mount --bind volume volume && mount -o remount,bind,ro volume";
    let running = start(read_only);
    running.wait_log("joined; ");
    fixture.wait_exact_record(&json!({"a": 1}));
    // An update of the config map.
    symlink("..v2", volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    fixture.wait_exact_record(&json!({"a": 2}));
    drop(running);
    // Where everybody may write, they may have been put by anybody.
    let running = start("true");
    running.wait_log(
        "the link volume/c.json (of uid 0) lies in a directory in which others may write",
    );
}
