//! How sessions begin, go on elsewhere, and end.

use super::*;

#[test]
fn a_new_session_is_told_with_what_was_granted() {
    let mut bench = Bench::greeting();
    bench.server(welcome(ID, 4000));
    let granted = Duration::from_secs(4);
    let up = Event::Connected { session: SessionId(ID), is_new: true, granted };
    assert_eq!(bench.events(), [up]);
}

#[test]
fn the_next_server_is_shown_the_session_and_the_latest_transaction() {
    let mut bench = Bench::up();
    bench.ask(1);
    bench.server(reply(1, code::OK));
    bench.lose(DownReason::HungUp);
    bench.sent();
    bench.link.connected(bench.now);
    let greeting = contents(&std::mem::take(&mut bench.link.out.to_server)).remove(0);
    let mut fields = wire::Fields::of(&greeting);
    let head = (fields.int(), fields.long(), fields.int(), fields.long(), fields.buffer());
    assert_eq!(head, (Ok(0), Ok(50), Ok(TIMEOUT_MS), Ok(ID), Ok(&[9; 16][..])));
    bench.server(welcome(ID, TIMEOUT_MS));
    assert_eq!(bench.events(), [Event::Suspended(DownReason::HungUp), connected(false)]);
}

#[test]
fn an_ensemble_that_lost_its_data_may_tell_that_the_session_is_over() {
    let mut bench = Bench::up();
    bench.ask(1);
    bench.server(reply(1, code::OK));
    bench.lose(DownReason::HungUp);
    for (away_s, shown) in [(11.0, 50), (2.0, 0)] {
        bench.sent();
        bench.after(seconds(away_s));
        bench.link.connected(bench.now);
        let greeting = contents(&std::mem::take(&mut bench.link.out.to_server)).remove(0);
        let mut fields = wire::Fields::of(&greeting);
        assert_eq!((fields.int(), fields.long()), (Ok(0), Ok(shown)), "{away_s} s later");
        bench.lose(DownReason::HungUp);
    }
}

#[test]
fn welcomes_that_make_no_sense_are_none() {
    let expired_before_it_was = {
        let mut bench = Bench::greeting();
        bench.server(welcome(0, 0));
        bench
    };
    let foreign = {
        let mut bench = Bench::up();
        bench.lose(DownReason::HungUp);
        bench.link.connected(bench.now);
        bench.events();
        bench.server(welcome(ID + 1, TIMEOUT_MS));
        bench
    };
    let short = {
        let mut bench = Bench::greeting();
        bench.server(vec![0; 10]);
        bench
    };
    for mut bench in [expired_before_it_was, foreign, short] {
        assert!(matches!(bench.link.out.cut, Some(DownReason::Garbled(_))), "{bench:?}");
        bench.lose(DownReason::HungUp);
        // It was never told to be up, so it is not told to be down.
        assert_eq!(bench.events(), []);
        assert!(bench.link.wants_server());
    }
}

#[test]
fn expiry_answers_everything_and_is_told_once() {
    let mut bench = Bench::over();
    bench.ask(1);
    assert_eq!(bench.answers(), [(1, code::SESSION_EXPIRED)]);
    bench.server(event("/a"));
    bench.server(welcome(ID, TIMEOUT_MS));
    bench.lose(DownReason::HungUp);
    bench.link.give_up();
    bench.after(seconds(100.0));
    assert_eq!((bench.events(), bench.sent(), bench.link.deadline()), (vec![], vec![], None));
    assert!(!bench.link.wants_server());
}

#[test]
fn what_was_given_up_answers_what_waits() {
    let mut bench = Bench::up();
    bench.ask(1);
    let own = bench.own(opcode::MULTI, None);
    bench.link.give_up();
    assert_eq!(bench.answers(), [(1, code::SESSION_EXPIRED)]);
    assert_eq!(own.try_recv().unwrap(), Err(Unanswered::Over));
    assert_eq!(bench.events(), [Event::Lost]);
}

