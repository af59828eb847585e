//! The bytes of the ZooKeeper protocol that the relay has to understand.
//!
//! A frame is a big-endian `i32` length and that many bytes. The client library encodes
//! its own requests; here are only the connect request and response, the head of every
//! frame, watch events, and the few requests that the library can't make. The layouts
//! are those of `zookeeper.jute` in the ZooKeeper sources.
//!
//! **Invariant.** Nothing here trusts a length: a frame is bounded, and every field is
//! checked against the bytes that are there.

use super::hint::Change;

/// A longer frame ends the connection. Only the server's memory bounds an answer: a list
/// of a million children fits into this.
pub(super) const FRAME_BYTES_MAX: usize = 64 << 20;

/// Servers make passwords of 16 bytes. Ours is sent with every connect request.
const PASSWORD_BYTES_MAX: usize = 1024;

/// A list of more children is not passed on: the client library takes ten times its bytes.
pub(super) const CHILDREN_MAX: usize = 1_000_000;

pub(super) const XID_EVENT: i32 = -1;
pub(super) const XID_PING: i32 = -2;
pub(super) const XID_AUTH: i32 = -4;

pub(super) mod opcode {
    pub(in super::super) const CREATE: i32 = 1;
    pub(in super::super) const DELETE: i32 = 2;
    pub(in super::super) const EXISTS: i32 = 3;
    pub(in super::super) const GET_DATA: i32 = 4;
    pub(in super::super) const GET_CHILDREN: i32 = 8;
    pub(in super::super) const PING: i32 = 11;
    pub(in super::super) const MULTI: i32 = 14;
    pub(in super::super) const MULTI_READ: i32 = 22;
    pub(in super::super) const AUTH: i32 = 100;
    pub(in super::super) const ADD_WATCH: i32 = 106;
    pub(in super::super) const CLOSE_SESSION: i32 = -11;
}

pub(super) mod code {
    pub(in super::super) const OK: i32 = 0;
    /// Our own answer in place of a list of too many children. To the client library it is
    /// `RuntimeInconsistency`, which servers do not send.
    pub(in super::super) const TOO_MANY: i32 = -2;
    pub(in super::super) const CONNECTION_LOSS: i32 = -4;
    pub(in super::super) const UNIMPLEMENTED: i32 = -6;
    pub(in super::super) const SESSION_EXPIRED: i32 = -112;
    pub(in super::super) const SESSION_MOVED: i32 = -118;
}

/// What a peer sent violates the protocol in this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbled(pub(super) &'static str);

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    taken: usize,
}

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The content of the next whole frame, without its length.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Garbled> {
        let rest = &self.bytes[self.taken..];
        let Some((head, body)) = rest.split_first_chunk::<4>() else {
            self.compact();
            return Ok(None);
        };
        let length = usize::try_from(i32::from_be_bytes(*head))
            .map_err(|_| Garbled("a frame of negative length"))?;
        if length > FRAME_BYTES_MAX {
            return Err(Garbled("a frame that is too long"));
        }
        if body.len() < length {
            self.compact();
            return Ok(None);
        }
        let frame = body[..length].to_vec();
        self.taken += 4 + length;
        Ok(Some(frame))
    }

    /// Tells whether an incomplete frame is buffered.
    pub(super) const fn is_partial(&self) -> bool {
        self.bytes.len() > self.taken
    }

    // Called only when the buffer holds no whole frame: each byte moves once a read at most.
    fn compact(&mut self) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        // The memory of one large answer must not be kept forever.
        if self.bytes.is_empty() && self.bytes.capacity() > (1 << 20) {
            self.bytes = Vec::new();
        }
    }
}

