//! The loop of `zkjoin`: what the member wants is done here, and what happens is
//! brought to it.
//!
//! **Invariant.** The main thread owns everything and waits only for its inbox. What
//! comes up while the member steps is queued, and never handled within that step.

mod contact;

use crate::announce::Announcer;
use crate::entry::{self, Answer};
use crate::local::Local;
use crate::member::{Action, Event as MemberEvent, Member, Remote};
use crate::name::{self, Holders};
use crate::options::Config;
use crate::status::Status;
use crate::warnings::{Warnings, tell_conflicts, tell_overruled};
use contact::Contact;
use farm_core::cli::{Exit, Failure, Notifier};
use farm_core::codec::json;
use farm_core::engine::{Inbox, Signal, Signals, inbox};
use farm_core::farm::{Claim, Size, keep_size, look};
use farm_core::files::watch::Hint as FileHint;
use farm_core::host::lock::HostLock;
use farm_core::process::command::Finished;
use farm_core::session::{self, Session, SessionError, Znode};
use log::Level;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

enum Event {
    Session(session::Event),
    Signal(Signal),
    File(FileHint),
    /// What stood at our place before we came.
    Found(Result<Option<Znode>, SessionError>),
    Answer {
        ticket: u64,
        answer: Answer,
    },
    SizeKept(Result<Size, SessionError>),
    Hook(Finished),
}

/// How far we have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// What stands at our place is not known yet.
    Arriving,
    /// The member has taken over.
    Prepared,
    /// We are part of the farm, or were: from now on what fails is tried again.
    Ready,
}

pub(crate) struct Runner {
    config: Config,
    inbox: Inbox<Event>,
    contact: Contact,
    stage: Stage,
    local: Local,
    member: Member,
    /// What the member is still to be told.
    events: VecDeque<MemberEvent>,
    holders: Holders,
    /// We have joined since the farm's size was raised last.
    is_size_due: bool,
    announcer: Option<Announcer>,
    warnings: Warnings,
    // Dropped last, and in this order: nobody posts any more, then the name is free.
    _signals: Signals,
    _locks: Vec<HostLock>,
}

impl Runner {
    pub(crate) fn start(config: Config) -> Result<Self, Failure> {
        let locks = name::take(&config)?;
        let (inbox, outbox) = inbox();
        let signals = Signals::listen(outbox.posting(Event::Signal))
            .map_err(Failure::for_want_of("no signals"))?;
        Ok(Self {
            local: Local::start(&config, outbox.posting(Event::File))?,
            announcer: Announcer::of(&config, outbox.posting(Event::Hook)),
            contact: Contact {
                session: Session::open(config.session.clone(), outbox.posting(Event::Session))?,
                outbox,
                ticket: 0,
                is_connected: false,
                known_as: None,
            },
            stage: Stage::Arriving,
            member: Member::new(config.terms.clone()),
            events: VecDeque::new(),
            holders: Holders::new(config.terms.hostname.clone()),
            is_size_due: false,
            warnings: Warnings::default(),
            config,
            inbox,
            _signals: signals,
            _locks: locks,
        })
    }

    pub(crate) fn run(mut self) -> Result<Exit, Failure> {
        let mut notifier = Notifier::from_environment();
        let end = loop {
            if self.stage == Stage::Ready {
                notifier.ready();
            }
            notifier.status(&self.status());
            let event = self.inbox.next(self.deadline());
            if let Some(end) = self.turn(event).transpose() {
                break end;
            }
        };
        notifier.stopping();
        self.contact.session.close();
        end
    }

    fn status(&self) -> Status<'_> {
        let path = &self.config.entry;
        match (self.contact.is_connected, self.stage) {
            (false, Stage::Ready) => Status::Away(path),
            (false, Stage::Arriving | Stage::Prepared) => Status::Searching,
            (true, _) if self.member.is_joined() => Status::Joined(path),
            (true, _) if self.holders.rival.is_some() => Status::Waiting(path),
            (true, _) => Status::Joining(path),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let announcer = self.announcer.as_ref().and_then(|announcer| announcer.hook.deadline());
        let session = self.contact.session.deadline();
        let own = [self.member.deadline(), self.local.deadline(), self.holders.deadline()];
        own.into_iter().chain([announcer, session]).flatten().min()
    }

