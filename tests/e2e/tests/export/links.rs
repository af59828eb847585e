//! Links that other users put in the place of the file.

use super::{ExportFixture, QUIET_TIME, stop};
use farm_harness::{Scratch, holds_for};
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

/// Only root can make the links of others.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A directory in which everybody may make files, as `/tmp`, and a precious file elsewhere.
fn prepare(scratch: &Scratch) {
    for name in ["precious/file", "precious/dir/file"] {
        scratch.write(name, "precious");
    }
    fs::create_dir(scratch.join("tmp")).unwrap();
    fs::set_permissions(scratch.join("tmp"), Permissions::from_mode(0o1777)).unwrap();
}

#[track_caller]
fn assert_untouched(scratch: &Scratch) {
    let count = |name: &str| fs::read_dir(scratch.join(name)).unwrap().count();
    assert_eq!((count("precious"), count("precious/dir")), (2, 1));
    for name in ["precious/file", "precious/dir/file"] {
        assert_eq!(scratch.read(name).unwrap(), "precious");
    }
}

#[test]
fn a_link_of_another_user_is_an_end_that_names_it_and_its_owner() {
    if !is_root() {
        return;
    }
    let fixture = ExportFixture::with_farm("foreign_link");
    prepare(&fixture.scratch);
    for (target, format) in [("file", "json"), ("made", "php"), ("dir", "dir"), ("made", "dir")] {
        let target = fixture.scratch.join("precious").join(target);
        fixture.scratch.link_of_nobody(target, "tmp/out");
        let more: &[&[&str]] = match format {
            "dir" => &[&[], &["--once"], &["--once", "--adopt"], &["-n"]],
            _ => &[
                &[],
                &["--once"],
                &["--once", "--check-cmd", "true"],
                &["--once", "--in-place"],
                &["-n"],
            ],
        };
        for more in more {
            let output = fixture.tool(&["-f", format, "tmp/out"]).args(*more).run();
            output.code(77).stdout_is("").stderr_has("tmp/out");
            output.stderr_has("the link tmp/out belongs to another user (uid 65534)");
            output.stderr_has("\nhint: name the file itself");
            assert_untouched(&fixture.scratch);
        }
        // The same on the way to the file.
        fixture.scratch.link_of_nobody(fixture.scratch.join("precious"), "tmp/etc");
        let output = fixture.tool(&["-f", format, "tmp/etc/out", "--once"]).run();
        output.code(77).stderr_has("the link tmp/etc belongs to another user (uid 65534)");
        assert_untouched(&fixture.scratch);
    }
}

#[test]
fn a_link_is_refused_as_the_page_says() {
    if !is_root() {
        return;
    }
    let page = include_str!("../../../../docs/formats.md");
    let example = "$ zkexport -q /services/db tmp/hosts.json\n";
    let (_, after) = page.split_once(example).unwrap();
    let (shown, _) = after.split_once("```").unwrap();
    let fixture = ExportFixture::with_farm("refused_as_the_page_says");
    prepare(&fixture.scratch);
    fixture.scratch.link_of_nobody(fixture.scratch.join("precious/file"), "tmp/hosts.json");
    fixture.tool(&["-q", "tmp/hosts.json"]).run().code(77).stderr_is(shown);
    assert_untouched(&fixture.scratch);
}

#[test]
fn a_link_that_comes_later_is_not_written_through_and_what_follows_it_is() {
    if !is_root() {
        return;
    }
    for (file, more) in [
        ("tmp/db.json", &[][..]),
        ("tmp/db.json", &["--check-cmd", "true"]),
        ("tmp/db.json", &["--in-place"]),
        ("tmp/db", &["-f", "dir"]),
    ] {
        let mut fixture = ExportFixture::with_farm("later_link");
        prepare(&fixture.scratch);
        let running = fixture.start(&[&[file][..], more].concat());
        let path = fixture.scratch.join(file);
        if path.is_dir() {
            fs::rename(&path, fixture.scratch.join("was")).unwrap();
        }
        let target = if more.contains(&"dir") { "dir" } else { "file" };
        let target = fixture.scratch.join("precious").join(target);
        fixture.scratch.link_of_nobody(target, file);
        fixture.host("a", &json!({"n": "1"}));
        running.wait_log(&format!("the link {file} belongs to another user (uid 65534)"));
        holds_for(QUIET_TIME, "nothing is written", || {
            assert_untouched(&fixture.scratch);
            if path.is_symlink() { Ok(()) } else { Err("the link is gone") }
        });
        fs::remove_file(&path).unwrap();
        running.wait_log("the file can be written again");
        let field = if path.is_dir() { "tmp/db/a/n" } else { file };
        assert!(fixture.scratch.read(field).unwrap().contains('1'));
        assert_untouched(&fixture.scratch);
        let log = stop(running);
        assert_eq!(log.matches("the file stays as it is").count(), 1, "{log}");
    }
}
