//! The loop of `zkjoin`: performs the member's actions, and feeds it the events.
//!
//! **Invariant.** The main thread owns all state and waits only for its inbox. Events
//! that arise while the member steps are queued, and never handled within that step.

mod connection;
mod event;

use crate::announce::Announcer;
use crate::entry::{self, Answer};
use crate::local_conf::LocalConf;
use crate::member::{Action, Event as MemberEvent, Member, Remote};
use crate::name::{self, NameLocks, Owners};
use crate::options::Config;
use crate::status::Status;
use crate::warnings::{Warnings, log_conflicts, log_overruled};
use connection::Connection;
use event::Event;
use farm_core::cli::{Exit, Failure, Notifier};
use farm_core::codec::{DecodeError, json};
use farm_core::engine::{Inbox, Retry, Signal, Signals, inbox};
use farm_core::farm::{Claim, Size, keep_size, look};
use farm_core::files::look::Look;
use farm_core::files::watch::Hint as FileHint;
use farm_core::process::reaper::reap_orphans;
use farm_core::session::{self, Session, SessionError, Znode};
use log::Level;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far the start has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The znode was not read yet.
    Starting,
    /// The member runs, and has not joined yet.
    Joining,
    /// We have joined once: from now on, failures are retried.
    Ready,
}

/// The update of the farm's size, the most hosts that it ever had.
#[derive(Debug)]
struct SizeUpdate {
    /// Whether we have joined since the size was last raised.
    is_due: bool,
    /// No event tells when the farm's record is fixed or we may write it.
    retry: Retry,
}

pub(crate) struct Runner {
    config: Config,
    inbox: Inbox<Event>,
    connection: Connection,
    stage: Stage,
    conf: LocalConf,
    member: Member,
    /// Events that the member has not taken yet.
    events: VecDeque<MemberEvent>,
    owners: Owners,
    size: SizeUpdate,
    announcer: Option<Announcer>,
    warnings: Warnings,
    // Dropped last, in this order: the name becomes free when no thread posts any more.
    _signals: Signals,
    locks: NameLocks,
}

impl Runner {
    pub(crate) fn start(config: Config) -> Result<Self, Failure> {
        let locks = NameLocks::take(&config)?;
        // Without the lock, such a znode may belong to a zkjoin of this host that runs.
        let leftover = config.member.hostname.clone().filter(|_| locks.are_complete());
        let (inbox, outbox) = inbox();
        let signals = Signals::listen(outbox.posting(Event::Signal))
            .map_err(Failure::system_error("cannot catch signals"))?;
        Ok(Self {
            conf: LocalConf::start(
                &config,
                outbox.posting(Event::File),
                outbox.posting(Event::Looked),
            )?,
            announcer: Announcer::new(&config, outbox.posting(Event::Hook)),
            connection: Connection::new(
                Session::open(config.session.clone(), outbox.posting(Event::Session)),
                outbox,
            ),
            stage: Stage::Starting,
            member: Member::new(config.member.clone()),
            events: VecDeque::new(),
            owners: Owners::new(leftover),
            size: SizeUpdate { is_due: false, retry: Retry::unannounced() },
            warnings: Warnings::default(),
            config,
            inbox,
            _signals: signals,
            locks,
        })
    }

    pub(crate) fn run(mut self) -> Result<Exit, Failure> {
        let mut notifier = Notifier::from_environment();
        let end = loop {
            if self.stage == Stage::Ready {
                notifier.ready();
            }
            notifier.status(&self.status());
            let deadline = self.deadline().into_iter().chain(notifier.deadline()).min();
            let event = self.inbox.next(deadline);
            notifier.tick(Instant::now());
            if let Some(end) = self.iterate(event).transpose() {
                break end;
            }
        };
        notifier.stopping();
        self.connection.session.close();
        end
    }

