//! How sessions begin, move to another server, and end.

use super::*;

#[test]
fn a_new_session_is_reported_with_the_granted_timeout() {
    let mut fixture = Fixture::connecting();
    fixture.server(connect_response(ID, 4000));
    let granted = Duration::from_secs(4);
    let up = Event::Connected { session: SessionId(ID), is_new: true, granted };
    assert_eq!(fixture.events(), [up]);
}

#[test]
fn the_next_server_is_sent_the_session_and_the_latest_transaction() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    fixture.server(reply(1, code::OK));
    fixture.lose(DownReason::HungUp);
    fixture.sent();
    fixture.link.connected(fixture.now);
    let request = contents(&std::mem::take(&mut fixture.link.out.to_server)).remove(0);
    let mut fields = wire::Fields::of(&request);
    let head = (fields.int(), fields.long(), fields.int(), fields.long(), fields.buffer());
    assert_eq!(head, (Ok(0), Ok(50), Ok(TIMEOUT_MS), Ok(ID), Ok(&[9; 16][..])));
    fixture.server(connect_response(ID, TIMEOUT_MS));
    assert_eq!(fixture.events(), [Event::Suspended(DownReason::HungUp), connected(false)]);
}

#[test]
fn an_ensemble_that_lost_its_data_can_report_that_the_session_is_over() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    fixture.server(reply(1, code::OK));
    fixture.lose(DownReason::HungUp);
    for (away_s, zxid) in [(11.0, 50), (2.0, 0)] {
        fixture.sent();
        fixture.after(seconds(away_s));
        fixture.link.connected(fixture.now);
        let request = contents(&std::mem::take(&mut fixture.link.out.to_server)).remove(0);
        let mut fields = wire::Fields::of(&request);
        assert_eq!((fields.int(), fields.long()), (Ok(0), Ok(zxid)), "{away_s} s later");
        fixture.lose(DownReason::HungUp);
    }
}

#[test]
fn garbled_connect_responses_end_the_connection() {
    let expired_before_it_was = {
        let mut fixture = Fixture::connecting();
        fixture.server(connect_response(0, 0));
        fixture
    };
    let foreign = {
        let mut fixture = Fixture::up();
        fixture.lose(DownReason::HungUp);
        fixture.link.connected(fixture.now);
        fixture.events();
        fixture.server(connect_response(ID + 1, TIMEOUT_MS));
        fixture
    };
    let short = {
        let mut fixture = Fixture::connecting();
        fixture.server(vec![0; 10]);
        fixture
    };
    for mut fixture in [expired_before_it_was, foreign, short] {
        assert!(matches!(fixture.link.out.cut, Some(DownReason::Garbled(_))), "{fixture:?}");
        fixture.lose(DownReason::HungUp);
        // It was never connected, so it is not suspended.
        assert_eq!(fixture.events(), []);
        assert!(fixture.link.wants_server());
    }
}

#[test]
fn expiry_answers_everything_and_is_reported_once() {
    let mut fixture = Fixture::over();
    fixture.ask(1);
    assert_eq!(fixture.answers(), [(1, code::SESSION_EXPIRED)]);
    fixture.server(event("/a"));
    fixture.server(connect_response(ID, TIMEOUT_MS));
    fixture.lose(DownReason::HungUp);
    fixture.link.declare_over();
    fixture.after(seconds(100.0));
    assert_eq!((fixture.events(), fixture.sent(), fixture.link.deadline()), (vec![], vec![], None));
    assert!(!fixture.link.wants_server());
}

#[test]
fn a_session_declared_over_answers_what_waits() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    let own = fixture.own(opcode::MULTI, None);
    fixture.link.declare_over();
    assert_eq!(fixture.answers(), [(1, code::SESSION_EXPIRED)]);
    assert_eq!(own.try_recv().unwrap(), Err(Unanswered::SessionOver));
    assert_eq!(fixture.events(), [Event::Lost]);
}

#[test]
fn a_session_that_moved_or_is_unknown_is_tried_on_another_connection() {
    for code in [code::SESSION_MOVED, code::SESSION_EXPIRED] {
        let mut fixture = Fixture::up();
        fixture.ask(1);
        fixture.server(reply(1, code));
        assert_eq!(fixture.link.out.cut, Some(DownReason::HungUp));
        fixture.lose(DownReason::HungUp);
        // Only a connect response says that a session is over.
        assert_eq!(fixture.answers(), [(1, code::CONNECTION_LOSS)]);
        assert!(fixture.link.wants_server());
    }
}

