//! One TLS conversation.

use super::TlsError;
use crate::session::stream::Closed;
use crate::session::wire::Frames;
use rustls::ClientConnection;
use std::io::{self, Read, Write};

/// How much plain text is taken out of the library at once.
const CHUNK_BYTES: usize = 16 << 10;

/// The first byte of every TLS record is one of these.
const RECORD_KINDS: std::ops::RangeInclusive<u8> = 20..=24;

/// Turns what the socket brings into frames, and what we say into what the socket takes.
#[derive(Debug)]
pub(in super::super) struct Channel {
    tls: ClientConnection,
    fault: Option<TlsError>,
    has_heard: bool,
    chunk: Box<[u8]>,
}

impl Channel {
    pub(super) fn new(tls: ClientConnection) -> Self {
        let chunk = vec![0; CHUNK_BYTES].into_boxed_slice();
        Self { tls, fault: None, has_heard: false, chunk }
    }

    /// Tells whether the handshake is done: the server is who it should be.
    pub(in super::super) fn is_secure(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// Tells whether the server sent what no server sends.
    pub(in super::super) fn is_garbled(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| !matches!(fault, TlsError::Refused(_)))
    }

    /// Why the connection has ended.
    pub(in super::super) fn why_closed(&self) -> Box<TlsError> {
        let silently = if self.is_secure() { TlsError::Dropped } else { TlsError::HungUp };
        Box::new(self.fault.clone().unwrap_or(silently))
    }

    /// Takes what the socket brought, all of it: nothing stays behind that could wait
    /// for bytes that never come.
    pub(in super::super) fn open(
        &mut self,
        mut bytes: &[u8],
        frames: &mut Frames,
    ) -> Result<(), Closed> {
        if let (false, Some(first)) = (self.has_heard, bytes.first()) {
            self.has_heard = true;
            if !RECORD_KINDS.contains(first) {
                self.fault = Some(TlsError::NoTls);
                return Err(Closed);
            }
        }
        while !bytes.is_empty() {
            match self.tls.read_tls(&mut bytes) {
                // After its farewell a server has nothing to say.
                Ok(0) | Err(_) => return Err(Closed),
                Ok(_) => {}
            }
            if let Err(error) = self.tls.process_new_packets() {
                self.fault = Some(error.into());
                return Err(Closed);
            }
            self.drain(frames)?;
        }
        Ok(())
    }

    fn drain(&mut self, frames: &mut Frames) -> Result<(), Closed> {
        loop {
            match self.tls.reader().read(&mut self.chunk) {
                Ok(0) => return Err(Closed),
                Ok(read) => frames.push(&self.chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Closed),
            }
        }
    }

    /// Takes bytes to be sent, as many as there is room for.
    pub(in super::super) fn seal(&mut self, bytes: &[u8]) -> usize {
        if !self.is_secure() {
            return 0;
        }
        self.tls.writer().write(bytes).unwrap_or(0)
    }

    /// Tells whether something is to be written to the socket.
    pub(in super::super) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    pub(in super::super) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        self.tls.write_tls(socket)
    }

    /// Tells the server that nothing more will come.
    pub(in super::super) fn say_goodbye(&mut self) {
        self.tls.send_close_notify();
    }

    /// The agreed version and cipher, for people.
    pub(in super::super) fn terms(&self) -> (String, String) {
        let version = self.tls.protocol_version().map(|it| format!("{it:?}"));
        let cipher = self.tls.negotiated_cipher_suite().map(|it| format!("{:?}", it.suite()));
        (version.unwrap_or_default().replace("TLSv1_", "1."), cipher.unwrap_or_default())
    }
}
