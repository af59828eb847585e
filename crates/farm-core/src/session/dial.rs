//! Reaching a server: names, addresses, connections, TLS, rounds.
//!
//! **Invariant.** Nothing here blocks the relay. Names are looked up by threads
//! of their own, because the system's resolver can't be interrupted; connections
//! are opened and secured without waiting, each step bounded by the patience of the
//! caller. A name that can't be resolved, or takes for ever, costs the other ones
//! nothing.

use super::connect_error::{ConnectError, ConnectErrorKind};
use super::link::DownReason;
use super::servers::{Server, Servers};
use super::stream::{Closed, Stream};
use super::timeouts::Timeouts;
use super::tls::Tls;
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
/// A round does not wait longer than this for names.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(3);
/// A connection lost within this time was no success.
const BRIEF: Duration = Duration::from_secs(1);

/// What a call to [`Dialer::advance`] came to.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing yet; call again at the deadline, or when the socket is ready.
    Waiting,
    /// A connection to that server stands, and is secure if it is to be.
    Connected(Stream, SocketAddr),
    /// Every address of this round has failed.
    RoundFailed,
}

#[derive(Debug)]
enum State {
    /// No round is going on; the next may begin at that time.
    Resting { until: Instant },
    /// Addresses are being tried.
    Round { lookups_until: Instant },
}

/// An address to be tried, and which endpoint it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    address: SocketAddr,
    endpoint: usize,
}

#[derive(Debug)]
enum Step {
    /// The connection is being opened.
    Opening(OwnedFd),
    /// It stands, and hands are being shaken over it.
    Securing(Stream),
}

#[derive(Debug)]
struct Attempt {
    step: Step,
    candidate: Candidate,
    until: Instant,
}

#[derive(Debug)]
struct Looked {
    endpoint: usize,
    outcome: std::io::Result<Vec<SocketAddr>>,
}

/// Finds a server that takes our connection.
#[derive(Debug)]
pub(super) struct Dialer {
    endpoints: Vec<Server>,
    tls: Option<Tls>,
    /// Endpoints whose look-up is under way, maybe since an earlier round.
    looking: Vec<bool>,
    looked: Receiver<Looked>,
    answers: Sender<Looked>,
    wake: super::relay::Waker,
    state: State,
    candidates: Vec<Candidate>,
    attempt: Option<Attempt>,
    backoff: Backoff,
    /// The server that failed us last: tried again after all others.
    avoid: Option<SocketAddr>,
    trouble: Option<ConnectError>,
    up_since: Option<Instant>,
}

impl Dialer {
    /// Rounds come often enough for one to fit into a session timeout: an ensemble that
    /// finds its quorum again keeps every session for that long.
    pub(super) fn new(
        servers: &Servers,
        tls: Option<Tls>,
        now: Instant,
        wake: super::relay::Waker,
    ) -> Self {
        let endpoints = servers.list().to_vec();
        let (answers, looked) = channel();
        Self {
            looking: vec![false; endpoints.len()],
            endpoints,
            tls,
            looked,
            answers,
            wake,
            state: State::Resting { until: now },
            candidates: Vec::new(),
            attempt: None,
            backoff: Backoff::new(BACKOFF_LEAST, BACKOFF_MOST),
            avoid: None,
            trouble: None,
            up_since: None,
        }
    }

    /// A server welcomed us.
    pub(super) fn succeeded(&mut self, now: Instant) {
        self.up_since = Some(now);
        self.candidates.clear();
        self.trouble = None;
    }

    /// The server that had welcomed us is gone: the search begins at once, unless
    /// servers take us only to drop us again.
    pub(super) fn lost(&mut self, now: Instant, address: SocketAddr, patience: Duration) {
        self.avoid = Some(address);
        let since = self.up_since.take();
        let was_brief = since.is_none_or(|since| now.duration_since(since) < BRIEF);
        if !was_brief {
            self.backoff.reset();
        }
        if was_brief {
            self.rest(now, patience);
        } else {
            self.state = State::Resting { until: now };
        }
    }

    /// A server did not take us: the round goes on with the next one.
    pub(super) fn failed(&mut self, address: SocketAddr, what: ConnectErrorKind) {
        self.avoid = Some(address);
        self.note(ConnectError::new(address.to_string(), what));
    }

    /// Remembers the latest trouble; one of this round that does not mend itself stays,
    /// and a server that is just down must not hide it.
    fn note(&mut self, trouble: ConnectError) {
        let weight = trouble.weight();
        if self.trouble.as_ref().is_none_or(|known| known.weight() <= weight) {
            self.trouble = Some(trouble);
        }
    }

