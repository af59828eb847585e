//! A socket that never blocks, read in frames and written from a queue, in plain
//! text or in TLS.

use super::tls::{Channel, TlsError};
use super::wire::{Frames, Garbled};
use nix::poll::PollFlags;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

/// Above this many unsent bytes, whoever fills the queue is no longer read.
const CONGESTED_BYTES: usize = 4 << 20;
/// One turn of the loop reads at most this much from one socket.
const TURN_BYTES_MAX: usize = 1 << 20;
const CHUNK_BYTES: usize = 64 << 10;

/// The other end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

#[derive(Debug)]
enum Transport {
    Plain,
    // It is many times as large as all the rest.
    Tls(Box<Channel>),
}

#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    transport: Transport,
    frames: Frames,
    unsent: Vec<u8>,
    sent: usize,
    is_open: bool,
    chunk: Box<[u8]>,
}

impl Stream {
    pub(super) fn new(socket: TcpStream) -> std::io::Result<Self> {
        Self::over(socket, Transport::Plain)
    }

    /// A stream that takes and gives nothing before [`Self::shake_hands`] is done.
    pub(super) fn secure(socket: TcpStream, channel: Channel) -> std::io::Result<Self> {
        Self::over(socket, Transport::Tls(Box::new(channel)))
    }

    fn over(socket: TcpStream, transport: Transport) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        // Without it a small request waits for the acknowledgement of the one before.
        // A socket that refuses the option works all the same.
        drop(socket.set_nodelay(true));
        let chunk = vec![0; CHUNK_BYTES].into_boxed_slice();
        let (frames, unsent) = (Frames::default(), Vec::new());
        Ok(Self { socket, transport, frames, unsent, sent: 0, is_open: true, chunk })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) const fn is_congested(&self) -> bool {
        self.unsent.len() - self.sent > CONGESTED_BYTES
    }

    /// What to wait for.
    pub(super) fn interest(&self, may_read: bool) -> PollFlags {
        let has_unsent = self.sent < self.unsent.len();
        let may_write = match &self.transport {
            Transport::Plain => has_unsent,
            Transport::Tls(channel) => channel.wants_write() || has_unsent && channel.is_secure(),
        };
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, may_read);
        flags.set(PollFlags::POLLOUT, may_write);
        flags
    }

    /// Goes on with the handshake, and tells whether it is done.
    pub(super) fn shake_hands(&mut self) -> Result<bool, Closed> {
        let received = self.receive();
        // What ends a handshake on our side is told to the server too.
        let sent = self.send();
        received.and(sent)?;
        Ok(match &self.transport {
            Transport::Plain => true,
            Transport::Tls(channel) => channel.is_secure(),
        })
    }

    /// Why a secure connection has ended.
    pub(super) fn why_closed(&self) -> Option<Box<TlsError>> {
        match &self.transport {
            Transport::Plain => None,
            Transport::Tls(channel) => Some(channel.why_closed()),
        }
    }

    /// The version and cipher of the handshake, if there was one.
    pub(super) fn terms(&self) -> Option<(String, String)> {
        match &self.transport {
            Transport::Plain => None,
            Transport::Tls(channel) => Some(channel.terms()),
        }
    }

    /// Tells whether the connection has ended because nothing could be made of it.
    pub(super) fn is_garbled(&self) -> bool {
        matches!(&self.transport, Transport::Tls(channel) if channel.is_garbled())
    }

    /// Reads what is there, and tells how much that was.
    pub(super) fn receive(&mut self) -> Result<usize, Closed> {
        let mut total = 0;
        while total < TURN_BYTES_MAX {
            match self.socket.read(&mut self.chunk) {
                Ok(0) => return Err(Closed),
                Ok(read) => {
                    let bytes = &self.chunk[..read];
                    match &mut self.transport {
                        Transport::Plain => self.frames.push(bytes),
                        Transport::Tls(channel) => channel.open(bytes, &mut self.frames)?,
                    }
                    total += read;
                    if read < self.chunk.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Closed),
            }
        }
        Ok(total)
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Vec<u8>>, Garbled> {
        self.frames.next()
    }

    pub(super) const fn has_partial_frame(&self) -> bool {
        self.frames.is_partial()
    }

    /// Takes over the bytes; [`Self::send`] writes them.
    pub(super) fn queue(&mut self, bytes: &mut Vec<u8>) {
        if self.sent == self.unsent.len() {
            self.unsent.clear();
            self.sent = 0;
            std::mem::swap(&mut self.unsent, bytes);
        } else {
            self.unsent.append(bytes);
        }
    }

    /// Writes as much as the socket takes.
    pub(super) fn send(&mut self) -> Result<(), Closed> {
        loop {
            let unsent = &self.unsent[self.sent..];
            let written = match &mut self.transport {
                Transport::Plain if unsent.is_empty() => return Ok(()),
                Transport::Plain => self.socket.write(unsent),
                Transport::Tls(channel) => {
                    self.sent += channel.seal(unsent);
                    if !channel.wants_write() {
                        return Ok(());
                    }
                    channel.write_to(&mut self.socket)
                }
            };
            match written {
                Ok(0) => return Err(Closed),
                Ok(written) if matches!(self.transport, Transport::Plain) => self.sent += written,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Closed),
            }
        }
    }

    /// Gives the connection up, and keeps its place.
    pub(super) fn shut(&mut self) {
        self.is_open = false;
        self.unsent.clear();
        self.sent = 0;
        // The other end has gone first.
        drop(self.socket.shutdown(Shutdown::Both));
    }

    /// Ends the connection as well as that can be done without waiting.
    pub(super) fn part(mut self) {
        if let Transport::Tls(channel) = &mut self.transport {
            channel.say_goodbye();
            // A server that does not take it has no use for it.
            drop(channel.write_to(&mut self.socket));
        }
    }
}
