//! The lock of a rolling restart: a turn for so many members of a group at once.
//!
//! A pure machine: it is told what happened and answers with what to ask and what
//! there is to know. A member stands in line with a contender, an ephemeral znode that
//! the server numbers, and has its turn when fewer contenders come before its own
//! than may hold a permit. It watches its own contender and those directly before it,
//! not the line, so a turn that ends wakes only those whom it concerns. Names and order
//! are those of the Ruby gem `zk`, so members written in Ruby can stand in the
//! same line.
//!
//! **Invariant.** There is one contender of ours at most, and it is found again after
//! any failure by the session that owns it. The permit is told to be granted only by
//! what was read in the present contact. A session has one permit per group.

mod asked;
mod contender_info;
mod event;
mod group;
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
use asked::{Asked, Task};
use request::{Ask, Lineup, Neighbour, Outcome, Presence};
use standing::{Own, Standing, Turn};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(60);

/// The machine. See the module's page.
#[derive(Debug)]
pub struct Permit {
    group: GroupName,
    holders: NonZeroU32,
    contender: MemberId,
    /// The session of the present contact.
    session: Option<SessionId>,
    /// Is there a session at all, so that one can be over?
    is_begun: bool,
    /// The number of the present contact, or of the latest one.
    contact: u64,
    /// What a permit is wanted for.
    wish: Option<String>,
    /// The contender has to go before anything else.
    is_leaving: bool,
    own: Own,
    asked: Asked,
    /// The request that shall prove that the permit is ours.
    proving: Option<u64>,
    retry: Retry,
    is_refused: bool,
    has_told_unequal: bool,
    actions: Vec<Action>,
}

impl Permit {
    /// A permit of that group, of which so many may be held at once. Nothing is asked
    /// for yet.
    #[must_use]
    pub const fn new(group: GroupName, holders: NonZeroU32, contender: MemberId) -> Self {
        Self {
            group,
            holders,
            contender,
            session: None,
            is_begun: false,
            contact: 0,
            wish: None,
            is_leaving: false,
            own: Own::Absent,
            asked: Asked::NOTHING,
            proving: None,
            retry: Retry::new(RETRY_LEAST, RETRY_MOST),
            is_refused: false,
            has_told_unequal: false,
            actions: Vec::new(),
        }
    }

