//! The health of a farm against an in-memory server, through changes and faults.

use super::*;
use crate::session::live::{Live, Post};
use farm_harness::{FakeServer, code, op, patience};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(15);
const READING: &str = "the health of the farm is unknown: it is being read";
const AWAY: &str = "the health of the farm is unknown: ZooKeeper is away";
const GONE: &str = "the health of the farm is unknown: it does not exist";

/// The health of a farm, with its session.
struct Fixture {
    health: FarmHealth,
    live: Live<Answer>,
}

impl Fixture {
    /// The farm `/db`, of which `max_failed` hosts may fail; this host is `h0`.
    fn at(server: &FakeServer, max_failed: &str) -> Self {
        let required = RequireHealthy::parse(&format!("/db:{max_failed}")).unwrap();
        let this = ThisHost::new(Some("h0".to_owned()), Some("web1".to_owned()));
        Self { health: FarmHealth::new(required, this), live: Live::open(server.addr(), 2) }
    }

    fn step(&mut self, event: Event) {
        for request in self.health.step(Instant::now(), event) {
            request.dispatch(self.live.session(), self.live.answers());
        }
    }

    /// Runs until the verdict has this text, or starts with it if it ends in `...`.
    #[track_caller]
    fn until(&mut self, wanted: &str) {
        let give_up = Instant::now() + patience(TIMEOUT);
        loop {
            let text = self.health.verdict().to_string();
            let is_wanted = match wanted.strip_suffix("...") {
                Some(start) => text.starts_with(start),
                None => text == wanted,
            };
            if is_wanted {
                return;
            }
            assert!(Instant::now() < give_up, "{text:?} and not {wanted:?}");
            let due = self.health.deadline().map_or(give_up, |due| due.min(give_up));
            match self.live.next(due) {
                Some(Post::Session(event)) => self.step(Event::Session(event)),
                Some(Post::Answer(answer)) => self.step(Event::Answered(answer)),
                None => self.step(Event::Tick),
            }
        }
    }
}

/// A farm of ten hosts that all run.
fn farm() -> FakeServer {
    let server = FakeServer::start();
    server.put("/db", br#"{"size":10,"running_filter":"up=1"}"#);
    server.put("/db/common", b"{}");
    for host in 0..10 {
        server.put(&format!("/db/h{host}"), br#"{"up":1}"#);
    }
    server
}

#[test]
fn the_verdict_follows_the_farm() {
    let server = farm();
    let mut fixture = Fixture::at(&server, "25%");
    assert_eq!(fixture.health.verdict().to_string(), AWAY);
    fixture.until("1 of 10 hosts fail, this one included, and 2.5 may");
    server.put("/db/h1", br#"{"up":0}"#);
    fixture.until("2 of 10 hosts fail, this one included, and 2.5 may");
    server.delete("/db/h2");
    fixture.until("3 of 10 hosts would fail, this one included, but only 2.5 may");
    server.put("/db/h2", b"{nonsense");
    server.put("/db/h1", br#"{"up":1}"#);
    fixture.until("2 of 10 hosts fail, this one included, and 2.5 may");
    server.put("/db/h2", br#"{"up":1}"#);
    fixture.until("1 of 10 hosts fail, this one included, and 2.5 may");
    // This host has left, which does not count twice.
    server.delete("/db/h0");
    server.put("/db/h1", br#"{"up":0}"#);
    fixture.until("2 of 10 hosts fail, this one included, and 2.5 may");
    // The farm has another size and another filter for running hosts.
    server.put("/db", br#"{"size":"20","running_filter":"up=0"}"#);
    fixture.until("19 of 20 hosts would fail, this one included, but only 5 may");
}

#[test]
fn an_unknown_health_allows_nothing() {
    let server = FakeServer::start();
    let mut fixture = Fixture::at(&server, "100%");
    fixture.until(GONE);
    server.put("/db", b"");
    fixture.until("the health of the farm is unknown: its record has no field size");
    for (record, wanted) in [
        (&b"{\"size\":\"many\"}"[..], "the field size of its record is not a number of hosts"),
        (
            b"{\"size\":1,\"running_filter\":7}",
            "the field running_filter of its record is not a text",
        ),
        (b"[]", "its own znode holds no record: ..."),
        (
            b"{\"size\":1,\"running_filter\":\"=\"}",
            "the field running_filter of its record is not a filter: ...",
        ),
    ] {
        server.put("/db", record);
        fixture.until(&format!("the health of the farm is unknown: {wanted}"));
        assert!(!fixture.health.verdict().is_allowed());
    }
    server.put("/db", b"{\"size\":1}");
    fixture.until("1 of 1 hosts fail, this one included, and 1 may");
    server.delete("/db");
    fixture.until(GONE);
    server.put("/db", b"{\"size\":2}");
    fixture.until("2 of 2 hosts fail, this one included, and 2 may");
}

#[test]
fn an_old_server_works_as_well() {
    let server = farm();
    server.old_version();
    let mut fixture = Fixture::at(&server, "2");
    fixture.until("1 of 10 hosts fail, this one included, and 2 may");
    for size in 11..14 {
        server.put("/db", format!("{{\"size\":{size}}}").as_bytes());
        fixture.until(&match size {
            11 => format!("2 of {size} hosts fail, this one included, and 2 may"),
            _ => format!(
                "{} of {size} hosts would fail, this one included, but only 2 may",
                size - 9
            ),
        });
    }
}

#[test]
fn without_a_server_the_health_is_unknown_and_then_all_is_read_again() {
    let server = farm();
    let mut fixture = Fixture::at(&server, "1");
    fixture.until("1 of 10 hosts fail, this one included, and 1 may");
    server.refuse();
    server.cut();
    fixture.until(AWAY);
    server.put("/db", br#"{"size":12}"#);
    server.accept();
    fixture.until("3 of 12 hosts would fail, this one included, but only 1 may");
    server.expire_all();
    fixture.until(AWAY);
    server.put("/db", br#"{"size":10}"#);
    fixture.until("1 of 10 hosts fail, this one included, and 1 may");
    // The watches of the new session are in place.
    server.put("/db", br#"{"size":11}"#);
    fixture.until("2 of 11 hosts would fail, this one included, but only 1 may");
    server.delete("/db/h3");
    fixture.until("3 of 11 hosts would fail, this one included, but only 1 may");
}

#[test]
fn a_farm_that_may_not_be_seen_is_tried_again() {
    let server = farm();
    for opcode in [op::GET_CHILDREN, op::GET_DATA] {
        server.answer_with(opcode, code::NO_AUTH);
    }
    let mut fixture = Fixture::at(&server, "1");
    fixture.until("the health of the farm is unknown: it can't be read: not authorised: /db");
    fixture.until("1 of 10 hosts fail, this one included, and 1 may");
}

#[test]
fn a_refresh_reads_the_whole_farm_again() {
    let server = farm();
    let mut fixture = Fixture::at(&server, "1");
    fixture.until("1 of 10 hosts fail, this one included, and 1 may");
    let before = server.requests().len();
    fixture.step(Event::Refresh);
    assert_eq!(fixture.health.verdict().to_string(), READING);
    fixture.until("1 of 10 hosts fail, this one included, and 1 may");
    let asked = server.requests().split_off(before);
    let count = |opcode: i32| asked.iter().filter(|seen| seen.opcode == opcode).count();
    // The farm's own record, and all hosts in one request.
    assert_eq!((count(op::GET_DATA), count(op::MULTI_READ)), (1, 1));
}
