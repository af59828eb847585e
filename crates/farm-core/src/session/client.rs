//! Blocking requests: the only file that names the client library.
//!
//! The library is given a connection to the relay and never learns what happens
//! beyond it. Of its calls we use those without a watcher of their own, because it
//! never forgets one that was not called; and its panics end here.
//!
//! **Invariant.** A path is checked before it gets here, and data before it is sent.

mod many;

use super::link::Unanswered;
use super::multi;
use super::relay::Relay;
use super::wire::{self, code, opcode};
use super::{Acl, DATA_BYTES_MAX, SessionError, SessionId, ZnodePath};
pub(crate) use many::READS_MAX;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use zookeeper::{Permission, ZkError, ZkResult, ZooKeeper};

/// Whether to be told, once, when what was read changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Just read.
    No,
    /// Read, and post a hint at the next change.
    Yes,
}

/// How long a created znode lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateMode {
    /// Until somebody deletes it.
    Persistent,
    /// It lives as long as this session.
    Ephemeral,
}

/// What the server knows about a znode beside its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// The transaction that created it: its identity.
    pub czxid: i64,
    /// The transaction that changed it last.
    pub mzxid: i64,
    /// When it was created, in milliseconds since 1970.
    pub ctime_ms: i64,
    /// When it was changed last, in milliseconds since 1970.
    pub mtime_ms: i64,
    /// How often its data was set since it was created.
    pub version: i32,
    /// The session it lives with; 0 if it is persistent.
    pub ephemeral_owner: i64,
    /// How many bytes its data has.
    pub data_length: i32,
    /// How many children it has.
    pub num_children: i32,
}

/// A znode as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Znode<D = Vec<u8>> {
    /// Its content, or what was made of it.
    pub data: D,
    /// What else the server knows.
    pub stat: Stat,
}

/// Makes requests within one session. Every call blocks until it is answered or
/// the link is known to be down, whichever comes first.
///
/// # Broken connections
///
/// [`SessionError::Disconnected`] says that the answer is missing. Nothing is repeated
/// here: whoever asked knows whether the question still makes sense. A read has done
/// nothing, and is repeated by [`Session::call`](super::Session::call), or at the next
/// [`Event::Connected`](super::Event::Connected) by whoever follows events.
///
/// A write has happened or has not, and by the next contact of the same session that is
/// decided: what an earlier connection still carries is refused from then on. Each
/// write says below how to find out. To look is not always enough, for the next server
/// may lag behind; to repeat the write always is, for it is decided where all writes are.
///
/// After [`SessionError::Expired`] the same holds, and ephemeral znodes are gone, or
/// about to be.
pub struct Client {
    library: ZooKeeper,
    relay: Arc<Relay>,
    session: Arc<OnceLock<SessionId>>,
    chroot: ZnodePath,
    /// Who may do what with what we create.
    acl: Acl,
    /// How many reads go into one request; 1 where more have proved to be too much.
    reads_most: AtomicUsize,
    /// How long the longest data was that such a request has brought; 0 before.
    longest_read: AtomicUsize,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn open(
        relay: Arc<Relay>,
        session: Arc<OnceLock<SessionId>>,
        chroot: ZnodePath,
        acl: Acl,
    ) -> Result<Self, SessionError> {
        // Long enough that the library never pings: keeping the session is not its business.
        const FOR_EVER: Duration = Duration::from_millis(i32::MAX as u64);
        let address = relay.address().to_string();
        let connect = || ZooKeeper::connect(&address, FOR_EVER, |_| {});
        match catch_unwind(AssertUnwindSafe(connect)) {
            Ok(Ok(library)) => {
                let reads_most = AtomicUsize::new(READS_MAX);
                let longest_read = AtomicUsize::new(0);
                Ok(Self { library, relay, session, chroot, acl, reads_most, longest_read })
            }
            Ok(Err(_)) | Err(_) => {
                let error = std::io::Error::other("the client library does not start");
                Err(SessionError::System(Arc::new(error)))
            }
        }
    }

