//! Our end of the wire: the client library talks to it, and it talks to ZooKeeper.
//!
//! One thread, one `poll`, three sockets: the library's connection on loopback, the
//! connection to a server, and a pair for wake-ups. [`Link`] interprets the frames,
//! [`Dialer`] chooses the server.
//!
//! **Invariant.** The library never notices the loss of a server. Its connection stays
//! open from its first byte until it closes it; requests that no server can answer are
//! answered here, in order, with an error.

#[cfg(test)]
mod tests;

use super::closed::Closed;
use super::connect_error::ConnectErrorKind;
use super::dial::{Dialer, Progress};
use super::lease::Lease;
use super::link::{Link, OwnAnswer, OwnRequest, Unanswered};
use super::listener::RelayListener;
use super::panic_slot::PanicSlot;
use super::reporter::Reporter;
use super::stream::Stream;
use super::waker::Waker;
use super::{DownReason, Event, SESSION_TIMEOUT_LEAST, SessionOptions};
use crate::engine::{Boottime, Worker};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel, sync_channel};
use std::time::{Duration, Instant};

enum Command {
    Ask(OwnRequest),
    DeclareOver,
    /// The client library has ended, and nobody asked it to.
    LibraryEnded,
    Close {
        until: Instant,
    },
    Quit,
}

/// The handle. Dropping it ends the thread; [`Self::begin_close`] before that ends the
/// session cleanly.
#[derive(Debug)]
pub(super) struct Relay {
    commands: Sender<Command>,
    waker: Waker,
    address: SocketAddr,
    lease: Lease,
    // Last: dropping it joins the thread, which `drop` above has told to quit.
    _worker: Worker,
}

impl Relay {
    /// Starts to look for a server. The reporter runs on the relay's thread.
    pub(super) fn open(
        options: &SessionOptions,
        reporter: Reporter,
        panic_slot: &PanicSlot,
    ) -> io::Result<Self> {
        let listener = RelayListener::open()?;
        let address = listener.address()?;
        let (waker, woken) = Waker::pair()?;
        let (commands, incoming) = channel();
        let now = Instant::now();
        let most = Duration::from_millis(i32::MAX.unsigned_abs().into());
        let timeout = options.session_timeout.clamp(SESSION_TIMEOUT_LEAST, most);
        let chroot = options.servers.chroot().clone();
        let link = Link::new(now, timeout, options.auth.clone(), chroot);
        let lease = link.lease();
        let event_loop = EventLoop {
            link,
            dialer: Dialer::new(&options.servers, options.tls.clone(), now, waker.clone()),
            commands: incoming,
            woken,
            listener,
            client: None,
            server: None,
            address: None,
            until: None,
            is_quitting: false,
            reporter,
        };
        let panic_slot = panic_slot.clone();
        let worker = Worker::start("relay", move || event_loop.run_guarded(&panic_slot))?;
        Ok(Self { commands, waker, address, lease, _worker: worker })
    }

    /// Where the client library connects to.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// Makes a request of our own and waits for its answer. The link bounds the wait.
    pub(super) fn ask(&self, opcode: i32, body: Vec<u8>, watch: Option<String>) -> OwnAnswer {
        let (answer, answered) = sync_channel(1);
        self.command(Command::Ask(OwnRequest { opcode, body, watch, answer }));
        answered.recv().unwrap_or(Err(Unanswered::SessionOver))
    }

    /// Closes the session. If no server carries it, one is looked for until then.
    pub(super) fn begin_close(&self, until: Instant) {
        self.command(Command::Close { until });
    }

    /// Ends the session as if a server had reported its expiry.
    pub(super) fn declare_over(&self) {
        self.command(Command::DeclareOver);
    }

    /// Reports that the client library has ended, and with it the session.
    pub(super) fn end_reporter(&self) -> impl Fn() + Send + use<> {
        let (commands, waker) = (self.commands.clone(), self.waker.clone());
        move || {
            // The relay has ended as well if this fails.
            drop(commands.send(Command::LibraryEnded));
            waker.wake();
        }
    }

    fn command(&self, command: Command) {
        // The thread only ends before its handle if it panicked.
        drop(self.commands.send(command));
        self.waker.wake();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.command(Command::Quit);
    }
}

struct Server {
    stream: Stream,
    address: SocketAddr,
    /// The session was connected through it.
    has_session: bool,
}

