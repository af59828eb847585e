//! What becomes of an event of the session: a log line, the gate, and the owner's inbox.

use super::connection_gate::ConnectionGate;
use super::{ConnectError, DownReason, Event, SessionError, SessionId};
use crate::engine::Post;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

/// Logs what happens, and passes it on.
pub(super) struct Reporter {
    pub(super) gate: Arc<ConnectionGate>,
    /// Which session it is, once that is known.
    pub(super) session: Arc<OnceLock<SessionId>>,
    /// Takes every event, on the relay's thread.
    pub(super) notify: Post<Event>,
    pub(super) rounds_max: Option<u32>,
    /// Rounds over all servers that failed in a row.
    pub(super) rounds: u32,
    /// How many of them failed for a reason that does not go by itself.
    pub(super) lasting: u32,
}

impl Reporter {
    /// Something happened to the session; `server` carries it, or did last.
    pub(super) fn tell(&mut self, event: Event, server: Option<SocketAddr>) {
        let server = || server.map_or_else(|| "none".to_owned(), |server| server.to_string());
        match &event {
            Event::Connected { session, is_new, granted } => {
                (self.rounds, self.lasting) = (0, 0);
                let what = if *is_new { "connected" } else { "connected again, same session" };
                let (server, timeout_ms) = (server(), granted.as_millis());
                log::info!(server:%, session:%, timeout_ms; "{what}");
                self.session.get_or_init(|| *session);
                self.gate.open();
            }
            Event::Suspended(why) => {
                // This is how we learn what a server can do, and it does not come again.
                let is_usual = *why == DownReason::Outdated;
                let level = if is_usual { log::Level::Info } else { log::Level::Warn };
                let server = server();
                log::log!(
                    level, server:%, why:%;
                    "suspended: lost the server, looking for another"
                );
                self.gate.shut();
            }
            Event::Lost => {
                log::warn!("lost: the session is over");
                self.gate.end();
            }
            Event::Hint(_) | Event::GaveUp(_) | Event::AuthRefused(_) => {}
        }
        self.notify.post(event);
    }

    /// In one more round over all servers none could be reached.
    pub(super) fn round_failed(&mut self, trouble: Option<ConnectError>) {
        let is_lasting = trouble.as_ref().is_some_and(ConnectError::is_lasting);
        self.rounds = self.rounds.saturating_add(1);
        self.lasting = self.lasting.saturating_add(is_lasting.into());
        let has_given_up = self.rounds_max.is_some_and(|most| self.rounds >= most);
        let is_refused = trouble.as_ref().is_some_and(ConnectError::is_refusal);
        // What does not go by itself is told even where another trouble was told before.
        if (self.rounds == 1 || self.lasting == 1 && is_lasting)
            && let Some(trouble) = &trouble
        {
            let what = if is_refused { "takes us" } else { "can be reached" };
            log::warn!(last:% = trouble; "no server {what}, trying on");
        }
        // Credentials do not get better while a caller waits.
        let tried = self.gate.note(trouble.clone(), has_given_up || is_refused);
        if is_refused && let Some(trouble) = &trouble {
            self.notify.post(Event::AuthRefused(trouble.clone()));
        }
        if has_given_up {
            self.notify.post(Event::GaveUp(SessionError::Unreachable { trouble, tried }));
        }
    }
}