    /// The session these requests belong to; `None` before the first contact.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.session.get().copied()
    }

    /// Reads a znode.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`], in which case no watch is left. After
    /// [`SessionError::Disconnected`] none is either: read again.
    pub fn get(&self, path: &ZnodePath, watch: Watch) -> Result<Znode, SessionError> {
        let (data, stat) = self.call(path, |zk, full| zk.get_data(full, watch == Watch::Yes))?;
        Ok(Znode { data, stat: stat.into() })
    }

    /// Looks whether there is such a znode. A watch is left in either case.
    ///
    /// # Errors
    ///
    /// Those of the link. After [`SessionError::Disconnected`] no watch is left: look again.
    pub fn exists(&self, path: &ZnodePath, watch: Watch) -> Result<Option<Stat>, SessionError> {
        let stat = self.call(path, |zk, full| zk.exists(full, watch == Watch::Yes))?;
        Ok(stat.map(Stat::from))
    }

    /// Lists the names of the children, sorted by bytes.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`], in which case no watch is left. After
    /// [`SessionError::Disconnected`] none is either: list again.
    pub fn children(&self, path: &ZnodePath, watch: Watch) -> Result<Vec<String>, SessionError> {
        let mut names = self.call(path, |zk, full| zk.get_children(full, watch == Watch::Yes))?;
        names.sort_unstable();
        Ok(names)
    }

    /// Creates a znode with the session's access list.
    ///
    /// # Errors
    ///
    /// [`SessionError::NodeExists`]; [`SessionError::NoNode`] when the parent is missing.
    ///
    /// After [`SessionError::Disconnected`], repeat it. [`SessionError::NodeExists`] is then
    /// an answer of its own: an ephemeral znode is ours if this session owns it
    /// ([`Stat::ephemeral_owner`]), whichever attempt made it. A persistent one has no
    /// owner, so it must not matter who made it; where it does, its data has to tell.
    pub fn create(
        &self,
        path: &ZnodePath,
        data: &[u8],
        mode: CreateMode,
    ) -> Result<(), SessionError> {
        check_length(path, data)?;
        let mode = match mode {
            CreateMode::Persistent => zookeeper::CreateMode::Persistent,
            CreateMode::Ephemeral => zookeeper::CreateMode::Ephemeral,
        };
        let acl = library_acl(&self.acl);
        self.call(path, |zk, full| zk.create(full, data.to_vec(), acl, mode))?;
        Ok(())
    }

    /// Creates an ephemeral znode with the session's access list. Its name is that of
    /// `prefix` with the next number of the parent behind it, and is given back.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`] when the parent is missing. After
    /// [`SessionError::Disconnected`] or [`SessionError::Garbled`] the znode may be
    /// there: among those below the parent its owner tells.
    pub fn create_sequential(
        &self,
        prefix: &ZnodePath,
        data: &[u8],
    ) -> Result<ZnodePath, SessionError> {
        check_length(prefix, data)?;
        let acl = library_acl(&self.acl);
        let mode = zookeeper::CreateMode::EphemeralSequential;
        let created = self.call(prefix, |zk, full| zk.create(full, data.to_vec(), acl, mode))?;
        // The server names it from its own root, and we from the chroot: all but the
        // last component is known here.
        let garbled = || SessionError::Garbled(prefix.below(&self.chroot));
        let full = ZnodePath::parse(&created).map_err(|_| garbled())?;
        let siblings = prefix.parent().ok_or_else(garbled)?;
        if full.parent() != Some(siblings.below(&self.chroot)) {
            return Err(garbled());
        }
        full.name().and_then(|name| siblings.child(name).ok()).ok_or_else(garbled)
    }

    /// Creates the persistent znode and whatever is missing above it, empty.
    ///
    /// # Errors
    ///
    /// Those of [`Self::create`], but for znodes that are there already. After
    /// [`SessionError::Disconnected`] some may be: repeat it, that makes the others.
    pub fn create_all(&self, path: &ZnodePath) -> Result<(), SessionError> {
        match self.create(path, b"", CreateMode::Persistent) {
            Err(SessionError::NodeExists(_)) => return Ok(()),
            Err(SessionError::NoNode(_)) => {}
            other => return other,
        }
        let Some(parent) = path.parent() else {
            // The chroot itself is missing: its own path, from the top.
            return self.create_chroot();
        };
        self.create_all(&parent)?;
        match self.create(path, b"", CreateMode::Persistent) {
            Err(SessionError::NodeExists(_)) => Ok(()),
            other => other,
        }
    }

    fn create_chroot(&self) -> Result<(), SessionError> {
        let mut missing = vec![self.chroot.clone()];
        while let Some(parent) = missing.last().and_then(ZnodePath::parent) {
            missing.push(parent);
        }
        for path in missing.iter().rev().filter(|path| !path.is_root()) {
            let create = |zk: &ZooKeeper| {
                let acl = library_acl(&self.acl);
                zk.create(path.as_str(), Vec::new(), acl, zookeeper::CreateMode::Persistent)
            };
            match self.shielded(path, create) {
                Ok(_) | Err(SessionError::NodeExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sets the data of a znode, of that version only if one is given.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`], [`SessionError::BadVersion`].
    ///
    /// After [`SessionError::Disconnected`] of a set with a version, repeat it with the same
    /// one: [`SessionError::BadVersion`] then says that somebody was there, and what is read
    /// next says whether it holds what we wanted. Without a version a repetition overwrites
    /// what others wrote in between.
    pub fn set(
        &self,
        path: &ZnodePath,
        data: &[u8],
        version: Option<i32>,
    ) -> Result<Stat, SessionError> {
        check_length(path, data)?;
        self.call(path, |zk, full| zk.set_data(full, data.to_vec(), version)).map(Stat::from)
    }

    /// Deletes a znode, of that version only if one is given.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`], [`SessionError::BadVersion`], [`SessionError::NotEmpty`].
    ///
    /// After [`SessionError::Disconnected`], repeat it: [`SessionError::NoNode`] then means
    /// done. A name that others use too may be another znode by now. Its creation
    /// ([`Stat::czxid`]) tells, its version does not, for that counts from 0 again.
    pub fn delete(&self, path: &ZnodePath, version: Option<i32>) -> Result<(), SessionError> {
        self.call(path, |zk, full| zk.delete(full, version))
    }

    /// Puts an ephemeral znode of this session in the place of one of that version,
    /// in one transaction: nobody sees it missing. It gets the session's access list.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`], [`SessionError::BadVersion`], [`SessionError::NotEmpty`].
    ///
    /// After [`SessionError::Disconnected`] both parts have happened or neither. Do not
    /// repeat it: at version 0 it would replace our own znode. Create instead, and if
    /// there is one already, its owner ([`Stat::ephemeral_owner`]) tells.
    pub fn replace(&self, path: &ZnodePath, data: &[u8], version: i32) -> Result<(), SessionError> {
        check_length(path, data)?;
        let full = path.below(&self.chroot);
        let body = multi::replace_body(full.as_str(), version, data, &self.acl);
        let (head, body) = self.ask(opcode::MULTI, body, None)?;
        let code = match multi::multi_code(&body) {
            _ if head != code::OK => head,
            Ok(code) => code,
            Err(_) => return Err(SessionError::Garbled(full)),
        };
        own_outcome(&full, code)
    }

    /// Asks for a hint at every change of the znode and of all below it, for as
    /// long as the session lives and on whatever server.
    ///
    /// # Errors
    ///
    /// [`SessionError::Unsupported`] by servers before 3.6, which hang up as well. After
    /// [`SessionError::Disconnected`] it may not be remembered: ask again, twice is once.
    pub fn watch_tree(&self, path: &ZnodePath) -> Result<(), SessionError> {
        let full = path.below(&self.chroot);
        let body = wire::add_watch_body(full.as_str());
        let (code, _) = self.ask(opcode::ADD_WATCH, body, Some(full.to_string()))?;
        own_outcome(&full, code)
    }

    fn ask(
        &self,
        opcode: i32,
        body: Vec<u8>,
        watch: Option<String>,
    ) -> Result<(i32, Vec<u8>), SessionError> {
        self.relay.ask(opcode, body, watch).map_err(|unanswered| match unanswered {
            Unanswered::Disconnected => SessionError::Disconnected,
            Unanswered::Over => SessionError::Expired,
        })
    }

    /// Declares the session over.
    pub(super) fn give_up(&self) {
        self.relay.give_up();
    }

    fn call<T>(
        &self,
        path: &ZnodePath,
        request: impl FnOnce(&ZooKeeper, &str) -> ZkResult<T>,
    ) -> Result<T, SessionError> {
        // Errors name it in full: "no such znode: /" would hide that the chroot is missing.
        let full = path.below(&self.chroot);
        self.shielded(&full, |zk| request(zk, full.as_str()))
    }

    fn shielded<T>(
        &self,
        path: &ZnodePath,
        request: impl FnOnce(&ZooKeeper) -> ZkResult<T>,
    ) -> Result<T, SessionError> {
        // The library panics on answers that are not what it expects.
        match catch_unwind(AssertUnwindSafe(|| request(&self.library))) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(code)) => Err(library_error(path, code)),
            Err(_) => Err(SessionError::Garbled(path.clone())),
        }
    }
}

