//! ZooKeeper's wire format, for clients and servers.
//!
//! **Invariant.** The code under test has its own implementation: if one of the two reads the
//! protocol wrong, they disagree and a test fails.

use std::io::{self, Read};

/// The longest frame that a ZooKeeper server accepts by default (`jute.maxbuffer`).
pub(crate) const FRAME_MAX: usize = 0xf_ffff;

/// The opcodes of requests.
#[expect(missing_docs, reason = "the protocol's own names")]
pub mod op {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const GET_CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const GET_CHILDREN2: i32 = 12;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const MULTI_READ: i32 = 22;
    pub const AUTH: i32 = 100;
    pub const SET_WATCHES: i32 = 101;
    pub const SET_WATCHES2: i32 = 105;
    pub const ADD_WATCH: i32 = 106;
    pub const CLOSE_SESSION: i32 = -11;
    pub const ERROR: i32 = -1;
}

/// The error codes of answers.
#[expect(missing_docs, reason = "the protocol's own names")]
pub mod code {
    pub const OK: i32 = 0;
    pub const RUNTIME_INCONSISTENCY: i32 = -2;
    pub const MARSHALLING_ERROR: i32 = -5;
    pub const UNIMPLEMENTED: i32 = -6;
    pub const BAD_ARGUMENTS: i32 = -8;
    pub const NO_NODE: i32 = -101;
    pub const NO_AUTH: i32 = -102;
    pub const BAD_VERSION: i32 = -103;
    pub const NO_CHILDREN_FOR_EPHEMERALS: i32 = -108;
    pub const NODE_EXISTS: i32 = -110;
    pub const NOT_EMPTY: i32 = -111;
    pub const SESSION_EXPIRED: i32 = -112;
    pub const INVALID_ACL: i32 = -114;
    pub const AUTH_FAILED: i32 = -115;
}

/// The reserved xids.
pub(crate) mod xid {
    pub(crate) const EVENT: i32 = -1;
    pub(crate) const PING: i32 = -2;
    pub(crate) const AUTH: i32 = -4;
}

/// Reads values from a frame's body; `None` if the body is shorter than it claims.
#[derive(Debug)]
pub(crate) struct Unpack<'a> {
    rest: &'a [u8],
}

impl<'a> Unpack<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(crate) fn long(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)?[0] != 0)
    }

    /// Reads a buffer. The null buffer (length -1) reads as an empty one.
    pub(crate) fn buffer(&mut self) -> Option<Vec<u8>> {
        let length = self.int()?;
        if length == -1 {
            return Some(Vec::new());
        }
        Some(self.take(usize::try_from(length).ok()?)?.to_vec())
    }

    pub(crate) fn string(&mut self) -> Option<String> {
        String::from_utf8(self.buffer()?).ok()
    }

    pub(crate) fn strings(&mut self) -> Option<Vec<String>> {
        let count = self.int()?.max(0);
        // The iterator ends with the body, so a false count allocates nothing.
        (0..count).map(|_| self.string()).collect()
    }
}

/// Builds a frame.
#[derive(Debug)]
pub(crate) struct Pack {
    frame: Vec<u8>,
}

impl Pack {
    pub(crate) fn new() -> Self {
        Self { frame: vec![0; 4] }
    }

    /// Begins a reply: the xid of its request, the server's last zxid, the error.
    pub(crate) fn reply(xid: i32, zxid: i64, error: i32) -> Self {
        Self::new().int(xid).long(zxid).int(error)
    }

    pub(crate) fn int(mut self, value: i32) -> Self {
        self.frame.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, value: i64) -> Self {
        self.frame.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn flag(mut self, value: bool) -> Self {
        self.frame.push(u8::from(value));
        self
    }

    pub(crate) fn buffer(self, value: &[u8]) -> Self {
        let length = i32::try_from(value.len()).expect("a test's data is below 2 GiB");
        let mut packed = self.int(length);
        packed.frame.extend_from_slice(value);
        packed
    }

    pub(crate) fn string(self, value: &str) -> Self {
        self.buffer(value.as_bytes())
    }

    #[cfg(test)]
    pub(crate) fn strings(self, values: &[String]) -> Self {
        let count = i32::try_from(values.len()).expect("a test's lists are below 2 Gi");
        values.iter().fold(self.int(count), |packed, value| packed.string(value))
    }

    /// The bytes packed so far, without a length: a part of a frame.
    pub(crate) fn body(self) -> Vec<u8> {
        self.frame[4..].to_vec()
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self.frame.extend_from_slice(value);
        self
    }

    /// The whole frame, beginning with its length.
    pub(crate) fn frame(mut self) -> Vec<u8> {
        let length = u32::try_from(self.frame.len() - 4).expect("a test's frame is below 4 GiB");
        self.frame[..4].copy_from_slice(&length.to_be_bytes());
        self.frame
    }
}

/// The first frame that a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectRequest {
    pub(crate) last_zxid: i64,
    pub(crate) timeout_ms: i32,
    pub(crate) session: i64,
    pub(crate) password: Vec<u8>,
    /// `None` from clients of 3.3 and older.
    pub(crate) read_only: Option<bool>,
}

