//! The loop of `zkexec`: what the machines want is done here, and what happens is
//! brought to them.
//!
//! **Invariant.** The main thread owns everything, waits only for its inbox, and starts
//! every process: a child dies with the thread that started it.

mod alerts;
mod boot;
mod stager;
mod status;
mod turn;
mod zookeeper;

use crate::gate::Schedule;
use crate::gate::drain::{self, Drainer};
use crate::gate::fleet::{self, Fleet, ThisHost};
use crate::mirror::{self, Content, MirrorSpec, Source};
use crate::options::{Config, Group, Reaction};
use crate::rollout::{Event as Step, Gates, OnFailure, Rollout};
use alerts::{About, Alerts};
use boot::Boot;
use farm_core::cli::{Exit, Failure, Notifier};
use farm_core::engine::{Debounce, Inbox, LogOnce, Outbox, Signals, inbox};
use farm_core::farm::permit::{self, Contender, Permit};
use farm_core::process::command::{Executor, Finished};
use farm_core::process::family::{Family, News, Pid, Program, Signal};
use farm_core::process::health::{Checkup, Finding};
use farm_core::process::hook::Hook;
use farm_core::process::terminal::Terminal;
use farm_core::session::{self, Session};
use signal::{CHLD, CONT, HUP, INT, QUIT, TERM, USR1, USR2};
use stager::Stager;
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

/// How many events are taken in a row before what is due is done.
const EVENTS_MAX: usize = 1000;

/// How long the end waits until the host is in service again.
const RESTORE_PATIENCE: Duration = Duration::from_secs(1);

mod signal {
    use nix::sys::signal::Signal;

    pub(super) const TERM: i32 = Signal::SIGTERM as i32;
    pub(super) const INT: i32 = Signal::SIGINT as i32;
    pub(super) const HUP: i32 = Signal::SIGHUP as i32;
    pub(super) const QUIT: i32 = Signal::SIGQUIT as i32;
    pub(super) const USR1: i32 = Signal::SIGUSR1 as i32;
    pub(super) const USR2: i32 = Signal::SIGUSR2 as i32;
    pub(super) const CHLD: i32 = Signal::SIGCHLD as i32;
    pub(super) const CONT: i32 = Signal::SIGCONT as i32;
}

enum Event {
    Session(session::Event),
    Signal(i32),
    Source(mirror::Answer),
    Permit(permit::Answer),
    Fleet(fleet::Answer),
    Drain(drain::Answer),
    Health(Finished),
    Alert(Finished),
    Stage(Finished),
    Command(Finished),
}

/// How the child is stopped.
#[derive(Debug, Clone, Copy)]
struct Stopping {
    signal: Signal,
    kill_timeout: Duration,
}

pub(crate) struct Runner {
    inbox: Inbox<Event>,
    outbox: Outbox<Event>,
    // The child.
    program: Program,
    family: Family,
    terminal: Terminal,
    stopping: Stopping,
    reaction: Reaction,
    /// The process that ran last.
    pid: Option<Pid>,
    /// How the last child ended, or why it could not be started.
    fate: Option<u8>,
    /// It was told to end.
    is_told_to_end: bool,
    /// It is over once the last alert is.
    is_over: bool,
    /// How long the end may still take.
    over_by: Option<Instant>,
    // What may be done with it.
    boot: Boot,
    rollout: Rollout<Content>,
    /// What the rollout is to be told next.
    steps: VecDeque<Step<Content>>,
    is_stepping: bool,
    checkup: Option<Checkup>,
    was_healthy: bool,
    alerts: Option<Alerts>,
    command: Option<Hook>,
    hours: Option<Schedule>,
    look_at_hours: Option<Instant>,
    // What it runs on.
    mirrors: Vec<MirrorSpec>,
    stager: Stager,
    settle: Debounce,
    /// The latest that was read, and what the rollout knows of.
    latest: Option<Content>,
    is_rereading: bool,
    // What is known of ZooKeeper.
    session: Session,
    had_contact: bool,
    source: Source,
    permit: Option<Permit>,
    fleet: Option<Fleet>,
    /// Why a turn has to wait for it.
    barred_by: LogOnce,
    drainer: Option<Drainer>,
    notifier: Notifier,
    _signals: Signals,
}

