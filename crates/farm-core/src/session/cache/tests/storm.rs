//! Random runs: in whatever order things happen, the cache ends up equal to the server.

use super::super::*;
use super::fixture::{Fixture, error, failed, hint, path, perform};
use farm_harness::{MemoryServer, code};
use fastrand::Rng;

const PATHS: [&str; 14] = [
    "/t",
    "/t/a",
    "/t/b",
    "/t/c",
    "/t/a/x",
    "/t/a/y",
    "/t/b/x",
    "/t/a/x/1",
    "/t/a/x/2",
    "/t/a-x",
    "/t/skip",
    "/t/skip/x",
    "/elsewhere",
    "/t/a/x/1/deep",
];

fn is_skipped(path: &ZnodePath) -> bool {
    path.name() == Some("skip")
}

fn scope(rng: &mut Rng, depth: Depth) -> Scope {
    let contents = match depth {
        Depth::ZNODE => Contents::All,
        _ if rng.bool() => Contents::All,
        _ => Contents::Below,
    };
    let mut scope = Scope::new(path("/t"), depth, contents);
    if rng.bool() {
        scope = scope.confirming_removals();
    }
    if rng.bool() {
        scope = scope.admitting(|path| !is_skipped(path));
    }
    if depth != Depth::ZNODE && rng.u8(..4) == 0 {
        scope = scope.all_or_nothing();
    }
    scope
}

/// A change by another client.
fn change(server: &mut MemoryServer, rng: &mut Rng, value: u64) {
    let at = PATHS[rng.usize(..PATHS.len())];
    match rng.u8(..10) {
        0..3 => drop(server.delete(at)),
        3 if rng.bool() => server.forbid(at, rng.bool()),
        4 => {
            // Replaced in one transaction, as by a host that registers again.
            if server.delete(at) {
                server.put(at, value.to_string().as_bytes());
            }
        }
        _ => drop(server.put(at, value.to_string().as_bytes())),
    }
}

/// A request, its answer, and how many hints the server had sent before it answered.
type Late = (u64, Request<Vec<u8>>, Outcome<Vec<u8>>);

struct Storm {
    seed: u64,
    rng: Rng,
    fixture: Fixture,
    /// The answers in flight.
    answers: Vec<Late>,
    notes_seen: u64,
}

impl Storm {
    fn new(seed: u64, depth: Depth) -> Self {
        fastrand::seed(seed);
        let mut rng = Rng::with_seed(seed);
        let server = MemoryServer::new(rng.u8(..3) == 0);
        let fixture = Fixture::new(scope(&mut rng, depth), server);
        Self { seed, rng, fixture, answers: Vec::new(), notes_seen: 0 }
    }

    fn perform_one(&mut self, is_over: bool) {
        if self.fixture.asked.is_empty() {
            return;
        }
        let request = self.fixture.asked.remove(self.rng.usize(..self.fixture.asked.len()));
        let is_failing = !is_over && self.rng.u8(..25) == 0;
        let outcome = if is_failing {
            failed(request.ask(), &error_of(&mut self.rng))
        } else {
            perform(&mut self.fixture.server, request.ask())
        };
        self.answers.push((self.fixture.server.notes_sent(), request, outcome));
    }

    fn note(&mut self) {
        if let Some((number, at, noted)) = self.fixture.server.next_note() {
            self.notes_seen = number;
            self.fixture.step(hint(&at, noted));
        }
    }

    fn deliver(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let index = self.rng.usize(..self.answers.len());
        // A hint arrives before any later answer.
        if self.answers[index].0 <= self.notes_seen {
            let (_, request, outcome) = self.answers.remove(index);
            self.fixture.step(Event::Answered(request.answer(outcome)));
        }
    }

    /// The connection breaks; answers in flight may still arrive.
    fn cut(&mut self) {
        let is_new = self.rng.bool();
        self.fixture.step(Event::away());
        self.fixture.server.disconnect(is_new);
        for value in 0..self.rng.u64(..3) {
            change(&mut self.fixture.server, &mut self.rng, 1_000_000 + value);
        }
        self.fixture.server.reconnect();
        self.notes_seen = self.fixture.server.notes_sent();
        self.fixture.step(Event::connected(is_new));
    }

