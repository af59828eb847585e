//! What a member follows and writes of its group's state.
//!
//! A pure state machine: it follows `control` and the version that the member wants, and makes the
//! member's changes to its versions, one after the other.
//!
//! **Invariant.** Changes are made in the order in which they were asked for, each until it is
//! answered. One that is interrupted is made at the next contact, before any later one.

use super::control::Control;
use super::known::Known;
use super::paths::StatePaths;
pub use super::request::{Answer, Request};
use super::request::{Change, ChangeRequest, Outcome, Reply};
use super::verdict::{Trial, VersionRecord};
use super::version::Version;
use crate::codec::json::decode_znode;
use crate::engine::Retry;
use crate::session::cache::{self, Cache, Contents, Depth, Scope};
use crate::session::{self, SessionError, ZnodePath};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// What happened, or what the member wants.
#[derive(Debug)]
pub enum Event {
    /// Something happened to the session.
    Session(session::Event),
    /// A request was answered.
    Answered(Answer),
    /// The member wants this version from now on; answered by [`News::Known`].
    Follow(Version),
    /// The member has the lock and is about to touch its files for this version. Answered by
    /// [`News::Tried`], unless the session ends first.
    Try(Version),
    /// The try has touched nothing.
    Untouched,
    /// The child works on this version; answered by [`News::Recorded`].
    Confirm(Version),
    /// The child does not work on this version, for that reason.
    Refuse(Version, String),
    /// A check refuses this version before it is tried, for that reason.
    RefuseUntried(Version, String),
    /// The deadline has passed.
    Tick,
}

/// What to do.
pub type Action = session::Action<Request, News>;

/// A change of what was read, or the end of a change that the member wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The orders of the operators, after the first read and after each change.
    Control(Control),
    /// The state of the version that the member wants, after the first read and after each change.
    Known(Version, Known),
    /// Whether the member may go on with its turn.
    Tried(Tried),
    /// A confirmation is written, or can't be.
    Recorded,
    /// The state of the group can't be written; reported once. Turns go on without it.
    Unwritable(String),
}

/// Whether a member may go on with its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tried {
    /// The try is counted, or needs not to be.
    Allowed,
    /// The version is refused; [`News::Known`] says so too.
    Refused,
    /// An operator has paused the group or skips this member; [`News::Control`] says so too.
    Held,
}

/// A turn of the member that was counted.
#[derive(Debug, Clone)]
struct Turn {
    version: Version,
    trial: Trial,
    /// The round in which the try was counted.
    round: Option<u64>,
}

/// The version that the member wants.
#[derive(Debug)]
struct Followed {
    version: Version,
    cache: Cache<Option<VersionRecord>>,
    reported: Option<Known>,
}

/// The state machine.
#[derive(Debug)]
pub struct GroupState {
    paths: StatePaths,
    id: String,
    /// Tells our turns from those of other processes with this id.
    process: String,
    turns_begun: u64,
    /// The turn that the files are from, and the one on newer content.
    turns: Vec<Turn>,
    control: Cache<Control>,
    reported: Option<Control>,
    followed: Option<Followed>,
    /// The latest connection, for caches that begin during it.
    connected: Option<session::Event>,
    /// The first one is under way if `asked` is set.
    changes: VecDeque<ChangeRequest>,
    /// The ticket of the request under way, and the last one.
    asked: Option<u64>,
    tickets: u64,
    retry: Retry,
    is_unwritable: bool,
}

impl GroupState {
    /// Nothing is known yet. `id` is the member's, and `process` a text that no other process
    /// with this id has.
    #[must_use]
    pub fn new(paths: StatePaths, id: String, process: String) -> Self {
        let control =
            Cache::new(Scope::new(paths.control().clone(), Depth::ZNODE, Contents::All), |data| {
                (Control::of(&decode_znode(&data).unwrap_or_default()), data.len())
            });
        Self {
            paths,
            id,
            process,
            turns_begun: 0,
            turns: Vec::new(),
            control,
            reported: None,
            followed: None,
            connected: None,
            changes: VecDeque::new(),
            asked: None,
            tickets: 0,
            retry: Retry::new(RETRY_LEAST, RETRY_MOST),
            is_unwritable: false,
        }
    }

