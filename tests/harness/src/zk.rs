//! A minimal ZooKeeper client for tests.
//!
//! It has one blocking connection, sends one request at a time, and neither reconnects nor
//! pings: a lost connection is an error, and a client that is idle for a minute loses its
//! session.

mod bulk;
mod error;
mod reply;
mod watch;

pub use error::ZkError;

use self::reply::{event_path, head, malformed};
use crate::patience;
use crate::wire::{ConnectRequest, ConnectResponse, Pack, Unpack, op, read_frame, xid};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const SESSION_TIMEOUT_MS: i32 = 60_000;
const REPLY_WAIT: Duration = Duration::from_secs(20);
const ALL_PERMISSIONS: i32 = 31;
const ANY_VERSION: i32 = -1;

/// How long a created znode lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// Until it is deleted.
    Persistent,
    /// Until the session ends.
    Ephemeral,
}

/// The access list of a znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acl {
    /// Everybody has all permissions.
    Open,
    /// Everybody may only read.
    ReadOnly,
    /// The identities that this client has authenticated have all permissions, others none.
    Mine,
    /// The identities that this client has authenticated have all permissions, others may only
    /// read.
    MineToWrite,
}

/// The metadata of a znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of ZooKeeper's documentation")]
pub struct Stat {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime_ms: i64,
    pub mtime_ms: i64,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    pub ephemeral_owner: i64,
    pub data_length: i32,
    pub num_children: i32,
    pub pzxid: i64,
}

/// A znode's data and metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Znode {
    /// The bytes.
    pub data: Vec<u8>,
    /// The metadata.
    pub stat: Stat,
}

impl Znode {
    /// The data as text, with replacement characters for invalid UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }
}

/// A client with one session, which is closed on drop.
#[derive(Debug)]
pub struct Zk {
    stream: TcpStream,
    root: String,
    next_xid: i32,
    session_id: i64,
    password: Vec<u8>,
    /// The paths of watch events that arrived before an answer.
    changes: VecDeque<String>,
    is_closed: bool,
}

impl Zk {
    /// Opens a session.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
    pub fn connect(addr: SocketAddr) -> Result<Self, ZkError> {
        Self::open(addr, "", 0, &[0; 16], patience(REPLY_WAIT))
    }

    /// Opens a session on which an answer may take `limit`; after that, the request fails as
    /// if the connection were lost.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
    pub fn connect_within(addr: SocketAddr, limit: Duration) -> Result<Self, ZkError> {
        Self::open(addr, "", 0, &[0; 16], limit)
    }

    /// Opens a session whose paths are relative to `root`.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
    pub fn connect_below(addr: SocketAddr, root: &str) -> Result<Self, ZkError> {
        Self::open(addr, root, 0, &[0; 16], patience(REPLY_WAIT))
    }

