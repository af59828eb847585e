//! Corrupted frames on their way to a client.

use crate::wire::{Pack, xid};
use std::collections::VecDeque;

/// One way to corrupt what the client reads next.
///
/// Each corrupts one frame: the next frame of the kind that it applies to. Several are
/// applied in the order in which they were requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garble {
    /// The next answer to a handshake has ten bytes, with a length to match.
    ShortConnectResponse,
    /// The next answer to a handshake has a negative timeout and a password that
    /// claims to be far longer than the frame.
    OddConnectResponse,
    /// The next frame claims to be 2 GiB long.
    HugeLength,
    /// The next frame claims a length of -1.
    NegativeLength,
    /// The next reply (except to a ping) has the xid of no request.
    WrongXid,
    /// The next two replies come in the wrong order: the first is held until the second.
    SwapReplies,
    /// The next reply (except to a ping) comes twice.
    ReplyTooMany,
    /// Half of the next frame, then silence on that connection.
    HalfFrame,
    /// Half of the next frame, then the end of the connection.
    HalfFrameThenCut,
    /// Random bytes replace the next frame, with its size; the seed makes them repeatable.
    RandomBytes(u64),
}

/// The kinds of frames that are garbled differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Handshake,
    Event,
    Ping,
    Reply,
}

impl FrameKind {
    /// Decides by the xid. Only the caller knows which frame is the handshake.
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
    const fn applies_to(self, kind: FrameKind) -> bool {
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

/// What happens to the connection after the frame is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterFrame {
    Continue,
    Silence,
    Close,
}

/// The pending corruptions of a stream.
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

    /// The bytes to send instead of `frame`. `kept` is the connection's slot for a reply that
    /// is held until the next one has been sent.
    pub(crate) fn pass(
        &mut self,
        frame: Vec<u8>,
        kind: FrameKind,
        kept: &mut Option<Vec<u8>>,
    ) -> (Vec<u8>, AfterFrame) {
        if matches!(kind, FrameKind::Reply | FrameKind::Ping)
            && let Some(earlier) = kept.take()
        {
            return ([frame, earlier].concat(), AfterFrame::Continue);
        }
        let Some(garble) = self.queue.pop_front_if(|garble| garble.applies_to(kind)) else {
            return (frame, AfterFrame::Continue);
        };
        let half = || frame[..frame.len() / 2].to_vec();
        match garble {
            Garble::ShortConnectResponse => {
                (Pack::new().bytes(&[0; 10]).frame(), AfterFrame::Continue)
            }
            Garble::OddConnectResponse => {
                let odd = Pack::new().int(0).int(-1).long(-1).int(i32::MAX - 16).flag(false);
                (odd.frame(), AfterFrame::Continue)
            }
            Garble::HugeLength => (with_int(frame, 0, i32::MAX), AfterFrame::Continue),
            Garble::NegativeLength => (with_int(frame, 0, -1), AfterFrame::Continue),
            // No client counts that far.
            Garble::WrongXid => (with_int(frame, 4, 0x5a5a_5a5a), AfterFrame::Continue),
            Garble::SwapReplies => {
                *kept = Some(frame);
                (Vec::new(), AfterFrame::Continue)
            }
            Garble::ReplyTooMany => (frame.repeat(2), AfterFrame::Continue),
            Garble::HalfFrame => (half(), AfterFrame::Silence),
            Garble::HalfFrameThenCut => (half(), AfterFrame::Close),
            Garble::RandomBytes(seed) => (noise(seed, frame.len()), AfterFrame::Continue),
        }
    }
}

fn with_int(mut frame: Vec<u8>, at: usize, value: i32) -> Vec<u8> {
    if let Some(place) = frame.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    frame
}

/// One byte of each SplitMix64 number.
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

    fn pass(
        garbler: &mut Garbler,
        frame: Vec<u8>,
        kept: &mut Option<Vec<u8>>,
    ) -> (Vec<u8>, AfterFrame) {
        let kind = FrameKind::of(&frame, false);
        garbler.pass(frame, kind, kept)
    }

    #[test]
    fn damage_waits_for_the_kind_of_frame_it_is_about() {
        let (mut garbler, mut kept) = (Garbler::default(), None);
        garbler.push(Garble::ReplyTooMany);
        garbler.push(Garble::HalfFrame);
        for passing in [reply(xid::EVENT), reply(xid::PING)] {
            assert_eq!(
                pass(&mut garbler, passing.clone(), &mut kept),
                (passing, AfterFrame::Continue)
            );
        }
        assert_eq!(
            pass(&mut garbler, reply(3), &mut kept),
            ([reply(3), reply(3)].concat(), AfterFrame::Continue)
        );
        assert_eq!(
            pass(&mut garbler, reply(xid::PING), &mut kept),
            (reply(xid::PING)[..10].to_vec(), AfterFrame::Silence)
        );
        assert_eq!(pass(&mut garbler, reply(4), &mut kept), (reply(4), AfterFrame::Continue));
    }

    #[test]
    fn swapped_replies_wait_for_one_another_but_events_do_not_wait() {
        let (mut garbler, mut kept) = (Garbler::default(), None);
        garbler.push(Garble::SwapReplies);
        assert_eq!(pass(&mut garbler, reply(1), &mut kept), (Vec::new(), AfterFrame::Continue));
        let event = reply(xid::EVENT);
        assert_eq!(pass(&mut garbler, event.clone(), &mut kept), (event, AfterFrame::Continue));
        assert_eq!(
            pass(&mut garbler, reply(2), &mut kept),
            ([reply(2), reply(1)].concat(), AfterFrame::Continue)
        );
    }

    #[test]
    fn noise_repeats_for_its_seed_only() {
        assert_eq!(noise(1, 64), noise(1, 64));
        assert_ne!(noise(1, 64), noise(2, 64));
    }
}
