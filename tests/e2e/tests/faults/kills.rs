//! Tools that are killed (`kill -9`) at any moment while they write files.

use crate::join::fixture::{ENTRY, JoinFixture, edit};
use farm_harness::{Ensemble, Running, Scratch, Tool, Zk, eventually, holds_for};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ROUNDS: u64 = 25;
const MOMENT_MS: u64 = 120;

/// All files below a directory whose names satisfy a condition.
fn files(dir: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let (mut found, mut left) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            // It may be gone by now.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            }
            if is_wanted(&entry.file_name().to_string_lossy()) {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found
}

fn temporary(dir: &Path) -> Vec<String> {
    files(dir, |name| name.starts_with(".zk-"))
}

/// Waits for less time than a tool takes for a write or two.
fn pause(rng: &mut fastrand::Rng) {
    std::thread::park_timeout(Duration::from_micros(rng.u64(..4000)));
}

/// Kills the tool at a random moment, while `edits` are made one after the other. Returns the
/// numbers of the last ones.
fn kill_during<const N: usize>(
    running: &mut Running,
    round: u64,
    rng: &mut fastrand::Rng,
    edits: [&mut (dyn FnMut(u64) + Send); N],
) -> [u64; N] {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let is_over = &is_over;
        let editors = edits.map(|edit| {
            let mut rng = rng.fork();
            scope.spawn(move || {
                let mut number = round * 100_000;
                while number == round * 100_000 || !is_over.load(Ordering::Relaxed) {
                    number += 1;
                    edit(number);
                    pause(&mut rng);
                }
                number
            })
        });
        holds_for(Duration::from_millis(rng.u64(..MOMENT_MS)), "edits go on", || {
            Ok::<_, String>(())
        });
        running.kill9();
        is_over.store(true, Ordering::Relaxed);
        editors.map(|editor| editor.join().unwrap())
    })
}