#[test]
fn a_session_that_moved_or_is_unknown_is_looked_for_by_another_greeting() {
    for code in [code::SESSION_MOVED, code::SESSION_EXPIRED] {
        let mut bench = Bench::up();
        bench.ask(1);
        bench.server(reply(1, code));
        assert_eq!(bench.link.out.cut, Some(DownReason::HungUp));
        bench.lose(DownReason::HungUp);
        // Whether it is over is not for an answer to say.
        assert_eq!(bench.answers(), [(1, code::CONNECTION_LOSS)]);
        assert!(bench.link.wants_server());
    }
}

#[test]
fn watches_are_set_again_before_the_session_is_up() {
    let mut bench = Bench::rewatching();
    bench.server(event("/farm/a"));
    assert_eq!(bench.events(), [changed("/farm/a")]);
    bench.server(reply(2, code::OK));
    assert_eq!(bench.events(), [connected(false)]);
    bench.ask(1);
    assert_eq!(bench.sent(), [(3, EXISTS)]);
}

#[test]
fn only_watches_that_were_accepted_are_set_again() {
    let mut bench = Bench::up();
    let refused = bench.own_watch("/farm");
    bench.server(reply(1, code::UNIMPLEMENTED));
    assert_eq!(refused.try_recv().unwrap(), Ok((code::UNIMPLEMENTED, Vec::new())));
    let unanswered = bench.own_watch("/farm");
    bench.lose(DownReason::HungUp);
    assert_eq!(unanswered.try_recv().unwrap(), Err(Unanswered::Disconnected));
    bench.events();
    bench.link.connected(bench.now);
    bench.sent();
    bench.server(welcome(ID, TIMEOUT_MS));
    assert_eq!((bench.events(), bench.sent()), (vec![connected(false)], vec![]));
}

#[test]
fn a_watch_is_remembered_once() {
    let mut bench = Bench::up();
    for xid in [1, 2] {
        bench.own_watch("/farm");
        bench.server(reply(xid, code::OK));
    }
    assert_eq!(bench.link.backlog.watches, ["/farm"]);
}

#[test]
fn a_server_that_refuses_a_remembered_watch_ends_the_session() {
    let mut bench = Bench::rewatching();
    bench.server(reply(2, code::UNIMPLEMENTED));
    assert_eq!(bench.events(), [Event::Lost]);
}

#[test]
fn a_connection_lost_before_it_was_up_is_no_news() {
    for mut bench in [Bench::greeting(), Bench::rewatching()] {
        bench.lose(DownReason::HungUp);
        assert_eq!(bench.events(), []);
        assert!(bench.link.wants_server());
    }
}

#[test]
fn close_ends_the_session_at_the_server_and_answers_everybody_at_once() {
    let mut bench = Bench::up();
    bench.ask(1);
    bench.client(XID_PING, opcode::PING);
    let own = bench.own(opcode::MULTI, None);
    bench.ask(2);
    bench.sent();
    bench.link.close(bench.now);
    let loss = code::CONNECTION_LOSS;
    assert_eq!(bench.answers(), [(1, loss), (XID_PING, code::OK), (2, loss)]);
    assert_eq!(own.try_recv().unwrap(), Err(Unanswered::Disconnected));
    assert_eq!(bench.sent(), [(4, opcode::CLOSE_SESSION)]);
    bench.ask(3);
    bench.client(XID_PING, opcode::PING);
    assert_eq!(bench.answers(), [(3, loss), (XID_PING, code::OK)]);
    [1, 2, 3].into_iter().for_each(|xid| bench.server(reply(xid, code::OK)));
    assert!(!bench.link.is_over());
    bench.server(reply(4, code::OK));
    assert!(bench.link.is_over());
    // An end that was asked for is no news.
    assert_eq!((bench.events(), bench.answers(), bench.link.out.cut), (vec![], vec![], None));
}

#[test]
fn close_before_any_contact_is_done_at_once() {
    let mut bench = Bench::down();
    bench.link.close(bench.now);
    assert!(bench.link.is_over());
}

