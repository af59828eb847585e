//! A session for a machine under test, as a runner has it.

use farm_core::engine::{Inbox, Outbox, inbox};
use farm_core::session::{self, Acl, Auth, Config, SESSION_TIMEOUT_LEAST, Servers, Session};
use std::fmt::Display;
use std::time::Instant;

/// What arrives: news of the session, or an answer.
pub(crate) enum Post<A> {
    Session(session::Event),
    Answer(A),
}

/// A session that is renewed when it is over, and a place where answers arrive.
pub(crate) struct Live<A> {
    session: Session,
    inbox: Inbox<Post<A>>,
    outbox: Outbox<Post<A>>,
}

impl<A: Send + 'static> Live<A> {
    pub(crate) fn open(server: impl Display, couriers: usize) -> Self {
        let (inbox, outbox) = inbox();
        let config = Config {
            servers: Servers::parse(&server.to_string()).unwrap(),
            session_timeout: SESSION_TIMEOUT_LEAST,
            rounds_max: None,
            couriers,
            auth: Auth::default(),
            acl: Acl::open(),
            tls: None,
        };
        let session = Session::open(config, outbox.posting(Post::Session)).unwrap();
        Self { session, inbox, outbox }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Takes an answer, on whatever thread.
    pub(crate) fn answers(&self) -> impl FnOnce(A) + Send + use<A> {
        self.outbox.posting(Post::Answer)
    }

    /// The next event, or none before the deadline.
    pub(crate) fn next(&mut self, deadline: Instant) -> Option<Post<A>> {
        let post = self.inbox.next(Some(deadline));
        if let Some(Post::Session(session::Event::Lost)) = &post {
            self.session.renew(Instant::now());
        }
        post
    }
}
