//! Random events in random order: the farm view ends with what the server has.

use super::fixture::{Fixture, Outcome, ask_of, hint, record};
use super::*;
use farm_harness::{MemoryServer, WatchEvent};
use fastrand::Rng;

const HOSTS: [&str; 4] = ["a", "b", "c", "d"];

fn act(server: &mut MemoryServer, rng: &mut Rng, value: u64) {
    let at = format!("/db/{}", HOSTS[rng.usize(..HOSTS.len())]);
    if !server.has("/db") {
        server.put("/db", b"");
    } else if server.below("/db").is_empty() && rng.u8(..4) == 0 {
        server.delete("/db");
    } else if !rng.bool() || !server.delete(&at) {
        server.put(&at, value.to_string().as_bytes());
    }
}

fn perform(server: &mut MemoryServer, ask: &Ask) -> Outcome {
    match ask {
        Ask::Arm(at) => {
            Outcome::Arm(server.watch_tree(at.as_str()).map_err(|_| SessionError::Unsupported))
        }
        Ask::Await(at) => Outcome::Await(Ok(server.exists(at.as_str(), true))),
        Ask::List(at, watch) => {
            let names = server.list(at.as_str(), *watch == Watch::Yes);
            Outcome::List(names.map_err(|_| SessionError::NoNode(at.clone())))
        }
        Ask::Read(hosts, watch) => {
            let mut read = |at: &ZnodePath| match server.get(at.as_str(), *watch == Watch::Yes) {
                Ok(znode) => Ok(record(&value_of(&znode.data))),
                Err(_) => Err(Unreadable::Refused(SessionError::NoNode(at.clone()))),
            };
            Outcome::Read(hosts.iter().map(|(host, at)| (host.clone(), read(at))).collect())
        }
    }
}

fn value_of(data: &[u8]) -> Value {
    json!({"value": String::from_utf8_lossy(data)})
}

fn event_of(at: &str, noted: WatchEvent) -> Event {
    hint(
        at,
        match noted {
            WatchEvent::Created => Change::Created,
            WatchEvent::Deleted => Change::Deleted,
            WatchEvent::Data => Change::Data,
            WatchEvent::Children => Change::Children,
        },
    )
}

fn storm(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut server = MemoryServer::new(rng.bool());
    let mut fixture = Fixture::new();
    // Answers on their way, each with the number of notes sent before it.
    let mut answers: Vec<(u64, Request, Outcome)> = Vec::new();
    let mut notes_seen = 0;
    fixture.step(Event::connected(true));
    let steps = rng.u64(50..400);
    for step in 0.. {
        let is_over = step >= steps;
        if is_over && server.is_quiet() && fixture.asked.is_empty() && answers.is_empty() {
            break;
        }
        match rng.u8(..40) {
            0..12 if !is_over => act(&mut server, &mut rng, step),
            12 if !is_over => fixture.step(Event::Refresh),
            13 if !is_over => {
                let is_new = rng.bool();
                fixture.step(Event::away());
                server.disconnect(is_new);
                server.reconnect();
                notes_seen = server.notes_sent();
                fixture.step(Event::connected(is_new));
            }
            14..22 if !fixture.asked.is_empty() => {
                let request = fixture.asked.remove(rng.usize(..fixture.asked.len()));
                let outcome = perform(&mut server, &ask_of(&request));
                answers.push((server.notes_sent(), request, outcome));
            }
            22..30 => {
                if let Some((number, at, noted)) = server.next_note() {
                    notes_seen = number;
                    fixture.step(event_of(&at, noted));
                }
            }
            30.. if !answers.is_empty() => {
                let index = rng.usize(..answers.len());
                if answers[index].0 <= notes_seen {
                    let (_, request, outcome) = answers.remove(index);
                    fixture.deliver(&request, |_| outcome);
                }
            }
            _ => {}
        }
    }
    compare(seed, &fixture, &server);
}

fn compare(seed: u64, fixture: &Fixture, server: &MemoryServer) {
    if server.has("/db") {
        let host =
            |at: &String| (at["/db/".len()..].to_owned(), value_of(&server.data(at).unwrap()));
        let expected: Value = server.below("/db").iter().map(host).collect();
        assert_eq!(fixture.view.state(), State::Complete, "seed {seed}");
        assert_eq!(fixture.farm(), expected, "seed {seed}");
    } else {
        assert_eq!(fixture.view.state(), State::Missing, "seed {seed}");
    }
    // A missing farm is looked for now and then.
    assert_eq!(fixture.view.deadline().is_none(), server.has("/db"), "seed {seed}");
}

#[test]
fn after_any_storm_the_view_has_what_the_server_has() {
    for seed in farm_harness::seeds(3000) {
        storm(seed);
    }
}
