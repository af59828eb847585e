mod checked;
mod unread;

use super::*;
use farm_core::model::{Filter, Record, Value};
use fastrand::Rng;
use serde_json::json;
use std::collections::BTreeMap;

const WAIT: Wait = Wait { min: Duration::from_millis(50), max: Duration::from_millis(500) };

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

fn record(value: &Value) -> Record {
    Record::from_map(value.as_object().unwrap().clone())
}

/// A mirror with the farm that it follows, a clock, and a store that can fail.
struct Fixture {
    mirror: Mirror,
    farm: Farm,
    start: Instant,
    now_ms: u64,
    is_broken: bool,
    /// Stores are staged, and the test answers for the check.
    is_checking: bool,
    staged: Option<Arc<Farm>>,
    file: Option<Value>,
    /// The actions since the last [`Fixture::take_done`].
    done: Vec<String>,
    left_ms: BTreeMap<String, u64>,
}

impl Fixture {
    fn new(filter: Option<&str>) -> Self {
        Self::with_hosts_min(filter, 0)
    }

    fn with_hosts_min(filter: Option<&str>, hosts_min: usize) -> Self {
        let filter = filter.map(|text| Filter::parse(text).unwrap());
        Self {
            mirror: Mirror::new(WAIT, View { filter, fields: None }, hosts_min),
            farm: Farm::new(),
            start: Instant::now(),
            now_ms: 0,
            is_broken: false,
            is_checking: false,
            staged: None,
            file: None,
            done: Vec::new(),
            left_ms: BTreeMap::new(),
        }
    }

    /// The file has hosts `a` and `b` since a second ago.
    fn live() -> Self {
        let mut fixture = Self::new(None);
        fixture.farm.insert(host("a"), record(&json!({"n": 1})));
        fixture.farm.insert(host("b"), record(&json!({"n": 2})));
        fixture.step(Event::Complete);
        assert_eq!(fixture.take_done(), ["0 store a=1 b=2", "0 start"]);
        fixture.now_ms = 1000;
        fixture
    }

    fn step(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let now = self.start + Duration::from_millis(self.now_ms);
            for action in self.mirror.step(now, &event, &self.farm) {
                let at = self.now_ms;
                match action {
                    Action::Store(_) if self.is_broken => {
                        self.done.push(format!("{at} try"));
                        events.push(Event::Failed);
                    }
                    Action::Store(farm) if self.is_checking => {
                        self.done.push(format!("{at} stage {}", text(&farm)));
                        self.staged = Some(farm);
                    }
                    Action::Install => {
                        let farm = self.staged.take().expect("something is staged");
                        self.done.push(format!("{at} install {}", text(&farm)));
                        self.file = Some(farm_value(&farm));
                        events.push(Event::Stored { is_written: true });
                    }
                    Action::Discard => self.done.push(format!("{at} discard")),
                    Action::ReportTooFew { count } => {
                        self.done.push(format!("{at} too-few {count}"));
                    }
                    Action::ReportNoRecord { count } => {
                        self.done.push(format!("{at} no-record {count}"));
                    }
                    Action::ReportRecords => self.done.push(format!("{at} records")),
                    Action::ReportEnough => self.done.push(format!("{at} enough")),
                    Action::Store(farm) => {
                        self.done.push(format!("{at} store {}", text(&farm)));
                        let new = farm_value(&farm);
                        self.check_missing_hosts(&new);
                        let is_written = self.file.replace(new.clone()) != Some(new);
                        events.push(Event::Stored { is_written });
                    }
                    Action::AnnounceStart(_) => self.done.push(format!("{at} start")),
                    Action::AnnounceChange(_) => self.done.push(format!("{at} announce")),
                    Action::ReportFailing => self.done.push(format!("{at} failing")),
                    Action::ReportRecovered => self.done.push(format!("{at} recovered")),
                }
            }
        }
    }

    /// A host may leave the file only if it has been gone for long enough.
    fn check_missing_hosts(&self, new: &Value) {
        for (name, left_ms) in &self.left_ms {
            let was_shown = self.file.as_ref().is_some_and(|file| file.get(name).is_some());
            if was_shown && new.get(name).is_none() {
                assert!(left_ms + 50 <= self.now_ms, "{name} is gone since {left_ms}");
            }
        }
    }

    /// Advances the clock, with the ticks that are due until then.
    fn wait_until(&mut self, until_ms: u64) {
        while let Some(due) = self.mirror.deadline() {
            let due = due.saturating_duration_since(self.start);
            let due_ms = u64::try_from(due.as_nanos().div_ceil(1_000_000)).unwrap();
            if due_ms > until_ms {
                break;
            }
            self.now_ms = due_ms.max(self.now_ms);
            self.step(Event::Tick);
        }
        self.now_ms = until_ms;
    }

    fn set(&mut self, at_ms: u64, name: &str, n: u64) {
        self.wait_until(at_ms);
        self.left_ms.remove(name);
        self.farm.insert(host(name), record(&json!({"n": n})));
        self.step(Event::Changed(host(name)));
    }

    fn remove(&mut self, at_ms: u64, name: &str) {
        self.wait_until(at_ms);
        self.left_ms.insert(name.to_owned(), at_ms);
        self.farm.remove(name);
        self.step(Event::Changed(host(name)));
    }

    fn take_done(&mut self) -> Vec<String> {
        std::mem::take(&mut self.done)
    }
}

