//! Which reads a hint causes.

use super::{Ask, Cache, Contents, News, Part, Phase, Refusal, RetryKey, State, Watching};
use crate::session::{Change, Hint, ZnodePath};
use std::time::Instant;

impl<V> Cache<V> {
    pub(super) fn hint(&mut self, now: Instant, hint: &Hint) {
        let Some(level) = self.scope.level(&hint.path) else { return };
        // Before the watch is set nothing has been read that could be out of date. With a
        // watch on the tree every child has hints of its own.
        let is_of_list = hint.change == Change::Children;
        if self.state == State::Disconnected
            || self.watching == Watching::Undecided
            || is_of_list && self.watching != Watching::Each
        {
            return;
        }
        let is_top = level == 0;
        if is_top && hint.change == Change::Data && !self.scope.reads_top() {
            return;
        }
        if self.state == State::Refused && self.scope.is_all_or_nothing && !self.is_listing_top() {
            return self.retry.hasten(now, RetryKey::Top);
        }
        if is_top {
            self.top_hint(hint.change);
        } else {
            self.hint_below(now, &hint.path, hint.change);
        }
    }

    pub(super) fn is_listing_top(&self) -> bool {
        let reading = self.nodes.reading(&self.scope.top, Part::Children);
        reading.is_some_and(|list| list.phase != Phase::Idle)
    }

    fn top_hint(&mut self, change: Change) {
        let top = self.scope.top.clone();
        // The answer would be about the time before this hint.
        self.asked.retain(|_, ask| !matches!(**ask, Ask::Await(_)));
        match change {
            Change::Data => self.schedule_read(&top, Part::Data),
            Change::Children => self.schedule_read(&top, Part::Children),
            Change::Created | Change::Deleted => self.load(),
        }
    }

    fn hint_below(&mut self, now: Instant, path: &ZnodePath, change: Change) {
        let Some(parent) = path.parent() else { return };
        if !self.scope.admits(path) {
            return self.hint_not_admitted(parent, path, change);
        }
        let is_deleted = change == Change::Deleted;
        if change == Change::Children || is_deleted && self.watching == Watching::Each {
            // The one-shot watch on the list has fired, even if the znode exists again.
            self.schedule_read(path, Part::Children);
        }
        if change == Change::Children || self.nodes.note_hint(&parent, path) {
            return;
        }
        // A parent that is unknown will still be listed or read, and then its children.
        if !matches!(self.state, State::Loading | State::Complete)
            || self.nodes.get(&parent).is_none()
        {
            return;
        }
        if is_deleted && !self.must_confirm_removal(path) {
            self.remove(path);
        } else if self.nodes.count() > self.scope.limits.znodes {
            // Not all of them exist, or the list would have been refused: they are listed again.
            self.refuse_all(now, Refusal::TooMany(self.scope.limits.znodes));
        } else {
            self.discover(path);
        }
    }

    /// Tells whether a read has to confirm that a deleted znode is gone.
    fn must_confirm_removal(&self, path: &ZnodePath) -> bool {
        if self.scope.contents == Contents::Names {
            return false;
        }
        let reading = self.nodes.reading(path, Part::Data);
        self.scope.confirms_removals || reading.is_some_and(|data| data.phase != Phase::Idle)
    }

    fn hint_not_admitted(&mut self, parent: ZnodePath, path: &ZnodePath, change: Change) {
        let Some(name) = path.name() else { return };
        match change {
            Change::Created => self.ignore(&parent, name),
            Change::Deleted => drop(self.ignored.remove(&(parent, name.to_owned()))),
            Change::Data | Change::Children => {}
        }
    }

    pub(super) fn ignore(&mut self, parent: &ZnodePath, name: &str) {
        let is_deeper = parent != &self.scope.top && self.nodes.get(parent).is_none();
        let is_full = self.ignored.len() >= self.scope.limits.znodes;
        if !is_deeper && !is_full && self.ignored.insert((parent.clone(), name.to_owned())) {
            self.report(News::Ignored { parent: parent.clone(), name: name.to_owned() });
        }
    }

    /// Removes a znode and everything below it.
    pub(super) fn remove(&mut self, path: &ZnodePath) {
        for (path, stat) in self.nodes.remove(path) {
            for part in [Part::Data, Part::Children] {
                self.cancel_retry(&path, part);
            }
            self.report(News::Removed(path, stat));
        }
    }

    pub(super) fn cancel_retry(&mut self, path: &ZnodePath, part: Part) {
        if !self.retry.is_empty() {
            self.retry.remove(&RetryKey::Part(path.clone(), part));
        }
    }
}
