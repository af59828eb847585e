//! The znode in which a member reports its state.
//!
//! **Invariant.** It is ephemeral and ours, or not written at all. It is written at most five
//! times a second, and at once when the member is no longer at rest.

use super::member::{MemberRecord, MemberState};
use super::paths::StatePaths;
use super::request::create_group;
use crate::engine::Retry;
use crate::farm::{Claim, claim};
use crate::session::{self, Client, Session, SessionError, Watch, Znode, ZnodePath};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// The least time between two writes.
const PAUSE: Duration = Duration::from_millis(200);
const RETRY_LEAST: Duration = Duration::from_millis(500);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// What happened, or what to tell.
#[derive(Debug)]
pub enum Event {
    /// Something happened to the session.
    Session(session::Event),
    /// A request was answered.
    Answered(Answer),
    /// Tell this from now on.
    Publish(MemberRecord),
    /// The deadline has passed.
    Tick,
}

/// What to do.
pub type Action = session::Action<Request, News>;

/// What the owner may want to log; each is reported once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A member on another host has this id.
    Taken {
        /// Its host, if it says so.
        host: Option<String>,
    },
    /// The znode can't be written.
    Unwritable(String),
}

/// A request to ZooKeeper.
#[derive(Debug)]
pub struct Request {
    ticket: u64,
    paths: StatePaths,
    path: ZnodePath,
    host: Option<String>,
    pid: Option<u64>,
    bytes: Vec<u8>,
    is_claimed: bool,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    ticket: u64,
    bytes: Vec<u8>,
    outcome: Result<Published, SessionError>,
}

#[derive(Debug)]
enum Published {
    Done,
    Taken { host: Option<String> },
}

/// The state machine.
#[derive(Debug)]
pub struct MemberZnode {
    paths: StatePaths,
    path: ZnodePath,
    id: String,
    /// The record to publish, and its bytes.
    record: Option<(MemberRecord, Vec<u8>)>,
    /// The bytes of the znode, after a write.
    written: Option<Vec<u8>>,
    is_claimed: bool,
    is_connected: bool,
    /// Somebody deleted the znode while the request was under way, perhaps after the write: the
    /// request's thread and the session's are not in step.
    is_deleted: bool,
    /// The ticket of the request under way, and the last one.
    asked: Option<u64>,
    tickets: u64,
    next_at: Option<Instant>,
    retry: Retry,
    reported: Option<News>,
}

impl MemberZnode {
    /// Nothing is told yet. `path` is the one of the member `id`.
    #[must_use]
    pub const fn new(paths: StatePaths, path: ZnodePath, id: String) -> Self {
        Self {
            paths,
            path,
            id,
            record: None,
            written: None,
            is_claimed: false,
            is_connected: false,
            is_deleted: false,
            asked: None,
            tickets: 0,
            next_at: None,
            retry: Retry::new(RETRY_LEAST, RETRY_MOST),
            reported: None,
        }
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let is_due = self.is_connected && self.asked.is_none() && self.is_outdated();
        let next_at = self.next_at.filter(|_| is_due && self.retry.deadline().is_none());
        self.retry.deadline().into_iter().chain(next_at).min()
    }

