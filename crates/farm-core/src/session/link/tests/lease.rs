//! What renews the lease, and what does not.

use super::*;
use crate::session::lease::Lease;

const GRANTED_S: f64 = TIMEOUT_MS as f64 / 1000.0;
/// A third of it.
const PING_S: f64 = 4.0;

impl Fixture {
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
fn a_connect_response_is_the_first_contact_and_counts_from_its_request() {
    for mut fixture in [Fixture::down(), Fixture::connecting()] {
        fixture.after(seconds(1.0));
        assert_eq!(fixture.lease().age_at(fixture.boottime()), Duration::MAX);
        assert_eq!(fixture.lease().left_at(fixture.boottime()), Duration::ZERO);
        if fixture.link.wants_server() {
            continue;
        }
        fixture.server(connect_response(ID, TIMEOUT_MS));
        fixture.assert_age(1.0);
    }
}

#[test]
fn an_odd_timeout_is_bounded_and_a_lease_is_never_longer_than_it() {
    for (granted_ms, taken_ms, lease_ms) in [(1, 1000, 1), (i32::MAX, 300_000, 300_000)] {
        let mut fixture = Fixture::connecting();
        fixture.server(connect_response(ID, granted_ms));
        let left = fixture.lease().left_at(fixture.boottime());
        assert_eq!(left, Duration::from_millis(lease_ms));
        let (session, granted) = (SessionId(ID), Duration::from_millis(taken_ms));
        assert_eq!(fixture.events(), [Event::Connected { session, is_new: true, granted }]);
    }
}

#[test]
fn an_answer_renews_it_from_when_its_request_was_sent() {
    let mut fixture = Fixture::up();
    fixture.after(seconds(0.5));
    fixture.ask(1);
    fixture.after(seconds(0.5));
    let own = fixture.own(opcode::MULTI, None);
    fixture.after(seconds(0.5));
    fixture.assert_age(1.5);
    fixture.server(reply(1, code::OK));
    fixture.assert_age(1.0);
    // An error is an answer too.
    fixture.server(reply(2, NO_NODE));
    fixture.assert_age(0.5);
    assert!(own.try_recv().unwrap().is_ok());
}

#[test]
fn pings_keep_the_lease_of_an_idle_session_young() {
    let mut fixture = Fixture::up();
    for _ in 0..6 {
        fixture.after(seconds(PING_S));
        fixture.assert_age(PING_S);
        fixture.after(seconds(0.2));
        fixture.server(reply(XID_PING, code::OK));
        fixture.assert_age(0.2);
        fixture.after(seconds(PING_S - 0.2));
        fixture.server(reply(XID_PING, code::OK));
    }
}

#[test]
fn what_a_server_sends_unasked_does_not_renew_it() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    fixture.after(seconds(1.0));
    fixture.server(event("/a"));
    // There was no ping.
    fixture.server(reply(XID_PING, code::OK));
    fixture.link.progressed(fixture.now);
    fixture.assert_age(1.0);
    // This is not the answer to the oldest request.
    fixture.ask(2);
    fixture.server(reply(2, code::OK));
    fixture.assert_age(1.0);
    // This answer says that another server has the session.
    let mut fixture = Fixture::up();
    fixture.ask(1);
    fixture.after(seconds(1.0));
    fixture.server(reply(1, code::SESSION_MOVED));
    fixture.assert_age(1.0);
}

#[test]
fn a_suspended_lease_ages_until_a_server_takes_the_session() {
    let mut fixture = Fixture::up();
    fixture.after(seconds(1.0));
    fixture.lose(DownReason::HungUp);
    fixture.assert_age(1.0);
    fixture.link.connected(fixture.now);
    fixture.after(seconds(1.0));
    fixture.assert_age(2.0);
    fixture.lose(DownReason::Silent);
    fixture.after(seconds(GRANTED_S));
    fixture.assert_age(2.0 + GRANTED_S);
    fixture.link.connected(fixture.now);
    fixture.server(connect_response(ID, TIMEOUT_MS));
    fixture.assert_age(0.0);
}

#[test]
fn the_end_of_a_session_is_the_end_of_its_lease() {
    let declare_over = |fixture: &mut Fixture| fixture.link.declare_over();
    // The lease ends before the session is closed.
    let close = |fixture: &mut Fixture| fixture.link.close(fixture.now);
    let expire = |fixture: &mut Fixture| {
        fixture.lose(DownReason::HungUp);
        fixture.link.connected(fixture.now);
        fixture.server(connect_response(0, 0));
    };
    for end in [&declare_over as &dyn Fn(&mut Fixture), &close, &expire] {
        let mut fixture = Fixture::up();
        assert!(!fixture.lease().left_at(fixture.boottime()).is_zero());
        end(&mut fixture);
        assert_eq!(fixture.lease().left_at(fixture.boottime()), Duration::ZERO);
        fixture.server(reply(1, code::OK));
        assert_eq!(fixture.lease().left_at(fixture.boottime()), Duration::ZERO);
    }
}
