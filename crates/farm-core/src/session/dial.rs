//! Reaching a server: names, addresses, connections, TLS, rounds.
//!
//! **Invariant.** Nothing here blocks the relay. Names are looked up on threads of their
//! own, because the system's resolver can't be interrupted; connections and handshakes
//! are non-blocking, and each has a timeout. A name that can't be resolved, or takes
//! forever, does not delay the others.

use super::DownReason;
use super::closed::Closed;
use super::connect_error::{ConnectError, ConnectErrorKind};
use super::servers::{Server, Servers};
use super::stream::Stream;
use super::timeouts::Timeouts;
use super::tls::Tls;
use super::waker::Waker;
use crate::engine::{Backoff, Worker};
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockopt, socket, sockopt,
};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const BACKOFF_LEAST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(10);
/// A round waits no longer than this for names.
const LOOKUP_WAIT: Duration = Duration::from_secs(3);
/// A connection lost within this time does not reset the back-off.
const SHORT_LIVED: Duration = Duration::from_secs(1);

/// The outcome of [`Dialer::advance`].
#[derive(Debug)]
pub(super) enum Progress {
    /// Call again at the deadline, or when the socket is ready.
    Waiting,
    /// A connection to that server is open, and its TLS handshake is done.
    Connected(Stream, SocketAddr),
    /// Every address of this round has failed.
    RoundFailed,
}

#[derive(Debug)]
enum State {
    /// The next round begins at that time.
    BackingOff { until: Instant },
    /// Addresses are being tried.
    Round { lookups_until: Instant },
}

/// An address to try, and the index of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    address: SocketAddr,
    endpoint: usize,
}

#[derive(Debug)]
enum Step {
    Connecting(OwnedFd),
    /// The connection is open; the TLS handshake is not done.
    Handshaking(Stream),
}

#[derive(Debug)]
struct Attempt {
    step: Step,
    candidate: Candidate,
    until: Instant,
}

#[derive(Debug)]
struct LookupResult {
    endpoint: usize,
    outcome: std::io::Result<Vec<SocketAddr>>,
}

/// Finds a server that accepts our connection.
#[derive(Debug)]
pub(super) struct Dialer {
    endpoints: Vec<Server>,
    tls: Option<Tls>,
    /// Whether the look-up of each endpoint is pending, maybe since an earlier round.
    is_lookup_pending: Vec<bool>,
    lookup_results: Receiver<LookupResult>,
    lookup_sender: Sender<LookupResult>,
    waker: Waker,
    state: State,
    /// The last one is tried next.
    candidates: Vec<Candidate>,
    attempt: Option<Attempt>,
    backoff: Backoff,
    /// The server that failed last: it is tried after all others.
    avoid: Option<SocketAddr>,
    error: Option<ConnectError>,
    up_since: Option<Instant>,
}

impl Dialer {
    /// Rounds are frequent enough for one to fit into a session timeout: an ensemble that
    /// regains its quorum keeps every session for that long.
    pub(super) fn new(servers: &Servers, tls: Option<Tls>, now: Instant, waker: Waker) -> Self {
        let endpoints = servers.list().to_vec();
        let (lookup_sender, lookup_results) = channel();
        Self {
            is_lookup_pending: vec![false; endpoints.len()],
            endpoints,
            tls,
            lookup_results,
            lookup_sender,
            waker,
            state: State::BackingOff { until: now },
            candidates: Vec::new(),
            attempt: None,
            backoff: Backoff::new(BACKOFF_LEAST, BACKOFF_MOST),
            avoid: None,
            error: None,
            up_since: None,
        }
    }

    /// A server has taken the session.
    pub(super) fn succeeded(&mut self, now: Instant) {
        self.up_since = Some(now);
        self.candidates.clear();
        self.error = None;
    }

    /// The server that carried the session is gone. The next round begins at once, or
    /// after a back-off if the connection was short-lived. `answer` is the timeout of an
    /// answer.
    pub(super) fn lost(&mut self, now: Instant, address: SocketAddr, answer: Duration) {
        self.avoid = Some(address);
        let since = self.up_since.take();
        if since.is_none_or(|since| now.duration_since(since) < SHORT_LIVED) {
            self.back_off(now, answer);
        } else {
            self.backoff.reset();
            self.state = State::BackingOff { until: now };
        }
    }

    /// A server did not take the session: the round goes on with the next one.
    pub(super) fn failed(&mut self, address: SocketAddr, kind: ConnectErrorKind) {
        self.avoid = Some(address);
        self.keep_error(ConnectError::new(address.to_string(), kind));
    }

    /// Keeps the latest error, unless an error of higher priority was kept before: a
    /// server that is just down must not hide it.
    fn keep_error(&mut self, error: ConnectError) {
        let priority = error.priority();
        if self.error.as_ref().is_none_or(|kept| kept.priority() <= priority) {
            self.error = Some(error);
        }
    }

