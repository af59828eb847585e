//! The loop of `zkexport`: what the farm view and the mirror want is done here, and
//! what happens is brought to them.
//!
//! **Invariant.** The main thread owns everything and waits only for its inbox.

use crate::hosts::Hosts;
use crate::mirror::Event as MirrorEvent;
use crate::options::Config;
use crate::output::Output;
use crate::status::Status;
use farm_core::cli::{Exit, Failure, Notifier};
use farm_core::engine::{Inbox, Outbox, Signal, Signals, inbox};
use farm_core::farm::view::{Action, Answer, Event as RosterEvent, News, Refusal, State};
use farm_core::process::command::Finished;
use farm_core::session::{self, Session, SessionError};
use std::time::{Duration, Instant};

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
    hosts: Hosts,
    output: Output,
    once: Option<Once>,
    creates_farm: bool,
    was_connected: bool,
    _signals: Option<Signals>,
}

impl Runner {
    pub(crate) fn start(mut config: Config) -> Result<Self, Failure> {
        if !config.output.is_dry {
            config.output.target.claim_existing()?;
        }
        let (inbox, outbox) = inbox();
        // What ends after one file ends by a signal as any command does.
        let signals = match config.once {
            Some(_) => None,
            None => Some(
                Signals::listen(outbox.posting(Event::Signal))
                    .map_err(Failure::for_want_of("no signals"))?,
            ),
        };
        let session = Session::open(config.session, outbox.posting(Event::Session))?;
        let now = Instant::now();
        Ok(Self {
            output: Output::new(
                config.output,
                config.farm.as_str(),
                config.once.is_some(),
                outbox.posting(Event::Hook),
                outbox.posting(Event::Check),
            ),
            hosts: Hosts::new(config.farm, config.hold),
            once: config.once.map(|patience| Once { patience, until: now + patience }),
            creates_farm: config.creates_farm,
            was_connected: false,
            inbox,
            outbox,
            session,
            _signals: signals,
        })
    }

