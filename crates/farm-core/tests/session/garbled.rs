//! Servers that violate the protocol.
use crate::fixture::{Fixture, WAIT_MAX, path};
use farm_core::session::{Event, Watch};
use farm_harness::{FakeServer, Garble};
use std::time::Duration;

/// A connected session gets a garbled frame, and survives.
fn survives(garble: Garble) {
    let server = FakeServer::start();
    server.put("/a", b"truth");
    let (mut fixture, session) = Fixture::brief_at(&server);
    server.garble(garble);
    if matches!(garble, Garble::ShortConnectResponse | Garble::OddConnectResponse) {
        server.cut();
    }
    // Two requests at once, so that replies can be swapped.
    let another = fixture.start(|client| client.get(&path("/a"), Watch::No));
    let read = fixture.session.call(WAIT_MAX, |client| client.get(&path("/a"), Watch::No));
    assert_eq!(read.unwrap().data, b"truth", "{garble:?}");
    if let Ok(znode) = another.recv_timeout(WAIT_MAX).unwrap() {
        assert_eq!(znode.data, b"truth", "{garble:?}");
    }
    // The error may be noticed only after the answer has been used.
    fixture.suspended();
    assert_eq!(fixture.connected_again(), session, "{garble:?}");
    assert!(server.connections_accepted() >= 2, "{garble:?}");
    assert_eq!(server.sessions().len(), 1, "{garble:?}");
}

/// The first connect response is garbled, and another connection is tried.
fn survives_at_first_contact(garble: Garble) {
    let server = FakeServer::start();
    server.garble(garble);
    let fixture = Fixture::open(&[&server.addr()]);
    fixture.connected_anew();
    assert!(fixture.is_quiet_for(Duration::from_millis(50)));
    assert!(server.connections_accepted() >= 2, "{garble:?}");
}

#[test]
fn garbled_connect_response_that_is_short() {
    survives(Garble::ShortConnectResponse);
    survives_at_first_contact(Garble::ShortConnectResponse);
}

#[test]
fn garbled_connect_response_that_is_odd() {
    survives(Garble::OddConnectResponse);
    survives_at_first_contact(Garble::OddConnectResponse);
}

#[test]
fn garbled_frame_of_unbounded_length_is_refused() {
    survives(Garble::HugeLength);
    survives_at_first_contact(Garble::HugeLength);
}

#[test]
fn garbled_frame_of_negative_length_is_refused() {
    survives(Garble::NegativeLength);
    survives_at_first_contact(Garble::NegativeLength);
}

#[test]
fn garbled_number_of_a_reply() {
    survives(Garble::WrongXid);
}

#[test]
fn garbled_order_of_replies() {
    survives(Garble::SwapReplies);
}

#[test]
fn garbled_reply_that_comes_twice() {
    survives(Garble::ReplyTooMany);
}

#[test]
fn half_frame_then_silence_is_cut() {
    survives(Garble::HalfFrame);
    survives_at_first_contact(Garble::HalfFrame);
}

#[test]
fn garbled_frame_that_ends_half_way() {
    survives(Garble::HalfFrameThenCut);
    survives_at_first_contact(Garble::HalfFrameThenCut);
}

#[test]
fn garbled_bytes_at_random() {
    for seed in 0..8 {
        survives(Garble::RandomBytes(seed));
        survives_at_first_contact(Garble::RandomBytes(seed));
    }
}

#[test]
fn names_that_are_not_utf_8_do_not_hide_the_others() {
    let server = FakeServer::start();
    let (fixture, _) = Fixture::at(&server);
    let name = |name: &[u8]| [&(name.len() as u32).to_be_bytes(), name].concat();
    let list = [3_u32.to_be_bytes().to_vec(), name(b"b"), name(b"\xff"), name(b"a")].concat();
    server.answer_with_body(farm_harness::op::GET_CHILDREN, &list);
    let names = fixture.run(|client| client.children(&path("/"), Watch::No)).unwrap();
    assert_eq!(names, ["a", "b", "\u{fffd}"]);
    assert_eq!(server.connections_accepted(), 1);
}

#[test]
fn answer_with_an_unknown_code_is_a_lasting_error() {
    const QUOTA_EXCEEDED: i32 = -125;
    let server = FakeServer::start();
    server.put("/a", b"");
    let (fixture, _) = Fixture::at(&server);
    server.answer_with(farm_harness::op::SET_DATA, QUOTA_EXCEEDED);
    let refused = fixture.run(|client| client.set(&path("/a"), b"1", None)).unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
    assert!(fixture.get("/a").is_ok());
    assert_eq!(server.connections_accepted(), 1);
}

#[test]
fn answer_without_a_body_is_garbled_for_its_reader_alone() {
    let server = FakeServer::start();
    server.put("/a", b"truth");
    let (fixture, _) = Fixture::at(&server);
    // A successful answer to a set holds a stat; this one is empty.
    server.answer_with(farm_harness::op::SET_DATA, 0);
    let set = fixture.run(|client| client.set(&path("/a"), b"1", None));
    assert!(matches!(set, Err(farm_core::session::SessionError::Garbled(_))), "{set:?}");
    assert_eq!(fixture.get("/a").unwrap().data, b"truth");
    assert!(!fixture.states().iter().any(|event| matches!(event, Event::Lost)));
}
