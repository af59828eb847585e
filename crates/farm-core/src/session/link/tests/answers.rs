//! Which request an answer belongs to.

use super::*;

#[test]
fn an_answer_is_for_the_head_of_the_queue_and_for_nothing_else() {
    let mut fixture = Fixture::up();
    [7, 6, 9].into_iter().for_each(|xid| fixture.ask(xid));
    assert_eq!(fixture.sent(), [(1, EXISTS), (2, EXISTS), (3, EXISTS)]);
    fixture.server(reply(1, code::OK));
    fixture.server(reply(2, NO_NODE));
    assert_eq!(fixture.answers(), [(7, code::OK), (6, NO_NODE)]);
    fixture.server(reply(4, code::OK));
    assert_eq!(fixture.link.out.cut, Some(DownReason::Garbled("an answer to no request of ours")));
    // Nothing that follows is trusted either.
    fixture.server(reply(3, code::OK));
    fixture.server(event("/a"));
    assert_eq!((fixture.answers(), fixture.events()), (vec![], vec![]));
    fixture.lose(DownReason::HungUp);
    assert_eq!(fixture.answers(), [(9, code::CONNECTION_LOSS)]);
}

#[test]
fn swapped_and_repeated_answers_end_the_connection() {
    for (first, expected) in [(2, vec![]), (1, vec![(11, code::OK)])] {
        let mut fixture = Fixture::up();
        fixture.ask(11);
        fixture.ask(12);
        fixture.server(reply(first, code::OK));
        fixture.server(reply(1, code::OK));
        assert!(fixture.link.out.cut.is_some());
        assert_eq!(fixture.answers(), expected);
    }
}

#[test]
fn a_frame_too_short_for_an_answer_ends_the_connection() {
    for length in 0..ReplyHead::BYTES {
        let mut fixture = Fixture::up();
        fixture.ask(1);
        fixture.server(vec![0; length]);
        assert!(fixture.link.out.cut.is_some(), "{length} bytes");
    }
}

#[test]
fn an_answer_that_claims_more_than_it_holds_never_reaches_the_library() {
    let table = [
        (opcode::GET_DATA, i32::MAX),
        (opcode::CREATE, 1),
        (opcode::GET_CHILDREN, i32::MAX),
        (opcode::GET_CHILDREN, 1),
        (opcode::GET_CHILDREN, -1),
        (opcode::GET_CHILDREN, i32::MIN),
    ];
    for (opcode, claim) in table {
        let mut fixture = Fixture::up();
        fixture.client(1, opcode);
        fixture.server(content(answer().int(claim)));
        assert!(fixture.link.out.cut.is_some(), "opcode {opcode}");
        fixture.lose(DownReason::HungUp);
        assert_eq!(fixture.answers(), [(1, code::CONNECTION_LOSS)], "opcode {opcode}");
    }
    let mut fixture = Fixture::up();
    fixture.client(1, opcode::GET_CHILDREN);
    fixture.server(content(answer().int(2).text("a").text("")));
    assert_eq!(fixture.answers(), [(1, code::OK)]);
}

/// The head of a good answer to the first request.
fn answer() -> FrameBuilder {
    FrameBuilder::new().int(1).long(50).int(code::OK)
}

#[test]
fn a_text_that_is_not_utf_8_never_reaches_the_library() {
    let mut fixture = Fixture::up();
    fixture.client(1, opcode::CREATE);
    fixture.server(content(answer().buffer(b"/\xff")));
    assert_eq!(fixture.link.out.cut, Some(DownReason::Garbled("a text that is not UTF-8")));

    // One bad name does not hide the others.
    let mut fixture = Fixture::up();
    fixture.client(1, opcode::GET_CHILDREN);
    fixture.server(content(answer().int(3).text("a").buffer(b"b\xff").text("c")));
    assert_eq!(fixture.link.out.cut, None);
    let names = content(answer().int(3).text("a").text("b\u{fffd}").text("c"));
    assert_eq!(contents(&std::mem::take(&mut fixture.link.out.to_client)), [names]);
    assert!(ZnodePath::root().child("b\u{fffd}").is_err());
}

#[test]
fn an_event_about_a_name_that_is_not_utf_8_is_none() {
    let mut fixture = Fixture::up();
    let event = FrameBuilder::new().int(XID_EVENT).long(-1).int(0).int(3).int(3);
    fixture.server(content(event.buffer(b"/\xff")));
    assert_eq!((fixture.events(), fixture.link.out.cut), (vec![], None));
}

#[test]
fn a_list_of_too_many_children_is_an_error_for_its_reader_alone() {
    for (count, answer) in [
        (wire::CHILDREN_MAX, code::OK),
        (wire::CHILDREN_MAX + 1, code::TOO_MANY),
        (2 * wire::CHILDREN_MAX, code::TOO_MANY),
    ] {
        let mut fixture = Fixture::up();
        fixture.client(7, opcode::GET_CHILDREN);
        fixture.client(8, opcode::EXISTS);
        let head = FrameBuilder::new().int(1).long(50).int(code::OK);
        let head = head.int(i32::try_from(count).unwrap());
        let names = vec![[0, 0, 0, 1, b'x']; count].concat();
        fixture.server(content(head.raw(&names)));
        fixture.server(reply(2, code::OK));
        assert_eq!(fixture.answers(), [(7, answer), (8, code::OK)], "{count}");
        assert_eq!(fixture.link.out.cut, None);
    }
}

