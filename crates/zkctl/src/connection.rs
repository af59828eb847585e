//! The one session with ZooKeeper that a command opens.
//!
//! **Invariant.** It ends within its timeout, even if the server, the network or one of
//! our threads hangs. A command that waits for something ends within that limit.

use farm_core::cli::{Exit, Failure, ZkArgs};
use farm_core::engine::{Backoff, Worker, wait_until};
use farm_core::session::{Client, Session, SessionError, SessionOptions};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long we wait for the session's own error after the timeout. It reports at once, but on
/// an overloaded host that takes a while.
const GRACE: Duration = Duration::from_millis(400);

/// The pauses between two looks.
const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(1);
/// A pause is at least so many times as long as the look before it: looks at what is large are
/// seldom.
const LOOKS_PER_PAUSE: u32 = 4;

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
            Err(RecvTimeoutError::Disconnected) => Err(ended_too_early()),
        };
        // The thread drops its end when the session is closed. If that takes too long, the
        // exit of the process closes the connection.
        match answered.recv_timeout(left(deadline)) {
            Err(RecvTimeoutError::Disconnected) => drop(worker),
            Ok(_) | Err(RecvTimeoutError::Timeout) => worker.leave(),
        }
        answer
    }

    /// Opens one session and looks again and again, until `take` has its answer or `limit` is
    /// over, which is `Ok(None)`. The first look has to succeed within the timeout of the command.
    /// Later ones may fail for want of a connection: what is waited for may happen meanwhile, and
    /// is seen with the next connection.
    pub(crate) fn follow<T: Send + 'static, R>(
        &self,
        limit: Option<Duration>,
        look: impl Fn(&Client) -> Result<T, SessionError> + Clone + Send + Sync + 'static,
        mut take: impl FnMut(T) -> Result<Option<R>, Failure>,
    ) -> Result<Option<R>, Failure> {
        let config = self.zk.config(1)?;
        let ((ask, asked), (answer, answers)) = (channel(), channel());
        let worker = Worker::start("session", move || run_looks(config, &asked, look, &answer))
            .map_err(Failure::system_error("cannot start a thread"))?;
        let outcome = self.look_until(limit, &ask, &answers, &mut take);
        // The thread drops its end when the session is closed. If that takes too long, the
        // exit of the process closes the connection.
        drop(ask);
        match answers.recv_timeout(GRACE) {
            Err(RecvTimeoutError::Disconnected) => drop(worker),
            Ok(_) | Err(RecvTimeoutError::Timeout) => worker.leave(),
        }
        outcome
    }

    fn look_until<T, R>(
        &self,
        limit: Option<Duration>,
        ask: &Sender<Duration>,
        answers: &Receiver<Result<T, SessionError>>,
        take: &mut impl FnMut(T) -> Result<Option<R>, Failure>,
    ) -> Result<Option<R>, Failure> {
        let end = limit.map(|limit| Instant::now() + limit);
        let left = || end.map(|end| end.saturating_duration_since(Instant::now()));
        let mut pauses = Backoff::new(PAUSE_LEAST, PAUSE_MOST);
        let mut last_look = None;
        loop {
            let begun = Instant::now();
            let timeout = left().map_or(self.timeout, |left| left.min(self.timeout));
            // Without the thread there is no answer either.
            let _ = ask.send(timeout);
            let answer = match answers.recv_timeout(timeout + GRACE) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => Err(SessionError::Overdue(timeout)),
                Err(RecvTimeoutError::Disconnected) => return Err(ended_too_early()),
            };
            let took = begun.elapsed();
            match (answer, last_look) {
                (Ok(found), _) => {
                    last_look = Some(Instant::now());
                    if let Some(answer) = take(found)? {
                        return Ok(Some(answer));
                    }
                }
                (Err(error), Some(last)) if error.is_transient() => {
                    if took < timeout {
                        // No attempt is left.
                        let tried = last.elapsed();
                        return Err(SessionError::Unreachable { last_error: None, tried }.into());
                    }
                }
                (Err(error), _) => return Err(error.into()),
            }
            let pause = pauses.delay().max(took.min(self.timeout) * LOOKS_PER_PAUSE);
            let pause = match left() {
                Some(left) if left.is_zero() => return Ok(None),
                // The last look is close to the end.
                Some(left) => pause.min((left / 2).max(PAUSE_LEAST)).min(left),
                None => pause,
            };
            wait_until(Instant::now() + pause);
        }
    }
}

fn ended_too_early() -> Failure {
    Failure::new(Exit::Bug, "bug: the thread of the session ended too early")
}

/// Looks once for each time limit that comes.
fn run_looks<T: Send + 'static>(
    config: SessionOptions,
    asked: &Receiver<Duration>,
    look: impl Fn(&Client) -> Result<T, SessionError> + Clone + Send + Sync + 'static,
    answer: &Sender<Result<T, SessionError>>,
) {
    let mut session = Session::open(config, |_| ());
    let mut has_connection = false;
    for timeout in asked {
        let result = session.call(timeout, look.clone());
        has_connection = result.as_ref().map_or_else(|error| !error.is_transient(), |_| true);
        // The receiver may have given up already.
        drop(answer.send(result));
    }
    if has_connection {
        session.close();
    } else {
        session.abandon();
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
