//! Logs the events of a session and passes them on to the gate and the owner's inbox.

use super::connection_gate::ConnectionGate;
use super::{ConnectError, DownReason, Event, SessionError, SessionId, ZnodePath};
use crate::engine::Post;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(super) struct Reporter {
    pub(super) gate: Arc<ConnectionGate>,
    /// Named in the log: a wrong one shows up as znodes that are missing.
    pub(super) chroot: ZnodePath,
    /// The id of the session, once it is known.
    pub(super) session: Arc<OnceLock<SessionId>>,
    /// Receives every event, on the relay's thread.
    pub(super) notify: Post<Event>,
    /// The latest granted timeout that was out of bounds.
    pub(super) odd_timeout: Option<Duration>,
    pub(super) rounds_max: Option<u32>,
    /// Rounds over all servers that failed in a row.
    pub(super) rounds_failed: u32,
    /// How many of them failed for a reason that persists until somebody fixes it.
    pub(super) lasting_failures: u32,
}

impl Reporter {
    /// Reports an event; `server` carries the session, or carried it last.
    pub(super) fn report(&mut self, event: Event, server: Option<SocketAddr>) {
        let server = || server.map_or_else(|| "none".to_owned(), |server| server.to_string());
        match &event {
            Event::Connected { session, is_new, granted } => {
                (self.rounds_failed, self.lasting_failures) = (0, 0);
                let what = if *is_new { "connected" } else { "connected again, same session" };
                let (server, timeout_ms) = (server(), granted.as_millis());
                if self.chroot.is_root() {
                    log::info!(server:%, session:%, timeout_ms; "{what}");
                } else {
                    let chroot = &self.chroot;
                    log::info!(server:%, chroot:%, session:%, timeout_ms; "{what}");
                }
                self.session.get_or_init(|| *session);
                self.gate.open();
            }
            Event::Suspended(why) => {
                // An outdated server is expected to do this, once in a session.
                let is_expected = *why == DownReason::Outdated;
                let level = if is_expected { log::Level::Info } else { log::Level::Warn };
                let server = server();
                log::log!(
                    level, server:%, why:%;
                    "suspended: lost the server, looking for another"
                );
                self.gate.shut();
            }
            Event::Lost => {
                log::warn!("lost: the session is over");
                self.gate.end_session();
            }
            Event::Hint(_) | Event::GaveUp(_) | Event::AuthRefused(_) => {}
        }
        self.notify.post(event);
    }

    /// Reports a session timeout that is out of bounds, once, and what it is taken for.
    pub(super) fn odd_timeout(&mut self, granted: Option<Duration>, taken: Duration) {
        if let Some(granted) = granted.filter(|_| self.odd_timeout != granted) {
            let (granted_ms, taken_ms) = (granted.as_millis(), taken.as_millis());
            log::warn!(granted_ms, taken_ms; "the server grants an unusable session timeout");
        }
        self.odd_timeout = granted;
    }

    /// Reports a round over all servers in which none could be reached.
    pub(super) fn round_failed(&mut self, error: Option<ConnectError>) {
        let is_lasting = error.as_ref().is_some_and(ConnectError::is_lasting);
        self.rounds_failed = self.rounds_failed.saturating_add(1);
        self.lasting_failures = self.lasting_failures.saturating_add(is_lasting.into());
        let has_given_up = self.rounds_max.is_some_and(|most| self.rounds_failed >= most);
        let is_refused = error.as_ref().is_some_and(ConnectError::is_refusal);
        // An error that persists is logged although another one was logged before.
        if (self.rounds_failed == 1 || self.lasting_failures == 1 && is_lasting)
            && let Some(error) = &error
        {
            let what = if is_refused { "accepts our credentials" } else { "can be reached" };
            log::warn!(last:% = error; "no server {what}, retrying");
        }
        // Waiting does not help against refused credentials.
        let tried = self.gate.attempt_failed(error.clone(), has_given_up || is_refused);
        if is_refused && let Some(error) = &error {
            self.notify.post(Event::AuthRefused(error.clone()));
        }
        if has_given_up {
            let error = SessionError::Unreachable { last_error: error, tried };
            self.notify.post(Event::GaveUp(error));
        }
    }
}
