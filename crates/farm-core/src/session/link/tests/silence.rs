//! Pings, patience, and servers that owe an answer.

use super::*;

/// A third of the timeout of twelve seconds, and a sixth.
const PING_S: f64 = 4.0;
const ANSWER_S: f64 = 2.0;
const PING: (i32, i32) = (XID_PING, opcode::PING);

#[test]
fn an_idle_session_pings_whatever_arrives() {
    let mut bench = Bench::up();
    for round in 1..=5 {
        bench.after(seconds(PING_S / 2.0));
        bench.server(event("/a"));
        assert_eq!(bench.sent(), [], "round {round}");
        bench.after(seconds(PING_S / 2.0));
        assert_eq!(bench.sent(), [PING], "round {round}");
        bench.server(reply(XID_PING, code::OK));
    }
    assert_eq!(bench.link.out.cut, None);
}

#[test]
fn the_deadline_is_when_there_is_something_to_do() {
    let mut bench = Bench::up();
    assert_eq!(bench.link.deadline(), Some(bench.now + seconds(PING_S)));
    bench.ask(1);
    assert_eq!(bench.link.deadline(), Some(bench.now + seconds(ANSWER_S)));
    bench.server(reply(1, code::OK));
    bench.after(seconds(PING_S));
    assert_eq!(bench.link.deadline(), Some(bench.now + seconds(ANSWER_S)));
    assert_eq!(Bench::down().link.deadline(), None);
    let greeting = Bench::greeting();
    assert_eq!(greeting.link.deadline(), Some(greeting.now + seconds(ANSWER_S)));
}

#[test]
fn a_server_that_owes_an_answer_is_cut() {
    let asked = |bench: &mut Bench| bench.ask(1);
    let own = |bench: &mut Bench| drop(bench.own(opcode::MULTI, None));
    let pinged = |bench: &mut Bench| bench.after(seconds(PING_S));
    for owe in [&asked as &dyn Fn(&mut Bench), &own, &pinged] {
        let mut bench = Bench::up();
        owe(&mut bench);
        bench.after(seconds(ANSWER_S - 0.001));
        assert_eq!(bench.link.out.cut, None);
        bench.server(event("/a"));
        bench.after(seconds(0.001));
        assert_eq!(bench.link.out.cut, Some(DownReason::Silent));
    }
    for mut bench in [Bench::greeting(), Bench::rewatching()] {
        bench.after(seconds(ANSWER_S));
        assert_eq!(bench.link.out.cut, Some(DownReason::Silent), "{bench:?}");
    }
}

#[test]
fn later_answers_do_not_hide_an_older_debt() {
    let mut bench = Bench::up();
    bench.ask(1);
    bench.after(seconds(ANSWER_S / 2.0));
    bench.ask(2);
    bench.server(reply(1, code::OK));
    bench.after(seconds(ANSWER_S / 2.0));
    assert_eq!(bench.link.out.cut, None);
    bench.after(seconds(ANSWER_S / 2.0));
    assert_eq!(bench.link.out.cut, Some(DownReason::Silent));
}

#[test]
fn the_next_server_gets_longer_until_one_is_in_time() {
    let mut bench = Bench::up();
    let cut_after = |bench: &mut Bench, answer_s: f64| {
        bench.ask(1);
        bench.after(seconds(answer_s - 0.001));
        assert_eq!(bench.link.out.cut, None, "{answer_s} s");
        bench.after(seconds(0.001));
        assert_eq!(bench.link.out.cut, Some(DownReason::Silent), "{answer_s} s");
        bench.lose(DownReason::Silent);
        bench.link.connected(bench.now);
        bench.server(welcome(ID, TIMEOUT_MS));
    };
    cut_after(&mut bench, ANSWER_S);
    cut_after(&mut bench, 2.0 * ANSWER_S);
    // Never more than a third of the timeout.
    cut_after(&mut bench, 2.0 * ANSWER_S);
    bench.sent();
    bench.ask(2);
    let (xid, _) = bench.sent()[0];
    bench.server(reply(xid, code::OK));
    cut_after(&mut bench, ANSWER_S);
}

#[test]
fn an_answer_that_keeps_coming_in_is_no_silence() {
    let mut bench = Bench::up();
    bench.ask(1);
    for _ in 0..2 {
        bench.after(seconds(ANSWER_S - 0.1));
        bench.link.progressed(bench.now);
        assert_eq!(bench.link.out.cut, None);
    }
    bench.after(seconds(ANSWER_S));
    assert_eq!(bench.link.out.cut, Some(DownReason::Silent));
}

impl Bench {
    /// For how long bytes can come in without a whole answer.
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
    let ask = |bench: &mut Bench| bench.ask(1);
    // A watch event that drips: the ping behind it is what is owed.
    let nothing = |_: &mut Bench| {};
    let cases =
        [(&ask as &dyn Fn(&mut Bench), 3.0 * ANSWER_S), (&nothing, PING_S + 3.0 * ANSWER_S)];
    for (owe, whole_s) in cases {
        let mut bench = Bench::up();
        owe(&mut bench);
        assert_eq!(bench.drip(60.0), seconds(whole_s));
        assert_eq!(bench.link.out.cut, Some(DownReason::Unfinished));
        bench.lose(DownReason::Unfinished);
        // The next server gets longer, at the most as long as the session lives.
        bench.link.connected(bench.now);
        bench.server(welcome(ID, TIMEOUT_MS));
        bench.ask(2);
        assert_eq!(bench.drip(60.0), seconds(f64::from(TIMEOUT_MS) / 1000.0));
    }
    for mut bench in [Bench::greeting(), Bench::rewatching()] {
        assert_eq!(bench.drip(60.0), seconds(3.0 * ANSWER_S));
        assert_eq!(bench.link.out.cut, Some(DownReason::Unfinished));
    }
}

#[test]
fn answers_one_behind_the_other_have_their_time_each() {
    let mut bench = Bench::up();
    for xid in 1..=4 {
        bench.ask(xid);
    }
    for xid in 1..=4 {
        assert_eq!(bench.drip(2.9 * ANSWER_S), seconds(2.9 * ANSWER_S), "{xid}");
        bench.server(reply(xid, code::OK));
        // What a server says unasked is no answer.
        bench.server(event("/a"));
    }
    assert_eq!(bench.link.out.cut, None);
}

#[test]
fn events_alone_do_not_put_off_the_end_of_patience() {
    let mut bench = Bench::up();
    bench.ask(1);
    let start = bench.now;
    while bench.link.out.cut.is_none() {
        bench.server(event("/a"));
        // And the beginning of the next one.
        bench.link.progressed(bench.now);
        bench.after(seconds(0.5));
        assert!(bench.now <= start + seconds(3.0 * ANSWER_S));
    }
}

#[test]
fn a_new_connection_owes_nothing_of_the_old_one() {
    let mut bench = Bench::up();
    bench.after(seconds(PING_S));
    bench.lose(DownReason::HungUp);
    bench.after(seconds(1.0));
    bench.link.connected(bench.now);
    bench.server(welcome(ID, TIMEOUT_MS));
    bench.after(seconds(ANSWER_S));
    assert_eq!(bench.link.out.cut, None);
    // A late answer to nothing is no harm.
    bench.server(reply(XID_PING, code::OK));
    assert_eq!(bench.link.out.cut, None);
}