    /// Begins the next round now, and shortens the attempt in progress: the session is
    /// being closed.
    pub(super) fn hurry(&mut self, now: Instant, answer: Duration) {
        if let State::BackingOff { until } = &mut self.state {
            *until = (*until).min(now);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.until = attempt.until.min(now + answer);
        }
    }

    /// The latest reason why no server is connected.
    pub(super) fn error(&self) -> Option<ConnectError> {
        self.error.clone()
    }

    /// The socket to poll, and for what.
    pub(super) fn socket(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.attempt.as_ref().map(|attempt| match &attempt.step {
            Step::Connecting(socket) => (socket.as_fd(), PollFlags::POLLOUT),
            Step::Handshaking(stream) => (stream.as_fd(), stream.poll_flags(true)),
        })
    }

    /// When [`Self::advance`] has something to do even if the socket is not ready.
    pub(super) fn deadline(&self) -> Instant {
        match (&self.attempt, &self.state) {
            (Some(attempt), _) => attempt.until,
            (None, State::BackingOff { until }) => *until,
            // Something to try, or nothing to wait for: now.
            (None, State::Round { lookups_until })
                if !self.candidates.is_empty() || !self.is_lookup_pending.contains(&true) =>
            {
                lookups_until.checked_sub(LOOKUP_WAIT).unwrap_or(*lookups_until)
            }
            (None, State::Round { lookups_until }) => *lookups_until,
        }
    }

    /// Does what can be done without waiting. The answer timeout bounds one connection,
    /// and then one handshake; a server that exceeds it during the handshake makes the
    /// timeout longer.
    pub(super) fn advance(&mut self, now: Instant, timeouts: &mut Timeouts) -> Progress {
        if let State::BackingOff { until } = self.state {
            if now < until {
                return Progress::Waiting;
            }
            self.begin_round(now);
        }
        self.collect_lookups();
        let mut next = self.attempt.take();
        loop {
            let attempt = match next.take() {
                Some(attempt) => attempt,
                None => match self.candidates.pop() {
                    Some(candidate) => match self.connect(candidate, now + timeouts.answer()) {
                        Some(attempt) => attempt,
                        None => continue,
                    },
                    None => break,
                },
            };
            let candidate = attempt.candidate;
            match self.advance_attempt(attempt, now, timeouts.answer()) {
                Ok(StepOutcome::Waiting(attempt)) => {
                    self.attempt = Some(attempt);
                    return Progress::Waiting;
                }
                Ok(StepOutcome::TimedOut(kind)) => {
                    timeouts.was_exhausted();
                    self.failed(candidate.address, kind);
                }
                Ok(StepOutcome::Done(stream)) => {
                    return Progress::Connected(stream, candidate.address);
                }
                Err(kind) => self.failed(candidate.address, kind),
            }
        }
        let State::Round { lookups_until } = self.state else { return Progress::Waiting };
        if self.is_lookup_pending.contains(&true) && now < lookups_until {
            return Progress::Waiting;
        }
        self.back_off(now, timeouts.answer());
        Progress::RoundFailed
    }

    /// Starts to connect to an address; one that fails at once counts as any other.
    fn connect(&mut self, candidate: Candidate, until: Instant) -> Option<Attempt> {
        match start_connecting(candidate.address) {
            Ok(socket) => Some(Attempt { step: Step::Connecting(socket), candidate, until }),
            Err(errno) => {
                let kind = ConnectErrorKind::Connect(std::io::Error::from(errno).into());
                self.failed(candidate.address, kind);
                None
            }
        }
    }

    fn advance_attempt(
        &self,
        attempt: Attempt,
        now: Instant,
        answer: Duration,
    ) -> Result<StepOutcome, ConnectErrorKind> {
        let Attempt { step, candidate, until } = attempt;
        let (mut stream, until) = match step {
            Step::Handshaking(stream) => (stream, until),
            Step::Connecting(socket) => match connected(&socket)? {
                Some(stream) => (self.stream(stream, candidate)?, now + answer),
                None if now >= until => return Err(ConnectErrorKind::NoAnswer),
                None => {
                    let attempt = Attempt { step: Step::Connecting(socket), candidate, until };
                    return Ok(StepOutcome::Waiting(attempt));
                }
            },
        };
        match (stream.advance_handshake(), &self.tls) {
            (Ok(true), _) => {
                if let Some((version, cipher)) = stream.negotiated() {
                    let server = candidate.address;
                    log::debug!(server:%, version, cipher; "TLS handshake done");
                }
                Ok(StepOutcome::Done(stream))
            }
            (Ok(false), Some(tls)) if now >= until => {
                Ok(StepOutcome::TimedOut(ConnectErrorKind::Tls(tls.no_answer())))
            }
            (Ok(false), _) => {
                let step = Step::Handshaking(stream);
                Ok(StepOutcome::Waiting(Attempt { step, candidate, until }))
            }
            (Err(Closed), _) => Err(stream
                .close_reason()
                .map_or(ConnectErrorKind::Handshake(DownReason::HungUp), ConnectErrorKind::Tls)),
        }
    }

