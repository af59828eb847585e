//! One ZooKeeper session, told as a stream of events.
//!
//! This layer speaks of paths, versions and bytes. Farms, hosts and formats are
//! strangers here. The pieces, from the wire up:
//!
//! - `wire` and `multi` know the bytes, `link` what they mean, `patience` how long to wait,
//!   `lease` for how long the session surely lives;
//! - `dial` finds a server, `stream` is a socket, `tls` what may be spoken over it,
//!   `door` lets the client library in, `relay` is the thread that turns it all, `reporter`
//!   logs what the link says and passes it on;
//! - `client` makes blocking requests through the client library, which only ever
//!   meets the relay; `courier` threads make them for the loop.
//!
//! **Invariant.** What the link says is the only truth about the connection, and it
//! arrives in the order in which it happened: a hint that follows
//! [`Event::Connected`] is about that contact, and after [`Event::Lost`] nothing of
//! that session comes any more.

mod acl;
mod action;
mod auth;
pub mod cache;
mod client;
mod connect_error;
mod connection_gate;
mod dial;
mod error;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod hint;
mod lease;
mod link;
mod listener;
#[doc(hidden)]
#[cfg(any(test, feature = "testing"))]
pub mod live;
mod multi;
mod panic_slot;
mod path;
mod peer;
mod reader;
mod relay;
mod renewal;
mod reporter;
mod request_pool;
mod servers;
mod stream;
mod timeouts;
mod tls;
mod wire;

pub use acl::{Acl, AclError};
pub use action::Action;
pub use auth::{Auth, AuthError, CREDENTIALS_MAX};
pub use client::{Client, CreateMode, Stat, Watch, Znode};
pub use connect_error::ConnectError;
pub use error::{DATA_BYTES_MAX, SessionError};
pub use hint::{Change, Hint};
pub use lease::Lease;
pub use link::DownReason;
pub use path::{PATH_BYTES_MAX, PathError, PathFault, ZnodePath};
pub use reader::ReaderEvent;
pub use servers::{DEFAULT_PORT, SERVERS_MAX, Server, ServerFault, Servers, ServersError};
pub use tls::{FileFault, Identity, SYSTEM_CA, Tls, TlsError, check_server_name};

use crate::engine::{Post, Retry};
use connection_gate::{ConnectionGate, Passage};
use panic_slot::PanicSlot;
use relay::Relay;
use reporter::Reporter;
use request_pool::RequestPool;
use std::fmt;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The least session timeout that is asked for: below it, noticing a silent server
/// and reaching another one does not fit in.
pub const SESSION_TIMEOUT_LEAST: Duration = Duration::from_secs(4);

/// For ever in practice, and within the reach of every clock.
const PATIENCE_MOST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How long the end of a session may take when no server carries it.
const FAREWELL: Duration = Duration::from_millis(500);

/// The number ZooKeeper gave a session; znodes name their owner by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub i64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Where ZooKeeper is.
    pub servers: Servers,
    /// The session timeout to ask for, at least [`SESSION_TIMEOUT_LEAST`].
    pub session_timeout: Duration,
    /// After so many rounds over all servers in a row without success,
    /// [`Event::GaveUp`] is posted; `None` never gives up.
    pub rounds_max: Option<u32>,
    /// How many blocking requests may be under way at once.
    pub couriers: usize,
    /// Who we are, for every server before anything else is asked of it.
    pub auth: Auth,
    /// Who may do what with the znodes that we create.
    pub acl: Acl,
    /// How to speak TLS with the servers; plain text without it.
    pub tls: Option<Tls>,
}

/// What happens to a session.
#[derive(Debug, Clone)]
pub enum Event {
    /// A server carries it. Whatever was read before may be out of date, and
    /// watches set by reading are gone: read again.
    Connected {
        /// The session.
        session: SessionId,
        /// Whether it is a new one.
        is_new: bool,
        /// How long the server keeps it without hearing of us.
        granted: Duration,
    },
    /// No server carries it now, because of that; it may live on.
    Suspended(DownReason),
    /// It is over, and its ephemeral znodes are gone: call [`Session::renew`].
    Lost,
    /// A watched znode changed.
    Hint(Hint),
    /// No server could be reached in as many rounds as were allowed.
    GaveUp(SessionError),
    /// In a whole round over all servers none took us, and one does not take our
    /// credentials. Further rounds follow.
    AuthRefused(ConnectError),
}

/// One client object and the session it talks through.
#[derive(Debug)]
struct Generation {
    // The order matters: the couriers end first, with them the last users of the
    // client, then the client, which says goodbye to the relay, and then the relay.
    couriers: RequestPool,
    _client: Arc<Client>,
    relay: Arc<Relay>,
    gate: Arc<ConnectionGate>,
    panic_slot: PanicSlot,
}

