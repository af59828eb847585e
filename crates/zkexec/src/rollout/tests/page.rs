//! The tables of `docs/zkexec.md` match the state machine.

use super::*;
use std::collections::BTreeMap;

const PAGE: &str = include_str!("../../../../../docs/zkexec.md");

/// A rollout in each of its phases, with a child on content 0 or 2.
fn phases() -> Vec<Fixture> {
    let mut fixtures = vec![
        Fixture { rollout: Rollout::new(options(), OPEN), now: Instant::now() },
        Fixture::new(options()),
        off_hours(),
    ];
    let turn = [
        Event::Wanted(2),
        Event::Granted,
        Event::Reread(2),
        Event::Staged,
        Event::Drained,
        Event::Installed,
    ];
    for length in 1..=turn.len() {
        let mut fixture = Fixture::new(RolloutOptions { drains: true, ..options() });
        for event in turn.iter().take(length) {
            fixture.step(event.clone());
        }
        fixtures.push(fixture);
    }
    let mut blocked = Fixture::with_gates(options(), Gates { can_spare_us: false, ..OPEN });
    for event in turn.iter().take(4) {
        blocked.step(event.clone());
    }
    let mut applying = Fixture::new(RolloutOptions { on_change: COMMAND, ..options() });
    for event in [Event::Wanted(2), Event::Granted, Event::Reread(2), Event::Staged] {
        applying.step(event);
    }
    applying.step(Event::Installed);
    let mut putting_back =
        Fixture::new(RolloutOptions { on_failure: OnFailure::RollBack, ..options() });
    putting_back.restart(2);
    putting_back.after(30 * SECOND);
    let mut unconfirmed = Fixture::new(options());
    unconfirmed.restart(2);
    let mut restoring = Fixture::new(RolloutOptions { drains: true, ..options() });
    turn.into_iter().for_each(|event| drop(restoring.step(event)));
    restoring.come_up();
    restoring.step(Event::Healthy);
    let mut soaking = Fixture::new(RolloutOptions { soak: SECOND, ..options() });
    soaking.restart(2);
    soaking.step(Event::Healthy);
    let mut failed = Fixture::new(options());
    failed.restart(2);
    failed.after(30 * SECOND);
    let mut paused = Fixture::new(options());
    paused.step(Event::Orders(Orders { is_paused: true, ..Orders::default() }));
    paused.step(Event::Wanted(2));
    let mut skipped = Fixture::new(options());
    let skip = Orders { skipped: Some(2.version()), ..Orders::default() };
    skipped.step(Event::Orders(skip));
    skipped.step(Event::Wanted(2));
    let mut awaiting = Fixture::new(options());
    awaiting.rollout.step(awaiting.now, Event::Wanted(2));
    let mut refused = Fixture::new(options());
    refused.step(Event::Wanted(2));
    let verdict = Some(Verdict::Refused);
    refused.step(Event::Known(2.version(), Known { verdict, ..Known::default() }));
    // Nobody has tried this content yet.
    let untried = |fixture: &mut Fixture| {
        fixture.step(Event::Wanted(2));
        fixture.step(Event::Known(2.version(), Known::default()));
        for event in [Event::Granted, Event::Reread(2), Event::Staged] {
            fixture.rollout.step(fixture.now, event);
        }
    };
    let (mut trying, mut recording) = (Fixture::new(options()), Fixture::new(options()));
    untried(&mut trying);
    untried(&mut recording);
    recording.step(Event::Tried(Tried::Allowed));
    recording.step(Event::Installed);
    recording.come_up();
    recording.step(Event::Healthy);
    let mut leaving = Fixture::new(options());
    leaving.step(Event::Stop);
    fixtures.extend([
        blocked,
        applying,
        putting_back,
        unconfirmed,
        restoring,
        soaking,
        failed,
        paused,
        skipped,
        awaiting,
        refused,
        trying,
        recording,
        leaving,
    ]);
    fixtures
}

