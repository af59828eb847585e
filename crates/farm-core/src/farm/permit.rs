//! The lock of a rolling restart: a limited number of members of a group hold a permit at once.
//!
//! A pure state machine: events go in, requests and news come out. A member queues with a
//! contender, an ephemeral sequential znode, and its permit is granted when fewer contenders than
//! the limit come before its own. It watches its own contender and the nearest ones before it,
//! not the whole queue, so the end of a turn wakes only the members that it concerns. Names and
//! order are those of the Ruby gem `zk`, so members written in Ruby can queue with ours.
//!
//! **Invariant.** We have at most one contender, and after any failure we find it again by the
//! session that owns it. Only what was read over the current connection grants the permit. A
//! session has one permit per group.

mod contender_info;
mod event;
mod group;
mod limit;
mod pending;
mod queue;
mod request;
mod standing;
#[cfg(test)]
mod tests;

pub use contender_info::{ContenderInfo, MemberId};
pub use event::{Action, Event, News};
pub use group::GroupName;
pub use queue::{Contender, Kind, Queue};
pub use request::{Answer, Request};

use crate::engine::Retry;
use crate::session::{self, Hint, SessionError, SessionId, Stat, Watch};
use limit::Limit;
use pending::{Pending, Task};
use request::{Ask, ListQueue, Neighbour, Outcome, Presence};
use standing::{Own, PermitState, Standing};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// The state machine.
#[derive(Debug)]
pub struct Permit {
    group: GroupName,
    limit: Limit,
    member: MemberId,
    /// The session, while it is connected.
    session: Option<SessionId>,
    /// Whether there is a session, connected or not, that can be lost.
    is_begun: bool,
    /// Counts the connections; the number of the latest one.
    connection: u64,
    /// Why the owner wants a permit, if it does.
    reason: Option<String>,
    /// Whether our contender has to be deleted before anything else.
    is_leaving: bool,
    own: Own,
    pending: Pending,
    /// The ticket of the request that proves that we hold the permit.
    proving: Option<u64>,
    retry: Retry,
    is_refused: bool,
    has_reported_unequal: bool,
    actions: Vec<Action>,
}

impl Permit {
    /// A permit of the group, of which `holders` may be held at once. It is not requested yet.
    #[must_use]
    pub const fn new(group: GroupName, holders: NonZeroU32, member: MemberId) -> Self {
        Self {
            group,
            limit: Limit::of(holders),
            member,
            session: None,
            is_begun: false,
            connection: 0,
            reason: None,
            is_leaving: false,
            own: Own::Absent,
            pending: Pending::NOTHING,
            proving: None,
            retry: Retry::new(RETRY_LEAST, RETRY_MOST),
            is_refused: false,
            has_reported_unequal: false,
            actions: Vec::new(),
        }
    }

