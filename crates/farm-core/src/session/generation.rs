//! The threads and sockets of one session, from the first connection to its end.

use super::client::Client;
use super::connection_gate::ConnectionGate;
use super::panic_slot::PanicSlot;
use super::relay::Relay;
use super::reporter::Reporter;
use super::request_pool::RequestPool;
use super::{ConnectError, Event, SessionError, SessionOptions};
use crate::engine::Post;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
}

impl Generation {
    /// # Errors
    ///
    /// [`SessionError::Unreachable`] if this host can't connect to itself, and
    /// [`SessionError::System`] if the process lacks descriptors or threads.
    pub(super) fn open(
        options: &SessionOptions,
        notify: &Post<Event>,
    ) -> Result<Self, SessionError> {
        let system = |error: std::io::Error| SessionError::System(Arc::new(error));
        check_descriptors().map_err(system)?;
        check_loopback().map_err(|error| {
            let last_error = Some(ConnectError::of_loopback(error));
            SessionError::Unreachable { last_error, tried: Duration::ZERO }
        })?;
        let gate = Arc::new(ConnectionGate::new());
        let session = Arc::new(OnceLock::new());
        let chroot = options.servers.chroot().clone();
        let reporter = Reporter {
            gate: Arc::clone(&gate),
            chroot: chroot.clone(),
            session: Arc::clone(&session),
            notify: notify.clone(),
            rounds_max: options.rounds_max,
            rounds_failed: 0,
            lasting_failures: 0,
        };
        let panic_slot = PanicSlot::default();
        let relay = Arc::new(Relay::open(options, reporter, &panic_slot).map_err(system)?);
        let client =
            Arc::new(Client::open(Arc::clone(&relay), session, chroot, options.acl.clone())?);
        let requests = RequestPool::start(options.request_threads.max(1), &client, &panic_slot)
            .map_err(system)?;
        Ok(Self { requests, _client: client, relay, gate, panic_slot })
    }
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