impl Runner {
    pub(crate) fn start(config: Config) -> Result<Self, Failure> {
        let (inbox, outbox) = inbox();
        let family =
            Family::found().map_err(Failure::for_want_of("cannot look after a command"))?;
        let caught = [TERM, INT, HUP, QUIT, USR1, USR2, CHLD, CONT];
        let signals = Signals::forward(&caught, outbox.posting(Event::Signal))
            .map_err(Failure::for_want_of("no signals"))?;
        let check = |limit, event| Executor::new(limit, outbox.posting(event));
        let limit = config.command_limit;
        let alerts = config.alert.map(|command| Alerts::new(command, check(limit, Event::Alert)));
        let checkup = config.health.map(|command| {
            Checkup::new(command, config.regime, check(config.health_timeout, Event::Health))
        });
        let can_put_back = config.terms.on_failure == OnFailure::RollBack;
        let stager = Stager::new(config.mirrors.clone(), check(limit, Event::Stage), can_put_back)?;
        let command = match &config.reaction {
            Reaction::Command(command) => {
                Some(Hook::new(command.clone(), limit, outbox.posting(Event::Command)))
            }
            Reaction::Restart | Reaction::Nothing | Reaction::Signal(_) => None,
        };
        log::info!("connecting to {}", config.servers);
        let session = Session::open(config.session, outbox.posting(Event::Session))?;
        let now = Instant::now();
        let hours = config.hours;
        let gates = Gates {
            is_in_hours: hours.as_ref().is_none_or(|hours| hours.is_open(SystemTime::now())),
            can_spare_us: config.fleet.is_none(),
        };
        Ok(Self {
            inbox,
            program: config.program,
            family,
            terminal: Terminal::of_stdin(),
            stopping: Stopping { signal: config.stop_signal, kill_timeout: config.kill_timeout },
            reaction: config.reaction,
            pid: None,
            fate: None,
            is_told_to_end: false,
            is_over: false,
            over_by: None,
            boot: Boot::new(now, config.start_without_zk),
            rollout: Rollout::new(config.terms, gates),
            steps: VecDeque::new(),
            is_stepping: false,
            checkup,
            was_healthy: false,
            alerts,
            command,
            look_at_hours: hours.as_ref().map(|_| now),
            hours,
            source: Source::new(&config.mirrors),
            mirrors: config.mirrors,
            stager,
            settle: Debounce::new(config.wait),
            latest: None,
            is_rereading: false,
            session,
            had_contact: false,
            permit: config.group.map(permit_of),
            fleet: config.fleet.map(|fleet| Fleet::new(fleet, ThisHost::detect())),
            barred_by: LogOnce::default(),
            drainer: config.drain.map(Drainer::new),
            outbox,
            notifier: Notifier::from_environment(),
            _signals: signals,
        })
    }

    pub(crate) fn run(mut self) -> Result<Exit, Failure> {
        let end = self.begin(Instant::now()).and_then(|()| self.go_on());
        self.notifier.stopping();
        self.terminal.take_back();
        // Their commands end with them, before ZooKeeper is told that we are gone.
        drop((self.alerts.take(), self.checkup.take(), self.command.take()));
        // Who never had contact has nobody to say good-bye to.
        if self.had_contact {
            self.session.close();
        } else {
            self.session.abandon();
        }
        match end {
            Err(failure) if self.pid.is_some() => {
                log::error!("{}", failure.line());
                Ok(Exit::Child(OUR_FAULT))
            }
            end => end,
        }
    }

    fn go_on(&mut self) -> Result<Exit, Failure> {
        loop {
            self.say_status();
            let mut next = self.inbox.next(self.deadline());
            let mut taken = 0;
            while let Some(event) = next {
                self.take(event)?;
                taken += 1;
                next = if taken < EVENTS_MAX { self.inbox.take() } else { None };
            }
            self.tick(Instant::now())?;
            if self.is_over && self.has_settled_affairs(Instant::now()) {
                return Ok(self.fate.map_or(Exit::Done, Exit::Child));
            }
        }
    }

    /// Whether everybody is alerted, and the host in service again as far as can be done.
    fn has_settled_affairs(&mut self, now: Instant) -> bool {
        let by = *self.over_by.get_or_insert(now + RESTORE_PATIENCE);
        let is_restored = self.drainer.as_ref().is_none_or(Drainer::is_idle) || by <= now;
        is_restored && !self.alerts.as_ref().is_some_and(Alerts::is_busy)
    }

