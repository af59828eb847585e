//! How long our session is sure to live.
//!
//! A server keeps a session for its timeout, counted from when it last received
//! something from us, which was not before we sent it. So every answer renews the lease,
//! counted from when its request was *sent*. Code that may act only while the session
//! lives checks the lease; no event has to announce its end.
//!
//! **Invariant.** Only the answer to a request renews a lease, never an event that a
//! server sends unasked. Its clock runs on while the machine sleeps; if that clock can't
//! be read, no lease is valid. So a lease never outlives the session on the server that
//! answered.

use crate::engine::Boottime;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
struct LeaseState {
    /// When the latest answered request was sent, in nanoseconds; 0 if there is none.
    contact: AtomicU64,
    /// Until when the session is sure to live; 0 if it may be over.
    until: AtomicU64,
}

/// How long ago a server is sure to have carried the session, and how long it keeps it.
///
/// It is cheap to clone, can be read on any thread, and never waits. It belongs to one
/// session: after [`Session::renew`](super::Session::renew) get a new one.
///
/// It trusts the server that answers. A follower that has lost its leader goes on
/// answering for up to `syncLimit` × `tickTime`, while the leader counts from when it
/// last heard from us. A request that goes through the leader, such as a write, proves
/// that both know us.
#[derive(Debug, Clone)]
pub struct Lease(Arc<LeaseState>);

impl Lease {
    /// The time since the latest answered request was sent; [`Duration::MAX`] before the
    /// first one.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age_at(Boottime::now())
    }

    /// How long the session is sure to live from now on: the granted timeout minus the
    /// age. Zero before the first answer and after the end of the session.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.left_at(Boottime::now())
    }

    /// Tells whether the session is sure to live now.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !self.left().is_zero()
    }

    pub(super) fn age_at(&self, now: Boottime) -> Duration {
        match self.0.contact.load(Ordering::Acquire) {
            0 => Duration::MAX,
            _ if now == Boottime::UNKNOWN => Duration::MAX,
            contact => Duration::from_nanos(now.nanoseconds().saturating_sub(contact)),
        }
    }

    pub(super) fn left_at(&self, now: Boottime) -> Duration {
        if now == Boottime::UNKNOWN {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.0.until.load(Ordering::Acquire).saturating_sub(now.nanoseconds()))
    }
}

/// Renews and ends a lease. Only the link has one.
#[derive(Debug, Default)]
pub(super) struct LeaseKeeper {
    state: Arc<LeaseState>,
    is_over: bool,
}

impl LeaseKeeper {
    pub(super) fn lease(&self) -> Lease {
        Lease(Arc::clone(&self.state))
    }

    /// The request that was sent then has been answered.
    pub(super) fn was_answered(&mut self, sent: Boottime, granted: Duration) {
        let sent_at = sent.nanoseconds();
        let is_older = sent_at < self.state.contact.load(Ordering::Relaxed);
        if self.is_over || sent == Boottime::UNKNOWN || is_older {
            return;
        }
        let granted = Boottime::after_boot(granted).nanoseconds();
        self.state.until.store(sent_at.saturating_add(granted), Ordering::Release);
        self.state.contact.store(sent_at, Ordering::Release);
    }

    /// Ends the lease for good: the session is over, or about to be.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        self.state.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANTED: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Boottime {
        Boottime::after_boot(Duration::from_secs(seconds))
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn no_lease_is_valid_before_the_first_contact() {
        let lease = LeaseKeeper::default().lease();
        assert_eq!(
            (lease.age(), lease.left(), lease.is_valid()),
            (Duration::MAX, seconds(0), false)
        );
    }

    #[test]
    fn a_lease_counts_from_when_the_answered_request_was_sent() {
        let mut keeper = LeaseKeeper::default();
        let lease = keeper.lease();
        keeper.was_answered(at(100), GRANTED);
        let table = [(100, 0, 10), (103, 3, 7), (109, 9, 1), (110, 10, 0), (500, 400, 0)];
        for (now, age, left) in table {
            assert_eq!(lease.age_at(at(now)), seconds(age), "at {now} s");
            assert_eq!(lease.left_at(at(now)), seconds(left), "at {now} s");
        }
        // The next answer renews a lease that has run out.
        keeper.was_answered(at(499), GRANTED);
        assert_eq!((lease.age_at(at(500)), lease.left_at(at(500))), (seconds(1), seconds(9)));
    }

    #[test]
    fn an_older_request_does_not_renew_it() {
        let mut keeper = LeaseKeeper::default();
        keeper.was_answered(at(100), GRANTED);
        keeper.was_answered(at(99), GRANTED);
        assert_eq!(keeper.lease().age_at(at(101)), seconds(1));
    }

    #[test]
    fn what_the_next_server_grants_counts_from_then_on() {
        let mut keeper = LeaseKeeper::default();
        keeper.was_answered(at(100), GRANTED);
        keeper.was_answered(at(101), seconds(4));
        assert_eq!(keeper.lease().left_at(at(102)), seconds(3));
    }

    #[test]
    fn a_lease_that_was_ended_is_never_valid_again() {
        let mut keeper = LeaseKeeper::default();
        let lease = keeper.lease().clone();
        keeper.was_answered(at(100), GRANTED);
        keeper.end();
        assert_eq!(lease.left_at(at(100)), seconds(0));
        keeper.was_answered(at(101), GRANTED);
        assert_eq!((lease.left_at(at(101)), lease.age_at(at(102))), (seconds(0), seconds(2)));
    }

    #[test]
    fn without_a_clock_no_lease_is_valid() {
        let mut keeper = LeaseKeeper::default();
        keeper.was_answered(Boottime::UNKNOWN, GRANTED);
        assert!(!keeper.lease().is_valid());
        keeper.was_answered(at(100), GRANTED);
        let lease = keeper.lease();
        assert_eq!(lease.left_at(Boottime::UNKNOWN), seconds(0));
        assert_eq!(lease.age_at(Boottime::UNKNOWN), Duration::MAX);
    }

    #[test]
    fn the_clock_goes_on() {
        let mut keeper = LeaseKeeper::default();
        keeper.was_answered(Boottime::now(), GRANTED);
        let lease = keeper.lease();
        assert!(lease.is_valid());
        let age = lease.age();
        assert!(lease.age() >= age && lease.left() <= GRANTED);
    }
}
