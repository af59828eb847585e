//! What a group of a thousand members costs each of them.
//!
//! Three of them are real; the others are znodes that the test plays. The server counts the
//! requests.

use super::fixture::{CONF, GroupFixture, id};
use super::group_state::{STATE, version_of};
use farm_harness::{FakeServer, RecordedRequest, Running, eventually, holds_for};
use serde_json::json;
use std::time::Duration;

const REAL: usize = 3;
const PLAYED: usize = 1000;
const SESSIONS: usize = 4;
const A_WHILE: Duration = Duration::from_millis(500);

/// Real and played members on a server that counts.
struct Many {
    group: GroupFixture<'static>,
    server: FakeServer,
    sessions: Vec<i64>,
    _running: Vec<Running>,
}

fn told(state: &str, version: &str) -> Vec<u8> {
    let told = json!({
        "v": 1, "host": "played", "state": state, "wanted": version, "running": version,
        "confirmed": version, "sources": [{"kind": "znode", "path": CONF}],
    });
    told.to_string().into_bytes()
}

impl Many {
    fn start(test: &str) -> Self {
        let group = GroupFixture::new(test, REAL);
        let server = FakeServer::start();
        server.put(CONF, b"v1");
        let open = |_| server.open_session(Duration::from_secs(600));
        let sessions: Vec<i64> = (0..SESSIONS).map(open).collect();
        let many = Self { group, server, sessions, _running: Vec::new() };
        for member in 0..PLAYED {
            many.play(member, "running", &version_of("v1"));
        }
        let member = |who: usize| {
            let member = many.group.zkexec(who).named().at(many.server.addr().to_string());
            many.group.start(&member, "v1")
        };
        let running = (0..REAL).map(member).collect();
        many.wait_told("running");
        Self { _running: running, ..many }
    }

    /// Has a played member tell something.
    fn play(&self, member: usize, state: &str, version: &str) {
        let path = format!("{STATE}/members/played-{member}");
        self.server.put_ephemeral(&path, &told(state, version), self.sessions[member % SESSIONS]);
    }

    /// Waits until the real members tell that they are in this state.
    #[track_caller]
    fn wait_told(&self, state: &str) {
        for who in 0..REAL {
            eventually(&format!("{who} is {state}"), || {
                let told = self.server.get(&format!("{STATE}/members/{}", id(who)));
                let text = String::from_utf8(told.unwrap_or_default()).unwrap();
                let is_so = text.contains(&format!("\"state\":\"{state}\""));
                if is_so { Ok(()) } else { Err(text) }
            });
        }
    }

    /// Waits until nobody asks for anything, and returns how much was asked so far.
    #[track_caller]
    fn wait_quiet(&self) -> usize {
        let mut before = self.server.requests().len();
        let mut since = std::time::Instant::now();
        eventually("the members are quiet", || {
            let now = self.server.requests().len();
            if now != before {
                (before, since) = (now, std::time::Instant::now());
            }
            if since.elapsed() > A_WHILE { Ok(now) } else { Err(format!("{now} requests")) }
        })
    }

    fn requests_since(&self, start: usize) -> Vec<RecordedRequest> {
        self.server.requests().split_off(start)
    }
}

#[test]
fn what_one_of_a_thousand_members_does_costs_the_others_nothing() {
    let many = Many::start("what_one_of_a_thousand_members_does");
    let start = many.wait_quiet();
    for round in 0..10 {
        let state = if round % 2 == 0 { "restarting" } else { "running" };
        for member in 0..PLAYED / 10 {
            many.play(member, state, &version_of("v1"));
        }
    }
    holds_for(A_WHILE, "nobody asks for anything", || {
        let more = many.requests_since(start);
        if more.is_empty() { Ok(()) } else { Err(format!("{more:?}")) }
    });
}

#[test]
fn a_verdict_or_a_command_costs_each_member_one_read() {
    let many = Many::start("a_verdict_costs_each_member_one_read");
    let one_each = |what: &str, path: &str, bytes: &[u8]| {
        let start = many.wait_quiet();
        many.server.put(path, bytes);
        eventually(&format!("each reads {what}"), || {
            let asked = many.requests_since(start);
            let sessions: std::collections::BTreeSet<i64> =
                asked.iter().map(|request| request.session).collect();
            if sessions.len() == REAL { Ok(()) } else { Err(format!("{asked:?}")) }
        });
        many.wait_quiet();
        let asked = many.requests_since(start);
        // What a member tells of it is one write, and not for everything.
        let reads: Vec<_> =
            asked.iter().filter(|request| request.path.as_deref() == Some(path)).collect();
        let own = format!("{STATE}/members/m");
        let others: Vec<_> = asked
            .iter()
            .filter(|request| {
                let path_asked = request.path.as_deref().unwrap_or_default();
                path_asked != path && !path_asked.starts_with(&own)
            })
            .collect();
        assert_eq!((reads.len(), others.len()), (REAL, 0), "{what}: {asked:#?}");
    };
    let control = format!("{STATE}/control");
    one_each("the first command", &control, br#"{"v":1,"paused":true}"#);
    many.wait_told("running");
    many.server.put(CONF, b"v2 fails");
    many.wait_told("paused");
    let verdict = format!("{STATE}/versions/{}", version_of("v2 fails"));
    one_each("a verdict", &verdict, br#"{"v":1,"verdict":"refused","reason":"it crashes"}"#);
    one_each("a command", &control, br#"{"v":1,"paused":false}"#);
    many.wait_told("refused");
    one_each("another refusal", &verdict, br#"{"v":1,"verdict":"refused","round":1}"#);
}
