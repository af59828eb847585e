//! What ZooKeeper has for the mirrors.
//!
//! A pure machine: it is told what happened and answers with what to ask and what
//! there is to know. A change of one znode costs one read.
//!
//! **Invariant.** A content is told to be complete only when everything in it was
//! read since the latest contact, or was there and can't be read now. What went or
//! can't be read keeps its last bytes.

mod desk;
mod event;
mod layout;
mod request;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

pub(crate) use event::{Action, Event, News};
pub(crate) use request::{Answer, Request, Unreadable};

use super::{Content, MirrorSpec, Mirrored};
use desk::Desk;
use farm_core::engine::RetrySet;
use farm_core::session::{Change, Hint, SessionError, ZnodePath};
use request::{Ask, Found, Outcome};
use std::sync::Arc;
use std::time::Instant;
use tree::{Finding, Tree};

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
pub(crate) struct Source {
    state: State,
    /// Which unit a mirror shows, and whether it may be missing.
    mirrors: Vec<(usize, bool)>,
    units: Vec<Unit>,
    desk: Desk,
    told: Option<Content>,
    /// Units: a change of an access list is never announced.
    retry: RetrySet<usize>,
}

/// A znode or a subtree, for all the mirrors that show it.
#[derive(Debug)]
struct Unit {
    path: ZnodePath,
    /// Some mirror can't be without it.
    is_required: bool,
    kind: Kind,
    /// What was there last; nothing before it was read for the first time.
    value: Option<Mirrored>,
    /// Read since the latest contact.
    is_fresh: bool,
    is_gone: bool,
    is_unreadable: bool,
}

#[derive(Debug)]
enum Kind {
    /// The read that is under way, and whether it has to be repeated.
    Single(Option<(u64, bool)>),
    Tree(Box<Tree>),
}

impl Source {
    /// A source of these mirrors, about which nothing is known yet.
    #[must_use]
    pub(crate) fn new(specs: &[MirrorSpec]) -> Self {
        let mut units: Vec<Unit> = Vec::new();
        let mut mirrors = Vec::new();
        for spec in specs {
            let is_it = |unit: &Unit| unit.path == spec.znode && unit.is_tree() == spec.is_tree;
            let index = units.iter().position(is_it).unwrap_or_else(|| {
                units.push(Unit::new(spec.znode.clone(), spec.is_tree));
                units.len() - 1
            });
            if let Some(unit) = units.get_mut(index) {
                unit.is_required |= !spec.is_optional;
            }
            mirrors.push((index, spec.is_optional));
        }
        Self {
            state: State::Away,
            mirrors,
            units,
            desk: Desk::new(),
            told: None,
            retry: RetrySet::new(),
        }
    }

    /// The content that was told last.
    #[cfg(test)]
    pub(crate) const fn content(&self) -> Option<&Content> {
        self.told.as_ref()
    }

