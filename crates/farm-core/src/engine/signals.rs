//! Signals as events.

use super::ignored::IgnoredSignals;
use super::process_1::{end_by, leave_to_handlers};
use super::stop::ask_for_stop;
use super::worker::Worker;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals as Incoming};
use std::collections::BTreeSet;

/// What a signal asks of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// TERM or INT: stop cleanly.
    Stop,
    /// HUP: read and apply everything again, now.
    Refresh,
    /// CHLD: one of our children has ended.
    ChildEnded,
}

/// Catches signals as long as it lives.
///
/// A signal that was ignored when the process was started stays ignored, except CHLD: without it,
/// the kernel would not let us learn how a child ends.
///
/// It also catches XFSZ: with a file size limit (`ulimit -f`) a write fails as on a full
/// disk, instead of ending the process.
#[derive(Debug)]
pub struct Signals {
    // Above the worker: closing the handle ends the thread.
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
    /// Turns TERM, INT, HUP and CHLD into events; `post` is called for each.
    ///
    /// The first TERM or INT is an event. The second one ends the process at once, as if
    /// it were not caught: its sender does not want to wait.
    ///
    /// # Errors
    ///
    /// If the handlers can't be installed.
    pub fn listen(post: impl Fn(Signal) + Send + 'static) -> std::io::Result<Self> {
        let mut is_stopping = false;
        Self::catch(&[SIGTERM, SIGINT, SIGHUP, SIGCHLD], move |signal| match signal {
            SIGHUP => post(Signal::Refresh),
            SIGCHLD => post(Signal::ChildEnded),
            _ if is_stopping => end_by(signal),
            _ => {
                is_stopping = true;
                ask_for_stop();
                post(Signal::Stop);
            }
        })
    }

    /// Turns only CHLD into events: every other signal ends the process, as it ends any command.
    ///
    /// # Errors
    ///
    /// If the handler can't be installed.
    pub fn listen_for_children(post: impl Fn(Signal) + Send + 'static) -> std::io::Result<Self> {
        Self::catch(&[SIGCHLD], move |_| post(Signal::ChildEnded))
    }

    /// Posts the number of each of the given signals, every time, for a loop that decides
    /// itself what they mean.
    ///
    /// Signals of one kind that come faster than they are posted are posted once. TERM and INT
    /// [ask for a stop](ask_for_stop), until the loop decides otherwise.
    ///
    /// # Errors
    ///
    /// If the handlers can't be installed, as for KILL, STOP and the signals of a fault.
    pub fn forward(signals: &[i32], post: impl Fn(i32) + Send + 'static) -> std::io::Result<Self> {
        Self::catch(signals, move |signal| {
            if matches!(signal, SIGTERM | SIGINT) {
                ask_for_stop();
            }
            post(signal);
        })
    }

    fn catch(signals: &[i32], mut take: impl FnMut(i32) + Send + 'static) -> std::io::Result<Self> {
        let asked: BTreeSet<i32> = signals.iter().copied().collect();
        let forbidden = signal_hook::consts::FORBIDDEN;
        if asked.iter().any(|signal| forbidden.contains(signal)) {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let mut caught = asked.clone();
        // The write returns the error. An ignored signal would be inherited by the commands
        // that we run.
        caught.insert(SIGXFSZ);
        let ignored = IgnoredSignals::at_start();
        caught.retain(|signal| *signal == SIGCHLD || !ignored.contains(*signal));
        let mut incoming = Incoming::new(&caught)?;
        leave_to_handlers(&caught);
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
            // It is caught and not posted.
            raise(nix::sys::signal::SIGXFSZ).unwrap();
            raise(signal).unwrap();
            let patience = farm_harness::patience(Duration::from_secs(20));
            assert_eq!(inbox.next(Some(Instant::now() + patience)), Some(number));
        }
    }

    #[test]
    fn a_signal_that_cannot_be_caught_is_an_error() {
        let kill = signal_hook::consts::SIGKILL;
        assert!(Signals::forward(&[kill], |_| {}).is_err());
    }
}
