//! Whoever may edit a config or a znode makes things happen as fast as a tool can work.

use super::fixture::{ENTRY, JoinFixture, hostname, record};
use farm_harness::{Running, Scratch, Signal, Tool, eventually, patience};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(3);
/// How many lines one place in the code logs at once.
const LINES_MAX: usize = 500;

/// Does it again and again; returns how often.
fn flood(mut work: impl FnMut(usize)) -> usize {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < FLOOD {
        work(count);
        count += 1;
    }
    count
}

/// Exchanges two entries of a directory, by way of a hidden one.
fn exchange(dir: &Path, one: &str, other: &str) {
    let path = |name: &str| dir.join(name);
    fs::rename(path(one), path(".x")).unwrap();
    fs::rename(path(other), path(one)).unwrap();
    fs::rename(path(".x"), path(other)).unwrap();
}

/// Ends it; returns its log, in which no line stands more often than it may.
#[track_caller]
fn end(mut running: Running, cpu: Duration) -> String {
    assert!(cpu < FLOOD * 2, "{cpu:?} of CPU");
    running.signal(Signal::SIGTERM);
    let log = running.wait_exit().ok().stderr.clone();
    for line in ["skipped: ", "wrote the config", "published; ", "is left alone", "can't be read"] {
        // Those of the flood, and one a second.
        let most = LINES_MAX + 60;
        assert!(log.matches(line).count() <= most, "{line}: {}", log.matches(line).count());
    }
    log
}

#[test]
fn entries_that_change_places_all_the_time_do_not_flood_the_log() {
    let mut fixture = JoinFixture::new("flood_of_exchanges");
    fixture.dir(&[("a", "1"), ("sub/b", "2"), ("hostname", &hostname())]);
    let conf = fixture.scratch.join("conf");
    symlink("/etc", conf.join("link")).unwrap();
    let running = fixture.join("conf", &[]);
    let before = running.cpu_time();
    let exchanges = flood(|_| exchange(&conf, "sub", "link"));
    let cpu = running.cpu_time() - before;
    // Back where it was, whatever the count is.
    if exchanges % 2 == 1 {
        exchange(&conf, "sub", "link");
    }
    fixture.scratch.write("conf/a", "edited");
    // What was taken for a field while it was no link keeps its value.
    eventually("the edit arrives", || {
        let found = record(&mut fixture.zk, ENTRY)?;
        let is_right = found["a"] == "edited" && found["sub"]["b"] == "2";
        if is_right { Ok(()) } else { Err(found.to_string()) }
    });
    fixture.edit(|record| record["c"] = json!("remote"));
    fixture.wait_file("conf/c", "remote");
    let log = end(running, cpu);
    assert!(log.lines().count() < 2_000, "{exchanges} exchanges, {} lines", log.lines().count());
}

#[test]
fn while_entries_change_places_an_edit_is_published_and_term_is_heard() {
    let mut fixture = JoinFixture::new("work_in_a_flood");
    fixture.dir(&[("a", "1"), ("sub/b", "2")]);
    let conf = fixture.scratch.join("conf");
    symlink("/usr", conf.join("link")).unwrap();
    let mut running = fixture.join("conf", &[]);
    let is_over = AtomicBool::new(false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A failed assertion ends it as well, but later.
            while !is_over.load(Ordering::Relaxed) && begun.elapsed() < patience(10 * FLOOD) {
                exchange(&conf, "sub", "link");
            }
        });
        for round in 0..3 {
            fixture.scratch.write("conf/a", format!("edit {round}"));
            eventually("the edit arrives", || match record(&mut fixture.zk, ENTRY)? {
                found if found["a"] == format!("edit {round}") => Ok(()),
                found => Err(found.to_string()),
            });
        }
        let asked = Instant::now();
        running.signal(Signal::SIGTERM);
        running.wait_exit().ok();
        let took = asked.elapsed();
        is_over.store(true, Ordering::Relaxed);
        assert!(took < patience(Duration::from_secs(2)), "{took:?}");
    });
}

#[test]
fn a_config_that_is_good_and_bad_by_turns_does_not_flood_the_log() {
    let mut fixture = JoinFixture::new("flood_of_configs");
    fixture.scratch.write("conf.json", "{}");
    let running = fixture.join("conf.json", &[]);
    let before = running.cpu_time();
    flood(|count| {
        let text = if count % 2 == 0 { "{" } else { "{\"a\": 1}" };
        fixture.scratch.write("conf.json", text);
    });
    let cpu = running.cpu_time() - before;
    fixture.scratch.write("conf.json", "{\"a\": \"edited\"}");
    fixture.wait_record(json!({"a": "edited"}));
    end(running, cpu);
}

#[test]
fn a_znode_that_is_good_and_bad_by_turns_does_not_flood_the_logs() {
    let mut fixture = JoinFixture::new("flood_of_znodes");
    fixture.scratch.write("conf.json", "{}");
    let joined = fixture.join("conf.json", &[]);
    let scratch = Scratch::new();
    let tool = Tool::new("zkexport").env("ZKHOST", fixture.servers()).cwd(scratch.path());
    let exporter = tool.args(["-w", "0", "/farm", "farm.json"]).spawn();
    exporter.wait_log("the file is current");
    let before = (joined.cpu_time(), exporter.cpu_time());
    let edits = flood(|count| {
        let text =
            if count % 2 == 0 { "nonsense".to_owned() } else { format!("{{\"n\":{count}}}") };
        fixture.zk.set(ENTRY, text).unwrap();
    });
    let cpu = (joined.cpu_time() - before.0, exporter.cpu_time() - before.1);
    fixture.zk.set(ENTRY, r#"{"a":"edited"}"#).unwrap();
    fixture.wait_record(json!({"a": "edited"}));
    eventually("the edit is exported", || match scratch.read("farm.json")? {
        farm if farm.contains("edited") => Ok(()),
        farm => Err(farm),
    });
    let log = end(exporter, cpu.1);
    if log.matches("a host can't be read").count() >= LINES_MAX {
        assert!(log.contains("log lines are missing, there were too many"), "{edits} edits: {log}");
    }
    end(joined, cpu.0);
}

#[test]
fn what_is_left_out_is_counted_when_a_tool_ends_and_edits_that_are_lost_never_are() {
    let fixture = JoinFixture::new("flood_of_names");
    let (bad, lost) = (2 * LINES_MAX, 2 * LINES_MAX);
    let mut zk = fixture.new_client();
    let names = (0..bad).map(|n| (format!(".{n}"), json!("x")));
    let fields = (0..lost).map(|n| (format!("f{n}"), json!("theirs")));
    let record: serde_json::Map<_, _> = names.chain(fields).collect();
    zk.create_all("/farm/common", serde_json::Value::Object(record).to_string()).unwrap();
    for n in 0..lost {
        fixture.scratch.write(format!("conf/f{n}"), "ours");
    }
    let tool = Tool::new("zkjoin").args(["-H", &fixture.servers(), "--common", "/farm"]);
    let mut running = tool.arg(fixture.scratch.join("conf")).spawn();
    running.wait_log("wrote the config");
    running.signal(Signal::SIGTERM);
    let log = running.wait_exit().ok().stderr.clone();
    assert_eq!(log.matches("the local one is lost; field=f").count(), lost, "{log}");
    assert_eq!(log.matches("a field has no file").count(), LINES_MAX + 1, "{log}");
    let missing =
        format!("there were too many of one kind; lost={} like=\"a field", bad - LINES_MAX);
    assert!(log.contains(&missing), "{log}");
}
