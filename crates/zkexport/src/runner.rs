//! The loop of `zkexport`: what the roster and the mirror want is done here, and
//! what happens is brought to them.
//!
//! **Invariant.** The main thread owns everything and waits only for its inbox.

mod output;
mod told;

use crate::announce::Announcer;
use crate::check::Checker;
use crate::hold::{Hold, Settled};
use crate::mirror::{Event as MirrorEvent, Mirror};
use crate::options::Config;
use crate::status::Status;
use crate::target::Target;
use farm_core::cli::{Exit, Failure, Notifier};
use farm_core::engine::{Inbox, Outbox, Signal, Signals, inbox};
use farm_core::farm::Roster;
use farm_core::farm::roster::{Action, Answer, Event as RosterEvent, News, Refusal, State};
use farm_core::model::Farm;
use farm_core::process::command::{Executor, Finished};
use farm_core::process::hook::Hook;
use farm_core::session::{self, Session, SessionError, ZnodePath};
use std::sync::Arc;
use std::time::{Duration, Instant};
use told::Told;

/// How many events are taken in a row before what is due is done.
const EVENTS_MAX: usize = 1000;

enum Event {
    Session(session::Event),
    Signal(Signal),
    Answer(Answer),
    /// The farm that was missing has been created, or not.
    Created(Result<(), SessionError>),
    Hook(Finished),
    Check(Finished),
}

/// One file, and then the end.
#[derive(Debug, Clone, Copy)]
struct Once {
    patience: Duration,
    until: Instant,
}

pub(crate) struct Runner {
    inbox: Inbox<Event>,
    outbox: Outbox<Event>,
    session: Session,
    roster: Roster,
    hold: Option<Hold>,
    mirror: Mirror,
    target: Target,
    checker: Option<Checker>,
    announcer: Option<Announcer>,
    path: ZnodePath,
    conf: String,
    creates_farm: bool,
    is_dry: bool,
    /// How it ends when nothing goes wrong.
    exit: Exit,
    once: Option<Once>,
    was_connected: bool,
    /// What the file has, for the log.
    shown: Arc<Farm>,
    told: Told,
    _signals: Option<Signals>,
}

impl Runner {
    pub(crate) fn start(config: Config) -> Result<Self, Failure> {
        let Config { mut target, once, .. } = config;
        if !config.is_dry {
            target.claim_existing()?;
        }
        let (inbox, outbox) = inbox();
        // What ends after one file ends by a signal as any command does.
        let signals = match once {
            Some(_) => None,
            None => Some(
                Signals::listen(outbox.posting(Event::Signal))
                    .map_err(Failure::for_want_of("no signals"))?,
            ),
        };
        let path = config.farm;
        let announcer = config.command.map(|command| {
            let hook = Hook::new(command.text, command.limit, outbox.posting(Event::Hook));
            Announcer::new(hook, path.to_string(), config.conf.clone(), config.pace)
        });
        let checker = config.check.map(|command| {
            let check = Executor::new(command.limit, outbox.posting(Event::Check));
            Checker::new(check, command.text, path.to_string())
        });
        let session = Session::open(config.session, outbox.posting(Event::Session))?;
        let now = Instant::now();
        Ok(Self {
            inbox,
            outbox,
            session,
            roster: Roster::new(path.clone()),
            hold: config.hold.map(Hold::new),
            mirror: Mirror::new(config.wait, config.filter, config.hosts_min),
            target,
            checker,
            announcer,
            path,
            conf: config.conf,
            creates_farm: config.creates_farm,
            is_dry: config.is_dry,
            exit: Exit::Done,
            once: once.map(|patience| Once { patience, until: now + patience }),
            was_connected: false,
            shown: Arc::new(Farm::new()),
            told: Told::default(),
            _signals: signals,
        })
    }

    pub(crate) fn run(mut self) -> Result<Exit, Failure> {
        let mut notifier = Notifier::from_environment();
        let end = loop {
            if self.mirror.is_current() {
                notifier.ready();
            }
            notifier.status(&self.status());
            if let Some(end) = self.turn().transpose() {
                break end;
            }
        };
        notifier.stopping();
        if matches!(&end, Err(failure) if is_out_of_time(failure.exit())) {
            // Nobody is there to take a good-bye, and the time is up.
            self.session.abandon();
        } else {
            self.session.close();
        }
        end
    }

