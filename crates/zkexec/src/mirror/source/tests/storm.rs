//! After random events in random order, the source has the content of the server.
//!
//! The in-memory server keeps the guarantees of a real one: a watch event arrives before the
//! answer to any later request, and a subtree is not read atomically. Everything else is random.

use super::super::*;
use super::fixture::{Fixture, away, connected, forbidden, hint};
use farm_core::session::cache::{Ask, Found, Outcome};
use farm_core::session::{Change, SessionError, Stat, Watch, Znode, ZnodePath};
use farm_harness::{MemoryServer, WatchEvent, code};
use fastrand::Rng;
use std::collections::BTreeMap;

const MIRRORS: [&str; 5] =
    ["a=/a", "b=/b/x,optional", "t/=/t/", "x=/t/x,optional", "d/=/t/d/,optional"];
const PATHS: [&str; 12] = [
    "/a", "/b", "/b/x", "/t", "/t/x", "/t/.h", "/t/d", "/t/d/e", "/t/d/e/f", "/t/d/g", "/t/d-e",
    "/t/x/y",
];

fn act(server: &mut MemoryServer, rng: &mut Rng, value: u64) {
    let at = PATHS[rng.usize(..PATHS.len())];
    if !rng.bool() || !server.delete(at) {
        server.put(at, value.to_string().as_bytes());
    }
}

fn failed(ask: &Ask, rng: &mut Rng) -> Outcome<Arc<[u8]>> {
    let error = if rng.bool() { SessionError::Disconnected } else { forbidden("/x") };
    match ask {
        Ask::Arm(_) => Outcome::Arm(Err(error)),
        Ask::Await(_) => Outcome::Await(Err(error)),
        Ask::List(..) => Outcome::List(Err(error)),
        Ask::Read(paths, _) => Outcome::Read(paths.iter().map(|_| Err(error.clone())).collect()),
    }
}

/// Answers a request as a request thread does.
fn perform(server: &mut MemoryServer, ask: &Ask) -> Outcome<Arc<[u8]>> {
    let no_node = |at: &ZnodePath, why| {
        assert_eq!(why, code::NO_NODE);
        SessionError::NoNode(at.clone())
    };
    match ask {
        Ask::Arm(at) => {
            Outcome::Arm(server.watch_tree(at.as_str()).map_err(|_| SessionError::Unsupported))
        }
        Ask::Await(at) => Outcome::Await(Ok(server.exists(at.as_str(), true))),
        Ask::List(at, watch) => {
            let names = server.list(at.as_str(), *watch == Watch::Yes);
            Outcome::List(names.map_err(|why| no_node(at, why)))
        }
        Ask::Read(paths, watch) => {
            let mut read = |at: &ZnodePath| {
                let znode = server.get(at.as_str(), *watch == Watch::Yes);
                let znode = znode.map_err(|why| no_node(at, why))?;
                let (mzxid, num_children) = (znode.mzxid, znode.num_children);
                let stat = Stat { mzxid, num_children, ..Stat::default() };
                let bytes = znode.data.len();
                Ok(Found { znode: Znode { data: znode.data.into(), stat }, bytes })
            };
            Outcome::Read(paths.iter().map(&mut read).collect())
        }
    }
}

fn event_of(at: &str, noted: WatchEvent) -> Event {
    let change = match noted {
        WatchEvent::Created => Change::Created,
        WatchEvent::Deleted => Change::Deleted,
        WatchEvent::Data => Change::Data,
        WatchEvent::Children => Change::Children,
    };
    hint(at, change)
}

/// The files that a mirrored subtree must have, computed in another way than the source does.
fn expected_tree(server: &MemoryServer, top: &str) -> Option<BTreeMap<String, Arc<[u8]>>> {
    server.data(top)?;
    let leaf = |at: &String| {
        let relative = at.strip_prefix(&format!("{top}/"))?;
        let is_hidden = relative.contains("/.") || relative.starts_with('.');
        let is_file = server.below(at).is_empty() && !is_hidden;
        is_file.then(|| (relative.to_owned(), server.data(at).unwrap().into()))
    };
    Some(server.below(top).iter().filter_map(leaf).collect())
}