#[test]
fn close_while_greeting_waits_for_the_welcome_and_leaves_no_session() {
    let mut bench = Bench::greeting();
    bench.link.close(bench.now);
    assert!(!bench.link.is_over());
    bench.server(welcome(ID, TIMEOUT_MS));
    assert_eq!(bench.sent(), [(1, opcode::CLOSE_SESSION)]);
    bench.server(reply(1, code::OK));
    assert!(bench.link.is_over());
    assert_eq!(bench.events(), []);

    let mut bench = Bench::greeting();
    bench.link.close(bench.now);
    bench.lose(DownReason::HungUp);
    // There may be a session, but nobody knows its name.
    assert!(bench.link.is_over());
}

#[test]
fn close_while_disconnected_is_done_by_the_next_server() {
    let mut bench = Bench::up();
    bench.lose(DownReason::HungUp);
    bench.link.close(bench.now);
    assert!(bench.link.wants_server());
    bench.link.connected(bench.now);
    bench.server(welcome(ID, TIMEOUT_MS));
    assert_eq!(bench.sent().pop(), Some((1, opcode::CLOSE_SESSION)));
    // A server that breaks the connection instead of answering gets no last word.
    bench.lose(DownReason::HungUp);
    bench.link.connected(bench.now);
    bench.server(welcome(0, 0));
    assert!(bench.link.is_over());
    assert_eq!(bench.events(), [Event::Suspended(DownReason::HungUp)]);
}

#[test]
fn close_leaves_a_mute_server_for_the_next_one() {
    let greeting = {
        let mut bench = Bench::up();
        bench.lose(DownReason::HungUp);
        bench.link.connected(bench.now);
        bench.after(seconds(1.0));
        bench
    };
    for mut bench in [Bench::up(), greeting] {
        bench.link.close(bench.now);
        bench.after(seconds(0.1));
        assert_eq!(bench.link.out.cut, None, "{bench:?}");
        bench.after(seconds(0.1));
        assert_eq!(bench.link.out.cut, Some(DownReason::Silent), "{bench:?}");
        bench.lose(DownReason::Silent);
        assert!(bench.link.wants_server());
        bench.sent();
        bench.link.connected(bench.now);
        bench.server(welcome(ID, TIMEOUT_MS));
        assert_eq!(bench.sent().pop().map(|(_, opcode)| opcode), Some(opcode::CLOSE_SESSION));
    }
    // One that may have a session for us whose name we do not know yet is waited for.
    let mut bench = Bench::greeting();
    bench.link.close(bench.now);
    bench.after(seconds(1.0));
    assert_eq!(bench.link.out.cut, None);
}

#[test]
fn close_is_done_whatever_the_server_says_to_it() {
    for code in [code::OK, code::SESSION_EXPIRED, code::SESSION_MOVED, -1] {
        let mut bench = Bench::up();
        bench.link.close(bench.now);
        bench.server(reply(1, code));
        assert!(bench.link.is_over(), "{code}");
    }
}

#[test]
fn an_old_server_that_hangs_up_over_a_request_is_told_as_such_once() {
    let mut bench = Bench::up();
    let own = bench.own(opcode::MULTI_READ, None);
    bench.server(reply(1, code::UNIMPLEMENTED));
    assert!(own.try_recv().unwrap().is_ok());
    bench.lose(DownReason::HungUp);
    assert_eq!(bench.events(), [Event::Suspended(DownReason::Outdated)]);
    bench.link.connected(bench.now);
    bench.server(welcome(ID, TIMEOUT_MS));
    bench.lose(DownReason::HungUp);
    assert_eq!(bench.events(), [connected(false), Event::Suspended(DownReason::HungUp)]);
    // Whatever it does not know, silence is another matter.
    let mut bench = Bench::up();
    drop(bench.own(opcode::MULTI_READ, None));
    bench.server(reply(1, code::UNIMPLEMENTED));
    bench.lose(DownReason::Silent);
    assert_eq!(bench.events(), [Event::Suspended(DownReason::Silent)]);
}