impl ConnectRequest {
    pub(crate) fn unpack(body: &[u8]) -> Option<Self> {
        let mut unpack = Unpack::new(body);
        let _protocol_version = unpack.int()?;
        Some(Self {
            last_zxid: unpack.long()?,
            timeout_ms: unpack.int()?,
            session: unpack.long()?,
            password: unpack.buffer()?,
            read_only: unpack.flag(),
        })
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        let packed = Pack::new()
            .int(0)
            .long(self.last_zxid)
            .int(self.timeout_ms)
            .long(self.session)
            .buffer(&self.password);
        match self.read_only {
            Some(read_only) => packed.flag(read_only).frame(),
            None => packed.frame(),
        }
    }
}

/// The server's answer to a [`ConnectRequest`]. A timeout of zero means that the session has
/// expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectResponse {
    pub(crate) timeout_ms: i32,
    pub(crate) session: i64,
    pub(crate) password: Vec<u8>,
    pub(crate) read_only: Option<bool>,
}

impl ConnectResponse {
    pub(crate) fn unpack(body: &[u8]) -> Option<Self> {
        let mut unpack = Unpack::new(body);
        let _protocol_version = unpack.int()?;
        Some(Self {
            timeout_ms: unpack.int()?,
            session: unpack.long()?,
            password: unpack.buffer()?,
            read_only: unpack.flag(),
        })
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        let packed =
            Pack::new().int(0).int(self.timeout_ms).long(self.session).buffer(&self.password);
        match self.read_only {
            Some(read_only) => packed.flag(read_only).frame(),
            None => packed.frame(),
        }
    }
}

/// The error for an invalid frame length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadLength;

/// Splits a stream of bytes into frames.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    bytes: Vec<u8>,
    taken: usize,
}

impl Framer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // Moves the rest only when it is shorter than what was taken, so the cost is amortized.
        if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete frame, including its length.
    pub(crate) fn next(&mut self, length_max: usize) -> Result<Option<Vec<u8>>, BadLength> {
        let rest = &self.bytes[self.taken..];
        let Some(prefix) = rest.first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(i32::from_be_bytes(*prefix)).map_err(|_| BadLength)?;
        if length > length_max {
            return Err(BadLength);
        }
        let Some(frame) = rest.get(..4 + length) else { return Ok(None) };
        self.taken += frame.len();
        Ok(Some(frame.to_vec()))
    }

    /// The number of bytes of incomplete frames.
    pub(crate) const fn held(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Removes the bytes that are no complete frame.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(self);
        bytes.bytes.split_off(bytes.taken)
    }
}

/// Reads one frame's body from a blocking stream.
///
/// # Errors
///
/// The stream's error, or `InvalidData` if the length is out of bounds.
pub(crate) fn read_frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix)?;
    let length = usize::try_from(i32::from_be_bytes(prefix))
        .ok()
        .filter(|length| *length <= 64 << 20)
        .ok_or(io::ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framer_gives_whole_frames_however_the_bytes_arrive() {
        let frames = [Pack::new().int(7).frame(), Pack::new().frame(), Pack::new().long(9).frame()];
        for step in 1..40 {
            let mut framer = Framer::default();
            let mut seen = Vec::new();
            for chunk in frames.concat().chunks(step) {
                framer.push(chunk);
                while let Some(frame) = framer.next(100).unwrap() {
                    seen.push(frame);
                }
            }
            assert_eq!(seen, frames, "in steps of {step}");
            assert_eq!(framer.held(), 0);
        }
    }

    #[test]
    fn framer_refuses_lengths_out_of_bounds() {
        for length in [-1_i32, i32::MIN, 101, i32::MAX] {
            let mut framer = Framer::default();
            framer.push(&length.to_be_bytes());
            assert_eq!(framer.next(100), Err(BadLength), "{length}");
            assert_eq!(framer.take_rest(), length.to_be_bytes());
        }
    }

    #[test]
    fn unpack_ends_where_the_body_ends() {
        let body = Pack::new().int(1 << 30).body();
        assert_eq!(Unpack::new(&body).buffer(), None);
        assert_eq!(Unpack::new(&body).strings(), None);
        assert_eq!(Unpack::new(&[0xff; 4]).buffer(), Some(Vec::new()));
        assert_eq!(Unpack::new(&[0xff; 3]).int(), None);
    }

    #[test]
    fn both_handshakes_come_back_as_they_were_packed() {
        for read_only in [None, Some(false)] {
            let request = ConnectRequest {
                last_zxid: 5,
                timeout_ms: 4000,
                session: -7,
                password: vec![1; 16],
                read_only,
            };
            assert_eq!(ConnectRequest::unpack(&request.frame()[4..]), Some(request));
            let response =
                ConnectResponse { timeout_ms: 0, session: 3, password: vec![2; 16], read_only };
            assert_eq!(ConnectResponse::unpack(&response.frame()[4..]), Some(response));
        }
    }
}