/// Kills zkjoin again and again, while both sides are edited. `edit_local` sets the fields `l`, and
/// `both`, which is edited on the remote side too; `read_local` reads a field.
fn no_edit_is_lost(
    test: &str,
    conf: &str,
    edit_local: impl Fn(&JoinFixture, u64) + Sync,
    read_local: impl Fn(&JoinFixture, &str) -> Option<String>,
) {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let fixture = JoinFixture::new(test);
    fixture.dir(&[("l", "0"), ("r", "0"), ("both", "0"), ("sub/r", "0")]);
    fixture.scratch.write("db.json", r#"{"l": 0, "r": 0, "both": 0, "sub": {"r": 0}}"#);
    let mut running = fixture.join(conf, &[]);
    let (mut left_over, mut kept_edits) = (0, 0);
    for round in 1..=ROUNDS {
        let mut remote: Zk = fixture.new_client();
        let mut edit_remote = |number| {
            edit(&mut remote, ENTRY, |record| {
                record["r"] = json!(number);
                record["sub"]["r"] = json!(number);
                record["both"] = json!(number);
            });
        };
        let [local, remote] = kill_during(
            &mut running,
            round,
            &mut rng,
            [&mut |number| edit_local(&fixture, number), &mut edit_remote],
        );
        left_over += usize::from(!temporary(fixture.scratch.path()).is_empty());
        running = fixture.join(conf, &[]);
        let what = format!("round {round} of seed {seed}");
        eventually(&format!("no temporary file is left, {what}"), || {
            match temporary(fixture.scratch.path()) {
                names if names.is_empty() => Ok(()),
                names => Err(names.join(" ")),
            }
        });
        let log = running.stderr();
        let kept = files(fixture.scratch.path(), |name| name.ends_with('~'));
        for path in &kept {
            assert!(log.contains(path), "{path} is not named, {what}\n{log}");
        }
        let has = |number: u64| {
            let number = number.to_string();
            let is_in = |path: &String| fs::read_to_string(path).unwrap().contains(&number);
            kept.iter().any(is_in)
        };
        // What zkjoin writes while it starts is atomic, and does not change these fields.
        let found = read_local(&fixture, "l");
        assert!(
            found == Some(local.to_string()) || has(local),
            "l={local} {found:?}, {what}\n{log}"
        );
        for field in ["r", "sub.r"] {
            let found = read_local(&fixture, field);
            let is_logged = log.lines().any(|line| {
                line.contains("the remote one is lost") && line.contains(&remote.to_string())
            });
            assert!(
                found == Some(remote.to_string()) || is_logged,
                "{field}={remote} {found:?}, {what}\n{log}"
            );
        }
        kept_edits += kept.len();
        for path in kept {
            fs::remove_file(path).unwrap();
        }
    }
    // So the kills did hit writes.
    assert!(left_over > 0, "seed {seed}");
    print(&format!(
        "{test}: {left_over} of {ROUNDS} kills left files, {kept_edits} edits were kept"
    ));
}

#[expect(clippy::print_stderr, reason = "the test's own output, shown on demand")]
fn print(text: &str) {
    eprintln!("{text}");
}

fn read_json(fixture: &JoinFixture, field: &str) -> Option<String> {
    let record = fixture.json("db.json").unwrap();
    let value = field.split('.').fold(&record, |value, key| &value[key]);
    (!value.is_null()).then(|| value.to_string())
}

/// Changes the field `l` of the file, as it is now.
fn edited(fixture: &JoinFixture, number: u64) -> String {
    let mut record: Value = fixture.json("db.json").unwrap();
    record["l"] = json!(number);
    record["both"] = json!(number);
    record.to_string()
}

#[test]
fn a_zkjoin_that_is_killed_loses_no_edit_that_is_renamed_into_place() {
    let edit = |fixture: &JoinFixture, number| {
        fixture.replace("db.json", &edited(fixture, number));
    };
    no_edit_is_lost("killed_renames", "db.json", edit, read_json);
}

#[test]
fn a_zkjoin_that_is_killed_loses_no_edit_in_place() {
    let edit = |fixture: &JoinFixture, number| {
        fixture.scratch.write("db.json", edited(fixture, number));
    };
    no_edit_is_lost("killed_in_place", "db.json", edit, read_json);
}

#[test]
fn a_zkjoin_that_is_killed_loses_no_edit_of_a_directory() {
    let edit = |fixture: &JoinFixture, number: u64| {
        fixture.scratch.write("conf/l", number.to_string());
        fixture.scratch.write("conf/both", number.to_string());
    };
    let read = |fixture: &JoinFixture, field: &str| {
        fixture.scratch.read(format!("conf/{}", field.replace('.', "/"))).ok()
    };
    no_edit_is_lost("killed_directory", "conf", edit, read);
}

/// Kills zkexport again and again, while the farm changes; the next start leaves no temporary
/// file.
fn nothing_stays(test: &str, conf: &str, args: &[&str]) {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let chroot = Ensemble::shared().chroot(test);
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    zk.create_all("/farm", "").unwrap();
    for host in 0..10 {
        zk.create(&format!("/farm/host-{host}"), "{}").unwrap();
    }
    let tool = || {
        let tool = Tool::new("zkexport").args(["-H", &chroot.connect_string(), "-w", "1ms:5ms"]);
        tool.args(["/farm", conf]).args(args).cwd(scratch.path())
    };
    let mut left_over = 0;
    for round in 1..=ROUNDS {
        let mut running = tool().spawn();
        running.wait_log("the file is current");
        let mut change = |number: u64| {
            let record = json!({"a": number, "b": {"c": {"d": number}, "e": number}});
            zk.set(&format!("/farm/host-{}", number % 10), record.to_string()).unwrap();
        };
        kill_during(&mut running, round, &mut rng, [&mut change]);
        left_over += usize::from(!temporary(scratch.path()).is_empty());
        // The check may be stuck in this round; the next start must not wait for it.
        tool().arg("--once").run().ok();
        let what = format!("round {round} of seed {seed}");
        assert_eq!(temporary(scratch.path()), [] as [&str; 0], "{what}");
    }
    assert!(left_over > 0, "seed {seed}");
    print(&format!("{test}: {left_over} of {ROUNDS} kills left files"));
}

#[test]
fn a_zkexport_that_is_killed_leaves_nothing_after_the_next_start() {
    nothing_stays("killed_export", "farm.json", &[]);
}

#[test]
fn a_zkexport_that_is_killed_during_its_check_leaves_nothing_after_the_next_start() {
    nothing_stays("killed_check", "farm.json", &["--check-cmd", "sleep 0.02; test -s {}"]);
}

#[test]
fn a_zkexport_that_is_killed_leaves_nothing_in_a_directory_and_below() {
    nothing_stays("killed_export_dir", "farm", &["-f", "dir"]);
}

#[test]
fn a_staged_file_is_never_more_readable_than_the_file_will_be() {
    let chroot = Ensemble::shared().chroot("staged_mode");
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    zk.create_all("/farm/host", r#"{"password": "secret"}"#).unwrap();
    for (mode, args) in [(0o600, &["--mode", "600"][..]), (0o640, &[])] {
        let old = scratch.write("farm.json", "{}");
        fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let check = "stat -c %a {} > mode; sleep 1000";
        let tool = Tool::new("zkexport").args(["-H", &chroot.connect_string(), "/farm"]);
        let tool = tool.args(["farm.json", "--check-cmd", check]).args(args).cwd(scratch.path());
        let mut running = tool.spawn();
        eventually(&format!("the mode is {mode:o}"), || match scratch.read("mode")? {
            seen if seen == format!("{mode:o}\n") => Ok(()),
            seen => Err(seen),
        });
        running.kill9();
        for path in temporary(scratch.path()) {
            let found = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap()) & 0o777;
            assert_eq!(found & !mode, 0, "{path} {found:o}");
        }
        fs::remove_file(scratch.join("mode")).unwrap();
    }
}
