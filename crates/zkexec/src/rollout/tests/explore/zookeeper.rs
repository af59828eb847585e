//! ZooKeeper as the model has it: the queue for the permit, what is known of the versions, and
//! what operators want.

use super::super::event::Known;
use super::super::*;
use super::scenario::Content;
use super::world::MEMBERS;
use farm_core::farm::rollout::{
    Trial, TryOutcome, Verdict, VersionRecord, begin_try, confirm, refuse, retry, untouched,
};

/// The contents that have a version.
const VERSIONS: usize = 3;

/// A turn on a version. The number tells it from other turns of its member that are still named
/// somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TurnId {
    pub(super) member: usize,
    pub(super) number: u8,
}

impl TurnId {
    fn trial(self) -> Trial {
        Trial { id: self.member.to_string(), token: self.token() }
    }

    fn token(self) -> String {
        format!("{}-{}", self.member, self.number)
    }

    fn of(token: &str) -> Self {
        let parsed = token.split_once('-').and_then(|(member, number)| {
            Some(Self { member: member.parse().ok()?, number: number.parse().ok()? })
        });
        parsed.expect("a token of the model")
    }
}

/// What is known of a version, without texts and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) verdict: Verdict,
    pub(super) tries: usize,
    pub(super) trials: [Option<TurnId>; 2],
    pub(super) round: u64,
    pub(super) refused_in: Option<TurnId>,
}

impl Record {
    fn of(real: &VersionRecord) -> Self {
        let trial = |at: usize| real.trials.get(at).map(|trial| TurnId::of(&trial.token));
        assert!(real.trials.len() <= 2, "more than two trials are counted");
        Self {
            verdict: real.verdict,
            tries: real.tries,
            trials: [trial(0), trial(1)],
            round: real.round,
            refused_in: real.refused_in.as_deref().map(TurnId::of),
        }
    }

    fn real(&self) -> VersionRecord {
        VersionRecord {
            verdict: self.verdict,
            by: None,
            at_ms: None,
            reason: None,
            trials: self.trials.iter().flatten().map(|turn| turn.trial()).collect(),
            tries: self.tries,
            round: self.round,
            refused_in: self.refused_in.map(TurnId::token),
        }
    }
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) member: usize,
    /// Its session is one that the member does not have any more.
    pub(super) is_left_behind: bool,
}

/// A change of what is known of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Try,
    Untouched,
    Confirm,
    Refuse { round: u64 },
}

/// The answer to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Allowed { round: u64 },
    Refused,
    Held,
    Done,
}

/// The state of the servers.
#[derive(Debug, Clone)]
pub(super) struct ZooKeeper {
    pub(super) queue: Vec<Contender>,
    pub(super) records: [Option<Record>; VERSIONS],
    pub(super) is_paused: bool,
    pub(super) restart: u64,
    pub(super) retry: u64,
    pub(super) skips: [Option<Content>; MEMBERS],
}

impl ZooKeeper {
    /// All members run on the old content.
    pub(super) fn new() -> Self {
        let confirmed = Record {
            verdict: Verdict::Confirmed,
            tries: 0,
            trials: [None; 2],
            round: 0,
            refused_in: None,
        };
        Self {
            queue: Vec::new(),
            records: [Some(confirmed), None, None],
            is_paused: false,
            restart: 0,
            retry: 0,
            skips: [None; MEMBERS],
        }
    }

    pub(super) fn record(&self, content: Content) -> Option<&Record> {
        self.records.get(content as usize)?.as_ref()
    }

    pub(super) fn verdict(&self, content: Content) -> Option<Verdict> {
        self.record(content).map(|record| record.verdict)
    }

    pub(super) fn is_refused(&self, content: Content) -> bool {
        self.verdict(content) == Some(Verdict::Refused)
    }

    pub(super) fn round(&self, content: Content) -> u64 {
        self.record(content).map_or(0, |record| record.round)
    }

    pub(super) fn known(&self, content: Content) -> Known {
        // The verdict does not depend on the members that try it.
        let without_trials = |record: &Record| Record { trials: [None; 2], ..*record };
        let record = self.record(content).map(without_trials);
        record.map(|record| Known::of(&record.real())).unwrap_or_default()
    }

    pub(super) fn orders(&self, member: usize) -> Orders {
        Orders {
            is_paused: self.is_paused,
            restart: self.restart,
            retry: self.retry,
            skipped: self.skips[member].map(|content| content.version()),
        }
    }

    /// The place of the member's contender, if its session has one.
    pub(super) fn place(&self, member: usize) -> Option<usize> {
        let is_own = |it: &Contender| it.member == member && !it.is_left_behind;
        self.queue.iter().position(is_own)
    }

    pub(super) fn join(&mut self, member: usize) {
        self.queue.push(Contender { member, is_left_behind: false });
    }

    pub(super) fn leave(&mut self, member: usize) {
        self.queue.retain(|it| it.member != member || it.is_left_behind);
    }

    /// The member ends without a word: its session lives on for a while.
    pub(super) fn leave_behind(&mut self, member: usize) {
        for contender in self.queue.iter_mut().filter(|it| it.member == member) {
            contender.is_left_behind = true;
        }
    }

    /// The session that the member has left behind ends.
    pub(super) fn expire(&mut self, member: usize) {
        self.queue.retain(|it| it.member != member || !it.is_left_behind);
    }

    /// Changes what is known of a version, with the function that the real request uses.
    pub(super) fn change(&mut self, turn: TurnId, content: Content, change: Change) -> Outcome {
        if change == Change::Try && (self.is_paused || self.skips[turn.member] == Some(content)) {
            return Outcome::Held;
        }
        let found = self.record(content).map(Record::real);
        let (found, trial) = (found.as_ref(), turn.trial());
        let (outcome, replacement) = match change {
            Change::Try => {
                let (outcome, record) = begin_try(found, &trial, None);
                let outcome = match outcome {
                    TryOutcome::Allowed { round } => Outcome::Allowed { round },
                    TryOutcome::Refused => Outcome::Refused,
                };
                (outcome, record)
            }
            Change::Untouched => (Outcome::Done, untouched(found, &trial)),
            Change::Confirm => (Outcome::Done, confirm(found, &trial, None)),
            Change::Refuse { round } => (Outcome::Done, refuse(found, &trial, round, "", None)),
        };
        if let Some(record) = replacement {
            self.records[content as usize] = Some(Record::of(&record));
        }
        outcome
    }

    /// An operator has a refusal forgotten.
    pub(super) fn forget_refusal(&mut self, content: Content) {
        let found = self.record(content).map(Record::real);
        if let Some(record) = found.and_then(|found| retry(&found, "", None)) {
            self.records[content as usize] = Some(Record::of(&record));
        }
    }
}