fn text(farm: &Farm) -> String {
    let hosts =
        farm.iter().map(|(name, record)| format!("{name}={}", record.unpack().as_map()["n"]));
    hosts.collect::<Vec<_>>().join(" ")
}

fn farm_value(farm: &Farm) -> Value {
    farm.iter().map(|(name, record)| (name.to_string(), json!(record.unpack().as_map()))).collect()
}

#[test]
fn nothing_is_stored_before_the_farm_is_complete() {
    let mut fixture = Fixture::new(None);
    fixture.set(0, "a", 1);
    fixture.step(Event::Unknown);
    fixture.step(Event::Refresh);
    fixture.wait_until(5000);
    assert_eq!(fixture.take_done(), Vec::<String>::new());
    assert!(!fixture.mirror.is_stored());
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["5000 store a=1", "5000 start"]);
}

#[test]
fn the_first_change_after_a_pause_is_stored_at_once() {
    let mut fixture = Fixture::live();
    fixture.set(1000, "a", 7);
    assert_eq!(fixture.take_done(), ["1000 store a=7 b=2", "1000 announce"]);
    fixture.set(1050, "c", 3);
    assert_eq!(fixture.take_done(), ["1050 store a=7 b=2 c=3", "1050 announce"]);
    assert_eq!(fixture.mirror.deadline(), None);
}

#[test]
fn changes_that_follow_are_gathered_until_there_are_no_more() {
    let mut fixture = Fixture::live();
    fixture.set(1000, "a", 7);
    fixture.set(1010, "a", 8);
    fixture.set(1040, "b", 9);
    fixture.wait_until(1200);
    assert_eq!(
        fixture.take_done(),
        ["1000 store a=7 b=2", "1000 announce", "1090 store a=8 b=9", "1090 announce"]
    );
}

#[test]
fn a_stream_of_changes_is_stored_at_least_every_max() {
    let mut fixture = Fixture::live();
    for n in 0..100 {
        fixture.set(1000 + n * 20, "a", 100 + n);
    }
    fixture.wait_until(4000);
    let stores: Vec<u64> = fixture
        .take_done()
        .iter()
        .filter(|line| line.contains("store"))
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    // At once, then 500 ms after the first change that is not stored yet.
    assert_eq!(stores, [1000, 1520, 2020, 2520, 3020]);
}

#[test]
fn a_host_that_registers_again_never_leaves_the_file() {
    let mut fixture = Fixture::live();
    fixture.remove(1000, "a");
    fixture.set(1049, "a", 1);
    fixture.wait_until(3000);
    assert_eq!(fixture.take_done(), Vec::<String>::new());
    fixture.remove(3000, "a");
    fixture.set(3020, "b", 5);
    fixture.set(3030, "a", 6);
    fixture.wait_until(4000);
    assert_eq!(fixture.take_done(), ["3080 store a=6 b=5", "3080 announce"]);
}

#[test]
fn hosts_that_register_again_one_after_the_other_cause_no_store() {
    let mut fixture = Fixture::live();
    // At any time one of the two is gone, but neither for long.
    for round in 0..50 {
        let at_ms = 1000 + round * 40;
        fixture.remove(at_ms, "a");
        if round > 0 {
            fixture.set(at_ms + 10, "b", 2);
        }
        fixture.remove(at_ms + 20, "b");
        fixture.set(at_ms + 30, "a", 1);
    }
    fixture.set(3000, "b", 2);
    fixture.wait_until(5000);
    assert_eq!(fixture.take_done(), Vec::<String>::new());
}

#[test]
fn a_host_that_left_is_gone_after_min() {
    let mut fixture = Fixture::live();
    fixture.remove(1000, "a");
    fixture.wait_until(2000);
    assert_eq!(fixture.take_done(), ["1050 store b=2", "1050 announce"]);
}

#[test]
fn a_host_that_left_just_before_max_stays_for_its_own_min() {
    let mut fixture = Fixture::live();
    fixture.set(1000, "b", 3);
    for n in 0..13 {
        fixture.set(1010 + n * 40, "b", 10 + n);
    }
    fixture.remove(1500, "a");
    fixture.wait_until(3000);
    assert_eq!(
        fixture.take_done(),
        [
            "1000 store a=1 b=3",
            "1000 announce",
            "1510 store a=1 b=22",
            "1510 announce",
            "1550 store b=22",
            "1550 announce"
        ]
    );
}