    fn deadline(&self) -> Option<Instant> {
        [
            self.roster.deadline(),
            self.hold.as_ref().and_then(Hold::deadline),
            self.mirror.deadline(),
            self.checker.as_ref().and_then(Checker::deadline),
            self.announcer.as_ref().and_then(Announcer::deadline),
            self.once.map(|once| once.until).filter(|_| !self.mirror.is_begun()),
            self.session.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn turn(&mut self) -> Result<Option<Exit>, Failure> {
        let mut next = self.inbox.next(self.deadline());
        // What has happened already comes before what is due by now: while a slow
        // disk held us up, a host may have left and come back.
        let mut taken = 0;
        while let Some(event) = next {
            if let Some(exit) = self.take(event)? {
                return Ok(Some(exit));
            }
            taken += 1;
            next = if taken < EVENTS_MAX { self.inbox.take() } else { None };
        }
        self.tick(Instant::now())?;
        let is_over = self.once.is_some() && self.mirror.is_begun() && self.announcer.is_none();
        Ok(is_over.then_some(self.exit))
    }

    fn take(&mut self, event: Event) -> Result<Option<Exit>, Failure> {
        let now = Instant::now();
        match event {
            Event::Session(event) => self.session_event(now, event)?,
            Event::Answer(answer) => self.roster(now, RosterEvent::Answered(answer))?,
            Event::Created(outcome) => self.created(outcome)?,
            Event::Signal(Signal::Stop) => return Ok(Some(Exit::Done)),
            Event::Signal(Signal::Refresh) => {
                log::info!(farm:% = self.path; "reading everything again");
                self.mirror(now, MirrorEvent::Refresh)?;
                self.roster(now, RosterEvent::Refresh)?;
            }
            Event::Check(finished) => self.checked(now, &finished)?,
            Event::Hook(finished) => {
                let ended = self.announcer.as_mut().and_then(|hook| hook.finished(now, &finished));
                if self.once.is_some() && ended.is_some() {
                    return Ok(Some(Exit::Done));
                }
            }
        }
        Ok(None)
    }

    fn tick(&mut self, now: Instant) -> Result<(), Failure> {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|due| due <= now);
        self.session.tick(now);
        if is_due(self.roster.deadline()) {
            self.roster(now, RosterEvent::Tick)?;
        }
        if is_due(self.hold.as_ref().and_then(Hold::deadline)) {
            self.settle(now)?;
        }
        if is_due(self.mirror.deadline()) {
            self.mirror(now, MirrorEvent::Tick)?;
        }
        if let Some(checker) = &mut self.checker {
            checker.tick(now);
        }
        if let Some(announcer) = &mut self.announcer {
            announcer.tick(now);
        }
        match self.once {
            Some(once) if once.until <= now && !self.mirror.is_begun() => Err(self.overdue(once)),
            _ => Ok(()),
        }
    }

    /// Why there is no file after all that time.
    fn overdue(&mut self, Once { patience, .. }: Once) -> Failure {
        if self.was_connected {
            return SessionError::Overdue(patience).into();
        }
        // The session knows what went wrong last.
        let trouble = match self.session.call(Duration::ZERO, |_| Ok(())) {
            Err(SessionError::Unreachable { trouble, .. }) => trouble,
            _ => None,
        };
        SessionError::Unreachable { trouble, tried: patience }.into()
    }

    fn session_event(&mut self, now: Instant, event: session::Event) -> Result<(), Failure> {
        match &event {
            session::Event::Connected { .. } => self.was_connected = true,
            session::Event::GaveUp(error) => return Err(error.clone().into()),
            session::Event::AuthRefused(trouble) if !self.mirror.is_begun() => {
                return Err(SessionError::AuthRefused(trouble.clone()).into());
            }
            // The session logs it, and tries on.
            session::Event::AuthRefused(_) => return Ok(()),
            session::Event::Suspended(_) | session::Event::Lost | session::Event::Hint(_) => {}
        }
        let is_lost = matches!(event, session::Event::Lost);
        self.roster(now, RosterEvent::Session(event))?;
        if is_lost {
            self.session.renew(now);
        }
        Ok(())
    }

    fn roster(&mut self, now: Instant, event: RosterEvent) -> Result<(), Failure> {
        for action in self.roster.step(now, event) {
            match action {
                Action::Ask(request) => {
                    request.dispatch(&self.session, self.outbox.posting(Event::Answer));
                }
                Action::Tell(news) => self.learn(now, news)?,
            }
        }
        if self.roster.state() != State::Complete {
            self.mirror(now, MirrorEvent::Unknown)?;
        }
        Ok(())
    }

    fn learn(&mut self, now: Instant, news: News) -> Result<(), Failure> {
        match news {
            News::Changed(host) => {
                let is_shown = self.hold.as_mut().is_none_or(|hold| {
                    let is_shown = hold.changed(now, &host, self.roster.farm());
                    self.told.of_hold(hold, &Settled::default());
                    is_shown
                });
                if is_shown { self.mirror(now, MirrorEvent::Changed(host)) } else { Ok(()) }
            }
            News::Complete => {
                self.told.farm_is_well();
                if let Some(hold) = &mut self.hold {
                    let settled = hold.complete(now, self.roster.farm());
                    self.told.of_hold(hold, &settled);
                }
                self.mirror(now, MirrorEvent::Complete)
            }
            News::Missing => self.missing(),
            News::Refused(refusal) => {
                let is_forbidden = matches!(refusal, Refusal::Session(SessionError::NoAuth(_)));
                if (is_forbidden || self.once.is_some()) && !self.mirror.is_begun() {
                    return Err(refusal.into());
                }
                let logger = &self.told.farm_refusal;
                log::warn!(logger: logger, "the farm can't be listed, trying again: {refusal}");
                Ok(())
            }
            News::Unreadable(host, why) => {
                let kept = match self.roster.farm().get(host.as_str()) {
                    Some(_) => "keeping its last record",
                    None => "leaving it out",
                };
                let why = farm_core::cli::chain(&why);
                log::warn!(host:%, farm:% = self.path; "a host can't be read, {kept}: {why}");
                Ok(())
            }
            News::Skipped(name, why) => {
                log::warn!(znode:? = name, farm:% = self.path; "not a host: {why}");
                Ok(())
            }
        }
    }

    fn missing(&mut self) -> Result<(), Failure> {
        // Once there is a file, a new and empty farm would empty it.
        if self.creates_farm && !self.mirror.is_begun() {
            let (path, post) = (self.path.clone(), self.outbox.posting(Event::Created));
            self.session.dispatch(move |client| post(client.create_all(&path)));
            return Ok(());
        }
        if self.once.is_some() {
            return Err(SessionError::NoNode(self.path.clone()).into());
        }
        let logger = &self.told.farm_missing;
        log::warn!(logger: logger, farm:% = self.path; "no such farm, waiting for it");
        Ok(())
    }

    fn created(&mut self, outcome: Result<(), SessionError>) -> Result<(), Failure> {
        match outcome {
            Ok(()) => log::info!(farm:% = self.path; "created the farm"),
            // A new contact finds it missing again, or there.
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(Failure::from(error).during("cannot create the farm")),
        }
        Ok(())
    }

    fn status(&self) -> Status<'_> {
        let (farm, file) = (&self.path, self.conf.as_str());
        match self.roster.state() {
            State::Away if self.was_connected => Status::Away { file },
            State::Away => Status::Searching,
            State::Loading => Status::Reading { farm },
            State::Missing => Status::Missing { farm },
            State::Refused => Status::Refused { farm },
            State::Complete => match self.mirror.trouble() {
                Some(trouble) => Status::Behind { file, trouble },
                None => {
                    let held = self.hold.as_ref().map_or(0, Hold::count);
                    Status::Current { file, hosts: self.mirror.count(), held }
                }
            },
        }
    }
}

const fn is_out_of_time(exit: Exit) -> bool {
    matches!(exit, Exit::Unreachable | Exit::Overdue)
}