    fn status(&self) -> Status<'_> {
        let path = &self.config.entry;
        match (self.connection.is_connected, self.stage) {
            (false, Stage::Ready) => Status::Away(path),
            (false, Stage::Starting | Stage::Joining) => Status::Searching,
            (true, _) if self.member.is_joined() => Status::Joined(path),
            (true, _) if self.owners.other.is_some() => Status::Waiting(path),
            (true, _) => Status::Joining(path),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let announcer = self.announcer.as_ref().and_then(|announcer| announcer.hook.deadline());
        let session = self.connection.session.deadline();
        let own = [self.member.deadline(), self.conf.deadline(), self.owners.deadline()];
        let own = own.into_iter().chain([Some(self.locks.deadline())]);
        let rechecks = [self.connection.recheck.deadline(), self.size.retry.deadline()];
        own.chain([announcer, session]).chain(rechecks).flatten().min()
    }

    fn iterate(&mut self, event: Option<Event>) -> Result<Option<Exit>, Failure> {
        match event {
            Some(Event::Signal(Signal::Stop)) => {
                log::info!("stopping");
                return Ok(Some(Exit::Done));
            }
            Some(Event::Signal(Signal::Refresh)) => {
                self.conf.renew_watch();
                self.load_conf();
                self.feed(MemberEvent::Hint);
            }
            Some(Event::Signal(Signal::ChildEnded)) => {
                reap_orphans(self.announcer.iter().filter_map(|announcer| announcer.hook.pid()));
            }
            Some(Event::Session(event)) => self.session_event(event)?,
            Some(Event::File(hint)) => self.file_hint(hint),
            Some(Event::Looked(look)) => self.looked(look),
            Some(Event::Found(found)) => self.prepare(found)?,
            Some(Event::Answer { request_id, answer }) if self.connection.is_latest(request_id) => {
                self.answer(answer)?;
            }
            Some(Event::Answer { .. }) => {}
            Some(Event::SizeKept(outcome)) => self.size_kept(outcome),
            Some(Event::Hook(finished)) => {
                if let Some(announcer) = &mut self.announcer {
                    announcer.hook.finished(Instant::now(), &finished);
                }
            }
            None => {}
        }
        self.tick()?;
        Ok(None)
    }

    fn tick(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        self.connection.session.tick(now);
        self.locks.tick(now);
        if let Some(znode) = self.owners.overdue(now) {
            return Err(name::taken_by(&self.config, znode));
        }
        self.announcer.iter_mut().for_each(|announcer| announcer.hook.tick(now));
        if self.conf.is_due(now) {
            self.load_conf();
        }
        if self.member.deadline().is_some_and(|at| now >= at) {
            self.feed(MemberEvent::Tick);
        }
        if self.connection.recheck.take(now) && self.member.is_joined() {
            self.feed(MemberEvent::Hint);
        }
        if self.size.retry.take(now) {
            self.keep_size();
        }
        Ok(())
    }

