//! Follows the znodes of all mirrors, with one [cache](farm_core::session::cache) for each znode
//! or subtree.
//!
//! **Invariant.** A content is reported as complete only when everything in it was read since the
//! latest connection, or was read before and can't be read now. Deleted and unreadable znodes keep
//! their last bytes.

mod event;
#[cfg(test)]
mod tests;
mod tree;
mod unit;

#[cfg(test)]
use event::Request;
pub(crate) use event::{Action, Answer, Event, News};

use super::{Content, MirrorSpec, Mirrored};
use farm_core::farm::rollout::{Source, SourceBytes, version_of};
use farm_core::session::{self, cache};
use std::sync::Arc;
use std::time::Instant;
use unit::Unit;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No connection: what was read may be out of date.
    Disconnected,
    /// The znodes are being read.
    Loading,
    /// Everything has been read.
    Complete,
}

/// The state machine; see the module documentation.
#[derive(Debug)]
pub(crate) struct MirrorSource {
    state: State,
    /// For each mirror the index of its unit, and whether the znode may be missing.
    mirrors: Vec<(usize, bool)>,
    units: Vec<Unit>,
    /// The content that was reported last.
    reported: Option<Content>,
    actions: Vec<Action>,
}

impl MirrorSource {
    /// Creates a source for these mirrors that has read nothing yet.
    #[must_use]
    pub(crate) fn new(specs: &[MirrorSpec]) -> Self {
        let mut units: Vec<Unit> = Vec::new();
        let mut mirrors = Vec::new();
        for spec in specs {
            let index = units.iter().position(|unit| unit.is_for(spec)).unwrap_or_else(|| {
                units.push(Unit::new(spec));
                units.len() - 1
            });
            if let Some(unit) = units.get_mut(index) {
                unit.is_required |= !spec.is_optional;
            }
            mirrors.push((index, spec.is_optional));
        }
        Self { state: State::Disconnected, mirrors, units, reported: None, actions: Vec::new() }
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.units.iter().filter_map(Unit::deadline).min()
    }

    /// Handles one event.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        use cache::Event as Cached;
        let is_changed = match event {
            Event::Session(event) => {
                match event {
                    session::Event::Connected { .. } => self.state = State::Loading,
                    session::Event::Suspended(_) | session::Event::Lost => {
                        self.state = State::Disconnected;
                    }
                    session::Event::Hint(_)
                    | session::Event::GaveUp(_)
                    | session::Event::AuthRefused(_) => {}
                }
                self.step_all(now, || Cached::Session(event.clone()))
            }
            Event::Refresh => {
                if self.state == State::Complete {
                    self.state = State::Loading;
                }
                self.step_all(now, || Cached::Refresh)
            }
            Event::Tick => self.step_all(now, || Cached::Tick),
            Event::Answered(Answer { unit, answer }) => {
                self.step_unit(now, unit, Cached::Answered(answer))
            }
        };
        self.report(is_changed);
        std::mem::take(&mut self.actions)
    }

    fn step_all(&mut self, now: Instant, event: impl Fn() -> cache::Event<Arc<[u8]>>) -> bool {
        let mut is_changed = false;
        for index in 0..self.units.len() {
            is_changed |= self.step_unit(now, index, event());
        }
        is_changed
    }

    /// Passes an event to a unit; returns whether its value changed.
    fn step_unit(&mut self, now: Instant, index: usize, event: cache::Event<Arc<[u8]>>) -> bool {
        let Some(unit) = self.units.get_mut(index) else { return false };
        let is_changed = unit.step(now, index, event, &mut self.actions);
        if unit.is_watching_each() {
            self.units.iter_mut().for_each(Unit::watch_each);
        }
        is_changed
    }

    /// Reports the content if it has become complete or has changed.
    fn report(&mut self, is_changed: bool) {
        let is_read = self.units.iter().all(Unit::is_resolved);
        let is_completed = self.state == State::Loading && is_read;
        let is_update = self.state == State::Complete && is_changed;
        if !is_completed && !is_update {
            return;
        }
        let Some(content) = self.current_content() else { return };
        if is_completed {
            self.state = State::Complete;
            self.actions.push(Action::Report(News::Complete(content.clone())));
        } else if self.reported.as_ref().is_some_and(|reported| reported.is_same(&content)) {
            return;
        } else {
            self.actions.push(Action::Report(News::Changed(content.clone())));
        }
        self.reported = Some(content);
    }

    /// The content of all mirrors; `None` while a required znode is missing. Its version is that
    /// of the znodes: one that was deleted has none, although its file stays.
    fn current_content(&self) -> Option<Content> {
        let held = |(index, is_optional): &(usize, bool)| match self.units.get(*index)?.value() {
            Some(Mirrored::Absent) if !is_optional => None,
            value => value.cloned(),
        };
        let mirrored = self.mirrors.iter().map(held).collect::<Option<Vec<_>>>()?;
        let sources: Vec<(Source, SourceBytes)> = self.units.iter().map(Unit::source).collect();
        let version = version_of(sources.iter().map(|(source, bytes)| (source, bytes)));
        Some(Content::of(mirrored, version))
    }
}