    /// Whether we hold the permit. While disconnected, another member may hold it already: ask
    /// the lease.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        let is_ours = matches!(&self.own, Own::There(standing) if matches!(standing.state, PermitState::Held));
        is_ours && !self.is_leaving
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let recheck = match &self.own {
            Own::There(Standing { state: PermitState::Waiting { recheck, .. }, .. }) => {
                recheck.deadline()
            }
            Own::There(_) | Own::Absent | Own::Unsure => None,
        };
        self.retry.deadline().into_iter().chain(recheck).min()
    }

    /// Takes one event.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        match event {
            Event::Session(session::Event::Connected { session, is_new, .. }) => {
                self.connected(session, is_new);
            }
            Event::Session(session::Event::Suspended(_)) => self.suspended(),
            Event::Session(session::Event::Lost) => self.session_over(),
            Event::Session(session::Event::Hint(hint)) => self.hint(&hint),
            // There is no connection in either case.
            Event::Session(session::Event::GaveUp(_) | session::Event::AuthRefused(_)) => {}
            Event::Answered(answer) => self.answered(now, answer),
            Event::Ask { why } => {
                self.reason.get_or_insert(why);
            }
            Event::NeedHead(needs_head) => self.need_head(needs_head),
            Event::Confirm => self.confirm(),
            Event::GiveBack => self.give_back(),
            Event::Tick => self.tick(now),
        }
        self.ask_next();
        std::mem::take(&mut self.actions)
    }

    fn tick(&mut self, now: Instant) {
        self.retry.take(now);
        if let Own::There(standing) = &mut self.own
            && standing.recheck_mut().is_some_and(|recheck| recheck.take(now))
        {
            standing.read_again();
        }
    }

    fn tell(&mut self, news: News) {
        self.actions.push(Action::Report(news));
    }

    fn connected(&mut self, session: SessionId, is_new: bool) {
        if is_new && self.is_begun {
            self.session_over();
        }
        self.suspended();
        self.is_begun = true;
        self.connection += 1;
        self.session = Some(session);
    }

    fn suspended(&mut self) {
        self.session = None;
        self.retry.reset();
        // A change still gets an answer, and only that may give the name of our contender.
        self.pending.forget(|task| task != Task::Changing);
        if let Own::There(standing) = &mut self.own {
            standing.forget();
        }
    }

    fn session_over(&mut self) {
        self.suspended();
        self.is_begun = false;
        self.pending.forget(|_| true);
        self.gone();
        // Even if there was no contender yet: after the end of a session the owner has to ask
        // again.
        if self.reason.take().is_some() {
            self.tell(News::Lost);
        }
    }

    /// Our contender certainly does not exist.
    fn gone(&mut self) {
        self.own = Own::Absent;
        // That request is about a contender that is gone.
        self.proving = None;
        if std::mem::take(&mut self.is_leaving) {
            self.tell(News::Left);
        }
    }

    /// Somebody else deleted it.
    fn deleted(&mut self) {
        let was_leaving = self.is_leaving;
        self.gone();
        if !was_leaving && self.reason.take().is_some() {
            self.tell(News::Lost);
        }
    }

    fn give_back(&mut self) {
        self.reason = None;
        self.is_leaving = true;
        self.proving = None;
        self.retry.cancel();
        // The answer to a read is not needed any more, and must not delay the delete.
        self.pending.forget(|task| task == Task::Reading);
    }

    fn need_head(&mut self, needs_head: bool) {
        if std::mem::replace(&mut self.limit.needs_head, needs_head) == needs_head
            || self.limit.holders == NonZeroU32::MIN
        {
            return;
        }
        if needs_head {
            self.proving = None;
        }
        if let Own::There(standing) = &mut self.own {
            match &standing.state {
                // The others before us count again.
                PermitState::Held if needs_head => standing.wait_again(),
                PermitState::Held => {}
                PermitState::Waiting { .. } => standing.read_again(),
            }
            // What is being read was asked for with the other number.
            self.pending.forget(|task| task == Task::Reading);
        }
    }

    fn confirm(&mut self) {
        match &self.own {
            Own::There(standing) if self.is_held() => {
                let prove = Ask::Prove(standing.contender.clone());
                self.proving = Some(self.ask(prove));
            }
            Own::There(_) | Own::Absent | Own::Unsure => self.tell(News::Unconfirmed),
        }
    }

    fn proven(&mut self, proof: Result<(), SessionError>) {
        match proof {
            Ok(()) if self.is_held() => self.tell(News::Confirmed),
            Err(SessionError::NoNode(_)) if self.is_held() => self.deleted(),
            Ok(()) | Err(_) => self.tell(News::Unconfirmed),
        }
    }

    fn hint(&mut self, hint: &Hint) {
        let Own::There(standing) = &mut self.own else { return };
        if self.session.is_none() || hint.path.parent().as_ref() != Some(self.group.directory()) {
            return;
        }
        let Some(name) = hint.path.name() else { return };
        if name == standing.contender.name() {
            standing.is_seen = false;
        } else if let PermitState::Waiting { is_read, watched, .. } = &mut standing.state {
            let Some(contender) = Contender::parse(name) else { return };
            if watched.remove(&contender) {
                *is_read = false;
            }
        }
        self.pending.touch(name);
    }

    /// Sends the next request that is needed, unless one is under way.
    fn ask_next(&mut self) {
        if self.pending.is_waiting() {
            return;
        }
        if self.is_leaving && matches!(self.own, Own::Absent) {
            self.gone();
        }
        if self.retry.deadline().is_some() {
            return;
        }
        let Some(session) = self.session else { return };
        let (task, ask) = match (&self.own, &self.reason) {
            (Own::Absent, None) => return,
            (Own::Absent, Some(why)) => {
                let info = ContenderInfo::of(&self.member, why, self.limit.holders);
                (Task::Changing, Ask::Create(info))
            }
            (Own::Unsure, _) => (Task::Finding, Ask::Find(session)),
            (Own::There(standing), _) if self.is_leaving => {
                let contender = standing.contender.clone();
                if standing.is_seen {
                    (Task::Changing, Ask::Delete(contender))
                } else {
                    // Another member's contender may have this name by now: the numbers start
                    // again when the directory is removed.
                    (Task::Finding, Ask::Look(contender, ListQueue::No))
                }
            }
            (Own::There(standing), _) => match standing.next_look() {
                Some(ask) => (Task::Reading, ask),
                None => return,
            },
        };
        let ticket = self.ask(ask);
        self.pending.wait_for(ticket, self.connection, task);
    }

    fn ask(&mut self, ask: Ask) -> u64 {
        let ticket = self.pending.ticket();
        self.actions.push(Action::Request(Request { ticket, group: self.group.clone(), ask }));
        ticket
    }

    fn answered(&mut self, now: Instant, answer: Answer) {
        let Answer { ticket, outcome } = answer;
        if self.proving.take_if(|proving| *proving == ticket).is_some() {
            if let Outcome::Prove(proof) = outcome {
                self.proven(proof);
            }
            return;
        }
        let Some(request) = self.pending.take(ticket) else {
            // The neighbours of a granted permit, or an answer that is not needed any more.
            if let Outcome::Read(Ok(neighbours)) = outcome {
                self.compare_holders(&neighbours);
            }
            return;
        };
        let is_present = self.session.is_some() && request.connection == self.connection;
        let failure = match outcome {
            // Right after the create, no other contender can have this name.
            Outcome::Create(Ok(contender)) => {
                self.own = Own::There(Standing::at(contender, is_present));
                None
            }
            Outcome::Create(Err(error)) => {
                self.own = if is_denied(&error) { Own::Absent } else { Own::Unsure };
                Some(error)
            }
            Outcome::Find(Ok(Some(contender))) => {
                self.own = Own::There(Standing::at(contender, true));
                return;
            }
            Outcome::Find(Ok(None)) => return self.gone(),
            Outcome::Find(Err(error)) => Some(error),
            Outcome::Look(seen) => seen.map(|seen| self.looked(seen, &request.touched)).err(),
            Outcome::Read(neighbours) => neighbours
                .map(|neighbours| self.neighbours_read(now, &neighbours, &request.touched))
                .err(),
            Outcome::Delete(deleted) => deleted.map(|()| self.gone()).err(),
            // Handled above.
            Outcome::Prove(_) => None,
        };
        match failure {
            None => {
                self.retry.reset();
                self.is_refused = false;
            }
            Some(error) => self.failed(now, error, is_present),
        }
    }

    fn failed(&mut self, now: Instant, error: SessionError, is_present: bool) {
        // After a failure over an earlier connection, the current one is tried at once.
        if is_present {
            self.retry.failed(now);
        }
        if !error.is_transient() && !std::mem::replace(&mut self.is_refused, true) {
            self.tell(News::Refused(error));
        }
    }

    fn looked(&mut self, seen: Option<(Stat, Queue)>, touched: &BTreeSet<String>) {
        let holders = self.limit.count();
        let (Own::There(standing), Some(session)) = (&mut self.own, self.session) else { return };
        let ours = seen.filter(|(stat, _)| stat.ephemeral_owner == session.0);
        let Some((stat, queue)) = ours else { return self.deleted() };
        standing.is_seen = !touched.contains(standing.contender.name());
        let contender = standing.contender.clone();
        let PermitState::Waiting { is_read, ahead, nearest, watched, .. } = &mut standing.state
        else {
            return;
        };
        // If our contender is not in the queue, it was deleted after the first read; the next look
        // shows that.
        if self.is_leaving || !standing.is_seen || !queue.contains(&contender) {
            return;
        }
        let before = queue.before(&contender);
        if before.len() < holders {
            standing.state = PermitState::Held;
            let before = before.to_vec();
            self.tell(News::Granted { id: stat.czxid });
            if !before.is_empty() {
                self.ask(Ask::Read(before, Watch::No));
            }
            return;
        }
        *is_read = true;
        *nearest = before[before.len() - holders..].iter().cloned().collect();
        watched.retain(|contender| nearest.contains(contender));
        if ahead.replace(before.len()) != Some(before.len()) {
            let ahead = before.len();
            self.tell(News::Waiting { ahead });
        }
    }

    fn neighbours_read(
        &mut self,
        now: Instant,
        neighbours: &[Neighbour],
        touched: &BTreeSet<String>,
    ) {
        self.compare_holders(neighbours);
        let Own::There(standing) = &mut self.own else { return };
        let PermitState::Waiting { is_read, watched, recheck, .. } = &mut standing.state else {
            return;
        };
        for Neighbour { contender, presence } in neighbours {
            if *presence == Presence::Hidden {
                recheck.plan(now);
            }
            // Its watch may have fired before this answer came.
            let is_watched = *presence != Presence::Gone && !touched.contains(contender.name());
            if is_watched {
                watched.insert(contender.clone());
            } else {
                *is_read = false;
            }
        }
    }

    fn compare_holders(&mut self, neighbours: &[Neighbour]) {
        let stated = neighbours.iter().filter_map(|neighbour| match neighbour.presence {
            Presence::There { holders } => holders,
            Presence::Gone | Presence::Hidden => None,
        });
        let ours = self.limit.holders;
        if let Some(theirs) = stated.into_iter().find(|theirs| *theirs != ours)
            && !std::mem::replace(&mut self.has_reported_unequal, true)
        {
            self.tell(News::UnequalHolders { ours, theirs });
        }
    }
}

/// Whether the server says that it created nothing.
const fn is_denied(error: &SessionError) -> bool {
    matches!(
        error,
        SessionError::NoNode(_)
            | SessionError::NoAuth(_)
            | SessionError::InvalidAcl(_)
            | SessionError::NoChildrenForEphemerals(_)
            | SessionError::TooLarge { .. }
    )
}