    /// Ends the wait for the next round, and soon that for a server which does not
    /// answer: there is no time left for them.
    pub(super) fn hurry(&mut self, now: Instant, patience: Duration) {
        if let State::Resting { until } = &mut self.state {
            *until = (*until).min(now);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.until = attempt.until.min(now + patience);
        }
    }

    /// The latest reason for not being connected.
    pub(super) fn trouble(&self) -> Option<ConnectError> {
        self.trouble.clone()
    }

    /// The socket that becomes ready when there is something to do, and how.
    pub(super) fn socket(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.attempt.as_ref().map(|attempt| match &attempt.step {
            Step::Opening(socket) => (socket.as_fd(), PollFlags::POLLOUT),
            Step::Securing(stream) => (stream.as_fd(), stream.interest(true)),
        })
    }

    /// When [`Self::advance`] has something to do even if nothing is ready.
    pub(super) fn deadline(&self) -> Instant {
        match (&self.attempt, &self.state) {
            (Some(attempt), _) => attempt.until,
            (None, State::Resting { until }) => *until,
            // Something to try, or nothing to wait for: now.
            (None, State::Round { lookups_until })
                if !self.candidates.is_empty() || !self.looking.contains(&true) =>
            {
                lookups_until.checked_sub(LOOKUP_PATIENCE).unwrap_or(*lookups_until)
            }
            (None, State::Round { lookups_until }) => *lookups_until,
        }
    }