    /// Takes one event.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Session(session::Event::Connected { is_new, .. }) => {
                if is_new {
                    self.forget();
                }
                self.is_connected = true;
                self.asked = None;
                self.retry.reset();
            }
            Event::Session(session::Event::Suspended(_)) => self.is_connected = false,
            Event::Session(session::Event::Lost) => {
                self.is_connected = false;
                self.forget();
            }
            Event::Session(session::Event::Hint(hint)) => {
                if hint.path == self.path && hint.change == session::Change::Deleted {
                    self.forget();
                    self.is_deleted = self.asked.is_some();
                }
            }
            Event::Session(session::Event::GaveUp(_) | session::Event::AuthRefused(_)) => {}
            Event::Answered(answer) => self.answered(now, answer, &mut actions),
            Event::Publish(record) => self.publish(record),
            Event::Tick => drop(self.retry.take(now)),
        }
        self.ask(now, &mut actions);
        actions
    }

    fn publish(&mut self, record: MemberRecord) {
        let former = self.record.as_ref().map(|(former, _)| former);
        if former == Some(&record) {
            return;
        }
        let is_running = |record: &MemberRecord| record.state == Some(MemberState::Running);
        // From now on `zkctl rollout wait` must not count this member as done.
        if former.is_some_and(is_running) && !is_running(&record) {
            self.next_at = None;
        }
        let bytes = record.bytes(&self.id);
        self.record = Some((record, bytes));
    }

    /// The znode is gone.
    fn forget(&mut self) {
        self.is_claimed = false;
        self.written = None;
    }

    fn is_outdated(&self) -> bool {
        self.record.as_ref().is_some_and(|(_, bytes)| self.written.as_ref() != Some(bytes))
    }

    fn ask(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let is_blocked = self.asked.is_some() || self.retry.deadline().is_some();
        let is_early = self.next_at.is_some_and(|at| now < at);
        if is_blocked || !self.is_connected || is_early || !self.is_outdated() {
            return;
        }
        let Some((record, bytes)) = &self.record else { return };
        self.tickets += 1;
        self.asked = Some(self.tickets);
        self.is_deleted = false;
        self.next_at = Some(now + PAUSE);
        actions.push(Action::Request(Request {
            ticket: self.tickets,
            paths: self.paths.clone(),
            path: self.path.clone(),
            host: record.host.clone(),
            pid: record.pid,
            bytes: bytes.clone(),
            is_claimed: self.is_claimed,
        }));
    }

    fn answered(&mut self, now: Instant, answer: Answer, actions: &mut Vec<Action>) {
        let Answer { ticket, bytes, outcome } = answer;
        if self.asked.take_if(|asked| *asked == ticket).is_none() {
            return;
        }
        let news = match outcome {
            Ok(Published::Done) => {
                if !self.is_deleted {
                    self.written = Some(bytes);
                    self.is_claimed = true;
                }
                self.reported = None;
                return self.retry.reset();
            }
            Ok(Published::Taken { host }) => Some(News::Taken { host }),
            // Somebody is deleting the state of the group.
            Err(SessionError::NoNode(_)) => None,
            Err(error) if error.is_transient() => None,
            Err(error) => Some(News::Unwritable(error.to_string())),
        };
        self.forget();
        self.retry.failed(now);
        if news.is_some() && self.reported != news {
            self.reported.clone_from(&news);
            actions.extend(news.map(Action::Report));
        }
    }
}

impl Request {
    /// Runs on a request thread, which calls `post` with the answer.
    pub fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        session.dispatch(move |client| {
            let outcome = self.perform(client);
            post(Answer { ticket: self.ticket, bytes: self.bytes, outcome });
        });
    }

    fn perform(&self, client: &Client) -> Result<Published, SessionError> {
        if self.is_claimed && self.overwrite(client)? {
            return Ok(Published::Done);
        }
        // An earlier process of this member, whose session is not over yet. One that runs may
        // have this id if it names the servers in another way.
        let is_left_over = |znode: &Znode| {
            let MemberRecord { host, pid, .. } = MemberRecord::read(&znode.data);
            let is_over = pid == self.pid || !pid.is_some_and(is_running);
            host.is_none() || host == self.host && is_over
        };
        if client.exists(self.paths.members(), Watch::No)?.is_none() {
            create_group(client, &self.paths)?;
        }
        match claim(client, &self.path, &self.bytes, is_left_over)? {
            Claim::Taken { znode } => {
                Ok(Published::Taken { host: MemberRecord::read(&znode.data).host })
            }
            Claim::Ours { znode, .. } if znode.data == self.bytes => Ok(Published::Done),
            Claim::Ours { .. } if self.overwrite(client)? => Ok(Published::Done),
            Claim::Ours { .. } => Err(SessionError::NoNode(self.path.clone())),
        }
    }

    /// Writes the znode, which is ours, and leaves a watch; `false` if somebody has deleted it.
    fn overwrite(&self, client: &Client) -> Result<bool, SessionError> {
        match client.set(&self.path, &self.bytes, None) {
            Ok(_) => Ok(client.exists(&self.path, Watch::Yes)?.is_some()),
            Err(SessionError::NoNode(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether this host has such a process.
fn is_running(pid: u64) -> bool {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0);
    pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}
