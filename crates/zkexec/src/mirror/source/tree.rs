//! One subtree.
//!
//! Once the watch is set, the subtree is read as a whole; from then on a hint about
//! a znode costs one read of that znode, or none if it went. Older servers have no
//! such watch: there every znode and every list has one, and what comes or goes has
//! the whole subtree read again.
//!
//! **Invariant.** A znode that was hinted at is read after the hint, whatever else
//! was being read meanwhile.

use super::desk::Desk;
use super::layout::{Layout, lay_out};
use super::request::{Ask, BYTES_MAX, Found, ZNODES_MAX};
use super::walk::Nodes;
use super::{News, Unreadable};
use crate::mirror::Leaves;
use farm_core::session::{Change, SessionError, Watch, ZnodePath};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As many reads may be under way at once: few enough to be thrown away when the
/// link breaks.
const READS_MAX: usize = 64;

/// So long a pause per znode is made between working the files out and working
/// them out again: a fraction of the time goes there, however fast a subtree changes.
const LAY_OUT_PAUSE: Duration = Duration::from_micros(20);

/// Znodes that go one after the other go together: ZooKeeper deletes a subtree one
/// znode at a time.
const SPELL_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watching {
    /// The watch is to be set.
    Undecided,
    /// One watch for all, that lives as long as the session.
    Whole,
    /// Every read leaves a watch of its own.
    Each,
}

/// The one request about the subtree as a whole that is under way.
#[derive(Debug)]
struct Survey {
    ticket: u64,
    /// Something came or went since: ask again.
    is_stale: bool,
    /// Znodes that were hinted at since: the answer may be too old to know.
    touched: BTreeSet<ZnodePath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Queued,
    Reading { ticket: u64, is_stale: bool },
}

/// Znodes that go, one after the other.
#[derive(Debug)]
struct Spell {
    before: Arc<Leaves>,
    last: Instant,
}

/// What became known about the subtree.
#[derive(Debug)]
pub(super) enum Finding {
    /// Nothing yet, or nothing new.
    Nothing,
    /// All of it was read.
    There,
    /// Its top is not there.
    Gone,
    /// It can't be read.
    Trouble(Unreadable),
    /// It can't be read so far, and something happened there.
    Stirred,
}

#[derive(Debug)]
pub(super) struct Tree {
    top: ZnodePath,
    watching: Watching,
    survey: Option<Survey>,
    reads: BTreeMap<ZnodePath, Phase>,
    queue: VecDeque<ZnodePath>,
    under_way: usize,
    nodes: Nodes,
    bytes: usize,
    /// What is in `nodes` is not all there is.
    is_in_trouble: bool,
    /// The files don't follow from the znodes any more.
    is_dirty: bool,
    laid_out_at: Option<Instant>,
    leaves: Arc<Leaves>,
    spell: Option<Spell>,
    skipped: BTreeSet<ZnodePath>,
    has_overlooked: bool,
}

impl Tree {
    pub(super) fn new(top: ZnodePath) -> Self {
        Self {
            top,
            watching: Watching::Undecided,
            survey: None,
            reads: BTreeMap::new(),
            queue: VecDeque::new(),
            under_way: 0,
            nodes: Nodes::new(),
            bytes: 0,
            is_in_trouble: false,
            is_dirty: false,
            laid_out_at: None,
            leaves: Arc::default(),
            spell: None,
            skipped: BTreeSet::new(),
            has_overlooked: false,
        }
    }

    /// The files, as far as they were worked out.
    pub(super) const fn leaves(&self) -> &Arc<Leaves> {
        &self.leaves
    }

    /// The watch went with the session.
    pub(super) fn disarm(&mut self) {
        self.watching = Watching::Undecided;
    }

    /// Answers to what was asked come no more, or count no more.
    pub(super) fn forget_requests(&mut self) {
        self.survey = None;
        self.reads.clear();
        self.queue.clear();
        self.under_way = 0;
    }

    /// Reads all of it, whatever is known or under way.
    pub(super) fn reload(&mut self, desk: &mut Desk) {
        self.forget_requests();
        self.begin_survey(desk);
    }

    /// Reads all of it, after what is just being read.
    pub(super) fn begin_survey(&mut self, desk: &mut Desk) {
        if let Some(survey) = &mut self.survey {
            survey.is_stale = true;
            return;
        }
        if self.watching == Watching::Undecided && desk.is_old() {
            self.watching = Watching::Each;
        }
        let top = self.top.clone();
        let ticket = desk.ask(match self.watching {
            Watching::Undecided => Ask::Arm(top),
            Watching::Whole => Ask::Walk(top, Watch::No),
            Watching::Each => Ask::Walk(top, Watch::Yes),
        });
        self.survey = Some(Survey { ticket, is_stale: false, touched: BTreeSet::new() });
    }