struct EventLoop {
    link: Link,
    dialer: Dialer,
    commands: Receiver<Command>,
    woken: UnixStream,
    listener: RelayListener,
    client: Option<Stream>,
    server: Option<Server>,
    /// The server of the current or the latest connection.
    address: Option<SocketAddr>,
    /// Set once the session is being closed: the thread ends by then.
    until: Option<Instant>,
    is_quitting: bool,
    reporter: Reporter,
}

#[derive(Debug, Default)]
struct Ready {
    client: bool,
    server: bool,
}

impl EventLoop {
    /// Runs to the end. After a panic the session is over. The thread goes on, because
    /// callers wait for answers and the library would spin without its connection.
    fn run_guarded(mut self, panic_slot: &PanicSlot) {
        // Reporting the end may panic again, hence a third run.
        for _ in 0..3 {
            if panic_slot.guard(|| self.run()) {
                return;
            }
            self.link.declare_over();
        }
    }

    fn run(&mut self) {
        loop {
            let now = self.read_clocks();
            self.dial(now);
            self.link.tick(now);
            self.flush(now);
            let is_closed = self.until.is_some_and(|until| self.link.is_over() || now >= until);
            // Until it is told to quit, the thread stays for the sake of the library, which
            // spins if its connection ends.
            if self.is_quitting && (self.until.is_none() || is_closed) {
                return;
            }
            let ready = self.wait(now, is_closed);
            let now = self.read_clocks();
            self.take_commands(now);
            // One connection for one library object: later ones are never accepted, and
            // the port stays open.
            if self.client.is_none() {
                self.client = self.listener.accept(now);
            }
            if ready.client {
                self.read_client(now);
            }
            if ready.server {
                self.read_server(now);
            }
        }
    }

    /// Reads the clock for the timers, and that of the lease, which is read before
    /// anything is sent in this turn.
    fn read_clocks(&mut self) -> Instant {
        self.link.set_boottime(Boottime::now());
        Instant::now()
    }

    /// The one place where this thread waits.
    fn wait(&self, now: Instant, is_closed: bool) -> Ready {
        let mut deadline = self.link.deadline();
        let mut earlier = |at: Instant| deadline = Some(deadline.map_or(at, |it| it.min(at)));
        if self.link.wants_server() && !is_closed {
            earlier(self.dialer.deadline());
        }
        if let (Some(until), false) = (self.until, is_closed) {
            earlier(until);
        }
        if let (None, Some(at)) = (&self.client, self.listener.deadline()) {
            earlier(at);
        }
        let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
            // Rounded up: waking too early would only mean waking twice.
            let wait = deadline.saturating_duration_since(now) + Duration::from_nanos(999_999);
            PollTimeout::try_from(wait.as_millis()).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![PollFd::new(self.woken.as_fd(), PollFlags::POLLIN)];
        let mut add = |fd, flags| {
            fds.push(PollFd::new(fd, flags));
            fds.len() - 1
        };
        if let (None, Some(socket)) = (&self.client, self.listener.socket()) {
            add(socket, PollFlags::POLLIN);
        }
        let server_is_full = self.server.as_ref().is_some_and(|s| s.stream.is_congested());
        let client_is_full = self.client.as_ref().is_some_and(Stream::is_congested);
        let client = self
            .client
            .as_ref()
            .filter(|stream| stream.is_open())
            .map(|stream| add(stream.as_fd(), stream.poll_flags(!server_is_full)));
        let server = self
            .server
            .as_ref()
            .map(|server| add(server.stream.as_fd(), server.stream.poll_flags(!client_is_full)));
        if let Some((socket, flags)) = self.dialer.socket()
            && self.link.wants_server()
        {
            add(socket, flags);
        }
        if poll(&mut fds, timeout).is_err() {
            // Interrupted: the callers check the state, not this result.
            return Ready::default();
        }
        let is_ready = |at: Option<usize>| at.is_some_and(|at| fds[at].any().unwrap_or(true));
        Ready { client: is_ready(client), server: is_ready(server) }
    }