    fn run(mut self) {
        self.fixture.step(Event::connected(true));
        let steps = self.rng.u64(50..400);
        for step in 0.. {
            assert!(step < 100_000, "seed {}: it never ends", self.seed);
            let is_over = step >= steps;
            if step == steps {
                self.fixture.server.allow_all();
            }
            let is_idle = self.fixture.asked.is_empty() && self.answers.is_empty();
            if is_over && is_idle && self.fixture.server.is_quiet() {
                // What remains is the timer without which a dropped event would go unnoticed.
                if self.fixture.cache.retry.deadline().is_none() {
                    break;
                }
                self.fixture.tick();
                continue;
            }
            match self.rng.u8(..40) {
                0..12 if !is_over => change(&mut self.fixture.server, &mut self.rng, step),
                12 if !is_over => self.fixture.step(Event::Refresh),
                13 if !is_over => self.cut(),
                14..22 => self.perform_one(is_over),
                22..30 => self.note(),
                30..38 => self.deliver(),
                38.. if self.fixture.cache.deadline().is_some() => self.fixture.tick(),
                _ => {}
            }
        }
        self.compare();
    }

    fn compare(&self) {
        let (cache, server, seed) = (&self.fixture.cache, &self.fixture.server, self.seed);
        if !server.has("/t") {
            return assert_eq!(cache.state(), State::Missing, "seed {seed}");
        }
        assert_eq!(cache.state(), State::Complete, "seed {seed}: {cache:?}");
        let is_covered = |at: &&String| {
            let at = path(at);
            let mut above = std::iter::successors(Some(at.clone()), ZnodePath::parent);
            cache.scope.level(&at).is_some() && above.all(|above| cache.scope.admits(&above))
        };
        let mut expected: BTreeMap<String, Vec<u8>> = server
            .below("/t")
            .iter()
            .filter(is_covered)
            .map(|at| (at.clone(), server.data(at).unwrap()))
            .collect();
        let below = cache.below().map(|(at, znode)| (at.to_string(), znode.unwrap().data.clone()));
        assert_eq!(below.collect::<BTreeMap<_, _>>(), expected, "seed {seed}");
        if cache.scope.reads_top() {
            let top = server.data("/t").unwrap();
            assert_eq!(cache.top().map(|znode| &znode.data), Some(&top), "seed {seed}");
            expected.insert("/t".to_owned(), top);
        }
        assert_eq!(self.fixture.followed, expected, "seed {seed}: from the news");
        self.check_internals();
    }

    fn check_internals(&self) {
        let (cache, seed) = (&self.fixture.cache, self.seed);
        let data =
            |(_, znode): (_, Option<&Znode<Vec<u8>>>)| znode.map_or(0, |znode| znode.data.len());
        let bytes: usize = cache.below().map(data).sum();
        let top = cache.top().map_or(0, |znode| znode.data.len());
        assert_eq!(cache.nodes.bytes(), bytes + top, "seed {seed}");
        assert_eq!(cache.nodes.unread(), 0, "seed {seed}");
        assert!(cache.asked.is_empty() && cache.queue.is_empty(), "seed {seed}");
        assert_eq!(cache.unlisted().count(), 0, "seed {seed}");
    }
}

fn error_of(rng: &mut Rng) -> SessionError {
    if rng.bool() { SessionError::Disconnected } else { error(&path("/x"), code::NO_AUTH) }
}

fn storms(depth: Depth, name: u64) {
    for seed in farm_harness::seeds(2000) {
        Storm::new(name << 32 | seed, depth).run();
    }
}

#[test]
fn after_any_storm_one_znode_is_as_the_server_has_it() {
    storms(Depth::ZNODE, 0);
}

#[test]
fn after_any_storm_the_children_are_as_the_server_has_them() {
    storms(Depth::CHILDREN, 1);
}

#[test]
fn after_any_storm_two_levels_are_as_the_server_has_them() {
    storms(Depth::levels(2), 2);
}

#[test]
fn after_any_storm_a_subtree_is_as_the_server_has_it() {
    storms(Depth::SUBTREE, 3);
}