#[test]
fn a_ping_of_the_client_waits_for_its_turn_and_never_leaves_us() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    fixture.client(XID_PING, opcode::PING);
    fixture.ask(2);
    assert_eq!(fixture.sent(), [(1, EXISTS), (2, EXISTS)]);
    assert_eq!(fixture.answers(), []);
    fixture.server(reply(1, code::OK));
    assert_eq!(fixture.answers(), [(1, code::OK), (XID_PING, code::OK)]);
    fixture.lose(DownReason::HungUp);
    assert_eq!(fixture.answers(), [(2, code::CONNECTION_LOSS)]);
}

#[test]
fn pings_keep_their_place_in_every_phase() {
    for mut fixture in
        [Fixture::down(), Fixture::connecting(), Fixture::restoring_watches(), Fixture::over()]
    {
        let expected =
            if fixture.link.is_over() { code::SESSION_EXPIRED } else { code::CONNECTION_LOSS };
        fixture.sent();
        fixture.client(XID_PING, opcode::PING);
        fixture.ask(1);
        assert_eq!(fixture.answers(), [(XID_PING, code::OK), (1, expected)], "{fixture:?}");
        assert_eq!(fixture.sent(), []);
    }
}

#[test]
fn a_close_of_the_client_is_answered_in_every_phase_and_ends_nothing_else() {
    let phases = [
        Fixture::down(),
        Fixture::connecting(),
        Fixture::restoring_watches(),
        Fixture::up(),
        Fixture::over(),
    ];
    for mut fixture in phases {
        let (phase, _) = (fixture.link.phase, fixture.sent());
        fixture.client(5, opcode::CLOSE_SESSION);
        assert_eq!(fixture.answers(), [(5, code::OK)], "{fixture:?}");
        assert_eq!((fixture.sent(), fixture.link.phase), (vec![], phase));
    }
}

#[test]
fn a_close_of_the_client_is_its_last_answer() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    fixture.client(XID_PING, opcode::PING);
    fixture.ask(2);
    fixture.client(3, opcode::CLOSE_SESSION);
    let loss = code::CONNECTION_LOSS;
    assert_eq!(fixture.answers(), [(1, loss), (XID_PING, code::OK), (2, loss), (3, code::OK)]);
    // The server's answers still come, and are ignored.
    fixture.server(reply(1, code::OK));
    fixture.server(reply(2, code::OK));
    assert_eq!((fixture.answers(), fixture.link.out.cut), (vec![], None));
}

#[test]
fn requests_of_our_own_share_the_queue() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    let own = fixture.own(opcode::MULTI, None);
    fixture.ask(2);
    assert_eq!(fixture.sent(), [(1, EXISTS), (2, opcode::MULTI), (3, EXISTS)]);
    fixture.server(reply(1, code::OK));
    assert!(own.try_recv().is_err());
    fixture.server(content(FrameBuilder::new().int(2).long(50).int(NO_NODE).raw(b"body")));
    assert_eq!(own.try_recv().unwrap(), Ok((NO_NODE, b"body".to_vec())));
    fixture.server(reply(3, code::OK));
    assert_eq!(fixture.answers(), [(1, code::OK), (2, code::OK)]);
}

#[test]
fn requests_of_our_own_fail_at_once_without_a_server() {
    for mut fixture in [Fixture::down(), Fixture::connecting(), Fixture::restoring_watches()] {
        fixture.sent();
        let own = fixture.own(opcode::MULTI, None);
        assert_eq!(own.try_recv().unwrap(), Err(Unanswered::Disconnected), "{fixture:?}");
        assert_eq!(fixture.sent(), []);
    }
    let own = Fixture::over().own(opcode::MULTI, None);
    assert_eq!(own.try_recv().unwrap(), Err(Unanswered::SessionOver));
}

#[test]
fn requests_that_wait_fail_with_the_connection() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    let own = fixture.own(opcode::MULTI, None);
    fixture.ask(2);
    fixture.lose(DownReason::HungUp);
    assert_eq!(fixture.answers(), [(1, code::CONNECTION_LOSS), (2, code::CONNECTION_LOSS)]);
    assert_eq!(own.try_recv().unwrap(), Err(Unanswered::Disconnected));
    assert_eq!(fixture.events(), [Event::Suspended(DownReason::HungUp)]);
}

#[test]
fn events_overtake_answers() {
    let mut fixture = Fixture::up();
    fixture.ask(1);
    fixture.server(event("/a"));
    assert_eq!((fixture.events(), fixture.answers()), (vec![changed("/a")], vec![]));
    fixture.server(reply(1, code::OK));
    assert_eq!(fixture.answers(), [(1, code::OK)]);
}

#[test]
fn a_change_is_reported_relative_to_the_chroot_or_not_at_all() {
    let mut fixture = Fixture::up();
    fixture.link.chroot = ZnodePath::parse("/app").unwrap();
    let table = [("/app/a", Some("/a")), ("/app", Some("/")), ("/apple", None), ("/", None)];
    for (path, hint) in table {
        fixture.server(event(path));
        assert_eq!(fixture.events(), hint.map(changed).into_iter().collect::<Vec<_>>(), "{path}");
    }
}

#[test]
fn numbers_wrap_around_and_never_meet_the_reserved_ones() {
    let mut fixture = Fixture::up();
    fixture.link.backlog.last_xid = i32::MAX - 1;
    [i32::MAX, i32::MIN, -1].into_iter().for_each(|xid| fixture.ask(xid));
    assert_eq!(fixture.sent(), [(i32::MAX, EXISTS), (1, EXISTS), (2, EXISTS)]);
    [i32::MAX, 1, 2].into_iter().for_each(|xid| fixture.server(reply(xid, code::OK)));
    assert_eq!(fixture.answers(), [(i32::MAX, code::OK), (0, code::OK), (0, code::OK)]);
}