    pub(crate) fn run(mut self) -> Result<Exit, Failure> {
        let mut notifier = Notifier::from_environment();
        let end = loop {
            if self.output.mirror.is_current() {
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
            self.hosts.roster.deadline(),
            self.hosts.hold_deadline(),
            self.output.deadline(),
            self.once.map(|once| once.until).filter(|_| !self.output.mirror.is_begun()),
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
        Ok(self.output.end())
    }

    fn take(&mut self, event: Event) -> Result<Option<Exit>, Failure> {
        let now = Instant::now();
        match event {
            Event::Session(event) => self.session_event(now, event)?,
            Event::Answer(answer) => self.roster(now, RosterEvent::Answered(answer))?,
            Event::Created(outcome) => self.created(outcome)?,
            Event::Signal(Signal::Stop) => return Ok(Some(Exit::Done)),
            Event::Signal(Signal::Refresh) => {
                log::info!(farm:% = self.hosts.path; "reading everything again");
                self.mirror(now, MirrorEvent::Refresh)?;
                self.roster(now, RosterEvent::Refresh)?;
            }
            Event::Check(finished) => self.output.checked(now, &finished, self.hosts.farm())?,
            Event::Hook(finished) => return Ok(self.output.announced(now, &finished)),
        }
        Ok(None)
    }

    fn tick(&mut self, now: Instant) -> Result<(), Failure> {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|due| due <= now);
        self.session.tick(now);
        if is_due(self.hosts.roster.deadline()) {
            self.roster(now, RosterEvent::Tick)?;
        }
        if is_due(self.hosts.hold_deadline()) {
            self.settle(now)?;
        }
        self.output.tick(now, self.hosts.farm())?;
        match self.once {
            Some(once) if once.until <= now && !self.output.mirror.is_begun() => {
                Err(self.overdue(once))
            }
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
            session::Event::AuthRefused(trouble) if !self.output.mirror.is_begun() => {
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
        for action in self.hosts.roster.step(now, event) {
            match action {
                Action::Ask(request) => {
                    request.dispatch(&self.session, self.outbox.posting(Event::Answer));
                }
                Action::Tell(news) => self.learn(now, news)?,
            }
        }
        if self.hosts.roster.state() != State::Complete {
            self.mirror(now, MirrorEvent::Unknown)?;
        }
        Ok(())
    }

    fn learn(&mut self, now: Instant, news: News) -> Result<(), Failure> {
        match news {
            News::Changed(host) => {
                if self.hosts.changed(now, &host) {
                    self.mirror(now, MirrorEvent::Changed(host))?;
                }
            }
            News::Complete => {
                self.hosts.complete(now);
                self.mirror(now, MirrorEvent::Complete)?;
            }
            News::Missing => self.missing()?,
            News::Refused(refusal) => {
                let is_forbidden = matches!(refusal, Refusal::Session(SessionError::NoAuth(_)));
                if (is_forbidden || self.once.is_some()) && !self.output.mirror.is_begun() {
                    return Err(refusal.into());
                }
                let logger = &self.hosts.refusal;
                log::warn!(logger: logger, "the farm can't be listed, trying again: {refusal}");
            }
            News::Unreadable(host, why) => self.hosts.tell_unreadable(&host, &why),
            News::Skipped(name, why) => {
                log::warn!(znode:? = name, farm:% = self.hosts.path; "not a host: {why}");
            }
        }
        Ok(())
    }

    /// Brings an event to the mirror.
    fn mirror(&mut self, now: Instant, event: MirrorEvent) -> Result<(), Failure> {
        self.output.feed(now, event, self.hosts.farm())
    }

    /// Decides about hosts that have gone.
    fn settle(&mut self, now: Instant) -> Result<(), Failure> {
        let settled = self.hosts.settle(now);
        if settled.held > 0 {
            // Many may be shown again, and they are one change.
            return match self.output.mirror.is_live() {
                true => self.mirror(now, MirrorEvent::Complete),
                false => Ok(()),
            };
        }
        for host in settled.changed {
            self.mirror(now, MirrorEvent::Changed(host))?;
        }
        Ok(())
    }

    fn missing(&self) -> Result<(), Failure> {
        let path = self.hosts.path.clone();
        // Once there is a file, a new and empty farm would empty it.
        if self.creates_farm && !self.output.mirror.is_begun() {
            let post = self.outbox.posting(Event::Created);
            self.session.dispatch(move |client| post(client.create_all(&path)));
            return Ok(());
        }
        if self.once.is_some() {
            return Err(SessionError::NoNode(path).into());
        }
        let logger = &self.hosts.missing;
        log::warn!(logger: logger, farm:% = path; "no such farm, waiting for it");
        Ok(())
    }

    fn created(&self, outcome: Result<(), SessionError>) -> Result<(), Failure> {
        match outcome {
            Ok(()) => log::info!(farm:% = self.hosts.path; "created the farm"),
            // A new contact finds it missing again, or there.
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(Failure::from(error).during("cannot create the farm")),
        }
        Ok(())
    }

    fn status(&self) -> Status<'_> {
        let (farm, file) = (&self.hosts.path, self.output.file.as_str());
        match self.hosts.roster.state() {
            State::Away if self.was_connected => Status::Away { file },
            State::Away => Status::Searching,
            State::Loading => Status::Reading { farm },
            State::Missing => Status::Missing { farm },
            State::Refused => Status::Refused { farm },
            State::Complete => match self.output.mirror.trouble() {
                Some(trouble) => Status::Behind { file, trouble },
                None => {
                    let (hosts, held) = (self.output.mirror.count(), self.hosts.held());
                    Status::Current { file, hosts, held }
                }
            },
        }
    }
}

const fn is_out_of_time(exit: Exit) -> bool {
    matches!(exit, Exit::Unreachable | Exit::Overdue)
}
