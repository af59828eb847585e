//! What ZooKeeper has for the mirrors: a view of one [cache](farm_core::session::cache)
//! for each znode or subtree.
//!
//! **Invariant.** A content is told to be complete only when everything in it was
//! read since the latest contact, or was there and can't be read now. What went or
//! can't be read keeps its last bytes.

mod event;
mod layout;
#[cfg(test)]
mod tests;
mod tree;
mod unit;

#[cfg(test)]
use event::Request;
pub(crate) use event::{Action, Answer, Event, News};

use super::{Content, MirrorSpec, Mirrored};
use farm_core::session::{self, cache};
use std::sync::Arc;
use std::time::Instant;
use unit::Unit;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No contact: what was read may be out of date.
    Away,
    /// Reading.
    Loading,
    /// All there is.
    Complete,
}

/// The machine. See the module's page.
#[derive(Debug)]
pub(crate) struct MirrorSource {
    state: State,
    /// Which unit a mirror shows, and whether it may be missing.
    mirrors: Vec<(usize, bool)>,
    units: Vec<Unit>,
    told: Option<Content>,
    actions: Vec<Action>,
}

impl MirrorSource {
    /// A source of these mirrors, about which nothing is known yet.
    #[must_use]
    pub(crate) fn new(specs: &[MirrorSpec]) -> Self {
        let mut units: Vec<Unit> = Vec::new();
        let mut mirrors = Vec::new();
        for spec in specs {
            let index = units.iter().position(|unit| unit.is_of(spec)).unwrap_or_else(|| {
                units.push(Unit::new(spec));
                units.len() - 1
            });
            if let Some(unit) = units.get_mut(index) {
                unit.is_required |= !spec.is_optional;
            }
            mirrors.push((index, spec.is_optional));
        }
        Self { state: State::Away, mirrors, units, told: None, actions: Vec::new() }
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.units.iter().filter_map(Unit::deadline).min()
    }

    /// Takes one event.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        use cache::Event as Cached;
        let is_changed = match event {
            Event::Session(event) => {
                match event {
                    session::Event::Connected { .. } => self.state = State::Loading,
                    session::Event::Suspended(_) | session::Event::Lost => self.state = State::Away,
                    session::Event::Hint(_)
                    | session::Event::GaveUp(_)
                    | session::Event::AuthRefused(_) => {}
                }
                self.each(now, || Cached::Session(event.clone()))
            }
            Event::Refresh => {
                if self.state == State::Complete {
                    self.state = State::Loading;
                }
                self.each(now, || Cached::Refresh)
            }
            Event::Tick => self.each(now, || Cached::Tick),
            Event::Answered(Answer { unit, answer }) => {
                self.unit(now, unit, Cached::Answered(answer))
            }
        };
        self.settle(is_changed);
        std::mem::take(&mut self.actions)
    }

    fn each(&mut self, now: Instant, event: impl Fn() -> cache::Event<Arc<[u8]>>) -> bool {
        let mut is_changed = false;
        for index in 0..self.units.len() {
            is_changed |= self.unit(now, index, event());
        }
        is_changed
    }

    /// Brings an event to a unit; tells whether the unit shows something else now.
    fn unit(&mut self, now: Instant, index: usize, event: cache::Event<Arc<[u8]>>) -> bool {
        let Some(unit) = self.units.get_mut(index) else { return false };
        let is_changed = unit.step(now, index, event, &mut self.actions);
        if unit.is_watching_each() {
            self.units.iter_mut().for_each(Unit::watch_each);
        }
        is_changed
    }

    fn settle(&mut self, is_changed: bool) {
        let is_read = self.units.iter().all(Unit::is_settled);
        let is_completed = self.state == State::Loading && is_read;
        let is_update = self.state == State::Complete && is_changed;
        if !is_completed && !is_update {
            return;
        }
        let Some(content) = self.whole() else { return };
        if is_completed {
            self.state = State::Complete;
            self.actions.push(Action::Tell(News::Complete(content.clone())));
        } else if self.told.as_ref() == Some(&content) {
            return;
        } else {
            self.actions.push(Action::Tell(News::Changed(content.clone())));
        }
        self.told = Some(content);
    }

    /// What all mirrors hold; `None` while one of them can't be without what is missing.
    fn whole(&self) -> Option<Content> {
        let held = |(index, is_optional): &(usize, bool)| match self.units.get(*index)?.value() {
            Some(Mirrored::Absent) if !is_optional => None,
            value => value.cloned(),
        };
        self.mirrors.iter().map(held).collect::<Option<Vec<_>>>().map(Content::of)
    }
}
