//! What the group of a storm remembers, changed by the functions that the real one uses.

use super::super::event::{Known, Tried, Version};
use super::super::*;
use farm_core::farm::rollout::{
    Control, Trial, TryOutcome, Verdict, VersionRecord, begin_try, confirm, refuse, retry,
    untouched,
};
use fastrand::Rng;
use std::collections::BTreeMap;

/// The versions and the control of a group.
pub(super) struct Records {
    versions: BTreeMap<Version, VersionRecord>,
    pub(super) control: Control,
    turns: u64,
}

/// A turn that may have been counted.
#[derive(Clone)]
pub(super) struct CountedTurn {
    version: Version,
    trial: Trial,
    round: Option<u64>,
}

impl Records {
    /// All members run on this version.
    pub(super) fn new(confirmed: Version) -> Self {
        let trial = Trial { id: "the first".to_owned(), token: "0".to_owned() };
        let record = confirm(None, &trial, None).expect("nobody has tried it");
        let versions = BTreeMap::from([(confirmed, record)]);
        Self { versions, control: Control::default(), turns: 0 }
    }

    pub(super) fn known(&self, version: Version) -> Known {
        self.versions.get(&version).map(Known::of).unwrap_or_default()
    }

    pub(super) fn orders(&self, id: &str) -> Orders {
        let Control { is_paused, restart, retry, ref skip, .. } = self.control;
        Orders { is_paused, restart, retry, skipped: skip.get(id).copied() }
    }

    /// A new turn.
    fn begin(&mut self, id: &str, version: Version) -> CountedTurn {
        self.turns += 1;
        let trial = Trial { id: id.to_owned(), token: self.turns.to_string() };
        CountedTurn { version, trial, round: None }
    }

    pub(super) fn begin_try(&mut self, id: &str, version: Version) -> (Tried, Option<CountedTurn>) {
        if self.control.is_paused || self.control.skip.get(id) == Some(&version) {
            return (Tried::Held, None);
        }
        let mut turn = self.begin(id, version);
        let (outcome, record) = begin_try(self.versions.get(&version), &turn.trial, None);
        self.versions.extend(record.map(|record| (version, record)));
        match outcome {
            TryOutcome::Allowed { round } => {
                turn.round = Some(round);
                (Tried::Allowed, Some(turn))
            }
            TryOutcome::Refused => (Tried::Refused, None),
        }
    }

    pub(super) fn untouched(&mut self, turn: &CountedTurn) {
        let record = untouched(self.versions.get(&turn.version), &turn.trial);
        self.versions.extend(record.map(|record| (turn.version, record)));
    }

    /// The member's latest turn on that version, or a new one if it has not counted any.
    fn turn_on(&mut self, id: &str, version: Version, turns: &[CountedTurn]) -> CountedTurn {
        let counted = turns.iter().rfind(|turn| turn.version == version).cloned();
        counted.unwrap_or_else(|| self.begin(id, version))
    }

    pub(super) fn confirm(&mut self, id: &str, version: Version, turns: &[CountedTurn]) {
        let CountedTurn { trial, .. } = self.turn_on(id, version, turns);
        let record = confirm(self.versions.get(&version), &trial, None);
        self.versions.extend(record.map(|record| (version, record)));
    }

    /// `heard` is the round that the member has heard of last.
    pub(super) fn refuse(&mut self, id: &str, version: Version, turns: &[CountedTurn], heard: u64) {
        let CountedTurn { trial, round, .. } = self.turn_on(id, version, turns);
        let round = round.unwrap_or(heard);
        let record = refuse(self.versions.get(&version), &trial, round, "it ended", None);
        self.versions.extend(record.map(|record| (version, record)));
    }

    fn forget_refusal(&mut self, version: Version) {
        let record = self.versions.get(&version).and_then(|found| retry(found, "operator", None));
        self.versions.extend(record.map(|record| (version, record)));
    }

    /// An operator does something.
    pub(super) fn command(&mut self, rng: &mut Rng, ids: &[String], wanted: Version) {
        match rng.usize(0..5) {
            0 => self.control.is_paused = true,
            1 => self.control.is_paused = false,
            2 => self.control.restart += 1,
            3 => {
                self.control.retry += 1;
                self.forget_refusal(wanted);
            }
            _ => {
                let id = rng.choice(ids).expect("there is a member");
                self.control.skip.insert(id.clone(), wanted);
                self.forget_refusal(wanted);
            }
        }
    }

    /// Every operator has gone home.
    pub(super) fn release(&mut self) {
        self.control.is_paused = false;
        self.control.skip.clear();
    }

    pub(super) fn is_confirmed(&self, version: Version) -> bool {
        self.known(version).verdict == Some(Verdict::Confirmed)
    }
}
