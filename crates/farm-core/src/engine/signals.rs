//! Signals as events.

use super::Worker;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals as Incoming};
use std::collections::BTreeSet;

/// What the outside world asks of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// TERM or INT: stop cleanly.
    Stop,
    /// HUP: read again and apply again, now.
    Refresh,
}

/// Catches signals for as long as it lives.
///
/// A file that may not grow any further (`ulimit -f`) is from then on an error of the
/// write, as a full disk is, and not the end of the process.
#[derive(Debug)]
pub struct Signals {
    // Above the worker: closing the handle is what ends the thread.
    _closer: Closer,
    _worker: Worker,
}

#[derive(Debug)]
struct Closer(Handle);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Signals {
    /// Turns TERM, INT and HUP into events; `post` is called for each.
    ///
    /// The first TERM or INT is an event; the second one ends the process at once,
    /// as if it had never been caught: who asks twice has no time left.
    ///
    /// # Errors
    ///
    /// When the handlers can't be installed.
    pub fn listen(post: impl Fn(Signal) + Send + 'static) -> std::io::Result<Self> {
        let mut is_stopping = false;
        Self::catch(&[SIGTERM, SIGINT, SIGHUP], move |signal| {
            if signal == SIGHUP {
                post(Signal::Refresh);
            } else if is_stopping {
                // Only fails for signals that can't be caught.
                drop(signal_hook::low_level::emulate_default_handler(signal));
            } else {
                is_stopping = true;
                post(Signal::Stop);
            }
        })
    }

    /// Posts the numbers of the given signals as they come, all of them, for a loop that
    /// decides itself what each means and how often.
    ///
    /// Signals of one kind that come faster than they are posted are posted once.
    ///
    /// # Errors
    ///
    /// When the handlers can't be installed. There can be none for KILL, STOP and the
    /// signals of a fault.
    pub fn forward(signals: &[i32], post: impl Fn(i32) + Send + 'static) -> std::io::Result<Self> {
        Self::catch(signals, post)
    }

    fn catch(signals: &[i32], mut take: impl FnMut(i32) + Send + 'static) -> std::io::Result<Self> {
        let asked: BTreeSet<i32> = signals.iter().copied().collect();
        let forbidden = signal_hook::consts::FORBIDDEN;
        if asked.iter().any(|signal| forbidden.contains(signal)) {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let mut caught = asked.clone();
        // Whoever wrote has the error. To ignore the signal instead would be inherited by
        // the commands that we run.
        caught.insert(SIGXFSZ);
        let mut incoming = Incoming::new(&caught)?;
        let closer = Closer(incoming.handle());
        let worker = Worker::start("signals", move || {
            for signal in incoming.forever() {
                if asked.contains(&signal) {
                    take(signal);
                }
            }
        })?;
        Ok(Self { _closer: closer, _worker: worker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::inbox;
    use nix::sys::signal::raise;
    use std::time::{Duration, Instant};

    #[test]
    fn each_signal_that_was_asked_for_is_posted_again_and_again() {
        let (inbox, outbox) = inbox();
        let signals = [signal_hook::consts::SIGUSR1, signal_hook::consts::SIGUSR2];
        let _signals = Signals::forward(&signals, move |signal| outbox.post(signal)).unwrap();
        for (signal, number) in [
            (nix::sys::signal::SIGUSR1, signals[0]),
            (nix::sys::signal::SIGUSR2, signals[1]),
            (nix::sys::signal::SIGUSR2, signals[1]),
        ] {
            // Caught, and told to nobody.
            raise(nix::sys::signal::SIGXFSZ).unwrap();
            raise(signal).unwrap();
            let patience = farm_harness::patience(Duration::from_secs(20));
            assert_eq!(inbox.next(Some(Instant::now() + patience)), Some(number));
        }
    }

    #[test]
    fn what_no_handler_can_catch_is_an_error() {
        let kill = signal_hook::consts::SIGKILL;
        assert!(Signals::forward(&[kill], |_| {}).is_err());
    }
}
