//! Blocking requests through the client library.
//!
//! The library is connected to the relay and never notices what happens behind it. Only
//! its calls without a watcher are used, because it never frees a watcher that was not
//! called. Its panics are caught here.
//!
//! **Invariant.** A path is checked before it gets here, and data before it is sent.

mod batch;
mod leader;
mod parents;

use super::link::Unanswered;
use super::multi;
use super::relay::Relay;
use super::sentinel::{InUse, Sentinel};
use super::wire::{self, code, opcode};
use super::{
    Acl, CreateMode, DATA_BYTES_MAX, SessionError, SessionId, Stat, Watch, Znode, ZnodePath,
};
pub(crate) use batch::READS_MAX;
use batch::{BatchSize, SHRINKING};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use zookeeper::{Permission, ZkError, ZkResult, ZooKeeper};

/// Makes requests within one session. Every call blocks until it is answered or the
/// link is known to be down, whichever comes first.
///
/// # Broken connections
///
/// [`SessionError::Disconnected`] means that the answer is missing. Nothing is repeated
/// here; the caller decides. A read has no effect:
/// [`Session::call`](super::Session::call) repeats it, and a caller that follows events
/// repeats it at the next [`Event::Connected`](super::Event::Connected).
///
/// A write has happened or it has not, and this no longer changes once the same session
/// is connected again: a request that is still on its way over the old connection is
/// refused from then on. Each write below says how to find out. A read is not always
/// enough, because the next server may lag behind. Repeating the write always is,
/// because the leader decides about it.
///
/// After [`SessionError::Expired`] the same holds, and ephemeral znodes are gone or about
/// to be.
pub struct Client {
    /// While this exists, an end of the library's threads is a fault. It is dropped before the
    /// library, whose drop ends them.
    _in_use: Arc<InUse>,
    library: ZooKeeper,
    relay: Arc<Relay>,
    session: Arc<OnceLock<SessionId>>,
    chroot: ZnodePath,
    /// The access list of the znodes that we create.
    acl: Acl,
    batch_size: BatchSize,
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
    ) -> io::Result<Self> {
        // Long enough that the library hardly ever pings: the relay keeps the session alive.
        const FOREVER: Duration = Duration::from_millis(i32::MAX as u64);
        let address = relay.address().to_string();
        let in_use = Arc::new(InUse);
        let sentinel = Sentinel::new(&in_use, relay.end_reporter());
        let connect = || ZooKeeper::connect(&address, FOREVER, sentinel);
        match catch_unwind(AssertUnwindSafe(connect)) {
            Ok(Ok(library)) => {
                let batch_size = BatchSize::new();
                Ok(Self { _in_use: in_use, library, relay, session, chroot, acl, batch_size })
            }
            Ok(Err(_)) | Err(_) => Err(io::Error::other("the client library does not start")),
        }
    }

    /// The session of these requests; `None` before the first connection.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.session.get().copied()
    }

    /// Reads a znode.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`]. After that and after [`SessionError::Disconnected`] no
    /// watch is left.
    pub fn get(&self, path: &ZnodePath, watch: Watch) -> Result<Znode, SessionError> {
        let (data, stat) = self.call(path, |zk, full| zk.get_data(full, watch == Watch::Yes))?;
        Ok(Znode { data, stat: stat.into() })
    }

    /// Reads the metadata of a znode, if it exists. A watch is left in either case.
    ///
    /// # Errors
    ///
    /// Those of the connection. After [`SessionError::Disconnected`] no watch is left.
    pub fn exists(&self, path: &ZnodePath, watch: Watch) -> Result<Option<Stat>, SessionError> {
        let stat = self.call(path, |zk, full| zk.exists(full, watch == Watch::Yes))?;
        Ok(stat.map(Stat::from))
    }

    /// Lists the names of the children, sorted by bytes.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`]. After that and after [`SessionError::Disconnected`] no
    /// watch is left.
    pub fn children(&self, path: &ZnodePath, watch: Watch) -> Result<Vec<String>, SessionError> {
        let mut names = self.call(path, |zk, full| zk.get_children(full, watch == Watch::Yes))?;
        names.sort_unstable();
        Ok(names)
    }

    /// Creates a znode with the session's access list.
    ///
    /// # Errors
    ///
    /// [`SessionError::NodeExists`]; [`SessionError::NoNode`] if the parent is missing.
    ///
    /// After [`SessionError::Disconnected`], repeat it. If that ends with
    /// [`SessionError::NodeExists`], an ephemeral znode is ours if this session owns it
    /// ([`Stat::ephemeral_owner`]), whichever attempt created it. A persistent znode has
    /// no owner: if it matters who created it, its data has to identify the creator.
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

    /// Creates an ephemeral sequential znode with the session's access list, and returns
    /// its path: `prefix` followed by the next number of the parent.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`] if the parent is missing. After
    /// [`SessionError::Disconnected`] or [`SessionError::Garbled`] the znode may exist:
    /// its owner identifies it among the children of the parent.
    pub fn create_sequential(
        &self,
        prefix: &ZnodePath,
        data: &[u8],
    ) -> Result<ZnodePath, SessionError> {
        check_length(prefix, data)?;
        let acl = library_acl(&self.acl);
        let mode = zookeeper::CreateMode::EphemeralSequential;
        let created = self.call(prefix, |zk, full| zk.create(full, data.to_vec(), acl, mode))?;
        // The server returns the path from its own root: all but the last component is
        // known here.
        let garbled = || SessionError::Garbled(prefix.below(&self.chroot));
        let full = ZnodePath::parse(&created).map_err(|_| garbled())?;
        let siblings = prefix.parent().ok_or_else(garbled)?;
        if full.parent() != Some(siblings.below(&self.chroot)) {
            return Err(garbled());
        }
        full.name().and_then(|name| siblings.child(name).ok()).ok_or_else(garbled)
    }

    /// Sets the data of a znode; with a version, only if the znode has that version.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`], [`SessionError::BadVersion`].
    ///
    /// After [`SessionError::Disconnected`] of a set with a version, repeat it with the same
    /// version: after [`SessionError::BadVersion`] a read tells whether the znode holds the
    /// wanted data. Without a version a repetition overwrites what others wrote in between.
    pub fn set(
        &self,
        path: &ZnodePath,
        data: &[u8],
        version: Option<i32>,
    ) -> Result<Stat, SessionError> {
        check_length(path, data)?;
        self.call(path, |zk, full| zk.set_data(full, data.to_vec(), version)).map(Stat::from)
    }

    /// Deletes a znode; with a version, only if the znode has that version.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`], [`SessionError::BadVersion`], [`SessionError::NotEmpty`].
    ///
    /// After [`SessionError::Disconnected`], repeat it: [`SessionError::NoNode`] then means
    /// that it is done. If others use the same name, it may be another znode by now:
    /// [`Stat::czxid`] tells, but not the version, which starts from 0 again.
    pub fn delete(&self, path: &ZnodePath, version: Option<i32>) -> Result<(), SessionError> {
        self.call(path, |zk, full| zk.delete(full, version))
    }

    /// Replaces a znode of that version by an ephemeral one of this session, in one
    /// transaction: no client sees it missing. It gets the session's access list.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoNode`], [`SessionError::BadVersion`], [`SessionError::NotEmpty`].
    ///
    /// After [`SessionError::Disconnected`] either both parts have happened or none. Do not
    /// repeat it: with version 0 it would replace our own znode. Create the znode instead;
    /// if it exists, its owner ([`Stat::ephemeral_owner`]) tells who created it.
    pub fn replace(&self, path: &ZnodePath, data: &[u8], version: i32) -> Result<(), SessionError> {
        check_length(path, data)?;
        let full = path.below(&self.chroot);
        let body = multi::replace_body(full.as_str(), version, data, &self.acl);
        let (head_code, body) = self.ask(opcode::MULTI, body, None)?;
        let code = match multi::multi_code(&body) {
            _ if head_code != code::OK => head_code,
            Ok(code) => code,
            Err(_) => return Err(SessionError::Garbled(full)),
        };
        own_outcome(&full, code)
    }

    /// Sets a persistent recursive watch: every change of the znode and of those below it
    /// gives a hint, as long as the session lives and on whatever server.
    ///
    /// # Errors
    ///
    /// [`SessionError::Unsupported`] from servers before 3.6, which also close the
    /// connection. After [`SessionError::Disconnected`] set it again; to set it twice does
    /// no harm.
    pub fn watch_tree(&self, path: &ZnodePath) -> Result<(), SessionError> {
        let full = path.below(&self.chroot);
        let body = wire::add_watch_body(full.as_str());
        let (code, _) = self.ask(opcode::ADD_WATCH, body, Some(full.to_string()))?;
        own_outcome(&full, code)
    }

    /// Reads many znodes without leaving a watch: several in one request if the server
    /// supports that, otherwise one after the other. The outcomes are in the order of the
    /// paths, and may be from different times.
    ///
    /// # Errors
    ///
    /// Those of the connection. An error of a single znode is in its place:
    /// [`SessionError::NoNode`], [`SessionError::NoAuth`]. After
    /// [`SessionError::Disconnected`] read all of them again.
    pub fn get_many(
        &self,
        paths: &[ZnodePath],
    ) -> Result<Vec<Result<Znode, SessionError>>, SessionError> {
        let full: Vec<ZnodePath> = paths.iter().map(|path| path.below(&self.chroot)).collect();
        let mut outcomes = Vec::with_capacity(paths.len());
        while outcomes.len() < paths.len() {
            let most = self.batch_size.reads_most();
            let batch = self.batch_size.batch(&full[outcomes.len()..], most);
            match self.read_batch(batch, most)? {
                Some(read) => outcomes.extend(read),
                None => {
                    for path in &paths[outcomes.len()..][..batch.len()] {
                        match self.get(path, Watch::No) {
                            Err(error) if error.is_transient() => return Err(error),
                            outcome => outcomes.push(self.batch_size.learn(outcome)),
                        }
                    }
                }
            }
        }
        Ok(outcomes)
    }

    /// Reads these znodes in one request; `None` if they have to be read one by one.
    fn read_batch(
        &self,
        batch: &[ZnodePath],
        most: usize,
    ) -> Result<Option<Vec<Result<Znode, SessionError>>>, SessionError> {
        if batch.len() < 2 {
            return Ok(None);
        }
        let body = multi::read_body(batch.iter().map(ZnodePath::as_str));
        // The answer may have been too large for the server or for us: a smaller one may
        // leave the connection intact.
        let answer = self
            .ask(opcode::MULTI_READ, body, None)
            .inspect_err(|_| self.batch_size.limit(most / SHRINKING))?;
        let (code::OK, body) = answer else {
            // A server before 3.6, which closes the connection now, or one that refuses
            // this kind of request.
            self.batch_size.limit(1);
            return Ok(None);
        };
        let Ok(answers) = multi::read_answers(&body, batch.len()) else {
            self.batch_size.limit(1);
            return Ok(None);
        };
        let outcome = |(answer, path): (Result<Znode, i32>, &ZnodePath)| {
            let outcome = answer.map_err(|code| library_error(path, ZkError::from(code)));
            self.batch_size.learn(outcome)
        };
        Ok(Some(answers.into_iter().zip(batch).map(outcome).collect()))
    }

    fn ask(
        &self,
        opcode: i32,
        body: Vec<u8>,
        watch: Option<String>,
    ) -> Result<(i32, Vec<u8>), SessionError> {
        self.relay.ask(opcode, body, watch).map_err(|unanswered| match unanswered {
            Unanswered::Disconnected => SessionError::Disconnected,
            Unanswered::SessionOver => SessionError::Expired,
        })
    }

    /// Ends the session without asking a server.
    pub(super) fn declare_over(&self) {
        self.relay.declare_over();
    }

    fn call<T>(
        &self,
        path: &ZnodePath,
        request: impl FnOnce(&ZooKeeper, &str) -> ZkResult<T>,
    ) -> Result<T, SessionError> {
        // Errors have the full path: "no such znode: /" would hide that the chroot is missing.
        let full = path.below(&self.chroot);
        self.catching_panics(&full, |zk| request(zk, full.as_str()))
    }

    fn catching_panics<T>(
        &self,
        path: &ZnodePath,
        request: impl FnOnce(&ZooKeeper) -> ZkResult<T>,
    ) -> Result<T, SessionError> {
        // The library panics on answers that it does not expect.
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
        // The library maps every unknown code to this one too.
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
        // Our own code, see `wire::code::TOO_MANY`.
        ZkError::RuntimeInconsistency => {
            SessionError::TooMany { path, max: wire::CHILDREN_MAX, unit: "children" }
        }
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
