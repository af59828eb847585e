//! The loop of `zkexport`: performs the actions of the farm view and the mirror, and feeds
//! them the events.
//!
//! **Invariant.** The main thread owns all state and waits only for its inbox.

use crate::hosts::Hosts;
use crate::mirror::Event as MirrorEvent;
use crate::options::Config;
use crate::output::Output;
use crate::status::Status;
use farm_core::cli::{Exit, Failure, Notifier};
use farm_core::engine::{Inbox, Outbox, Signal, Signals, inbox};
use farm_core::farm::view::{Action, Answer, Event as ViewEvent, News, Refusal, State};
use farm_core::process::command::Finished;
use farm_core::process::reaper::reap_orphans;
use farm_core::session::{self, Session, SessionError};
use std::time::{Duration, Instant};

/// How many events are taken in a row before the deadlines are looked at.
const EVENTS_MAX: usize = 1000;

enum Event {
    Session(session::Event),
    Signal(Signal),
    Answer(Answer),
    /// The outcome of creating the farm.
    Created(Result<(), SessionError>),
    Hook(Finished),
    Check(Finished),
}

/// The time limit of `--once`.
#[derive(Debug, Clone, Copy)]
struct Once {
    timeout: Duration,
    deadline: Instant,
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
    _signals: Signals,
}

