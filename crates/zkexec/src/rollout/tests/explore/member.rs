//! A member of the model: its files, its process, and what that has of ZooKeeper.

use super::super::event::Known;
use super::super::*;
use super::scenario::{Content, Scenario};
use super::zookeeper::{Change, Outcome};
use std::cell::Cell;
use std::ops::Deref;

/// A host with a member on it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) files: Content,
    /// The files that were replaced by ones that are not known to work.
    pub(super) backup: Option<Content>,
    /// What is kept over a restart of zkexec.
    pub(super) saved: Option<Content>,
    pub(super) process: Option<Process>,
    /// It has crashed and may be started again.
    pub(super) can_boot: bool,
}

impl Member {
    /// One that runs nothing yet, on the old content.
    pub(super) const fn new(saved: Option<Content>) -> Self {
        Self { files: Content::Old, backup: None, saved, process: None, can_boot: false }
    }

    /// The files of a start, and what is known of their content. Content that has not proven
    /// itself is left out if there is something better.
    pub(super) fn start_content(
        &self,
        wanted: Content,
        is_proven: bool,
        is_fit: bool,
    ) -> (Content, Content) {
        match self.saved {
            _ if is_proven && is_fit => (wanted, wanted),
            _ if is_proven => (self.files, Content::Unknown),
            Some(saved) => (saved, saved),
            None if self.files != wanted => (self.files, Content::Unknown),
            None => (wanted, wanted),
        }
    }
}

/// A member that states share until one of them changes it.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    member: Member,
    /// Its hash, once somebody has asked for it.
    hash: Cell<Option<u64>>,
}

impl Shared {
    pub(super) const fn new(member: Member) -> Self {
        Self { member, hash: Cell::new(None) }
    }

    pub(super) fn change(&mut self) -> &mut Member {
        self.hash.set(None);
        &mut self.member
    }

    pub(super) fn hash(&self, compute: impl FnOnce(&Member) -> u64) -> u64 {
        let hash = self.hash.get().unwrap_or_else(|| compute(&self.member));
        self.hash.set(Some(hash));
        hash
    }
}

impl Deref for Shared {
    type Target = Member;

    fn deref(&self) -> &Member {
        &self.member
    }
}

/// How a process is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Link {
    Connected,
    /// Its session lives, but nothing gets through.
    Cut,
    /// Its session is over, and it does not know yet.
    Expired,
    /// It knows that, and has no new session yet.
    Lost,
}

/// What the process has of the permit, as `farm::permit` does.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct PermitView {
    pub(super) is_wanted: bool,
    pub(super) needs_head: bool,
    pub(super) has_contender: bool,
    /// Its contender is to be deleted at the next contact.
    pub(super) is_leaving: bool,
    pub(super) is_held: bool,
}

/// A turn that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Turn {
    pub(super) content: Content,
    pub(super) number: u8,
    pub(super) round: Option<u64>,
}

/// A change that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PendingChange {
    pub(super) content: Content,
    pub(super) number: u8,
    pub(super) change: Change,
}

/// What the process has of its group's state, as `farm::rollout::state` does.
#[derive(Debug, Clone, Hash)]
pub(super) struct GroupView {
    pub(super) orders: Orders,
    pub(super) followed: Content,
    /// What was heard of it last.
    pub(super) known: Option<Known>,
    /// The turn that the files are from, and the one on newer content.
    pub(super) turns: Vec<Turn>,
    /// The first one is under way while there is contact.
    pub(super) changes: Vec<PendingChange>,
    /// The answer to the first one, which has not arrived yet.
    pub(super) outcome: Option<Outcome>,
    /// What operators wanted when it said that the turn is held.
    pub(super) held: Option<Orders>,
}

impl GroupView {
    pub(super) fn follow(&mut self, content: Content) {
        if self.followed != content {
            self.followed = content;
            self.known = None;
        }
    }

    pub(super) fn begin(&mut self, turn: Turn) {
        self.turns.drain(..self.turns.len().saturating_sub(1));
        self.turns.push(turn);
        self.push(turn, Change::Try);
    }

