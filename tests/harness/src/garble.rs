//! Frames gone wrong on their way to a client.

use crate::wire::{Pack, xid};
use std::collections::VecDeque;

/// One way to spoil what the client reads next.
///
/// Each spoils one frame, the next one of the kind that it is about; several
/// wait for their turn in the order in which they were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garble {
    /// The next answer to a handshake ends after ten bytes, as its length says.
    ShortConnectResponse,
    /// The next answer to a handshake has a negative timeout and a password that
    /// claims to be far longer than the frame.
    OddConnectResponse,
    /// The next frame claims to be 2 GiB long.
    HugeLength,
    /// The next frame claims a length of -1.
    NegativeLength,
    /// The next reply, a ping's apart, is to a request that nobody sent.
    WrongXid,
    /// The next two replies come in the wrong order; the first one waits for the second.
    SwapReplies,
    /// The next reply, a ping's apart, comes twice.
    ReplyTooMany,
    /// Half of the next frame, then never a byte again on that connection.
    HalfFrame,
    /// Half of the next frame, then the end of the connection.
    HalfFrameThenCut,
    /// Noise of the next frame's size instead of it; the seed makes it repeatable.
    RandomBytes(u64),
}

/// What a frame carries, as far as garbling cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Handshake,
    Event,
    Ping,
    Reply,
}

impl FrameKind {
    /// Tells by the xid; only the stream knows which frame is the handshake.
    pub(crate) fn of(frame: &[u8], is_handshake: bool) -> Self {
        if is_handshake {
            return Self::Handshake;
        }
        match frame.get(4..8).and_then(|xid| xid.try_into().ok()).map(i32::from_be_bytes) {
            Some(xid::EVENT) => Self::Event,
            Some(xid::PING) => Self::Ping,
            _ => Self::Reply,
        }
    }
}

impl Garble {
    const fn spoils(self, kind: FrameKind) -> bool {
        match self {
            Self::ShortConnectResponse | Self::OddConnectResponse => {
                matches!(kind, FrameKind::Handshake)
            }
            Self::WrongXid | Self::SwapReplies | Self::ReplyTooMany => {
                matches!(kind, FrameKind::Reply)
            }
            Self::HugeLength
            | Self::NegativeLength
            | Self::HalfFrame
            | Self::HalfFrameThenCut
            | Self::RandomBytes(_) => true,
        }
    }
}

/// What happens to the connection once the bytes are out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    Mute,
    Cut,
}

/// The damage that waits for its frames.
#[derive(Debug, Default)]
pub(crate) struct Garbler {
    queue: VecDeque<Garble>,
}

impl Garbler {
    pub(crate) fn push(&mut self, garble: Garble) {
        self.queue.push_back(garble);
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }

    /// What goes out instead of `frame`; `kept` is the connection's place for a
    /// reply that waits for a later one to go first.
    pub(crate) fn pass(
        &mut self,
        frame: Vec<u8>,
        kind: FrameKind,
        kept: &mut Option<Vec<u8>>,
    ) -> (Vec<u8>, Then) {
        if matches!(kind, FrameKind::Reply | FrameKind::Ping)
            && let Some(earlier) = kept.take()
        {
            return ([frame, earlier].concat(), Then::GoOn);
        }
        let Some(garble) = self.queue.pop_front_if(|garble| garble.spoils(kind)) else {
            return (frame, Then::GoOn);
        };
        let half = || frame[..frame.len() / 2].to_vec();
        match garble {
            Garble::ShortConnectResponse => (Pack::new().bytes(&[0; 10]).frame(), Then::GoOn),
            Garble::OddConnectResponse => {
                let odd = Pack::new().int(0).int(-1).long(-1).int(i32::MAX - 16).flag(false);
                (odd.frame(), Then::GoOn)
            }
            Garble::HugeLength => (with_int(frame, 0, i32::MAX), Then::GoOn),
            Garble::NegativeLength => (with_int(frame, 0, -1), Then::GoOn),
            // Far from any number that a client reaches by counting.
            Garble::WrongXid => (with_int(frame, 4, 0x5a5a_5a5a), Then::GoOn),
            Garble::SwapReplies => {
                *kept = Some(frame);
                (Vec::new(), Then::GoOn)
            }
            Garble::ReplyTooMany => (frame.repeat(2), Then::GoOn),
            Garble::HalfFrame => (half(), Then::Mute),
            Garble::HalfFrameThenCut => (half(), Then::Cut),
            Garble::RandomBytes(seed) => (noise(seed, frame.len()), Then::GoOn),
        }
    }
}

fn with_int(mut frame: Vec<u8>, at: usize, value: i32) -> Vec<u8> {
    if let Some(place) = frame.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    frame
}

/// SplitMix64, one byte of each number.
fn noise(mut seed: u64, count: usize) -> Vec<u8> {
    let byte = |_| {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 56) as u8
    };
    (0..count).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(xid: i32) -> Vec<u8> {
        Pack::reply(xid, 1, 0).frame()
    }

    fn pass(garbler: &mut Garbler, frame: Vec<u8>, kept: &mut Option<Vec<u8>>) -> (Vec<u8>, Then) {
        let kind = FrameKind::of(&frame, false);
        garbler.pass(frame, kind, kept)
    }

    #[test]
    fn damage_waits_for_the_kind_of_frame_it_is_about() {
        let (mut garbler, mut kept) = (Garbler::default(), None);
        garbler.push(Garble::ReplyTooMany);
        garbler.push(Garble::HalfFrame);
        for passing in [reply(xid::EVENT), reply(xid::PING)] {
            assert_eq!(pass(&mut garbler, passing.clone(), &mut kept), (passing, Then::GoOn));
        }
        assert_eq!(
            pass(&mut garbler, reply(3), &mut kept),
            ([reply(3), reply(3)].concat(), Then::GoOn)
        );
        assert_eq!(
            pass(&mut garbler, reply(xid::PING), &mut kept),
            (reply(xid::PING)[..10].to_vec(), Then::Mute)
        );
        assert_eq!(pass(&mut garbler, reply(4), &mut kept), (reply(4), Then::GoOn));
    }

    #[test]
    fn swapped_replies_wait_for_one_another_but_events_do_not_wait() {
        let (mut garbler, mut kept) = (Garbler::default(), None);
        garbler.push(Garble::SwapReplies);
        assert_eq!(pass(&mut garbler, reply(1), &mut kept), (Vec::new(), Then::GoOn));
        let event = reply(xid::EVENT);
        assert_eq!(pass(&mut garbler, event.clone(), &mut kept), (event, Then::GoOn));
        assert_eq!(
            pass(&mut garbler, reply(2), &mut kept),
            ([reply(2), reply(1)].concat(), Then::GoOn)
        );
    }

    #[test]
    fn noise_repeats_for_its_seed_only() {
        assert_eq!(noise(1, 64), noise(1, 64));
        assert_ne!(noise(1, 64), noise(2, 64));
    }
}
