use super::*;
use crate::codec::{ConfText, VALUES_MAX};
use crate::files::constrained;
use crate::files::error::Fault;
use crate::model::Value;
use farm_harness::{Scratch, eventually};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

fn record(value: &Value) -> Record {
    Record::from_map(value.as_object().unwrap().clone())
}

fn json_conf(scratch: &Scratch) -> Conf {
    Conf::new(scratch.join("conf.json"), ConfFormat::Text(ConfText::Json))
}

fn dir_conf(scratch: &Scratch) -> Conf {
    Conf::new(scratch.join("conf"), ConfFormat::Dir)
}

fn loaded(conf: &mut Conf) -> Record {
    conf.load().unwrap().record
}

/// Loads until the record is `wanted`.
fn expect(conf: &mut Conf, wanted: &Value) {
    let wanted = record(wanted);
    eventually("the config says it", || match conf.load() {
        Ok(loaded) if loaded.record == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_file_is_loaded_stored_and_left_alone_when_equal() {
    let scratch = Scratch::new();
    let mut conf = json_conf(&scratch);
    assert!(conf.load().unwrap_err().is_missing());
    assert_eq!(conf.store(&record(&json!({"a": 1}))).unwrap(), Stored::Written);
    assert_eq!(conf.store(&record(&json!({"a": 1}))).unwrap(), Stored::Unchanged);
    assert_eq!(loaded(&mut conf), record(&json!({"a": 1})));
    // The user's layout stays as long as the values do.
    scratch.write("conf.json", "{\"a\":2.0}");
    assert_eq!(conf.store(&record(&json!({"a": 1}))).unwrap(), Stored::Unchanged);
    let now = loaded(&mut conf);
    assert_eq!(conf.store(&now).unwrap(), Stored::Unchanged);
    assert_eq!(scratch.read("conf.json").unwrap(), "{\"a\":2.0}");
}

#[test]
fn a_byte_order_mark_is_no_change_and_is_gone_with_the_next_write() {
    let scratch = Scratch::new();
    for (format, text) in [(ConfText::Json, "{\"a\": 1}"), (ConfText::Yaml, "a: 1\n")] {
        let marked = format!("\u{feff}{text}");
        let path = scratch.write("marked", &marked);
        let mut conf = Conf::new(path, ConfFormat::Text(format));
        let found = conf.load().unwrap();
        assert_eq!((&found.record, found.needs_store), (&record(&json!({"a": 1})), false));
        assert_eq!(conf.store(&found.record).unwrap(), Stored::Unchanged);
        assert_eq!(scratch.read("marked").unwrap(), marked);
        assert_eq!(conf.store(&record(&json!({"a": 2}))).unwrap(), Stored::Written);
        assert!(!scratch.read("marked").unwrap().contains('\u{feff}'));
    }

    scratch.write("conf/a", "\u{feff}1\r\n");
    let mut conf = dir_conf(&scratch);
    for _ in 0..2 {
        let found = loaded(&mut conf);
        assert_eq!(found, record(&json!({"a": "1"})));
        assert_eq!(conf.store(&found).unwrap(), Stored::Unchanged);
    }
    assert_eq!(scratch.read("conf/a").unwrap(), "\u{feff}1\r\n");
    assert_eq!(conf.store(&record(&json!({"a": "2"}))).unwrap(), Stored::Written);
    assert_eq!(scratch.read("conf/a").unwrap(), "2");
}

#[test]
fn errors_are_told_apart_and_are_no_empty_record() {
    let scratch = Scratch::new();
    let mut conf = json_conf(&scratch);
    for text in ["", "{", "[1]", "null", "{\"a\": 1} x"] {
        scratch.write("conf.json", text);
        assert!(matches!(conf.load().unwrap_err().fault, Fault::Malformed(_)), "{text:?}");
    }
    scratch.write("conf.json", "x".repeat(CONF_BYTES_MAX + 1));
    assert!(matches!(conf.load().unwrap_err().fault, Fault::TooLarge { .. }));
    fs::create_dir(scratch.join("conf")).unwrap();
    let mut wrong = Conf::new(scratch.join("conf"), ConfFormat::Text(ConfText::Json));
    assert!(matches!(wrong.load().unwrap_err().fault, Fault::NotAFile));
    let mut wrong = Conf::new(scratch.join("conf.json"), ConfFormat::Dir);
    assert!(matches!(wrong.load().unwrap_err().fault, Fault::NotADirectory));
}

#[test]
fn a_malformed_file_is_never_written_over() {
    let scratch = Scratch::new();
    let mut conf = json_conf(&scratch);
    scratch.write("conf.json", "{\"a\": 1}");
    loaded(&mut conf);
    scratch.write("conf.json", "{\"a\": ");
    assert!(conf.load().is_err());
    assert_eq!(conf.store(&record(&json!({"a": 2}))).unwrap(), Stored::Overtaken);
    assert_eq!(scratch.read("conf.json").unwrap(), "{\"a\": ");
    scratch.write("conf.json", "{\"a\": 3}");
    assert_eq!(loaded(&mut conf), record(&json!({"a": 3})));
}

#[test]
fn a_save_since_the_load_is_not_written_over() {
    let scratch = Scratch::new();
    let mut conf = json_conf(&scratch);
    scratch.write("conf.json", "{\"a\": 1}");
    loaded(&mut conf);
    scratch.write("conf.json", "{\"a\": 5}");
    assert_eq!(conf.store(&record(&json!({"a": 2}))).unwrap(), Stored::Overtaken);
    assert_eq!(loaded(&mut conf), record(&json!({"a": 5})));
    fs::remove_file(scratch.join("conf.json")).unwrap();
    assert_eq!(conf.store(&record(&json!({"a": 2}))).unwrap(), Stored::Overtaken);
    assert!(conf.load().unwrap_err().is_missing());
    assert_eq!(conf.store(&record(&json!({"a": 2}))).unwrap(), Stored::Written);
}

#[test]
fn an_editor_that_held_the_file_open_has_its_edit_merged() {
    let scratch = Scratch::new();
    let mut conf = json_conf(&scratch);
    let path = scratch.write("conf.json", "{\"local\": 0, \"remote\": 0}");
    loaded(&mut conf);
    let mut editor = fs::OpenOptions::new().write(true).open(&path).unwrap();
    conf.store(&record(&json!({"local": 0, "remote": 1}))).unwrap();
    editor.set_len(0).unwrap();
    editor.write_all(b"{\"local\": 1, ").unwrap();
    // An incomplete save changes nothing.
    assert_eq!(loaded(&mut conf), record(&json!({"local": 0, "remote": 1})));
    editor.write_all(b"\"remote\": 0}").unwrap();
    expect(&mut conf, &json!({"local": 1, "remote": 1}));
    conf.store(&record(&json!({"local": 1, "remote": 1}))).unwrap();
    assert_eq!(loaded(&mut conf), record(&json!({"local": 1, "remote": 1})));
    assert_eq!(
        serde_json::from_slice::<Value>(&fs::read(&path).unwrap()).unwrap(),
        json!({"local": 1, "remote": 1})
    );
    // The same editor changes the field that we changed: our value stays, and the
    // conflict is reported once.
    editor.set_len(0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&editor, b"{\"local\": 1, \"remote\": 7}", 0).unwrap();
    let mut conflicts = Vec::new();
    eventually("the conflict is reported", || {
        conflicts.extend(conf.load().unwrap().conflicts);
        if conflicts.is_empty() { Err("not yet") } else { Ok(()) }
    });
    assert_eq!(conflicts[0].field.to_string(), "remote");
    assert_eq!(conflicts[0].local, Some(json!(7)));
    assert_eq!(conflicts[0].remote, Some(json!(1)));
    assert!(conf.load().unwrap().conflicts.is_empty());
}

/// The deleted files in a directory that this process has open.
fn deleted_and_open(scratch: &Scratch) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap();
    let names = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    let is_deleted = |name: &Path| {
        name.starts_with(scratch.path()) && name.to_string_lossy().ends_with("(deleted)")
    };
    names.filter(|name| is_deleted(name)).count()
}

#[test]
fn a_displaced_file_is_closed_when_nobody_writes_to_it_any_more() {
    for is_readable in [true, false] {
        let scratch = Scratch::new();
        let path = scratch.write("conf.json", "{\"local\": 0, \"remote\": 0}");
        let idle = Duration::from_millis(100);
        let file = file::ConfFile::new(path.clone(), ConfText::Json).closing_after(idle);
        let mut conf = Conf { shape: Shape::File(file) };
        loaded(&mut conf);
        assert_eq!(conf.close_at(), None);
        let editor = fs::OpenOptions::new().write(true).open(&path).unwrap();
        conf.store(&record(&json!({"local": 0, "remote": 1}))).unwrap();
        if !is_readable {
            // The other file is open as long, whatever is at the path.
            scratch.write("conf.json", "{");
            assert!(conf.load().is_err());
        }
        assert_eq!(deleted_and_open(&scratch), 2, "ours and the editor's");
        // A save that is found only when the file is about to be closed.
        let saved = b"{\"local\": 1, \"remote\": 0}";
        std::os::unix::fs::FileExt::write_all_at(&editor, saved, 0).unwrap();
        drop(editor);
        let mut is_found = false;
        eventually("it is closed", || {
            if conf.close_at().is_some_and(|at| Instant::now() >= at) {
                is_found |= conf.close_displaced();
            }
            match deleted_and_open(&scratch) {
                0 => Ok(()),
                count => Err(count),
            }
        });
        assert_eq!((conf.close_at(), is_found), (None, true));
        if !is_readable {
            scratch.write("conf.json", "{\"local\": 0, \"remote\": 1}");
        }
        assert_eq!(loaded(&mut conf), record(&json!({"local": 1, "remote": 1})));
    }
}

#[test]
fn half_of_a_late_edit_is_not_taken_for_all_of_it() {
    let scratch = Scratch::new();
    let mut conf = Conf::new(scratch.join("conf.yaml"), ConfFormat::Text(ConfText::Yaml));
    let path = scratch.write("conf.yaml", "local: 0\nremote: 0\n");
    loaded(&mut conf);
    let mut editor = fs::OpenOptions::new().write(true).open(&path).unwrap();
    conf.store(&record(&json!({"local": 0, "remote": 1}))).unwrap();
    editor.set_len(0).unwrap();
    editor.write_all(b"local: 1\n").unwrap();
    let half = conf.load().unwrap();
    assert_eq!(half.record, record(&json!({"local": 0, "remote": 1})));
    assert!(half.again.is_some());
    editor.write_all(b"remote: 0\n").unwrap();
    expect(&mut conf, &json!({"local": 1, "remote": 1}));
}

#[test]
fn a_save_that_did_not_see_our_write_does_not_undo_it() {
    let scratch = Scratch::new();
    let mut conf = json_conf(&scratch);
    scratch.write("conf.json", "{\"local\": 0, \"remote\": 0}");
    loaded(&mut conf);
    conf.store(&record(&json!({"local": 0, "remote": 1}))).unwrap();
    scratch.write("conf.json", "{\"local\": 1, \"remote\": 0}");
    // It stays so until it is written back.
    for _ in 0..3 {
        assert_eq!(loaded(&mut conf), record(&json!({"local": 1, "remote": 1})));
    }
    assert_eq!(conf.store(&record(&json!({"local": 1, "remote": 1}))).unwrap(), Stored::Written);
    // A save without another edit is taken as it is.
    scratch.write("conf.json", "{\"local\": 1, \"remote\": 0}");
    assert_eq!(loaded(&mut conf), record(&json!({"local": 1, "remote": 0})));
}

#[test]
fn a_directory_is_loaded_with_the_types_it_was_stored_with() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch);
    assert!(conf.load().unwrap_err().is_missing());
    let all = json!({"a": "1", "n": 1.5, "on": true, "o": {"x": null, "e": {}}, "s": " y "});
    assert_eq!(conf.store(&record(&all)).unwrap(), Stored::Written);
    assert_eq!(loaded(&mut conf), record(&all));
    assert_eq!(conf.store(&record(&all)).unwrap(), Stored::Unchanged);
    scratch.write("conf/n", "2\n");
    scratch.write("conf/a", "2\n");
    assert_eq!(loaded(&mut conf).as_map()["n"], json!(2));
    assert_eq!(loaded(&mut conf).as_map()["a"], json!("2"));
    // A new process reads only text, until it remembers a record.
    assert_eq!(loaded(&mut dir_conf(&scratch)).as_map()["on"], json!("true"));
    let mut remembering = dir_conf(&scratch);
    remembering.learn_types(&record(&all));
    assert_eq!(loaded(&mut remembering).as_map()["on"], json!(true));
}

