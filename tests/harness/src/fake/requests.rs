//! Processing of requests.

use super::state::{Hook, RequestFault, State};
use super::tree::Acl;
use super::watches::{ConnectionId, EventType};
use super::writes::{Write, apply_all, end_of_parts, error_part, result_part, unpack_parts};
use crate::garble::FrameKind;
use crate::wire::{ConnectRequest, ConnectResponse, Pack, Unpack, code, op, xid};
use std::time::{Duration, Instant};

/// The reply's error or body.
type Outcome = Result<Vec<u8>, i32>;

/// The two kinds of one-shot watches.
#[derive(Clone, Copy)]
enum WatchKind {
    Data,
    Children,
}

impl State {
    /// Processes the pending requests of all connections. Returns early if a hook is to run,
    /// before any pending reply is sent.
    pub(crate) fn process_requests(&mut self) -> Option<Hook> {
        let ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in ids {
            while let Some(connection) = self.connections.get_mut(&id) {
                let server = connection.server;
                let is_stalled = self.servers.get(&server).is_none_or(|s| s.faults.is_stalled);
                if is_stalled || connection.is_mute || !connection.may_work() {
                    break;
                }
                let Some(frame) = connection.next_request() else {
                    connection.is_closing |= connection.is_eof;
                    break;
                };
                if let Some(hook) = self.process_request(id, &frame[4..]) {
                    return Some(hook);
                }
            }
        }
        None
    }

    fn process_request(&mut self, id: ConnectionId, body: &[u8]) -> Option<Hook> {
        let connection = self.connections.get(&id)?;
        let server = connection.server;
        let Some(session) = connection.session else {
            self.handshake(id, body);
            return None;
        };
        let mut unpack = Unpack::new(body);
        let (Some(xid), Some(opcode)) = (unpack.int(), unpack.int()) else {
            self.close(id);
            return None;
        };
        let Some(known) = self.sessions.get_mut(&session) else {
            self.answer(id, xid, Err(code::SESSION_EXPIRED));
            self.close_after_replies(id);
            return None;
        };
        known.last_seen = Instant::now();
        let act = self.servers.get_mut(&server)?.take_request_fault(opcode);
        let mut hook = None;
        match act {
            Some(RequestFault::DropUnapplied) => {
                self.close(id);
                return None;
            }
            Some(RequestFault::Answer(error)) => {
                self.answer(id, xid, Err(error));
                return None;
            }
            Some(RequestFault::Body(body)) => {
                self.answer(id, xid, Ok(body));
                return None;
            }
            Some(RequestFault::Hook(before_reply)) => hook = Some(before_reply),
            None => {}
        }
        self.execute(id, session, xid, opcode, &mut unpack);
        hook
    }