#[test]
fn a_host_that_the_filter_drops_leaves_at_once_and_filtered_hosts_cause_no_store() {
    let mut fixture = Fixture::new(Some("n<10"));
    fixture.farm.insert(host("a"), record(&json!({"n": 1})));
    fixture.farm.insert(host("z"), record(&json!({"n": 50})));
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["0 store a=1", "0 start"]);
    fixture.set(1000, "z", 60);
    fixture.remove(1001, "z");
    fixture.set(1002, "a", 11);
    assert_eq!(fixture.take_done(), ["1002 store ", "1002 announce"]);
}

#[test]
fn the_file_stays_while_the_farm_is_unknown_and_catches_up_afterwards() {
    let mut fixture = Fixture::live();
    fixture.remove(1000, "a");
    fixture.step(Event::Unknown);
    assert!(!fixture.mirror.is_current());
    fixture.set(1100, "b", 9);
    fixture.wait_until(9000);
    assert_eq!(fixture.take_done(), Vec::<String>::new());
    fixture.step(Event::Complete);
    fixture.wait_until(9500);
    assert_eq!(fixture.take_done(), ["9000 store b=9", "9000 announce"]);
}

#[test]
fn hosts_that_are_missing_after_an_outage_have_min_to_come_back() {
    let mut fixture = Fixture::live();
    fixture.step(Event::Unknown);
    fixture.farm.remove("a");
    fixture.farm.remove("b");
    fixture.step(Event::Complete);
    fixture.set(1030, "b", 2);
    fixture.wait_until(2000);
    assert_eq!(fixture.take_done(), ["1050 store b=2", "1050 announce"]);
}

#[test]
fn an_outage_without_a_change_stores_nothing() {
    let mut fixture = Fixture::live();
    fixture.step(Event::Unknown);
    fixture.step(Event::Complete);
    fixture.wait_until(2000);
    assert_eq!(fixture.take_done(), Vec::<String>::new());
    assert!(fixture.mirror.is_current());
}

#[test]
fn refresh_stores_again_and_announces_only_what_was_written() {
    let mut fixture = Fixture::live();
    fixture.step(Event::Refresh);
    fixture.step(Event::Unknown);
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["1000 store a=1 b=2"]);
    fixture.file = None;
    fixture.step(Event::Refresh);
    fixture.step(Event::Unknown);
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["1000 store a=1 b=2", "1000 announce"]);
}

#[test]
fn a_store_that_fails_is_reported_once_and_retried_until_it_succeeds() {
    let mut fixture = Fixture::live();
    fixture.is_broken = true;
    fixture.set(1000, "a", 5);
    fixture.wait_until(60_000);
    fixture.set(60_001, "b", 6);
    let done = fixture.take_done();
    assert_eq!(done[..2], ["1000 try", "1000 failing"]);
    assert!((4..15).contains(&done.len()), "{done:?}");
    assert!(done[2..].iter().all(|line| line.ends_with("try")), "{done:?}");
    fixture.is_broken = false;
    fixture.wait_until(100_000);
    let done = fixture.take_done();
    assert!(done[0].ends_with("store a=5 b=6"), "{done:?}");
    assert!(done[1].ends_with("recovered") && done[2].ends_with("announce"), "{done:?}");
    assert!(fixture.mirror.is_current());
}

#[test]
fn a_first_store_that_fails_announces_the_start_when_it_succeeds() {
    let mut fixture = Fixture::new(None);
    fixture.is_broken = true;
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["0 try", "0 failing"]);
    fixture.is_broken = false;
    fixture.wait_until(1000);
    let done = fixture.take_done();
    assert!(done[1].ends_with("recovered") && done[2].ends_with("start"), "{done:?}");
}

#[test]
fn the_file_follows_random_changes_within_its_bounds() {
    for seed in farm_harness::seeds(300) {
        let mut rng = Rng::with_seed(seed);
        let mut fixture = Fixture::live();
        let mut at_ms = 1000;
        for n in 0..200 {
            let pause_ms_max = rng.u64(1..80);
            at_ms += rng.u64(0..pause_ms_max);
            let name = ["a", "b", "c"][rng.usize(..3)];
            if fixture.farm.get(name).is_some() && rng.bool() {
                fixture.remove(at_ms, name);
            } else {
                fixture.set(at_ms, name, n);
            }
        }
        fixture.wait_until(at_ms + 500);
        assert_eq!(fixture.file, Some(farm_value(&fixture.farm)), "seed {seed}");
        assert_eq!(fixture.mirror.deadline(), None, "seed {seed}");
    }
}
