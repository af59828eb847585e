//! This zkexec as a member of its group: what it tells, and what it hears.

use super::event::Event;
use super::saved::SavedContent;
use crate::mirror::Content;
use crate::options::MemberConfig;
use crate::rollout::{Event as Step, Orders, Phase, Rollout, Versioned};
use farm_core::cli::{Exit, Failure};
use farm_core::engine::{Outbox, unix_ms};
use farm_core::farm::rollout::publish::{self, MemberZnode};
use farm_core::farm::rollout::state::{self, GroupState, News};
use farm_core::farm::rollout::{Control, Known, MemberRecord, MemberState, MemberVersions};
use farm_core::farm::rollout::{StatePaths, Verdict, Version};
use farm_core::host::lock::{HostLock, LockError};
use farm_core::session::{self, Action, Session};
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Instant;

/// How many members of a group may run on one host.
const MEMBERS_MAX: usize = 1000;

/// This zkexec as a member of its group.
#[derive(Debug)]
pub(super) struct Member {
    id: String,
    state: GroupState,
    znode: MemberZnode,
    /// The record that it publishes.
    record: MemberRecord,
    control: Option<Control>,
    known: Option<(Version, Known)>,
    pub(super) saved: Option<SavedContent>,
    /// Whether the content of the first start is known to work.
    first_start: FirstStart,
    /// Whether it was logged that the group's state can't be written.
    has_warned: bool,
    outbox: Outbox<Event>,
    /// Keeps the id from other members on this host.
    _lock: Option<HostLock>,
}

/// Whether the content of the first start is known to work.
#[derive(Debug, Clone, Copy)]
enum FirstStart {
    NotYet,
    Up { proven_at: Option<Instant> },
    Proven,
}

impl Member {
    /// Takes an id on this host. Nothing is told or heard yet.
    pub(super) fn new(config: MemberConfig, outbox: Outbox<Event>) -> Result<Self, Failure> {
        let MemberConfig { group, holders, host, name, cluster, mirrors, state_dir } = config;
        let (id, lock) = match name {
            Some(name) => (name, None),
            None => free_id(&host, &format!("{cluster} {group}"))?,
        };
        let paths = StatePaths::of(&group)?;
        let path = paths.member(&id)?;
        let process = format!("{}-{}", unix_ms().unwrap_or_default(), std::process::id());
        if let Some(directory) = &state_dir {
            create_private(directory)?;
        }
        let saved = state_dir.map(|directory| {
            SavedContent::new(&directory, &group.to_string(), &id, mirrors.clone())
        });
        let record = MemberRecord {
            host: Some(host),
            pid: Some(std::process::id().into()),
            sources: Some(mirrors.iter().map(crate::mirror::MirrorSpec::source).collect()),
            holders: Some(holders),
            ..MemberRecord::default()
        };
        Ok(Self {
            state: GroupState::new(paths.clone(), id.clone(), process),
            znode: MemberZnode::new(paths, path, id.clone()),
            id,
            record,
            control: None,
            known: None,
            saved,
            first_start: FirstStart::NotYet,
            has_warned: false,
            outbox,
            _lock: lock,
        })
    }

    /// Whether a server can be asked now.
    pub(super) const fn is_connected(&self) -> bool {
        self.state.is_connected()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let first_start = match self.first_start {
            FirstStart::Up { proven_at } => proven_at,
            FirstStart::NotYet | FirstStart::Proven => None,
        };
        [self.state.deadline(), self.znode.deadline(), first_start].into_iter().flatten().min()
    }

    /// The first child was started. Without a health check it works if it is still up then.
    pub(super) const fn first_started(&mut self, proven_at: Option<Instant>) {
        self.first_start = FirstStart::Up { proven_at };
    }

    /// Whether the content of the first start has just turned out to work.
    pub(super) fn has_proven_start(&mut self, now: Instant, is_healthy: bool) -> bool {
        let FirstStart::Up { proven_at } = self.first_start else { return false };
        let is_proven = is_healthy && proven_at.is_none_or(|at| at <= now);
        if is_proven {
            self.first_start = FirstStart::Proven;
        }
        is_proven
    }

