//! The one session with ZooKeeper that a command opens.
//!
//! **Invariant.** It ends within its timeout, even if the server, the network or one of
//! our threads hangs.

use farm_core::cli::{Exit, Failure, ZkArgs};
use farm_core::engine::Worker;
use farm_core::session::{Client, Session, SessionError, SessionOptions};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long we wait for the session's own error after the timeout. It reports at once, but on
/// an overloaded host that takes a while.
const GRACE: Duration = Duration::from_millis(400);

/// How to connect to ZooKeeper, and the time limit of the command.
#[derive(Debug)]
pub(crate) struct Connection {
    zk: ZkArgs,
    timeout: Duration,
}

impl Connection {
    pub(crate) const fn new(zk: ZkArgs, timeout: Duration) -> Self {
        Self { zk, timeout }
    }

    /// Opens a session, calls `ask`, and closes the session. Calls `ask` again when the
    /// connection breaks; its second argument is the deadline.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        ask: impl Fn(&Client, Instant) -> Result<T, SessionError> + Send + Sync + 'static,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + self.timeout;
        let config = self.zk.config(1)?;
        let (answer, answered) = channel();
        let worker = Worker::start("session", move || run_session(config, deadline, ask, &answer))
            .map_err(Failure::system_error("cannot start a thread"))?;
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        let answer = match answered.recv_timeout(left(deadline + GRACE)) {
            Ok(answer) => answer.map_err(Failure::from),
            Err(RecvTimeoutError::Timeout) => Err(SessionError::Overdue(self.timeout).into()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Failure::new(Exit::Bug, "bug: the thread of the session ended too early"))
            }
        };
        // The thread drops its end when the session is closed. If that takes too long, the
        // exit of the process closes the connection.
        match answered.recv_timeout(left(deadline)) {
            Err(RecvTimeoutError::Disconnected) => drop(worker),
            Ok(_) | Err(RecvTimeoutError::Timeout) => worker.leave(),
        }
        answer
    }
}

fn run_session<T: Send + 'static>(
    config: SessionOptions,
    deadline: Instant,
    ask: impl Fn(&Client, Instant) -> Result<T, SessionError> + Send + Sync + 'static,
    answer: &Sender<Result<T, SessionError>>,
) {
    let mut session = Session::open(config, |_| ());
    let timeout = deadline.saturating_duration_since(Instant::now());
    let result = session.call(timeout, move |client| ask(client, deadline));
    // Then no server is left to close the session at.
    let is_over =
        matches!(result, Err(SessionError::Unreachable { .. } | SessionError::Overdue(_)));
    // The receiver may have given up already.
    drop(answer.send(result));
    if is_over {
        session.abandon();
    } else {
        session.close();
    }
}
