//! The request whose answer the permit waits for; there is at most one.

use std::collections::BTreeSet;

/// What a request is for, which decides when its answer is not needed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// It changes a znode, so its answer always counts.
    Changing,
    /// It finds our contender, which everything else depends on.
    Finding,
    /// It only reads, and can be repeated.
    Reading,
}

#[derive(Debug)]
pub(super) struct PendingRequest {
    ticket: u64,
    /// The number of the connection over which it was sent.
    pub(super) connection: u64,
    task: Task,
    /// The znodes that hints named since.
    pub(super) touched: BTreeSet<String>,
}

/// Gives out tickets, and knows which answer is still needed.
#[derive(Debug)]
pub(super) struct Pending {
    next_ticket: u64,
    request: Option<PendingRequest>,
}

impl Pending {
    pub(super) const NOTHING: Self = Self { next_ticket: 0, request: None };

    pub(super) const fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    pub(super) fn wait_for(&mut self, ticket: u64, connection: u64, task: Task) {
        self.request = Some(PendingRequest { ticket, connection, task, touched: BTreeSet::new() });
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.request.is_some()
    }

    /// Drops the request if its task is one of those: its answer is not needed any more.
    pub(super) fn forget(&mut self, is_moot: impl Fn(Task) -> bool) {
        self.request.take_if(|request| is_moot(request.task));
    }

    pub(super) fn touch(&mut self, name: &str) {
        if let Some(request) = &mut self.request {
            request.touched.insert(name.to_owned());
        }
    }

    /// The request that an answer with this ticket is for, if it is still needed.
    pub(super) fn take(&mut self, ticket: u64) -> Option<PendingRequest> {
        self.request.take_if(|request| request.ticket == ticket)
    }
}
