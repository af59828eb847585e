//! A minimal client for this crate's own tests.

use crate::wire::{ConnectRequest, ConnectResponse, Pack, Unpack, op, read_frame, xid};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer takes: a timeout means that there is none.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client waits before it concludes that nothing comes.
const SILENCE: Duration = Duration::from_millis(30);

#[derive(Debug)]
pub(crate) struct RawClient {
    pub(crate) stream: TcpStream,
    pub(crate) session: i64,
    pub(crate) password: Vec<u8>,
    pub(crate) timeout_ms: i32,
    pub(crate) xid: i32,
}

/// A reply: the xid of its request, its error, its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) xid: i32,
    pub(crate) error: i32,
    pub(crate) body: Vec<u8>,
}

impl RawClient {
    /// A TCP connection before the handshake.
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, session: 0, password: vec![0; 16], timeout_ms: 10_000, xid: 0 })
    }

    pub(crate) fn connect(addr: SocketAddr) -> io::Result<Self> {
        let mut client = Self::open(addr)?;
        client.send_handshake()?;
        client.receive_handshake()?;
        Ok(client)
    }

    /// Resumes this client's session on another connection.
    pub(crate) fn resume(&self, addr: SocketAddr) -> io::Result<Self> {
        let mut client = Self::open(addr)?;
        client.session = self.session;
        client.password.clone_from(&self.password);
        client.send_handshake()?;
        client.receive_handshake()?;
        Ok(client)
    }

    pub(crate) fn send_handshake(&mut self) -> io::Result<()> {
        let request = ConnectRequest {
            last_zxid: 0,
            timeout_ms: self.timeout_ms,
            session: self.session,
            password: self.password.clone(),
            read_only: Some(false),
        };
        self.stream.write_all(&request.frame())
    }

    pub(crate) fn receive_handshake(&mut self) -> io::Result<()> {
        let response = ConnectResponse::unpack(&read_frame(&mut self.stream)?)
            .ok_or(ErrorKind::InvalidData)?;
        self.session = response.session;
        self.password = response.password;
        self.timeout_ms = response.timeout_ms;
        Ok(())
    }

    /// Sends a request and returns its xid.
    pub(crate) fn send(&mut self, opcode: i32, body: Pack) -> i32 {
        let xid = if opcode == op::PING {
            xid::PING
        } else {
            self.xid += 1;
            self.xid
        };
        let request = Pack::new().int(xid).int(opcode).bytes(&body.body());
        self.stream.write_all(&request.frame()).unwrap();
        xid
    }

    pub(crate) fn receive(&mut self) -> io::Result<Reply> {
        let body = read_frame(&mut self.stream)?;
        let mut unpack = Unpack::new(&body);
        let header = (unpack.int(), unpack.long(), unpack.int());
        let (Some(xid), Some(_), Some(error)) = header else {
            return Err(ErrorKind::InvalidData.into());
        };
        Ok(Reply { xid, error, body: body[16..].to_vec() })
    }

    /// Sends a request and receives its answer.
    pub(crate) fn ask(&mut self, opcode: i32, body: Pack) -> Result<Vec<u8>, i32> {
        let xid = self.send(opcode, body);
        let reply = self.receive().unwrap();
        assert_eq!(reply.xid, xid, "an answer to another request: {reply:?}");
        if reply.error == 0 { Ok(reply.body) } else { Err(reply.error) }
    }

    pub(crate) fn create(&mut self, path: &str, data: &[u8], flags: i32) -> Result<String, i32> {
        let body = self.ask(op::CREATE, create_request(path, data, flags))?;
        Ok(Unpack::new(&body).string().unwrap())
    }

    pub(crate) fn get(&mut self, path: &str, watch: bool) -> Result<Vec<u8>, i32> {
        let body = self.ask(op::GET_DATA, Pack::new().string(path).flag(watch))?;
        Ok(Unpack::new(&body).buffer().unwrap())
    }

    pub(crate) fn set(&mut self, path: &str, data: &[u8]) -> Result<(), i32> {
        self.ask(op::SET_DATA, Pack::new().string(path).buffer(data).int(-1)).map(drop)
    }

    pub(crate) fn children(&mut self, path: &str, watch: bool) -> Result<Vec<String>, i32> {
        let body = self.ask(op::GET_CHILDREN, Pack::new().string(path).flag(watch))?;
        Ok(Unpack::new(&body).strings().unwrap())
    }

    pub(crate) fn ping(&mut self) {
        assert_eq!(self.ask(op::PING, Pack::new()), Ok(Vec::new()));
    }

    /// Receives an event: its type and its path.
    pub(crate) fn event(&mut self) -> (i32, String) {
        let reply = self.receive().unwrap();
        assert_eq!(reply.xid, xid::EVENT, "no event: {reply:?}");
        let mut unpack = Unpack::new(&reply.body);
        let (kind, state) = (unpack.int().unwrap(), unpack.int().unwrap());
        assert_eq!(state, 3);
        (kind, unpack.string().unwrap())
    }

    pub(crate) fn receives_nothing(&mut self) -> bool {
        self.stream.set_read_timeout(Some(SILENCE)).unwrap();
        let outcome = self.stream.read(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(outcome, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Waits until the connection is closed and returns what came before.
    pub(crate) fn read_until_closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => rest,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => rest,
            Err(error) => panic!("the connection did not end: {error}"),
        }
    }
}

pub(crate) fn create_request(path: &str, data: &[u8], flags: i32) -> Pack {
    let acl = |pack: Pack| pack.int(1).int(31).string("world").string("anyone");
    acl(Pack::new().string(path).buffer(data)).int(flags)
}