    /// What the server can is true whenever it was learnt.
    pub(super) fn learn(&mut self, armed: &Result<(), SessionError>) {
        match armed {
            Ok(()) => self.watching = Watching::Whole,
            Err(SessionError::Unsupported) => self.watching = Watching::Each,
            Err(_) => {}
        }
    }

    /// Something happened at `path`, if that is in the subtree.
    pub(super) fn hint(
        &mut self,
        now: Instant,
        desk: &mut Desk,
        path: &ZnodePath,
        change: Change,
    ) -> Finding {
        let is_top = *path == self.top;
        if !is_top && !is_below(path, &self.top) {
            return Finding::Nothing;
        }
        let is_structure = match change {
            // The bytes of the top are in no file.
            Change::Data if is_top => return Finding::Nothing,
            Change::Data => false,
            Change::Children if self.watching != Watching::Each => return Finding::Nothing,
            Change::Children => true,
            Change::Created | Change::Deleted => is_top || self.watching == Watching::Each,
        };
        if let Some(survey) = &mut self.survey {
            survey.is_stale |= is_structure;
            if !is_top {
                survey.touched.insert(path.clone());
            }
            if let Some(Phase::Reading { is_stale, .. }) = self.reads.get_mut(path) {
                *is_stale = true;
            }
            return Finding::Nothing;
        }
        if self.is_in_trouble {
            return Finding::Stirred;
        }
        if is_structure {
            self.begin_survey(desk);
        } else if change == Change::Deleted && !self.reads.contains_key(path) {
            self.remove(now, path);
        } else {
            self.want(desk, path);
        }
        Finding::Nothing
    }

    /// Has a znode read, again if it is just being read.
    fn want(&mut self, desk: &mut Desk, path: &ZnodePath) {
        match self.reads.get_mut(path) {
            Some(Phase::Queued) => {}
            Some(Phase::Reading { is_stale, .. }) => *is_stale = true,
            None => {
                self.reads.insert(path.clone(), Phase::Queued);
                self.queue.push_back(path.clone());
                self.feed(desk);
            }
        }
    }

    fn feed(&mut self, desk: &mut Desk) {
        let watch = if self.watching == Watching::Each { Watch::Yes } else { Watch::No };
        while self.under_way < READS_MAX {
            let Some(path) = self.queue.pop_front() else { return };
            let ticket = desk.ask(Ask::Look(path.clone(), watch));
            self.reads.insert(path, Phase::Reading { ticket, is_stale: false });
            self.under_way += 1;
        }
    }

    /// The watch is set, or can't be.
    pub(super) fn armed(
        &mut self,
        desk: &mut Desk,
        ticket: u64,
        outcome: Result<(), SessionError>,
    ) -> Finding {
        if self.survey.take_if(|survey| survey.ticket == ticket).is_none() {
            return Finding::Nothing;
        }
        match outcome {
            Ok(()) | Err(SessionError::Unsupported) => {
                self.begin_survey(desk);
                Finding::Nothing
            }
            Err(error) => self.fail(error.into()),
        }
    }

    /// The subtree was read.
    pub(super) fn walked(
        &mut self,
        now: Instant,
        desk: &mut Desk,
        ticket: u64,
        outcome: Result<Option<Nodes>, Unreadable>,
    ) -> Finding {
        let Some(survey) = self.survey.take_if(|survey| survey.ticket == ticket) else {
            return Finding::Nothing;
        };
        if survey.is_stale {
            self.begin_survey(desk);
        }
        let nodes = match outcome {
            Ok(Some(nodes)) => nodes,
            // It may be back.
            Ok(None) if survey.is_stale => return Finding::Nothing,
            Ok(None) => return self.go(now),
            Err(why) => return self.fail(why),
        };
        self.is_in_trouble = false;
        self.replace(now, nodes);
        // The next one, if there is one, was asked for after these were touched.
        for path in survey.touched.iter().filter(|_| !survey.is_stale) {
            self.want(desk, path);
        }
        self.lay_out(now, desk);
        Finding::There
    }

