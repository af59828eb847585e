//! A model of a server with one group.
//!
//! It has the guarantees of a real one: the hint of a watch comes before any later answer, and the
//! answer to a write comes after all earlier writes of the session. A create whose answer is lost
//! may still happen later, until the next write of the session.

use super::*;
use std::collections::{BTreeMap, VecDeque};

/// The session of all members written in Ruby.
pub(super) const RUBY: i64 = -1;

#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) contenders: BTreeMap<Contender, Entry>,
    next_number: i32,
    zxid: i64,
    /// The sessions of creates that were sent before the connection broke.
    late: Vec<i64>,
    pub(super) clients: BTreeMap<i64, Client>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) owner: i64,
    pub(super) czxid: i64,
}

/// The state of a session's connection.
#[derive(Debug, Default)]
pub(super) struct Client {
    watches: BTreeSet<Contender>,
    pub(super) hints: VecDeque<(u64, Contender)>,
    pub(super) hints_sent: u64,
}

impl Server {
    pub(super) fn queue(&self) -> Queue {
        Queue::of(self.contenders.keys().map(Contender::name))
    }

    pub(super) fn of_session(&self, session: i64) -> Vec<Contender> {
        let owned = self.contenders.iter().filter(|(_, entry)| entry.owner == session);
        owned.map(|(contender, _)| contender.clone()).collect()
    }

    fn fire_watches(&mut self, contender: &Contender) {
        for client in self.clients.values_mut() {
            if client.watches.remove(contender) {
                client.hints_sent += 1;
                client.hints.push_back((client.hints_sent, contender.clone()));
            }
        }
    }

    pub(super) fn create(&mut self, owner: i64) -> Contender {
        let contender = fixture::contender(&format!("ex{:010}", self.next_number));
        self.next_number += 1;
        self.zxid += 1;
        self.contenders.insert(contender.clone(), Entry { owner, czxid: self.zxid });
        self.fire_watches(&contender);
        contender
    }

    pub(super) fn delete(&mut self, contender: &Contender) {
        if self.contenders.remove(contender).is_some() {
            self.fire_watches(contender);
        }
    }

    /// As the gem does after a turn: the numbers start again.
    pub(super) fn remove_directory(&mut self) {
        if self.contenders.is_empty() {
            self.next_number = 0;
        }
    }

    /// A create whose answer is lost will still happen.
    pub(super) fn delay_create(&mut self, session: i64) {
        self.late.push(session);
    }

    /// Does all creates that the session has sent before.
    pub(super) fn catch_up(&mut self, session: i64) {
        while let Some(index) = self.late.iter().position(|late| *late == session) {
            self.late.remove(index);
            self.create(session);
        }
    }

    pub(super) fn any_late(&self) -> Option<i64> {
        self.late.first().copied()
    }

    /// Ends the session's connection; returns how many hints were sent over it.
    pub(super) fn cut(&mut self, session: i64) -> u64 {
        let Some(client) = self.clients.get_mut(&session) else { return 0 };
        client.watches.clear();
        client.hints.clear();
        client.hints_sent
    }

    pub(super) fn expire(&mut self, session: i64) {
        self.late.retain(|late| *late != session);
        self.clients.remove(&session);
        for contender in self.of_session(session) {
            self.delete(&contender);
        }
    }

    fn watch(&mut self, session: i64, contender: &Contender) {
        if let Some(client) = self.clients.get_mut(&session) {
            client.watches.insert(contender.clone());
        }
    }
}

/// A request under way, done in steps, so that others come in between.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) session: i64,
    seen: Option<Stat>,
    neighbours: Vec<Neighbour>,
    listed: Option<Vec<Contender>>,
    found: Option<Contender>,
}

impl Job {
    pub(super) const fn new(request: Request, session: i64) -> Self {
        Self { request, session, seen: None, neighbours: Vec::new(), listed: None, found: None }
    }

    /// Does the next step; returns the outcome after the last one.
    pub(super) fn advance(&mut self, server: &mut Server) -> Option<Outcome> {
        let session = self.session;
        match &self.request.ask {
            Ask::Create(_) => {
                server.catch_up(session);
                Some(Outcome::Create(Ok(server.create(session))))
            }
            Ask::Prove(contender) => {
                server.catch_up(session);
                let is_there = server.contenders.contains_key(contender);
                let missing = || SessionError::NoNode(ZnodePath::root());
                Some(Outcome::Prove(is_there.then_some(()).ok_or_else(missing)))
            }
            Ask::Delete(contender) => {
                server.catch_up(session);
                server.delete(contender);
                Some(Outcome::Delete(Ok(())))
            }
            Ask::Look(contender, list_queue) => {
                if let Some(stat) = self.seen {
                    return Some(Outcome::Look(Ok(Some((stat, server.queue())))));
                }
                server.watch(session, contender);
                let stat = server.contenders.get(contender).map(|entry| Stat {
                    czxid: entry.czxid,
                    ephemeral_owner: entry.owner,
                    ..Stat::default()
                });
                self.seen = stat;
                match (stat, list_queue) {
                    (None, _) => Some(Outcome::Look(Ok(None))),
                    (Some(stat), ListQueue::No) => {
                        Some(Outcome::Look(Ok(Some((stat, Queue::default())))))
                    }
                    (Some(_), ListQueue::Yes) => None,
                }
            }
            Ask::Read(contenders, watch) => {
                let contender = contenders[self.neighbours.len()].clone();
                let presence =
                    if server.contenders.contains_key(&contender) { THERE } else { Presence::Gone };
                if *watch == Watch::Yes && presence == THERE {
                    server.watch(session, &contender);
                }
                self.neighbours.push(Neighbour { contender, presence });
                (self.neighbours.len() == contenders.len())
                    .then(|| Outcome::Read(Ok(std::mem::take(&mut self.neighbours))))
            }
            Ask::Find(_) => self.find(server),
        }
    }

    fn find(&mut self, server: &mut Server) -> Option<Outcome> {
        let Some(listed) = &mut self.listed else {
            server.catch_up(self.session);
            self.listed = Some(server.queue().places().to_vec());
            return None;
        };
        if listed.is_empty() {
            return Some(Outcome::Find(Ok(self.found.take())));
        }
        let contender = listed.remove(0);
        let owner = server.contenders.get(&contender).map(|entry| entry.owner);
        if owner == Some(self.session) {
            match &self.found {
                None => self.found = Some(contender),
                Some(_) => server.delete(&contender),
            }
        }
        None
    }
}

/// The failure of a request that gets no answer.
pub(super) fn unanswered(request: &Request) -> Outcome {
    match request.ask {
        Ask::Create(_) => Outcome::Create(disconnected()),
        Ask::Find(_) => Outcome::Find(disconnected()),
        Ask::Look(..) => Outcome::Look(disconnected()),
        Ask::Read(..) => Outcome::Read(disconnected()),
        Ask::Delete(_) => Outcome::Delete(disconnected()),
        Ask::Prove(_) => Outcome::Prove(disconnected()),
    }
}

pub(super) fn hint_of(contender: &Contender) -> Event {
    hint(contender.name(), Change::Deleted)
}
