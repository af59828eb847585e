//! Pings, timeouts, and servers that do not answer.

use super::*;

/// A third of the timeout of twelve seconds, and a sixth.
const PING_S: f64 = 4.0;
const ANSWER_S: f64 = 2.0;
const PING: (i32, i32) = (XID_PING, opcode::PING);

#[test]
fn an_idle_session_pings_whatever_arrives() {
    let mut fixture = Fixture::up();
    for round in 1..=5 {
        fixture.after(seconds(PING_S / 2.0));
        fixture.server(event("/a"));
        assert_eq!(fixture.sent(), [], "round {round}");
        fixture.after(seconds(PING_S / 2.0));
        assert_eq!(fixture.sent(), [PING], "round {round}");
        fixture.server(reply(XID_PING, code::OK));
    }
    assert_eq!(fixture.link.out.cut, None);
}

#[test]
fn the_deadline_is_when_there_is_something_to_do() {
    let mut fixture = Fixture::up();
    assert_eq!(fixture.link.deadline(), Some(fixture.now + seconds(PING_S)));
    fixture.ask(1);
    assert_eq!(fixture.link.deadline(), Some(fixture.now + seconds(ANSWER_S)));
    fixture.server(reply(1, code::OK));
    fixture.after(seconds(PING_S));
    assert_eq!(fixture.link.deadline(), Some(fixture.now + seconds(ANSWER_S)));
    assert_eq!(Fixture::down().link.deadline(), None);
    let connecting = Fixture::connecting();
    assert_eq!(connecting.link.deadline(), Some(connecting.now + seconds(ANSWER_S)));
}

#[test]
fn a_server_that_does_not_answer_is_cut() {
    let asked = |fixture: &mut Fixture| fixture.ask(1);
    let own = |fixture: &mut Fixture| drop(fixture.own(opcode::MULTI, None));
    let pinged = |fixture: &mut Fixture| fixture.after(seconds(PING_S));
    for request in [&asked as &dyn Fn(&mut Fixture), &own, &pinged] {
        let mut fixture = Fixture::up();
        request(&mut fixture);
        fixture.after(seconds(ANSWER_S - 0.001));
        assert_eq!(fixture.link.out.cut, None);
        fixture.server(event("/a"));
        fixture.after(seconds(0.001));
        assert_eq!(fixture.link.out.cut, Some(DownReason::Silent));
    }
    for mut fixture in [Fixture::connecting(), Fixture::restoring_watches()] {
        fixture.after(seconds(ANSWER_S));
        assert_eq!(fixture.link.out.cut, Some(DownReason::Silent), "{fixture:?}");
    }
}

#[test]
fn later_answers_do_not_hide_an_older_missing_one() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    fixture.after(seconds(ANSWER_S / 2.0));
    fixture.ask(2);
    fixture.server(reply(1, code::OK));
    fixture.after(seconds(ANSWER_S / 2.0));
    assert_eq!(fixture.link.out.cut, None);
    fixture.after(seconds(ANSWER_S / 2.0));
    assert_eq!(fixture.link.out.cut, Some(DownReason::Silent));
}

#[test]
fn the_next_server_gets_longer_until_one_is_in_time() {
    let mut fixture = Fixture::up();
    let cut_after = |fixture: &mut Fixture, answer_s: f64| {
        fixture.ask(1);
        fixture.after(seconds(answer_s - 0.001));
        assert_eq!(fixture.link.out.cut, None, "{answer_s} s");
        fixture.after(seconds(0.001));
        assert_eq!(fixture.link.out.cut, Some(DownReason::Silent), "{answer_s} s");
        fixture.lose(DownReason::Silent);
        fixture.link.connected(fixture.now);
        fixture.server(connect_response(ID, TIMEOUT_MS));
    };
    cut_after(&mut fixture, ANSWER_S);
    cut_after(&mut fixture, 2.0 * ANSWER_S);
    // Never more than a third of the timeout.
    cut_after(&mut fixture, 2.0 * ANSWER_S);
    fixture.sent();
    fixture.ask(2);
    let (xid, _) = fixture.sent()[0];
    fixture.server(reply(xid, code::OK));
    cut_after(&mut fixture, ANSWER_S);
}

