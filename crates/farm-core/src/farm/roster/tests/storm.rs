//! Whatever happens in whatever order, the roster ends with what the server has.
//!
//! The server here keeps what a real one promises: a watch tells before any later
//! answer does. Everything else is left to chance.

use super::*;
use fastrand::Rng;
use std::collections::BTreeMap;

const HOSTS: [&str; 4] = ["a", "b", "c", "d"];

struct Server {
    farm: Option<BTreeMap<String, u64>>,
    is_old: bool,
    has_tree_watch: bool,
    children_watch: bool,
    exists_watch: bool,
    data_watches: BTreeSet<String>,
    hints: VecDeque<(u64, Hint)>,
    hints_sent: u64,
}

impl Server {
    fn new(is_old: bool) -> Self {
        Self {
            farm: None,
            is_old,
            has_tree_watch: false,
            children_watch: false,
            exists_watch: false,
            data_watches: BTreeSet::new(),
            hints: VecDeque::new(),
            hints_sent: 0,
        }
    }

    fn tell(&mut self, at: &str, change: Change) {
        self.hints_sent += 1;
        self.hints.push_back((self.hints_sent, Hint { path: path(at), change }));
    }

    fn farm_changed(&mut self, change: Change) {
        let mut is_watched = self.has_tree_watch || std::mem::take(&mut self.exists_watch);
        if change == Change::Deleted {
            is_watched |= std::mem::take(&mut self.children_watch);
        }
        if is_watched {
            self.tell("/db", change);
        }
    }

    fn host_changed(&mut self, name: &str, change: Change) {
        if self.data_watches.remove(name) || self.has_tree_watch {
            self.tell(&format!("/db/{name}"), change);
        }
        if change != Change::Data && std::mem::take(&mut self.children_watch) {
            self.tell("/db", Change::Children);
        }
    }

    fn act(&mut self, rng: &mut Rng, value: u64) {
        let name = HOSTS[rng.usize(..HOSTS.len())];
        match &mut self.farm {
            None => {
                self.farm = Some(BTreeMap::new());
                self.farm_changed(Change::Created);
            }
            Some(hosts) if hosts.is_empty() && rng.u8(..4) == 0 => {
                self.farm = None;
                self.farm_changed(Change::Deleted);
            }
            Some(hosts) => match (hosts.contains_key(name), rng.bool()) {
                (true, true) => {
                    hosts.remove(name);
                    self.host_changed(name, Change::Deleted);
                }
                (true, false) => {
                    hosts.insert(name.to_owned(), value);
                    self.host_changed(name, Change::Data);
                }
                (false, _) => {
                    hosts.insert(name.to_owned(), value);
                    self.host_changed(name, Change::Created);
                }
            },
        }
    }

    fn perform(&mut self, ask: &Ask) -> Outcome {
        match ask {
            Ask::Arm(_) if self.is_old => Outcome::Arm(Err(SessionError::Unsupported)),
            Ask::Arm(_) => {
                self.has_tree_watch = true;
                Outcome::Arm(Ok(()))
            }
            Ask::Await(_) => {
                self.exists_watch = true;
                Outcome::Await(Ok(self.farm.is_some()))
            }
            Ask::List(at, watch) => match &self.farm {
                None => Outcome::List(Err(SessionError::NoNode(at.clone()))),
                Some(hosts) => {
                    self.children_watch |= *watch == Watch::Yes;
                    Outcome::List(Ok(hosts.keys().cloned().collect()))
                }
            },
            Ask::Read(hosts, watch) => Outcome::Read(
                hosts
                    .iter()
                    .map(|(host, at)| {
                        let value = self.farm.as_ref().and_then(|hosts| hosts.get(host.as_str()));
                        let read = match value {
                            Some(value) => {
                                if *watch == Watch::Yes {
                                    self.data_watches.insert(host.to_string());
                                }
                                Ok(record(&json!({"value": value})))
                            }
                            None => Err(Unreadable::Refused(SessionError::NoNode(at.clone()))),
                        };
                        (host.clone(), read)
                    })
                    .collect(),
            ),
        }
    }

    fn lose_connection(&mut self, is_session_lost: bool) {
        self.hints.clear();
        self.children_watch = false;
        self.exists_watch = false;
        self.data_watches.clear();
        self.has_tree_watch &= !is_session_lost;
    }
}

fn storm(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut server = Server::new(rng.bool());
    let mut bench = Bench::new();
    // Answers on their way, each with how many hints the server had sent before it.
    let mut answers: Vec<(u64, Request, Outcome)> = Vec::new();
    let mut hints_seen = 0;
    bench.step(Event::Connected { is_new: true });
    let steps = rng.u64(50..400);
    let mut step = 0;
    loop {
        step += 1;
        let is_over = step > steps;
        if is_over && server.hints.is_empty() && bench.asked.is_empty() && answers.is_empty() {
            break;
        }
        match rng.u8(..40) {
            0..12 if !is_over => server.act(&mut rng, step),
            12 if !is_over => bench.step(Event::Refresh),
            13 if !is_over => {
                let is_new = rng.bool();
                bench.step(Event::Away);
                server.lose_connection(is_new);
                hints_seen = server.hints_sent;
                bench.step(Event::Connected { is_new });
            }
            14..22 if !bench.asked.is_empty() => {
                let request = bench.asked.remove(rng.usize(..bench.asked.len()));
                let outcome = server.perform(&request.ask);
                answers.push((server.hints_sent, request, outcome));
            }
            22..30 => {
                if let Some((number, hint)) = server.hints.pop_front() {
                    hints_seen = number;
                    bench.step(Event::Hint(hint));
                }
            }
            30.. if !answers.is_empty() => {
                let index = rng.usize(..answers.len());
                if answers[index].0 <= hints_seen {
                    let (_, request, outcome) = answers.remove(index);
                    bench.deliver(&request, |_| outcome);
                }
            }
            _ => {}
        }
    }
    let expected = server.farm.as_ref().map(|hosts| {
        let pairs = hosts.iter().map(|(name, value)| (name.clone(), json!({"value": value})));
        Value::Object(pairs.collect())
    });
    match expected {
        Some(expected) => {
            assert_eq!(bench.roster.state(), State::Complete, "seed {seed}");
            assert_eq!(bench.farm(), expected, "seed {seed}");
        }
        None => assert_eq!(bench.roster.state(), State::Missing, "seed {seed}"),
    }
    assert_eq!(bench.roster.deadline(), None, "seed {seed}");
}

#[test]
fn after_any_storm_the_roster_has_what_the_server_has() {
    for seed in 0..3000 {
        storm(seed);
    }
}
