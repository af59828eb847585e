//! A session for a machine under test, with an inbox as in a runner.

use super::{Acl, Auth, Event, SESSION_TIMEOUT_LEAST, Servers, Session, SessionOptions};
use crate::engine::{Inbox, Outbox, inbox};
use std::fmt::Display;
use std::time::Instant;

/// What arrives in the inbox: an event of the session, or an answer.
pub enum Post<A> {
    Session(Event),
    Answer(A),
}

/// A session that is renewed when it is over, and an inbox for events and answers.
pub struct Live<A> {
    session: Session,
    inbox: Inbox<Post<A>>,
    outbox: Outbox<Post<A>>,
}

impl<A: Send + 'static> Live<A> {
    pub fn open(server: impl Display, request_threads: usize) -> Self {
        let (inbox, outbox) = inbox();
        let options = SessionOptions {
            servers: Servers::parse(&server.to_string()).expect("servers"),
            session_timeout: SESSION_TIMEOUT_LEAST,
            rounds_max: None,
            request_threads,
            auth: Auth::default(),
            acl: Acl::open(),
            tls: None,
        };
        let session = Session::open(options, outbox.posting(Post::Session));
        Self { session, inbox, outbox }
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Posts one answer, from any thread.
    pub fn answers(&self) -> impl FnOnce(A) + Send + use<A> {
        self.outbox.posting(Post::Answer)
    }

    /// Posts any number of answers, from any thread.
    pub fn all_answers(&self) -> impl Fn(A) + Send + Sync + use<A> {
        self.outbox.posting(Post::Answer)
    }

    /// The next post, or `None` at the deadline.
    pub fn next(&mut self, deadline: Instant) -> Option<Post<A>> {
        let post = loop {
            let next = self.session.deadline().map_or(deadline, |at| at.min(deadline));
            let post = self.inbox.next(Some(next));
            self.session.tick(Instant::now());
            if post.is_some() || next == deadline {
                break post;
            }
        };
        if let Some(Post::Session(Event::Lost)) = &post {
            self.session.renew(Instant::now());
        }
        post
    }
}