#[test]
fn only_the_files_of_changed_fields_are_touched() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch);
    scratch.write("conf/a", "1\n\n");
    scratch.write("conf/b", "2");
    scratch.write("conf/o/x", "3");
    scratch.write("conf/o/.keep", "mine");
    scratch.write("conf/.hidden/y", "mine");
    scratch.write("conf/p/q/r", "4");
    assert_eq!(
        loaded(&mut conf),
        record(&json!({"a": "1", "b": "2", "o": {"x": "3"}, "p": {"q": {"r": "4"}}}))
    );
    let inode = |name: &str| fs::metadata(scratch.join(name)).unwrap().ino();
    let before = (inode("conf/a"), inode("conf/b"));
    let wanted = record(&json!({"a": "1", "b": "9"}));
    assert_eq!(conf.store(&wanted).unwrap(), Stored::Written);
    assert_eq!(inode("conf/a"), before.0);
    assert_ne!(inode("conf/b"), before.1);
    assert_eq!(scratch.read("conf/a").unwrap(), "1\n\n");
    assert_eq!(scratch.read("conf/b").unwrap(), "9");
    assert_eq!(scratch.read("conf/o/.keep").unwrap(), "mine");
    assert_eq!(scratch.read("conf/.hidden/y").unwrap(), "mine");
    assert!(!scratch.join("conf/p").exists() && !scratch.join("conf/o/x").exists());
    // The directory that had to stay is not a field.
    assert_eq!(loaded(&mut conf), wanted);
    scratch.write("conf/o/z", "5");
    expect(&mut conf, &json!({"a": "1", "b": "9", "o": {"z": "5"}}));
}