    /// A znode of the subtree was read.
    pub(super) fn looked(
        &mut self,
        now: Instant,
        desk: &mut Desk,
        ticket: u64,
        path: &ZnodePath,
        found: Found,
    ) -> Finding {
        let Some(Phase::Reading { ticket: expected, is_stale }) = self.reads.get(path).copied()
        else {
            return Finding::Nothing;
        };
        if expected != ticket {
            return Finding::Nothing;
        }
        self.reads.remove(path);
        self.under_way = self.under_way.saturating_sub(1);
        match found {
            Ok(Some(bytes)) => self.insert(path, bytes),
            Ok(None) if is_stale => {}
            Ok(None) => self.remove(now, path),
            Err(error) => return self.fail(error.into()),
        }
        if self.nodes.len() > ZNODES_MAX {
            return self.fail(Unreadable::TooMany(ZNODES_MAX));
        }
        if self.bytes > BYTES_MAX {
            return self.fail(Unreadable::TooLarge(BYTES_MAX));
        }
        if is_stale {
            self.want(desk, path);
        }
        self.feed(desk);
        Finding::Nothing
    }

    /// When [`Tree::settle`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let pause = LAY_OUT_PAUSE * u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.laid_out_at.filter(|_| self.is_dirty).map(|at| at + pause)
    }

    /// Works the files out if they changed and it is time; tells whether it did.
    pub(super) fn settle(&mut self, now: Instant, desk: &mut Desk) -> bool {
        let is_due = self.deadline().is_some_and(|due| due <= now);
        if is_due {
            self.lay_out(now, desk);
        }
        is_due
    }

    fn lay_out(&mut self, now: Instant, desk: &mut Desk) {
        self.is_dirty = false;
        self.laid_out_at = Some(now);
        let Layout { leaves, refused, overlooked } = lay_out(&self.top, &self.nodes);
        self.skipped.retain(|path| refused.contains_key(path));
        for (path, why) in refused {
            if self.skipped.insert(path.clone()) {
                desk.tell(News::Skipped(path, why));
            }
        }
        if let Some(path) = overlooked
            && !std::mem::replace(&mut self.has_overlooked, true)
        {
            desk.tell(News::Overlooked(path));
        }
        if leaves != *self.leaves {
            self.leaves = Arc::new(leaves);
        }
    }

    fn insert(&mut self, path: &ZnodePath, bytes: Arc<[u8]>) {
        if self.nodes.get(path) == Some(&bytes) {
            return;
        }
        self.bytes += bytes.len();
        if let Some(old) = self.nodes.insert(path.clone(), bytes) {
            self.bytes -= old.len();
        }
        self.is_dirty = true;
        self.spell = None;
    }

    fn remove(&mut self, now: Instant, path: &ZnodePath) {
        if let Some(old) = self.nodes.remove(path) {
            self.bytes -= old.len();
            self.is_dirty = true;
            self.going(now);
        }
    }

    fn replace(&mut self, now: Instant, nodes: Nodes) {
        let is_known =
            |(path, bytes): (&ZnodePath, &Arc<[u8]>)| self.nodes.get(path) == Some(bytes);
        if !nodes.iter().all(is_known) {
            self.spell = None;
        } else if nodes.len() < self.nodes.len() {
            self.going(now);
        }
        self.bytes = nodes.values().map(|bytes| bytes.len()).sum();
        self.nodes = nodes;
    }

    /// Some znode went.
    fn going(&mut self, now: Instant) {
        let spell = self.spell.take().filter(|spell| now < spell.last + SPELL_PAUSE);
        let before = spell.map_or_else(|| Arc::clone(&self.leaves), |spell| spell.before);
        self.spell = Some(Spell { before, last: now });
    }

    /// The top went. What went right before it went with it, and is kept with it.
    fn go(&mut self, now: Instant) -> Finding {
        self.going(now);
        if let Some(spell) = self.spell.take() {
            self.leaves = spell.before;
        }
        self.forget_requests();
        self.clear();
        self.is_in_trouble = false;
        Finding::Gone
    }

    fn fail(&mut self, why: Unreadable) -> Finding {
        self.forget_requests();
        self.clear();
        self.is_in_trouble = true;
        Finding::Trouble(why)
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.bytes = 0;
        self.is_dirty = false;
        self.spell = None;
    }
}

fn is_below(path: &ZnodePath, top: &ZnodePath) -> bool {
    let rest = path.as_str().strip_prefix(top.as_str());
    rest.is_some_and(|rest| rest.starts_with('/') || (top.is_root() && !rest.is_empty()))
}

#[cfg(test)]
impl Tree {
    pub(super) fn assert_sound(&self) {
        assert_eq!(self.bytes, self.nodes.values().map(|bytes| bytes.len()).sum::<usize>());
        assert!(self.reads.is_empty() && self.queue.is_empty() && self.under_way == 0);
        assert!(self.survey.is_none() && !self.is_dirty && !self.is_in_trouble);
    }
}