    /// The verdict on a version, once the orders of the operators are read too.
    pub(super) fn known(&self, version: Version) -> Option<&Known> {
        self.control.as_ref()?;
        self.known.as_ref().filter(|(known, _)| *known == version).map(|(_, known)| known)
    }

    /// Whether an operator wants this member to leave out a version.
    pub(super) fn leaves_out(&self, version: Version) -> bool {
        let skipped = self.control.as_ref().and_then(|control| control.skip.get(&self.id));
        skipped == Some(&version)
    }

    /// Until when any hour is allowed.
    pub(super) fn ignored_hours_until_ms(&self) -> Option<i64> {
        self.control.as_ref().and_then(|control| control.ignore_hours_until_ms)
    }

    /// Why its last turn has failed.
    pub(super) fn failed(&mut self, reason: String) {
        self.record.reason = Some(reason);
    }

    pub(super) fn session(
        &mut self,
        now: Instant,
        session: &Session,
        event: &session::Event,
    ) -> Vec<Step<Content>> {
        self.publish_step(now, session, publish::Event::Session(event.clone()));
        self.step(now, session, state::Event::Session(event.clone()))
    }

    pub(super) fn tick(&mut self, now: Instant, session: &Session) -> Vec<Step<Content>> {
        self.publish_step(now, session, publish::Event::Tick);
        self.step(now, session, state::Event::Tick)
    }

    /// Passes an event to the state of the group; returns what follows for the rollout.
    pub(super) fn step(
        &mut self,
        now: Instant,
        session: &Session,
        event: state::Event,
    ) -> Vec<Step<Content>> {
        let mut steps = Vec::new();
        for action in self.state.step(now, event) {
            match action {
                Action::Request(request) => {
                    request.dispatch(session, self.outbox.posting(Event::Group));
                }
                Action::Report(news) => steps.extend(self.hear(news)),
            }
        }
        steps
    }

    fn hear(&mut self, news: News) -> Option<Step<Content>> {
        match news {
            News::Control(control) => {
                let orders = Orders {
                    is_paused: control.is_paused,
                    restart: control.restart,
                    retry: control.retry,
                    skipped: control.skip.get(&self.id).copied(),
                };
                self.control = Some(control);
                Some(Step::Orders(orders))
            }
            News::Known(version, known) => {
                let is_refused = known.verdict == Some(Verdict::Refused);
                if is_refused && known.by.as_ref() != Some(&self.id) {
                    let by = known.by.as_deref().unwrap_or_default();
                    let reason = known.reason.as_deref().unwrap_or_default();
                    log::warn!(by, reason; "the group has refused version {version}");
                }
                self.known = Some((version, known.clone()));
                Some(Step::Known(version, known))
            }
            News::Tried(tried) => Some(Step::Tried(tried)),
            News::Recorded => Some(Step::Recorded),
            News::Unwritable(why) => {
                self.warn_once(&why);
                None
            }
        }
    }

    pub(super) fn published(&mut self, now: Instant, session: &Session, answer: publish::Answer) {
        self.publish_step(now, session, publish::Event::Answered(answer));
    }

    fn publish_step(&mut self, now: Instant, session: &Session, event: publish::Event) {
        for action in self.znode.step(now, event) {
            match action {
                Action::Request(request) => {
                    request.dispatch(session, self.outbox.posting(Event::Published));
                }
                Action::Report(publish::News::Taken { host }) => {
                    let host = host.unwrap_or_default();
                    log::warn!(host; "another member of the group has the id {}", self.id);
                }
                Action::Report(publish::News::Unwritable(why)) => {
                    self.warn_once(&why);
                }
            }
        }
    }

