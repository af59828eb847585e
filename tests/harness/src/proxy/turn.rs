//! The proxy's one thread: waits for sockets, moves bytes, waits again.

use super::pipe::{Pipe, Weather};
use super::{Pair, Shared, State, UPSTREAM_PATIENCE};
use crate::bell::poll_timeout;
use crate::wire::ConnectResponse;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

const READ_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Client,
    Server,
}

/// The sockets of one wait; kept alive by this, whatever is closed meanwhile.
struct Watched {
    listener: Option<Arc<TcpListener>>,
    sockets: Vec<(u64, End, Arc<TcpStream>, PollFlags)>,
    deadline: Option<Instant>,
}

/// Moves bytes until the state says to stop.
pub(super) fn serve(shared: &Shared, upstream: SocketAddr) {
    loop {
        let mut state = shared.lock();
        if state.is_stopping {
            return;
        }
        if let Some(id) = state.without_server() {
            drop(state);
            // Not under the lock: a full backlog takes its time.
            let server = dial(upstream);
            shared.lock().attach(id, server);
            continue;
        }
        let due = state.pump(Instant::now());
        let watched = state.watched(due);
        drop(state);
        shared.changed.notify_all();
        let ready = wait(shared, &watched);
        let mut state = shared.lock();
        state.accept();
        for (id, end) in ready {
            state.read_from(id, end);
        }
    }
}

fn dial(upstream: SocketAddr) -> std::io::Result<TcpStream> {
    let server = TcpStream::connect_timeout(&upstream, UPSTREAM_PATIENCE)?;
    server.set_nonblocking(true)?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// Waits for the bell, a socket or the deadline; says which sockets to read.
fn wait(shared: &Shared, watched: &Watched) -> Vec<(u64, End)> {
    let mut fds = vec![PollFd::new(shared.bell.gong(), PollFlags::POLLIN)];
    fds.extend(watched.listener.iter().map(|l| PollFd::new(l.as_fd(), PollFlags::POLLIN)));
    let first = fds.len();
    let sockets = watched.sockets.iter();
    fds.extend(sockets.map(|(_, _, socket, flags)| PollFd::new(socket.as_fd(), *flags)));
    match poll(&mut fds, poll_timeout(watched.deadline)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => panic!("poll failed: {error}"),
    }
    let results = fds[first..].iter().zip(&watched.sockets);
    let ready = results
        // Also an error or a hang-up shows in the reading.
        .filter(|(fd, (_, _, _, flags))| {
            let happened = fd.revents().unwrap_or(PollFlags::empty());
            flags.contains(PollFlags::POLLIN) && happened.intersects(!PollFlags::POLLOUT)
                || happened.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL)
        })
        .map(|(_, (id, end, _, _))| (*id, *end))
        .collect();
    shared.bell.silence();
    ready
}

impl State {
    /// A connection that wants to reach the server and may.
    fn without_server(&self) -> Option<u64> {
        let mut pairs = self.pairs.iter().filter(|_| !self.is_stalled_up);
        pairs.find(|(_, pair)| pair.server.is_none()).map(|(id, _)| *id)
    }

    fn attach(&mut self, id: u64, server: std::io::Result<TcpStream>) {
        match (self.pairs.get_mut(&id), server) {
            (Some(pair), Ok(server)) => pair.server = Some(Arc::new(server)),
            (Some(_), Err(_)) => self.close(id),
            // Cut meanwhile.
            (None, _) => {}
        }
    }

    fn accept(&mut self) {
        while let Some(client) = self.port.next() {
            self.counts.connections += 1;
            self.counts.open += 1;
            let pair = Pair {
                client: Arc::new(client),
                server: None,
                up: Pipe::default(),
                down: Pipe::default(),
            };
            self.pairs.insert(self.counts.connections, pair);
        }
    }

    fn watched(&self, deadline: Option<Instant>) -> Watched {
        let mut sockets = Vec::new();
        for (id, pair) in &self.pairs {
            let mut watch = |end, socket: &Arc<TcpStream>, from: &Pipe, to: &Pipe, is_open| {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::POLLIN, from.may_read());
                flags.set(PollFlags::POLLOUT, to.wants_to_write() && is_open);
                // A hang-up is reported whether asked for or not; who can't act on it must not look.
                if !flags.is_empty() {
                    sockets.push((*id, end, Arc::clone(socket), flags));
                }
            };
            watch(End::Client, &pair.client, &pair.up, &pair.down, !self.is_stalled_down);
            if let Some(server) = &pair.server {
                watch(End::Server, server, &pair.down, &pair.up, !self.is_stalled_up);
            }
        }
        Watched { listener: self.port.listener(), sockets, deadline }
    }

    fn read_from(&mut self, id: u64, end: End) {
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        let (socket, pipe) = match (end, &pair.server) {
            (End::Client, _) => (&pair.client, &mut pair.up),
            (End::Server, Some(server)) => (server, &mut pair.down),
            (End::Server, None) => return,
        };
        let mut bytes = vec![0; READ_BYTES];
        match (&**socket).read(&mut bytes) {
            Ok(0) => pipe.take_end(),
            Ok(count) => {
                let handshake = pipe.take(&bytes[..count]);
                let response = handshake
                    .filter(|_| end == End::Server)
                    .and_then(|frame| ConnectResponse::unpack(&frame[4..]));
                if let Some(granted) = response.filter(|response| response.timeout_ms > 0) {
                    self.last_session = Some((granted.session, granted.password));
                }
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // A reset reaches the other end as an end, and not through a stall.
            Err(_) => pipe.take_end(),
        }
    }

    /// Delivers what may go; says when the next frame is due.
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
            let fair = Weather { slow: self.slow, garbler: None, is_half_next: false };
            let pumped = pair.up.pump(server, now, fair)?;
            self.counts.bytes_to_server += pumped.bytes;
            dues.extend(pumped.due);
        }
        if !self.is_stalled_down {
            let foul = Weather {
                slow: self.slow,
                garbler: Some(&mut self.garbler),
                is_half_next: self.is_half_next,
            };
            let pumped = pair.down.pump(&pair.client, now, foul)?;
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
