//! The request to ZooKeeper that is under way, and what became of earlier ones.

use farm_core::engine::Retry;
use farm_core::model::Record;
use std::time::Instant;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Claim(Record),
    Look,
    Publish(Record),
}

#[derive(Debug)]
pub(super) struct Requests {
    is_connected: bool,
    pub(super) under_way: Option<Request>,
    pub(super) look_again: bool,
    /// A claim of which we never heard the outcome.
    pub(super) doubtful: Option<Record>,
    /// What ZooKeeper refuses to take, as it is.
    pub(super) unfit: Option<Record>,
    pub(super) retry: Retry,
}

impl Requests {
    pub(super) const fn new(retry: Retry) -> Self {
        let (under_way, doubtful, unfit) = (None, None, None);
        Self { is_connected: false, under_way, look_again: false, doubtful, unfit, retry }
    }

    pub(super) fn connected(&mut self) {
        self.is_connected = true;
        self.look_again = true;
        self.interrupt();
        self.retry.reset();
    }

    pub(super) fn disconnected(&mut self) {
        self.is_connected = false;
        self.interrupt();
    }

    /// Whether the request that was under way has been carried out is not known.
    pub(super) fn interrupt(&mut self) {
        if let Some(Request::Claim(record)) = self.under_way.take() {
            self.doubtful = Some(record);
        }
    }

    pub(super) fn finish(&mut self) -> Option<Request> {
        self.retry.reset();
        self.under_way.take()
    }

    pub(super) fn refused(&mut self, now: Instant, is_final: bool) {
        match self.under_way.take() {
            Some(Request::Publish(record)) if is_final => self.unfit = Some(record),
            Some(Request::Claim(record)) if is_final => {
                self.unfit = Some(record);
                // What is claimed instead may be refused as well.
                self.retry.failed(now);
            }
            _ => self.retry.failed(now),
        }
    }

    /// When one that was refused shall be made again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry.deadline().filter(|_| self.is_connected)
    }

    /// Whether one can be made now.
    pub(super) const fn may_begin(&self) -> bool {
        self.is_connected && self.under_way.is_none() && self.retry.deadline().is_none()
    }
}
