//! What an answer tells a cache.

use super::{
    Again, Answer, Ask, Cache, Found, News, Outcome, Part, Phase, Refusal, State, Watching,
};
use crate::session::{SessionError, ZnodePath};
use std::collections::BTreeSet;
use std::time::Instant;

impl<V> Cache<V> {
    pub(super) fn answered(&mut self, now: Instant, answer: Answer<V>) {
        let Answer { ticket, session, outcome } = answer;
        if session != self.session {
            return;
        }
        // What the server can is true whenever it was learnt.
        if let Outcome::Arm(armed) = &outcome
            && self.watching == Watching::Undecided
        {
            self.watching = match armed {
                Ok(()) => Watching::Tree,
                Err(SessionError::Unsupported) => Watching::Each,
                Err(_) => Watching::Undecided,
            };
        }
        let Some(ask) = self.asked.remove(&ticket) else { return };
        match (&*ask, outcome) {
            (Ask::Arm(_), Outcome::Arm(Ok(()) | Err(SessionError::Unsupported))) => self.begin(),
            (Ask::Await(_), Outcome::Await(Ok(is_there))) => self.awaited(is_there),
            (Ask::Arm(_), Outcome::Arm(Err(error)))
            | (Ask::Await(_), Outcome::Await(Err(error))) => self.refuse(now, error),
            (Ask::List(path, _), Outcome::List(outcome)) => {
                self.list_answered(now, path, ticket, outcome);
            }
            (Ask::Read(paths, _), Outcome::Read(read)) => {
                for (path, found) in paths.iter().zip(read) {
                    self.read_answered(now, path, ticket, found);
                }
            }
            // An answer to another question: nobody waits for it.
            (
                Ask::Arm(_) | Ask::Await(_) | Ask::List(..) | Ask::Read(..),
                Outcome::Arm(_) | Outcome::Await(_) | Outcome::List(_) | Outcome::Read(_),
            ) => {}
        }
    }

    fn list_answered(
        &mut self,
        now: Instant,
        path: &ZnodePath,
        ticket: u64,
        outcome: Result<Vec<String>, SessionError>,
    ) {
        let Some(is_stale) = self.nodes.answered(path, Part::Children, ticket) else { return };
        let touched = self.nodes.take_touched(path);
        if is_stale {
            self.want(path, Part::Children);
        }
        let error = match outcome {
            Ok(names) => return self.listed(now, path, ticket, &names, &touched),
            Err(error) => error,
        };
        let is_missing = matches!(error, SessionError::NoNode(_));
        let is_top = *path == self.scope.top;
        if is_top && is_missing {
            // It may be back, and is listed again then.
            if !is_stale {
                self.missed_top(error);
            }
            return;
        }
        touched.iter().for_each(|child| self.discover(child));
        if is_top {
            self.refuse(now, error);
        } else if is_missing {
            // Its own read tells whether it is gone, or back.
            self.nodes.drop_children(path);
            self.want(path, Part::Data);
        } else {
            self.cannot_read(now, path, Part::Children, error);
        }
    }

    fn listed(
        &mut self,
        now: Instant,
        path: &ZnodePath,
        ticket: u64,
        names: &[String],
        touched: &BTreeSet<ZnodePath>,
    ) {
        self.ignored.retain(|(parent, name)| parent != path || names.contains(name));
        let mut listed = BTreeSet::new();
        for name in names {
            match path.child(name) {
                Ok(child) if self.scope.admits(&child) => drop(listed.insert(child)),
                Ok(_) | Err(_) => self.ignore(path, name),
            }
        }
        let known = self.nodes.children(path);
        if self.nodes.count() - known.len() + listed.len() > self.scope.limits.znodes {
            return self.fail(now, Refusal::TooMany(self.scope.limits.znodes));
        }
        let is_current = ticket >= self.fresh_from;
        if *path == self.scope.top {
            self.found_top();
            self.want_if_outdated(path, Part::Data);
        }
        self.nodes.mend(path, Part::Children);
        self.no_retry(path, Part::Children);
        for child in known.iter().filter(|child| !listed.contains(*child)) {
            if !touched.contains(child) {
                self.remove(child);
            }
        }
        if is_current {
            self.nodes.freshen(path, Part::Children);
        }
        for child in listed.union(touched) {
            // One that is just being read may have been read before it came back.
            let is_touched = touched.contains(child);
            self.discover_unless(child, |reading| !is_touched && reading.is_settled());
        }
    }

    fn read_answered(
        &mut self,
        now: Instant,
        path: &ZnodePath,
        ticket: u64,
        outcome: Result<Found<V>, SessionError>,
    ) {
        let Some(is_stale) = self.nodes.answered(path, Part::Data, ticket) else { return };
        if is_stale {
            // The answer may be older than a change that we know of. It is stored all the
            // same, or a busy znode would never be seen; but a znode that seems gone may be
            // back.
            self.want(path, Part::Data);
        }
        match outcome {
            Ok(found) => self.read(now, path, ticket >= self.fresh_from, found),
            Err(SessionError::NoNode(_)) if is_stale => {}
            Err(error @ SessionError::NoNode(_)) if *path == self.scope.top => {
                self.missed_top(error);
            }
            Err(SessionError::NoNode(_)) => self.remove(path),
            Err(error) => self.cannot_read(now, path, Part::Data, error),
        }
    }

