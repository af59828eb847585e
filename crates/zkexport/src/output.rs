//! Performs the mirror's actions on the file, and feeds it the outcomes.
//!
//! **Invariant.** Events that arise while the mirror steps are queued, and handled after
//! that step.

use crate::announce::{Announcer, Reason};
use crate::check::Checker;
use crate::difference::Difference;
use crate::mirror::{Action, Event, Mirror};
use crate::options::OutputConfig;
use crate::preview::write_diff;
use crate::target::{Target, TargetError};
use farm_core::cli::{Exit, ExitReason, Failure, for_stdout};
use farm_core::model::Farm;
use farm_core::process::command::{Executor, Failed, Finished};
use farm_core::process::hook::Hook;
use farm_core::process::reaper::Pid;
use log::Level;
use std::collections::VecDeque;
use std::io::{self, BufWriter, Write as _};
use std::sync::Arc;
use std::time::Instant;

/// The file, the mirror that decides about it, and the commands around it.
#[derive(Debug)]
pub(crate) struct Output {
    /// CONF as it was typed.
    pub(crate) file: String,
    /// The farm's path.
    farm: String,
    pub(crate) mirror: Mirror,
    /// Events that the mirror has not taken yet.
    events: VecDeque<Event>,
    target: Target,
    checker: Option<Checker>,
    announcer: Option<Announcer>,
    is_dry: bool,
    is_once: bool,
    /// The exit code if nothing goes wrong.
    exit: Exit,
    /// The farm that was announced last.
    announced: Arc<Farm>,
    /// Why the latest store failed.
    store_error: Option<TargetError>,
    is_check_refused: bool,
}

impl Output {
    /// `path` is the farm's; the commands get it in their environment.
    pub(crate) fn new(
        config: OutputConfig,
        path: &str,
        is_once: bool,
        post_hook: impl Fn(Finished) + Send + Sync + 'static,
        post_check: impl Fn(Finished) + Send + Sync + 'static,
    ) -> Self {
        let announcer = config.command.map(|command| {
            let hook = Hook::new(command.text, command.limit, post_hook);
            Announcer::new(hook, path.to_owned(), config.file.clone(), config.pace)
        });
        let checker = config.check.map(|command| {
            let check = Executor::new(command.limit, post_check);
            Checker::new(check, command.text, path.to_owned())
        });
        Self {
            file: config.file,
            farm: path.to_owned(),
            mirror: Mirror::new(config.wait, config.view, config.hosts_min),
            events: VecDeque::new(),
            target: config.target,
            checker,
            announcer,
            is_dry: config.is_dry,
            is_once,
            exit: Exit::Done,
            announced: Arc::new(Farm::new()),
            store_error: None,
            is_check_refused: false,
        }
    }

    /// The exit code, if zkexport ends after one file and nothing is left to do.
    pub(crate) fn end(&self) -> Option<Exit> {
        let is_over = self.is_once && self.mirror.is_stored() && self.announcer.is_none();
        is_over.then_some(self.exit)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let checker = self.checker.as_ref().and_then(Checker::deadline);
        let announcer = self.announcer.as_ref().and_then(Announcer::deadline);
        [self.mirror.deadline(), checker, announcer].into_iter().flatten().min()
    }

    /// The commands that run, which are reaped here.
    pub(crate) fn command_pids(&self) -> impl Iterator<Item = Pid> {
        let checker = self.checker.as_ref().and_then(Checker::pid);
        let announcer = self.announcer.as_ref().and_then(Announcer::pid);
        checker.into_iter().chain(announcer)
    }

    pub(crate) fn tick(&mut self, now: Instant, farm: &Farm) -> Result<(), Failure> {
        if self.mirror.deadline().is_some_and(|due| due <= now) {
            self.feed(now, Event::Tick, farm)?;
        }
        self.checker.iter_mut().for_each(|checker| checker.tick(now));
        self.announcer.iter_mut().for_each(|announcer| announcer.tick(now));
        Ok(())
    }

    /// Feeds an event to the mirror; `farm` is the farm as it is now.
    pub(crate) fn feed(&mut self, now: Instant, event: Event, farm: &Farm) -> Result<(), Failure> {
        self.events.push_back(event);
        self.pump(now, farm)
    }

    /// Steps the mirror until its queue of events is empty.
    fn pump(&mut self, now: Instant, farm: &Farm) -> Result<(), Failure> {
        while let Some(event) = self.events.pop_front() {
            for action in self.mirror.step(now, &event, farm) {
                let outcome = self.perform(now, action)?;
                self.events.extend(outcome);
            }
        }
        Ok(())
    }

    fn perform(&mut self, now: Instant, action: Action) -> Result<Option<Event>, Failure> {
        match action {
            Action::Store(farm) => return self.store(now, &farm),
            Action::Install => return self.install().map(Some),
            Action::Discard => self.checker.iter_mut().for_each(Checker::discard),
            Action::AnnounceStart(farm) => self.announce(now, Reason::Start, farm),
            Action::AnnounceChange(farm) => self.announce(now, Reason::Change, farm),
            Action::ReportFailing => {
                if let Some(error) = &self.store_error {
                    log::error!(file = self.file; "the file stays as it is, trying again: {error}");
                }
            }
            Action::ReportRecovered => {
                self.store_error = None;
                log::info!(file = self.file; "the file can be written again");
            }
            Action::ReportTooFew { count } => self.report_too_few(count)?,
            Action::ReportEnough => log::info!(file = self.file; "there are enough hosts again"),
            Action::ReportNoRecord { count } => self.report_no_record(count)?,
            Action::ReportRecords => log::info!(file = self.file; "the farm can be read again"),
        }
        Ok(None)
    }

