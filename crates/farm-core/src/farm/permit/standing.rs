//! Our contender, and what we know about those before it.

use super::queue::Contender;
use super::request::{Ask, ListQueue};
use crate::engine::Retry;
use crate::session::Watch;
use std::collections::BTreeSet;

/// Our contender.
#[derive(Debug)]
pub(super) enum Own {
    /// There is none.
    Absent,
    /// It is unknown whether a create has happened.
    Unsure,
    /// It existed when we looked last.
    There(Standing),
}

#[derive(Debug)]
pub(super) struct Standing {
    pub(super) contender: Contender,
    /// Whether it was seen to be ours over the current connection, with no hint about it since.
    pub(super) is_seen: bool,
    pub(super) state: PermitState,
}

#[derive(Debug)]
pub(super) enum PermitState {
    /// Too many others come before us.
    Waiting {
        /// Whether the queue was read, with no hint about a change since.
        is_read: bool,
        ahead: Option<usize>,
        /// The contenders before us whose end may grant us the permit.
        nearest: BTreeSet<Contender>,
        /// Those of `nearest` that have a watch which has not fired.
        watched: BTreeSet<Contender>,
        /// When to look again at those of `watched` that we may not read.
        recheck: Retry,
    },
    /// We hold the permit.
    Held,
}

impl PermitState {
    /// Nothing is known about those before us.
    const WAITING: Self = Self::Waiting {
        is_read: false,
        ahead: None,
        nearest: BTreeSet::new(),
        watched: BTreeSet::new(),
        recheck: Retry::unannounced(),
    };
}

impl Standing {
    /// A contender that waits; nothing is known about those before it.
    pub(super) const fn at(contender: Contender, is_seen: bool) -> Self {
        Self { contender, is_seen, state: PermitState::WAITING }
    }

    /// The permit is not ours any more, or not yet; nothing is known about those before us.
    pub(super) fn wait_again(&mut self) {
        self.state = PermitState::WAITING;
    }

    /// The connection is lost: what was read may be out of date, and the watches are gone.
    pub(super) fn forget(&mut self) {
        self.is_seen = false;
        self.read_again();
    }

    /// Those before us are read again.
    pub(super) fn read_again(&mut self) {
        if let PermitState::Waiting { is_read, watched, recheck, .. } = &mut self.state {
            *is_read = false;
            watched.clear();
            recheck.cancel();
        }
    }

    /// When to look again at what no event announces.
    pub(super) const fn recheck_mut(&mut self) -> Option<&mut Retry> {
        match &mut self.state {
            PermitState::Waiting { recheck, .. } => Some(recheck),
            PermitState::Held => None,
        }
    }

    /// The next read that is needed to know whether the permit is ours, if any.
    pub(super) fn next_look(&self) -> Option<Ask> {
        let contender = || self.contender.clone();
        match &self.state {
            PermitState::Held => (!self.is_seen).then(|| Ask::Look(contender(), ListQueue::No)),
            PermitState::Waiting { is_read, .. } if !is_read || !self.is_seen => {
                Some(Ask::Look(contender(), ListQueue::Yes))
            }
            PermitState::Waiting { nearest, watched, .. } => {
                let unwatched: Vec<Contender> = nearest.difference(watched).cloned().collect();
                (!unwatched.is_empty()).then_some(Ask::Read(unwatched, Watch::Yes))
            }
        }
    }
}
