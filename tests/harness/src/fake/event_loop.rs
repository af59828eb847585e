//! The event loop of an ensemble's thread.
//!
//! **Invariant.** It blocks only in `poll`, and holds no lock there or while a hook runs.

use super::seen::RecordedRequest;
use super::shared::Shared;
use super::state::{Connection, State};
use super::watches::ConnectionId;
use crate::garble::AfterFrame;
use crate::waker::poll_timeout;
use crate::wire::{Unpack, op};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

/// How much is read from one socket before the others are read.
const READ_BYTES: usize = 64 << 10;

/// The sockets of one `poll`. Holding them keeps the descriptors valid while other threads
/// close connections.
struct PollSet {
    listeners: Vec<Arc<TcpListener>>,
    connections: Vec<(ConnectionId, Arc<TcpStream>, PollFlags)>,
    deadline: Option<Instant>,
}

/// Serves until `is_stopping` is set.
pub(super) fn serve(shared: &Shared) {
    loop {
        let mut state = shared.lock();
        if state.is_stopping {
            return;
        }
        state.expire_sessions(Instant::now());
        if let Some(hook) = state.process_requests() {
            drop(state);
            hook();
            continue;
        }
        let due = state.flush(Instant::now());
        let poll_set = state.poll_set(due);
        drop(state);
        shared.changed.notify_all();
        let ready = wait(shared, &poll_set);
        let mut state = shared.lock();
        state.accept();
        for id in ready {
            state.read_from(id);
        }
    }
}

/// Waits for a wake-up, a socket or the deadline; returns the connections to read from.
fn wait(shared: &Shared, poll_set: &PollSet) -> Vec<ConnectionId> {
    let mut fds = vec![PollFd::new(shared.waker.fd(), PollFlags::POLLIN)];
    fds.extend(poll_set.listeners.iter().map(|l| PollFd::new(l.as_fd(), PollFlags::POLLIN)));
    let first = fds.len();
    let sockets = poll_set.connections.iter();
    fds.extend(sockets.map(|(_, socket, flags)| PollFd::new(socket.as_fd(), *flags)));
    match poll(&mut fds, poll_timeout(poll_set.deadline)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => panic!("poll failed: {error}"),
    }
    let results = fds[first..].iter().zip(&poll_set.connections);
    let ready = results
        // The next read reports an error or a hang-up.
        .filter(|(fd, (_, _, flags))| {
            let happened = fd.revents().unwrap_or(PollFlags::empty());
            flags.contains(PollFlags::POLLIN) && happened.intersects(!PollFlags::POLLOUT)
                || happened.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL)
        })
        .map(|(_, (id, _, _))| *id)
        .collect();
    shared.waker.drain();
    ready
}

impl State {
    fn poll_set(&self, due: Option<Instant>) -> PollSet {
        let connections = self.connections.iter().filter_map(|(id, connection)| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, connection.may_read());
            flags.set(
                PollFlags::POLLOUT,
                !connection.out.is_empty() && !self.is_stalled(connection),
            );
            // `poll` always reports a hang-up: a connection that is not used now would make it spin.
            (!flags.is_empty()).then(|| (*id, Arc::clone(&connection.socket), flags))
        });
        PollSet {
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
            Ok(0) => connection.is_eof = true,
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
                    if connection.is_handshake_read {
                        let seen = seen(&frame[4..], connection.session.unwrap_or_default());
                        match seen {
                            Some(seen) if seen.opcode == op::PING => server.pings += 1,
                            Some(seen) => server.record(seen),
                            None => {}
                        }
                    }
                    connection.is_handshake_read = true;
                    connection.hold_request(frame);
                }
            }
        }
    }

    /// Sends the replies that are due; returns when the next one is.
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
        let mut then = AfterFrame::Continue;
        let mut due = None;
        while then == AfterFrame::Continue && !connection.is_mute {
            due = connection.replies.front().map(|reply| reply.since + faults.delay);
            if due.is_none_or(|due| due > now) {
                break;
            }
            let Some(reply) = connection.next_reply() else { break };
            let (bytes, after) = faults.garbler.pass(reply.frame, reply.kind, &mut connection.kept);
            connection.out.extend_from_slice(&bytes);
            then = after;
        }
        connection.is_mute |= then == AfterFrame::Silence;
        if then == AfterFrame::Close {
            connection.replies.clear();
            connection.is_closing = true;
        }
        if connection.write_out().is_err() || connection.is_done() {
            self.close(id);
            return None;
        }
        due.filter(|_| then == AfterFrame::Continue)
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
        is_sent && (self.is_closing || self.is_mute && self.is_eof)
    }
}

fn seen(body: &[u8], session: i64) -> Option<RecordedRequest> {
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
    Some(RecordedRequest { at: Instant::now(), opcode, path, session, xid })
}
