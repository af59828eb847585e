//! What a hint makes a cache read.

use super::{Again, Ask, Cache, News, Part, Phase, State, Watching};
use crate::session::{Change, Hint, ZnodePath};
use std::time::Instant;

impl<V> Cache<V> {
    pub(super) fn hint(&mut self, now: Instant, hint: &Hint) {
        let Some(level) = self.scope.level(&hint.path) else { return };
        // All is read once the watch is set. And that children came or went is told of
        // each of them, where the one watch is.
        let is_of_list = hint.change == Change::Children;
        if self.state == State::Away
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
            return self.retry.hasten(now, Again::Top);
        }
        if is_top { self.top_hint(hint.change) } else { self.hint_below(&hint.path, hint.change) }
    }

    pub(super) fn is_listing_top(&self) -> bool {
        let reading = self.nodes.reading(&self.scope.top, Part::Children);
        reading.is_some_and(|list| list.phase != Phase::Idle)
    }

    fn top_hint(&mut self, change: Change) {
        let top = self.scope.top.clone();
        // Whether it was there before this is of no interest any more.
        self.asked.retain(|_, ask| !matches!(**ask, Ask::Await(_)));
        match change {
            Change::Data => self.want(&top, Part::Data),
            Change::Children => self.want(&top, Part::Children),
            Change::Created | Change::Deleted => self.begin(),
        }
    }

    fn hint_below(&mut self, path: &ZnodePath, change: Change) {
        let Some(parent) = path.parent() else { return };
        if !self.scope.admits(path) {
            return self.hint_outside(parent, path, change);
        }
        let is_deleted = change == Change::Deleted;
        if change == Change::Children || is_deleted && self.watching == Watching::Each {
            // The watch of the list is spent, also where the znode is back by now.
            self.want(path, Part::Children);
        }
        if change == Change::Children || self.nodes.touch(&parent, path) {
            return;
        }
        // Where the parent is unknown, it is yet to be listed or read, and what is below
        // it after that.
        if !matches!(self.state, State::Loading | State::Complete)
            || self.nodes.get(&parent).is_none()
        {
            return;
        }
        if is_deleted && !self.has_to_look(path) {
            self.remove(path);
        } else {
            self.discover(path);
        }
    }

    /// Does it take a read to find out whether a znode that was deleted is gone?
    fn has_to_look(&self, path: &ZnodePath) -> bool {
        let reading = self.nodes.reading(path, Part::Data);
        self.scope.confirms_removals || reading.is_some_and(|data| data.phase != Phase::Idle)
    }

    fn hint_outside(&mut self, parent: ZnodePath, path: &ZnodePath, change: Change) {
        let Some(name) = path.name() else { return };
        match change {
            Change::Created => self.ignore(&parent, name),
            Change::Deleted => drop(self.ignored.remove(&(parent, name.to_owned()))),
            Change::Data | Change::Children => {}
        }
    }

    pub(super) fn ignore(&mut self, parent: &ZnodePath, name: &str) {
        let is_deeper = parent != &self.scope.top && self.nodes.get(parent).is_none();
        if !is_deeper && self.ignored.insert((parent.clone(), name.to_owned())) {
            self.tell(News::Ignored { parent: parent.clone(), name: name.to_owned() });
        }
    }

    /// A znode is gone, and so is all below it.
    pub(super) fn remove(&mut self, path: &ZnodePath) {
        for (path, stat) in self.nodes.remove(path) {
            for part in [Part::Data, Part::Children] {
                self.no_retry(&path, part);
            }
            self.tell(News::Removed(path, stat));
        }
    }

    pub(super) fn no_retry(&mut self, path: &ZnodePath, part: Part) {
        if !self.retry.is_empty() {
            self.retry.remove(&Again::Part(path.clone(), part));
        }
    }
}
