//! Whatever happens in whatever order, the source ends with what the server has.
//!
//! The server here keeps what a real one promises: a watch tells before any later
//! answer does, and a subtree is not read in one moment. Everything else is left to
//! chance.

use super::super::request::{Ask, Outcome};
use super::super::walk::walk;
use super::super::*;
use super::bench::{Bench, bytes, forbidden, path};
use farm_core::session::{Stat, Watch, Znode};
use fastrand::Rng;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const MIRRORS: [&str; 5] =
    ["a=/a", "b=/b/x,optional", "t/=/t/", "x=/t/x,optional", "d/=/t/d/,optional"];
const PATHS: [&str; 12] = [
    "/a", "/b", "/b/x", "/t", "/t/x", "/t/.h", "/t/d", "/t/d/e", "/t/d/e/f", "/t/d/g", "/t/d-e",
    "/t/x/y",
];

#[derive(Default)]
struct Server {
    znodes: BTreeMap<ZnodePath, Arc<[u8]>>,
    is_old: bool,
    trees: BTreeSet<ZnodePath>,
    data_watches: BTreeSet<ZnodePath>,
    child_watches: BTreeSet<ZnodePath>,
    hints: VecDeque<(u64, Hint)>,
    hints_sent: u64,
    value: u64,
}

impl Server {
    fn tell(&mut self, at: &ZnodePath, change: Change) {
        self.hints_sent += 1;
        self.hints.push_back((self.hints_sent, Hint { path: at.clone(), change }));
    }

    fn changed(&mut self, at: &ZnodePath, change: Change) {
        let below = |top: &ZnodePath| at == top || at.as_str().starts_with(&format!("{top}/"));
        let mut is_watched = self.trees.iter().any(below) | self.data_watches.remove(at);
        if change == Change::Deleted {
            is_watched |= self.child_watches.remove(at);
        }
        if is_watched {
            self.tell(at, change);
        }
        if let Some(parent) = at.parent()
            && change != Change::Data
            && self.child_watches.remove(&parent)
        {
            self.tell(&parent, Change::Children);
        }
    }

    fn names(&self, parent: &ZnodePath) -> Vec<String> {
        let below = self.znodes.keys().filter(|path| path.parent().as_ref() == Some(parent));
        below.map(|path| path.name().unwrap().to_owned()).collect()
    }

    fn act(&mut self, rng: &mut Rng) {
        self.value += 1;
        let at = path(PATHS[rng.usize(..PATHS.len())]);
        let value = bytes(&self.value.to_string());
        if self.znodes.contains_key(&at) {
            if rng.bool() && self.names(&at).is_empty() {
                self.znodes.remove(&at);
                self.changed(&at, Change::Deleted);
            } else {
                self.znodes.insert(at.clone(), value);
                self.changed(&at, Change::Data);
            }
        } else if at
            .parent()
            .is_some_and(|parent| parent.is_root() || self.znodes.contains_key(&parent))
        {
            self.znodes.insert(at.clone(), value);
            self.changed(&at, Change::Created);
        }
    }

    fn get(&mut self, at: &ZnodePath, watch: Watch) -> Option<Znode> {
        let data = self.znodes.get(at)?.to_vec();
        if watch == Watch::Yes {
            self.data_watches.insert(at.clone());
        }
        let num_children = i32::try_from(self.names(at).len()).unwrap();
        Some(Znode { data, stat: Stat { num_children, ..Stat::default() } })
    }

    fn list(&mut self, at: &ZnodePath, watch: Watch) -> Option<Vec<String>> {
        self.znodes.get(at)?;
        if watch == Watch::Yes {
            self.child_watches.insert(at.clone());
        }
        Some(self.names(at))
    }

    fn exists(&mut self, at: &ZnodePath, watch: Watch) -> bool {
        if watch == Watch::Yes {
            self.data_watches.insert(at.clone());
        }
        self.znodes.contains_key(at)
    }

    fn lose_connection(&mut self, is_session_lost: bool) {
        self.hints.clear();
        self.data_watches.clear();
        self.child_watches.clear();
        if is_session_lost {
            self.trees.clear();
        }
    }
}

/// What a courier does, with others busy between any two of its requests.
fn perform(server: &RefCell<Server>, rng: &RefCell<Rng>, is_calm: bool, ask: &Ask) -> Outcome {
    let meddle = || {
        if !is_calm && rng.borrow_mut().u8(..3) == 0 {
            server.borrow_mut().act(&mut rng.borrow_mut());
        }
    };
    let is_failing = !is_calm && rng.borrow_mut().u8(..25) == 0;
    let error = match rng.borrow_mut().bool() {
        true => SessionError::Disconnected,
        false => forbidden("/x"),
    };
    match ask {
        Ask::Read(_) if is_failing => Outcome::Read(Err(error)),
        Ask::Read(at) => {
            let get = || server.borrow_mut().get(at, Watch::Yes).map(|znode| znode.data.into());
            let found = get().or_else(|| {
                meddle();
                if !server.borrow_mut().exists(at, Watch::Yes) {
                    return None;
                }
                meddle();
                get()
            });
            Outcome::Read(Ok(found))
        }
        Ask::Arm(_) if is_failing => Outcome::Arm(Err(error)),
        Ask::Arm(_) if server.borrow().is_old => Outcome::Arm(Err(SessionError::Unsupported)),
        Ask::Arm(top) => {
            server.borrow_mut().trees.insert(top.clone());
            Outcome::Arm(Ok(()))
        }
        Ask::Walk(..) if is_failing => Outcome::Walk(Err(error.into())),
        Ask::Walk(top, watch) => {
            let read = || {
                let list = |at: &ZnodePath| {
                    meddle();
                    Ok(server.borrow_mut().list(at, *watch))
                };
                let get = |at: &ZnodePath| {
                    meddle();
                    Ok(server.borrow_mut().get(at, *watch))
                };
                walk(top, *watch == Watch::Yes, list, get).unwrap()
            };
            let nodes = read().or_else(|| {
                meddle();
                if !server.borrow_mut().exists(top, *watch) {
                    return None;
                }
                read()
            });
            Outcome::Walk(Ok(nodes))
        }
        Ask::Look(at, _) if is_failing => Outcome::Look(at.clone(), Err(error)),
        Ask::Look(at, watch) => {
            let znode = server.borrow_mut().get(at, *watch);
            Outcome::Look(at.clone(), Ok(znode.map(|znode| znode.data.into())))
        }
    }
}

