//! Two sides write at the same time, and no edit is lost.

use super::*;
use crate::codec::ConfText;
use crate::model::{FieldPath, Value, merge};
use farm_harness::{Scratch, eventually};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

fn record(value: &Value) -> Record {
    Record::from_map(value.as_object().unwrap().clone())
}

/// A daemon without ZooKeeper: the remote side is a value.
struct Daemon {
    conf: Conf,
    agreed: Record,
    remote: Record,
}

impl Daemon {
    fn new(mut conf: Conf) -> Self {
        let agreed = conf.load().unwrap().record;
        Self { conf, remote: agreed.clone(), agreed }
    }

    fn change(&mut self, field: &str, value: Value) {
        self.remote.set(&FieldPath::parse(field).unwrap(), value).unwrap();
    }

    /// Merges again and again, until both sides are `wanted`.
    fn merge_until(&mut self, wanted: &Value, what: &str) {
        let wanted = record(wanted);
        eventually(what, || {
            let mut seen = String::new();
            for _ in 0..200 {
                seen = match self.conf.load() {
                    Ok(loaded) => self.merge(&loaded.record),
                    Err(e) => e.to_string(),
                };
                if self.agreed == wanted {
                    return Ok(());
                }
            }
            Err(seen)
        });
    }

    fn merge(&mut self, local: &Record) -> String {
        let merged = merge(&self.agreed, local, &self.remote).record;
        let stored = self.conf.store(&merged).unwrap();
        if stored != Stored::Overtaken {
            self.agreed = merged.clone();
            self.remote = merged.clone();
        }
        format!("{stored:?} {local:?} {merged:?}")
    }
}

/// About the time to read and write a config, so the two sides collide at every step.
const COLLISION_US: u64 = 2000;

/// Waits for a time that is far shorter than the delay of a sleeping thread.
fn spin(micros: u64) {
    let until = Instant::now() + Duration::from_micros(micros);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// One thread edits a file as scripts do, while another one, the daemon, merges remote
/// changes; no edit is lost.
fn hammer(rounds: u64, edit: impl Fn(&Path, &str) + Send + 'static) {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let scratch = Scratch::new();
    let path = scratch.write("conf.json", "{\"local\": 0, \"remote\": 0}");
    // A machine under load may stop any of the threads for more than a second.
    let file = ConfFile::new(path.clone(), ConfText::Json).with_long_span();
    let mut daemon = Daemon::new(Conf { shape: Shape::File(file) });
    let (order, orders) = std::sync::mpsc::channel::<(String, u64)>();
    let editor = crate::engine::Worker::start("editor", move || {
        for (text, delay) in orders {
            spin(delay);
            edit(&path, &text);
        }
    })
    .unwrap();
    // The sender is dropped first, which ends the thread.
    let (order, _editor) = &(order, editor);
    for round in 1..=rounds {
        // The editor has read the file before this round.
        let text = format!("{{\"local\": {round}, \"remote\": {}}}", round - 1);
        order.send((text, rng.u64(..COLLISION_US))).unwrap();
        daemon.change("remote", json!(round));
        spin(rng.u64(..COLLISION_US));
        let what = format!("round {round} is on both sides, seed {seed}");
        daemon.merge_until(&json!({"local": round, "remote": round}), &what);
    }
    assert_eq!(hidden_names(scratch.path()), [] as [&str; 0], "seed {seed}");
}

fn hidden_names(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".zk-")).collect()
}

#[test]
fn a_thousand_edits_in_place_and_a_thousand_of_ours_all_survive() {
    hammer(1000, |path, text| {
        let mut file = fs::File::create(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    });
}

#[test]
fn edits_in_two_halves_survive_too() {
    hammer(300, |path, text| {
        let mut file = fs::File::create(path).unwrap();
        let (one, two) = text.as_bytes().split_at(text.len() / 2);
        file.write_all(one).unwrap();
        spin(1000);
        file.write_all(two).unwrap();
    });
}

#[test]
fn edits_that_are_renamed_into_place_survive_too() {
    hammer(1000, |path, text| {
        let temporary = path.with_extension("tmp");
        fs::File::create(&temporary).unwrap().write_all(text.as_bytes()).unwrap();
        fs::rename(&temporary, path).unwrap();
    });
}

/// One thread saves fields as `echo > file` does, while a daemon writes other fields.
#[test]
fn a_thousand_local_and_remote_fields_of_a_directory_all_survive() {
    let scratch = Scratch::new();
    scratch.write("conf/local", "0");
    let mut daemon = Daemon::new(Conf::new(scratch.join("conf"), ConfFormat::Dir));
    let path = scratch.join("conf/local");
    let (order, orders) = std::sync::mpsc::channel::<u64>();
    let editor = crate::engine::Worker::start("editor", move || {
        for round in orders {
            fs::File::create(&path).unwrap().write_all(round.to_string().as_bytes()).unwrap();
        }
    })
    .unwrap();
    let (order, _editor) = &(order, editor);
    for round in 1..=1000_u64 {
        order.send(round).unwrap();
        daemon.change("remote", json!(round));
        let wanted = json!({"local": round.to_string(), "remote": round});
        daemon.merge_until(&wanted, &format!("round {round} is on both sides"));
    }
    assert_eq!(hidden_names(&scratch.join("conf")), [] as [&str; 0]);
}