#[test]
fn a_field_becomes_an_object_and_back() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch);
    scratch.write("conf/a", "1");
    loaded(&mut conf);
    for value in [json!({"a": {"b": {"c": "2"}}}), json!({"a": {"b": "3"}}), json!({"a": "4"})] {
        assert_eq!(conf.store(&record(&value)).unwrap(), Stored::Written, "{value}");
        assert_eq!(loaded(&mut conf), record(&value));
        assert_eq!(loaded(&mut dir_conf(&scratch)), record(&value));
    }
    scratch.write("conf/o/.keep", "mine");
    scratch.write("conf/o/x", "1");
    loaded(&mut conf);
    // The directory has to stay, so there can be no file; the field stays in the record.
    let blocked = json!({"a": "5", "o": "text"});
    conf.store(&record(&blocked)).unwrap();
    assert_eq!(scratch.read("conf/a").unwrap(), "5");
    assert_eq!(loaded(&mut conf), record(&blocked));
}

#[test]
fn refused_names_stay_in_the_record_and_lead_nowhere() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch);
    fs::create_dir(scratch.join("conf")).unwrap();
    loaded(&mut conf);
    let hostile = json!({"../x": "1", "..": {"y": "2"}, "ok": {"a/../../z": "3", "b": "4"}});
    assert_eq!(conf.store(&record(&hostile)).unwrap(), Stored::Written);
    assert_eq!(loaded(&mut conf), record(&hostile));
    scratch.write("conf/ok/b", "5");
    assert_eq!(loaded(&mut conf).as_map()["ok"], json!({"a/../../z": "3", "b": "5"}));
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    assert_eq!(conf.store(&record(&json!({"ok": {"b": "5"}}))).unwrap(), Stored::Unchanged);
    assert_eq!(loaded(&mut conf), record(&json!({"ok": {"b": "5"}})));
}

