//! Our contender, and what is known of those before it.

use super::queue::Contender;
use super::request::{Ask, Lineup};
use crate::session::Watch;
use std::collections::BTreeSet;

/// Our contender, as far as is known.
#[derive(Debug)]
pub(super) enum Own {
    /// None.
    Absent,
    /// A create may have happened or not.
    Unsure,
    /// It was there when we looked last.
    There(Standing),
}

#[derive(Debug)]
pub(super) struct Standing {
    pub(super) place: Contender,
    /// Known to be ours in the present contact, and nothing told of it since.
    pub(super) is_seen: bool,
    pub(super) turn: Turn,
}

#[derive(Debug)]
pub(super) enum Turn {
    /// Others come before.
    Waiting {
        /// Has the line been read, and nothing told of a change since?
        is_read: bool,
        ahead: Option<usize>,
        /// Those whose end may make it our turn.
        nearest: BTreeSet<Contender>,
        /// Those of them with a watch on them that has not told anything.
        watched: BTreeSet<Contender>,
    },
    /// It is ours.
    Held,
}

impl Standing {
    /// Waiting there; nothing is known of those before it.
    pub(super) fn at(place: Contender, is_seen: bool) -> Self {
        let (nearest, watched) = (BTreeSet::new(), BTreeSet::new());
        Self {
            place,
            is_seen,
            turn: Turn::Waiting { is_read: false, ahead: None, nearest, watched },
        }
    }

    /// What was read may be out of date, and the watches are gone.
    pub(super) fn forget(&mut self) {
        self.is_seen = false;
        if let Turn::Waiting { is_read, watched, .. } = &mut self.turn {
            *is_read = false;
            watched.clear();
        }
    }

    /// What has to be read next to know whose turn it is, if anything.
    pub(super) fn next_look(&self) -> Option<Ask> {
        let place = || self.place.clone();
        match &self.turn {
            Turn::Held => (!self.is_seen).then(|| Ask::Look(place(), Lineup::Unwanted)),
            Turn::Waiting { is_read, .. } if !is_read || !self.is_seen => {
                Some(Ask::Look(place(), Lineup::Wanted))
            }
            Turn::Waiting { nearest, watched, .. } => {
                let unwatched: Vec<Contender> = nearest.difference(watched).cloned().collect();
                (!unwatched.is_empty()).then_some(Ask::Read(unwatched, Watch::Yes))
            }
        }
    }
}