    fn session_event(&mut self, event: session::Event) -> Result<(), Failure> {
        match event {
            session::Event::Connected { session, granted, .. } => {
                self.connection.connected(session, granted);
                self.keep_size();
                if self.stage == Stage::Starting {
                    let entry = self.config.entry.clone();
                    self.connection.dispatch(move |client| Event::Found(look(client, &entry)));
                }
                self.feed(MemberEvent::Connected);
            }
            session::Event::Suspended(_) => self.disconnected(),
            session::Event::Lost => {
                self.disconnected();
                if let Some((session, _)) = self.connection.granted.take() {
                    self.owners.leftovers.add(session);
                }
                self.connection.session.renew(Instant::now());
            }
            session::Event::Hint(hint) if hint.path == self.config.entry => {
                self.owners.invalidate();
                self.feed(MemberEvent::Hint);
            }
            session::Event::Hint(_) => {}
            session::Event::AuthRefused(error) if self.stage != Stage::Ready => {
                return Err(SessionError::AuthRefused(error).into());
            }
            // The session logs it, and tries again.
            session::Event::AuthRefused(_) => {}
            session::Event::GaveUp(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn disconnected(&mut self) {
        self.connection.disconnected();
        self.owners.invalidate();
        self.feed(MemberEvent::Disconnected);
    }

    /// Starts the member after the first read of the znode, whose record gives the
    /// types of the fields of a config directory.
    fn prepare(&mut self, found: Result<Option<Znode>, SessionError>) -> Result<(), Failure> {
        match found {
            // The next connection reads it again.
            Err(error) if error.is_transient() => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(Some(znode)) => {
                if let Ok(record) = json::decode_znode(&znode.data) {
                    self.conf.learn_types(&record);
                }
            }
            Ok(None) => {}
        }
        if self.stage == Stage::Starting {
            self.stage = Stage::Joining;
            self.load_conf();
            if self.connection.is_connected {
                self.feed(MemberEvent::Connected);
            }
        }
        Ok(())
    }

    fn file_hint(&mut self, hint: FileHint) {
        match hint {
            // The config is read when the member starts.
            _ if self.stage == Stage::Starting => {}
            FileHint::Now => self.load_conf(),
            FileHint::Soon => self.conf.defer_read(),
        }
    }

    fn looked(&mut self, look: Look) {
        if self.conf.looked(look) {
            self.load_conf();
        }
    }

    fn load_conf(&mut self) {
        if self.stage != Stage::Starting {
            let state = self.conf.read();
            self.feed(MemberEvent::Conf(state));
        }
    }

    /// Feeds an event to the member, which takes none before it is started.
    fn feed(&mut self, event: MemberEvent) {
        if self.stage != Stage::Starting {
            self.events.push_back(event);
            self.pump();
        }
    }

    /// Steps the member until its queue of events is empty.
    fn pump(&mut self) {
        while let Some(event) = self.events.pop_front() {
            for action in self.member.step(Instant::now(), event) {
                self.perform(action);
            }
        }
        let is_written = self.conf.take_written();
        self.announcer.iter_mut().for_each(|announcer| announcer.announce(is_written));
    }

    fn perform(&mut self, action: Action) {
        let entry = self.config.entry.clone();
        match action {
            Action::Claim(record) => {
                let (options, leftovers) =
                    (self.config.member.clone(), self.owners.leftovers.clone());
                self.connection
                    .ask(move |client| entry::claim(client, &entry, &options, &record, &leftovers));
            }
            Action::Read => self.connection.ask(move |client| Answer::Read(look(client, &entry))),
            Action::Publish { record, version } => {
                self.connection.ask(move |client| entry::publish(client, &entry, &record, version));
            }
            Action::Store(record) => self.events.push_back(self.conf.store(&record)),
            Action::ReportConflicts(conflicts) => log_conflicts(&conflicts),
            Action::ReportOverruled(conflicts) => log_overruled(&conflicts),
            Action::ReportJoined => self.joined(),
        }
    }

    fn answer(&mut self, answer: Answer) -> Result<(), Failure> {
        self.connection.answered(Instant::now());
        let event = match answer {
            Answer::Claim(Ok(Claim::Ours { znode, replaced })) => {
                self.owners.other = None;
                let overruled = replaced.and_then(|znode| self.remote(&znode).record);
                MemberEvent::Claimed { remote: self.remote(&znode), overruled }
            }
            Answer::Read(Ok(Some(znode)))
                if self.connection.is_ours(&znode) || self.config.member.is_common =>
            {
                MemberEvent::Read(self.remote(&znode))
            }
            Answer::Claim(Ok(Claim::Taken { znode })) | Answer::Read(Ok(Some(znode))) => {
                self.name_is_taken(znode)?
            }
            Answer::Read(Ok(None)) | Answer::Publish(Err(SessionError::NoNode(_))) => {
                if self.stage == Stage::Ready {
                    log::warn!(path:% = self.config.entry; "the znode is gone");
                }
                MemberEvent::Gone
            }
            Answer::Publish(Ok(stat)) => {
                log::info!(path:% = self.config.entry, version = stat.version; "published");
                MemberEvent::Published { version: stat.version }
            }
            Answer::Publish(Err(SessionError::BadVersion(_))) => MemberEvent::BadVersion,
            Answer::Claim(Err(error)) | Answer::Read(Err(error)) | Answer::Publish(Err(error)) => {
                self.refused(error)?
            }
            Answer::Unfit(error) => self.unfit(error)?,
        };
        let is_failure = matches!(event, MemberEvent::Refused { .. } | MemberEvent::Interrupted);
        if !is_failure && self.warnings.request.clear() {
            log::info!(path:% = self.config.entry; "ZooKeeper accepts our requests again");
        }
        self.feed(event);
        Ok(())
    }

    /// The znode's record and version. A malformed znode is logged once.
    fn remote(&self, znode: &Znode) -> Remote {
        let version = znode.stat.version;
        let record = json::decode_znode(&znode.data).inspect_err(|error| {
            // We repair our own znode, but not the common one.
            let level = if self.config.member.is_common { Level::Error } else { Level::Warn };
            let logger = &self.warnings.znode;
            log::log!(logger: logger, level, version, why:% = error; "the znode is malformed");
        });
        Remote { record: record.ok(), version }
    }

    /// A refusal ends zkjoin before it has joined, because whoever starts it sees the
    /// error. Later, it is logged once, and the request is retried.
    fn refused(&self, error: SessionError) -> Result<MemberEvent, Failure> {
        if error.is_transient() {
            return Ok(MemberEvent::Interrupted);
        }
        if self.stage != Stage::Ready {
            return Err(error.into());
        }
        let is_final = matches!(error, SessionError::TooLarge { .. });
        log::warn!(logger: self.warnings.request, why:% = error; "ZooKeeper refused the request, trying again");
        Ok(MemberEvent::Refused { is_final })
    }

    /// As [`Runner::refused`], for a record that is larger than a record may be.
    fn unfit(&self, error: DecodeError) -> Result<MemberEvent, Failure> {
        let entry = &self.config.entry;
        if self.stage != Stage::Ready {
            return Err(Failure::from(error).during(format!("cannot write {entry}")));
        }
        let logger = &self.warnings.request;
        log::warn!(logger: logger, path:% = entry, why:% = error; "the record is not published");
        Ok(MemberEvent::Refused { is_final: true })
    }

    fn name_is_taken(&mut self, znode: Znode) -> Result<MemberEvent, Failure> {
        if self.owners.leftovers.contain(&znode) {
            // The claim replaces it.
            return Ok(MemberEvent::Gone);
        }
        if self.stage == Stage::Ready {
            return Err(name::taken_by(&self.config, &znode));
        }
        let wait = self.connection.granted.map_or(Duration::ZERO, |(_, timeout)| timeout * 2);
        self.owners.wait_for(znode, wait, &self.config.entry);
        Ok(MemberEvent::Taken)
    }

    fn joined(&mut self) {
        if self.stage == Stage::Ready {
            log::info!(path:% = self.config.entry; "joined again");
        } else {
            self.stage = Stage::Ready;
            self.owners.leftovers.hostname = None;
            self.announcer.iter_mut().for_each(|announcer| announcer.pending_event = Some("start"));
            log::info!(path:% = self.config.entry; "joined");
        }
        self.size.is_due = self.config.keeps_size;
        self.keep_size();
    }

    fn keep_size(&self) {
        if self.size.is_due && self.connection.is_connected {
            let farm = self.config.farm.clone();
            self.connection.dispatch(move |client| Event::SizeKept(keep_size(client, &farm)));
        }
    }

    fn size_kept(&mut self, outcome: Result<Size, SessionError>) {
        let why = match outcome {
            Ok(Size::Kept) => {
                self.size.is_due = false;
                self.warnings.size.clear();
                return;
            }
            Ok(Size::Malformed) => "the farm's record is malformed".to_owned(),
            // The next connection updates it.
            Err(error) if error.is_transient() => return,
            Err(error) => error.to_string(),
        };
        self.size.retry.plan(Instant::now());
        log::warn!(logger: self.warnings.size, farm:% = self.config.farm, why; "cannot update the farm's size");
    }
}
