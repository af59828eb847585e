//! What moves the lease, and what does not.

use super::*;
use crate::session::lease::Lease;

const GRANTED_S: f64 = TIMEOUT_MS as f64 / 1000.0;
/// A third of it.
const PING_S: f64 = 4.0;

impl Bench {
    fn lease(&self) -> Lease {
        self.link.lease()
    }

    #[track_caller]
    fn assert_age(&self, age_s: f64) {
        let now = self.boottime();
        assert_eq!(self.lease().age_at(now), seconds(age_s));
        assert_eq!(self.lease().left_at(now), seconds((GRANTED_S - age_s).max(0.0)));
    }
}

#[test]
fn a_welcome_is_the_first_contact_and_counts_from_the_greeting() {
    for mut bench in [Bench::down(), Bench::greeting()] {
        bench.after(seconds(1.0));
        assert_eq!(bench.lease().age_at(bench.boottime()), Duration::MAX);
        assert_eq!(bench.lease().left_at(bench.boottime()), Duration::ZERO);
        if bench.link.wants_server() {
            continue;
        }
        bench.server(welcome(ID, TIMEOUT_MS));
        bench.assert_age(1.0);
    }
}

#[test]
fn an_answer_moves_it_to_when_its_request_went_out() {
    let mut bench = Bench::up();
    bench.after(seconds(0.5));
    bench.ask(1);
    bench.after(seconds(0.5));
    let own = bench.own(opcode::MULTI, None);
    bench.after(seconds(0.5));
    bench.assert_age(1.5);
    bench.server(reply(1, code::OK));
    bench.assert_age(1.0);
    // An error is an answer too.
    bench.server(reply(2, NO_NODE));
    bench.assert_age(0.5);
    assert!(own.try_recv().unwrap().is_ok());
}

#[test]
fn a_ping_moves_it_and_so_an_idle_lease_never_gets_old() {
    let mut bench = Bench::up();
    for _ in 0..6 {
        bench.after(seconds(PING_S));
        bench.assert_age(PING_S);
        bench.after(seconds(0.2));
        bench.server(reply(XID_PING, code::OK));
        bench.assert_age(0.2);
        bench.after(seconds(PING_S - 0.2));
        bench.server(reply(XID_PING, code::OK));
    }
}

#[test]
fn what_a_server_says_unasked_moves_nothing() {
    let mut bench = Bench::up();
    bench.ask(1);
    bench.after(seconds(1.0));
    bench.server(event("/a"));
    // Nobody pinged.
    bench.server(reply(XID_PING, code::OK));
    bench.link.progressed(bench.now);
    bench.assert_age(1.0);
    // That answer is to another request than the oldest.
    bench.ask(2);
    bench.server(reply(2, code::OK));
    bench.assert_age(1.0);
    // And this one says that the session is elsewhere.
    let mut bench = Bench::up();
    bench.ask(1);
    bench.after(seconds(1.0));
    bench.server(reply(1, code::SESSION_MOVED));
    bench.assert_age(1.0);
}

#[test]
fn a_suspended_lease_ages_until_a_server_takes_the_session() {
    let mut bench = Bench::up();
    bench.after(seconds(1.0));
    bench.lose(DownReason::HungUp);
    bench.assert_age(1.0);
    bench.link.connected(bench.now);
    bench.after(seconds(1.0));
    bench.assert_age(2.0);
    bench.lose(DownReason::Silent);
    bench.after(seconds(GRANTED_S));
    bench.assert_age(2.0 + GRANTED_S);
    bench.link.connected(bench.now);
    bench.server(welcome(ID, TIMEOUT_MS));
    bench.assert_age(0.0);
}

#[test]
fn the_end_of_a_session_is_the_end_of_its_lease() {
    let give_up = |bench: &mut Bench| bench.link.give_up();
    // What we ask to be ended we count on no more.
    let close = |bench: &mut Bench| bench.link.close(bench.now);
    let expire = |bench: &mut Bench| {
        bench.lose(DownReason::HungUp);
        bench.link.connected(bench.now);
        bench.server(welcome(0, 0));
    };
    for end in [&give_up as &dyn Fn(&mut Bench), &close, &expire] {
        let mut bench = Bench::up();
        assert!(!bench.lease().left_at(bench.boottime()).is_zero());
        end(&mut bench);
        assert_eq!(bench.lease().left_at(bench.boottime()), Duration::ZERO);
        bench.server(reply(1, code::OK));
        assert_eq!(bench.lease().left_at(bench.boottime()), Duration::ZERO);
    }
}
