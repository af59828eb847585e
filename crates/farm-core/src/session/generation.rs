//! The threads and sockets of one session, from the first connection to its end.

use super::client::Client;
use super::connection_gate::ConnectionGate;
use super::panic_slot::PanicSlot;
use super::relay::Relay;
use super::reporter::Reporter;
use super::request_pool::RequestPool;
use super::{Event, SessionError, SessionOptions};
use crate::engine::Post;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};

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
    pub(super) fn open(
        options: &SessionOptions,
        notify: &Post<Event>,
    ) -> Result<Self, SessionError> {
        let system = |error: std::io::Error| SessionError::System(Arc::new(error));
        check_descriptors().map_err(system)?;
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