    fn turn(&mut self, event: Option<Event>) -> Result<Option<Exit>, Failure> {
        match event {
            Some(Event::Signal(Signal::Stop)) => {
                log::info!("stopping");
                return Ok(Some(Exit::Done));
            }
            Some(Event::Signal(Signal::Refresh)) => {
                self.load_conf();
                self.feed(MemberEvent::Hint);
            }
            Some(Event::Session(event)) => self.session_event(event)?,
            Some(Event::File(hint)) => self.file_hint(hint),
            Some(Event::Found(found)) => self.prepare(found)?,
            Some(Event::Answer { ticket, answer }) if ticket == self.contact.ticket => {
                self.answer(answer)?;
            }
            // Of an earlier contact.
            Some(Event::Answer { .. }) => {}
            Some(Event::SizeKept(outcome)) => self.size_kept(outcome),
            Some(Event::Hook(finished)) => {
                if let Some(announcer) = &mut self.announcer {
                    announcer.hook.finished(Instant::now(), &finished);
                }
            }
            None => {}
        }
        self.look_at_the_clock()?;
        Ok(None)
    }

    fn look_at_the_clock(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        self.contact.session.tick(now);
        if let Some(znode) = self.holders.outstays(now) {
            return Err(name::taken(&self.config, znode));
        }
        self.announcer.iter_mut().for_each(|announcer| announcer.hook.tick(now));
        if self.local.is_due(now) {
            self.load_conf();
        }
        if self.member.deadline().is_some_and(|at| now >= at) {
            self.feed(MemberEvent::Tick);
        }
        Ok(())
    }