fn library_acl(acl: &Acl) -> Vec<zookeeper::Acl> {
    use Permission as P;
    let all = [P::READ, P::WRITE, P::CREATE, P::DELETE, P::ADMIN];
    let permissions = |bits: i32| {
        let wanted = (0..).zip(all).filter(|(bit, _)| bits & 1 << bit != 0);
        wanted.fold(P::NONE, |permissions, (_, permission)| permissions | permission)
    };
    let entries = acl.entries().iter();
    entries
        .map(|entry| {
            zookeeper::Acl::new(permissions(entry.permissions), &*entry.scheme, &*entry.id)
        })
        .collect()
}

fn check_length(path: &ZnodePath, data: &[u8]) -> Result<(), SessionError> {
    if data.len() <= DATA_BYTES_MAX {
        return Ok(());
    }
    Err(SessionError::TooLarge { path: path.clone(), bytes: data.len() })
}

fn own_outcome(path: &ZnodePath, code: i32) -> Result<(), SessionError> {
    match code {
        code::OK => Ok(()),
        // The library would make this of every code it does not know.
        code::UNIMPLEMENTED => Err(SessionError::Unsupported),
        code => Err(library_error(path, ZkError::from(code))),
    }
}

fn library_error(path: &ZnodePath, error: ZkError) -> SessionError {
    let path = path.clone();
    match error {
        ZkError::NoNode => SessionError::NoNode(path),
        ZkError::NodeExists => SessionError::NodeExists(path),
        ZkError::BadVersion => SessionError::BadVersion(path),
        ZkError::NotEmpty => SessionError::NotEmpty(path),
        ZkError::NoAuth => SessionError::NoAuth(path),
        ZkError::InvalidACL => SessionError::InvalidAcl(path),
        ZkError::NoChildrenForEphemerals => SessionError::NoChildrenForEphemerals(path),
        ZkError::ConnectionLoss | ZkError::SessionMoved => SessionError::Disconnected,
        ZkError::SessionExpired => SessionError::Expired,
        ZkError::MarshallingError => SessionError::Garbled(path),
        code => SessionError::Refused { path, code },
    }
}

impl From<zookeeper::Stat> for Stat {
    fn from(stat: zookeeper::Stat) -> Self {
        Self {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            ctime_ms: stat.ctime,
            mtime_ms: stat.mtime,
            version: stat.version,
            ephemeral_owner: stat.ephemeral_owner,
            data_length: stat.data_length,
            num_children: stat.num_children,
        }
    }
}
