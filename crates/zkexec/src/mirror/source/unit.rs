//! A unit is a znode or a subtree with all the mirrors that show it.

use super::event::{Action, News, Request};
use super::tree::Tree;
use crate::mirror::{MirrorSpec, Mirrored};
use farm_core::farm::rollout::{Source, SourceBytes};
use farm_core::session::ZnodePath;
use farm_core::session::cache::{self, Cache, Refusal, State};
use std::sync::Arc;
use std::time::Instant;

/// A state machine over the cache of one znode or subtree.
#[derive(Debug)]
pub(super) struct Unit {
    path: ZnodePath,
    /// Some mirror of it is not optional.
    pub(super) is_required: bool,
    cache: Cache<Arc<[u8]>>,
    /// The files of a subtree.
    tree: Option<Tree>,
    /// The value that was read last; `None` before the first read.
    value: Option<Mirrored>,
    is_gone: bool,
    is_unreadable: bool,
}

impl Unit {
    pub(super) fn new(spec: &MirrorSpec) -> Self {
        let source = spec.source();
        Self {
            path: spec.znode.clone(),
            is_required: false,
            cache: Cache::new(source.scope(), |data| {
                let bytes = data.len();
                (Arc::from(data), bytes)
            }),
            tree: spec.is_tree.then(Tree::default),
            value: None,
            is_gone: false,
            is_unreadable: false,
        }
    }

    /// Whether that mirror shows this znode or subtree.
    pub(super) fn is_for(&self, spec: &MirrorSpec) -> bool {
        self.path == spec.znode && self.tree.is_some() == spec.is_tree
    }

    pub(super) const fn value(&self) -> Option<&Mirrored> {
        self.value.as_ref()
    }

    /// What it is, and what it holds in ZooKeeper.
    pub(super) fn source(&self) -> (Source, SourceBytes) {
        let source = match self.tree {
            Some(_) => Source::Tree(self.path.clone()),
            None => Source::Znode(self.path.clone()),
        };
        let bytes = match self.value.as_ref().filter(|_| !self.is_gone) {
            Some(Mirrored::Bytes(bytes)) => SourceBytes::Bytes(Arc::clone(bytes)),
            Some(Mirrored::Tree(leaves)) => SourceBytes::Tree(Arc::clone(leaves)),
            Some(Mirrored::Absent) | None => SourceBytes::Absent,
        };
        (source, bytes)
    }

    /// Whether it was read, is missing, or can't be read.
    pub(super) const fn is_resolved(&self) -> bool {
        matches!(self.cache.state(), State::Complete | State::Missing | State::Refused)
    }

    pub(super) fn is_watching_each(&self) -> bool {
        self.cache.is_watching_each()
    }

    pub(super) fn watch_each(&mut self) {
        self.cache.watch_each();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let tree = self.tree.as_ref().filter(|_| self.cache.state() == State::Complete);
        tree.and_then(Tree::deadline).into_iter().chain(self.cache.deadline()).min()
    }

    /// Handles one event; returns whether the value changed, or the znode was deleted or created.
    pub(super) fn step(
        &mut self,
        now: Instant,
        index: usize,
        event: cache::Event<Arc<[u8]>>,
        actions: &mut Vec<Action>,
    ) -> bool {
        let mut is_changed = false;
        let was_gone = self.is_gone;
        for action in self.cache.step(now, event) {
            match action {
                cache::Action::Request(request) => {
                    actions.push(Action::Request(Request { unit: index, request }));
                }
                cache::Action::Report(news) => is_changed |= self.learn(now, news, actions),
            }
        }
        if self.deadline().is_some_and(|due| due <= now) {
            is_changed |= self.lay_out(now, actions);
        }
        is_changed || was_gone != self.is_gone
    }

    fn learn(&mut self, now: Instant, news: cache::News, actions: &mut Vec<Action>) -> bool {
        match (news, &mut self.tree) {
            (cache::News::Added(_) | cache::News::Changed(_), Some(tree)) => tree.znode_changed(),
            (cache::News::Removed(..), Some(tree)) => tree.znode_removed(now),
            (cache::News::Added(_) | cache::News::Changed(_) | cache::News::Complete, None) => {
                self.mark_present(actions);
                let Some(znode) = self.cache.top() else { return false };
                let bytes = Arc::clone(&znode.data);
                return self.set_value(Mirrored::Bytes(bytes));
            }
            (cache::News::Complete, Some(_)) => {
                self.mark_present(actions);
                return self.lay_out(now, actions);
            }
            (cache::News::Missing, _) => return self.gone(now, actions),
            (cache::News::Refused(why), _) => self.refused(why, actions),
            // A single znode has no descendants, and a subtree is all or nothing: its znodes
            // are never ignored or unreadable one by one.
            (
                cache::News::Removed(..)
                | cache::News::Suspended
                | cache::News::Unreadable(_)
                | cache::News::Ignored { .. },
                _,
            ) => {}
        }
        false
    }

    fn mark_present(&mut self, actions: &mut Vec<Action>) {
        self.is_gone = false;
        if std::mem::take(&mut self.is_unreadable) {
            actions.push(Action::Report(News::Readable(self.path.clone())));
        }
    }

    /// Returns whether the value changed.
    fn set_value(&mut self, value: Mirrored) -> bool {
        let is_other = self.value.as_ref() != Some(&value);
        self.value = Some(value);
        is_other
    }

    fn lay_out(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        let Some(tree) = &mut self.tree else { return false };
        let news = tree.lay_out(now, &self.path, &self.cache);
        actions.extend(news.into_iter().map(Action::Report));
        let leaves = Arc::clone(tree.leaves());
        self.set_value(Mirrored::Tree(leaves))
    }

    fn gone(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        self.is_unreadable = false;
        let was_gone = std::mem::replace(&mut self.is_gone, true);
        let is_known = matches!(self.value, Some(Mirrored::Bytes(_) | Mirrored::Tree(_)));
        if !is_known {
            if self.is_required && !was_gone {
                actions.push(Action::Report(News::Missing(self.path.clone())));
            }
            return self.set_value(Mirrored::Absent);
        }
        if !was_gone {
            actions.push(Action::Report(News::Deleted(self.path.clone())));
        }
        let Some(tree) = &mut self.tree else { return false };
        tree.top_removed(now);
        let leaves = Arc::clone(tree.leaves());
        self.set_value(Mirrored::Tree(leaves))
    }

    fn refused(&mut self, why: Refusal, actions: &mut Vec<Action>) {
        if let Some(tree) = &mut self.tree {
            tree.pause();
        }
        if !std::mem::replace(&mut self.is_unreadable, true) {
            actions.push(Action::Report(News::Unreadable(self.path.clone(), why)));
        }
    }
}

#[cfg(test)]
impl Unit {
    pub(super) const fn path(&self) -> &ZnodePath {
        &self.path
    }

    pub(super) const fn is_tree(&self) -> bool {
        self.tree.is_some()
    }

    pub(super) const fn is_gone(&self) -> bool {
        self.is_gone
    }

    pub(super) const fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }
}