impl Runner {
    pub(crate) fn start(mut config: Config) -> Result<Self, Failure> {
        if !config.output.is_dry {
            config.output.target.claim_existing()?;
        }
        let (inbox, outbox) = inbox();
        // With `--once`, a signal ends the process as it ends any command.
        let signals = match config.once {
            Some(_) => Signals::listen_for_children(outbox.posting(Event::Signal)),
            None => Signals::listen(outbox.posting(Event::Signal)),
        };
        let signals = signals.map_err(Failure::system_error("cannot catch signals"))?;
        let session = Session::open(config.session, outbox.posting(Event::Session));
        let now = Instant::now();
        Ok(Self {
            output: Output::new(
                config.output,
                config.farm.as_str(),
                config.once.is_some(),
                outbox.posting(Event::Hook),
                outbox.posting(Event::Check),
            ),
            hosts: Hosts::new(config.farm, config.parse, config.hold),
            once: config.once.map(|timeout| Once { timeout, deadline: now + timeout }),
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
            notifier.tick(Instant::now());
            if let Some(end) = self.iterate(notifier.deadline()).transpose() {
                break end;
            }
        };
        notifier.stopping();
        if matches!(&end, Err(failure) if is_out_of_time(failure.exit())) {
            // No server can close the session, or there is no time left for it.
            self.session.abandon();
        } else {
            self.session.close();
        }
        end
    }

    fn deadline(&self) -> Option<Instant> {
        [
            self.hosts.view.deadline(),
            self.hosts.hold_deadline(),
            self.output.deadline(),
            self.once.map(|once| once.deadline).filter(|_| !self.output.mirror.is_stored()),
            self.session.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn iterate(&mut self, other_deadline: Option<Instant>) -> Result<Option<Exit>, Failure> {
        let deadline = self.deadline().into_iter().chain(other_deadline).min();
        let mut next = self.inbox.next(deadline);
        // Events come before deadlines: while a slow disk held us up, a host may have left
        // and come back.
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
            Event::Answer(answer) => self.feed_view(now, ViewEvent::Answered(answer))?,
            Event::Created(outcome) => self.created(outcome)?,
            Event::Signal(Signal::Stop) => return Ok(Some(Exit::Done)),
            Event::Signal(Signal::Refresh) => {
                log::info!(farm:% = self.hosts.path; "reading everything again");
                self.feed_mirror(now, MirrorEvent::Refresh)?;
                self.feed_view(now, ViewEvent::Refresh)?;
            }
            Event::Signal(Signal::ChildEnded) => reap_orphans(self.output.command_pids()),
            Event::Check(finished) => self.output.checked(now, &finished, self.hosts.farm())?,
            Event::Hook(finished) => return Ok(self.output.announced(now, &finished)),
        }
        Ok(None)
    }

    fn tick(&mut self, now: Instant) -> Result<(), Failure> {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|due| due <= now);
        self.session.tick(now);
        if is_due(self.hosts.view.deadline()) {
            self.feed_view(now, ViewEvent::Tick)?;
        }
        if is_due(self.hosts.hold_deadline()) {
            self.decide_hold(now)?;
        }
        self.output.tick(now, self.hosts.farm())?;
        match self.once {
            Some(once) if once.deadline <= now && !self.output.mirror.is_stored() => {
                Err(self.timed_out(once.timeout))
            }
            _ => Ok(()),
        }
    }

    /// Why there is no file within the time limit.
    fn timed_out(&mut self, timeout: Duration) -> Failure {
        if self.was_connected {
            return SessionError::Overdue(timeout).into();
        }
        // A call returns the session's latest error.
        let last_error = match self.session.call(Duration::ZERO, |_| Ok(())) {
            Err(SessionError::Unreachable { last_error, .. }) => last_error,
            _ => None,
        };
        SessionError::Unreachable { last_error, tried: timeout }.into()
    }

    fn session_event(&mut self, now: Instant, event: session::Event) -> Result<(), Failure> {
        match &event {
            session::Event::Connected { .. } => self.was_connected = true,
            session::Event::GaveUp(error) => return Err(error.clone().into()),
            session::Event::AuthRefused(error) if !self.output.mirror.is_stored() => {
                return Err(SessionError::AuthRefused(error.clone()).into());
            }
            // The session logs it, and tries again.
            session::Event::AuthRefused(_) => return Ok(()),
            session::Event::Suspended(_) | session::Event::Lost | session::Event::Hint(_) => {}
        }
        let is_lost = matches!(event, session::Event::Lost);
        self.feed_view(now, ViewEvent::Session(event))?;
        if is_lost {
            self.session.renew(now);
        }
        Ok(())
    }

    fn feed_view(&mut self, now: Instant, event: ViewEvent) -> Result<(), Failure> {
        let actions = self.hosts.view.step(now, event);
        let unreadable = self.hosts.view.unreadable_count();
        if unreadable != self.output.mirror.unreadable_count() {
            self.feed_mirror(now, MirrorEvent::Unreadable(unreadable))?;
        }
        for action in actions {
            match action {
                Action::Request(request) => {
                    request.dispatch(&self.session, self.outbox.posting(Event::Answer));
                }
                Action::Report(news) => self.farm_news(now, news)?,
            }
        }
        if self.hosts.view.state() != State::Complete {
            self.feed_mirror(now, MirrorEvent::Unknown)?;
        }
        Ok(())
    }

    fn farm_news(&mut self, now: Instant, news: News) -> Result<(), Failure> {
        match news {
            News::Changed(host) => {
                if self.hosts.changed(now, &host) {
                    self.feed_mirror(now, MirrorEvent::Changed(host))?;
                }
            }
            News::Complete => {
                self.hosts.complete(now);
                self.feed_mirror(now, MirrorEvent::Complete)?;
            }
            News::Missing => self.farm_missing()?,
            News::Refused(refusal) => {
                let is_forbidden = matches!(refusal, Refusal::Session(SessionError::NoAuth(_)));
                if (is_forbidden || self.once.is_some()) && !self.output.mirror.is_stored() {
                    return Err(refusal.into());
                }
                let logger = &self.hosts.refusal;
                let farm = &self.hosts.path;
                log::warn!(logger: logger, farm:%; "the farm can't be listed, trying again: {refusal}");
            }
            News::Unreadable(host, why) => self.hosts.log_unreadable(&host, &why),
            News::Readable(host) => {
                log::info!(host:%, farm:% = self.hosts.path; "a host can be read again");
            }
            News::Skipped(name, why) => {
                log::warn!(znode:? = name, farm:% = self.hosts.path; "not a host: {why}");
            }
        }
        Ok(())
    }

    fn feed_mirror(&mut self, now: Instant, event: MirrorEvent) -> Result<(), Failure> {
        self.output.feed(now, event, self.hosts.farm())
    }

    /// Decides about hosts that have gone.
    fn decide_hold(&mut self, now: Instant) -> Result<(), Failure> {
        let decision = self.hosts.decide(now);
        if decision.held > 0 {
            // All hosts that are shown again are one change.
            return match self.output.mirror.is_live() {
                true => self.feed_mirror(now, MirrorEvent::Complete),
                false => Ok(()),
            };
        }
        for host in decision.changed {
            self.feed_mirror(now, MirrorEvent::Changed(host))?;
        }
        Ok(())
    }

    fn farm_missing(&self) -> Result<(), Failure> {
        let path = self.hosts.path.clone();
        // Once there is a file, creating an empty farm would empty it.
        if self.creates_farm && !self.output.mirror.is_stored() {
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
            // The next connection reads the farm again.
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(Failure::from(error).during("cannot create the farm")),
        }
        Ok(())
    }

    fn status(&self) -> Status<'_> {
        let (farm, file) = (&self.hosts.path, self.output.file.as_str());
        match self.hosts.view.state() {
            State::Disconnected if self.was_connected => Status::Away { file },
            State::Disconnected => Status::Searching,
            State::Loading => Status::Reading { farm },
            State::Missing => Status::Missing { farm },
            State::Refused => Status::Refused { farm },
            State::Complete => match self.output.mirror.behind_reason() {
                Some(reason) => Status::Behind { file, reason },
                None => {
                    let (hosts, held) = (self.output.mirror.host_count(), self.hosts.held());
                    Status::Current { file, hosts, held }
                }
            },
        }
    }
}

const fn is_out_of_time(exit: Exit) -> bool {
    matches!(exit, Exit::Unreachable | Exit::Overdue)
}
