//! For how long our session surely lives.
//!
//! A server keeps a session for its timeout, counted from when it last heard of us,
//! and that was not before we spoke. So a lease begins anew whenever an answer
//! arrives, at the moment in which the request *went out*. Whoever may act only
//! while the session lives asks the lease, and nobody has to be told of its end.
//!
//! **Invariant.** It begins with a request that was answered, never with what a server
//! says unasked; its clock goes on while the machine sleeps, and where that clock
//! can't be read, no lease is valid. So it never outlives what the server that
//! answered knows of us.

use crate::engine::Boottime;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
struct LeaseState {
    /// When the last request that was answered went out, in nanoseconds; 0 before.
    contact: AtomicU64,
    /// When the session may be over; 0 if it may be now.
    until: AtomicU64,
}

/// How long ago a server surely carried the session, and for how long it keeps it.
///
/// Cheap to clone and to ask, on any thread, and never waits. It is about one
/// session: after [`Session::renew`](super::Session::renew) take it anew.
///
/// It trusts the server that answers. A follower that has lost its leader goes on
/// answering for up to `syncLimit` × `tickTime`, while the leader counts from when it
/// last heard of us. What goes through the leader, such as a write, is proof for both.
#[derive(Debug, Clone)]
pub struct Lease(Arc<LeaseState>);

impl Lease {
    /// The time since the latest request that was answered went out;
    /// [`Duration::MAX`] before the first contact.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age_at(Boottime::now())
    }

    /// How long the session surely lives from now on: the granted timeout without
    /// the age. Zero before the first contact, and once it is over.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.left_at(Boottime::now())
    }

    /// Tells whether the session surely lives.
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

/// Who moves a lease: the link, and nobody else.
#[derive(Debug, Default)]
pub(super) struct LeaseKeeper {
    terms: Arc<LeaseState>,
    is_over: bool,
}

impl LeaseKeeper {
    pub(super) fn lease(&self) -> Lease {
        Lease(Arc::clone(&self.terms))
    }

    /// A request that went out then has been answered.
    pub(super) fn was_answered(&mut self, sent: Boottime, granted: Duration) {
        let sent_at = sent.nanoseconds();
        let is_older = sent_at < self.terms.contact.load(Ordering::Relaxed);
        if self.is_over || sent == Boottime::UNKNOWN || is_older {
            return;
        }
        let granted = Boottime::after_boot(granted).nanoseconds();
        self.terms.until.store(sent_at.saturating_add(granted), Ordering::Release);
        self.terms.contact.store(sent_at, Ordering::Release);
    }

    /// The session is over, or about to be: never valid again.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        self.terms.until.store(0, Ordering::Release);
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
    fn nothing_is_permitted_before_the_first_contact() {
        let lease = LeaseKeeper::default().lease();
        assert_eq!(
            (lease.age(), lease.left(), lease.is_valid()),
            (Duration::MAX, seconds(0), false)
        );
    }

    #[test]
    fn a_lease_counts_from_when_the_answered_request_went_out() {
        let mut keeper = LeaseKeeper::default();
        let lease = keeper.lease();
        keeper.was_answered(at(100), GRANTED);
        let table = [(100, 0, 10), (103, 3, 7), (109, 9, 1), (110, 10, 0), (500, 400, 0)];
        for (now, age, left) in table {
            assert_eq!(lease.age_at(at(now)), seconds(age), "at {now} s");
            assert_eq!(lease.left_at(at(now)), seconds(left), "at {now} s");
        }
        // Over by its age, it begins again with the next answer.
        keeper.was_answered(at(499), GRANTED);
        assert_eq!((lease.age_at(at(500)), lease.left_at(at(500))), (seconds(1), seconds(9)));
    }

    #[test]
    fn an_older_request_moves_nothing() {
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
    fn an_end_is_for_good() {
        let mut keeper = LeaseKeeper::default();
        let lease = keeper.lease().clone();
        keeper.was_answered(at(100), GRANTED);
        keeper.end();
        assert_eq!(lease.left_at(at(100)), seconds(0));
        keeper.was_answered(at(101), GRANTED);
        assert_eq!((lease.left_at(at(101)), lease.age_at(at(102))), (seconds(0), seconds(2)));
    }

    #[test]
    fn without_a_clock_nothing_is_permitted() {
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
