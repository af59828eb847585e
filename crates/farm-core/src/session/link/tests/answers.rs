//! Who gets which answer.

use super::*;

#[test]
fn an_answer_is_for_the_head_of_the_queue_and_for_nothing_else() {
    let mut bench = Bench::up();
    [7, 6, 9].into_iter().for_each(|xid| bench.ask(xid));
    assert_eq!(bench.sent(), [(1, EXISTS), (2, EXISTS), (3, EXISTS)]);
    bench.server(reply(1, code::OK));
    bench.server(reply(2, NO_NODE));
    assert_eq!(bench.answers(), [(7, code::OK), (6, NO_NODE)]);
    bench.server(reply(4, code::OK));
    assert_eq!(bench.link.out.cut, Some(DownReason::Garbled("an answer to no request of ours")));
    // The rest of what such a server says is not believed either.
    bench.server(reply(3, code::OK));
    bench.server(event("/a"));
    assert_eq!((bench.answers(), bench.events()), (vec![], vec![]));
    bench.lose(DownReason::HungUp);
    assert_eq!(bench.answers(), [(9, code::CONNECTION_LOSS)]);
}

#[test]
fn swapped_and_repeated_answers_end_the_connection() {
    for (first, expected) in [(2, vec![]), (1, vec![(11, code::OK)])] {
        let mut bench = Bench::up();
        bench.ask(11);
        bench.ask(12);
        bench.server(reply(first, code::OK));
        bench.server(reply(1, code::OK));
        assert!(bench.link.out.cut.is_some());
        assert_eq!(bench.answers(), expected);
    }
}

#[test]
fn a_frame_too_short_for_an_answer_ends_the_connection() {
    for length in 0..ReplyHead::BYTES {
        let mut bench = Bench::up();
        bench.ask(1);
        bench.server(vec![0; length]);
        assert!(bench.link.out.cut.is_some(), "{length} bytes");
    }
}

#[test]
fn an_answer_that_claims_more_than_it_holds_never_reaches_the_library() {
    let table = [
        (opcode::GET_DATA, i32::MAX),
        (opcode::CREATE, 1),
        (opcode::GET_CHILDREN, i32::MAX),
        (opcode::GET_CHILDREN, 1),
    ];
    for (opcode, claim) in table {
        let mut bench = Bench::up();
        bench.client(1, opcode);
        bench.server(content(FrameBuilder::new().int(1).long(50).int(code::OK).int(claim)));
        assert!(bench.link.out.cut.is_some(), "opcode {opcode}");
        bench.lose(DownReason::HungUp);
        assert_eq!(bench.answers(), [(1, code::CONNECTION_LOSS)], "opcode {opcode}");
    }
    let mut bench = Bench::up();
    bench.client(1, opcode::GET_CHILDREN);
    let names = FrameBuilder::new().int(1).long(50).int(code::OK).int(2).text("a").text("");
    bench.server(content(names));
    assert_eq!(bench.answers(), [(1, code::OK)]);
}

#[test]
fn a_ping_of_the_client_waits_for_its_turn_and_never_leaves_us() {
    let mut bench = Bench::up();
    bench.ask(1);
    bench.client(XID_PING, opcode::PING);
    bench.ask(2);
    assert_eq!(bench.sent(), [(1, EXISTS), (2, EXISTS)]);
    assert_eq!(bench.answers(), []);
    bench.server(reply(1, code::OK));
    assert_eq!(bench.answers(), [(1, code::OK), (XID_PING, code::OK)]);
    bench.lose(DownReason::HungUp);
    assert_eq!(bench.answers(), [(2, code::CONNECTION_LOSS)]);
}

#[test]
fn pings_keep_their_place_in_every_phase() {
    for mut bench in [Bench::down(), Bench::greeting(), Bench::rewatching(), Bench::over()] {
        let expected =
            if bench.link.is_over() { code::SESSION_EXPIRED } else { code::CONNECTION_LOSS };
        bench.sent();
        bench.client(XID_PING, opcode::PING);
        bench.ask(1);
        assert_eq!(bench.answers(), [(XID_PING, code::OK), (1, expected)], "{bench:?}");
        assert_eq!(bench.sent(), []);
    }
}