    fn open(
        addr: SocketAddr,
        root: &str,
        session_id: i64,
        password: &[u8],
        reply_wait: Duration,
    ) -> Result<Self, ZkError> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(reply_wait))?;
        let request = ConnectRequest {
            last_zxid: 0,
            timeout_ms: SESSION_TIMEOUT_MS,
            session: session_id,
            password: password.to_vec(),
            read_only: Some(false),
        };
        stream.write_all(&request.frame())?;
        let granted = ConnectResponse::unpack(&read_frame(&mut stream)?).ok_or_else(malformed)?;
        if granted.timeout_ms <= 0 {
            return Err(ZkError::SessionExpired);
        }
        let (session_id, password) = (granted.session, granted.password);
        Ok(Self {
            stream,
            root: root.to_owned(),
            next_xid: 1,
            session_id,
            password,
            changes: VecDeque::new(),
            is_closed: false,
        })
    }

    /// The id of this session.
    #[must_use]
    pub const fn session_id(&self) -> i64 {
        self.session_id
    }

    /// The password of this session.
    #[must_use]
    pub fn password(&self) -> &[u8] {
        &self.password
    }

    /// Authenticates as `user:password` with the digest scheme.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub fn add_auth(&mut self, user_and_password: &str) -> Result<(), ZkError> {
        let request = Pack::new().int(xid::AUTH).int(op::AUTH).int(0).string("digest");
        self.ask(xid::AUTH, request.string(user_and_password), |_| Some(()))
    }

    /// Creates a persistent znode that is open to everybody.
    ///
    /// # Errors
    ///
    /// `NodeExists`, `NoNode` (no parent), `NoAuth`.
    pub fn create(&mut self, path: &str, data: impl AsRef<[u8]>) -> Result<(), ZkError> {
        self.create_as(path, data, Create::Persistent)
    }

    /// Creates a persistent or ephemeral znode that is open to everybody.
    ///
    /// # Errors
    ///
    /// `NodeExists`, `NoNode` (no parent), `NoAuth`.
    pub fn create_as(
        &mut self,
        path: &str,
        data: impl AsRef<[u8]>,
        create: Create,
    ) -> Result<(), ZkError> {
        let (xid, request) = self.request(op::CREATE, path);
        let request = with_acl(request.buffer(data.as_ref()), Acl::Open);
        let request = request.int(i32::from(create == Create::Ephemeral));
        self.ask(xid, request, |_| Some(()))
    }

    /// Creates an ephemeral sequential znode and returns its name.
    ///
    /// # Errors
    ///
    /// `NoNode` (no parent), `NoAuth`.
    pub fn create_sequential(
        &mut self,
        prefix: &str,
        data: impl AsRef<[u8]>,
    ) -> Result<String, ZkError> {
        const EPHEMERAL_SEQUENTIAL: i32 = 3;
        let (xid, request) = self.request(op::CREATE, prefix);
        let request = with_acl(request.buffer(data.as_ref()), Acl::Open);
        let path = self.ask(xid, request.int(EPHEMERAL_SEQUENTIAL), |reply| reply.string())?;
        Ok(path.rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// Creates a znode and its missing ancestors.
    ///
    /// # Errors
    ///
    /// `NodeExists`, `NoAuth`.
    pub fn create_all(&mut self, path: &str, data: impl AsRef<[u8]>) -> Result<(), ZkError> {
        for (end, _) in path.match_indices('/').skip(1) {
            match self.create(&path[..end], "") {
                Ok(()) | Err(ZkError::NodeExists) => {}
                Err(e) => return Err(e),
            }
        }
        self.create(path, data)
    }

    /// Reads a znode.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn get(&mut self, path: &str) -> Result<Znode, ZkError> {
        let (xid, request) = self.request(op::GET_DATA, path);
        self.ask(xid, request.flag(false), |reply| {
            Some(Znode { data: reply.buffer()?, stat: stat(reply)? })
        })
    }

    /// Reads the metadata of a znode; `None` if the znode is missing.
    ///
    /// # Errors
    ///
    /// Only those of the connection.
    pub fn exists(&mut self, path: &str) -> Result<Option<Stat>, ZkError> {
        let (xid, request) = self.request(op::EXISTS, path);
        match self.ask(xid, request.flag(false), stat) {
            Ok(stat) => Ok(Some(stat)),
            Err(ZkError::NoNode) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes a znode of any version.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn set(&mut self, path: &str, data: impl AsRef<[u8]>) -> Result<Stat, ZkError> {
        self.set_if(path, data, ANY_VERSION)
    }

    /// Writes a znode if it has this version.
    ///
    /// # Errors
    ///
    /// `BadVersion`, `NoNode`, `NoAuth`.
    pub fn set_if(
        &mut self,
        path: &str,
        data: impl AsRef<[u8]>,
        version: i32,
    ) -> Result<Stat, ZkError> {
        let (xid, request) = self.request(op::SET_DATA, path);
        self.ask(xid, request.buffer(data.as_ref()).int(version), stat)
    }

    /// Deletes a znode of any version.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NotEmpty`, `NoAuth`.
    pub fn delete(&mut self, path: &str) -> Result<(), ZkError> {
        let (xid, request) = self.request(op::DELETE, path);
        self.ask(xid, request.int(ANY_VERSION), |_| Some(()))
    }

    /// Deletes a znode and everything below it. A missing znode is no error.
    ///
    /// # Errors
    ///
    /// `NoAuth`, or `NotEmpty` when another client adds children meanwhile.
    pub fn delete_recursive(&mut self, path: &str) -> Result<(), ZkError> {
        let mut found = vec![path.to_owned()];
        let mut next = 0;
        while let Some(parent) = found.get(next).cloned() {
            match self.children(&parent) {
                Ok(names) => found.extend(names.iter().map(|name| format!("{parent}/{name}"))),
                Err(ZkError::NoNode) => {}
                Err(e) => return Err(e),
            }
            next += 1;
        }
        for path in found.iter().rev() {
            match self.delete(path) {
                Ok(()) | Err(ZkError::NoNode) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Lists the names of a znode's children, sorted.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn children(&mut self, path: &str) -> Result<Vec<String>, ZkError> {
        let (xid, request) = self.request(op::GET_CHILDREN, path);
        let mut names = self.ask(xid, request.flag(false), |reply| reply.strings())?;
        names.sort();
        Ok(names)
    }

    /// Sets the access list of a znode.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn set_acl(&mut self, path: &str, acl: Acl) -> Result<(), ZkError> {
        let (xid, request) = self.request(op::SET_ACL, path);
        self.ask(xid, with_acl(request, acl).int(ANY_VERSION), |_| Some(()))
    }

    /// Reads the access list of a znode, each entry as `scheme:id:letters`.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn get_acl(&mut self, path: &str) -> Result<Vec<String>, ZkError> {
        let (xid, request) = self.request(op::GET_ACL, path);
        self.ask(xid, request, |reply| {
            let count = reply.int()?.max(0);
            let entry = |reply: &mut Unpack<'_>| {
                let letters = permission_letters(reply.int()?);
                Some(format!("{}:{}:{letters}", reply.string()?, reply.string()?))
            };
            (0..count).map(|_| entry(reply)).collect()
        })
    }

    /// Closes the session, which deletes its ephemeral znodes.
    ///
    /// # Errors
    ///
    /// When the server does not confirm it.
    pub fn close(mut self) -> Result<(), ZkError> {
        self.end()
    }

    /// Closes the connection only and lets the session expire: a caller that found the server
    /// dead need not wait for it again.
    pub fn abandon(mut self) {
        self.is_closed = true;
    }

    fn end(&mut self) -> Result<(), ZkError> {
        self.is_closed = true;
        let xid = self.take_xid();
        self.ask(xid, Pack::new().int(xid).int(op::CLOSE_SESSION), |_| Some(()))
    }

    fn request(&mut self, opcode: i32, path: &str) -> (i32, Pack) {
        let (xid, request) = self.bare_request(opcode);
        (xid, request.string(&self.full(path)))
    }

    fn bare_request(&mut self, opcode: i32) -> (i32, Pack) {
        let xid = self.take_xid();
        (xid, Pack::new().int(xid).int(opcode))
    }

    fn full(&self, path: &str) -> String {
        match (self.root.as_str(), path) {
            ("", path) => path.to_owned(),
            (root, "/") => root.to_owned(),
            (root, path) => format!("{root}{path}"),
        }
    }

    const fn take_xid(&mut self) -> i32 {
        let xid = self.next_xid;
        self.next_xid += 1;
        xid
    }

    fn ask<T>(
        &mut self,
        xid: i32,
        request: Pack,
        read: impl FnOnce(&mut Unpack<'_>) -> Option<T>,
    ) -> Result<T, ZkError> {
        self.stream.write_all(&request.frame())?;
        let mut frame = read_frame(&mut self.stream)?;
        while let Some(path) = event_path(&frame)? {
            self.changes.push_back(path);
            frame = read_frame(&mut self.stream)?;
        }
        let mut reply = Unpack::new(&frame);
        let (answered, code) = head(&mut reply).ok_or_else(malformed)?;
        if answered != xid {
            return Err(io::Error::other(format!("request {xid} got answer {answered}")).into());
        }
        if code != 0 {
            return Err(ZkError::from_code(code));
        }
        Ok(read(&mut reply).ok_or_else(malformed)?)
    }
}

impl Drop for Zk {
    fn drop(&mut self) {
        if self.is_closed {
            return;
        }
        // A dead server must not delay the end of a test.
        drop(self.stream.set_read_timeout(Some(Duration::from_secs(2))));
        drop(self.end());
    }
}

/// Ends another client's session, as if it had expired.
///
/// # Errors
///
/// [`ZkError::SessionExpired`] when the server does not know the session or the password is
/// wrong.
pub fn kill_session(addr: SocketAddr, session_id: i64, password: &[u8]) -> Result<(), ZkError> {
    Zk::open(addr, "", session_id, password, patience(REPLY_WAIT))?.close()
}

fn with_acl(request: Pack, acl: Acl) -> Pack {
    const READ: i32 = 1;
    let mine = (ALL_PERMISSIONS, "auth", "");
    let entries: &[(i32, &str, &str)] = match acl {
        Acl::Open => &[(ALL_PERMISSIONS, "world", "anyone")],
        Acl::ReadOnly => &[(READ, "world", "anyone")],
        Acl::Mine => &[mine],
        Acl::MineToWrite => &[mine, (READ, "world", "anyone")],
    };
    let request = request.int(i32::try_from(entries.len()).unwrap_or_default());
    entries.iter().fold(request, |request, (permissions, scheme, id)| {
        request.int(*permissions).string(scheme).string(id)
    })
}

/// Permissions in the notation of ZooKeeper's own tools.
fn permission_letters(permissions: i32) -> String {
    let all = [('c', 4), ('d', 8), ('r', 1), ('w', 2), ('a', 16)];
    all.iter().filter(|(_, bit)| permissions & bit != 0).map(|(letter, _)| letter).collect()
}

fn stat(reply: &mut Unpack<'_>) -> Option<Stat> {
    Some(Stat {
        czxid: reply.long()?,
        mzxid: reply.long()?,
        ctime_ms: reply.long()?,
        mtime_ms: reply.long()?,
        version: reply.int()?,
        cversion: reply.int()?,
        aversion: reply.int()?,
        ephemeral_owner: reply.long()?,
        data_length: reply.int()?,
        num_children: reply.int()?,
        pzxid: reply.long()?,
    })
}