    fn deadline(&self) -> Option<Instant> {
        [
            // Once it has passed only the last alert is waited for.
            self.over_by.filter(|by| *by > Instant::now()),
            self.boot.deadline(),
            self.rollout.deadline(),
            self.settle.deadline().filter(|_| self.boot.is_done()),
            self.family.deadline(),
            self.checkup.as_ref().and_then(Checkup::deadline),
            self.alerts.as_ref().and_then(|alerts| alerts.executor.deadline()),
            self.stager.executor.deadline(),
            self.command.as_ref().and_then(Hook::deadline),
            self.source.deadline(),
            self.permit.as_ref().and_then(Permit::deadline),
            self.fleet.as_ref().and_then(Fleet::deadline),
            self.drainer.as_ref().and_then(Drainer::deadline),
            self.session.deadline(),
            self.look_at_hours,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        let now = Instant::now();
        match event {
            Event::Session(event) => self.session_event(now, &event),
            Event::Signal(signal) => self.signal(now, signal),
            Event::Source(answer) => self.source(now, mirror::Event::Answered(answer)),
            Event::Permit(answer) => self.permit(now, permit::Event::Answered(answer)),
            Event::Fleet(answer) => self.fleet(now, fleet::Event::Answered(answer)),
            Event::Drain(answer) => self.drain(now, drain::Event::Answered(answer)),
            Event::Health(finished) => {
                // A child that has ended is not well, whatever its check says: what tells
                // of its end may be behind this one.
                self.reap(now)?;
                let found = self.checkup.as_mut().map(|checkup| checkup.finished(now, &finished));
                self.found(now, found.unwrap_or(Finding::Nothing))
            }
            Event::Alert(finished) => {
                if let Some(alerts) = &mut self.alerts {
                    alerts.finished(now, &finished);
                }
                Ok(())
            }
            Event::Stage(finished) => {
                let staged = self.stager.finished(now, &finished);
                self.staged(now, staged)
            }
            Event::Command(finished) => {
                let command = self.command.as_mut();
                let is_success = command.and_then(|command| command.finished(now, &finished));
                self.rollout_each(now, is_success.map(|is_success| Step::Applied { is_success }))
            }
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), Failure> {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|due| due <= now);
        if is_due(self.family.deadline()) {
            let others = self.commands();
            let news = self.family.tick(now, &others);
            self.family_news(now, news)?;
        }
        self.tick_commands(now)?;
        self.session.tick(now);
        if is_due(self.source.deadline()) {
            self.source(now, mirror::Event::Tick)?;
        }
        if is_due(self.permit.as_ref().and_then(Permit::deadline)) {
            self.permit(now, permit::Event::Tick)?;
        }
        if is_due(self.fleet.as_ref().and_then(Fleet::deadline)) {
            self.fleet(now, fleet::Event::Tick)?;
        }
        if is_due(self.drainer.as_ref().and_then(Drainer::deadline)) {
            self.drain(now, drain::Event::Tick)?;
        }
        if is_due(self.look_at_hours) {
            self.look_at_gates(now)?;
        }
        if is_due(self.boot.deadline()) {
            self.boot_is_due(now)?;
        }
        if self.boot.is_done() && self.settle.take(now) {
            self.want_latest(now)?;
        }
        if is_due(self.rollout.deadline()) {
            self.reap(now)?;
            self.rollout(now, Step::Tick)?;
        }
        Ok(())
    }

    fn tick_commands(&mut self, now: Instant) -> Result<(), Failure> {
        if let Some(alerts) = &mut self.alerts {
            alerts.executor.tick(now);
        }
        if let Some(command) = &mut self.command {
            command.tick(now);
        }
        self.stager.executor.tick(now);
        let found = self.checkup.as_mut().map(|checkup| checkup.tick(now));
        self.found(now, found.unwrap_or(Finding::Nothing))
    }

    /// The processes that others reap.
    fn commands(&self) -> Vec<Pid> {
        let pids = [
            self.alerts.as_ref().and_then(|alerts| alerts.executor.pid()),
            self.checkup.as_ref().and_then(Checkup::pid),
            self.command.as_ref().and_then(Hook::pid),
            self.stager.executor.pid(),
        ];
        pids.into_iter().flatten().collect()
    }

    fn signal(&mut self, now: Instant, signal: i32) -> Result<(), Failure> {
        match signal {
            CHLD => self.reap(now),
            // Typed, while a shell had given us the terminal without a word: it is meant
            // for the child.
            INT if self.terminal.resume() => {
                self.family.signal(Signal::SIGINT);
                Ok(())
            }
            TERM | INT => self.stop(now),
            CONT => {
                self.terminal.resume();
                Ok(())
            }
            _ => {
                if let Ok(signal) = Signal::try_from(signal) {
                    self.family.signal(signal);
                }
                Ok(())
            }
        }
    }

    fn reap(&mut self, now: Instant) -> Result<(), Failure> {
        let others = self.commands();
        let news = self.family.reap(&others);
        self.family_news(now, news)
    }

    fn stop(&mut self, now: Instant) -> Result<(), Failure> {
        if self.boot.is_stopping() || self.is_over {
            // Asked twice: there is no time left.
            self.family.kill(now);
            self.alerts = None;
            return Ok(());
        }
        log::info!("stopping");
        self.boot.stop();
        self.rollout(now, Step::Stop)
    }

    fn family_news(&mut self, now: Instant, news: Vec<News>) -> Result<(), Failure> {
        for news in news {
            match news {
                News::Ended(fate) => {
                    self.fate = Some(u8::try_from(fate.exit_code()).unwrap_or(u8::MAX));
                    self.terminal.take_back();
                    if fate.is_success() || self.is_told_to_end {
                        log::info!("command ended: {fate}");
                    } else {
                        log::warn!("command failed: {fate}");
                    }
                    self.rollout(now, Step::Ended { is_success: fate.is_success() })?;
                }
                News::Gone => self.rollout(now, Step::Gone)?,
                News::Stopped(signal) if self.terminal.is_for_us(signal) => {
                    self.terminal.suspend_ourselves();
                }
                News::Stopped(_) | News::Continued => {}
            }
        }
        if self.family.is_stuck() {
            // Nothing more can be done about it, and a child that is down helps nobody.
            self.rollout(now, Step::Gone)?;
        }
        Ok(())
    }

    fn found(&mut self, now: Instant, finding: Finding) -> Result<(), Failure> {
        match finding {
            Finding::Nothing => Ok(()),
            Finding::Failing => {
                self.alert(now, About::Health, None);
                Ok(())
            }
            Finding::Healthy => {
                self.was_healthy = true;
                self.rollout(now, Step::Healthy)
            }
        }
    }

    fn alert(&mut self, now: Instant, about: About, status: Option<u8>) {
        if let Some(alerts) = &mut self.alerts {
            alerts.raise(now, about, self.pid, status);
        }
    }

    /// Hands over one event after the other.
    fn rollout_each(
        &mut self,
        now: Instant,
        steps: impl IntoIterator<Item = Step<Content>>,
    ) -> Result<(), Failure> {
        steps.into_iter().try_for_each(|step| self.rollout(now, step))
    }

    /// Hands an event to the rollout, and does what it wants. What comes of that at once
    /// is brought to it when all is done that it wanted before.
    fn rollout(&mut self, now: Instant, step: Step<Content>) -> Result<(), Failure> {
        self.steps.push_back(step);
        if self.is_stepping {
            return Ok(());
        }
        self.is_stepping = true;
        while let Some(step) = self.steps.pop_front() {
            for action in self.rollout.step(now, step) {
                let step = self.perform(now, action)?;
                self.steps.extend(step);
            }
        }
        self.is_stepping = false;
        self.say_what_bars();
        Ok(())
    }

    /// The contents that ZooKeeper has are those that are wanted.
    fn want_latest(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(latest) = self.latest.clone() else { return Ok(()) };
        self.rollout(now, Step::Wanted(latest))
    }
}

/// How zkexec ends when it fails itself while there is a child, as shells and their like do.
const OUR_FAULT: u8 = 125;

fn permit_of(group: Group) -> Permit {
    let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    let contender = Contender { host, pid: std::process::id() };
    Permit::new(group.name, group.holders, contender)
}
