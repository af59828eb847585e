//! The TLS state of one connection.

use super::TlsError;
use crate::session::closed::Closed;
use crate::session::wire::Frames;
use rustls::ClientConnection;
use std::io::{self, Read, Write};

/// How much plain text is read from the library at once.
const CHUNK_BYTES: usize = 16 << 10;

/// The first byte of every TLS record is one of these.
const RECORD_KINDS: std::ops::RangeInclusive<u8> = 20..=24;

/// Decrypts received bytes into frames, and encrypts bytes for the socket.
#[derive(Debug)]
pub(in super::super) struct Channel {
    tls: ClientConnection,
    error: Option<TlsError>,
    has_received: bool,
    chunk: Box<[u8]>,
}

impl Channel {
    pub(super) fn new(tls: ClientConnection) -> Self {
        let chunk = vec![0; CHUNK_BYTES].into_boxed_slice();
        Self { tls, error: None, has_received: false, chunk }
    }

    /// Tells whether the handshake is done and the server's certificate is verified.
    pub(in super::super) fn is_secure(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// Tells whether the server sent invalid TLS.
    pub(in super::super) fn is_garbled(&self) -> bool {
        self.error.as_ref().is_some_and(|error| !matches!(error, TlsError::Refused(_)))
    }

    /// Why the connection has ended.
    pub(in super::super) fn close_reason(&self) -> Box<TlsError> {
        let without_error = if self.is_secure() { TlsError::Dropped } else { TlsError::HungUp };
        Box::new(self.error.clone().unwrap_or(without_error))
    }

    /// Decrypts all received bytes: a frame must not wait here for further bytes, which
    /// may never come.
    pub(in super::super) fn decrypt(
        &mut self,
        mut bytes: &[u8],
        frames: &mut Frames,
    ) -> Result<(), Closed> {
        if let (false, Some(first)) = (self.has_received, bytes.first()) {
            self.has_received = true;
            if !RECORD_KINDS.contains(first) {
                self.error = Some(TlsError::NoTls);
                return Err(Closed);
            }
        }
        while !bytes.is_empty() {
            match self.tls.read_tls(&mut bytes) {
                // Nothing may follow a server's close.
                Ok(0) | Err(_) => return Err(Closed),
                Ok(_) => {}
            }
            if let Err(error) = self.tls.process_new_packets() {
                self.error = Some(error.into());
                return Err(Closed);
            }
            self.read_frames(frames)?;
        }
        Ok(())
    }

    fn read_frames(&mut self, frames: &mut Frames) -> Result<(), Closed> {
        loop {
            match self.tls.reader().read(&mut self.chunk) {
                Ok(0) => return Err(Closed),
                Ok(read) => frames.push(&self.chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Closed),
            }
        }
    }

    /// Encrypts bytes to be sent, and returns how many of them were taken.
    pub(in super::super) fn encrypt(&mut self, bytes: &[u8]) -> usize {
        if !self.is_secure() {
            return 0;
        }
        self.tls.writer().write(bytes).unwrap_or(0)
    }

    /// Tells whether there are bytes for the socket.
    pub(in super::super) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    pub(in super::super) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        self.tls.write_tls(socket)
    }

    /// Queues a TLS close for the server.
    pub(in super::super) fn send_close_notify(&mut self) {
        self.tls.send_close_notify();
    }

    /// The negotiated version and cipher, for the log.
    pub(in super::super) fn negotiated(&self) -> (String, String) {
        let version = self.tls.protocol_version().map(|it| format!("{it:?}"));
        let cipher = self.tls.negotiated_cipher_suite().map(|it| format!("{:?}", it.suite()));
        (version.unwrap_or_default().replace("TLSv1_", "1."), cipher.unwrap_or_default())
    }
}