/// Sessions with ZooKeeper, one after the other.
pub struct Session {
    config: SessionOptions,
    notify: Post<Event>,
    generation: Generation,
    renewal: Retry,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Session {
    /// Starts looking for a server; `notify` is called for every event, on the
    /// relay's thread, and must only post.
    ///
    /// # Errors
    ///
    /// When the process has no socket or thread to give.
    pub fn open(
        config: SessionOptions,
        notify: impl Fn(Event) + Send + Sync + 'static,
    ) -> Result<Self, SessionError> {
        let notify = Post::new(notify);
        let generation = Generation::open(&config, &notify)?;
        Ok(Self { config, notify, generation, renewal: renewal::retry() })
    }

    /// For how long this session surely lives. A session that takes its place has
    /// another one.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.generation.relay.lease()
    }

    /// Gives a courier something to do. Without contact its requests fail at once.
    pub fn dispatch(&self, job: impl FnOnce(&Client) + Send + 'static) {
        self.generation.couriers.send(Box::new(job));
    }

    /// Runs an operation to its end or the deadline, and waits for it: over
    /// disconnections and expiries it is begun anew, so it must be one that can be
    /// repeated, such as a read, or an edit that reads first.
    ///
    /// # Errors
    ///
    /// Those of the operation; [`SessionError::AuthRefused`] when no server takes our
    /// credentials, [`SessionError::Unreachable`] when no server was reached,
    /// [`SessionError::Overdue`] when one was but it was not done in time.
    ///
    /// # Panics
    ///
    /// When the operation does.
    pub fn call<T: Send + 'static>(
        &mut self,
        patience: Duration,
        operation: impl Fn(&Client) -> Result<T, SessionError> + Send + Sync + 'static,
    ) -> Result<T, SessionError> {
        let start = Instant::now();
        let deadline = start + patience.min(PATIENCE_MOST);
        let operation = Arc::new(operation);
        let mut was_reached = false;
        loop {
            match self.generation.gate.wait(deadline) {
                Passage::Open => was_reached = true,
                Passage::Over => {
                    self.begin_anew()?;
                    continue;
                }
                Passage::Shut { trouble: Some(trouble), .. } if trouble.is_refusal() => {
                    return Err(SessionError::AuthRefused(trouble));
                }
                Passage::Shut { was_open, .. } if was_open || was_reached => {
                    return Err(SessionError::Overdue(start.elapsed()));
                }
                Passage::Shut { trouble, .. } => {
                    return Err(SessionError::Unreachable { trouble, tried: start.elapsed() });
                }
            }
            let (answer, answered) = sync_channel(1);
            let operation = Arc::clone(&operation);
            self.dispatch(move |client| drop(answer.try_send(operation(client))));
            match answered.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Err(SessionError::Disconnected | SessionError::Expired)) => {}
                Ok(outcome) => return outcome,
                // It panicked, which has ended the session: the way through the gate tells.
                Err(RecvTimeoutError::Disconnected) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(SessionError::Overdue(start.elapsed()));
                }
            }
        }
    }

    /// Ends the session: its ephemeral znodes go at once if a server carries it or
    /// can be reached within half a second, else when its timeout has passed.
    pub fn close(self) {
        self.generation.relay.begin_close(Instant::now() + FAREWELL);
    }

    /// Ends it without waiting for a server that does not answer: a request that is
    /// under way fails at once, and the session goes when its timeout has passed.
    pub fn abandon(self) {
        self.generation.relay.begin_close(Instant::now());
    }
}

impl Generation {
    fn open(config: &SessionOptions, notify: &Post<Event>) -> Result<Self, SessionError> {
        let system = |error: std::io::Error| SessionError::System(Arc::new(error));
        check_descriptors().map_err(system)?;
        let gate = Arc::new(ConnectionGate::new());
        let session = Arc::new(OnceLock::new());
        let reporter = Reporter {
            gate: Arc::clone(&gate),
            session: Arc::clone(&session),
            notify: notify.clone(),
            rounds_max: config.rounds_max,
            rounds: 0,
            lasting: 0,
        };
        let panic_slot = PanicSlot::default();
        let relay = Arc::new(Relay::open(config, reporter, &panic_slot).map_err(system)?);
        let chroot = config.servers.chroot().clone();
        let client =
            Arc::new(Client::open(Arc::clone(&relay), session, chroot, config.acl.clone())?);
        let couriers =
            RequestPool::start(config.couriers.max(1), &client, &panic_slot).map_err(system)?;
        Ok(Self { couriers, _client: client, relay, gate, panic_slot })
    }
}

/// Fails where the client library would try for ever: it never gives up on a connection,
/// nor rests between two attempts, so it must not begin without a descriptor for each.
fn check_descriptors() -> std::io::Result<()> {
    // The relay's port and pair, the library's connection, poll and pipe, and to spare.
    const NEEDED: usize = 24;
    let (first, _) = UnixStream::pair()?;
    let others: std::io::Result<Vec<UnixStream>> = (1..NEEDED).map(|_| first.try_clone()).collect();
    others.map(drop)
}
