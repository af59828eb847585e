//! A server of the mind with one group on it.
//!
//! It keeps what a real one promises: a watch tells before any later answer does, and
//! what goes through the leader comes back after all that went there before. A create
//! whose answer is lost may still happen later, until the session's next write.

use super::*;
use std::collections::{BTreeMap, VecDeque};

/// Who a contender of a member written in Ruby belongs to.
pub(super) const RUBY: i64 = -1;

#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) contenders: BTreeMap<Contender, Contended>,
    next_number: i32,
    zxid: i64,
    /// Creates that were sent, and whose connection broke.
    late: Vec<i64>,
    pub(super) clients: BTreeMap<i64, Client>,
}

#[derive(Debug)]
pub(super) struct Contended {
    pub(super) owner: i64,
    pub(super) czxid: i64,
}

/// What the server keeps of a session's connection.
#[derive(Debug, Default)]
pub(super) struct Client {
    watches: BTreeSet<Contender>,
    pub(super) hints: VecDeque<(u64, Contender)>,
    pub(super) hints_sent: u64,
}

impl Server {
    pub(super) fn line(&self) -> Queue {
        Queue::of(self.contenders.keys().map(Contender::name))
    }

    pub(super) fn of_session(&self, session: i64) -> Vec<Contender> {
        let owned = self.contenders.iter().filter(|(_, contended)| contended.owner == session);
        owned.map(|(place, _)| place.clone()).collect()
    }

    fn tell(&mut self, place: &Contender) {
        for client in self.clients.values_mut() {
            if client.watches.remove(place) {
                client.hints_sent += 1;
                client.hints.push_back((client.hints_sent, place.clone()));
            }
        }
    }

    pub(super) fn create(&mut self, owner: i64) -> Contender {
        let place = bench::place(&format!("ex{:010}", self.next_number));
        self.next_number += 1;
        self.zxid += 1;
        self.contenders.insert(place.clone(), Contended { owner, czxid: self.zxid });
        self.tell(&place);
        place
    }

    pub(super) fn delete(&mut self, place: &Contender) {
        if self.contenders.remove(place).is_some() {
            self.tell(place);
        }
    }

    /// As the gem does after a turn: numbers begin again.
    pub(super) fn remove_directory(&mut self) {
        if self.contenders.is_empty() {
            self.next_number = 0;
        }
    }

    /// A create is on its way although nobody waits for it.
    pub(super) fn delay_create(&mut self, session: i64) {
        self.late.push(session);
    }

    /// All that the session sent before is done now.
    pub(super) fn catch_up(&mut self, session: i64) {
        while let Some(index) = self.late.iter().position(|late| *late == session) {
            self.late.remove(index);
            self.create(session);
        }
    }

    pub(super) fn any_late(&self) -> Option<i64> {
        self.late.first().copied()
    }

    /// Ends the session's connection; says how many hints were sent to it.
    pub(super) fn cut(&mut self, session: i64) -> u64 {
        let Some(client) = self.clients.get_mut(&session) else { return 0 };
        client.watches.clear();
        client.hints.clear();
        client.hints_sent
    }

    pub(super) fn expire(&mut self, session: i64) {
        self.late.retain(|late| *late != session);
        self.clients.remove(&session);
        for place in self.of_session(session) {
            self.delete(&place);
        }
    }

    fn watch(&mut self, session: i64, place: &Contender) {
        if let Some(client) = self.clients.get_mut(&session) {
            client.watches.insert(place.clone());
        }
    }
}

/// A request under way, one step after the other: others get in between.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) session: i64,
    seen: Option<Stat>,
    cards: Vec<Neighbour>,
    listed: Option<Vec<Contender>>,
    found: Option<Contender>,
}

impl Job {
    pub(super) const fn new(request: Request, session: i64) -> Self {
        Self { request, session, seen: None, cards: Vec::new(), listed: None, found: None }
    }

    /// Does the next step; the outcome after the last one.
    pub(super) fn advance(&mut self, server: &mut Server) -> Option<Outcome> {
        let session = self.session;
        match &self.request.ask {
            Ask::Create(_) => {
                server.catch_up(session);
                Some(Outcome::Create(Ok(server.create(session))))
            }
            Ask::Prove(place) => {
                server.catch_up(session);
                let is_there = server.contenders.contains_key(place);
                let missing = || SessionError::NoNode(ZnodePath::root());
                Some(Outcome::Prove(is_there.then_some(()).ok_or_else(missing)))
            }
            Ask::Delete(place) => {
                server.catch_up(session);
                server.delete(place);
                Some(Outcome::Delete(Ok(())))
            }
            Ask::Look(place, lineup) => {
                if let Some(stat) = self.seen {
                    return Some(Outcome::Look(Ok(Some((stat, server.line())))));
                }
                server.watch(session, place);
                let stat = server.contenders.get(place).map(|contended| Stat {
                    czxid: contended.czxid,
                    ephemeral_owner: contended.owner,
                    ..Stat::default()
                });
                self.seen = stat;
                match (stat, lineup) {
                    (None, _) => Some(Outcome::Look(Ok(None))),
                    (Some(stat), Lineup::Unwanted) => {
                        Some(Outcome::Look(Ok(Some((stat, Queue::default())))))
                    }
                    (Some(_), Lineup::Wanted) => None,
                }
            }
            Ask::Read(places, watch) => {
                let place = places[self.cards.len()].clone();
                let presence =
                    if server.contenders.contains_key(&place) { THERE } else { Presence::Gone };
                if *watch == Watch::Yes && presence == THERE {
                    server.watch(session, &place);
                }
                self.cards.push(Neighbour { place, presence });
                (self.cards.len() == places.len())
                    .then(|| Outcome::Read(Ok(std::mem::take(&mut self.cards))))
            }
            Ask::Find(_) => self.find(server),
        }
    }

    fn find(&mut self, server: &mut Server) -> Option<Outcome> {
        let Some(listed) = &mut self.listed else {
            server.catch_up(self.session);
            self.listed = Some(server.line().places().to_vec());
            return None;
        };
        if listed.is_empty() {
            return Some(Outcome::Find(Ok(self.found.take())));
        }
        let place = listed.remove(0);
        let owner = server.contenders.get(&place).map(|contended| contended.owner);
        if owner == Some(self.session) {
            match &self.found {
                None => self.found = Some(place),
                Some(_) => server.delete(&place),
            }
        }
        None
    }
}

/// The failure of a request that nobody answers.
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

pub(super) fn hint_of(place: &Contender) -> Event {
    hint(place.name(), Change::Deleted)
}
