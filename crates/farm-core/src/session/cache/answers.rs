//! How a cache handles an answer.

use super::{
    Answer, Ask, Cache, Found, News, Outcome, Part, Phase, Refusal, RetryKey, State, Watching,
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
        // Also a late answer tells what the server supports.
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
            (Ask::Arm(_), Outcome::Arm(Ok(()) | Err(SessionError::Unsupported))) => self.load(),
            (Ask::Await(_), Outcome::Await(Ok(is_there))) => self.existence_answered(is_there),
            (Ask::Arm(_), Outcome::Arm(Err(error)))
            | (Ask::Await(_), Outcome::Await(Err(error))) => self.top_failed(now, error),
            (Ask::List(path, _), Outcome::List(outcome)) => {
                self.list_answered(now, path, ticket, outcome);
            }
            (Ask::Read(paths, _), Outcome::Read(read)) => {
                for (path, found) in paths.iter().zip(read) {
                    self.read_answered(now, path, ticket, found);
                }
            }
            // The answer does not fit the request.
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
        let hinted = self.nodes.take_hinted(path);
        if is_stale {
            self.schedule_read(path, Part::Children);
        }
        let error = match outcome {
            Ok(names) => return self.listed(now, path, ticket, &names, &hinted),
            Err(error) => error,
        };
        let is_missing = matches!(error, SessionError::NoNode(_));
        let is_top = *path == self.scope.top;
        if is_top && is_missing {
            // If the list is stale, the top may exist again, and is being listed again.
            if !is_stale {
                self.top_missing(error);
            }
            return;
        }
        hinted.iter().for_each(|child| self.discover(child));
        if is_top {
            self.top_failed(now, error);
        } else if is_missing {
            // A read of the znode itself tells whether it exists.
            self.nodes.drop_children(path);
            self.schedule_read(path, Part::Data);
        } else {
            self.read_failed(now, path, Part::Children, error);
        }
    }

    fn listed(
        &mut self,
        now: Instant,
        path: &ZnodePath,
        ticket: u64,
        names: &[String],
        hinted: &BTreeSet<ZnodePath>,
    ) {
        let limits = self.scope.limits;
        // Before a path is made of each of them.
        if names.len() > limits.znodes {
            return self.refuse_all(now, Refusal::TooMany(limits.znodes));
        }
        if !self.ignored.is_empty() {
            let names: BTreeSet<&String> = names.iter().collect();
            self.ignored.retain(|(parent, name)| parent != path || names.contains(name));
        }
        let mut listed = BTreeSet::new();
        for name in names {
            match path.child(name) {
                Ok(child) if self.scope.admits(&child) => drop(listed.insert(child)),
                Ok(_) | Err(_) => self.ignore(path, name),
            }
        }
        let known = self.nodes.children(path);
        if self.nodes.count() - known.len() + listed.len() > limits.znodes {
            return self.refuse_all(now, Refusal::TooMany(limits.znodes));
        }
        let is_current = ticket >= self.fresh_from;
        if *path == self.scope.top {
            self.top_found();
            self.schedule_read_if_outdated(path, Part::Data);
        }
        self.nodes.clear_error(path, Part::Children);
        self.cancel_retry(path, Part::Children);
        for child in known.iter().filter(|child| !listed.contains(*child)) {
            if !hinted.contains(child) {
                self.remove(child);
            }
        }
        if is_current {
            self.nodes.mark_fresh(path, Part::Children);
        }
        for child in listed.union(hinted) {
            // A read in flight may be older than the hint.
            let is_hinted = hinted.contains(child);
            self.discover_unless(child, |reading| !is_hinted && reading.is_settled());
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
            // The answer may be older than the latest change. It is stored nevertheless, or
            // a busy znode would never be seen. But an answer that the znode does not exist
            // may be out of date.
            self.schedule_read(path, Part::Data);
        }
        match outcome {
            Ok(found) => self.store(now, path, ticket >= self.fresh_from, found),
            Err(SessionError::NoNode(_)) if is_stale => {}
            Err(error @ SessionError::NoNode(_)) if *path == self.scope.top => {
                self.top_missing(error);
            }
            Err(SessionError::NoNode(_)) => self.remove(path),
            Err(error) => self.read_failed(now, path, Part::Data, error),
        }
    }

    fn store(&mut self, now: Instant, path: &ZnodePath, is_current: bool, found: Found<V>) {
        if self.scope.is_one_znode() {
            self.top_found();
        }
        self.cancel_retry(path, Part::Data);
        let has_children = found.znode.stat.num_children > 0;
        if let Some(news) = self.nodes.store(path, found, is_current) {
            self.report(news);
        }
        let limits = self.scope.limits;
        if self.nodes.count() > limits.znodes {
            return self.refuse_all(now, Refusal::TooMany(limits.znodes));
        }
        if self.nodes.bytes() > limits.bytes {
            return self.refuse_all(now, Refusal::TooLarge(limits.bytes));
        }
        self.read_children(path, has_children);
    }

    /// Schedules a list of the children of a znode if there are any, or if the list is
    /// needed to watch them.
    fn read_children(&mut self, path: &ZnodePath, has_children: bool) {
        if !self.scope.covers_children_of(path) {
            return;
        }
        // Also if it had children: they may be gone.
        if has_children || self.watching == Watching::Each || self.nodes.has_children(path) {
            self.nodes.add_children(path);
        }
        self.schedule_read_if_outdated(path, Part::Children);
    }

    /// Schedules a read of a part that is out of date, unless a recent one is in flight.
    fn schedule_read_if_outdated(&mut self, path: &ZnodePath, part: Part) {
        let reading = self.nodes.reading(path, part).filter(|reading| !reading.is_fresh);
        let Some(reading) = reading else { return };
        let is_coming =
            matches!(reading.phase, Phase::UnderWay { ticket, .. } if ticket >= self.fresh_from);
        if !is_coming {
            self.schedule_read(path, part);
        }
    }

    fn read_failed(&mut self, now: Instant, path: &ZnodePath, part: Part, error: SessionError) {
        let retry = RetryKey::Part(path.clone(), part);
        if error.is_transient() {
            let node = self.nodes.get(path);
            let is_first_time = node.is_none_or(|node| node.error(part).is_none());
            return self.retry.add(now, retry, is_first_time);
        }
        if self.scope.is_one_znode() {
            self.top_failed(now, error);
            return self.watch_missing_top();
        }
        if self.scope.is_all_or_nothing {
            return self.refuse_all(now, error.into());
        }
        let is_first_time = self.nodes.set_error(path, part, error);
        self.retry.add_unannounced(now, retry, is_first_time);
        self.nodes.mark_fresh(path, part);
        if part == Part::Data {
            if is_first_time {
                self.report(News::Unreadable(path.clone()));
            }
            // The access list may forbid to read and allow to list.
            self.read_children(path, true);
        }
    }

    fn top_found(&mut self) {
        self.refusal = None;
        self.retry.remove(&RetryKey::Top);
        if matches!(self.state, State::Missing | State::Refused) {
            // Hints were ignored meanwhile.
            self.outdate();
            self.state = State::Loading;
        }
    }

    fn top_missing(&mut self, error: SessionError) {
        self.refusal = Some(error);
        self.enter_missing();
        self.watch_missing_top();
    }

    fn enter_missing(&mut self) {
        self.drop_requests();
        self.retry.clear();
        if std::mem::replace(&mut self.state, State::Missing) != State::Missing {
            self.report(News::Missing);
        }
    }

    /// Leaves a watch on a top that can't be read, unless the watch on the tree covers it.
    fn watch_missing_top(&mut self) {
        if self.watching == Watching::Each {
            self.ask(Ask::Await(self.scope.top.clone()));
        }
    }

    fn existence_answered(&mut self, is_there: bool) {
        match (self.state, is_there) {
            // It was created meanwhile.
            (State::Missing, true) => self.load(),
            (State::Refused, false) => self.enter_missing(),
            (
                State::Disconnected
                | State::Loading
                | State::Missing
                | State::Refused
                | State::Complete,
                _,
            ) => {}
        }
    }

    /// The top can't be read.
    fn top_failed(&mut self, now: Instant, error: SessionError) {
        let is_first_time = self.state != State::Refused;
        if error.is_transient() {
            return self.retry.add(now, RetryKey::Top, false);
        }
        if self.scope.is_all_or_nothing {
            return self.refuse_all(now, error.into());
        }
        self.retry.add_unannounced(now, RetryKey::Top, is_first_time);
        self.refusal = Some(error.clone());
        if is_first_time {
            self.state = State::Refused;
            self.report(News::Refused(error.into()));
        }
    }

    /// Refuses everything. All of it is read again later, so no part of it is kept.
    pub(super) fn refuse_all(&mut self, now: Instant, refusal: Refusal) {
        self.drop_requests();
        let is_first_time = self.state != State::Refused;
        let error = refusal.error(&self.scope.top);
        if matches!(refusal, Refusal::Session(_)) {
            self.retry.add_unannounced(now, RetryKey::Top, is_first_time);
        } else {
            self.retry.add(now, RetryKey::Top, is_first_time);
        }
        self.refusal = Some(error);
        // The owner must also learn that the znodes below the top were dropped.
        if is_first_time || self.nodes.count() > 0 {
            self.state = State::Refused;
            self.report(News::Refused(refusal));
        }
        self.nodes.clear();
    }
}
