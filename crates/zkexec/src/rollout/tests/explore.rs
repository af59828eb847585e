//! All that can happen to a group of three members, as far as it is in the model.
//!
//! The rollouts and the functions that change what is known of a version are the real ones; the
//! rest of each process and ZooKeeper are modelled. See [`Scenario`] for what is left out.

mod check;
mod fingerprint;
mod member;
mod moves;
mod perform;
mod scenario;
mod search;
mod world;
mod zookeeper;

use super::*;
use scenario::{Content as Published, Quality, Scenario};
use std::io::Write;

/// Set to `all`, it has [`the_group_is_well_in_all_states`] look at everything.
const EXTENT: &str = "FARM_EXPLORE";

/// The most states of one scenario that are looked at: some 5 GB.
const STATES_MAX: usize = 25_000_000;

const NEW: &[Published] = &[Published::New];
const NEWER: &[Published] = &[Published::New, Published::Newer];
const TAKEN_BACK: &[Published] = &[Published::New, Published::Old];
const NOTHING: &[Published] = &[Published::Old];

const START: Scenario = Scenario::new();

/// The qualities of new content, with what may follow if it fails.
const CASES: [(Quality, OnFailure); 5] = [
    (Quality::Good, OnFailure::Hold),
    (Quality::Exits, OnFailure::Hold),
    (Quality::Exits, OnFailure::RollBack),
    (Quality::Hangs, OnFailure::Hold),
    (Quality::Hangs, OnFailure::RollBack),
];

/// All cases, with one holder and with two, and that many faults and commands.
fn cases(published: &'static [Published], faults: u8, commands: u8) -> Vec<Scenario> {
    let both = [1, 2].into_iter().flat_map(|holders| CASES.map(|case| (holders, case)));
    both.map(|(holders, (quality, on_failure))| Scenario {
        holders,
        published,
        quality,
        on_failure,
        faults,
        commands,
        ..START
    })
    .collect()
}

/// What takes seconds.
fn small() -> Vec<Scenario> {
    let mut all = [cases(NEW, 1, 0), cases(NEW, 0, 1)].concat();
    all.extend([
        Scenario { published: NOTHING, faults: 1, commands: 2, ..START },
        Scenario { is_saved: false, faults: 1, ..START },
        Scenario { quality: Quality::Hangs, faults: 2, ..START },
        Scenario { quality: Quality::Good, is_slow: true, ..START },
        Scenario { is_slow: true, faults: 1, ..START },
        Scenario { is_slow: true, on_failure: OnFailure::RollBack, commands: 1, ..START },
    ]);
    all
}

/// What takes minutes.
fn large() -> Vec<Scenario> {
    let mut all = [
        cases(NEW, 1, 1),
        cases(NEW, 2, 0),
        cases(NEW, 0, 2),
        cases(NEWER, 1, 0),
        cases(NEWER, 0, 1),
        cases(TAKEN_BACK, 1, 0),
        cases(TAKEN_BACK, 0, 1),
    ]
    .concat();
    for (faults, commands) in [(1, 0), (0, 1)] {
        let slow = cases(NEW, faults, commands).into_iter();
        all.extend(slow.map(|scenario| Scenario { is_slow: true, ..scenario }));
    }
    let hanging = Scenario { quality: Quality::Hangs, ..START };
    all.extend([
        Scenario { published: NOTHING, faults: 2, commands: 2, ..START },
        Scenario { is_saved: false, faults: 1, commands: 1, ..START },
        Scenario { is_saved: false, faults: 2, ..START },
        Scenario { faults: 2, commands: 1, ..hanging.clone() },
        Scenario { faults: 1, commands: 2, ..hanging },
    ]);
    all
}

/// Looks at the scenarios; returns how many states they have.
#[track_caller]
fn look_at(scenarios: &[Scenario]) -> usize {
    let mut states = 0;
    for scenario in scenarios {
        let seen = match search::explore(scenario, STATES_MAX) {
            Ok(seen) => seen,
            Err(story) => panic!("{story}"),
        };
        let extent = if seen.is_all { "all" } else { "the first" };
        let line = format!("{extent} {} states, {} at rest: {scenario}", seen.states, seen.resting);
        writeln!(std::io::stderr(), "{line}").unwrap();
        assert!(seen.resting > 0, "nothing ever comes to rest: {scenario}");
        states += seen.states;
    }
    states
}

// The numbers keep a search from becoming empty without anybody noticing.

#[test]
fn the_group_is_well_with_one_fault_or_one_command() {
    let states = look_at(&small());
    assert!(states > 500_000, "{states} states");
}

#[test]
fn the_group_is_well_in_all_states() {
    if std::env::var(EXTENT).as_deref() != Ok("all") {
        return;
    }
    let states = look_at(&large());
    writeln!(std::io::stderr(), "{states} states in all").unwrap();
    assert!(states > 80_000_000, "{states} states");
}
