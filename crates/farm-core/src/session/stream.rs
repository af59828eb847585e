//! A non-blocking socket that is read in frames and written from a queue, in plain text
//! or with TLS.

use super::closed::Closed;
use super::tls::{Channel, TlsError};
use super::wire::{Frames, Garbled};
use nix::poll::PollFlags;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

/// With more unsent bytes than this, the side that fills the queue is no longer read.
const CONGESTED_BYTES: usize = 4 << 20;
/// One turn of the loop reads at most this much from one socket.
const TURN_BYTES_MAX: usize = 1 << 20;
const CHUNK_BYTES: usize = 64 << 10;

#[derive(Debug)]
enum Transport {
    Plain,
    // Boxed: it is much larger than the rest of the stream.
    Tls(Box<Channel>),
}

#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    transport: Transport,
    frames: Frames,
    unsent: Vec<u8>,
    /// How many bytes of `unsent` were written already.
    sent: usize,
    is_open: bool,
    chunk: Box<[u8]>,
}

impl Stream {
    pub(super) fn new(socket: TcpStream) -> std::io::Result<Self> {
        Self::over(socket, Transport::Plain)
    }

    /// A stream that carries no frames before [`Self::advance_handshake`] is done.
    pub(super) fn with_tls(socket: TcpStream, channel: Channel) -> std::io::Result<Self> {
        Self::over(socket, Transport::Tls(Box::new(channel)))
    }

    fn over(socket: TcpStream, transport: Transport) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        // Without it a small request waits for the acknowledgement of the previous one.
        // A socket that refuses the option is slower, and works.
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
    pub(super) fn poll_flags(&self, may_read: bool) -> PollFlags {
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

    /// Continues the handshake and tells whether it is done.
    pub(super) fn advance_handshake(&mut self) -> Result<bool, Closed> {
        let received = self.receive();
        // If we end the handshake, the alert for the server still has to be sent.
        let sent = self.send();
        received.and(sent)?;
        Ok(match &self.transport {
            Transport::Plain => true,
            Transport::Tls(channel) => channel.is_secure(),
        })
    }

    /// Why a TLS connection has ended.
    pub(super) fn close_reason(&self) -> Option<Box<TlsError>> {
        match &self.transport {
            Transport::Plain => None,
            Transport::Tls(channel) => Some(channel.close_reason()),
        }
    }

    /// The version and cipher of TLS, if it is used.
    pub(super) fn negotiated(&self) -> Option<(String, String)> {
        match &self.transport {
            Transport::Plain => None,
            Transport::Tls(channel) => Some(channel.negotiated()),
        }
    }

    /// Tells whether the connection has ended because of invalid TLS.
    pub(super) fn is_garbled(&self) -> bool {
        matches!(&self.transport, Transport::Tls(channel) if channel.is_garbled())
    }

    /// Reads the bytes that have arrived, and returns their number.
    pub(super) fn receive(&mut self) -> Result<usize, Closed> {
        let mut total = 0;
        while total < TURN_BYTES_MAX {
            match self.socket.read(&mut self.chunk) {
                Ok(0) => return Err(Closed),
                Ok(read) => {
                    let bytes = &self.chunk[..read];
                    match &mut self.transport {
                        Transport::Plain => self.frames.push(bytes),
                        Transport::Tls(channel) => channel.decrypt(bytes, &mut self.frames)?,
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
                    self.sent += channel.encrypt(unsent);
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

    /// Ends the connection and keeps the descriptor.
    pub(super) fn shut_down(&mut self) {
        self.is_open = false;
        self.unsent.clear();
        self.sent = 0;
        // Fails if the other end has closed the connection already.
        drop(self.socket.shutdown(Shutdown::Both));
    }

    /// Ends the connection, with a TLS close if that can be sent without waiting.
    pub(super) fn close(mut self) {
        if let Transport::Tls(channel) = &mut self.transport {
            channel.send_close_notify();
            // The close is a courtesy: the server also notices the end of the connection.
            drop(channel.write_to(&mut self.socket));
        }
    }
}