    /// Stores the farm; `None` if the check has to run first.
    fn store(&mut self, now: Instant, farm: &Farm) -> Result<Option<Event>, Failure> {
        if self.is_dry {
            self.print_diff(farm)?;
            return Ok(Some(Event::Stored { is_written: false }));
        }
        let Some(checker) = &mut self.checker else {
            let stored = self.target.store(farm);
            return self.store_outcome(stored).map(Some);
        };
        match self.target.stage(farm) {
            Ok(Some(staged)) => match checker.start(now, staged, farm.len()) {
                Ok(()) => Ok(None),
                Err(error) => self.store_outcome(Err(error)).map(Some),
            },
            Ok(None) => Ok(Some(Event::Stored { is_written: false })),
            Err(error) => self.store_outcome(Err(error)).map(Some),
        }
    }

    /// Takes the end of a check.
    pub(crate) fn checked(
        &mut self,
        now: Instant,
        finished: &Finished,
        farm: &Farm,
    ) -> Result<(), Failure> {
        let verdict = self.checker.as_mut().and_then(|checker| checker.finished(finished));
        let event = match verdict {
            None => return Ok(()),
            Some(Ok(())) => {
                if std::mem::take(&mut self.is_check_refused) {
                    log::info!(file = self.file; "the check accepts the new contents again");
                }
                Event::Passed
            }
            Some(Err(refusal)) if refusal.has_run => self.refuse(&refusal)?,
            Some(Err(unstarted)) => self.store_outcome(Err(TargetError::Check(unstarted)))?,
        };
        self.feed(now, event, farm)
    }

    fn refuse(&mut self, refusal: &Failed) -> Result<Event, Failure> {
        self.is_check_refused = true;
        let (file, reason) = (&self.file, &refusal.reason);
        log::error!(file; "the check refused the new contents, the file stays: {reason}");
        refusal.log_output(Level::Error, "the check");
        if self.is_once {
            let what = format!("the check refused the new contents, {file} stays as it is");
            return Err(Failure::new(Exit::No, what));
        }
        Ok(Event::Refused)
    }

    fn install(&mut self) -> Result<Event, Failure> {
        let installed = self.checker.as_mut().map_or(Ok(()), Checker::install);
        self.store_outcome(installed.map(|()| true).map_err(TargetError::File))
    }

    fn store_outcome(&mut self, stored: Result<bool, TargetError>) -> Result<Event, Failure> {
        match stored {
            Ok(is_written) => Ok(Event::Stored { is_written }),
            Err(error) if error.is_stop() => {
                // It is the next event.
                log::info!(file = self.file; "stopping before everything is written");
                Ok(Event::Failed)
            }
            Err(error) if (error.is_permanent() || self.is_once) && !self.mirror.is_stored() => {
                Err(error.into())
            }
            Err(error) => {
                self.store_error = Some(error);
                Ok(Event::Failed)
            }
        }
    }

    fn report_too_few(&self, count: usize) -> Result<(), Failure> {
        let (file, min) = (&self.file, self.mirror.hosts_min());
        if self.is_once {
            let what = format!("{count} hosts, fewer than {min}: {file} stays as it is");
            return Err(Failure::new(Exit::No, what));
        }
        log::warn!(file, hosts = count, min; "too few hosts, the file stays as it is");
        Ok(())
    }

    /// Without this, a farm whose hosts use another format would empty a site.
    fn report_no_record(&self, count: usize) -> Result<(), Failure> {
        let (file, farm) = (&self.file, &self.farm);
        let hint = format!(
            "a record is a JSON object; zkctl get --raw {farm}/HOST shows what is there, and \
                     --parse reads other data"
        );
        if self.is_once {
            let what = format!("none of the {count} hosts of {farm} can be read");
            return Err(Failure::new(Exit::Malformed, what).hint(hint));
        }
        log::warn!(file, farm, hosts = count, hint; "no host can be read, the file stays as it is");
        Ok(())
    }

    /// Prints the changes that the store would make.
    fn print_diff(&mut self, farm: &Farm) -> Result<(), Failure> {
        let mut stdout = BufWriter::new(io::stdout().lock());
        let (mut is_same, mut unwritten) = (true, None);
        let previewed = self.target.preview(farm, |change| {
            is_same = false;
            let mut diff = Vec::new();
            let written = write_diff(&change, &mut diff);
            written.and_then(|()| stdout.write_all(&for_stdout(&diff))).map_err(|error| {
                let kind = error.kind();
                unwritten = Some(error);
                kind.into()
            })
        });
        if let Some(error) = unwritten {
            return Err(Failure::of_stdout(error));
        }
        previewed?;
        if !is_same {
            self.exit = Exit::No;
        }
        stdout.flush().map_err(Failure::of_stdout)
    }

    fn announce(&mut self, now: Instant, reason: Reason, farm: Arc<Farm>) {
        let Difference { added, removed, changed } = Difference::between(&self.announced, &farm);
        let (added, removed, changed) = (added.len(), removed.len(), changed.len());
        let (file, hosts) = (&self.file, farm.len());
        match reason {
            Reason::Start => log::info!(file, hosts; "the file is current"),
            Reason::Change => {
                log::info!(file, hosts, added, removed, changed; "the file has changed");
            }
        }
        self.announced = Arc::clone(&farm);
        if let Some(announcer) = &mut self.announcer {
            announcer.announce(now, reason, farm);
        }
    }

    /// Takes the end of a run of the changed-command; returns the exit code if nothing
    /// else is left to do.
    pub(crate) fn announced(&mut self, now: Instant, finished: &Finished) -> Option<Exit> {
        let ended = self.announcer.as_mut()?.finished(now, finished);
        ended.filter(|_| self.is_once).map(|_| Exit::Done)
    }
}