#[test]
fn what_is_not_ours_is_skipped_and_its_field_kept() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch);
    let outside = scratch.write("outside", "secret");
    let all = json!({"link": "1", "fifo": "2", "raw": 3, "socket": "4", "a": "5"});
    conf.load().unwrap_err();
    conf.store(&record(&all)).unwrap();
    for name in ["link", "fifo", "raw", "socket"] {
        fs::remove_file(scratch.join("conf").join(name)).unwrap();
    }
    symlink(&outside, scratch.join("conf/link")).unwrap();
    symlink(scratch.path(), scratch.join("conf/tree")).unwrap();
    nix::unistd::mkfifo(&scratch.join("conf/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    scratch.write("conf/raw", [0xff, 0xfe]);
    let _socket = std::os::unix::net::UnixListener::bind(scratch.join("conf/socket")).unwrap();
    scratch.write(Path::new("conf").join(std::ffi::OsStr::from_bytes(b"name\xff")), "x");
    assert_eq!(loaded(&mut conf), record(&all));
    let changed =
        json!({"link": "9", "fifo": "9", "raw": 9, "socket": "9", "a": "9", "tree": {"x": "9"}});
    assert_eq!(conf.store(&record(&changed)).unwrap(), Stored::Written);
    assert_eq!(scratch.read("outside").unwrap(), "secret");
    assert!(!scratch.join("x").exists());
    assert_eq!(scratch.read("conf/a").unwrap(), "9");
    assert_eq!(loaded(&mut conf).as_map()["raw"], json!(9));
    // Removing the link removes the field.
    fs::remove_file(scratch.join("conf/link")).unwrap();
    assert!(!loaded(&mut conf).as_map().contains_key("link"));
}

#[test]
fn an_unreadable_field_is_kept_and_the_others_are_read() {
    let test = "files::conf::tests::an_unreadable_field_is_kept_and_the_others_are_read";
    let Some(top) = constrained::unprivileged(test) else { return };
    let path = top.join("conf");
    fs::create_dir(&path).unwrap();
    let mut conf = Conf::new(path.clone(), ConfFormat::Dir);
    conf.load().unwrap();
    let all = json!({"a": "1", "closed": "2", "o": {"x": "3"}});
    conf.store(&record(&all)).unwrap();
    let set = |name: &str, mode: u32| {
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    set("closed", 0o000);
    set("o", 0o000);
    assert_eq!(loaded(&mut conf), record(&all));
    let changed = json!({"a": "9", "closed": "2", "o": {"x": "3"}});
    assert_eq!(conf.store(&record(&changed)).unwrap(), Stored::Written);
    set("closed", 0o600);
    set("o", 0o700);
    assert_eq!(loaded(&mut conf), record(&changed));
    set("", 0o500);
    let error = conf.store(&record(&json!({"a": "0"}))).unwrap_err();
    assert!(error.is_permission(), "{error}");
    set("", 0o000);
    assert!(conf.load().unwrap_err().is_permission());
    set("", 0o700);
    assert_eq!(loaded(&mut conf), record(&changed));
}

#[test]
fn a_store_that_failed_half_way_goes_on_where_it_ended() {
    let test = "files::conf::tests::a_store_that_failed_half_way_goes_on_where_it_ended";
    let Some(top) = constrained::without_room(test) else { return };
    let mut conf = Conf::new(top.join("conf"), ConfFormat::Dir);
    conf.load().unwrap_err();
    let large = "x".repeat(100_000);
    conf.store(&record(&json!({"a": "1", "b": large, "c": "3"}))).unwrap_err();
    let saved = loaded(&mut conf);
    assert_eq!(saved, record(&json!({"a": "1"})));
    let wanted = record(&json!({"a": "1", "b": "2", "c": "3"}));
    assert_eq!(conf.store(&wanted).unwrap(), Stored::Written);
    assert_eq!(loaded(&mut conf), wanted);
    assert_eq!(fs::read_dir(top.join("conf")).unwrap().count(), 3);
}

#[test]
fn an_edit_of_the_very_field_is_told_and_ours_stands() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch);
    scratch.write("conf/a", "1");
    scratch.write("conf/b", "1");
    loaded(&mut conf);
    scratch.write("conf/a", "local");
    scratch.write("conf/b", "local");
    let wanted = record(&json!({"a": "remote"}));
    assert_eq!(conf.store(&wanted).unwrap(), Stored::Overtaken);
    // The edits were not overwritten, and the next load finds them.
    assert_eq!(loaded(&mut conf), record(&json!({"a": "local", "b": "local"})));
}

