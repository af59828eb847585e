//! The main loop of `zkexec`. It passes events to the state machines and performs their
//! actions.
//!
//! **Invariant.** The main thread owns all state, waits only for its inbox, and starts every
//! process: a child dies with the thread that started it. An event that arises during a step of
//! the rollout is queued and handled after that step.

mod alerts;
mod boot;
mod commands;
mod event;
mod member;
mod perform;
mod reporter;
mod saved;
mod stager;
mod supervisor;
mod wanted;

use crate::mirror::{self, Content};
use crate::options::Config;
use crate::rollout::{AlertReason, Event as Step, OnFailure, Phase, Rollout};
use crate::status::Status;
use boot::{Boot, Start};
use commands::Commands;
use event::Event;
use farm_core::cli::{Exit, Failure};
use farm_core::engine::{Inbox, Signals, forget_stop, inbox};
use farm_core::farm::rollout::state;
use farm_core::farm::turn::{Event as TurnEvent, Turn};
use farm_core::process::command::Executor;
use farm_core::process::tree::Pid;
use farm_core::session::{self, Session, SessionError};
use member::Member;
use nix::sys::signal::Signal::{
    self, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
};
use reporter::Reporter;
use stager::Stager;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use supervisor::Supervisor;
use wanted::WantedContent;

/// The most events handled in a row before timers are checked.
const EVENTS_MAX: usize = 1000;

/// How long zkexec waits at exit for `--drain` to be restored.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(1);

/// The exit code for a failure of zkexec itself after the child was started, as with `env` and
/// `nohup`.
const ZKEXEC_FAILED: u8 = 125;

const TURN_WAITS: &str = "no connection to ZooKeeper; the turn waits";

/// The signals that zkexec acts on itself or passes on to its child.
const CAUGHT: [Signal; 8] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD, SIGCONT];

pub(crate) struct Runner {
    inbox: Inbox<Event>,
    session: Session,
    had_contact: bool,
    boot: Boot,
    rollout: Rollout<Content>,
    /// Events that the rollout has not handled yet.
    events: VecDeque<Step<Content>>,
    turn: Turn,
    /// `None` without `--lock`.
    member: Option<Member>,
    wanted: WantedContent,
    stager: Stager,
    child: Supervisor,
    commands: Commands,
    /// Set once the child has ended for good. zkexec waits until then for `--drain` to be
    /// restored, and exits when the last alert has finished as well.
    exit_by: Option<Instant>,
    reporter: Reporter,
    _signals: Signals,
}

impl Runner {
    pub(crate) fn start(config: Config) -> Result<Self, Failure> {
        let (inbox, outbox) = inbox();
        let child = Supervisor::new(config.child)?;
        let caught = CAUGHT.map(|signal| signal as i32);
        let signals = Signals::forward(&caught, outbox.posting(Event::Signal))
            .map_err(Failure::system_error("cannot catch signals"))?;
        let check = Executor::new(config.commands.limit, outbox.posting(Event::FileCheckFinished));
        let commands = Commands::new(config.commands, config.rollout.on_change.clone(), &outbox);
        let can_put_back = config.rollout.on_failure == OnFailure::RollBack;
        let stager = Stager::new(config.mirrors.clone(), check, can_put_back)?;
        log::info!("connecting to {}", config.session.servers);
        let member = config.member.map(|member| Member::new(member, outbox.clone())).transpose()?;
        let wanted = WantedContent::new(config.mirrors, config.wait, outbox.clone());
        let session = Session::open(config.session, outbox.posting(Event::Session));
        let now = Instant::now();
        let turn = Turn::new(now, config.turn, outbox.posting(Event::Turn));
        Ok(Self {
            inbox,
            session,
            had_contact: false,
            boot: Boot::new(now, config.start_without_zk),
            rollout: Rollout::new(config.rollout, turn.gates()),
            events: VecDeque::new(),
            turn,
            member,
            wanted,
            stager,
            child,
            commands,
            exit_by: None,
            reporter: Reporter::new(),
            _signals: signals,
        })
    }

    pub(crate) fn run(mut self) -> Result<Exit, Failure> {
        let end = self.begin(Instant::now()).and_then(|()| self.event_loop());
        self.reporter.notifier.stopping();
        self.child.terminal.take_back();
        // The commands are killed before the session closes and the lock becomes free.
        drop(self.commands);
        // Without a connection there is no session to close.
        if self.had_contact {
            self.session.close();
        } else {
            self.session.abandon();
        }
        match end {
            Err(failure) if self.child.pid.is_some() => {
                log::error!("{}", failure.line());
                Ok(Exit::Child(ZKEXEC_FAILED))
            }
            end => end,
        }
    }

