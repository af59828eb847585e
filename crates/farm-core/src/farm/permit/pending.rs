//! The one request that is waited for.

use std::collections::BTreeSet;

/// What a request is for, and so what becomes of it when things change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// It may change what there is: its answer counts whenever it comes.
    Changing,
    /// It finds what has to be known before anything else.
    Finding,
    /// It only reads, and is made again when wanted.
    Reading,
}

#[derive(Debug)]
pub(super) struct UnderWay {
    ticket: u64,
    /// The contact that it was made in.
    pub(super) contact: u64,
    task: Task,
    /// What hints have told of since.
    pub(super) touched: BTreeSet<String>,
}

/// Gives out tickets, and knows which answer is still wanted.
#[derive(Debug)]
pub(super) struct Asked {
    next_ticket: u64,
    under_way: Option<UnderWay>,
}

impl Asked {
    pub(super) const NOTHING: Self = Self { next_ticket: 0, under_way: None };

    pub(super) const fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    pub(super) fn wait_for(&mut self, ticket: u64, contact: u64, task: Task) {
        self.under_way = Some(UnderWay { ticket, contact, task, touched: BTreeSet::new() });
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.under_way.is_some()
    }

    /// The answer is of no use any more if the request is for such a task.
    pub(super) fn forget(&mut self, is_moot: impl Fn(Task) -> bool) {
        self.under_way.take_if(|request| is_moot(request.task));
    }

    pub(super) fn touch(&mut self, name: &str) {
        if let Some(request) = &mut self.under_way {
            request.touched.insert(name.to_owned());
        }
    }

    /// What an answer with that ticket is to, if it is still wanted.
    pub(super) fn take(&mut self, ticket: u64) -> Option<UnderWay> {
        self.under_way.take_if(|request| request.ticket == ticket)
    }
}