    /// Whether a server can be asked now.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connected.is_some()
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let followed = self.followed.as_ref().and_then(|followed| followed.cache.deadline());
        [self.control.deadline(), followed, self.retry.deadline()].into_iter().flatten().min()
    }

    /// Takes one event.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Session(event) => self.session(now, &event, &mut actions),
            Event::Answered(Answer(Reply::Control(answer))) => {
                let event = cache::Event::Answered(answer);
                pass(&mut actions, self.control.step(now, event), Request::control);
            }
            Event::Answered(Answer(Reply::Version(version, answer))) => {
                if let Some(followed) = self.followed.as_mut().filter(|it| it.version == version) {
                    let event = cache::Event::Answered(answer);
                    pass(&mut actions, followed.cache.step(now, event), Request::version(version));
                }
            }
            Event::Answered(Answer(Reply::Changed { ticket, outcome })) => {
                self.changed(now, ticket, outcome, &mut actions);
            }
            Event::Follow(version) => self.follow(now, version, &mut actions),
            Event::Try(version) => {
                let trial = self.new_trial();
                // Of the turns before, one at most has put its files in place: the last one.
                self.turns.drain(..self.turns.len().saturating_sub(1));
                self.turns.push(Turn { version, trial: trial.clone(), round: None });
                self.changes.push_back(self.change(version, Change::Try(trial)));
            }
            Event::Untouched => self.untouched(),
            Event::Confirm(version) => {
                let Turn { trial, .. } = self.turn_on(version);
                self.changes.push_back(self.change(version, Change::Confirm(trial)));
            }
            Event::Refuse(version, reason) => {
                let turn = self.turn_on(version);
                self.refuse(turn, reason);
            }
            Event::RefuseUntried(version, reason) => {
                let turn = self.turn_without_try(version);
                self.refuse(turn, reason);
            }
            Event::Tick => {
                self.retry.take(now);
                self.step_caches(now, None, &mut actions);
            }
        }
        self.report(&mut actions);
        self.ask_next(&mut actions);
        actions
    }

    fn session(&mut self, now: Instant, event: &session::Event, actions: &mut Vec<Action>) {
        match event {
            session::Event::Connected { .. } => {
                self.connected = Some(event.clone());
                // What was sent over an earlier connection may have happened: each change can be
                // made again.
                self.asked = None;
                self.retry.reset();
            }
            session::Event::Suspended(_) | session::Event::Lost => {
                self.connected = None;
                self.asked = None;
            }
            session::Event::Hint(_)
            | session::Event::GaveUp(_)
            | session::Event::AuthRefused(_) => {}
        }
        if matches!(event, session::Event::Lost) {
            // The lock is lost, and with it the right to go on.
            self.changes.retain(|change| !matches!(change.change, Change::Try(_)));
        }
        self.step_caches(now, Some(event), actions);
    }

    /// Has the caches take an event of the session; without one, a tick.
    fn step_caches(
        &mut self,
        now: Instant,
        event: Option<&session::Event>,
        actions: &mut Vec<Action>,
    ) {
        fn of<T>(event: Option<&session::Event>) -> cache::Event<T> {
            event.cloned().map_or(cache::Event::Tick, cache::Event::Session)
        }
        pass(actions, self.control.step(now, of(event)), Request::control);
        if let Some(followed) = &mut self.followed {
            let request = Request::version(followed.version);
            pass(actions, followed.cache.step(now, of(event)), request);
        }
    }

    fn follow(&mut self, now: Instant, version: Version, actions: &mut Vec<Action>) {
        if self.followed.as_ref().is_some_and(|followed| followed.version == version) {
            return;
        }
        let Some(path) = self.path_of(version) else { return };
        let scope = Scope::new(path, Depth::ZNODE, Contents::All);
        let mut cache = Cache::new(scope, |data| (VersionRecord::read(&data), data.len()));
        if let Some(connected) = &self.connected {
            let event = cache::Event::Session(connected.clone());
            pass(actions, cache.step(now, event), Request::version(version));
        }
        self.followed = Some(Followed { version, cache, reported: None });
    }

    /// Twelve hex digits are always the name of a znode.
    fn path_of(&self, version: Version) -> Option<ZnodePath> {
        self.paths.versions().child(&version.to_string()).ok()
    }

    fn change(&self, version: Version, change: Change) -> ChangeRequest {
        ChangeRequest { paths: self.paths.clone(), id: self.id.clone(), version, change }
    }

    fn new_trial(&mut self) -> Trial {
        self.turns_begun += 1;
        Trial { id: self.id.clone(), token: format!("{}-{}", self.process, self.turns_begun) }
    }

    /// The latest turn on that version; without a counted try, a new one.
    fn turn_on(&mut self, version: Version) -> Turn {
        let counted = self.turns.iter().rfind(|turn| turn.version == version).cloned();
        counted.unwrap_or_else(|| self.turn_without_try(version))
    }

    fn turn_without_try(&mut self, version: Version) -> Turn {
        Turn { version, trial: self.new_trial(), round: None }
    }

    /// Takes back the latest try.
    fn untouched(&mut self) {
        let Some(turn) = self.turns.pop() else { return };
        let is_trying = |change: &ChangeRequest| change.change == Change::Try(turn.trial.clone());
        // One that was never sent is taken back without a request.
        let first_unsent = usize::from(self.asked.is_some());
        if let Some(at) = self.changes.iter().skip(first_unsent).position(is_trying) {
            self.changes.remove(first_unsent + at);
            if self.turn_was_never_sent(&turn) {
                return;
            }
        }
        self.changes.push_back(self.change(turn.version, Change::Untouched(turn.trial)));
    }

    /// Whether nothing of that turn can have reached a server. After a lost connection it can.
    const fn turn_was_never_sent(&self, turn: &Turn) -> bool {
        turn.round.is_none() && self.connected.is_some() && self.retry.deadline().is_none()
    }

    fn refuse(&mut self, turn: Turn, reason: String) {
        let Turn { version, trial, round } = turn;
        let round = round.unwrap_or_else(|| self.known(version).round);
        self.changes.push_back(self.change(version, Change::Refuse { trial, round, reason }));
    }

    /// The state of a version at the last read.
    fn known(&self, version: Version) -> Known {
        let followed = self.followed.as_ref().filter(|followed| followed.version == version);
        followed.and_then(Followed::known).unwrap_or_default()
    }

    /// Reports what the caches know, if it is new.
    fn report(&mut self, actions: &mut Vec<Action>) {
        if let Some(control) = control_of(&self.control)
            && self.reported.as_ref() != Some(&control)
        {
            self.reported = Some(control.clone());
            actions.push(Action::Report(News::Control(control)));
        }
        if let Some(followed) = &mut self.followed
            && let Some(known) = followed.known()
            && followed.reported.as_ref() != Some(&known)
        {
            followed.reported = Some(known.clone());
            actions.push(Action::Report(News::Known(followed.version, known)));
        }
    }

    fn ask_next(&mut self, actions: &mut Vec<Action>) {
        let is_blocked = self.asked.is_some() || self.retry.deadline().is_some();
        if is_blocked || self.connected.is_none() {
            return;
        }
        let Some(change) = self.changes.front().cloned() else { return };
        self.tickets += 1;
        self.asked = Some(self.tickets);
        actions.push(Action::Request(Request::change(self.tickets, change)));
    }

    fn changed(
        &mut self,
        now: Instant,
        ticket: u64,
        outcome: Result<Outcome, SessionError>,
        actions: &mut Vec<Action>,
    ) {
        if self.asked.take_if(|asked| *asked == ticket).is_none() {
            return;
        }
        let outcome = match outcome {
            Err(error) if error.is_transient() || matches!(error, SessionError::BadVersion(_)) => {
                return self.retry.failed(now);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_unwritable, true) {
                    actions.push(Action::Report(News::Unwritable(error.to_string())));
                }
                None
            }
            Ok(outcome) => Some(outcome),
        };
        self.retry.reset();
        let Some(ChangeRequest { change, version, .. }) = self.changes.pop_front() else { return };
        match (change, outcome) {
            (Change::Try(trial), outcome) => self.tried(now, version, &trial, outcome, actions),
            (Change::Confirm(_), _) => actions.push(Action::Report(News::Recorded)),
            (Change::Untouched(_) | Change::Refuse { .. }, _) => {}
        }
    }

    /// Reports whether the turn may go on, unless it was taken back meanwhile.
    fn tried(
        &mut self,
        now: Instant,
        version: Version,
        trial: &Trial,
        outcome: Option<Outcome>,
        actions: &mut Vec<Action>,
    ) {
        let Some(turn) = self.turns.last_mut().filter(|turn| turn.trial == *trial) else { return };
        let tried = match outcome {
            Some(Outcome::Allowed { round }) => {
                turn.round = Some(round);
                Tried::Allowed
            }
            Some(Outcome::Refused) => {
                self.turns.pop();
                self.know_refused(now, version, actions);
                Tried::Refused
            }
            Some(Outcome::Held(control)) => {
                self.turns.pop();
                self.know_held(now, control, actions);
                Tried::Held
            }
            None | Some(Outcome::Done) => Tried::Allowed,
        };
        actions.push(Action::Report(News::Tried(tried)));
    }

    /// Reports what holds the turn, and reads it again: the cache may not have noticed it yet, or
    /// know of something newer.
    fn know_held(&mut self, now: Instant, held: Control, actions: &mut Vec<Action>) {
        let (restart, retry) =
            self.reported.as_ref().map_or((0, 0), |known| (known.restart, known.retry));
        let control =
            Control { restart: held.restart.max(restart), retry: held.retry.max(retry), ..held };
        if self.reported.as_ref() != Some(&control) {
            self.reported = Some(control.clone());
            actions.push(Action::Report(News::Control(control)));
        }
        pass(actions, self.control.step(now, cache::Event::Refresh), Request::control);
    }

    /// Reads the version again: the cache may not have noticed yet that it is refused.
    fn know_refused(&mut self, now: Instant, version: Version, actions: &mut Vec<Action>) {
        if let Some(followed) = self.followed.as_mut().filter(|it| it.version == version) {
            followed.reported = None;
            let request = Request::version(version);
            pass(actions, followed.cache.step(now, cache::Event::Refresh), request);
        }
    }
}

impl Followed {
    /// The state of the version; `None` before the first read.
    fn known(&self) -> Option<Known> {
        match self.cache.state() {
            cache::State::Complete => Some(
                self.cache
                    .top()
                    .and_then(|znode| znode.data.as_ref())
                    .map(Known::of)
                    .unwrap_or_default(),
            ),
            // A member that may not read it goes on without it.
            cache::State::Missing | cache::State::Refused => Some(Known::default()),
            cache::State::Disconnected | cache::State::Loading => None,
        }
    }
}

fn control_of(cache: &Cache<Control>) -> Option<Control> {
    match cache.state() {
        cache::State::Complete => cache.top().map(|znode| znode.data.clone()),
        cache::State::Missing | cache::State::Refused => Some(Control::default()),
        cache::State::Disconnected | cache::State::Loading => None,
    }
}

/// Passes on the requests of a cache. Its news are seen in its state.
fn pass<V>(
    actions: &mut Vec<Action>,
    cached: Vec<cache::Action<V>>,
    request: impl Fn(cache::Request<V>) -> Request,
) {
    actions.extend(cached.into_iter().filter_map(|action| match action {
        cache::Action::Request(asked) => Some(Action::Request(request(asked))),
        cache::Action::Report(_) => None,
    }));
}