    /// Warns about the first thing that can't be written; the others are missing for the same
    /// reason.
    fn warn_once(&mut self, why: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            log::warn!(
                "the group and its operators can't see what this member does: {why}; it takes its \
                 turns without that"
            );
        }
    }

    /// Tells what this member is doing, if that has changed.
    pub(super) fn tell(
        &mut self,
        now: Instant,
        session: &Session,
        rollout: &Rollout<Content>,
        latest: Option<&Content>,
        is_healthy: Option<bool>,
    ) {
        // Without a mirror there is nothing to compare: all have the same content, which is none.
        let is_empty = self.record.sources.as_ref().is_some_and(Vec::is_empty);
        let known = |content: &&Content| is_empty || content.is_known();
        let version = |content: Option<&Content>| content.filter(known).map(Versioned::version);
        let state = state_of(rollout);
        let mut record = self.record.clone();
        record.state = Some(state);
        record.versions = MemberVersions {
            wanted: version(latest.or(rollout.wanted())),
            running: version(rollout.running()),
            confirmed: version(rollout.good()),
        };
        record.restarted = Some(rollout.restarted());
        record.is_healthy = is_healthy;
        record.waits_for = waits_for(state).map(str::to_owned);
        match state {
            MemberState::Failed | MemberState::Skipped => {}
            MemberState::Refused => {
                record.reason = rollout.known().and_then(|known| known.reason.clone());
            }
            _ => record.reason = None,
        }
        if self.record.state != record.state {
            record.since_ms = unix_ms();
        }
        if record != self.record {
            self.record = record.clone();
            self.publish_step(now, session, publish::Event::Publish(record));
        }
    }
}

/// Creates the directory of the state if it is missing; its parent has to exist.
fn create_private(directory: &Path) -> Result<(), Failure> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let message = format!("cannot create {}: {error}", directory.display());
            Err(Failure::new(Exit::CannotWrite, message))
        }
    }
}

/// The first free id on this host: its name, or its name and a number.
fn free_id(host: &str, scope: &str) -> Result<(String, Option<HostLock>), Failure> {
    for number in 1..=MEMBERS_MAX {
        let id = if number == 1 { host.to_owned() } else { format!("{host}.{number}") };
        match HostLock::take(&format!("zkexec {scope} {id}")) {
            Ok(lock) => return Ok((id, Some(lock))),
            Err(LockError::Held(_) | LockError::Foreign(_)) => {}
            Err(error @ LockError::Io(_)) => {
                log::warn!("other members on this host may have the same id: {error}");
                return Ok((id, None));
            }
        }
    }
    let message = format!("{MEMBERS_MAX} members of the group run on this host already");
    Err(Failure::new(Exit::Configuration, message))
}

fn state_of(rollout: &Rollout<Content>) -> MemberState {
    match rollout.phase() {
        Phase::NotStarted => MemberState::Starting,
        Phase::Settled => MemberState::Running,
        Phase::OffHours => MemberState::OffHours,
        Phase::AwaitingVerdict | Phase::Queued => MemberState::Waiting,
        Phase::Refused => MemberState::Refused,
        Phase::Skipped => MemberState::Skipped,
        Phase::Paused => MemberState::Paused,
        Phase::Blocked => MemberState::Blocked,
        Phase::Rereading
        | Phase::Staging
        | Phase::Draining
        | Phase::Trying
        | Phase::Installing
        | Phase::Stopping
        | Phase::PuttingBack => MemberState::Restarting,
        Phase::Applying | Phase::Unconfirmed => MemberState::Unconfirmed,
        Phase::Restoring | Phase::Soaking { .. } | Phase::Recording => MemberState::Soaking,
        Phase::Failed { .. } => MemberState::Failed,
        Phase::Leaving => MemberState::Stopping,
    }
}

const fn waits_for(state: MemberState) -> Option<&'static str> {
    match state {
        MemberState::OffHours => Some("hours"),
        MemberState::Waiting => Some("lock"),
        MemberState::Blocked => Some("farm"),
        MemberState::Failed | MemberState::Refused | MemberState::Skipped => Some("content"),
        MemberState::Paused => Some("resume"),
        MemberState::Starting
        | MemberState::Running
        | MemberState::Restarting
        | MemberState::Unconfirmed
        | MemberState::Soaking
        | MemberState::Stopping => None,
    }
}
