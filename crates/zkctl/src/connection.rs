//! The one conversation with ZooKeeper that a command has.
//!
//! **Invariant.** It is over when its time is up, whatever the other side, the
//! network or our own threads are waiting for.

use farm_core::cli::{Exit, Failure, ZkArgs};
use farm_core::engine::Worker;
use farm_core::session::{Client, Session, SessionError, SessionOptions};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long after the end of the time the session may take to say what was wrong: it
/// does so at once, but on a host that is out of breath "at once" takes a while.
const LAST_WORD: Duration = Duration::from_millis(400);

/// How to reach ZooKeeper, and for how long to try.
#[derive(Debug)]
pub(crate) struct Connection {
    zk: ZkArgs,
    timeout: Duration,
}

impl Connection {
    pub(crate) const fn new(zk: ZkArgs, timeout: Duration) -> Self {
        Self { zk, timeout }
    }

    /// Opens a session, asks, and closes the session. `ask` is repeated when
    /// the connection breaks in the middle; it is handed the end of its time.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        ask: impl Fn(&Client, Instant) -> Result<T, SessionError> + Send + Sync + 'static,
    ) -> Result<T, Failure> {
        let until = Instant::now() + self.timeout;
        let config = self.zk.config(1)?;
        let (answer, answered) = channel();
        let worker = Worker::start("session", move || converse(config, until, ask, &answer))
            .map_err(Failure::for_want_of("cannot start a thread"))?;
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let answer = match answered.recv_timeout(left(until + LAST_WORD)) {
            Ok(answer) => answer.map_err(Failure::from),
            Err(RecvTimeoutError::Timeout) => Err(SessionError::Overdue(self.timeout).into()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Failure::new(Exit::Bug, "bug: the thread of the session ended too early"))
            }
        };
        // The thread drops its end when the session is closed. If that is not in
        // time, the end of the process is as good a good-bye.
        match answered.recv_timeout(left(until)) {
            Err(RecvTimeoutError::Disconnected) => drop(worker),
            Ok(_) | Err(RecvTimeoutError::Timeout) => worker.leave(),
        }
        answer
    }
}

fn converse<T: Send + 'static>(
    config: SessionOptions,
    until: Instant,
    ask: impl Fn(&Client, Instant) -> Result<T, SessionError> + Send + Sync + 'static,
    answer: &Sender<Result<T, SessionError>>,
) {
    let mut session = match Session::open(config, |_| ()) {
        Ok(session) => session,
        // Who asked waits for an answer as long as there is time for one.
        Err(error) => return drop(answer.send(Err(error))),
    };
    let patience = until.saturating_duration_since(Instant::now());
    let said = session.call(patience, move |client| ask(client, until));
    // Nobody is there to take a good-bye when the time is up.
    let is_over = matches!(said, Err(SessionError::Unreachable { .. } | SessionError::Overdue(_)));
    drop(answer.send(said));
    if is_over {
        session.abandon();
    } else {
        session.close();
    }
}
