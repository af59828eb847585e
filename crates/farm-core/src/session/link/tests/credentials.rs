//! Who we are is told first, one credential at a time.

use super::*;

const AUTH: (i32, i32) = (XID_AUTH, opcode::AUTH);
const AUTH_FAILED: i32 = -115;
/// A sixth of the timeout of twelve seconds.
const ANSWER_S: f64 = 2.0;

/// The server has welcomed us and been shown the first of two credentials.
fn proving() -> Bench {
    let mut bench = Bench::down_as(Auth::parse(b"digest:a:1\ndigest:b:2").unwrap());
    bench.link.connected(bench.now);
    bench.sent();
    bench.server(welcome(ID, TIMEOUT_MS));
    assert_eq!((bench.events(), bench.sent()), (vec![], vec![AUTH]));
    bench
}

/// In use, with a remembered watch.
fn up() -> Bench {
    let mut bench = proving();
    bench.server(reply(XID_AUTH, code::OK));
    bench.server(reply(XID_AUTH, code::OK));
    assert_eq!(bench.events(), [connected(true)]);
    let watched = bench.own_watch("/farm");
    bench.server(reply(1, code::OK));
    assert!(watched.try_recv().unwrap().is_ok());
    bench.sent();
    bench
}

fn shown(bench: &mut Bench) -> Vec<u8> {
    let frame = contents(&std::mem::take(&mut bench.link.out.to_server)).remove(0);
    let mut fields = wire::Fields::of(&frame);
    assert_eq!((fields.int(), fields.int()), (Ok(XID_AUTH), Ok(opcode::AUTH)));
    assert_eq!((fields.int(), fields.buffer()), (Ok(0), Ok(&b"digest"[..])));
    fields.buffer().unwrap().to_vec()
}

#[test]
fn one_is_shown_after_the_other_and_only_then_is_the_session_up() {
    let mut bench = Bench::down_as(Auth::parse(b"digest:a:1\ndigest:b:2:3").unwrap());
    bench.link.connected(bench.now);
    bench.sent();
    bench.server(welcome(ID, TIMEOUT_MS));
    assert_eq!(shown(&mut bench), b"a:1");
    bench.server(reply(XID_AUTH, code::OK));
    assert_eq!(bench.events(), []);
    assert_eq!(shown(&mut bench), b"b:2:3");
    bench.server(reply(XID_AUTH, code::OK));
    assert_eq!((bench.events(), bench.sent()), (vec![connected(true)], vec![]));
    assert_eq!(bench.link.out.cut, None);
}

#[test]
fn every_connection_is_told_before_watches_are_set_again() {
    let mut bench = up();
    for number in 2..5 {
        bench.lose(DownReason::HungUp);
        assert_eq!(bench.events(), [Event::Suspended(DownReason::HungUp)]);
        bench.link.connected(bench.now);
        bench.sent();
        bench.server(welcome(ID, TIMEOUT_MS));
        assert_eq!(bench.sent(), [AUTH]);
        bench.server(reply(XID_AUTH, code::OK));
        assert_eq!(bench.sent(), [AUTH]);
        bench.server(reply(XID_AUTH, code::OK));
        assert_eq!((bench.sent(), bench.events()), (vec![(number, opcode::ADD_WATCH)], vec![]));
        bench.server(reply(number, code::OK));
        assert_eq!(bench.events(), [connected(false)]);
    }
}

#[test]
fn nobody_gets_a_word_in_between() {
    let mut bench = proving();
    bench.ask(1);
    bench.client(XID_PING, opcode::PING);
    let own = bench.own(opcode::MULTI, None);
    assert_eq!(bench.answers(), [(1, code::CONNECTION_LOSS), (XID_PING, code::OK)]);
    assert_eq!(own.try_recv().unwrap(), Err(Unanswered::Disconnected));
    bench.after(seconds(ANSWER_S - 0.001));
    assert_eq!((bench.sent(), bench.link.out.cut), (vec![], None));
}

#[test]
fn each_answer_is_waited_for_and_not_for_ever() {
    let mut bench = proving();
    bench.after(seconds(ANSWER_S - 0.001));
    bench.server(reply(XID_AUTH, code::OK));
    assert_eq!(bench.link.deadline(), Some(bench.now + seconds(ANSWER_S)));
    bench.after(seconds(ANSWER_S - 0.001));
    assert_eq!(bench.link.out.cut, None);
    bench.after(seconds(0.001));
    assert_eq!(bench.link.out.cut, Some(DownReason::Silent));
}

#[test]
fn a_refusal_ends_the_connection_and_not_the_session() {
    for answered in 0..2 {
        let mut bench = proving();
        (0..answered).for_each(|_| bench.server(reply(XID_AUTH, code::OK)));
        bench.server(reply(XID_AUTH, AUTH_FAILED));
        assert_eq!(bench.link.out.cut, Some(DownReason::AuthRefused));
        bench.lose(DownReason::AuthRefused);
        assert_eq!(bench.events(), []);
        assert!(bench.link.wants_server());
        bench.link.connected(bench.now);
        bench.sent();
        bench.server(welcome(ID, TIMEOUT_MS));
        // From the first one on.
        assert_eq!(shown(&mut bench), b"a:1");
    }
}

#[test]
fn what_says_something_of_the_session_is_no_refusal() {
    for code in [code::SESSION_MOVED, code::SESSION_EXPIRED] {
        let mut bench = proving();
        bench.server(reply(XID_AUTH, code));
        assert_eq!(bench.link.out.cut, Some(DownReason::HungUp), "{code}");
    }
}

#[test]
fn an_answer_to_credentials_that_were_not_shown_makes_no_sense() {
    for mut bench in [Bench::up(), up(), Bench::rewatching()] {
        bench.server(reply(XID_AUTH, code::OK));
        assert!(matches!(bench.link.out.cut, Some(DownReason::Garbled(_))), "{bench:?}");
    }
    let mut bench = proving();
    bench.server(reply(1, code::OK));
    assert!(matches!(bench.link.out.cut, Some(DownReason::Garbled(_))), "{bench:?}");
}

#[test]
fn closing_needs_no_credentials() {
    for code in [code::OK, AUTH_FAILED] {
        let mut bench = proving();
        bench.link.close(bench.now);
        assert_eq!(bench.sent(), [(1, opcode::CLOSE_SESSION)]);
        bench.server(reply(XID_AUTH, code));
        assert_eq!((bench.sent(), bench.link.out.cut), (vec![], None));
        bench.server(reply(1, code::OK));
        assert!(bench.link.is_over());
    }
    let mut bench = up();
    bench.lose(DownReason::HungUp);
    bench.link.close(bench.now);
    bench.link.connected(bench.now);
    bench.sent();
    bench.server(welcome(ID, TIMEOUT_MS));
    assert_eq!(bench.sent(), [(2, opcode::CLOSE_SESSION)]);
}

#[test]
fn a_link_shows_no_secret_when_it_is_printed() {
    let mut bench = Bench::down_as(Auth::parse(b"digest:secret:secret").unwrap());
    bench.link.connected(bench.now);
    bench.sent();
    assert!(!format!("{:?}", bench.link).contains("secret"));
}
