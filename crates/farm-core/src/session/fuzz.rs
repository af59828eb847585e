//! The decoders of the wire, for the fuzzer and the tests.

use super::auth::Auth;
use super::link::Link;
use super::multi;
use super::path::ZnodePath;
use super::wire::{self, ConnectResponse, Fields, Frames, ReplyHead, opcode};
use std::time::{Duration, Instant};

/// Decodes the bytes as what a server sends and as what a client sends, in every phase
/// of a link. No bytes may cause a panic.
pub fn wire(bytes: &[u8]) {
    let mut frames = Frames::default();
    let mut seen = Vec::new();
    // Small pieces, so that lengths and frames are cut in two.
    for piece in bytes.chunks(7) {
        frames.push(piece);
        while let Ok(Some(frame)) = frames.next() {
            seen.push(frame);
        }
    }
    for frame in seen.iter().map(Vec::as_slice).chain([bytes]) {
        let _response = ConnectResponse::parse(frame);
        let _head = ReplyHead::parse(frame);
        let _event = wire::parse_event(frame);
        let _code = multi::multi_code(frame);
        for count in [0, 1, 2, 64] {
            let _answers = multi::read_answers(frame, count);
        }
        let mut fields = Fields::of(frame);
        while fields.buffer().is_ok() && fields.byte().is_ok() {}
        for opcode in [opcode::GET_DATA, opcode::GET_CHILDREN, opcode::CREATE] {
            let _body = wire::check_body(opcode, frame);
        }
    }
    let now = Instant::now();
    let link = || Link::new(now, Duration::from_secs(10), Auth::default(), ZnodePath::root());
    exchange(link(), now, &seen);
    let mut connected = link();
    connected.connected(now);
    connected.server_frame(now, connect_response());
    assert!(!connected.wants_server(), "the session is connected");
    exchange(connected, now, &seen);
}

/// Passes each frame to the link from both sides, and reconnects when the link cuts.
fn exchange(mut link: Link, mut now: Instant, frames: &[Vec<u8>]) {
    for frame in frames {
        if link.is_over() {
            return;
        }
        if link.wants_server() {
            link.connected(now);
        }
        link.client_frame(now, frame);
        link.server_frame(now, frame.clone());
        now += Duration::from_millis(400);
        link.tick(now);
        if let Some(reason) = std::mem::take(&mut link.out).cut {
            link.disconnected(reason);
        }
    }
}

/// The response of a server that grants a session timeout of ten seconds.
fn connect_response() -> Vec<u8> {
    let granted = wire::FrameBuilder::new().int(0).int(10_000).long(7).buffer(&[1; 16]).byte(0);
    granted.finish().split_off(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::survive_mutations;

    #[test]
    fn mutated_frames_never_panic() {
        survive_mutations(
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/wire"),
            wire,
        );
    }
}
