//! How long a server may take, given what is at stake.
//!
//! A session of timeout T ends T after its server last heard of us. To keep it
//! over the loss of a server we have to ask, give up waiting, and reach another
//! server within T: so we speak at least every T/3, and wait for an answer T/6
//! (never under a second, never over T/3). One that keeps coming in may take three times as
//! long.

use std::time::Duration;

const ANSWER_LEAST: Duration = Duration::from_secs(1);
/// How many times as long as to its first byte an answer may take to its last one.
const ANSWERS_IN_WHOLE: u32 = 3;
/// Who is leaving has half a second in all, and more than one server to tell.
const LEAVING_MOST: Duration = Duration::from_millis(150);

/// The waits that follow from a session timeout.
#[derive(Debug, Clone)]
pub(super) struct Timeouts {
    asked: Duration,
    granted: Option<Duration>,
    answer: Duration,
    is_leaving: bool,
}

impl Timeouts {
    pub(super) const fn new(asked: Duration) -> Self {
        Self { asked, granted: None, answer: Self::answer_for(asked), is_leaving: false }
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

    /// The timeout that holds: what the server granted, else what we ask for.
    pub(super) fn granted(&self) -> Duration {
        self.granted.unwrap_or(self.asked)
    }

    pub(super) fn was_granted(&mut self, timeout: Duration) {
        if self.granted != Some(timeout) {
            self.granted = Some(timeout);
            self.answer = Self::answer_for(timeout);
        }
    }

    /// How long an answer may take.
    pub(super) fn answer(&self) -> Duration {
        if self.is_leaving { self.answer.min(LEAVING_MOST) } else { self.answer }
    }

    /// We are leaving: a server that does not answer at once is not worth the wait,
    /// for another one may be.
    pub(super) const fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// How long an answer may take that keeps coming in: a large one on a slow line.
    /// Never longer than the session lives without contact.
    pub(super) fn whole_answer(&self) -> Duration {
        self.answer * ANSWERS_IN_WHOLE
    }

    /// How long we may say nothing.
    pub(super) fn ping_interval(&self) -> Duration {
        self.granted() / 3
    }

    /// A server was given up for its silence: give the next one longer, lest a
    /// slow ensemble send its clients round and round.
    pub(super) fn was_exhausted(&mut self) {
        self.answer = (self.answer * 2).min(self.granted() / 3);
    }

    /// An answer came after that time.
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
    }
}