/// What the mirror of a subtree must hold, worked out another way than the source does.
fn expected_tree(server: &Server, top: &str) -> Option<BTreeMap<String, Arc<[u8]>>> {
    server.znodes.get(&path(top))?;
    let leaf = |(at, value): (&ZnodePath, &Arc<[u8]>)| {
        let relative = at.as_str().strip_prefix(&format!("{top}/"))?;
        let is_file =
            server.names(at).is_empty() && !relative.contains("/.") && !relative.starts_with('.');
        is_file.then(|| (relative.to_owned(), value.clone()))
    };
    Some(server.znodes.iter().filter_map(leaf).collect())
}

fn storm(seed: u64) {
    let rng = RefCell::new(Rng::with_seed(seed));
    fastrand::seed(seed);
    let is_old = rng.borrow_mut().u8(..3) == 0;
    let server = RefCell::new(Server { is_old, ..Server::default() });
    let mut bench = Bench::new(&MIRRORS);
    // Answers on their way, each with how many hints the server had sent before it.
    let mut answers: Vec<(u64, Request, Outcome)> = Vec::new();
    let mut hints_seen = 0;
    bench.step(Event::Connected { is_new: true });
    let steps = rng.borrow_mut().u64(50..400);
    for step in 0.. {
        assert!(step < 100_000, "seed {seed}: it never rests");
        let is_over = step > steps;
        let is_idle = bench.asked.is_empty() && answers.is_empty();
        if is_over && is_idle && server.borrow().hints.is_empty() {
            let Some(due) = bench.source.deadline() else { break };
            bench.now = due.max(bench.now);
            bench.step(Event::Tick);
            continue;
        }
        let dice = rng.borrow_mut().u8(..40);
        match dice {
            0..12 if !is_over => server.borrow_mut().act(&mut rng.borrow_mut()),
            12 if !is_over => bench.step(Event::Refresh),
            13 if !is_over => {
                let is_new = rng.borrow_mut().bool();
                bench.step(Event::Away);
                server.borrow_mut().lose_connection(is_new);
                hints_seen = server.borrow().hints_sent;
                if rng.borrow_mut().bool() {
                    server.borrow_mut().act(&mut rng.borrow_mut());
                    hints_seen = server.borrow().hints_sent;
                    server.borrow_mut().hints.clear();
                }
                bench.step(Event::Connected { is_new });
            }
            14..22 if !bench.asked.is_empty() => {
                let index = rng.borrow_mut().usize(..bench.asked.len());
                let request = bench.asked.remove(index);
                let outcome = perform(&server, &rng, is_over, &request.ask);
                answers.push((server.borrow().hints_sent, request, outcome));
            }
            22..30 => {
                let hint = server.borrow_mut().hints.pop_front();
                if let Some((number, hint)) = hint {
                    hints_seen = number;
                    bench.step(Event::Hint(hint));
                }
            }
            30..38 if !answers.is_empty() => {
                let index = rng.borrow_mut().usize(..answers.len());
                if answers[index].0 <= hints_seen {
                    let (_, request, outcome) = answers.remove(index);
                    bench.deliver(&request, outcome);
                }
            }
            38.. => {
                let ms = rng.borrow_mut().u64(..2000);
                bench.pass(ms);
            }
            _ => {}
        }
    }
    compare(seed, &bench.source, &server.borrow());
}

fn compare(seed: u64, source: &Source, server: &Server) {
    for unit in &source.units {
        let at = unit.path.as_str();
        assert!(unit.is_fresh && !unit.is_unreadable, "seed {seed}: {at}");
        let expected = match unit.is_tree() {
            true => expected_tree(server, at).map(|leaves| Mirrored::Tree(leaves.into())),
            false => server.znodes.get(&unit.path).cloned().map(Mirrored::Bytes),
        };
        assert_eq!(unit.is_gone, expected.is_none(), "seed {seed}: {at}");
        if expected.is_some() {
            assert_eq!(unit.value, expected, "seed {seed}: {at}");
        }
        if let Kind::Tree(tree) = &unit.kind {
            tree.assert_sound();
        }
    }
    let whole = source.whole();
    assert_eq!(source.is_complete(), whole.is_some(), "seed {seed}");
    if whole.is_some() {
        assert_eq!(source.content(), whole.as_ref(), "seed {seed}");
    }
}

#[test]
fn after_any_storm_the_source_has_what_the_server_has() {
    for seed in 0..3000 {
        storm(seed);
    }
}