    /// The latest turn on that content.
    pub(super) fn turn_on(&self, content: Content) -> Option<Turn> {
        self.turns.iter().rfind(|turn| turn.content == content).copied()
    }

    /// Whether that is the latest turn.
    pub(super) fn is_last(&self, number: u8) -> bool {
        self.turns.last().is_some_and(|turn| turn.number == number)
    }

    pub(super) fn push(&mut self, Turn { content, number, .. }: Turn, change: Change) {
        self.changes.push(PendingChange { content, number, change });
    }

    /// Takes back the try of the turn. One that was never sent needs no request.
    pub(super) fn untouched(&mut self, is_connected: bool) {
        let Some(turn) = self.turns.pop() else { return };
        let first_unsent = usize::from(is_connected && !self.changes.is_empty());
        let is_try = |it: &PendingChange| it.change == Change::Try && it.number == turn.number;
        if let Some(at) = self.changes.iter().skip(first_unsent).position(is_try) {
            self.changes.remove(first_unsent + at);
            if is_connected {
                return;
            }
        }
        self.push(turn, Change::Untouched);
    }

    pub(super) fn refuse(&mut self, turn: Turn) {
        let is_followed = self.followed == turn.content;
        let heard = self.known.as_ref().filter(|_| is_followed).map_or(0, |known| known.round);
        self.push(turn, Change::Refuse { round: turn.round.unwrap_or(heard) });
    }

    /// The answer is lost.
    pub(super) fn unanswered(&mut self) {
        (self.outcome, self.held) = (None, None);
    }

    /// The session is over: a turn that was not begun does not begin any more.
    pub(super) fn session_over(&mut self) {
        self.unanswered();
        self.changes.retain(|it| it.change != Change::Try);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ChildState {
    Down,
    Up,
    Stopping,
}

/// The child of a process.
#[derive(Debug, Clone, Hash)]
pub(super) struct Child {
    pub(super) state: ChildState,
    /// What it was started on last, and the restart that this start was for.
    pub(super) content: Content,
    pub(super) restart: u64,
    /// It works, or did so when it was stopped.
    pub(super) is_fine: bool,
    pub(super) was_fine: bool,
    pub(super) is_checked: bool,
    /// It was stopped in a turn, and the member has had its place in the queue ever since.
    pub(super) is_down_in_turn: bool,
}

impl Child {
    pub(super) const fn on(content: Content, restart: u64) -> Self {
        Self {
            state: ChildState::Up,
            content,
            restart,
            is_fine: false,
            was_fine: false,
            is_checked: false,
            is_down_in_turn: false,
        }
    }
}

/// A running zkexec.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) rollout: Rollout<Content>,
    pub(super) link: Link,
    pub(super) permit: PermitView,
    pub(super) group: GroupView,
    pub(super) child: Child,
    pub(super) staged: Option<Content>,
    /// How much of what is published it has read.
    pub(super) seen: usize,
    pub(super) has_ended: bool,
    /// Its changes may take any time.
    pub(super) is_slow: bool,
}

impl Process {
    /// One that has connected, has heard what operators want, and has not started its child.
    pub(super) fn new(scenario: &Scenario, orders: Orders, wanted: Content, seen: usize) -> Self {
        Self {
            rollout: Rollout::new(scenario.options(), OPEN),
            link: Link::Connected,
            permit: PermitView::default(),
            group: GroupView {
                orders,
                followed: wanted,
                known: None,
                turns: Vec::new(),
                changes: Vec::new(),
                outcome: None,
                held: None,
            },
            child: Child { state: ChildState::Down, ..Child::on(Content::Old, 0) },
            staged: None,
            seen,
            has_ended: false,
            is_slow: false,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.link == Link::Connected
    }

    /// Whether a change of its is made before anybody else gets its place in the queue.
    pub(super) fn is_changing(&self) -> bool {
        let made = usize::from(self.group.outcome.is_some());
        self.is_connected() && !self.is_slow && self.group.changes.len() > made
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.rollout.phase(), Phase::Failed { .. })
    }

    /// Whether that is what it has heard last of the content.
    pub(super) fn is_known(&self, known: &Known) -> bool {
        self.group.known.as_ref() == Some(known)
    }
}