    fn session_event(&mut self, event: session::Event) -> Result<(), Failure> {
        match event {
            session::Event::Connected { session, granted, .. } => {
                self.contact.connected(session, granted);
                self.keep_size();
                if self.stage == Stage::Arriving {
                    let entry = self.config.entry.clone();
                    self.contact.dispatch(move |client| Event::Found(look(client, &entry)));
                }
                self.feed(MemberEvent::Connected);
            }
            session::Event::Suspended(_) => self.disconnected(),
            session::Event::Lost => {
                self.disconnected();
                if let Some((session, _)) = self.contact.known_as.take() {
                    self.holders.left_over.lost(session);
                }
                self.contact.session.renew(Instant::now());
            }
            session::Event::Hint(hint) if hint.path == self.config.entry => {
                self.holders.unsure();
                self.feed(MemberEvent::Hint);
            }
            session::Event::Hint(_) => {}
            session::Event::AuthRefused(trouble) if self.stage != Stage::Ready => {
                return Err(SessionError::AuthRefused(trouble).into());
            }
            // The session logs it, and tries on.
            session::Event::AuthRefused(_) => {}
            session::Event::GaveUp(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn disconnected(&mut self) {
        self.contact.disconnected();
        self.holders.unsure();
        self.feed(MemberEvent::Disconnected);
    }

    /// The first contact: what stands at our place tells the types of the fields
    /// of a directory; then the config is read, and the member takes over.
    fn prepare(&mut self, found: Result<Option<Znode>, SessionError>) -> Result<(), Failure> {
        match found {
            // After the next contact we look again.
            Err(error) if error.is_transient() => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(Some(znode)) => {
                if let Ok(record) = json::decode_znode(&znode.data) {
                    self.local.remember(&record);
                }
            }
            Ok(None) => {}
        }
        if self.stage == Stage::Arriving {
            self.stage = Stage::Prepared;
            self.load_conf();
            if self.contact.is_connected {
                self.feed(MemberEvent::Connected);
            }
        }
        Ok(())
    }

    fn file_hint(&mut self, hint: FileHint) {
        match hint {
            // It will be read when there is something to do with it.
            _ if self.stage == Stage::Arriving => {}
            FileHint::Now => self.load_conf(),
            FileHint::Soon => self.local.is_being_written(),
        }
    }

    fn load_conf(&mut self) {
        if self.stage != Stage::Arriving {
            let state = self.local.read();
            self.feed(MemberEvent::Conf(state));
        }
    }

    /// Brings an event to the member, which has no use for one before it has taken over.
    fn feed(&mut self, event: MemberEvent) {
        if self.stage != Stage::Arriving {
            self.events.push_back(event);
            self.pump();
        }
    }

    /// Lets the member take one step after the other until nothing is left to do here.
    fn pump(&mut self) {
        while let Some(event) = self.events.pop_front() {
            for action in self.member.step(Instant::now(), event) {
                self.perform(action);
            }
        }
        let is_written = self.local.take_written();
        self.announcer.iter_mut().for_each(|announcer| announcer.announce(is_written));
    }

    fn perform(&mut self, action: Action) {
        let entry = self.config.entry.clone();
        match action {
            Action::Claim(record) => {
                let (terms, left_over) =
                    (self.config.terms.clone(), self.holders.left_over.clone());
                self.contact
                    .ask(move |client| entry::claim(client, &entry, &terms, &record, &left_over));
            }
            Action::Look => self.contact.ask(move |client| Answer::Look(look(client, &entry))),
            Action::Publish { record, version } => {
                self.contact.ask(move |client| entry::publish(client, &entry, &record, version));
            }
            Action::Store(record) => self.events.push_back(self.local.store(&record)),
            Action::TellConflicts(conflicts) => tell_conflicts(&conflicts),
            Action::TellOverruled(conflicts) => tell_overruled(&conflicts),
            Action::TellJoined => self.joined(),
        }
    }

    fn answer(&mut self, answer: Answer) -> Result<(), Failure> {
        let event = match answer {
            Answer::Claim(Ok(Claim::Ours { znode, replaced })) => {
                self.holders.rival = None;
                let overruled = replaced.and_then(|znode| self.remote(&znode).record);
                MemberEvent::Claimed { remote: self.remote(&znode), overruled }
            }
            Answer::Look(Ok(Some(znode)))
                if self.contact.is_ours(&znode) || self.config.terms.is_common =>
            {
                MemberEvent::Looked(self.remote(&znode))
            }
            Answer::Claim(Ok(Claim::Taken { znode })) | Answer::Look(Ok(Some(znode))) => {
                self.name_is_taken(znode)?
            }
            Answer::Look(Ok(None)) | Answer::Publish(Err(SessionError::NoNode(_))) => {
                if self.stage == Stage::Ready {
                    log::warn!(path:% = self.config.entry; "the znode is gone");
                }
                MemberEvent::Gone
            }
            Answer::Publish(Ok(stat)) => {
                log::info!(path:% = self.config.entry, version = stat.version; "published");
                MemberEvent::Published { version: stat.version }
            }
            Answer::Publish(Err(SessionError::BadVersion(_))) => MemberEvent::Outrun,
            Answer::Claim(Err(error)) | Answer::Look(Err(error)) | Answer::Publish(Err(error)) => {
                self.refused(error)?
            }
        };
        if !matches!(event, MemberEvent::Refused { .. } | MemberEvent::Interrupted) {
            self.warnings.request.clear();
        }
        self.feed(event);
        Ok(())
    }

    /// What the znode holds. One that is malformed is told once, however often it is read.
    fn remote(&self, znode: &Znode) -> Remote {
        let version = znode.stat.version;
        let record = json::decode_znode(&znode.data).inspect_err(|error| {
            // Ours is repaired, that of all hosts waits for somebody.
            let level = if self.config.terms.is_common { Level::Error } else { Level::Warn };
            let logger = &self.warnings.znode;
            log::log!(logger: logger, level, version, why:% = error; "the znode is malformed");
        });
        Remote { record: record.ok(), version }
    }

    /// Before we were ever part of the farm a refusal is final: somebody watches the
    /// start. After that it is told once and tried again.
    fn refused(&self, error: SessionError) -> Result<MemberEvent, Failure> {
        if error.is_transient() {
            return Ok(MemberEvent::Interrupted);
        }
        if self.stage != Stage::Ready {
            return Err(error.into());
        }
        let is_final = matches!(error, SessionError::TooLarge { .. });
        log::warn!(logger: self.warnings.request, why:% = error; "refused, trying on");
        Ok(MemberEvent::Refused { is_final })
    }

    fn name_is_taken(&mut self, znode: Znode) -> Result<MemberEvent, Failure> {
        if self.holders.left_over.has(&znode) {
            // To be claimed, which replaces it.
            return Ok(MemberEvent::Gone);
        }
        if self.stage == Stage::Ready {
            return Err(name::taken(&self.config, &znode));
        }
        let patience = self.contact.known_as.map_or(Duration::ZERO, |(_, granted)| granted * 2);
        self.holders.meet(znode, patience, &self.config.entry);
        Ok(MemberEvent::Taken)
    }

    fn joined(&mut self) {
        if self.stage == Stage::Ready {
            log::info!(path:% = self.config.entry; "joined again");
        } else {
            self.stage = Stage::Ready;
            self.holders.left_over.hostname = None;
            self.announcer.iter_mut().for_each(|announcer| announcer.due = Some("start"));
            log::info!(path:% = self.config.entry; "joined");
        }
        self.is_size_due = self.config.keeps_size;
        self.keep_size();
    }

    fn keep_size(&self) {
        if self.is_size_due {
            let farm = self.config.farm.clone();
            self.contact.dispatch(move |client| Event::SizeKept(keep_size(client, &farm)));
        }
    }

    /// What did not work is tried again at the next contact: the size is a high-water
    /// mark, and the next host that joins raises it too.
    fn size_kept(&mut self, outcome: Result<Size, SessionError>) {
        let why = match outcome {
            Ok(Size::Kept) => {
                self.is_size_due = false;
                self.warnings.size.clear();
                return;
            }
            Ok(Size::Malformed) => "its own record is malformed".to_owned(),
            Err(error) if error.is_transient() => return,
            Err(error) => error.to_string(),
        };
        log::warn!(logger: self.warnings.size, farm:% = self.config.farm, why; "size is not kept");
    }
}