    /// Whether that was read since the latest contact and the latest [`Event::Refresh`].
    #[cfg(test)]
    pub(crate) const fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let trees = self.units.iter().filter_map(|unit| match &unit.kind {
            Kind::Tree(tree) => tree.deadline(),
            Kind::Single(_) => None,
        });
        trees.chain(self.retry.deadline()).min()
    }

    /// Takes one event.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let is_changed = match event {
            Event::Connected { is_new } => self.connected(is_new),
            Event::Away => self.away(),
            Event::Hint(hint) => self.hint(now, &hint),
            Event::Answered(answer) => self.answered(now, answer),
            Event::Refresh => self.refresh(),
            Event::Tick => self.tick(now),
        };
        self.settle(now, is_changed);
        std::mem::take(&mut self.desk.actions)
    }

    fn connected(&mut self, is_new: bool) -> bool {
        if is_new {
            self.desk.session += 1;
            self.desk.is_old = false;
        }
        for unit in &mut self.units {
            if let Kind::Tree(tree) = &mut unit.kind
                && is_new
            {
                tree.disarm();
            }
        }
        self.reload();
        false
    }

    fn away(&mut self) -> bool {
        self.state = State::Away;
        self.retry.clear();
        for unit in &mut self.units {
            unit.forget_requests();
        }
        false
    }

    fn refresh(&mut self) -> bool {
        if self.state != State::Away {
            self.reload();
        }
        false
    }

    fn reload(&mut self) {
        self.state = State::Loading;
        self.retry.clear();
        for index in 0..self.units.len() {
            self.units[index].is_fresh = false;
            self.begin(index, true);
        }
    }

    /// Reads a unit, after what is just being read of it or instead of that.
    fn begin(&mut self, index: usize, is_anew: bool) {
        self.desk.unit = index;
        let unit = &mut self.units[index];
        match &mut unit.kind {
            Kind::Single(Some((_, is_stale))) if !is_anew => *is_stale = true,
            Kind::Single(reading) => {
                *reading = Some((self.desk.ask(Ask::Read(unit.path.clone())), false));
            }
            Kind::Tree(tree) if is_anew => tree.reload(&mut self.desk),
            Kind::Tree(tree) => tree.begin_survey(&mut self.desk),
        }
    }

    fn hint(&mut self, now: Instant, hint: &Hint) -> bool {
        if self.state == State::Away {
            return false;
        }
        for index in 0..self.units.len() {
            self.desk.unit = index;
            let unit = &mut self.units[index];
            match &mut unit.kind {
                Kind::Single(_) if unit.path == hint.path && hint.change != Change::Children => {
                    self.begin(index, false);
                }
                Kind::Single(_) => {}
                Kind::Tree(tree) => {
                    let finding = tree.hint(now, &mut self.desk, &hint.path, hint.change);
                    self.found(now, index, finding);
                }
            }
        }
        // A znode that went costs no answer to wait for.
        true
    }

    fn answered(&mut self, now: Instant, answer: Answer) -> bool {
        let Answer { ticket, session, unit: index, outcome } = answer;
        if session != self.desk.session || index >= self.units.len() {
            return false;
        }
        self.desk.unit = index;
        if let (Outcome::Arm(armed), Kind::Tree(tree)) = (&outcome, &mut self.units[index].kind) {
            tree.learn(armed);
            self.desk.is_old |= matches!(armed, Err(SessionError::Unsupported));
        }
        let desk = &mut self.desk;
        let finding = match (outcome, &mut self.units[index].kind) {
            (Outcome::Read(found), Kind::Single(_)) => {
                return self.read(now, index, ticket, found);
            }
            (Outcome::Arm(armed), Kind::Tree(tree)) => tree.armed(desk, ticket, armed),
            (Outcome::Walk(nodes), Kind::Tree(tree)) => tree.walked(now, desk, ticket, nodes),
            (Outcome::Look(path, found), Kind::Tree(tree)) => {
                tree.looked(now, desk, ticket, &path, found)
            }
            (Outcome::Read(_), Kind::Tree(_))
            | (Outcome::Arm(_) | Outcome::Walk(_) | Outcome::Look(..), Kind::Single(_)) => {
                return false;
            }
        };
        self.found(now, index, finding);
        true
    }

    fn read(&mut self, now: Instant, index: usize, ticket: u64, found: Found) -> bool {
        let Kind::Single(reading) = &mut self.units[index].kind else { return false };
        let Some((_, is_stale)) = reading.take_if(|(expected, _)| *expected == ticket) else {
            return false;
        };
        if is_stale {
            self.begin(index, false);
        }
        match found {
            Ok(Some(bytes)) => self.there(index, Mirrored::Bytes(bytes)),
            // It may be back.
            Ok(None) if is_stale => {}
            Ok(None) => self.gone(index),
            Err(error) => self.trouble(now, index, error.into()),
        }
        true
    }

    fn found(&mut self, now: Instant, index: usize, finding: Finding) {
        match finding {
            Finding::Nothing => {}
            Finding::There => {
                if let Kind::Tree(tree) = &self.units[index].kind {
                    let leaves = Arc::clone(tree.leaves());
                    self.there(index, Mirrored::Tree(leaves));
                }
            }
            Finding::Gone => self.gone(index),
            Finding::Trouble(why) => self.trouble(now, index, why),
            Finding::Stirred => self.retry.hasten(now, index),
        }
    }

    fn there(&mut self, index: usize, value: Mirrored) {
        self.retry.remove(&index);
        let unit = &mut self.units[index];
        unit.value = Some(value);
        unit.is_fresh = true;
        unit.is_gone = false;
        unit.is_unreadable = false;
    }

    fn gone(&mut self, index: usize) {
        self.retry.remove(&index);
        let unit = &mut self.units[index];
        unit.is_fresh = true;
        unit.is_unreadable = false;
        let was_gone = std::mem::replace(&mut unit.is_gone, true);
        match &mut unit.value {
            Some(Mirrored::Bytes(_)) => {}
            // What went before the top did has gone with it.
            Some(Mirrored::Tree(leaves)) => {
                if let Kind::Tree(tree) = &unit.kind {
                    *leaves = Arc::clone(tree.leaves());
                }
            }
            value @ (None | Some(Mirrored::Absent)) => {
                *value = Some(Mirrored::Absent);
                if unit.is_required && !was_gone {
                    self.desk.tell(News::Missing(unit.path.clone()));
                }
                return;
            }
        }
        if !was_gone {
            self.desk.tell(News::Deleted(unit.path.clone()));
        }
    }

    fn trouble(&mut self, now: Instant, index: usize, why: Unreadable) {
        let unit = &mut self.units[index];
        if why.is_transient() {
            return self.retry.add(now, index, false);
        }
        unit.is_fresh = true;
        let is_first_time = !std::mem::replace(&mut unit.is_unreadable, true);
        self.retry.add(now, index, is_first_time);
        if is_first_time {
            self.desk.tell(News::Unreadable(unit.path.clone(), why));
        }
    }

    fn tick(&mut self, now: Instant) -> bool {
        for index in self.retry.take(now) {
            self.begin(index, false);
        }
        false
    }

    fn settle(&mut self, now: Instant, is_changed: bool) {
        if self.state == State::Away {
            return;
        }
        let mut is_changed = is_changed;
        for (index, unit) in self.units.iter_mut().enumerate() {
            self.desk.unit = index;
            let Kind::Tree(tree) = &mut unit.kind else { continue };
            if tree.settle(now, &mut self.desk) {
                unit.value = Some(Mirrored::Tree(Arc::clone(tree.leaves())));
                is_changed = true;
            }
        }
        let is_read = self.units.iter().all(|unit| unit.is_fresh);
        let is_completed = self.state == State::Loading && is_read;
        let is_update = self.state == State::Complete && is_changed;
        if !is_completed && !is_update {
            return;
        }
        let Some(content) = self.whole() else { return };
        if is_completed {
            self.state = State::Complete;
            self.desk.tell(News::Complete(content.clone()));
        } else if self.told.as_ref() == Some(&content) {
            return;
        } else {
            self.desk.tell(News::Changed(content.clone()));
        }
        self.told = Some(content);
    }

    /// What all mirrors hold; `None` while one of them can't be without what is missing.
    fn whole(&self) -> Option<Content> {
        let held = |(index, is_optional): &(usize, bool)| match &self.units.get(*index)?.value {
            Some(Mirrored::Absent) if !is_optional => None,
            value => value.clone(),
        };
        self.mirrors.iter().map(held).collect::<Option<Vec<_>>>().map(Content::of)
    }
}

impl Unit {
    fn new(path: ZnodePath, is_tree: bool) -> Self {
        let kind = match is_tree {
            true => Kind::Tree(Box::new(Tree::new(path.clone()))),
            false => Kind::Single(None),
        };
        Self {
            path,
            is_required: false,
            kind,
            value: None,
            is_fresh: false,
            is_gone: false,
            is_unreadable: false,
        }
    }

    const fn is_tree(&self) -> bool {
        matches!(self.kind, Kind::Tree(_))
    }

    fn forget_requests(&mut self) {
        match &mut self.kind {
            Kind::Single(reading) => *reading = None,
            Kind::Tree(tree) => tree.forget_requests(),
        }
    }
}