    fn read(&mut self, now: Instant, path: &ZnodePath, is_current: bool, found: Found<V>) {
        if self.scope.is_one_znode() {
            self.found_top();
        }
        self.no_retry(path, Part::Data);
        let has_children = found.znode.stat.num_children > 0;
        if let Some(news) = self.nodes.store(path, found, is_current) {
            self.tell(news);
        }
        let limits = self.scope.limits;
        if self.nodes.count() > limits.znodes {
            return self.fail(now, Refusal::TooMany(limits.znodes));
        }
        if self.nodes.bytes() > limits.bytes {
            return self.fail(now, Refusal::TooLarge(limits.bytes));
        }
        self.read_children(path, has_children);
    }

    /// Has the children of a znode listed, if there are any; in any case where that
    /// leaves the only watch on them.
    fn read_children(&mut self, path: &ZnodePath, has_children: bool) {
        if !self.scope.covers_children_of(path) {
            return;
        }
        // Those that it had may be gone.
        if has_children || self.watching == Watching::Each || self.nodes.has_children(path) {
            self.nodes.add_children(path);
        }
        self.want_if_outdated(path, Part::Children);
    }

    /// Has a part read that was not read since that was wanted, nor is about to be.
    fn want_if_outdated(&mut self, path: &ZnodePath, part: Part) {
        let reading = self.nodes.reading(path, part).filter(|reading| !reading.is_fresh);
        let Some(reading) = reading else { return };
        let is_coming =
            matches!(reading.phase, Phase::UnderWay { ticket, .. } if ticket >= self.fresh_from);
        if !is_coming {
            self.want(path, part);
        }
    }

    fn cannot_read(&mut self, now: Instant, path: &ZnodePath, part: Part, error: SessionError) {
        let retry = Again::Part(path.clone(), part);
        if error.is_transient() {
            let node = self.nodes.get(path);
            let is_first_time = node.is_none_or(|node| node.trouble(part).is_none());
            return self.retry.add(now, retry, is_first_time);
        }
        if self.scope.is_one_znode() {
            self.refuse(now, error);
            return self.await_top();
        }
        if self.scope.is_all_or_nothing {
            return self.fail(now, error.into());
        }
        let is_first_time = self.nodes.spoil(path, part, error);
        self.retry.add(now, retry, is_first_time);
        self.nodes.freshen(path, part);
        if part == Part::Data {
            if is_first_time {
                self.tell(News::Unreadable(path.clone()));
            }
            // Its access list may allow that.
            self.read_children(path, true);
        }
    }

    fn found_top(&mut self) {
        self.refusal = None;
        self.retry.remove(&Again::Top);
        if matches!(self.state, State::Missing | State::Refused) {
            // What hints said meanwhile was not taken.
            self.outdate();
            self.state = State::Loading;
        }
    }

    fn missed_top(&mut self, error: SessionError) {
        self.refusal = Some(error);
        self.go_missing();
        self.await_top();
    }

    fn go_missing(&mut self) {
        self.forget_requests();
        self.retry.clear();
        if std::mem::replace(&mut self.state, State::Missing) != State::Missing {
            self.tell(News::Missing);
        }
    }

    /// Leaves a watch on a top that can't be read, where no other one tells of it.
    fn await_top(&mut self) {
        if self.watching == Watching::Each {
            self.ask(Ask::Await(self.scope.top.clone()));
        }
    }

    fn awaited(&mut self, is_there: bool) {
        match (self.state, is_there) {
            // It came this very moment.
            (State::Missing, true) => self.begin(),
            (State::Refused, false) => self.go_missing(),
            (
                State::Away | State::Loading | State::Missing | State::Refused | State::Complete,
                _,
            ) => {}
        }
    }

    /// The top can't be read.
    fn refuse(&mut self, now: Instant, error: SessionError) {
        let is_first_time = self.state != State::Refused;
        if error.is_transient() {
            return self.retry.add(now, Again::Top, false);
        }
        if self.scope.is_all_or_nothing {
            return self.fail(now, error.into());
        }
        self.retry.add(now, Again::Top, is_first_time);
        self.refusal = Some(error.clone());
        if is_first_time {
            self.state = State::Refused;
            self.tell(News::Refused(error.into()));
        }
    }

    /// The whole can't be read. It is read anew later, so there is no use for a part.
    fn fail(&mut self, now: Instant, refusal: Refusal) {
        if let Refusal::Session(error) = &refusal {
            self.refusal = Some(error.clone());
        }
        self.forget_requests();
        let is_first_time = self.state != State::Refused;
        self.retry.add(now, Again::Top, is_first_time);
        // That they are forgotten is news too.
        if is_first_time || self.nodes.count() > 0 {
            self.state = State::Refused;
            self.tell(News::Refused(refusal));
        }
        self.nodes.clear();
    }
}