    fn handshake(&mut self, id: ConnectionId, body: &[u8]) {
        let Some(request) = ConnectRequest::unpack(body) else { return self.close(id) };
        // The client has seen a later state than this server has.
        if request.last_zxid > self.tree.zxid() {
            return self.close(id);
        }
        let timeout_wanted = Duration::from_millis(request.timeout_ms.max(0).unsigned_abs().into());
        let timeout = self.timeouts.grant(timeout_wanted);
        let session = match request.session {
            0 => Some(self.open_session(timeout)),
            resumed => {
                let known = self.sessions.get(&resumed);
                known.filter(|known| known.password == request.password).map(|_| resumed)
            }
        };
        let mut response = ConnectResponse {
            timeout_ms: 0,
            session: 0,
            password: vec![0; 16],
            read_only: request.read_only.map(|_| false),
        };
        if let Some(known) = session.and_then(|session| self.sessions.get_mut(&session)) {
            known.last_seen = Instant::now();
            known.timeout = timeout;
            let earlier = known.connection.replace(id);
            response.timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
            response.session = session.unwrap_or_default();
            response.password.clone_from(&known.password);
            if let Some(earlier) = earlier {
                self.close(earlier);
            }
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.session = session;
        connection.is_closing = session.is_none();
        connection.send(response.frame(), FrameKind::Handshake);
    }

    fn execute(
        &mut self,
        id: ConnectionId,
        session: i64,
        xid: i32,
        opcode: i32,
        unpack: &mut Unpack<'_>,
    ) {
        let is_old = self.connections.get(&id).and_then(|c| self.servers.get(&c.server));
        let is_old = is_old.is_some_and(|server| server.faults.is_old);
        let outcome = match opcode {
            op::PING => Some(Ok(Vec::new())),
            op::AUTH => Some(self.authenticate(id, unpack)),
            op::CLOSE_SESSION => {
                self.end_session(session, Some(id));
                self.answer(id, xid, Ok(Vec::new()));
                return self.close_after_replies(id);
            }
            op::ADD_WATCH | op::MULTI_READ | op::SET_WATCHES2 if is_old => {
                Some(Err(code::UNIMPLEMENTED))
            }
            op::CREATE | op::CREATE2 | op::DELETE | op::SET_DATA | op::SET_ACL | op::CHECK => {
                self.write(id, session, opcode, unpack)
            }
            op::MULTI => self.write_all(id, session, unpack),
            op::EXISTS | op::GET_DATA | op::GET_ACL | op::GET_CHILDREN | op::GET_CHILDREN2 => {
                self.read(id, opcode, unpack)
            }
            op::MULTI_READ => self.read_all(id, unpack),
            op::SYNC => unpack.string().map(|path| Ok(Pack::new().string(&path).body())),
            op::ADD_WATCH => self.add_watch(id, unpack),
            op::SET_WATCHES | op::SET_WATCHES2 => self.set_watches(id, opcode, unpack),
            _ => Some(Err(code::UNIMPLEMENTED)),
        };
        let outcome = outcome.unwrap_or(Err(code::MARSHALLING_ERROR));
        let is_last = matches!(outcome, Err(code::UNIMPLEMENTED | code::AUTH_FAILED));
        self.send_events();
        self.answer(id, if opcode == op::PING { xid::PING } else { xid }, outcome);
        if is_last {
            self.close_after_replies(id);
        }
    }

    fn answer(&mut self, id: ConnectionId, xid: i32, outcome: Outcome) {
        let zxid = self.tree.zxid();
        let frame = match outcome {
            Ok(body) => Pack::reply(xid, zxid, code::OK).bytes(&body).frame(),
            Err(error) => Pack::reply(xid, zxid, error).frame(),
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            let kind = FrameKind::of(&frame, false);
            connection.send(frame, kind);
        }
    }

    fn close_after_replies(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_closing = true;
        }
    }

    fn authenticate(&mut self, id: ConnectionId, unpack: &mut Unpack<'_>) -> Outcome {
        let _kind = unpack.int();
        let (Some(scheme), Some(secret)) = (unpack.string(), unpack.buffer()) else {
            return Err(code::MARSHALLING_ERROR);
        };
        let connection = self.connections.get_mut(&id).ok_or(code::SESSION_EXPIRED)?;
        if self.servers.get(&connection.server).is_some_and(|server| server.faults.refuses_auth) {
            return Err(code::AUTH_FAILED);
        }
        connection.credentials.push((scheme, secret));
        Ok(Vec::new())
    }

    fn is_open(&self, id: ConnectionId, path: &str) -> bool {
        self.locks.get(path).is_none_or(|key| {
            self.connections.get(&id).is_some_and(|connection| connection.credentials.contains(key))
        })
    }

    fn write(
        &mut self,
        id: ConnectionId,
        session: i64,
        opcode: i32,
        unpack: &mut Unpack<'_>,
    ) -> Option<Outcome> {
        let write = Write::unpack(opcode, unpack)?;
        let is_open = self.is_open(id, write.lock_path());
        Some(
            self.tree.transact(|tree| {
                if is_open { write.apply(tree, session) } else { Err(code::NO_AUTH) }
            }),
        )
    }

    fn write_all(
        &mut self,
        id: ConnectionId,
        session: i64,
        unpack: &mut Unpack<'_>,
    ) -> Option<Outcome> {
        let parts = unpack_parts(unpack, Write::unpack)?;
        let credentials = &self.connections.get(&id)?.credentials;
        let locks = &self.locks;
        let is_open = |path: &str| locks.get(path).is_none_or(|key| credentials.contains(key));
        Some(Ok(apply_all(&mut self.tree, session, parts, is_open)))
    }

