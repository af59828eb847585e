//! The farm as it is told by a server, over changes and faults.

use super::*;
use crate::session::live::{Live, Post};
use farm_harness::{FakeServer, code, op, patience};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(15);
const READING: &str = "nobody knows how the farm is: it is being read";
const AWAY: &str = "nobody knows how the farm is: ZooKeeper is away";
const GONE: &str = "nobody knows how the farm is: it is not there";

/// The health of a farm with a session, as a runner has them.
struct Stage {
    health: FarmHealth,
    live: Live<Answer>,
}

impl Stage {
    /// The farm `/db`, of which so many hosts may fail; this host is `h0`.
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

    /// Runs until the verdict reads like this, or begins like it if that ends in `...`.
    #[track_caller]
    fn until(&mut self, wanted: &str) {
        let give_up = Instant::now() + patience(PATIENCE);
        loop {
            let told = self.health.verdict().to_string();
            let is_told = match wanted.strip_suffix("...") {
                Some(start) => told.starts_with(start),
                None => told == wanted,
            };
            if is_told {
                return;
            }
            assert!(Instant::now() < give_up, "{told:?} and not {wanted:?}");
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
    let mut live = Stage::at(&server, "25%");
    assert_eq!(live.health.verdict().to_string(), AWAY);
    live.until("1 of 10 hosts fail with this one, 2.5 may");
    server.put("/db/h1", br#"{"up":0}"#);
    live.until("2 of 10 hosts fail with this one, 2.5 may");
    server.delete("/db/h2");
    live.until("3 of 10 hosts would fail with this one, 2.5 may");
    server.put("/db/h2", b"{nonsense");
    server.put("/db/h1", br#"{"up":1}"#);
    live.until("2 of 10 hosts fail with this one, 2.5 may");
    server.put("/db/h2", br#"{"up":1}"#);
    live.until("1 of 10 hosts fail with this one, 2.5 may");
    // It is a loss that this host goes, but not another one.
    server.delete("/db/h0");
    server.put("/db/h1", br#"{"up":0}"#);
    live.until("2 of 10 hosts fail with this one, 2.5 may");
    // The farm grows, and has another idea of who runs.
    server.put("/db", br#"{"size":"20","running_filter":"up=0"}"#);
    live.until("19 of 20 hosts would fail with this one, 5 may");
}

#[test]
fn what_is_not_known_is_not_allowed() {
    let server = FakeServer::start();
    let mut live = Stage::at(&server, "100%");
    live.until(GONE);
    server.put("/db", b"");
    live.until("nobody knows how the farm is: its record has no field size");
    for (record, wanted) in [
        (&b"{\"size\":\"many\"}"[..], "the field size of its record is no number of hosts"),
        (b"{\"size\":1,\"running_filter\":7}", "the field running_filter of its record is no text"),
        (b"[]", "its own znode holds no record: ..."),
        (
            b"{\"size\":1,\"running_filter\":\"=\"}",
            "the field running_filter of its record is no filter: ...",
        ),
    ] {
        server.put("/db", record);
        live.until(&format!("nobody knows how the farm is: {wanted}"));
        assert!(!live.health.verdict().is_allowed());
    }
    server.put("/db", b"{\"size\":1}");
    live.until("1 of 1 hosts fail with this one, 1 may");
    server.delete("/db");
    live.until(GONE);
    server.put("/db", b"{\"size\":2}");
    live.until("2 of 2 hosts fail with this one, 2 may");
}

#[test]
fn an_old_server_is_followed_as_well() {
    let server = farm();
    server.old_version();
    let mut live = Stage::at(&server, "2");
    live.until("1 of 10 hosts fail with this one, 2 may");
    for size in 11..14 {
        server.put("/db", format!("{{\"size\":{size}}}").as_bytes());
        live.until(&match size {
            11 => format!("2 of {size} hosts fail with this one, 2 may"),
            _ => format!("{} of {size} hosts would fail with this one, 2 may", size - 9),
        });
    }
}

#[test]
fn without_a_server_nobody_knows_and_then_all_is_read_again() {
    let server = farm();
    let mut live = Stage::at(&server, "1");
    live.until("1 of 10 hosts fail with this one, 1 may");
    server.refuse();
    server.cut();
    live.until(AWAY);
    server.put("/db", br#"{"size":12}"#);
    server.accept();
    live.until("3 of 12 hosts would fail with this one, 1 may");
    server.expire_all();
    live.until(AWAY);
    server.put("/db", br#"{"size":10}"#);
    live.until("1 of 10 hosts fail with this one, 1 may");
    // The watches of the new session are in place.
    server.put("/db", br#"{"size":11}"#);
    live.until("2 of 11 hosts would fail with this one, 1 may");
    server.delete("/db/h3");
    live.until("3 of 11 hosts would fail with this one, 1 may");
}

#[test]
fn a_farm_that_may_not_be_seen_is_tried_again() {
    let server = farm();
    for opcode in [op::GET_CHILDREN, op::GET_DATA] {
        server.answer_with(opcode, code::NO_AUTH);
    }
    let mut live = Stage::at(&server, "1");
    live.until("nobody knows how the farm is: it can't be read: not authorised: /db");
    live.until("1 of 10 hosts fail with this one, 1 may");
}

#[test]
fn a_fresh_verdict_is_had_by_reading_all_of_it() {
    let server = farm();
    let mut live = Stage::at(&server, "1");
    live.until("1 of 10 hosts fail with this one, 1 may");
    let before = server.requests().len();
    live.step(Event::Refresh);
    assert_eq!(live.health.verdict().to_string(), READING);
    live.until("1 of 10 hosts fail with this one, 1 may");
    let asked = server.requests().split_off(before);
    let count = |opcode: i32| asked.iter().filter(|seen| seen.opcode == opcode).count();
    // The farm's own record, and all hosts in one request.
    assert_eq!((count(op::GET_DATA), count(op::MULTI_READ)), (1, 1));
}
