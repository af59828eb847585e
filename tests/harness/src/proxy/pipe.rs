//! One direction of one connection: bytes come in, frames wait, bytes go out.

use crate::garble::{FrameKind, Garbler, Then};
use crate::wire::Framer;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// The longest frame that is kept whole; what claims to be longer is no frame.
const FRAME_MAX: usize = 16 << 20;

/// How much is held before the sender has to wait; leaves room for a whole frame.
const HELD_BYTES_MAX: usize = 2 * FRAME_MAX;

/// What waits for its time.
struct Held {
    since: Instant,
    bytes: Vec<u8>,
    /// `None` for bytes that are not a frame; those are never spoilt.
    kind: Option<FrameKind>,
}

#[derive(Default)]
pub(super) struct Pipe {
    framer: Framer,
    /// Something came that is not ZooKeeper's: from there on bytes are bytes.
    is_raw: bool,
    has_greeted: bool,
    held: VecDeque<Held>,
    held_bytes: usize,
    kept: Option<Vec<u8>>,
    out: Vec<u8>,
    /// The sender has nothing more to say.
    is_read_out: bool,
    /// The receiver has been told so.
    is_shut: bool,
    is_mute: bool,
    is_cut_next: bool,
}

/// The faults that this direction has to suffer.
pub(super) struct Weather<'a> {
    pub(super) slow: Duration,
    pub(super) garbler: Option<&'a mut Garbler>,
    pub(super) is_half_next: bool,
}

/// What came of pumping.
pub(super) struct Pumped {
    pub(super) bytes: u64,
    /// When the next frame is due.
    pub(super) due: Option<Instant>,
    /// Half a frame is out, as was asked for.
    pub(super) is_half_out: bool,
}

impl Pipe {
    pub(super) fn may_read(&self) -> bool {
        !self.is_read_out && self.held_bytes + self.framer.held() < HELD_BYTES_MAX
    }

    pub(super) const fn wants_to_write(&self) -> bool {
        !self.out.is_empty()
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_shut || self.is_mute && self.is_read_out
    }

    /// Takes what was read; gives the handshake's frame when it is complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.is_raw {
            self.hold(bytes.to_vec(), None);
            return None;
        }
        let mut handshake = None;
        self.framer.push(bytes);
        loop {
            match self.framer.next(FRAME_MAX) {
                Ok(None) => return handshake,
                Ok(Some(frame)) => {
                    let kind = FrameKind::of(&frame, !self.has_greeted);
                    if !self.has_greeted {
                        handshake = Some(frame.clone());
                        self.has_greeted = true;
                    }
                    self.hold(frame, Some(kind));
                }
                Err(_) => {
                    self.is_raw = true;
                    let rest = self.framer.take_rest();
                    self.hold(rest, None);
                    return handshake;
                }
            }
        }
    }

    /// Takes the end of the stream; half a frame goes as it came.
    pub(super) fn take_end(&mut self) {
        self.is_read_out = true;
        let rest = self.framer.take_rest();
        if !rest.is_empty() {
            self.hold(rest, None);
        }
    }

    fn hold(&mut self, bytes: Vec<u8>, kind: Option<FrameKind>) {
        self.held_bytes += bytes.len();
        self.held.push_back(Held { since: Instant::now(), bytes, kind });
    }

    /// Delivers what is due; an error means that the receiver has gone, or has to go.
    pub(super) fn pump(
        &mut self,
        to: &TcpStream,
        now: Instant,
        mut weather: Weather<'_>,
    ) -> io::Result<Pumped> {
        let mut pumped = Pumped { bytes: 0, due: None, is_half_out: false };
        while !self.is_mute && !self.is_cut_next && !pumped.is_half_out {
            pumped.due = self.held.front().map(|held| held.since + weather.slow);
            if pumped.due.is_none_or(|due| due > now) {
                break;
            }
            let Some(mut held) = self.held.pop_front() else { break };
            self.held_bytes -= held.bytes.len();
            if weather.is_half_next && held.kind.is_some() {
                let rest = held.bytes.split_off(held.bytes.len() / 2);
                self.out.extend_from_slice(&held.bytes);
                self.held_bytes += rest.len();
                self.held.push_front(Held { since: held.since, bytes: rest, kind: None });
                pumped.is_half_out = true;
            } else {
                self.let_out(held, weather.garbler.as_deref_mut());
            }
        }
        pumped.bytes = self.write_out(to)?;
        if self.is_cut_next && self.out.is_empty() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let is_empty = self.out.is_empty() && self.held.is_empty();
        if self.is_read_out && is_empty && !self.is_mute && !self.is_shut {
            self.is_shut = true;
            to.shutdown(Shutdown::Write)?;
        }
        Ok(pumped)
    }

    fn let_out(&mut self, held: Held, garbler: Option<&mut Garbler>) {
        let (Some(kind), Some(garbler)) = (held.kind, garbler) else {
            return self.out.extend_from_slice(&held.bytes);
        };
        let (bytes, then) = garbler.pass(held.bytes, kind, &mut self.kept);
        self.out.extend_from_slice(&bytes);
        self.is_mute |= then == Then::Mute;
        self.is_cut_next |= then == Then::Cut;
    }

    fn write_out(&mut self, mut to: &TcpStream) -> io::Result<u64> {
        let mut written = 0;
        let outcome = loop {
            if written == self.out.len() {
                break Ok(());
            }
            match to.write(&self.out[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.out.drain(..written);
        outcome.map(|()| written as u64)
    }
}
