//! A session and its events, for tests.

use farm_core::session::{
    Acl, Auth, Change, Client, ConnectError, Event, SESSION_TIMEOUT_LEAST, Servers, Session,
    SessionError, SessionId, SessionOptions, Watch, Znode, ZnodePath,
};
use farm_harness::{FakeEnsemble, FakeServer, patience};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than anything here takes, even on a busy machine.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(15);

/// A session timeout that no busy machine uses up, for a session that has to be kept.
const LONG_TIMEOUT: Duration = Duration::from_secs(30);

/// A session and its events.
pub(crate) struct Fixture {
    pub(crate) session: Session,
    events: Receiver<Event>,
}

pub(crate) fn path(text: &str) -> ZnodePath {
    ZnodePath::parse(text).unwrap()
}

/// The options for these servers, with the shortest session timeout.
pub(crate) fn options(servers: &[&dyn Display]) -> SessionOptions {
    let list = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    SessionOptions {
        servers: Servers::parse(&list).unwrap(),
        session_timeout: SESSION_TIMEOUT_LEAST,
        rounds_max: None,
        request_threads: 8,
        auth: Auth::default(),
        acl: Acl::open(),
        tls: None,
    }
}

impl Fixture {
    pub(crate) fn open(servers: &[&dyn Display]) -> Self {
        Self::open_with(options(servers))
    }

    pub(crate) fn open_with(options: SessionOptions) -> Self {
        let (sender, events) = channel();
        let session = Session::open(options, move |event| drop(sender.send(event)));
        Self { session, events }
    }

    /// A session that has reached its only server, with the shortest timeout: for a test in
    /// which it is silence that ends something.
    pub(crate) fn brief_at(server: &FakeServer) -> (Self, SessionId) {
        Self::reached(Self::open(&[&server.addr()]))
    }

    /// A session that has reached its only server.
    pub(crate) fn at(server: &FakeServer) -> (Self, SessionId) {
        Self::lasting(server, LONG_TIMEOUT)
    }

    /// A session with this timeout that has reached its only server.
    pub(crate) fn lasting(server: &FakeServer, session_timeout: Duration) -> (Self, SessionId) {
        let options = options(&[&server.addr()]);
        Self::reached(Self::open_with(SessionOptions { session_timeout, ..options }))
    }

    fn reached(self) -> (Self, SessionId) {
        let session = self.connected_anew();
        (self, session)
    }

    pub(crate) fn next(&self) -> Event {
        match self.events.recv_timeout(patience(WAIT_MAX)) {
            Ok(event) => event,
            Err(error) => panic!("no event: {error}"),
        }
    }

    /// The next event that is no hint.
    pub(crate) fn next_state(&self) -> Event {
        loop {
            let event = self.next();
            if !matches!(event, Event::Hint(_)) {
                return event;
            }
        }
    }

    pub(crate) fn connected_anew(&self) -> SessionId {
        match self.next_state() {
            Event::Connected { session, is_new: true, .. } => session,
            other => panic!("no new session but {other:?}"),
        }
    }

    pub(crate) fn connected_again(&self) -> SessionId {
        match self.next_state() {
            Event::Connected { session, is_new: false, .. } => session,
            other => panic!("not the same session but {other:?}"),
        }
    }

    pub(crate) fn suspended(&self) {
        let event = self.next_state();
        assert!(matches!(event, Event::Suspended(_)), "not suspended but {event:?}");
    }

    pub(crate) fn lost(&self) {
        let event = self.next_state();
        assert!(matches!(event, Event::Lost), "not lost but {event:?}");
    }

    pub(crate) fn gave_up(&self) -> Option<ConnectError> {
        match self.next_state() {
            Event::GaveUp(SessionError::Unreachable { last_error, .. }) => last_error,
            other => panic!("not given up but {other:?}"),
        }
    }

    pub(crate) fn auth_refused(&self) -> ConnectError {
        match self.next_state() {
            Event::AuthRefused(error) => error,
            other => panic!("not refused but {other:?}"),
        }
    }

    pub(crate) fn hint(&self) -> (String, Change) {
        match self.next() {
            Event::Hint(hint) => (hint.path.as_str().to_owned(), hint.change),
            other => panic!("no hint but {other:?}"),
        }
    }

    /// The events since the last call, without hints.
    pub(crate) fn states(&self) -> Vec<Event> {
        self.events.try_iter().filter(|event| !matches!(event, Event::Hint(_))).collect()
    }

    /// Tells whether there is no event for that long.
    pub(crate) fn is_quiet_for(&self, time: Duration) -> bool {
        matches!(self.events.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }

    /// Does for that long what a tool does: opens another session when one is lost.
    pub(crate) fn renew_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let next = self.session.deadline().map_or(end, |at| at.min(end));
            let left = next.saturating_duration_since(Instant::now());
            if let Ok(Event::Lost) = self.events.recv_timeout(left) {
                self.session.renew(Instant::now());
            }
            self.session.tick(Instant::now());
        }
    }

    /// Starts a job; the channel returns its outcome.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Client) -> T + Send + 'static,
    ) -> Receiver<T> {
        let (sender, outcome) = channel();
        self.session.dispatch(move |client| drop(sender.send(job(client))));
        outcome
    }

    /// Runs a job and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Client) -> T + Send + 'static,
    ) -> T {
        self.start(job).recv_timeout(patience(WAIT_MAX)).expect("every job ends")
    }

    pub(crate) fn get(&self, at: &str) -> Result<Znode, SessionError> {
        let at = path(at);
        self.run(move |client| client.get(&at, Watch::No))
    }
}

/// Two servers and a session at one of them; the one that carries it comes first.
pub(crate) fn at_one_of_two(
    ensemble: &FakeEnsemble,
) -> (Fixture, SessionId, FakeServer, FakeServer) {
    at_one_of_two_lasting(ensemble, SESSION_TIMEOUT_LEAST)
}

/// The same, with this session timeout.
pub(crate) fn at_one_of_two_lasting(
    ensemble: &FakeEnsemble,
    session_timeout: Duration,
) -> (Fixture, SessionId, FakeServer, FakeServer) {
    let (first, second) = (ensemble.server(), ensemble.server());
    let options = options(&[&first.addr(), &second.addr()]);
    let fixture = Fixture::open_with(SessionOptions { session_timeout, ..options });
    let session = fixture.connected_anew();
    if first.connections() == 1 {
        (fixture, session, first, second)
    } else {
        (fixture, session, second, first)
    }
}

/// The outcome of the work, and how long it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let outcome = work();
    (outcome, start.elapsed())
}

/// Stops jobs when it is dropped, also if the test fails. It is declared below the
/// fixture, which waits for its jobs, and so is dropped before it.
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn watch(&self) -> impl Fn() -> bool + Send + 'static {
        let flag = Arc::clone(&self.0);
        move || flag.load(Ordering::Relaxed)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
