//! The loop of `zkjoin`: what the member wants is done here, and what happens is
//! brought to it.
//!
//! **Invariant.** The main thread owns everything and waits only for its inbox.
//! An answer is taken only if it is the one that is waited for: those of requests
//! that were made over an earlier contact are dropped, for after every contact the
//! znode is looked at again.

use crate::entry::{self, Answer, LeftOver};
use crate::local::Local;
use crate::member::{Action, Event as MemberEvent, Member, Remote};
use crate::name::{self, Rival};
use crate::options::Config;
use crate::status::Status;
use crate::told::{Told, tell_conflicts, tell_overruled};
use farm_core::cli::{Exit, Failure, Notifier};
use farm_core::codec::json;
use farm_core::engine::{Inbox, Outbox, Signal, Signals, inbox};
use farm_core::farm::{Claim, Size, is_owned_by, keep_size, look};
use farm_core::files::watch::Hint as FileHint;
use farm_core::host::lock::HostLock;
use farm_core::process::command::Finished;
use farm_core::process::hook::Hook;
use farm_core::session::{self, Client, Session, SessionError, SessionId, Znode};
use log::Level;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many of our own sessions are remembered: a server does not lag far behind.
const PAST_SESSIONS_MAX: usize = 8;

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

pub(crate) struct Runner {
    config: Config,
    inbox: Inbox<Event>,
    outbox: Outbox<Event>,
    session: Session,
    local: Local,
    member: Member,
    ticket: u64,
    is_connected: bool,
    /// Who we are to ZooKeeper now, and how long a session outlives its contact.
    contact: Option<(SessionId, Duration)>,
    is_prepared: bool,
    is_ready: bool,
    rival: Option<Rival>,
    left_over: LeftOver,
    /// The farm's size is to be kept: we have joined since that was done last.
    is_size_due: bool,
    told: Told,
    hook: Option<Hook>,
    /// Why the command has to run, once the step that goes on is done.
    hook_due: Option<&'static str>,
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
        let local = Local::start(&config, outbox.posting(Event::File))?;
        let hook = config.hook.clone();
        let hook = hook.map(|hook| Hook::new(hook.text, hook.limit, outbox.posting(Event::Hook)));
        let session = Session::open(config.session.clone(), outbox.posting(Event::Session))?;
        Ok(Self {
            local,
            member: Member::new(config.terms.clone()),
            ticket: 0,
            is_connected: false,
            contact: None,
            is_prepared: false,
            is_ready: false,
            rival: None,
            left_over: LeftOver { hostname: config.terms.hostname.clone(), sessions: Vec::new() },
            is_size_due: false,
            told: Told::default(),
            hook,
            hook_due: None,
            config,
            inbox,
            outbox,
            session,
            _signals: signals,
            _locks: locks,
        })
    }

    pub(crate) fn run(mut self) -> Result<Exit, Failure> {
        let mut notifier = Notifier::from_environment();
        let end = loop {
            if self.is_ready {
                notifier.ready();
            }
            notifier.status(&self.status());
            let event = self.inbox.next(self.deadline());
            if let Some(end) = self.turn(event).transpose() {
                break end;
            }
        };
        notifier.stopping();
        self.session.close();
        end
    }

    fn status(&self) -> Status<'_> {
        let path = &self.config.entry;
        match (self.is_connected, self.is_ready) {
            (false, false) => Status::Searching,
            (false, true) => Status::Away(path),
            (true, _) if self.member.is_joined() => Status::Joined(path),
            (true, _) if self.rival.is_some() => Status::Waiting(path),
            (true, _) => Status::Joining(path),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let rival = self.rival.as_ref().and_then(Rival::deadline);
        let member = self.member.deadline().filter(|_| self.is_prepared);
        let hook = self.hook.as_ref().and_then(Hook::deadline);
        let session = self.session.deadline();
        [member, self.local.deadline(), rival, hook, session].into_iter().flatten().min()
    }

    fn turn(&mut self, event: Option<Event>) -> Result<Option<Exit>, Failure> {
        match event {
            Some(Event::Signal(Signal::Stop)) => {
                log::info!("stopping");
                return Ok(Some(Exit::Done));
            }
            Some(Event::Signal(Signal::Refresh)) => {
                self.load_conf()?;
                self.feed(MemberEvent::Hint)?;
            }
            Some(Event::Session(event)) => self.session_event(event)?,
            Some(Event::File(hint)) => self.file_hint(hint)?,
            Some(Event::Found(found)) => self.prepare(found)?,
            Some(Event::Answer { ticket, answer }) if ticket == self.ticket => {
                self.answer(answer)?;
            }
            // Of an earlier contact.
            Some(Event::Answer { .. }) => {}
            Some(Event::SizeKept(outcome)) => self.size_kept(outcome),
            Some(Event::Hook(finished)) => {
                if let Some(hook) = &mut self.hook {
                    hook.finished(Instant::now(), &finished);
                }
            }
            None => {}
        }
        self.look_at_the_clock()?;
        Ok(None)
    }

    fn look_at_the_clock(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        self.session.tick(now);
        if let Some(znode) = self.rival.as_ref().and_then(|rival| rival.outstays(now)) {
            return Err(name::taken(&self.config, znode));
        }
        if let Some(hook) = &mut self.hook {
            hook.tick(now);
        }
        if self.local.is_due(now) {
            self.load_conf()?;
        }
        if self.is_prepared && self.member.deadline().is_some_and(|at| now >= at) {
            self.feed(MemberEvent::Tick)?;
        }
        Ok(())
    }

    fn session_event(&mut self, event: session::Event) -> Result<(), Failure> {
        match event {
            session::Event::Connected { session, granted, .. } => {
                self.is_connected = true;
                self.contact = Some((session, granted));
                self.ticket += 1;
                self.keep_size();
                if self.is_prepared {
                    return self.feed(MemberEvent::Connected);
                }
                let (entry, post) = (self.config.entry.clone(), self.outbox.posting(Event::Found));
                self.session.dispatch(move |client| post(look(client, &entry)));
            }
            session::Event::Suspended(_) => self.disconnected()?,
            session::Event::Lost => {
                self.disconnected()?;
                self.forget_session();
                self.session.renew(Instant::now());
            }
            session::Event::Hint(hint) if hint.path == self.config.entry => {
                self.rival.iter_mut().for_each(Rival::is_unsure);
                self.feed(MemberEvent::Hint)?;
            }
            session::Event::Hint(_) => {}
            session::Event::AuthRefused(trouble) if !self.is_ready => {
                return Err(SessionError::AuthRefused(trouble).into());
            }
            // The session logs it, and tries on.
            session::Event::AuthRefused(_) => {}
            session::Event::GaveUp(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn disconnected(&mut self) -> Result<(), Failure> {
        self.is_connected = false;
        self.ticket += 1;
        self.rival.iter_mut().for_each(Rival::is_unsure);
        self.feed(MemberEvent::Disconnected)
    }

    /// The session is over, but a server that lags behind may still show its znode.
    fn forget_session(&mut self) {
        let sessions = &mut self.left_over.sessions;
        if sessions.len() == PAST_SESSIONS_MAX {
            sessions.remove(0);
        }
        sessions.extend(self.contact.take().map(|(session, _)| session));
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
        if self.is_prepared {
            return Ok(());
        }
        self.is_prepared = true;
        self.load_conf()?;
        if self.is_connected { self.feed(MemberEvent::Connected) } else { Ok(()) }
    }

    fn file_hint(&mut self, hint: FileHint) -> Result<(), Failure> {
        match hint {
            // It will be read when there is something to do with it.
            _ if !self.is_prepared => Ok(()),
            FileHint::Now => self.load_conf(),
            FileHint::Soon => {
                self.local.is_being_written();
                Ok(())
            }
        }
    }

    fn load_conf(&mut self) -> Result<(), Failure> {
        if !self.is_prepared {
            return Ok(());
        }
        let state = self.local.read();
        self.feed(MemberEvent::Conf(state))
    }

    /// Lets the member take one step after the other until nothing is left to do here.
    fn feed(&mut self, event: MemberEvent) -> Result<(), Failure> {
        if !self.is_prepared {
            return Ok(());
        }
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.member.step(Instant::now(), event) {
                if let Some(event) = self.perform(action)? {
                    events.push_back(event);
                }
            }
        }
        self.run_hook();
        Ok(())
    }

    /// Runs the command once for all that one step has done.
    fn run_hook(&mut self) {
        if self.local.take_written() {
            self.hook_due.get_or_insert("change");
        }
        let Some(event) = self.hook_due.take() else { return };
        let Some(hook) = &mut self.hook else { return };
        let conf = self.config.conf.display().to_string();
        let path = self.config.entry.to_string();
        let environment =
            vec![("ZK_EVENT", event.to_owned()), ("ZK_PATH", path), ("ZK_FILE", conf)];
        hook.request(Instant::now(), environment);
    }

    fn perform(&mut self, action: Action) -> Result<Option<MemberEvent>, Failure> {
        match action {
            Action::Claim(record) => {
                let entry = self.config.entry.clone();
                let (terms, left_over) = (self.config.terms.clone(), self.left_over.clone());
                self.ask(move |client| entry::claim(client, &entry, &terms, &record, &left_over));
            }
            Action::Look => {
                let entry = self.config.entry.clone();
                self.ask(move |client| Answer::Look(look(client, &entry)));
            }
            Action::Publish { record, version } => {
                let entry = self.config.entry.clone();
                self.ask(move |client| entry::publish(client, &entry, &record, version));
            }
            Action::Store(record) => return Ok(Some(self.local.store(&record))),
            Action::TellConflicts(conflicts) => tell_conflicts(&conflicts),
            Action::TellOverruled(conflicts) => tell_overruled(&conflicts),
            Action::TellJoined => self.joined(),
        }
        Ok(None)
    }

    fn ask(&mut self, request: impl FnOnce(&Client) -> Answer + Send + 'static) {
        self.ticket += 1;
        let (ticket, outbox) = (self.ticket, self.outbox.clone());
        self.session.dispatch(move |client| {
            outbox.post(Event::Answer { ticket, answer: request(client) });
        });
    }

    fn answer(&mut self, answer: Answer) -> Result<(), Failure> {
        let event = match answer {
            Answer::Claim(Ok(Claim::Ours { znode, replaced })) => {
                self.rival = None;
                let overruled = replaced.and_then(|znode| self.remote(&znode).record);
                MemberEvent::Claimed { remote: self.remote(&znode), overruled }
            }
            Answer::Claim(Ok(Claim::Taken { znode })) => self.name_is_taken(znode)?,
            Answer::Look(Ok(Some(znode))) if self.is_kept(&znode) => {
                MemberEvent::Looked(self.remote(&znode))
            }
            Answer::Look(Ok(Some(znode))) => self.name_is_taken(znode)?,
            Answer::Look(Ok(None)) | Answer::Publish(Err(SessionError::NoNode(_))) => {
                if self.is_ready {
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
            self.told.request.clear();
        }
        self.feed(event)
    }

    /// What the znode holds. One that is malformed is told once, however often it is read.
    fn remote(&mut self, znode: &Znode) -> Remote {
        let version = znode.stat.version;
        let record = json::decode_znode(&znode.data).inspect_err(|error| {
            // Ours is repaired, that of all hosts waits for somebody.
            let level = if self.config.terms.is_common { Level::Error } else { Level::Warn };
            let logger = &self.told.znode;
            log::log!(logger: logger, level, version, why:% = error; "the znode is malformed");
        });
        Remote { record: record.ok(), version }
    }

    /// Tells whether the znode is one to keep: ours, or everybody's.
    fn is_kept(&self, znode: &Znode) -> bool {
        let is_ours = self.contact.is_some_and(|(session, _)| is_owned_by(znode, session));
        is_ours || self.config.terms.is_common
    }

    /// Before we were ever part of the farm a refusal is final: somebody watches the
    /// start. After that it is told once and tried again.
    fn refused(&mut self, error: SessionError) -> Result<MemberEvent, Failure> {
        if error.is_transient() {
            return Ok(MemberEvent::Interrupted);
        }
        if !self.is_ready {
            return Err(error.into());
        }
        let is_final = matches!(error, SessionError::TooLarge { .. });
        log::warn!(logger: self.told.request, why:% = error; "refused, trying on");
        Ok(MemberEvent::Refused { is_final })
    }

    fn name_is_taken(&mut self, znode: Znode) -> Result<MemberEvent, Failure> {
        if self.left_over.has(&znode) {
            // To be claimed, which replaces it.
            return Ok(MemberEvent::Gone);
        }
        if self.is_ready {
            return Err(name::taken(&self.config, &znode));
        }
        if let Some(rival) = &mut self.rival {
            rival.is_met(znode);
        } else {
            let patience = self.contact.map_or(Duration::ZERO, |(_, granted)| granted * 2);
            let (path, owner) = (&self.config.entry, SessionId(znode.stat.ephemeral_owner));
            let wait_ms = patience.as_millis();
            log::warn!(path:%, owner:%, wait_ms; "the name is taken, waiting");
            self.rival = Some(Rival::new(Instant::now() + patience, znode));
        }
        Ok(MemberEvent::Taken)
    }

    fn joined(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            self.left_over.hostname = None;
            self.hook_due = Some("start");
            log::info!(path:% = self.config.entry; "joined");
        } else {
            log::info!(path:% = self.config.entry; "joined again");
        }
        self.is_size_due = self.config.keeps_size;
        self.keep_size();
    }

    fn keep_size(&self) {
        if self.is_size_due {
            let (farm, post) = (self.config.farm.clone(), self.outbox.posting(Event::SizeKept));
            self.session.dispatch(move |client| post(keep_size(client, &farm)));
        }
    }

    /// What did not work is tried again at the next contact: the size is a high-water
    /// mark, and the next host that joins raises it too.
    fn size_kept(&mut self, outcome: Result<Size, SessionError>) {
        let why = match outcome {
            Ok(Size::Kept) => {
                self.is_size_due = false;
                self.told.size.clear();
                return;
            }
            Ok(Size::Malformed) => "its own record is malformed".to_owned(),
            Err(error) if error.is_transient() => return,
            Err(error) => error.to_string(),
        };
        let farm = &self.config.farm;
        log::warn!(logger: self.told.size, farm:%, why; "size is not kept");
    }
}
