//! The request to ZooKeeper that is in flight, and the outcomes of earlier ones.

use farm_core::engine::Retry;
use farm_core::model::Record;
use std::time::Instant;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Claim(Record),
    Read,
    Publish(Record),
}

#[derive(Debug)]
pub(super) struct Requests {
    is_connected: bool,
    pub(super) in_flight: Option<Request>,
    pub(super) is_read_due: bool,
    /// A claim whose outcome is unknown.
    pub(super) unconfirmed: Option<Record>,
    /// A record that ZooKeeper refuses for good.
    pub(super) rejected: Option<Record>,
    pub(super) retry: Retry,
}

impl Requests {
    pub(super) const fn new(retry: Retry) -> Self {
        let (in_flight, unconfirmed, rejected) = (None, None, None);
        Self { is_connected: false, in_flight, is_read_due: false, unconfirmed, rejected, retry }
    }

    pub(super) fn connected(&mut self) {
        self.is_connected = true;
        self.is_read_due = true;
        self.interrupt();
        self.retry.reset();
    }

    pub(super) fn disconnected(&mut self) {
        self.is_connected = false;
        self.interrupt();
    }

    /// The request in flight ends without an answer: the server may have carried it out.
    pub(super) fn interrupt(&mut self) {
        if let Some(Request::Claim(record)) = self.in_flight.take() {
            self.unconfirmed = Some(record);
        }
    }

    pub(super) fn finish(&mut self) -> Option<Request> {
        self.retry.reset();
        self.in_flight.take()
    }

    pub(super) fn refused(&mut self, now: Instant, is_final: bool) {
        match self.in_flight.take() {
            Some(Request::Publish(record)) if is_final => self.rejected = Some(record),
            Some(Request::Claim(record)) if is_final => {
                self.rejected = Some(record);
                // The record that is claimed instead may be refused as well.
                self.retry.failed(now);
            }
            _ => self.retry.failed(now),
        }
    }

    /// When to retry a request that was refused.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry.deadline().filter(|_| self.is_connected)
    }

    /// Whether a request can be made now.
    pub(super) const fn may_begin(&self) -> bool {
        self.is_connected && self.in_flight.is_none() && self.retry.deadline().is_none()
    }
}
