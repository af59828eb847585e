//! Signals as events.

use super::Worker;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals as Incoming};

/// What the outside world asks of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// TERM or INT: stop cleanly.
    Stop,
    /// HUP: read again and apply again, now.
    Refresh,
}

/// Turns TERM, INT and HUP into events for as long as it lives.
///
/// A file that may not grow any further (`ulimit -f`) is from then on an error of the
/// write, as a full disk is, and not the end of the process.
///
/// The first TERM or INT is an event; the second one ends the process at once,
/// as if it had never been caught: who asks twice has no time left.
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
    /// Starts listening; `post` is called for every signal that is an event.
    ///
    /// # Errors
    ///
    /// When the handlers can't be installed.
    pub fn listen(post: impl Fn(Signal) + Send + 'static) -> std::io::Result<Self> {
        let mut incoming = Incoming::new([SIGTERM, SIGINT, SIGHUP, SIGXFSZ])?;
        let closer = Closer(incoming.handle());
        let worker = Worker::start("signals", move || {
            let mut is_stopping = false;
            for signal in incoming.forever() {
                if signal == SIGXFSZ {
                    // Whoever wrote has the error. To ignore the signal instead would be
                    // inherited by the commands that we run.
                } else if signal == SIGHUP {
                    post(Signal::Refresh);
                } else if is_stopping {
                    // Only fails for signals that can't be caught.
                    drop(signal_hook::low_level::emulate_default_handler(signal));
                } else {
                    is_stopping = true;
                    post(Signal::Stop);
                }
            }
        })?;
        Ok(Self { _closer: closer, _worker: worker })
    }
}
