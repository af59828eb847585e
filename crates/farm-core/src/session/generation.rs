//! The threads and sockets of one session, from the first connection to its end.

use super::client::Client;
use super::connection_gate::ConnectionGate;
use super::panic_slot::PanicSlot;
use super::relay::Relay;
use super::reporter::Reporter;
use super::request_pool::RequestPool;
use super::{ConnectError, Event, Server, SessionOptions};
use crate::engine::{Post, Worker};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The threads of a session besides those for requests and look-ups: the relay's, and three of
/// the client library.
const OWN_THREADS: usize = 4;
/// How long this host may take to connect to itself.
const LOOPBACK_WAIT: Duration = Duration::from_millis(250);

/// One client object and the session that it uses.
#[derive(Debug)]
pub(super) struct Generation {
    // The drop order matters: the request threads end first, and with them the last
    // users of the client; then the client, which sends a close to the relay; then
    // the relay.
    pub(super) requests: RequestPool,
    _client: Arc<Client>,
    pub(super) relay: Arc<Relay>,
    pub(super) gate: Arc<ConnectionGate>,
    pub(super) panic_slot: PanicSlot,
    pub(super) opened_at: Instant,
}

impl Generation {
    /// # Errors
    ///
    /// If this host can't connect to itself, or the process lacks descriptors or threads.
    pub(super) fn open(
        options: &SessionOptions,
        notify: &Post<Event>,
    ) -> Result<Self, ConnectError> {
        let request_threads = options.request_threads.max(1);
        let is_name = |server: &&Server| server.host().parse::<IpAddr>().is_err();
        let look_ups = options.servers.list().iter().filter(is_name).count();
        check_descriptors()
            .and_then(|()| check_threads(OWN_THREADS + request_threads + look_ups))
            .map_err(ConnectError::of_process)?;
        check_loopback().map_err(ConnectError::of_loopback)?;
        let gate = Arc::new(ConnectionGate::new());
        let session = Arc::new(OnceLock::new());
        let chroot = options.servers.chroot().clone();
        let reporter = Reporter {
            gate: Arc::clone(&gate),
            chroot: chroot.clone(),
            session: Arc::clone(&session),
            notify: notify.clone(),
            odd_timeout: None,
            rounds_max: options.rounds_max,
            rounds_failed: 0,
            lasting_failures: 0,
        };
        let panic_slot = PanicSlot::default();
        let relay =
            Relay::open(options, reporter, &panic_slot).map_err(ConnectError::of_process)?;
        let relay = Arc::new(relay);
        let client = Client::open(Arc::clone(&relay), session, chroot, options.acl.clone())
            .map_err(ConnectError::of_process)?;
        let client = Arc::new(client);
        let requests = RequestPool::start(request_threads, &client, &panic_slot)
            .map_err(ConnectError::of_process)?;
        let opened_at = Instant::now();
        Ok(Self { requests, _client: client, relay, gate, panic_slot, opened_at })
    }
}

/// Fails here, where the client library would panic: one of its threads starts another one.
fn check_threads(count: usize) -> std::io::Result<()> {
    let gate = Arc::new(RwLock::new(()));
    // Above the guard, which has to be dropped before they are joined.
    let mut threads = Vec::with_capacity(count);
    let _shut = gate.write().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..count {
        let gate = Arc::clone(&gate);
        threads.push(Worker::start("probe", move || drop(gate.read()))?);
    }
    Ok(())
}

/// Fails here, where the client library would retry forever without a pause: it must
/// not start unless it can get all the descriptors that it needs.
fn check_descriptors() -> std::io::Result<()> {
    // The relay's port and waker, the library's connection, poll and pipe, and a reserve.
    const NEEDED: usize = 24;
    let (first, _) = UnixStream::pair()?;
    let others: std::io::Result<Vec<UnixStream>> = (1..NEEDED).map(|_| first.try_clone()).collect();
    others.map(drop)
}

/// Fails here, where the client library would panic: it connects to the relay over loopback.
fn check_loopback() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    TcpStream::connect_timeout(&listener.local_addr()?, LOOPBACK_WAIT).map(drop)
}
