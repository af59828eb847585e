//! All that can happen to a group of three members, as far as it is in the model.
//!
//! The rollouts and the functions that change what is known of a version are the real ones; the
//! rest of each process and ZooKeeper are modelled. See [`Scenario`] for what is left out.

mod check;
mod depth;
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
use search::Seen;
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// What [`the_group_is_well_in_all_states`] looks at: `minutes` for [`large`], `hours` for
/// [`largest`] too, or the scenarios whose names contain this.
const EXTENT: &str = "FARM_EXPLORE";

/// The most states of one scenario that are looked at in the search that tells the shortest story:
/// some 5 GB.
const SHORTEST_MAX: usize = 25_000_000;

/// The most states of one scenario that are looked at: 16 GB.
const STATES_MAX: usize = 1_700_000_000;

const NEW: &[Published] = &[Published::New];
const NEWER: &[Published] = &[Published::New, Published::Newer];
const TAKEN_BACK: &[Published] = &[Published::New, Published::Old];
const AGAIN: &[Published] = &[Published::New, Published::Old, Published::New];
const NOTHING: &[Published] = &[Published::Old];

const START: Scenario = Scenario::new();

/// The qualities of new content, with what may follow if it fails.
const CASES: [(Quality, OnFailure); 6] = [
    (Quality::Good, OnFailure::Hold),
    (Quality::Exits, OnFailure::Hold),
    (Quality::Exits, OnFailure::RollBack),
    (Quality::Hangs, OnFailure::Hold),
    (Quality::Hangs, OnFailure::RollBack),
    (Quality::Unfit, OnFailure::Hold),
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

/// The same, but members hear of everything at once, unless a fault delays that.
fn prompt(scenarios: Vec<Scenario>) -> Vec<Scenario> {
    scenarios.into_iter().map(|scenario| Scenario { is_prompt: true, ..scenario }).collect()
}

/// What takes seconds.
fn small() -> Vec<Scenario> {
    let mut all = [cases(NEW, 1, 0), cases(NEW, 0, 1), prompt(cases(AGAIN, 0, 0))].concat();
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
        prompt(cases(NEWER, 1, 1)),
        prompt(cases(TAKEN_BACK, 1, 1)),
        prompt(cases(AGAIN, 1, 0)),
        prompt(cases(AGAIN, 0, 1)),
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

/// What takes hours.
fn largest() -> Vec<Scenario> {
    prompt(cases(NEW, 2, 2))
}

/// Says what a search of the scenario has seen.
fn report(scenario: &Scenario, seen: Seen) {
    let extent = if seen.is_all { "all" } else { "the first" };
    let line = format!("{extent} {} states, {} at rest: {scenario}", seen.states, seen.resting);
    writeln!(std::io::stderr(), "{line}").unwrap();
    assert!(seen.resting > 0, "nothing ever comes to rest: {scenario}");
}

// The numbers keep a search from becoming empty without anybody noticing.

#[test]
fn the_group_is_well_with_one_fault_or_one_command() {
    let mut states = 0;
    for scenario in small() {
        let seen =
            search::explore(&scenario, SHORTEST_MAX).unwrap_or_else(|story| panic!("{story}"));
        report(&scenario, seen);
        states += seen.states;
    }
    assert!(states > 500_000, "{states} states");
}

#[test]
fn the_group_is_well_in_all_states() {
    let Ok(what) = std::env::var(EXTENT) else { return };
    let (scenarios, least) = match what.as_str() {
        "minutes" => (large(), 80_000_000),
        "hours" => ([largest(), large()].concat(), 500_000_000),
        name => {
            let all = [largest(), large()].concat().into_iter();
            (all.filter(|scenario| scenario.to_string().contains(name)).collect(), 0)
        }
    };
    assert!(!scenarios.is_empty(), "no scenario has {what:?} in its name");
    let (next, states) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Relaxed)) {
            let seen = depth::explore(scenario, STATES_MAX)
                .map_err(|story| search::explore(scenario, SHORTEST_MAX).err().unwrap_or(story))?;
            report(scenario, seen);
            states.fetch_add(seen.states, Relaxed);
        }
        Ok(())
    };
    let stories: Vec<String> = thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap().err()).collect()
    });
    assert!(stories.is_empty(), "{}", stories.join("\n"));
    let states = states.into_inner();
    writeln!(std::io::stderr(), "{states} states in all").unwrap();
    assert!(states > least, "{states} states");
}