#[test]
fn an_answer_that_keeps_coming_in_is_no_silence() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    for _ in 0..2 {
        fixture.after(seconds(ANSWER_S - 0.1));
        fixture.link.progressed(fixture.now);
        assert_eq!(fixture.link.out.cut, None);
    }
    fixture.after(seconds(ANSWER_S));
    assert_eq!(fixture.link.out.cut, Some(DownReason::Silent));
}

impl Fixture {
    /// How long bytes can arrive without a whole answer.
    fn drip(&mut self, most_s: f64) -> Duration {
        let start = self.now;
        while self.link.out.cut.is_none() && self.now < start + seconds(most_s) {
            let due = self.link.deadline().map_or(seconds(0.1), |at| at.duration_since(self.now));
            self.after(due.min(seconds(0.1)));
            self.link.progressed(self.now);
        }
        self.now.duration_since(start)
    }
}

#[test]
fn an_answer_that_never_ends_is_cut_whatever_keeps_coming_in() {
    let ask = |fixture: &mut Fixture| fixture.ask(1);
    // A watch event that drips: the answer to the ping behind it is missing.
    let nothing = |_: &mut Fixture| {};
    let cases =
        [(&ask as &dyn Fn(&mut Fixture), 3.0 * ANSWER_S), (&nothing, PING_S + 3.0 * ANSWER_S)];
    for (request, whole_s) in cases {
        let mut fixture = Fixture::up();
        request(&mut fixture);
        assert_eq!(fixture.drip(60.0), seconds(whole_s));
        assert_eq!(fixture.link.out.cut, Some(DownReason::Unfinished));
        fixture.lose(DownReason::Unfinished);
        // The next server gets more time, at most the session timeout.
        fixture.link.connected(fixture.now);
        fixture.server(connect_response(ID, TIMEOUT_MS));
        fixture.ask(2);
        assert_eq!(fixture.drip(60.0), seconds(f64::from(TIMEOUT_MS) / 1000.0));
    }
    for mut fixture in [Fixture::connecting(), Fixture::restoring_watches()] {
        assert_eq!(fixture.drip(60.0), seconds(3.0 * ANSWER_S));
        assert_eq!(fixture.link.out.cut, Some(DownReason::Unfinished));
    }
}

#[test]
fn answers_one_behind_the_other_have_their_time_each() {
    let mut fixture = Fixture::up();
    for xid in 1..=4 {
        fixture.ask(xid);
    }
    for xid in 1..=4 {
        assert_eq!(fixture.drip(2.9 * ANSWER_S), seconds(2.9 * ANSWER_S), "{xid}");
        fixture.server(reply(xid, code::OK));
        // A watch event is not an answer.
        fixture.server(event("/a"));
    }
    assert_eq!(fixture.link.out.cut, None);
}

#[test]
fn events_do_not_extend_the_timeout() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    let start = fixture.now;
    while fixture.link.out.cut.is_none() {
        fixture.server(event("/a"));
        // The beginning of the next event.
        fixture.link.progressed(fixture.now);
        fixture.after(seconds(0.5));
        assert!(fixture.now <= start + seconds(3.0 * ANSWER_S));
    }
}

#[test]
fn a_new_connection_does_not_wait_for_answers_of_the_old_one() {
    let mut fixture = Fixture::up();
    fixture.after(seconds(PING_S));
    fixture.lose(DownReason::HungUp);
    fixture.after(seconds(1.0));
    fixture.link.connected(fixture.now);
    fixture.server(connect_response(ID, TIMEOUT_MS));
    fixture.after(seconds(ANSWER_S));
    assert_eq!(fixture.link.out.cut, None);
    // A ping answer that nobody waits for is harmless.
    fixture.server(reply(XID_PING, code::OK));
    assert_eq!(fixture.link.out.cut, None);
}
