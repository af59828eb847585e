//! The event loop of the proxy's thread.

use super::pipe::{Pipe, PipeFaults};
use super::state::{ConnectionPair, Shared, State};
use crate::waker::poll_timeout;
use crate::wire::ConnectResponse;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a connect to the server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const READ_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// The sockets of one `poll`. Holding them keeps the descriptors valid while other threads
/// close connections.
struct PollSet {
    listener: Option<Arc<TcpListener>>,
    sockets: Vec<(u64, Side, Arc<TcpStream>, PollFlags)>,
    deadline: Option<Instant>,
}

/// Moves bytes until `is_stopping` is set.
pub(super) fn serve(shared: &Shared, upstream: SocketAddr) {
    loop {
        let mut state = shared.lock();
        if state.is_stopping {
            return;
        }
        if let Some(id) = state.next_unattached() {
            drop(state);
            // Without the lock: connecting takes long if the server's backlog is full.
            let server = connect(upstream);
            shared.lock().attach(id, server);
            continue;
        }
        let due = state.pump(Instant::now());
        let poll_set = state.poll_set(due);
        drop(state);
        shared.changed.notify_all();
        let ready = wait(shared, &poll_set);
        let mut state = shared.lock();
        state.accept();
        for (id, side) in ready {
            state.read_from(id, side);
        }
    }
}

fn connect(upstream: SocketAddr) -> std::io::Result<TcpStream> {
    let server = TcpStream::connect_timeout(&upstream, CONNECT_TIMEOUT)?;
    server.set_nonblocking(true)?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// Waits for a wake-up, a socket or the deadline; returns the sockets to read from.
fn wait(shared: &Shared, poll_set: &PollSet) -> Vec<(u64, Side)> {
    let mut fds = vec![PollFd::new(shared.waker.fd(), PollFlags::POLLIN)];
    fds.extend(poll_set.listener.iter().map(|l| PollFd::new(l.as_fd(), PollFlags::POLLIN)));
    let first = fds.len();
    let sockets = poll_set.sockets.iter();
    fds.extend(sockets.map(|(_, _, socket, flags)| PollFd::new(socket.as_fd(), *flags)));
    match poll(&mut fds, poll_timeout(poll_set.deadline)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => panic!("poll failed: {error}"),
    }
    let results = fds[first..].iter().zip(&poll_set.sockets);
    let ready = results
        // The next read reports an error or a hang-up.
        .filter(|(fd, (_, _, _, flags))| {
            let happened = fd.revents().unwrap_or(PollFlags::empty());
            flags.contains(PollFlags::POLLIN) && happened.intersects(!PollFlags::POLLOUT)
                || happened.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL)
        })
        .map(|(_, (id, side, _, _))| (*id, *side))
        .collect();
    shared.waker.drain();
    ready
}

impl State {
    /// The next pair that has no connection to the server yet and may have one.
    fn next_unattached(&self) -> Option<u64> {
        let mut pairs = self.pairs.iter().filter(|_| !self.is_stalled_up);
        pairs.find(|(_, pair)| pair.server.is_none()).map(|(id, _)| *id)
    }

    fn attach(&mut self, id: u64, server: std::io::Result<TcpStream>) {
        match (self.pairs.get_mut(&id), server) {
            (Some(pair), Ok(server)) => pair.server = Some(Arc::new(server)),
            (Some(_), Err(_)) => self.close(id),
            // The pair was closed meanwhile.
            (None, _) => {}
        }
    }

    fn accept(&mut self) {
        while let Some(client) = self.port.next() {
            self.counts.connections += 1;
            self.counts.open += 1;
            let pair = ConnectionPair {
                client: Arc::new(client),
                server: None,
                up: Pipe::default(),
                down: Pipe::default(),
            };
            self.pairs.insert(self.counts.connections, pair);
        }
    }

    fn poll_set(&self, deadline: Option<Instant>) -> PollSet {
        let mut sockets = Vec::new();
        for (id, pair) in &self.pairs {
            let mut watch = |side, socket: &Arc<TcpStream>, from: &Pipe, to: &Pipe, is_open| {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::POLLIN, from.may_read());
                flags.set(PollFlags::POLLOUT, to.wants_to_write() && is_open);
                // `poll` always reports a hang-up: a socket that is not used now would make it spin.
                if !flags.is_empty() {
                    sockets.push((*id, side, Arc::clone(socket), flags));
                }
            };
            watch(Side::Client, &pair.client, &pair.up, &pair.down, !self.is_stalled_down);
            if let Some(server) = &pair.server {
                watch(Side::Server, server, &pair.down, &pair.up, !self.is_stalled_up);
            }
        }
        PollSet { listener: self.port.listener(), sockets, deadline }
    }

    fn read_from(&mut self, id: u64, side: Side) {
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        let (socket, pipe) = match (side, &pair.server) {
            (Side::Client, _) => (&pair.client, &mut pair.up),
            (Side::Server, Some(server)) => (server, &mut pair.down),
            (Side::Server, None) => return,
        };
        let mut bytes = vec![0; READ_BYTES];
        match (&**socket).read(&mut bytes) {
            Ok(0) => pipe.take_end(),
            Ok(count) => {
                let handshake = pipe.take(&bytes[..count]);
                let response = handshake
                    .filter(|_| side == Side::Server)
                    .and_then(|frame| ConnectResponse::unpack(&frame[4..]));
                if let Some(granted) = response.filter(|response| response.timeout_ms > 0) {
                    self.last_session = Some((granted.session, granted.password));
                }
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // The other side sees a reset as the end of the stream, and only when it is not stalled.
            Err(_) => pipe.take_end(),
        }
    }

    /// Delivers the frames that are due; returns when the next one is.
    fn pump(&mut self, now: Instant) -> Option<Instant> {
        let ids: Vec<u64> = self.pairs.keys().copied().collect();
        let mut dues = Vec::new();
        for id in ids {
            match self.pump_pair(id, now) {
                Ok(due) => dues.extend(due),
                Err(_) => self.close(id),
            }
        }
        dues.into_iter().min()
    }

    fn pump_pair(&mut self, id: u64, now: Instant) -> std::io::Result<Option<Instant>> {
        let Some(pair) = self.pairs.get_mut(&id) else { return Ok(None) };
        let mut dues = Vec::new();
        if let Some(server) = pair.server.as_ref().filter(|_| !self.is_stalled_up) {
            let faults = PipeFaults { slow: self.slow, garbler: None, is_half_next: false };
            let pumped = pair.up.pump(server, now, faults)?;
            self.counts.bytes_to_server += pumped.bytes;
            dues.extend(pumped.due);
        }
        if !self.is_stalled_down {
            let faults = PipeFaults {
                slow: self.slow,
                garbler: Some(&mut self.garbler),
                is_half_next: self.is_half_next,
            };
            let pumped = pair.down.pump(&pair.client, now, faults)?;
            self.counts.bytes_to_client += pumped.bytes;
            if pumped.is_half_out {
                self.is_half_next = false;
                self.is_stalled_up = true;
                self.is_stalled_down = true;
            } else {
                dues.extend(pumped.due);
            }
        }
        if pair.up.is_over() && pair.down.is_over() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(dues.into_iter().min())
    }
}