#[test]
fn a_close_of_the_client_is_answered_in_every_phase_and_ends_nothing_else() {
    let phases =
        [Bench::down(), Bench::greeting(), Bench::rewatching(), Bench::up(), Bench::over()];
    for mut bench in phases {
        let (phase, _) = (bench.link.phase, bench.sent());
        bench.client(5, opcode::CLOSE_SESSION);
        assert_eq!(bench.answers(), [(5, code::OK)], "{bench:?}");
        assert_eq!((bench.sent(), bench.link.phase), (vec![], phase));
    }
}

#[test]
fn a_close_of_the_client_is_its_last_answer() {
    let mut bench = Bench::up();
    bench.ask(1);
    bench.client(XID_PING, opcode::PING);
    bench.ask(2);
    bench.client(3, opcode::CLOSE_SESSION);
    let loss = code::CONNECTION_LOSS;
    assert_eq!(bench.answers(), [(1, loss), (XID_PING, code::OK), (2, loss), (3, code::OK)]);
    // The server's answers come all the same, and find nobody.
    bench.server(reply(1, code::OK));
    bench.server(reply(2, code::OK));
    assert_eq!((bench.answers(), bench.link.out.cut), (vec![], None));
}

#[test]
fn requests_of_our_own_share_the_queue() {
    let mut bench = Bench::up();
    bench.ask(1);
    let own = bench.own(opcode::MULTI, None);
    bench.ask(2);
    assert_eq!(bench.sent(), [(1, EXISTS), (2, opcode::MULTI), (3, EXISTS)]);
    bench.server(reply(1, code::OK));
    assert!(own.try_recv().is_err());
    bench.server(content(FrameBuilder::new().int(2).long(50).int(NO_NODE).raw(b"body")));
    assert_eq!(own.try_recv().unwrap(), Ok((NO_NODE, b"body".to_vec())));
    bench.server(reply(3, code::OK));
    assert_eq!(bench.answers(), [(1, code::OK), (2, code::OK)]);
}

#[test]
fn requests_of_our_own_fail_at_once_without_a_server() {
    for mut bench in [Bench::down(), Bench::greeting(), Bench::rewatching()] {
        bench.sent();
        let own = bench.own(opcode::MULTI, None);
        assert_eq!(own.try_recv().unwrap(), Err(Unanswered::Disconnected), "{bench:?}");
        assert_eq!(bench.sent(), []);
    }
    let own = Bench::over().own(opcode::MULTI, None);
    assert_eq!(own.try_recv().unwrap(), Err(Unanswered::Over));
}

#[test]
fn requests_that_wait_fail_with_the_connection() {
    let mut bench = Bench::up();
    bench.ask(1);
    let own = bench.own(opcode::MULTI, None);
    bench.ask(2);
    bench.lose(DownReason::HungUp);
    assert_eq!(bench.answers(), [(1, code::CONNECTION_LOSS), (2, code::CONNECTION_LOSS)]);
    assert_eq!(own.try_recv().unwrap(), Err(Unanswered::Disconnected));
    assert_eq!(bench.events(), [Event::Suspended(DownReason::HungUp)]);
}

#[test]
fn events_overtake_answers() {
    let mut bench = Bench::up();
    bench.ask(1);
    bench.server(event("/a"));
    assert_eq!((bench.events(), bench.answers()), (vec![changed("/a")], vec![]));
    bench.server(reply(1, code::OK));
    assert_eq!(bench.answers(), [(1, code::OK)]);
}

#[test]
fn a_change_is_told_as_the_chroot_names_it_or_not_at_all() {
    let mut bench = Bench::up();
    bench.link.chroot = ZnodePath::parse("/app").unwrap();
    for (path, told) in [("/app/a", Some("/a")), ("/app", Some("/")), ("/apple", None), ("/", None)]
    {
        bench.server(event(path));
        assert_eq!(bench.events(), told.map(changed).into_iter().collect::<Vec<_>>(), "{path}");
    }
}

#[test]
fn numbers_wrap_around_and_never_meet_the_reserved_ones() {
    let mut bench = Bench::up();
    bench.link.backlog.last_xid = i32::MAX - 1;
    [i32::MAX, i32::MIN, -1].into_iter().for_each(|xid| bench.ask(xid));
    assert_eq!(bench.sent(), [(i32::MAX, EXISTS), (1, EXISTS), (2, EXISTS)]);
    [i32::MAX, 1, 2].into_iter().for_each(|xid| bench.server(reply(xid, code::OK)));
    assert_eq!(bench.answers(), [(i32::MAX, code::OK), (0, code::OK), (0, code::OK)]);
}