    /// Is it our turn? Without contact it may be another's already: the lease tells.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        let is_ours =
            matches!(&self.own, Own::There(standing) if matches!(standing.turn, Turn::Held));
        is_ours && !self.is_leaving
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.retry.deadline()
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
            // There was no contact before either.
            Event::Session(session::Event::GaveUp(_) | session::Event::AuthRefused(_)) => {}
            Event::Answered(answer) => self.answered(now, answer),
            Event::Ask { why } => {
                self.wish.get_or_insert(why);
            }
            Event::Confirm => self.confirm(),
            Event::GiveBack => self.give_back(),
            Event::Tick => {
                self.retry.take(now);
            }
        }
        self.go_on();
        std::mem::take(&mut self.actions)
    }

    fn tell(&mut self, news: News) {
        self.actions.push(Action::Tell(news));
    }

    fn connected(&mut self, session: SessionId, is_new: bool) {
        if is_new && self.is_begun {
            self.session_over();
        }
        self.suspended();
        self.is_begun = true;
        self.contact += 1;
        self.session = Some(session);
    }

    fn suspended(&mut self) {
        self.session = None;
        self.retry.reset();
        // One that changes something is answered too, and that answer may be all that
        // tells the name of our contender.
        self.asked.forget(|task| task != Task::Changing);
        if let Own::There(standing) = &mut self.own {
            standing.forget();
        }
    }

    fn session_over(&mut self) {
        self.suspended();
        self.is_begun = false;
        self.asked.forget(|_| true);
        self.gone();
        // Nothing had come of it yet; but after the end of a session nothing that was
        // asked for before goes on by itself.
        if self.wish.take().is_some() {
            self.tell(News::Lost);
        }
    }

    /// No contender of ours is there, for sure.
    fn gone(&mut self) {
        self.own = Own::Absent;
        // It would be about one that is no more.
        self.proving = None;
        if std::mem::take(&mut self.is_leaving) {
            self.tell(News::Left);
        }
    }

    /// Somebody else deleted it.
    fn deleted(&mut self) {
        let was_leaving = self.is_leaving;
        self.gone();
        if !was_leaving && self.wish.take().is_some() {
            self.tell(News::Lost);
        }
    }

    fn give_back(&mut self) {
        self.wish = None;
        self.is_leaving = true;
        self.proving = None;
        self.retry.cancel();
        // What is being read is of no interest any more, and must not delay the end.
        self.asked.forget(|task| task == Task::Reading);
    }

    fn confirm(&mut self) {
        match &self.own {
            Own::There(standing) if self.is_held() => {
                let prove = Ask::Prove(standing.place.clone());
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
        if name == standing.place.name() {
            standing.is_seen = false;
        } else if let Turn::Waiting { is_read, watched, .. } = &mut standing.turn {
            let Some(place) = Contender::parse(name) else { return };
            if watched.remove(&place) {
                *is_read = false;
            }
        }
        self.asked.touch(name);
    }

    /// Asks for the next thing that is missing, if nothing is being waited for.
    fn go_on(&mut self) {
        if self.asked.is_waiting() {
            return;
        }
        if self.is_leaving && matches!(self.own, Own::Absent) {
            self.gone();
        }
        if self.retry.deadline().is_some() {
            return;
        }
        let Some(session) = self.session else { return };
        let (task, ask) = match (&self.own, &self.wish) {
            (Own::Absent, None) => return,
            (Own::Absent, Some(why)) => {
                let card = ContenderInfo::of(&self.contender, why, self.holders);
                (Task::Changing, Ask::Create(card))
            }
            (Own::Unsure, _) => (Task::Finding, Ask::Find(session)),
            (Own::There(standing), _) if self.is_leaving => {
                let place = standing.place.clone();
                if standing.is_seen {
                    (Task::Changing, Ask::Delete(place))
                } else {
                    // Its name may be another's by now: numbers begin again when the
                    // directory is removed.
                    (Task::Finding, Ask::Look(place, Lineup::Unwanted))
                }
            }
            (Own::There(standing), _) => match standing.next_look() {
                Some(ask) => (Task::Reading, ask),
                None => return,
            },
        };
        let ticket = self.ask(ask);
        self.asked.wait_for(ticket, self.contact, task);
    }

    fn ask(&mut self, ask: Ask) -> u64 {
        let ticket = self.asked.ticket();
        self.actions.push(Action::Ask(Request { ticket, group: self.group.clone(), ask }));
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
        let Some(request) = self.asked.take(ticket) else {
            // Cards that were read for their own sake, or an answer that nobody wants.
            if let Outcome::Read(Ok(neighbours)) = outcome {
                self.compare(&neighbours);
            }
            return;
        };
        let is_present = self.session.is_some() && request.contact == self.contact;
        let failure = match outcome {
            // Nobody else can have its name before it has been seen to be ours.
            Outcome::Create(Ok(place)) => {
                self.own = Own::There(Standing::at(place, is_present));
                None
            }
            Outcome::Create(Err(error)) => {
                self.own = if is_denied(&error) { Own::Absent } else { Own::Unsure };
                Some(error)
            }
            Outcome::Find(Ok(Some(place))) => {
                self.own = Own::There(Standing::at(place, true));
                return;
            }
            Outcome::Find(Ok(None)) => return self.gone(),
            Outcome::Find(Err(error)) => Some(error),
            Outcome::Look(seen) => seen.map(|seen| self.looked(seen, &request.touched)).err(),
            Outcome::Read(cards) => {
                cards.map(|cards| self.neighbours_read(&cards, &request.touched)).err()
            }
            Outcome::Delete(deleted) => deleted.map(|()| self.gone()).err(),
            // Answered above.
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
        // Of an earlier contact: the present one may do better at once.
        if is_present {
            self.retry.failed(now);
        }
        if !error.is_transient() && !std::mem::replace(&mut self.is_refused, true) {
            self.tell(News::Refused(error));
        }
    }

    fn looked(&mut self, seen: Option<(Stat, Queue)>, touched: &BTreeSet<String>) {
        let (Own::There(standing), Some(session)) = (&mut self.own, self.session) else { return };
        let ours = seen.filter(|(stat, _)| stat.ephemeral_owner == session.0);
        let Some((stat, line)) = ours else { return self.deleted() };
        standing.is_seen = !touched.contains(standing.place.name());
        let place = standing.place.clone();
        let Turn::Waiting { is_read, ahead, nearest, watched } = &mut standing.turn else { return };
        // Without ours in it, it was deleted in between: looking again tells.
        if self.is_leaving || !standing.is_seen || !line.contains(&place) {
            return;
        }
        let before = line.before(&place);
        let holders = usize::try_from(self.holders.get()).unwrap_or(usize::MAX);
        if before.len() < holders {
            standing.turn = Turn::Held;
            let before = before.to_vec();
            self.tell(News::Granted { id: stat.czxid });
            if !before.is_empty() {
                self.ask(Ask::Read(before, Watch::No));
            }
            return;
        }
        *is_read = true;
        *nearest = before[before.len() - holders..].iter().cloned().collect();
        watched.retain(|place| nearest.contains(place));
        if ahead.replace(before.len()) != Some(before.len()) {
            let ahead = before.len();
            self.tell(News::Waiting { ahead });
        }
    }

    fn neighbours_read(&mut self, cards: &[Neighbour], touched: &BTreeSet<String>) {
        self.compare(cards);
        let Own::There(standing) = &mut self.own else { return };
        let Turn::Waiting { is_read, watched, .. } = &mut standing.turn else { return };
        for Neighbour { place, presence } in cards {
            // One that changed since may have told it before its card came.
            let is_watched = *presence != Presence::Gone && !touched.contains(place.name());
            if is_watched {
                watched.insert(place.clone());
            } else {
                *is_read = false;
            }
        }
    }

    fn compare(&mut self, cards: &[Neighbour]) {
        let stated = cards.iter().filter_map(|neighbour| match neighbour.presence {
            Presence::There { holders } => holders,
            Presence::Gone => None,
        });
        let ours = self.holders;
        if let Some(theirs) = stated.into_iter().find(|theirs| *theirs != ours)
            && !std::mem::replace(&mut self.has_told_unequal, true)
        {
            self.tell(News::UnequalHolders { ours, theirs });
        }
    }
}

/// Tells whether the server said that nothing was created.
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
