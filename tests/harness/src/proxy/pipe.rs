//! One direction of a proxied connection: takes bytes, delays frames, delivers bytes.

use crate::garble::{AfterFrame, FrameKind, Garbler};
use crate::wire::Framer;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// The maximum length of a frame. A longer length means that the bytes are no frame.
const FRAME_MAX: usize = 16 << 20;

/// The maximum number of bytes held before the pipe stops reading; room for a whole frame.
const HELD_BYTES_MAX: usize = 2 * FRAME_MAX;

/// A frame, or bytes that are none, before delivery.
struct Held {
    since: Instant,
    bytes: Vec<u8>,
    /// `None` for bytes that are no frame; those are never garbled.
    kind: Option<FrameKind>,
}

#[derive(Default)]
pub(super) struct Pipe {
    framer: Framer,
    /// The stream is no longer ZooKeeper's protocol, and bytes pass unframed.
    is_raw: bool,
    is_handshake_read: bool,
    held: VecDeque<Held>,
    held_bytes: usize,
    kept: Option<Vec<u8>>,
    out: Vec<u8>,
    /// The sender has closed its side.
    is_eof: bool,
    /// The receiver's side has been shut down, too.
    is_shut: bool,
    is_mute: bool,
    is_cut_next: bool,
}

/// The faults of one direction.
pub(super) struct PipeFaults<'a> {
    pub(super) slow: Duration,
    pub(super) garbler: Option<&'a mut Garbler>,
    pub(super) is_half_next: bool,
}

/// The result of [`Pipe::pump`].
pub(super) struct PumpOutcome {
    pub(super) bytes: u64,
    /// When the next frame is to be delivered.
    pub(super) due: Option<Instant>,
    /// Half a frame was delivered, as `is_half_next` requests.
    pub(super) is_half_out: bool,
}

impl Pipe {
    pub(super) fn may_read(&self) -> bool {
        !self.is_eof && self.held_bytes + self.framer.held() < HELD_BYTES_MAX
    }

    pub(super) const fn wants_to_write(&self) -> bool {
        !self.out.is_empty()
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_shut || self.is_mute && self.is_eof
    }

    /// Takes the bytes read; returns the handshake when it is complete.
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
                    let kind = FrameKind::of(&frame, !self.is_handshake_read);
                    if !self.is_handshake_read {
                        handshake = Some(frame.clone());
                        self.is_handshake_read = true;
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

    /// Takes the end of the stream; an incomplete frame is delivered as it is.
    pub(super) fn take_end(&mut self) {
        self.is_eof = true;
        let rest = self.framer.take_rest();
        if !rest.is_empty() {
            self.hold(rest, None);
        }
    }

    fn hold(&mut self, bytes: Vec<u8>, kind: Option<FrameKind>) {
        self.held_bytes += bytes.len();
        self.held.push_back(Held { since: Instant::now(), bytes, kind });
    }

    /// Delivers the frames that are due. An error means that the connection is to be closed.
    pub(super) fn pump(
        &mut self,
        to: &TcpStream,
        now: Instant,
        mut faults: PipeFaults<'_>,
    ) -> io::Result<PumpOutcome> {
        let mut pumped = PumpOutcome { bytes: 0, due: None, is_half_out: false };
        while !self.is_mute && !self.is_cut_next && !pumped.is_half_out {
            pumped.due = self.held.front().map(|held| held.since + faults.slow);
            if pumped.due.is_none_or(|due| due > now) {
                break;
            }
            let Some(mut held) = self.held.pop_front() else { break };
            self.held_bytes -= held.bytes.len();
            if faults.is_half_next && held.kind.is_some() {
                let rest = held.bytes.split_off(held.bytes.len() / 2);
                self.out.extend_from_slice(&held.bytes);
                self.held_bytes += rest.len();
                self.held.push_front(Held { since: held.since, bytes: rest, kind: None });
                pumped.is_half_out = true;
            } else {
                self.release(held, faults.garbler.as_deref_mut());
            }
        }
        pumped.bytes = self.write_out(to)?;
        if self.is_cut_next && self.out.is_empty() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let is_empty = self.out.is_empty() && self.held.is_empty();
        if self.is_eof && is_empty && !self.is_mute && !self.is_shut {
            self.is_shut = true;
            to.shutdown(Shutdown::Write)?;
        }
        Ok(pumped)
    }

    fn release(&mut self, held: Held, garbler: Option<&mut Garbler>) {
        let (Some(kind), Some(garbler)) = (held.kind, garbler) else {
            return self.out.extend_from_slice(&held.bytes);
        };
        let (bytes, then) = garbler.pass(held.bytes, kind, &mut self.kept);
        self.out.extend_from_slice(&bytes);
        self.is_mute |= then == AfterFrame::Silence;
        self.is_cut_next |= then == AfterFrame::Close;
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
