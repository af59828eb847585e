//! Credentials are sent first, one at a time.

use super::*;

const AUTH: (i32, i32) = (XID_AUTH, opcode::AUTH);
const AUTH_FAILED: i32 = -115;
/// A sixth of the timeout of twelve seconds.
const ANSWER_S: f64 = 2.0;

/// A link that has sent the first of two credentials.
fn authenticating() -> Fixture {
    let mut fixture = Fixture::down_with(Auth::parse(b"digest:a:1\ndigest:b:2").unwrap());
    fixture.link.connected(fixture.now);
    fixture.sent();
    fixture.server(connect_response(ID, TIMEOUT_MS));
    assert_eq!((fixture.events(), fixture.sent()), (vec![], vec![AUTH]));
    fixture
}

/// A link in use, with a remembered watch.
fn up() -> Fixture {
    let mut fixture = authenticating();
    fixture.server(reply(XID_AUTH, code::OK));
    fixture.server(reply(XID_AUTH, code::OK));
    assert_eq!(fixture.events(), [connected(true)]);
    let watched = fixture.own_watch("/farm");
    fixture.server(reply(1, code::OK));
    assert!(watched.try_recv().unwrap().is_ok());
    fixture.sent();
    fixture
}

/// The credential that was sent.
fn credential(fixture: &mut Fixture) -> Vec<u8> {
    let frame = contents(&std::mem::take(&mut fixture.link.out.to_server)).remove(0);
    let mut fields = wire::Fields::of(&frame);
    assert_eq!((fields.int(), fields.int()), (Ok(XID_AUTH), Ok(opcode::AUTH)));
    assert_eq!((fields.int(), fields.buffer()), (Ok(0), Ok(&b"digest"[..])));
    fields.buffer().unwrap().to_vec()
}

#[test]
fn credentials_are_sent_one_after_the_other_and_only_then_is_the_session_up() {
    let mut fixture = Fixture::down_with(Auth::parse(b"digest:a:1\ndigest:b:2:3").unwrap());
    fixture.link.connected(fixture.now);
    fixture.sent();
    fixture.server(connect_response(ID, TIMEOUT_MS));
    assert_eq!(credential(&mut fixture), b"a:1");
    fixture.server(reply(XID_AUTH, code::OK));
    assert_eq!(fixture.events(), []);
    assert_eq!(credential(&mut fixture), b"b:2:3");
    fixture.server(reply(XID_AUTH, code::OK));
    assert_eq!((fixture.events(), fixture.sent()), (vec![connected(true)], vec![]));
    assert_eq!(fixture.link.out.cut, None);
}

#[test]
fn every_connection_gets_credentials_before_watches_are_set_again() {
    let mut fixture = up();
    for number in 2..5 {
        fixture.lose(DownReason::HungUp);
        assert_eq!(fixture.events(), [Event::Suspended(DownReason::HungUp)]);
        fixture.link.connected(fixture.now);
        fixture.sent();
        fixture.server(connect_response(ID, TIMEOUT_MS));
        assert_eq!(fixture.sent(), [AUTH]);
        fixture.server(reply(XID_AUTH, code::OK));
        assert_eq!(fixture.sent(), [AUTH]);
        fixture.server(reply(XID_AUTH, code::OK));
        assert_eq!((fixture.sent(), fixture.events()), (vec![(number, opcode::ADD_WATCH)], vec![]));
        fixture.server(reply(number, code::OK));
        assert_eq!(fixture.events(), [connected(false)]);
    }
}

#[test]
fn no_request_is_sent_between_credentials() {
    let mut fixture = authenticating();
    fixture.ask(1);
    fixture.client(XID_PING, opcode::PING);
    let own = fixture.own(opcode::MULTI, None);
    assert_eq!(fixture.answers(), [(1, code::CONNECTION_LOSS), (XID_PING, code::OK)]);
    assert_eq!(own.try_recv().unwrap(), Err(Unanswered::Disconnected));
    fixture.after(seconds(ANSWER_S - 0.001));
    assert_eq!((fixture.sent(), fixture.link.out.cut), (vec![], None));
}

#[test]
fn each_answer_to_a_credential_has_a_timeout() {
    let mut fixture = authenticating();
    fixture.after(seconds(ANSWER_S - 0.001));
    fixture.server(reply(XID_AUTH, code::OK));
    assert_eq!(fixture.link.deadline(), Some(fixture.now + seconds(ANSWER_S)));
    fixture.after(seconds(ANSWER_S - 0.001));
    assert_eq!(fixture.link.out.cut, None);
    fixture.after(seconds(0.001));
    assert_eq!(fixture.link.out.cut, Some(DownReason::Silent));
}

#[test]
fn a_refusal_ends_the_connection_and_not_the_session() {
    for answered in 0..2 {
        let mut fixture = authenticating();
        (0..answered).for_each(|_| fixture.server(reply(XID_AUTH, code::OK)));
        fixture.server(reply(XID_AUTH, AUTH_FAILED));
        assert_eq!(fixture.link.out.cut, Some(DownReason::AuthRefused));
        fixture.lose(DownReason::AuthRefused);
        assert_eq!(fixture.events(), []);
        assert!(fixture.link.wants_server());
        fixture.link.connected(fixture.now);
        fixture.sent();
        fixture.server(connect_response(ID, TIMEOUT_MS));
        // All credentials are sent again.
        assert_eq!(credential(&mut fixture), b"a:1");
    }
}

#[test]
fn an_error_about_the_session_is_no_refusal() {
    for code in [code::SESSION_MOVED, code::SESSION_EXPIRED] {
        let mut fixture = authenticating();
        fixture.server(reply(XID_AUTH, code));
        assert_eq!(fixture.link.out.cut, Some(DownReason::HungUp), "{code}");
    }
}

#[test]
fn an_answer_to_credentials_that_were_not_sent_is_garbled() {
    for mut fixture in [Fixture::up(), up(), Fixture::restoring_watches()] {
        fixture.server(reply(XID_AUTH, code::OK));
        assert!(matches!(fixture.link.out.cut, Some(DownReason::Garbled(_))), "{fixture:?}");
    }
    let mut fixture = authenticating();
    fixture.server(reply(1, code::OK));
    assert!(matches!(fixture.link.out.cut, Some(DownReason::Garbled(_))), "{fixture:?}");
}

#[test]
fn closing_needs_no_credentials() {
    for code in [code::OK, AUTH_FAILED] {
        let mut fixture = authenticating();
        fixture.link.close(fixture.now);
        assert_eq!(fixture.sent(), [(1, opcode::CLOSE_SESSION)]);
        fixture.server(reply(XID_AUTH, code));
        assert_eq!((fixture.sent(), fixture.link.out.cut), (vec![], None));
        fixture.server(reply(1, code::OK));
        assert!(fixture.link.is_over());
    }
    let mut fixture = up();
    fixture.lose(DownReason::HungUp);
    fixture.link.close(fixture.now);
    fixture.link.connected(fixture.now);
    fixture.sent();
    fixture.server(connect_response(ID, TIMEOUT_MS));
    assert_eq!(fixture.sent(), [(2, opcode::CLOSE_SESSION)]);
}

#[test]
fn a_link_shows_no_secret_when_it_is_printed() {
    let mut fixture = Fixture::down_with(Auth::parse(b"digest:secret:secret").unwrap());
    fixture.link.connected(fixture.now);
    fixture.sent();
    assert!(!format!("{:?}", fixture.link).contains("secret"));
}