    /// Reads the files that TLS needs, anew for every connection.
    fn stream(&self, socket: TcpStream, candidate: Candidate) -> Result<Stream, ConnectErrorKind> {
        let stream = match &self.tls {
            None => Stream::new(socket),
            Some(tls) => {
                let channel = tls.channel(&self.endpoints[candidate.endpoint]);
                Stream::with_tls(socket, channel.map_err(ConnectErrorKind::Tls)?)
            }
        };
        stream.map_err(|error| ConnectErrorKind::Connect(error.into()))
    }

    /// Waits for the next round, but never so long that the session expires meanwhile:
    /// the timeout of an answer is a fraction of the session timeout.
    fn back_off(&mut self, now: Instant, answer: Duration) {
        let most = answer.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.state = State::BackingOff { until: now + self.backoff.delay().min(most) };
    }

    fn begin_round(&mut self, now: Instant) {
        self.state = State::Round { lookups_until: now + LOOKUP_WAIT };
        self.candidates.clear();
        self.error.take_if(|error| error.is_lasting());
        for number in 0..self.endpoints.len() {
            let endpoint = &self.endpoints[number];
            if let Ok(ip) = endpoint.host().parse::<IpAddr>() {
                let address = SocketAddr::new(ip, endpoint.port());
                self.candidates.push(Candidate { address, endpoint: number });
            } else if !self.is_lookup_pending[number] {
                self.look_up(number);
            }
        }
        self.order_candidates();
    }

    fn look_up(&mut self, number: usize) {
        let endpoint = self.endpoints[number].clone();
        let (sender, waker) = (self.lookup_sender.clone(), self.waker.clone());
        let work = move || {
            let outcome =
                (endpoint.host(), endpoint.port()).to_socket_addrs().map(Iterator::collect);
            // The relay may have ended meanwhile.
            drop(sender.send(LookupResult { endpoint: number, outcome }));
            waker.wake();
        };
        match Worker::start("resolve", work) {
            Ok(worker) => {
                self.is_lookup_pending[number] = true;
                worker.leave();
            }
            Err(error) => self.keep_error(self.lookup_error(number, error)),
        }
    }

    fn lookup_error(&self, number: usize, error: std::io::Error) -> ConnectError {
        ConnectError::new(
            self.endpoints[number].to_string(),
            ConnectErrorKind::Resolve(error.into()),
        )
    }

    fn collect_lookups(&mut self) {
        let mut is_new = false;
        while let Ok(LookupResult { endpoint, outcome }) = self.lookup_results.try_recv() {
            self.is_lookup_pending[endpoint] = false;
            match outcome {
                Ok(addresses) => {
                    let candidates = addresses.into_iter();
                    self.candidates
                        .extend(candidates.map(|address| Candidate { address, endpoint }));
                    is_new = true;
                }
                Err(error) => self.keep_error(self.lookup_error(endpoint, error)),
            }
        }
        if is_new {
            self.order_candidates();
        }
    }

    /// Shuffles, so that the hosts of a farm spread over the servers, and moves the
    /// server that failed last to the front, where it is tried last.
    fn order_candidates(&mut self) {
        self.candidates.sort_unstable();
        // With TLS the certificate may fit one name of an address and not another.
        let is_secure = self.tls.is_some();
        self.candidates.dedup_by(|a, b| a.address == b.address && (!is_secure || a == b));
        fastrand::shuffle(&mut self.candidates);
        if let Some(avoid) = self.avoid
            && let Some(at) =
                self.candidates.iter().position(|candidate| candidate.address == avoid)
        {
            let candidate = self.candidates.remove(at);
            self.candidates.insert(0, candidate);
        }
    }
}

enum StepOutcome {
    Waiting(Attempt),
    /// The handshake was not done in time.
    TimedOut(ConnectErrorKind),
    Done(Stream),
}

/// The connection, once it is open.
fn connected(socket: &OwnedFd) -> Result<Option<TcpStream>, ConnectErrorKind> {
    let failed = |error: std::io::Error| ConnectErrorKind::Connect(error.into());
    match getsockopt(socket, sockopt::SocketError).map_err(|errno| failed(errno.into()))? {
        0 => {}
        code => return Err(failed(nix::Error::from_raw(code).into())),
    }
    let stream = TcpStream::from(socket.try_clone().map_err(failed)?);
    match (stream.peer_addr(), stream.local_addr()) {
        // A connection to a free port of this host can connect to itself.
        (Ok(peer), Ok(local)) if peer == local => Err(failed(nix::Error::ECONNREFUSED.into())),
        (Ok(_), _) => Ok(Some(stream)),
        (Err(_), _) => Ok(None),
    }
}

/// Starts to connect; the connection may be open on return.
fn start_connecting(address: SocketAddr) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(nix::Error::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}