#[test]
fn watches_are_set_again_before_the_session_is_up() {
    let mut fixture = Fixture::restoring_watches();
    fixture.server(event("/farm/a"));
    assert_eq!(fixture.events(), [changed("/farm/a")]);
    fixture.server(reply(2, code::OK));
    assert_eq!(fixture.events(), [connected(false)]);
    fixture.ask(1);
    assert_eq!(fixture.sent(), [(3, EXISTS)]);
}

#[test]
fn only_watches_that_were_accepted_are_set_again() {
    let mut fixture = Fixture::up();
    let refused = fixture.own_watch("/farm");
    fixture.server(reply(1, code::UNIMPLEMENTED));
    assert_eq!(refused.try_recv().unwrap(), Ok((code::UNIMPLEMENTED, Vec::new())));
    let unanswered = fixture.own_watch("/farm");
    fixture.lose(DownReason::HungUp);
    assert_eq!(unanswered.try_recv().unwrap(), Err(Unanswered::Disconnected));
    fixture.events();
    fixture.link.connected(fixture.now);
    fixture.sent();
    fixture.server(connect_response(ID, TIMEOUT_MS));
    assert_eq!((fixture.events(), fixture.sent()), (vec![connected(false)], vec![]));
}

#[test]
fn a_watch_is_remembered_once() {
    let mut fixture = Fixture::up();
    for xid in [1, 2] {
        fixture.own_watch("/farm");
        fixture.server(reply(xid, code::OK));
    }
    assert_eq!(fixture.link.backlog.watches, ["/farm"]);
}

#[test]
fn a_server_that_refuses_a_remembered_watch_ends_the_session() {
    let mut fixture = Fixture::restoring_watches();
    fixture.server(reply(2, code::UNIMPLEMENTED));
    assert_eq!(fixture.events(), [Event::Lost]);
}

#[test]
fn a_connection_lost_before_it_was_up_is_not_reported() {
    for mut fixture in [Fixture::connecting(), Fixture::restoring_watches()] {
        fixture.lose(DownReason::HungUp);
        assert_eq!(fixture.events(), []);
        assert!(fixture.link.wants_server());
    }
}

#[test]
fn close_ends_the_session_at_the_server_and_answers_everybody_at_once() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    fixture.client(XID_PING, opcode::PING);
    let own = fixture.own(opcode::MULTI, None);
    fixture.ask(2);
    fixture.sent();
    fixture.link.close(fixture.now);
    let loss = code::CONNECTION_LOSS;
    assert_eq!(fixture.answers(), [(1, loss), (XID_PING, code::OK), (2, loss)]);
    assert_eq!(own.try_recv().unwrap(), Err(Unanswered::Disconnected));
    assert_eq!(fixture.sent(), [(4, opcode::CLOSE_SESSION)]);
    fixture.ask(3);
    fixture.client(XID_PING, opcode::PING);
    assert_eq!(fixture.answers(), [(3, loss), (XID_PING, code::OK)]);
    [1, 2, 3].into_iter().for_each(|xid| fixture.server(reply(xid, code::OK)));
    assert!(!fixture.link.is_over());
    fixture.server(reply(4, code::OK));
    assert!(fixture.link.is_over());
    // An end that was asked for is not reported.
    assert_eq!((fixture.events(), fixture.answers(), fixture.link.out.cut), (vec![], vec![], None));
}

#[test]
fn close_before_any_contact_is_done_at_once() {
    let mut fixture = Fixture::down();
    fixture.link.close(fixture.now);
    assert!(fixture.link.is_over());
}

#[test]
fn close_while_connecting_waits_for_the_response_and_leaves_no_session() {
    let mut fixture = Fixture::connecting();
    fixture.link.close(fixture.now);
    assert!(!fixture.link.is_over());
    fixture.server(connect_response(ID, TIMEOUT_MS));
    assert_eq!(fixture.sent(), [(1, opcode::CLOSE_SESSION)]);
    fixture.server(reply(1, code::OK));
    assert!(fixture.link.is_over());
    assert_eq!(fixture.events(), []);

    let mut fixture = Fixture::connecting();
    fixture.link.close(fixture.now);
    fixture.lose(DownReason::HungUp);
    // The server may have created a session, but its id is unknown.
    assert!(fixture.link.is_over());
}