    fn read(&mut self, id: ConnectionId, opcode: i32, unpack: &mut Unpack<'_>) -> Option<Outcome> {
        let path = unpack.string()?;
        let wants_watch = opcode != op::GET_ACL && unpack.flag()?;
        let outcome = self.read_node(id, opcode, &path);
        if wants_watch {
            // On a missing node, only exists sets a watch.
            match (opcode, &outcome) {
                (op::EXISTS, Ok(_) | Err(code::NO_NODE)) | (op::GET_DATA, Ok(_)) => {
                    self.watches.add_data(&path, id);
                }
                (_, Ok(_)) => self.watches.add_children(&path, id),
                (_, Err(_)) => {}
            }
        }
        Some(outcome)
    }

    fn read_node(&self, id: ConnectionId, opcode: i32, path: &str) -> Outcome {
        let node = self.tree.node(path)?;
        if opcode != op::EXISTS && !self.is_open(id, path) {
            return Err(code::NO_AUTH);
        }
        let packed = match opcode {
            op::EXISTS => node.pack_stat(Pack::new()),
            op::GET_DATA => node.pack_stat(Pack::new().buffer(&node.data)),
            op::GET_ACL => node.pack_stat(Acl::pack_list(Pack::new(), &node.acl)),
            op::GET_CHILDREN2 => node.pack_stat(node.pack_children()),
            _ => node.pack_children(),
        };
        Ok(packed.body())
    }

    fn read_all(&self, id: ConnectionId, unpack: &mut Unpack<'_>) -> Option<Outcome> {
        let parts = unpack_parts(unpack, |opcode, unpack| {
            let path = unpack.string()?;
            // Ignored: a real server sets no watches in a multiRead either.
            let _watch = unpack.flag()?;
            matches!(opcode, op::GET_DATA | op::GET_CHILDREN).then_some(path)
        })?;
        let packed = parts.into_iter().fold(Pack::new(), |packed, (opcode, path)| {
            match self.read_node(id, opcode, &path) {
                Ok(body) => result_part(packed, opcode, &body),
                Err(error) => error_part(packed, error),
            }
        });
        Some(Ok(end_of_parts(packed).body()))
    }

    fn add_watch(&mut self, id: ConnectionId, unpack: &mut Unpack<'_>) -> Option<Outcome> {
        let (path, mode) = (unpack.string()?, unpack.int()?);
        match mode {
            0 => self.watches.add_persistent(&path, id),
            1 => self.watches.add_recursive(&path, id),
            _ => return None,
        }
        Some(Ok(Pack::new().int(code::OK).body()))
    }

    /// Sets the watches of an earlier connection again. Changes that they missed are sent as
    /// events at once.
    fn set_watches(
        &mut self,
        id: ConnectionId,
        opcode: i32,
        unpack: &mut Unpack<'_>,
    ) -> Option<Outcome> {
        let seen_zxid = unpack.long()?;
        let (data, exist, children) = (unpack.strings()?, unpack.strings()?, unpack.strings()?);
        for path in data {
            self.resume_watch(id, &path, seen_zxid, WatchKind::Data);
        }
        for path in exist {
            if self.tree.node(&path).is_ok() {
                self.send_event(id, EventType::Created, &path);
            } else {
                self.watches.add_data(&path, id);
            }
        }
        for path in children {
            self.resume_watch(id, &path, seen_zxid, WatchKind::Children);
        }
        if opcode == op::SET_WATCHES2 {
            let (persistent, recursive) = (unpack.strings()?, unpack.strings()?);
            persistent.iter().for_each(|path| self.watches.add_persistent(path, id));
            recursive.iter().for_each(|path| self.watches.add_recursive(path, id));
        }
        Some(Ok(Vec::new()))
    }

    fn resume_watch(&mut self, id: ConnectionId, path: &str, seen_zxid: i64, kind: WatchKind) {
        let missed = match (self.tree.node(path), kind) {
            (Err(_), _) => Some(EventType::Deleted),
            (Ok(node), WatchKind::Data) if node.modified_zxid > seen_zxid => {
                Some(EventType::DataChanged)
            }
            (Ok(node), WatchKind::Children) if node.children_zxid > seen_zxid => {
                Some(EventType::ChildrenChanged)
            }
            (Ok(_), _) => None,
        };
        match (missed, kind) {
            (Some(missed), _) => self.send_event(id, missed, path),
            (None, WatchKind::Data) => self.watches.add_data(path, id),
            (None, WatchKind::Children) => self.watches.add_children(path, id),
        }
    }
}