/// The source counts as up to date after this many timers without a change.
const IDLE_TICKS: usize = 10;

/// An answer, with the number of watch events sent before it.
type Late = (u64, Request, Outcome<Arc<[u8]>>);

fn storm(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    fastrand::seed(seed);
    let mut server = MemoryServer::new(rng.u8(..3) == 0);
    let mut fixture = Fixture::new(&MIRRORS);
    let mut answers: Vec<Late> = Vec::new();
    let (mut notes_seen, mut idle_ticks) = (0, 0);
    fixture.step(connected(true));
    let steps = rng.u64(50..400);
    for step in 0.. {
        assert!(step < 100_000, "seed {seed}: it never rests");
        let is_over = step >= steps;
        let is_idle = fixture.requests.is_empty() && answers.is_empty();
        if is_over && is_idle && server.is_quiet() {
            // Znodes are read now and then without a hint, which must change nothing.
            if idle_ticks == IDLE_TICKS {
                break;
            }
            let Some(due) = fixture.source.deadline() else { break };
            idle_ticks += 1;
            fixture.now = due.max(fixture.now);
            fixture.step(Event::Tick);
            continue;
        }
        match rng.u8(..40) {
            0..12 if !is_over => act(&mut server, &mut rng, step),
            12 if !is_over => fixture.step(Event::Refresh),
            13 if !is_over => {
                let is_new = rng.bool();
                fixture.step(away());
                server.disconnect(is_new);
                if rng.bool() {
                    act(&mut server, &mut rng, 1_000_000 + step);
                }
                server.reconnect();
                notes_seen = server.notes_sent();
                fixture.step(connected(is_new));
            }
            14..22 if !fixture.requests.is_empty() => {
                let request = fixture.requests.remove(rng.usize(..fixture.requests.len()));
                let is_failing = !is_over && rng.u8(..25) == 0;
                let outcome = match is_failing {
                    true => failed(request.request.ask(), &mut rng),
                    false => perform(&mut server, request.request.ask()),
                };
                answers.push((server.notes_sent(), request, outcome));
            }
            22..30 => {
                if let Some((number, at, noted)) = server.next_note() {
                    notes_seen = number;
                    fixture.step(event_of(&at, noted));
                }
            }
            30..38 if !answers.is_empty() => {
                let index = rng.usize(..answers.len());
                if answers[index].0 <= notes_seen {
                    let (_, request, outcome) = answers.remove(index);
                    fixture.deliver(&request, outcome);
                }
            }
            38.. => fixture.pass(rng.u64(..2000)),
            _ => {}
        }
    }
    compare(seed, &fixture.source, &server);
}

fn compare(seed: u64, source: &MirrorSource, server: &MemoryServer) {
    for unit in &source.units {
        let at = unit.path().as_str();
        assert!(unit.is_resolved() && !unit.is_unreadable(), "seed {seed}: {at}");
        let expected = match unit.is_tree() {
            true => expected_tree(server, at).map(|leaves| Mirrored::Tree(leaves.into())),
            false => server.data(at).map(|data| Mirrored::Bytes(data.into())),
        };
        assert_eq!(unit.is_gone(), expected.is_none(), "seed {seed}: {at}");
        if expected.is_some() {
            assert_eq!(unit.value(), expected.as_ref(), "seed {seed}: {at}");
        }
    }
    let whole = source.current_content();
    assert_eq!(source.is_complete(), whole.is_some(), "seed {seed}");
    if whole.is_some() {
        assert_eq!(source.content(), whole.as_ref(), "seed {seed}");
    }
}

#[test]
fn after_any_storm_the_source_has_what_the_server_has() {
    for seed in farm_harness::seeds(3000) {
        storm(seed);
    }
}
