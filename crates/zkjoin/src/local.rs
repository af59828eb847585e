//! The config on this host: when to read it, and what to say of it.
//!
//! **Invariant.** Hints are asked for before the config is read, never after: an edit
//! that lands meanwhile is a hint again.

use crate::member::{Conf as ConfState, Event as MemberEvent};
use crate::options::Config;
use crate::timers::ConfTimer;
use crate::warnings::tell_conflicts;
use farm_core::cli::{Failure, chain};
use farm_core::codec::ConfFormat;
use farm_core::engine::LogOnce;
use farm_core::files::conf::{Conf, Stored};
use farm_core::files::error::FileError;
use farm_core::files::watch::{FileWatch, Hint, Watched};
use farm_core::model::Record;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// While the system has no watches to give, the config is read so often.
const UNWATCHED_INTERVAL: Duration = Duration::from_secs(5);
/// After so long an edit is tried again that the config could not be given.
const CATCH_UP_INTERVAL: Duration = Duration::from_secs(5);
/// How often in a row somebody else may be quicker before we pause.
const OVERTAKEN_MAX: u32 = 20;
/// That pause.
const OVERTAKEN_INTERVAL: Duration = Duration::from_secs(1);

/// The config, watched.
#[derive(Debug)]
pub(crate) struct Local {
    path: PathBuf,
    conf: Conf,
    timer: ConfTimer,
    is_written: bool,
    /// How often in a row somebody else was quicker.
    overtaken: u32,
    warnings: Warnings,
    watch: FileWatch,
}

/// The troubles that last, by what they are about.
#[derive(Debug, Default)]
struct Warnings {
    watch: LogOnce,
    load: LogOnce,
    store: LogOnce,
}

impl Local {
    /// Starts to watch; nothing is read yet.
    pub(crate) fn start(
        config: &Config,
        post: impl Fn(Hint) + Send + 'static,
    ) -> Result<Self, Failure> {
        let watched = if config.format == ConfFormat::Dir { Watched::Tree } else { Watched::File };
        let watch = FileWatch::start(config.conf.clone(), watched, post)
            .map_err(Failure::for_want_of("no watch"))?;
        Ok(Self {
            path: config.conf.clone(),
            conf: Conf::new(config.conf.clone(), config.format),
            timer: ConfTimer::new(config.settle),
            is_written: false,
            overtaken: 0,
            warnings: Warnings::default(),
            watch,
        })
    }

    /// Learns the types of the fields from what the znode held.
    pub(crate) fn remember(&mut self, record: &Record) {
        self.conf.remember(record);
    }

    /// Somebody writes to it, and may go on: it is read when they are done.
    pub(crate) fn is_being_written(&mut self) {
        self.ask_for_hints();
        self.timer.is_being_written(Instant::now());
    }

    /// When it is to be read without a hint.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timer.deadline()
    }

    /// Whether that time has come.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.timer.is_due(now)
    }

    /// Whether we have written to it since this was asked last.
    pub(crate) const fn take_written(&mut self) -> bool {
        std::mem::replace(&mut self.is_written, false)
    }

    /// Reads it.
    pub(crate) fn read(&mut self) -> ConfState {
        self.timer.was_read();
        self.ask_for_hints();
        match self.conf.load() {
            Ok(loaded) => {
                self.warnings.load.clear();
                tell_conflicts(&loaded.conflicts);
                if let Some(wait) = loaded.again {
                    self.timer.in_time(Instant::now(), wait);
                }
                if loaded.is_ahead {
                    self.catch_up(&loaded.record);
                }
                ConfState::Good(loaded.record)
            }
            Err(error) if error.is_missing() => {
                let conf = error.path.display();
                log::warn!(logger: self.warnings.load, conf:%; "there is no config");
                ConfState::Missing
            }
            Err(error) => {
                log::warn!(
                    logger: self.warnings.load, why = chain(&error);
                    "the config is left alone, the znode keeps its record"
                );
                ConfState::Bad
            }
        }
    }

    /// Gives it that record, if it still says what was read last.
    pub(crate) fn store(&mut self, record: &Record) -> MemberEvent {
        match self.conf.store(record) {
            // A disk that shows one name for two fields would keep us at it for ever.
            Ok(Stored::Overtaken) if self.overtaken == OVERTAKEN_MAX => {
                let store = &self.warnings.store;
                log::warn!(logger: store, "cannot write the config, it changes all the time");
                self.timer.in_time(Instant::now(), OVERTAKEN_INTERVAL);
                MemberEvent::StoreFailed
            }
            Ok(Stored::Overtaken) => {
                self.overtaken += 1;
                MemberEvent::Conf(self.read())
            }
            Ok(stored) => {
                self.warnings.store.clear();
                if stored == Stored::Written {
                    self.wrote();
                }
                // What was overtaken may have been written in part.
                self.is_written |= std::mem::take(&mut self.overtaken) > 0;
                MemberEvent::Stored(self.read())
            }
            Err(error) => {
                self.cannot_write(&error);
                MemberEvent::StoreFailed
            }
        }
    }

    /// An edit was made without knowing of one of ours, which the config lost by it.
    fn catch_up(&mut self, record: &Record) {
        match self.conf.store(record) {
            Ok(Stored::Written) => self.wrote(),
            // Whoever was quicker has caused a hint.
            Ok(Stored::Unchanged | Stored::Overtaken) => {}
            Err(error) => {
                self.cannot_write(&error);
                self.timer.in_time(Instant::now(), CATCH_UP_INTERVAL);
            }
        }
    }

    fn wrote(&mut self) {
        self.warnings.store.clear();
        self.is_written = true;
        log::info!(conf:% = self.path.display(); "wrote the config");
    }

    fn cannot_write(&mut self, error: &FileError) {
        let store = &self.warnings.store;
        log::warn!(logger: store, why = chain(error); "cannot write the config, trying on");
    }

    fn ask_for_hints(&mut self) {
        match self.watch.lower() {
            Ok(()) => self.warnings.watch.clear(),
            Err(error) => {
                let watch = &self.warnings.watch;
                log::warn!(logger: watch, why = chain(&error); "local edits may go unseen");
                self.timer.in_time(Instant::now(), UNWATCHED_INTERVAL);
            }
        }
    }
}