fn off_hours() -> Fixture {
    let mut fixture = Fixture::with_gates(options(), Gates { is_in_hours: false, ..OPEN });
    fixture.step(Event::Wanted(2));
    fixture
}

fn name(fixture: &Fixture) -> String {
    let phase = format!("{:?}", fixture.rollout.phase());
    phase.split(' ').next().unwrap_or_default().to_owned()
}

/// The rows of the table with this head: the state in the first column, and the first state
/// that each other cell names.
fn table(head: &str) -> BTreeMap<String, Vec<String>> {
    let (_, rest) = PAGE.split_once(head).expect("the table is on the page");
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(|cell| {
            let named = cell.split('`').nth(1).unwrap_or_default();
            named.to_owned()
        });
        let state = cells.next().unwrap_or_default();
        (state, cells.collect())
    })
    .collect()
}

/// The phase after the event, which happens in `phase`.
fn outcome(phase: &str, event: &Event<Content>) -> String {
    let mut fixture = phases().into_iter().find(|fixture| name(fixture) == phase).expect("a phase");
    fixture.step(event.clone());
    name(&fixture)
}

#[test]
fn the_table_of_states_has_all_of_them() {
    let named: Vec<String> = table("| state | waits for | then |").into_keys().collect();
    let mut real: Vec<String> = phases().iter().map(name).collect();
    real.sort();
    assert_eq!(named, real);
    // A phase that `phases` lacks would be missing on the page, too.
    let source = sources();
    let (_, variants) = source.split_once("enum Phase {").expect("the phases");
    let variants = variants.split("\n}").next().unwrap_or_default();
    let is_variant = |line: &&str| {
        line.starts_with("    ") && line[4..].starts_with(|c: char| c.is_ascii_uppercase())
    };
    assert_eq!(variants.lines().filter(is_variant).count(), real.len());
}

/// The source text of the state machine.
fn sources() -> String {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = std::fs::read_dir(dir.join("rollout")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.push(dir.join("rollout.rs"));
    files.retain(|file| file.is_file());
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn what_comes_from_outside_leads_where_the_table_says() {
    let table = table("| state | other content | the lock is lost | the child fails |");
    assert_eq!(table.len(), phases().len());
    for (phase, cells) in table {
        let events = [Event::Wanted(4), Event::PermitLost, FAILED];
        for (event, wanted) in events.iter().zip(cells) {
            assert_eq!(outcome(&phase, event), wanted, "{phase}: {event:?}");
        }
    }
}

#[test]
fn a_stop_leads_to_leaving_from_every_phase() {
    for phase in phases().iter().map(name) {
        assert_eq!(outcome(&phase, &Event::Stop), "Leaving", "{phase}");
        // A child that does not run, or is being stopped, can't end by itself.
        if !matches!(phase.as_str(), "NotStarted" | "Stopping") {
            assert_eq!(outcome(&phase, &ENDED), "Leaving", "{phase}");
        }
    }
}

#[test]
fn what_else_the_table_says_is_so() {
    // The running content is wanted again before the turn has come.
    for mut fixture in [off_hours(), queued()] {
        fixture.step(Event::Wanted(0));
        assert_eq!(name(&fixture), "Settled");
    }
    let mut fixture = Fixture::new(RolloutOptions { on_failure: OnFailure::RollBack, ..options() });
    fixture.restart(2);
    fixture.step(FAILED);
    assert_eq!(name(&fixture), "PuttingBack");
    for has_health in [true, false] {
        let mut fixture =
            Fixture::new(RolloutOptions { is_locked: false, has_health, ..options() });
        fixture.restart(2);
        fixture.step(FAILED);
        assert_eq!(name(&fixture), "Leaving");
    }
}

fn queued() -> Fixture {
    let mut fixture = Fixture::new(options());
    fixture.step(Event::Wanted(2));
    fixture
}