/// Decodes fields one after the other.
#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub(super) const fn left(&self) -> usize {
        self.0.len()
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Garbled> {
        let (head, rest) =
            self.0.split_first_chunk::<N>().ok_or(Garbled("a frame that is too short"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn int(&mut self) -> Result<i32, Garbled> {
        self.chunk().map(i32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Result<i64, Garbled> {
        self.chunk().map(i64::from_be_bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Garbled> {
        self.chunk().map(|[byte]| byte)
    }

    pub(super) fn buffer(&mut self) -> Result<&'a [u8], Garbled> {
        // The protocol writes an absent buffer as -1.
        let length = usize::try_from(self.int()?).unwrap_or(0);
        if length > self.0.len() {
            return Err(Garbled("a field longer than its frame"));
        }
        let (head, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Garbled> {
        std::str::from_utf8(self.buffer()?).map_err(|_| Garbled("a text that is not UTF-8"))
    }
}

/// Builds one frame; [`Self::finish`] sets its length.
#[derive(Debug)]
pub(super) struct FrameBuilder(Vec<u8>);

impl FrameBuilder {
    pub(super) fn new() -> Self {
        Self(vec![0; 4])
    }

    pub(super) fn request(xid: i32, opcode: i32) -> Self {
        Self::new().int(xid).int(opcode)
    }

    pub(super) fn int(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, value: i64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(super) fn buffer(self, bytes: &[u8]) -> Self {
        // Payloads are bounded long before they get here; a frame can't outgrow an i32.
        self.int(i32::try_from(bytes.len()).unwrap_or(i32::MAX)).raw(bytes)
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.buffer(text.as_bytes())
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = i32::try_from(self.0.len() - 4).unwrap_or(i32::MAX);
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// What proves to a server that a session is ours.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SessionCredentials {
    pub(super) id: i64,
    pub(super) password: Vec<u8>,
}

impl std::fmt::Debug for SessionCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionCredentials({:#x})", self.id)
    }
}

/// The first frame on every connection to a server.
pub(super) fn connect_request(
    session: Option<&SessionCredentials>,
    last_zxid: i64,
    timeout_ms: i32,
) -> Vec<u8> {
    let (id, password) = session.map_or((0, &[0; 16][..]), |s| (s.id, &s.password[..]));
    FrameBuilder::new()
        .int(0)
        .long(last_zxid)
        .int(timeout_ms)
        .long(id)
        .buffer(password)
        .byte(0)
        .finish()
}

/// A server's answer to the connect request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConnectResponse {
    /// The session lives, with this timeout.
    Session { credentials: SessionCredentials, timeout_ms: u32 },
    /// The session is over.
    Expired,
}

impl ConnectResponse {
    pub(super) fn parse(frame: &[u8]) -> Result<Self, Garbled> {
        let mut fields = Fields::of(frame);
        let _protocol = fields.int()?;
        let timeout_ms = fields.int()?;
        let id = fields.long()?;
        let password = fields.buffer()?.to_vec();
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(Garbled("a password that is too long"));
        }
        // The response of a server before 3.4 ends here; later ones add a read-only flag.
        if fields.byte().is_ok_and(|read_only| read_only != 0) {
            return Err(Garbled("a read-only server, which we did not ask for"));
        }
        match u32::try_from(timeout_ms) {
            Ok(0) | Err(_) => Ok(Self::Expired),
            Ok(_) if id == 0 => Err(Garbled("a session without an id")),
            Ok(timeout_ms) => {
                let credentials = SessionCredentials { id, password };
                Ok(Self::Session { credentials, timeout_ms })
            }
        }
    }
}

/// The response for the client library: a session without an end and without a password.
pub(super) fn dummy_connect_response() -> Vec<u8> {
    FrameBuilder::new().int(0).int(i32::MAX).long(1).buffer(&[0; 16]).byte(0).finish()
}

/// The head of every answer and event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReplyHead {
    pub(super) xid: i32,
    pub(super) zxid: i64,
    pub(super) code: i32,
}

impl ReplyHead {
    pub(super) const BYTES: usize = 16;

    pub(super) fn parse(frame: &[u8]) -> Result<Self, Garbled> {
        let mut fields = Fields::of(frame);
        Ok(Self { xid: fields.int()?, zxid: fields.long()?, code: fields.int()? })
    }
}

/// An answer without a body: an error, or the answer to a ping or a close.
pub(super) fn bare_reply(xid: i32, code: i32) -> Vec<u8> {
    FrameBuilder::new().int(xid).long(0).int(code).finish()
}

/// The path and kind of a watch event, from what follows its head. `None` is an event
/// about the session, which the link does not need, or about a znode whose name is not UTF-8,
/// which no request of ours can name.
pub(super) fn parse_event(body: &[u8]) -> Result<Option<(Change, &str)>, Garbled> {
    let mut fields = Fields::of(body);
    let kind = fields.int()?;
    let _state = fields.int()?;
    let path = fields.buffer()?;
    let change = match kind {
        1 => Change::Created,
        2 => Change::Deleted,
        3 => Change::Data,
        4 => Change::Children,
        _ => return Ok(None),
    };
    Ok(std::str::from_utf8(path).ok().map(|path| (change, path)))
}

/// What the client library is to read in the place of an answer's body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CheckedBody {
    AsItIs,
    Other(Vec<u8>),
    /// An error: there are more children than [`CHILDREN_MAX`].
    TooMany,
}

/// Checks the body of a successful answer before the client library reads it.
///
/// The library allocates what a length says, and panics on a negative count and on a text that
/// is not UTF-8. A length or count that the body does not hold ends the connection. In the name
/// of a child, bytes that are not UTF-8 become U+FFFD, which no request can name: whoever lists
/// the children reports that name, and goes on with the others.
pub(super) fn check_body(opcode: i32, body: &[u8]) -> Result<CheckedBody, Garbled> {
    let mut fields = Fields::of(body);
    match opcode {
        opcode::CREATE => drop(fields.text()?),
        opcode::GET_DATA => drop(fields.buffer()?),
        opcode::GET_CHILDREN => {
            let count = fields.int()?;
            if count < 0 {
                return Err(Garbled("a negative number of children"));
            }
            let mut is_text = true;
            for _ in 0..count {
                is_text &= std::str::from_utf8(fields.buffer()?).is_ok();
            }
            if usize::try_from(count).unwrap_or(0) > CHILDREN_MAX {
                return Ok(CheckedBody::TooMany);
            }
            if !is_text {
                return names_as_text(body).map(CheckedBody::Other);
            }
        }
        _ => {}
    }
    Ok(CheckedBody::AsItIs)
}

/// The same list of children with names that are UTF-8.
fn names_as_text(body: &[u8]) -> Result<Vec<u8>, Garbled> {
    let mut fields = Fields::of(body);
    let count = fields.int()?;
    let mut builder = FrameBuilder::new().int(count);
    for _ in 0..count {
        builder = builder.text(&String::from_utf8_lossy(fields.buffer()?));
    }
    Ok(builder.finish().split_off(4))
}

/// The body of an `addWatch` request: persistent and recursive.
pub(super) fn add_watch_body(path: &str) -> Vec<u8> {
    const PERSISTENT_RECURSIVE: i32 = 1;
    let frame = FrameBuilder::new().text(path).int(PERSISTENT_RECURSIVE).finish();
    frame[4..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_however_the_bytes_arrive() {
        let stream: Vec<u8> = [&b"abc"[..], b"", b"defgh"]
            .iter()
            .flat_map(|f| FrameBuilder::new().raw(f).finish())
            .collect();
        for step in 1..stream.len() {
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(step) {
                frames.push(piece);
                while let Some(frame) = frames.next().unwrap() {
                    seen.push(frame);
                }
            }
            assert_eq!(seen, [b"abc".to_vec(), b"".to_vec(), b"defgh".to_vec()], "step {step}");
            assert!(!frames.is_partial());
        }
    }

    #[test]
    fn absurd_lengths_are_refused_before_memory_is_taken() {
        for length in [-1, i32::MIN, i32::MAX] {
            let mut frames = Frames::default();
            frames.push(&length.to_be_bytes());
            assert!(frames.next().is_err(), "{length}");
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..rng.usize(..48)).map(|_| rng.u8(..)).collect();
            if rng.bool() {
                for byte in bytes.iter_mut().take(4) {
                    *byte = 0;
                }
            }
            let _response = ConnectResponse::parse(&bytes);
            let _head = ReplyHead::parse(&bytes);
            let _event = parse_event(&bytes);
            let mut frames = Frames::default();
            frames.push(&bytes);
            while let Ok(Some(_)) = frames.next() {}
        }
    }

    #[test]
    fn a_connect_response_without_a_timeout_is_an_expiry() {
        let response = |timeout, id| {
            FrameBuilder::new().int(0).int(timeout).long(id).buffer(&[7; 16]).byte(0).finish()[4..]
                .to_vec()
        };
        assert_eq!(ConnectResponse::parse(&response(0, 0)), Ok(ConnectResponse::Expired));
        assert!(ConnectResponse::parse(&response(4000, 0)).is_err());
        assert!(ConnectResponse::parse(&response(4000, 5)[..12]).is_err());
        assert_eq!(ConnectResponse::parse(&response(i32::MIN, 5)), Ok(ConnectResponse::Expired));
        let long = FrameBuilder::new().int(0).int(4000).long(5).buffer(&[7; 1025]).finish();
        assert!(ConnectResponse::parse(&long[4..]).is_err());
        let Ok(ConnectResponse::Session { credentials, timeout_ms: 4000 }) =
            ConnectResponse::parse(&response(4000, 5))
        else {
            panic!("a good response was refused")
        };
        assert_eq!((credentials.id, credentials.password), (5, vec![7; 16]));
    }
}
