//! How long to wait for a server.
//!
//! A session with timeout T expires T after a server last heard from us. To survive the
//! loss of a server, we have to send a request, give up waiting for the answer, and
//! reach another server within T. So we send something at least every T/3, and wait T/6
//! for an answer (at least a second, at most T/3). An answer that keeps arriving may
//! take three times as long.

use std::time::Duration;

/// What a server grants is taken as at least this: with less, we would do nothing but ping and
/// reconnect.
const GRANTED_LEAST: Duration = Duration::from_secs(1);
/// And as at most this, unless more was asked for: with more, a silent server would be noticed
/// too late.
const GRANTED_MOST: Duration = Duration::from_secs(5 * 60);
const ANSWER_LEAST: Duration = Duration::from_secs(1);
/// The time until the last byte of an answer, as a multiple of that until the first.
const WHOLE_ANSWER_FACTOR: u32 = 3;
/// Closing may take half a second in all, and should reach more than one server.
const CLOSE_ANSWER_MOST: Duration = Duration::from_millis(150);

/// The timeouts that follow from a session timeout.
#[derive(Debug, Clone)]
pub(super) struct Timeouts {
    asked: Duration,
    granted: Option<Duration>,
    answer: Duration,
    is_closing: bool,
}

impl Timeouts {
    pub(super) const fn new(asked: Duration) -> Self {
        Self { asked, granted: None, answer: Self::answer_for(asked), is_closing: false }
    }

    const fn answer_for(timeout: Duration) -> Duration {
        let (sixth, third) = (timeout.as_millis() / 6, timeout.as_millis() / 3);
        let least = ANSWER_LEAST.as_millis();
        let wait = if sixth > least { sixth } else { least };
        let wait = if wait < third { wait } else { third };
        Duration::from_millis(wait as u64)
    }

    /// The timeout to ask a server for, in milliseconds.
    pub(super) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.asked.as_millis()).unwrap_or(i32::MAX)
    }

    /// The session timeout that our timers follow: what the server granted, within bounds;
    /// otherwise what we ask for.
    pub(super) fn granted(&self) -> Duration {
        let most = self.asked.max(GRANTED_MOST);
        self.granted.map_or(self.asked, |granted| granted.clamp(GRANTED_LEAST, most))
    }

    /// What the server granted, if that is out of bounds.
    pub(super) fn granted_out_of_bounds(&self) -> Option<Duration> {
        self.granted.filter(|granted| *granted != self.granted())
    }

    /// How long a session is sure to live after a server has heard from us.
    pub(super) fn lease(&self) -> Duration {
        self.granted().min(self.granted.unwrap_or(self.asked))
    }

    pub(super) fn was_granted(&mut self, timeout: Duration) {
        if self.granted != Some(timeout) {
            self.granted = Some(timeout);
            self.answer = Self::answer_for(self.granted());
        }
    }

    /// How long an answer may take.
    pub(super) fn answer(&self) -> Duration {
        if self.is_closing { self.answer.min(CLOSE_ANSWER_MOST) } else { self.answer }
    }

    /// The session is being closed: rather than wait for a slow server, try another.
    pub(super) const fn begin_close(&mut self) {
        self.is_closing = true;
    }

    /// How long an answer may take that keeps arriving: a large one over a slow network.
    /// It is never longer than the session timeout.
    pub(super) fn whole_answer(&self) -> Duration {
        self.answer * WHOLE_ANSWER_FACTOR
    }

    /// How long we may send nothing.
    pub(super) fn ping_interval(&self) -> Duration {
        self.granted() / 3
    }

    /// A server was given up because it was too slow: the next one gets more time, so
    /// that a slow ensemble does not make its clients reconnect over and over.
    pub(super) fn was_exhausted(&mut self) {
        self.answer = (self.answer * 2).min(self.granted() / 3);
    }

    /// An answer took this long.
    pub(super) fn was_answered(&mut self, took: Duration) {
        let usual = Self::answer_for(self.granted());
        if took <= usual {
            self.answer = usual;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_noticed_within_two_thirds_of_the_timeout() {
        for timeout_s in [4, 5, 6, 10, 15, 30, 60] {
            let mut timeouts = Timeouts::new(Duration::from_secs(timeout_s));
            let limit = Duration::from_secs(timeout_s) * 2 / 3;
            assert!(timeouts.ping_interval() + timeouts.answer() <= limit, "{timeout_s} s");
            timeouts.was_exhausted();
            timeouts.was_exhausted();
            assert!(timeouts.ping_interval() + timeouts.answer() <= limit, "{timeout_s} s, slow");
            assert!(timeouts.whole_answer() <= Duration::from_secs(timeout_s), "{timeout_s} s");
            timeouts.was_answered(Duration::ZERO);
            assert!(timeouts.answer() >= Duration::from_secs(1).min(limit / 2));
        }
    }

    #[test]
    fn what_the_server_grants_replaces_what_was_asked() {
        let mut timeouts = Timeouts::new(Duration::from_secs(10));
        timeouts.was_granted(Duration::from_secs(40));
        assert_eq!(timeouts.ping_interval(), Duration::from_secs(40) / 3);
        assert_eq!(timeouts.answer(), Duration::from_millis(6666));
        assert_eq!(timeouts.timeout_ms(), 10_000);
        assert_eq!(timeouts.granted_out_of_bounds(), None);
    }

    #[test]
    fn what_a_server_grants_is_taken_within_bounds() {
        let seconds = Duration::from_secs;
        let (least, huge) = (Duration::from_millis(1), Duration::from_millis(i32::MAX as u64));
        let table = [
            (10, least, seconds(1), least),
            (10, seconds(1), seconds(1), seconds(1)),
            (10, seconds(300), seconds(300), seconds(300)),
            (10, huge, seconds(300), seconds(300)),
            (600, seconds(600), seconds(600), seconds(600)),
            (600, huge, seconds(600), seconds(600)),
        ];
        for (asked_s, granted, taken, lease) in table {
            let mut timeouts = Timeouts::new(seconds(asked_s));
            timeouts.was_granted(granted);
            assert_eq!((timeouts.granted(), timeouts.lease()), (taken, lease), "{granted:?}");
            let is_out_of_bounds = timeouts.granted_out_of_bounds().is_some();
            assert_eq!(is_out_of_bounds, granted != taken, "{granted:?}");
            // No timer is so short that it makes us busy, nor so long that silence goes unnoticed.
            let timers = [timeouts.ping_interval(), timeouts.answer(), timeouts.whole_answer()];
            let least = Duration::from_millis(333);
            timers.iter().for_each(|timer| assert!(*timer >= least, "{timer:?}"));
            assert!(timeouts.ping_interval() + timeouts.answer() <= taken * 2 / 3, "{granted:?}");
        }
    }
}