    /// Starts the child at once if there are no mirrors.
    fn begin(&mut self, now: Instant) -> Result<(), Failure> {
        let content = self.wanted.mirrors.is_empty().then(Content::unknown);
        self.boot(now, Ok(content))
    }

    fn event_loop(&mut self) -> Result<Exit, Failure> {
        loop {
            self.tell();
            let mut next = self.inbox.next(self.deadline());
            let mut handled = 0;
            while let Some(event) = next {
                self.handle(event)?;
                handled += 1;
                next = if handled < EVENTS_MAX { self.inbox.take() } else { None };
            }
            self.tick(Instant::now())?;
            self.reporter.log_obstacle(self.rollout.phase(), self.turn.obstacle());
            if let Some(by) = self.exit_by
                && (self.turn.is_idle() || by <= Instant::now())
                && self.commands.alerts.as_ref().is_none_or(|alerts| !alerts.is_busy())
            {
                return Ok(self.child.exit_code.map_or(Exit::Done, Exit::Child));
            }
        }
    }

    /// Tells the service manager and the group what zkexec is doing.
    fn tell(&mut self) {
        let is_ready = self.child.processes.is_up() && self.commands.is_healthy();
        let start = match (self.boot.is_done(), self.had_contact) {
            (false, false) => Err(Status::Connecting),
            (false, true) => Err(Status::Preparing),
            (true, _) => Ok(&self.rollout),
        };
        self.reporter.tell(is_ready, start);
        if let Some(member) = &mut self.member {
            let latest = self.wanted.latest.as_ref();
            let health = self.commands.last_check();
            member.tell(Instant::now(), &self.session, &self.rollout, latest, health);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        [
            // After that only the last alert is waited for, which posts an event.
            self.exit_by.filter(|by| *by > Instant::now()),
            self.boot.deadline(),
            self.rollout.deadline(),
            self.wanted.debounce.deadline().filter(|_| self.boot.is_done()),
            self.child.processes.deadline(),
            self.child.retry_deadline(),
            self.commands.deadline(),
            self.stager.executor.deadline(),
            self.wanted.source.deadline(),
            self.turn.deadline(),
            self.session.deadline(),
            self.reporter.notifier.deadline(),
            self.member.as_ref().and_then(Member::deadline),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn handle(&mut self, event: Event) -> Result<(), Failure> {
        let now = Instant::now();
        match event {
            Event::Session(event) => self.session_event(now, event),
            Event::Signal(signal) => self.signal(now, signal),
            Event::Mirrors(answer) => self.source(now, mirror::Event::Answered(answer)),
            Event::Turn(answer) => self.turn(now, TurnEvent::Answered(answer)),
            Event::Group(answer) => self.group_event(now, state::Event::Answered(answer)),
            Event::Published(answer) => {
                let member = self.member.as_mut();
                if let Some(member) = member {
                    member.published(now, &self.session, answer);
                }
                Ok(())
            }
            Event::HealthCheckFinished(finished) => {
                // The child may have ended although its SIGCHLD is still in the inbox. A check
                // that succeeded must not confirm it then.
                self.reap(now)?;
                let step = self.commands.health_check_finished(now, &finished, &self.child);
                self.feed(now, step)
            }
            Event::AlertFinished(finished) => {
                let alerts = self.commands.alerts.iter_mut();
                alerts.for_each(|alerts| alerts.finished(now, &finished));
                Ok(())
            }
            Event::ChangeCommandFinished(finished) => {
                let step = self.commands.change_command_finished(now, &finished);
                self.feed(now, step)
            }
            Event::FileCheckFinished(finished) => match self.stager.finished(now, &finished) {
                Some(outcome) if self.boot.is_done() => self.feed(now, [Step::from(&outcome)]),
                Some(outcome) => {
                    let start = self.boot.staged(now, outcome, &mut self.stager);
                    self.boot(now, start)
                }
                None => Ok(()),
            },
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), Failure> {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|due| due <= now);
        if is_due(self.child.processes.deadline()) {
            let news = self.child.processes.tick(now, &self.other_pids());
            let steps = self.child.handle(news);
            self.feed(now, steps)?;
        }
        if is_due(self.child.retry_deadline()) {
            let step = self.child.restart(now);
            self.feed(now, step)?;
        }
        self.stager.executor.tick(now);
        let step = self.commands.tick(now, &self.child);
        self.feed(now, step)?;
        self.session.tick(now);
        self.reporter.notifier.tick(now);
        if self.member.as_ref().is_some_and(|member| is_due(member.deadline())) {
            self.group(now, Member::tick)?;
        }
        if is_due(self.wanted.source.deadline()) {
            self.source(now, mirror::Event::Tick)?;
        }
        if is_due(self.turn.deadline()) {
            self.turn(now, TurnEvent::Tick)?;
        }
        if is_due(self.boot.deadline()) {
            let start = self.boot.tick(now, self.wanted.latest.as_ref(), &mut self.stager);
            self.boot(now, start)?;
        }
        self.save_first(now);
        if self.boot.is_done()
            && let Some(content) = self.wanted.take(now)
        {
            self.follow(now, &content)?;
            self.feed(now, [Step::Wanted(content)])?;
        }
        if is_due(self.rollout.deadline()) {
            self.reap(now)?;
            self.feed(now, [Step::Tick])?;
        }
        Ok(())
    }

    fn session_event(&mut self, now: Instant, event: session::Event) -> Result<(), Failure> {
        match &event {
            session::Event::Connected { .. } => self.had_contact = true,
            session::Event::GaveUp(error) if !self.boot.is_done() => {
                return Err(error.clone().into());
            }
            session::Event::AuthRefused(error) if !self.boot.is_done() => {
                return Err(SessionError::AuthRefused(error.clone()).into());
            }
            // The session logs it and keeps trying; the child runs on.
            session::Event::GaveUp(_) | session::Event::AuthRefused(_) => return Ok(()),
            session::Event::Suspended(_) if self.rollout.phase() == Phase::Trying => {
                log::warn!("{TURN_WAITS}");
            }
            session::Event::Suspended(_) | session::Event::Lost | session::Event::Hint(_) => {}
        }
        let is_lost = matches!(event, session::Event::Lost);
        self.turn(now, TurnEvent::Session(event.clone()))?;
        self.group(now, |member, now, session| member.session(now, session, &event))?;
        self.source(now, mirror::Event::Session(event))?;
        if is_lost {
            self.session.renew(now);
        }
        Ok(())
    }

    fn signal(&mut self, now: Instant, signal: i32) -> Result<(), Failure> {
        match Signal::try_from(signal) {
            Ok(SIGCHLD) => return self.reap(now),
            // A shell had moved zkexec to the foreground without a SIGCONT. The Ctrl-C was
            // meant for the child.
            Ok(SIGINT) if self.child.terminal.resume() => {
                forget_stop();
                self.child.processes.signal(SIGINT);
            }
            Ok(SIGTERM | SIGINT) => return self.stop(now),
            Ok(SIGCONT) => drop(self.child.terminal.resume()),
            Ok(signal) => self.child.processes.signal(signal),
            Err(_) => {}
        }
        Ok(())
    }

    fn stop(&mut self, now: Instant) -> Result<(), Failure> {
        if self.boot.is_stopping || self.exit_by.is_some() {
            // The second request kills at once.
            self.child.processes.kill(now);
            self.commands.alerts = None;
            return Ok(());
        }
        log::info!("stopping");
        self.boot.is_stopping = true;
        self.feed(now, [Step::Stop])
    }

    fn reap(&mut self, now: Instant) -> Result<(), Failure> {
        let news = self.child.processes.reap(&self.other_pids());
        let steps = self.child.handle(news);
        self.feed(now, steps)
    }

    /// The processes that the supervisor must not reap.
    fn other_pids(&self) -> Vec<Pid> {
        self.commands.pids().chain(self.stager.executor.pid()).collect()
    }

    /// Starts the child once `start` has its content.
    fn boot(&mut self, now: Instant, start: Start) -> Result<(), Failure> {
        let Some(content) = start? else { return Ok(()) };
        self.boot.started();
        if self.child.start::<Content>() != Step::Started {
            self.commands.alert(now, AlertReason::Exit, &self.child);
            self.exit_by = Some(now + RESTORE_TIMEOUT);
            return Ok(());
        }
        self.commands.checkup.iter_mut().for_each(|checkup| checkup.begin(now));
        if let Some(member) = &mut self.member {
            let has_check = self.commands.checkup.is_some();
            member.first_started((!has_check).then(|| now + self.rollout.delay()));
        }
        self.feed(now, [Step::FirstStarted(content)])?;
        // The znodes may have changed while the files were written.
        let Some(latest) = self.wanted.latest.clone() else { return Ok(()) };
        self.follow(now, &latest)?;
        self.feed(now, [Step::Wanted(latest)])
    }
}
