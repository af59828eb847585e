use super::*;
use farm_core::files::error::Fault;
use farm_core::model::{HostName, Record};
use farm_harness::Scratch;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

fn farm(hosts: &Value) -> Farm {
    let mut farm = Farm::default();
    for (name, record) in hosts.as_object().unwrap() {
        let record = Record::from_map(record.as_object().unwrap().clone());
        farm.insert(HostName::parse(name).unwrap(), record);
    }
    farm
}

fn claim(path: &Path, adopt: bool) -> Result<ExportDir, FileError> {
    ExportDir::claim(path, adopt, WriteOptions::default())
}

/// All names below the directory, hidden ones too, files with their contents.
fn listing(path: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut left = vec![path.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let at = entry.unwrap().path();
            let name = at.strip_prefix(path).unwrap().display().to_string();
            if fs::symlink_metadata(&at).unwrap().is_dir() {
                all.push(format!("{name}/"));
                left.push(at);
            } else if name != MARKER_FILE {
                all.push(format!("{name}={}", fs::read_to_string(&at).unwrap_or_default()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_farm_is_a_directory_per_host_and_only_what_differs_is_written() {
    let scratch = Scratch::new();
    let path = scratch.join("farm");
    let mut export = claim(&path, false).unwrap();
    let first = json!({"db1": {"enabled": "1", "mysql": {"delay": 5, "old": "x"}}, "db2": {}});
    assert_eq!(export.store(&farm(&first)).unwrap(), Replaced::Written);
    let wanted =
        ["db1/", "db1/enabled=1", "db1/mysql/", "db1/mysql/delay=5", "db1/mysql/old=x", "db2/"];
    assert_eq!(listing(&path), wanted);
    assert_eq!(export.store(&farm(&first)).unwrap(), Replaced::Unchanged);

    let inode = fs::metadata(path.join("db1/enabled")).unwrap().ino();
    let second = json!({"db1": {"enabled": "1", "mysql": "gone"}, "db3": {"list": [1, null]}});
    assert_eq!(export.store(&farm(&second)).unwrap(), Replaced::Written);
    let wanted = ["db1/", "db1/enabled=1", "db1/mysql=gone", "db3/", "db3/list=[1,null]"];
    assert_eq!(listing(&path), wanted);
    assert_eq!(fs::metadata(path.join("db1/enabled")).unwrap().ino(), inode);
    assert_eq!(export.store(&farm(&first)).unwrap(), Replaced::Written);
    assert_eq!(export.store(&farm(&json!({}))).unwrap(), Replaced::Written);
    assert_eq!(listing(&path), Vec::<String>::new());
}

#[test]
fn a_directory_without_our_marker_is_left_alone_unless_adopted() {
    let scratch = Scratch::new();
    scratch.write("etc/passwd", "root");
    scratch.write("hidden/.profile", "x");
    scratch.write("file", "x");
    for name in ["etc", "hidden"] {
        let path = scratch.join(name);
        let before = listing(&path);
        assert!(matches!(claim(&path, false).unwrap_err().fault, Fault::NotOurs { .. }), "{name}");
        assert_eq!(listing(&path), before);
        assert!(!path.join(MARKER_FILE).exists());
    }
    let file = scratch.join("file");
    assert!(matches!(claim(&file, true).unwrap_err().fault, Fault::NotADirectory));
    let deep = scratch.join("none/deeper");
    assert!(claim(&deep, false).unwrap_err().is_missing());

    let path = scratch.join("etc");
    let mut export = claim(&path, true).unwrap();
    export.store(&farm(&json!({"db1": {"a": "1"}}))).unwrap();
    assert_eq!(listing(&path), ["db1/", "db1/a=1"]);
    drop(claim(&path, false).unwrap());
}

#[test]
fn a_directory_that_lost_its_marker_is_not_written() {
    let scratch = Scratch::new();
    let path = scratch.join("farm");
    let mut export = claim(&path, false).unwrap();
    fs::remove_dir_all(&path).unwrap();
    scratch.write("farm/precious", "x");
    export.store(&farm(&json!({"db1": {"a": "1"}}))).unwrap_err();
    assert_eq!(listing(&path), ["precious=x"]);
}

#[test]
fn names_and_links_never_lead_out_of_the_directory() {
    let scratch = Scratch::new();
    scratch.write("outside/victim", "precious");
    let path = scratch.join("farm");
    let mut export = claim(&path, false).unwrap();
    fs::create_dir(path.join("db1")).unwrap();
    symlink(scratch.join("outside"), path.join("db1/mysql")).unwrap();
    symlink(scratch.join("outside/victim"), path.join("db1/enabled")).unwrap();
    symlink(scratch.join("outside"), path.join("stray")).unwrap();
    let hostile = json!({"db1": {
        "../../outside/victim": "1", "..": {"outside": {"victim": "2"}}, "/etc/x": "3", "": "4",
        "mysql": {"victim": "5"}, "enabled": "1", ".zkexport": "6",
    }});
    export.store(&farm(&hostile)).unwrap();
    assert_eq!(scratch.read("outside/victim").unwrap(), "precious");
    assert_eq!(
        listing(&path),
        ["db1/", "db1/enabled=1", "db1/mysql/", "db1/mysql/victim=5", "stray="]
    );
    // The same when they are removed.
    export.store(&farm(&json!({}))).unwrap();
    assert_eq!(scratch.read("outside/victim").unwrap(), "precious");
}

#[test]
fn hidden_files_stay_and_keep_their_directory() {
    let scratch = Scratch::new();
    let path = scratch.join("farm");
    let mut export = claim(&path, false).unwrap();
    export.store(&farm(&json!({"db1": {"a": {"b": "1"}}}))).unwrap();
    scratch.write("farm/db1/a/.keep", "mine");
    export.store(&farm(&json!({"db1": {"a": "2", "c": "3"}}))).unwrap();
    assert_eq!(listing(&path), ["db1/", "db1/a/", "db1/a/.keep=mine", "db1/c=3"]);
    export.store(&farm(&json!({}))).unwrap();
    assert_eq!(listing(&path), ["db1/", "db1/a/", "db1/a/.keep=mine"]);
}

fn preview(path: &Path, adopt: bool, farm: &Farm) -> Result<Vec<Change>, FileError> {
    let mut changes = Vec::new();
    let show = |change| {
        changes.push(change);
        Ok(())
    };
    super::preview(path, adopt, farm, show).map(|()| changes)
}

fn lines(changes: &[Change]) -> Vec<String> {
    let text = |bytes: &Option<Vec<u8>>| {
        let text = bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        text.unwrap_or_else(|| "-".to_owned())
    };
    let line = |Change { path, before, after }: &Change| {
        format!("{} {}>{}", path.display(), text(before), text(after))
    };
    changes.iter().map(line).collect()
}

#[test]
fn a_preview_shows_what_a_store_changes() {
    let scratch = Scratch::new();
    let path = scratch.join("db");
    let old = farm(&json!({"a": {"x": "1", "deep": {"y": "2"}}, "b": {}, "c": {"only": "1"}}));
    let new = farm(&json!({"a": {"x": "3", "deep": {"y": "2"}}, "b": {"n": 1}, "d": {}}));
    let before = preview(&path, false, &old).unwrap();
    assert_eq!(lines(&before), ["a/deep/y ->2", "a/x ->1", "b/ ->", "c/only ->1"]);
    assert!(!path.exists(), "the preview touches nothing");
    claim(&path, false).unwrap().store(&old).unwrap();
    assert_eq!(preview(&path, false, &old).unwrap(), []);
    let change = preview(&path, false, &new).unwrap();
    assert_eq!(lines(&change), ["a/x 1>3", "b/n ->1", "c/only 1>-", "d/ ->"]);
    claim(&path, false).unwrap().store(&new).unwrap();
    assert_eq!(preview(&path, false, &new).unwrap(), []);
    assert_eq!(
        lines(&preview(&path, false, &farm(&json!({"b": {"n": 1}}))).unwrap()),
        ["a/deep/y 2>-", "a/x 3>-", "d/ >-"]
    );
}

#[test]
fn a_preview_of_a_foreign_directory_needs_adopt() {
    let scratch = Scratch::new();
    scratch.write("etc/passwd", "root");
    scratch.write("etc/.hidden", "x");
    let etc = scratch.join("etc");
    assert!(matches!(preview(&etc, false, &Farm::new()).unwrap_err().fault, Fault::NotOurs { .. }));
    assert_eq!(lines(&preview(&etc, true, &Farm::new()).unwrap()), ["passwd root>-"]);
    let file = etc.join("passwd");
    assert!(matches!(preview(&file, true, &Farm::new()).unwrap_err().fault, Fault::NotADirectory));
    assert!(!etc.join(MARKER_FILE).exists());
}