#[test]
fn a_file_that_was_just_emptied_keeps_its_value_for_a_moment() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch);
    scratch.write("conf/a", "1");
    loaded(&mut conf);
    let file = fs::File::create(scratch.join("conf/a")).unwrap();
    for _ in 0..2 {
        let held = conf.load().unwrap();
        if held.again.is_some() {
            assert_eq!(held.record, record(&json!({"a": "1"})));
        }
    }
    expect(&mut conf, &json!({"a": ""}));
    drop(file);
    assert_eq!(conf.load().unwrap().again, None);
}

#[test]
fn directories_out_of_bounds_are_refused_as_a_whole() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch);
    scratch.write("conf/large", "x".repeat(CONF_BYTES_MAX));
    loaded(&mut conf);
    scratch.write("conf/more", "x");
    assert!(matches!(conf.load().unwrap_err().fault, Fault::TooLarge { .. }));
    fs::remove_file(scratch.join("conf/more")).unwrap();
    loaded(&mut conf);
    let deep = vec!["d"; 65].join("/");
    fs::create_dir_all(scratch.join("conf").join(&deep)).unwrap();
    assert!(matches!(conf.load().unwrap_err().fault, Fault::TooLarge { .. }));
    fs::remove_dir_all(scratch.join("conf")).unwrap();
    fs::create_dir(scratch.join("conf")).unwrap();
    for n in 0..=CONF_ENTRIES_MAX {
        fs::File::create(scratch.join(format!("conf/f{n}"))).unwrap();
    }
    assert!(matches!(conf.load().unwrap_err().fault, Fault::TooManyEntries { .. }));
    let many: Value = (0..=CONF_ENTRIES_MAX).map(|n| (format!("f{n}"), json!("x"))).collect();
    assert!(matches!(conf.store(&record(&many)).unwrap_err().fault, Fault::RecordTooLarge { .. }));
}

#[test]
fn a_file_never_gets_a_record_that_we_could_not_read_again() {
    let scratch = Scratch::new();
    let many: Value = (0..=VALUES_MAX).map(|n| (format!("f{n}"), json!("x"))).collect();
    for format in [ConfText::Json, ConfText::Yaml] {
        let mut conf = Conf::new(scratch.join("conf"), ConfFormat::Text(format));
        let fault = conf.store(&record(&many)).unwrap_err().fault;
        assert!(matches!(fault, Fault::RecordTooLarge { unit: "values", .. }), "{fault:?}");
        assert!(!scratch.join("conf").exists());
    }
}
