//! The one thread of an ensemble: waits for sockets, works, waits again.
//!
//! **Invariant.** It never blocks but in `poll`, and holds no lock there nor
//! while a hook runs.

use super::server::FakeServer;
use super::state::{Connection, State};
use super::watches::ConnectionId;
use super::{Seen, Shared};
use crate::bell::poll_timeout;
use crate::garble::Then;
use crate::wire::{Unpack, op};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

/// How much is read from one socket before the others have their turn.
const READ_BYTES: usize = 64 << 10;

/// The sockets of one wait; kept alive by this, whatever is closed meanwhile.
struct Watched {
    listeners: Vec<Arc<TcpListener>>,
    connections: Vec<(ConnectionId, Arc<TcpStream>, PollFlags)>,
    deadline: Option<Instant>,
}

/// Serves until the state says to stop.
pub(super) fn serve(shared: &Arc<Shared>) {
    loop {
        let mut state = shared.lock();
        if state.is_stopping {
            return;
        }
        state.expire_silent(Instant::now());
        if let Some((hook, server)) = state.work() {
            drop(state);
            hook(&FakeServer::visiting(shared, server));
            continue;
        }
        let due = state.flush(Instant::now());
        let watched = state.watched(due);
        drop(state);
        shared.changed.notify_all();
        let ready = wait(shared, &watched);
        let mut state = shared.lock();
        state.accept();
        for id in ready {
            state.read_from(id);
        }
    }
}

/// Waits for the bell, a socket or the deadline; says which connections can be read.
fn wait(shared: &Shared, watched: &Watched) -> Vec<ConnectionId> {
    let mut fds = vec![PollFd::new(shared.bell.gong(), PollFlags::POLLIN)];
    fds.extend(watched.listeners.iter().map(|l| PollFd::new(l.as_fd(), PollFlags::POLLIN)));
    let first = fds.len();
    let sockets = watched.connections.iter();
    fds.extend(sockets.map(|(_, socket, flags)| PollFd::new(socket.as_fd(), *flags)));
    match poll(&mut fds, poll_timeout(watched.deadline)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => panic!("poll failed: {error}"),
    }
    let results = fds[first..].iter().zip(&watched.connections);
    let ready = results
        // Also an error or a hang-up shows in the reading.
        .filter(|(fd, (_, _, flags))| {
            let happened = fd.revents().unwrap_or(PollFlags::empty());
            flags.contains(PollFlags::POLLIN) && happened.intersects(!PollFlags::POLLOUT)
                || happened.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL)
        })
        .map(|(_, (id, _, _))| *id)
        .collect();
    shared.bell.silence();
    ready
}

impl State {
    fn watched(&self, due: Option<Instant>) -> Watched {
        let connections = self.connections.iter().filter_map(|(id, connection)| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, connection.may_read());
            flags.set(
                PollFlags::POLLOUT,
                !connection.out.is_empty() && !self.is_stalled(connection),
            );
            // A hang-up is reported whether asked for or not; who can't act on it must not look.
            (!flags.is_empty()).then(|| (*id, Arc::clone(&connection.socket), flags))
        });
        Watched {
            listeners: self.servers.values().filter_map(|s| s.port.listener()).collect(),
            connections: connections.collect(),
            deadline: [due, self.next_expiry()].into_iter().flatten().min(),
        }
    }

    fn is_stalled(&self, connection: &Connection) -> bool {
        let server = self.servers.get(&connection.server);
        server.is_none_or(|server| server.faults.is_stalled)
    }

    fn accept(&mut self) {
        let mut accepted = Vec::new();
        for (id, server) in &mut self.servers {
            while let Some(socket) = server.port.next() {
                server.accepted += 1;
                accepted.push((*id, socket));
            }
        }
        for (id, socket) in accepted {
            self.add_connection(id, socket);
        }
    }

    fn read_from(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut bytes = vec![0; READ_BYTES];
        match (&*connection.socket).read(&mut bytes) {
            Ok(0) => connection.is_read_out = true,
            Ok(count) => connection.framer.push(&bytes[..count]),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return self.close(id),
        }
        self.take_frames(id);
    }

    fn take_frames(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(server) = self.servers.get_mut(&connection.server) else { return };
        loop {
            match connection.framer.next(server.faults.frame_max) {
                Ok(None) => return,
                Err(_) => return self.close(id),
                Ok(Some(frame)) => {
                    if connection.has_greeted {
                        let seen = seen(&frame[4..], connection.session.unwrap_or_default());
                        match seen {
                            Some(seen) if seen.opcode == op::PING => server.pings += 1,
                            Some(seen) => server.note(seen),
                            None => {}
                        }
                    }
                    connection.has_greeted = true;
                    connection.hold_request(frame);
                }
            }
        }
    }

    /// Sends what may go out; says when the next reply is due.
    fn flush(&mut self, now: Instant) -> Option<Instant> {
        let ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        ids.into_iter().filter_map(|id| self.flush_one(id, now)).min()
    }

    fn flush_one(&mut self, id: ConnectionId, now: Instant) -> Option<Instant> {
        let connection = self.connections.get_mut(&id)?;
        let faults = &mut self.servers.get_mut(&connection.server)?.faults;
        if faults.is_stalled {
            return None;
        }
        let mut then = Then::GoOn;
        let mut due = None;
        while then == Then::GoOn && !connection.is_mute {
            due = connection.replies.front().map(|reply| reply.since + faults.delay);
            if due.is_none_or(|due| due > now) {
                break;
            }
            let Some(reply) = connection.next_reply() else { break };
            let (bytes, after) = faults.garbler.pass(reply.frame, reply.kind, &mut connection.kept);
            connection.out.extend_from_slice(&bytes);
            then = after;
        }
        connection.is_mute |= then == Then::Mute;
        if then == Then::Cut {
            connection.replies.clear();
            connection.is_ending = true;
        }
        if connection.write_out().is_err() || connection.is_done() {
            self.close(id);
            return None;
        }
        due.filter(|_| then == Then::GoOn)
    }
}

impl Connection {
    fn write_out(&mut self) -> std::io::Result<()> {
        while !self.out.is_empty() {
            match (&*self.socket).write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let is_sent = self.out.is_empty() && (self.replies.is_empty() || self.is_mute);
        is_sent && (self.is_ending || self.is_mute && self.is_read_out)
    }
}

fn seen(body: &[u8], session: i64) -> Option<Seen> {
    let mut unpack = Unpack::new(body);
    let (xid, opcode) = (unpack.int()?, unpack.int()?);
    let path = match opcode {
        op::PING | op::AUTH | op::CLOSE_SESSION | op::SET_WATCHES | op::SET_WATCHES2 => None,
        op::MULTI | op::MULTI_READ => {
            let _header = (unpack.int(), unpack.flag(), unpack.int());
            unpack.string()
        }
        _ => unpack.string(),
    };
    Some(Seen { at: Instant::now(), opcode, path, session, xid })
}
