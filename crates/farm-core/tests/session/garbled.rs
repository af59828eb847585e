//! Servers that send what no server sends.

use crate::guest::{Guest, PATIENCE, path};
use farm_core::session::{Event, Watch};
use farm_harness::{FakeServer, Garble};
use std::time::Duration;

/// A running session meets the damage, reads on, and stays the same one.
fn survives(garble: Garble) {
    let server = FakeServer::start();
    server.put("/a", b"truth");
    let (mut guest, session) = Guest::at(&server);
    server.garble(garble);
    if matches!(garble, Garble::ShortConnectResponse | Garble::OddConnectResponse) {
        server.cut();
    }
    // Two at once: swapped replies need a second one.
    let another = guest.start(|client| client.get(&path("/a"), Watch::No));
    let read = guest.session.call(PATIENCE, |client| client.get(&path("/a"), Watch::No));
    assert_eq!(read.unwrap().data, b"truth", "{garble:?}");
    if let Ok(znode) = another.recv_timeout(PATIENCE).unwrap() {
        assert_eq!(znode.data, b"truth", "{garble:?}");
    }
    // Damage to an answer may show only after the answer has been used.
    guest.suspended();
    assert_eq!(guest.connected_again(), session, "{garble:?}");
    assert!(server.connections_accepted() >= 2, "{garble:?}");
    assert_eq!(server.sessions().len(), 1, "{garble:?}");
}

/// The very first greeting meets the damage, and the next one is tried.
fn survives_at_first_contact(garble: Garble) {
    let server = FakeServer::start();
    server.garble(garble);
    let guest = Guest::open(&[&server.addr()]);
    guest.connected_anew();
    assert!(guest.is_quiet_for(Duration::from_millis(50)));
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
fn garbled_answer_of_an_unknown_code_is_told_as_one() {
    const QUOTA_EXCEEDED: i32 = -125;
    let server = FakeServer::start();
    server.put("/a", b"");
    let (guest, _) = Guest::at(&server);
    server.answer_with(farm_harness::op::SET_DATA, QUOTA_EXCEEDED);
    let refused = guest.run(|client| client.set(&path("/a"), b"1", None)).unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
    assert!(guest.get("/a").is_ok());
    assert_eq!(server.connections_accepted(), 1);
}

#[test]
fn answer_without_a_body_is_garbled_for_its_reader_alone() {
    let server = FakeServer::start();
    server.put("/a", b"truth");
    let (guest, _) = Guest::at(&server);
    // A good answer to a set holds a stat; this one holds nothing.
    server.answer_with(farm_harness::op::SET_DATA, 0);
    let set = guest.run(|client| client.set(&path("/a"), b"1", None));
    assert!(matches!(set, Err(farm_core::session::SessionError::Garbled(_))), "{set:?}");
    assert_eq!(guest.get("/a").unwrap().data, b"truth");
    assert!(!guest.states_told().iter().any(|event| matches!(event, Event::Lost)));
}