    /// Does what can be done without waiting. `patience` bounds one connection, and
    /// after it one handshake; a server that is mute in it exhausts it.
    pub(super) fn advance(&mut self, now: Instant, patience: &mut Timeouts) -> Progress {
        if let State::Resting { until } = self.state {
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
                    Some(candidate) => match self.open(candidate, now + patience.answer()) {
                        Some(attempt) => attempt,
                        None => continue,
                    },
                    None => break,
                },
            };
            let candidate = attempt.candidate;
            match self.go_on(attempt, now, patience.answer()) {
                Ok(Moved::Waiting(attempt)) => {
                    self.attempt = Some(attempt);
                    return Progress::Waiting;
                }
                Ok(Moved::Mute(kind)) => {
                    patience.was_exhausted();
                    self.failed(candidate.address, kind);
                }
                Ok(Moved::Done(stream)) => return Progress::Connected(stream, candidate.address),
                Err(kind) => self.failed(candidate.address, kind),
            }
        }
        let State::Round { lookups_until } = self.state else { return Progress::Waiting };
        if self.looking.contains(&true) && now < lookups_until {
            return Progress::Waiting;
        }
        self.rest(now, patience.answer());
        Progress::RoundFailed
    }

    /// Begins with an address; one that fails at once is told like every other.
    fn open(&mut self, candidate: Candidate, until: Instant) -> Option<Attempt> {
        match open(candidate.address) {
            Ok(socket) => Some(Attempt { step: Step::Opening(socket), candidate, until }),
            Err(errno) => {
                let kind = ConnectErrorKind::Connect(std::io::Error::from(errno).into());
                self.failed(candidate.address, kind);
                None
            }
        }
    }

    fn go_on(
        &self,
        attempt: Attempt,
        now: Instant,
        patience: Duration,
    ) -> Result<Moved, ConnectErrorKind> {
        let Attempt { step, candidate, until } = attempt;
        let (mut stream, until) = match step {
            Step::Securing(stream) => (stream, until),
            Step::Opening(socket) => match outcome(&socket)? {
                Some(stream) => (self.stream(stream, candidate)?, now + patience),
                None if now >= until => return Err(ConnectErrorKind::NoAnswer),
                None => {
                    let attempt = Attempt { step: Step::Opening(socket), candidate, until };
                    return Ok(Moved::Waiting(attempt));
                }
            },
        };
        match (stream.shake_hands(), &self.tls) {
            (Ok(true), _) => {
                if let Some((version, cipher)) = stream.terms() {
                    log::debug!(server:% = candidate.address, version, cipher; "secured");
                }
                Ok(Moved::Done(stream))
            }
            (Ok(false), Some(tls)) if now >= until => {
                Ok(Moved::Mute(ConnectErrorKind::Tls(tls.silence())))
            }
            (Ok(false), _) => {
                Ok(Moved::Waiting(Attempt { step: Step::Securing(stream), candidate, until }))
            }
            (Err(Closed), _) => Err(stream
                .why_closed()
                .map_or(ConnectErrorKind::Greeting(DownReason::HungUp), ConnectErrorKind::Tls)),
        }
    }

    /// The files that TLS needs are read here, anew for every connection.
    fn stream(&self, socket: TcpStream, candidate: Candidate) -> Result<Stream, ConnectErrorKind> {
        let stream = match &self.tls {
            None => Stream::new(socket),
            Some(tls) => {
                let channel = tls.channel(&self.endpoints[candidate.endpoint]);
                Stream::secure(socket, channel.map_err(ConnectErrorKind::Tls)?)
            }
        };
        stream.map_err(|error| ConnectErrorKind::Connect(error.into()))
    }

    /// Waits for the next round, never for so long that the session runs out in a rest:
    /// the patience is a fraction of its timeout.
    fn rest(&mut self, now: Instant, patience: Duration) {
        let most = patience.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.state = State::Resting { until: now + self.backoff.delay().min(most) };
    }

    fn begin_round(&mut self, now: Instant) {
        self.state = State::Round { lookups_until: now + LOOKUP_PATIENCE };
        self.candidates.clear();
        self.trouble.take_if(|trouble| trouble.is_lasting());
        for number in 0..self.endpoints.len() {
            let endpoint = &self.endpoints[number];
            if let Ok(ip) = endpoint.host().parse::<IpAddr>() {
                let address = SocketAddr::new(ip, endpoint.port());
                self.candidates.push(Candidate { address, endpoint: number });
            } else if !self.looking[number] {
                self.look_up(number);
            }
        }
        self.arrange();
    }

    fn look_up(&mut self, number: usize) {
        let endpoint = self.endpoints[number].clone();
        let (answers, wake) = (self.answers.clone(), self.wake.clone());
        let work = move || {
            let outcome =
                (endpoint.host(), endpoint.port()).to_socket_addrs().map(Iterator::collect);
            // The relay may have ended meanwhile.
            drop(answers.send(Looked { endpoint: number, outcome }));
            wake.wake();
        };
        match Worker::start("resolve", work) {
            Ok(worker) => {
                self.looking[number] = true;
                worker.leave();
            }
            Err(error) => self.note(self.lookup_trouble(number, error)),
        }
    }

    fn lookup_trouble(&self, number: usize, error: std::io::Error) -> ConnectError {
        ConnectError::new(
            self.endpoints[number].to_string(),
            ConnectErrorKind::Resolve(error.into()),
        )
    }

    fn collect_lookups(&mut self) {
        let mut is_new = false;
        while let Ok(Looked { endpoint, outcome }) = self.looked.try_recv() {
            self.looking[endpoint] = false;
            match outcome {
                Ok(addresses) => {
                    let candidates = addresses.into_iter();
                    self.candidates
                        .extend(candidates.map(|address| Candidate { address, endpoint }));
                    is_new = true;
                }
                Err(error) => self.note(self.lookup_trouble(endpoint, error)),
            }
        }
        if is_new {
            self.arrange();
        }
    }

    /// Shuffles, so that a farm spreads over the servers, and puts the server
    /// that failed last where it is tried last: candidates are taken from the end.
    fn arrange(&mut self) {
        self.candidates.sort_unstable();
        // In TLS an address has to be the one that it is called, by each of its names.
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

enum Moved {
    Waiting(Attempt),
    /// It said too little for too long.
    Mute(ConnectErrorKind),
    Done(Stream),
}

/// The connection, once it stands.
fn outcome(socket: &OwnedFd) -> Result<Option<TcpStream>, ConnectErrorKind> {
    let failed = |error: std::io::Error| ConnectErrorKind::Connect(error.into());
    match getsockopt(socket, sockopt::SocketError).map_err(|errno| failed(errno.into()))? {
        0 => {}
        code => return Err(failed(nix::Error::from_raw(code).into())),
    }
    let stream = TcpStream::from(socket.try_clone().map_err(failed)?);
    match (stream.peer_addr(), stream.local_addr()) {
        // A connection to a free port of this host can meet itself.
        (Ok(peer), Ok(local)) if peer == local => Err(failed(nix::Error::ECONNREFUSED.into())),
        (Ok(_), _) => Ok(Some(stream)),
        (Err(_), _) => Ok(None),
    }
}

/// Starts a connection, which may stand already.
fn open(address: SocketAddr) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(nix::Error::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}