#[test]
fn close_while_disconnected_is_done_by_the_next_server() {
    let mut fixture = Fixture::up();
    fixture.lose(DownReason::HungUp);
    fixture.link.close(fixture.now);
    assert!(fixture.link.wants_server());
    fixture.link.connected(fixture.now);
    fixture.server(connect_response(ID, TIMEOUT_MS));
    assert_eq!(fixture.sent().pop(), Some((1, opcode::CLOSE_SESSION)));
    // A server that drops the connection instead of answering is not the last one.
    fixture.lose(DownReason::HungUp);
    fixture.link.connected(fixture.now);
    fixture.server(connect_response(0, 0));
    assert!(fixture.link.is_over());
    assert_eq!(fixture.events(), [Event::Suspended(DownReason::HungUp)]);
}

#[test]
fn close_leaves_a_silent_server_for_the_next_one() {
    let connecting = {
        let mut fixture = Fixture::up();
        fixture.lose(DownReason::HungUp);
        fixture.link.connected(fixture.now);
        fixture.after(seconds(1.0));
        fixture
    };
    for mut fixture in [Fixture::up(), connecting] {
        fixture.link.close(fixture.now);
        fixture.after(seconds(0.1));
        assert_eq!(fixture.link.out.cut, None, "{fixture:?}");
        fixture.after(seconds(0.1));
        assert_eq!(fixture.link.out.cut, Some(DownReason::Silent), "{fixture:?}");
        fixture.lose(DownReason::Silent);
        assert!(fixture.link.wants_server());
        fixture.sent();
        fixture.link.connected(fixture.now);
        fixture.server(connect_response(ID, TIMEOUT_MS));
        assert_eq!(fixture.sent().pop().map(|(_, opcode)| opcode), Some(opcode::CLOSE_SESSION));
    }
    // A server that may be creating a session is awaited: the id is not known yet.
    let mut fixture = Fixture::connecting();
    fixture.link.close(fixture.now);
    fixture.after(seconds(1.0));
    assert_eq!(fixture.link.out.cut, None);
}

#[test]
fn close_is_done_whatever_the_server_answers() {
    for code in [code::OK, code::SESSION_EXPIRED, code::SESSION_MOVED, -1] {
        let mut fixture = Fixture::up();
        fixture.link.close(fixture.now);
        fixture.server(reply(1, code));
        assert!(fixture.link.is_over(), "{code}");
    }
}

#[test]
fn an_old_server_that_hangs_up_over_a_request_is_reported_as_outdated_once() {
    let mut fixture = Fixture::up();
    let own = fixture.own(opcode::MULTI_READ, None);
    fixture.server(reply(1, code::UNIMPLEMENTED));
    assert!(own.try_recv().unwrap().is_ok());
    fixture.lose(DownReason::HungUp);
    assert_eq!(fixture.events(), [Event::Suspended(DownReason::Outdated)]);
    fixture.link.connected(fixture.now);
    fixture.server(connect_response(ID, TIMEOUT_MS));
    fixture.lose(DownReason::HungUp);
    assert_eq!(fixture.events(), [connected(false), Event::Suspended(DownReason::HungUp)]);
    // Silence has another reason than an unknown request.
    let mut fixture = Fixture::up();
    drop(fixture.own(opcode::MULTI_READ, None));
    fixture.server(reply(1, code::UNIMPLEMENTED));
    fixture.lose(DownReason::Silent);
    assert_eq!(fixture.events(), [Event::Suspended(DownReason::Silent)]);
}

#[test]
fn no_server_is_wanted_before_the_library_takes_requests() {
    let (now, timeout) = (Instant::now(), Duration::from_secs(10));
    let mut link = Link::new(now, timeout, Auth::default(), ZnodePath::root());
    assert!(!link.wants_server());
    link.client_frame(now, &[0; 44]);
    assert!(link.wants_server());
}