    fn take_commands(&mut self, now: Instant) {
        let mut bytes = [0; 64];
        while matches!(self.woken.read(&mut bytes), Ok(n) if n > 0) {}
        loop {
            match self.commands.try_recv() {
                Ok(Command::Ask(request)) => self.link.own_request(now, request),
                Ok(Command::DeclareOver) => self.link.declare_over(),
                Ok(Command::LibraryEnded) if self.link.is_over() => {}
                Ok(Command::LibraryEnded) => {
                    log::error!("the client library has ended, and the session with it");
                    self.link.declare_over();
                }
                Ok(Command::Close { until }) => {
                    self.until = Some(until);
                    self.link.close(now);
                    let answer = self.link.timeouts().answer();
                    self.dialer.hurry(now, answer);
                }
                Ok(Command::Quit) | Err(TryRecvError::Disconnected) => {
                    self.is_quitting = true;
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
    }

    fn read_client(&mut self, now: Instant) {
        let Some(client) = &mut self.client else { return };
        let outcome = client.receive();
        while let Ok(Some(frame)) = client.next_frame() {
            self.link.client_frame(now, &frame);
        }
        if outcome.is_err() {
            client.shut_down();
        }
    }

    fn read_server(&mut self, now: Instant) {
        let Some(server) = &mut self.server else { return };
        let outcome = server.stream.receive();
        loop {
            match server.stream.next_frame() {
                Ok(Some(frame)) => self.link.server_frame(now, frame),
                Ok(None) => break,
                Err(garbled) => {
                    self.link.out.cut = Some(DownReason::Garbled(garbled.0));
                    break;
                }
            }
        }
        match outcome {
            Ok(0) => {}
            Ok(_) if server.stream.has_partial_frame() => self.link.progressed(now),
            Ok(_) => {}
            Err(Closed) => {
                // The frames that came before the end were handled above.
                self.link.out.cut.get_or_insert(if server.stream.is_garbled() {
                    DownReason::Garbled("invalid TLS")
                } else {
                    DownReason::HungUp
                });
            }
        }
    }

    fn dial(&mut self, now: Instant) {
        if self.server.is_some() || !self.link.wants_server() {
            return;
        }
        match self.dialer.advance(now, self.link.timeouts()) {
            Progress::Waiting => {}
            Progress::Connected(stream, address) => {
                self.address = Some(address);
                self.server = Some(Server { stream, address, has_session: false });
                self.link.connected(now);
            }
            // Failed rounds of a session that is being closed are not reported.
            Progress::RoundFailed if self.until.is_some() => {}
            Progress::RoundFailed => self.reporter.round_failed(self.dialer.error()),
        }
    }

    /// Executes the output of the link until there is none left.
    fn flush(&mut self, now: Instant) {
        loop {
            for event in std::mem::take(&mut self.link.out.events) {
                self.report(now, event);
            }
            if let Some(client) = &mut self.client {
                client.queue(&mut self.link.out.to_client);
                if client.send().is_err() {
                    client.shut_down();
                }
            }
            // Without a client nobody would read these bytes.
            self.link.out.to_client.clear();
            let Some(server) = &mut self.server else {
                self.link.out.to_server.clear();
                self.link.out.cut = None;
                return;
            };
            server.stream.queue(&mut self.link.out.to_server);
            if self.link.out.cut.is_none() && server.stream.send().is_err() {
                self.link.out.cut = Some(DownReason::HungUp);
            }
            if self.link.is_over() {
                self.server.take().into_iter().for_each(|server| server.stream.close());
            } else if let Some(reason) = self.link.out.cut.take() {
                self.drop_server(now, reason);
            } else {
                return;
            }
        }
    }

    fn drop_server(&mut self, now: Instant, reason: DownReason) {
        let Some(mut server) = self.server.take() else { return };
        if server.has_session {
            self.dialer.lost(now, server.address, self.link.timeouts().answer());
        } else {
            // If a write failed, the server may have sent the reason before it closed.
            server.stream.receive().unwrap_or_default();
            let is_of_tls = reason == DownReason::HungUp || server.stream.is_garbled();
            let error = server.stream.close_reason().filter(|_| is_of_tls);
            let kind = error.map_or(ConnectErrorKind::Handshake(reason), ConnectErrorKind::Tls);
            self.dialer.failed(server.address, kind);
        }
        server.stream.close();
        self.link.disconnected(reason);
    }

    fn report(&mut self, now: Instant, event: Event) {
        if let (Event::Connected { .. }, Some(server)) = (&event, &mut self.server) {
            server.has_session = true;
            self.dialer.succeeded(now);
            let timeouts = self.link.timeouts();
            self.reporter.odd_timeout(timeouts.granted_out_of_bounds(), timeouts.granted());
        }
        self.reporter.report(event, self.address);
    }
}
