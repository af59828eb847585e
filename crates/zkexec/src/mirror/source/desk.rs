//! Where the parts of a source leave what is to be done.

use super::request::{Ask, Request};
use super::{Action, News};

/// Gives every request its number, and collects.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) session: u64,
    pub(super) next_ticket: u64,
    /// The unit that speaks.
    pub(super) unit: usize,
    /// Whether the servers were seen to lack the watch on a whole subtree.
    pub(super) is_old: bool,
    pub(super) actions: Vec<Action>,
}

impl Desk {
    pub(super) const fn new() -> Self {
        Self { session: 0, next_ticket: 0, unit: 0, is_old: false, actions: Vec::new() }
    }

    pub(super) const fn is_old(&self) -> bool {
        self.is_old
    }

    pub(super) fn ask(&mut self, ask: Ask) -> u64 {
        let (ticket, session, unit) = (self.next_ticket, self.session, self.unit);
        self.next_ticket += 1;
        self.actions.push(Action::Ask(Request { ticket, session, unit, ask }));
        ticket
    }

    pub(super) fn tell(&mut self, news: News) {
        self.actions.push(Action::Tell(news));
    }
}
