//! The config on this host: reads it when it changes, writes it, and logs problems with it.
//!
//! **Invariant.** The watch is armed before the config is read, never after, so that an
//! edit during the read causes another hint. What no watch reports is found by a look at
//! the path.

use crate::looker::Looker;
use crate::member::{Conf as ConfState, Event as MemberEvent};
use crate::options::Config;
use crate::timers::{ConfTimer, LookTimer};
use crate::warnings::log_conflicts;
use farm_core::cli::{Failure, chain};
use farm_core::codec::ConfFormat;
use farm_core::engine::LogOnce;
use farm_core::files::conf::{Conf, Stored};
use farm_core::files::error::{Fault, FileError};
use farm_core::files::look::Look;
use farm_core::files::watch::{FileWatch, Hint, Watched};
use farm_core::model::Record;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the config is read while the system has no watches left.
const UNWATCHED_INTERVAL: Duration = Duration::from_secs(5);
/// When to read a config again that the system did not let us read. What prevented it may end
/// without an event of the file: no descriptors left, or a permission on the way to it.
const UNREADABLE_INTERVAL: Duration = Duration::from_secs(5);
/// When to retry an edit that could not be written to the config.
const CATCH_UP_INTERVAL: Duration = Duration::from_secs(5);
/// How many stores in a row another writer may overtake before we pause.
const OVERTAKEN_MAX: u32 = 20;
/// How long we pause then.
const OVERTAKEN_INTERVAL: Duration = Duration::from_secs(1);

/// The config, with its watch.
#[derive(Debug)]
pub(crate) struct LocalConf {
    path: PathBuf,
    conf: Conf,
    timer: ConfTimer,
    looks: LookTimer<Look>,
    looker: Looker,
    is_written: bool,
    /// How many stores in a row another writer overtook.
    overtaken: u32,
    warnings: ConfWarnings,
    watch: FileWatch,
}

/// The problems that last, each logged once.
#[derive(Debug, Default)]
struct ConfWarnings {
    watch: LogOnce,
    load: LogOnce,
    store: LogOnce,
}

impl LocalConf {
    /// Starts the watch; nothing is read yet.
    pub(crate) fn start(
        config: &Config,
        post_hint: impl Fn(Hint) + Send + Sync + 'static,
        post_look: impl Fn(Look) + Send + 'static,
    ) -> Result<Self, Failure> {
        let conf = Conf::new(config.conf.clone(), config.format).settling(config.quiet);
        conf.sweep();
        let watched = if config.format == ConfFormat::Dir { Watched::Tree } else { Watched::File };
        let watch = FileWatch::start(config.conf.clone(), watched, post_hint)
            .map_err(Failure::system_error("no watch"))?;
        Ok(Self {
            path: config.conf.clone(),
            conf,
            timer: ConfTimer::new(config.quiet),
            looks: LookTimer::new(config.quiet),
            looker: Looker::start(post_look).map_err(Failure::system_error("no thread"))?,
            is_written: false,
            overtaken: 0,
            warnings: ConfWarnings::default(),
            watch,
        })
    }

    /// Learns the types of the fields from the znode's record.
    pub(crate) fn learn_types(&mut self, record: &Record) {
        self.conf.learn_types(record);
    }

    /// A writer is active: reads the config later, when it has finished.
    pub(crate) fn defer_read(&mut self) {
        self.arm_watch();
        self.timer.defer(Instant::now());
    }

    /// When to call [`LocalConf::is_due`] without a hint.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.timer.deadline(), self.looks.deadline(), self.conf.close_at()];
        deadlines.into_iter().flatten().min()
    }

    /// Whether to read the config now; looks at its path from time to time, and closes files
    /// that it has replaced.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        if self.looks.begin(now)
            && let Some(read) = self.conf.last_look()
        {
            self.looker.look_again(read);
        }
        let is_close_due = self.conf.close_at().is_some_and(|at| now >= at);
        let has_late_edit = is_close_due && self.conf.close_displaced();
        has_late_edit || self.timer.is_due(now)
    }

    /// Takes a look at the path; returns whether to read the config now.
    pub(crate) fn looked(&mut self, look: Look) -> bool {
        let Some(read) = self.conf.last_look() else { return false };
        let is_another = self.looks.looked(Instant::now(), read, look);
        if is_another {
            log::debug!(conf:% = self.path.display(); "it has changed, and no watch told");
            self.watch.renew();
        }
        is_another
    }

    /// Sets all watches anew with the next read.
    pub(crate) fn renew_watch(&mut self) {
        self.watch.renew();
    }

    /// Whether we have written the config since the last call.
    pub(crate) const fn take_written(&mut self) -> bool {
        std::mem::replace(&mut self.is_written, false)
    }

    pub(crate) fn read(&mut self) -> ConfState {
        self.timer.clear();
        self.arm_watch();
        let state = self.load();
        self.looks.read(Instant::now());
        state
    }

    fn load(&mut self) -> ConfState {
        match self.conf.load() {
            Ok(loaded) => {
                self.warnings.load.clear();
                log::debug!(conf:% = self.path.display(); "read the config");
                log_conflicts(&loaded.conflicts);
                self.conf.conflicts_logged();
                if let Some(wait) = loaded.again {
                    self.timer.read_within(Instant::now(), wait);
                }
                if loaded.needs_store {
                    self.catch_up(&loaded.record);
                }
                ConfState::Good(loaded.record)
            }
            Err(error) if error.is_missing() => {
                let conf = error.path.display();
                log::warn!(logger: self.warnings.load, conf:%; "there is no config");
                ConfState::Missing
            }
            // It is the next event.
            Err(error) if error.is_stop() => ConfState::Bad,
            Err(error) => {
                log::warn!(
                    logger: self.warnings.load, why = chain(&error);
                    "the config is left alone, the znode keeps its record"
                );
                if matches!(error.fault, Fault::Io(_)) {
                    self.timer.read_within(Instant::now(), UNREADABLE_INTERVAL);
                }
                ConfState::Bad
            }
        }
    }

    /// Writes the record, if the config has not changed since the last read.
    pub(crate) fn store(&mut self, record: &Record) -> MemberEvent {
        match self.conf.store(record) {
            // Without this limit, a file system on which two fields share one name would
            // loop for ever.
            Ok(Stored::Overtaken) if self.overtaken == OVERTAKEN_MAX => {
                let store = &self.warnings.store;
                log::warn!(logger: store, "cannot write the config, it keeps changing");
                self.timer.read_within(Instant::now(), OVERTAKEN_INTERVAL);
                MemberEvent::StoreFailed
            }
            Ok(Stored::Overtaken) => {
                self.overtaken += 1;
                MemberEvent::Conf(self.read())
            }
            // The timer is set to the time at which the config has settled.
            Ok(Stored::Unsettled { is_written }) => {
                self.is_written |= is_written;
                MemberEvent::StoreFailed
            }
            Ok(stored @ (Stored::Written | Stored::Unchanged)) => {
                self.warnings.store.clear();
                if stored == Stored::Written {
                    self.wrote();
                }
                // A store that was overtaken may have written a part.
                self.is_written |= std::mem::take(&mut self.overtaken) > 0;
                MemberEvent::Stored(self.read())
            }
            Err(error) => {
                self.cannot_write(&error);
                MemberEvent::StoreFailed
            }
        }
    }

    /// Writes one of our edits again: somebody saved the config without having seen it.
    fn catch_up(&mut self, record: &Record) {
        match self.conf.store(record) {
            Ok(Stored::Written) => self.wrote(),
            // The other writer's save causes a hint.
            Ok(Stored::Unchanged | Stored::Overtaken | Stored::Unsettled { .. }) => {}
            Err(error) => {
                self.cannot_write(&error);
                self.timer.read_within(Instant::now(), CATCH_UP_INTERVAL);
            }
        }
    }

    fn wrote(&mut self) {
        self.warnings.store.clear();
        self.is_written = true;
        log::info!(conf:% = self.path.display(); "wrote the config");
    }

    fn cannot_write(&mut self, error: &FileError) {
        if error.is_stop() {
            let conf = self.path.display();
            return log::warn!(conf:%; "stopping before all of the config is written");
        }
        let store = &self.warnings.store;
        log::warn!(logger: store, why = chain(error); "cannot write the config, trying again");
    }

    fn arm_watch(&mut self) {
        match self.watch.rearm() {
            Ok(()) => {
                self.warnings.watch.clear();
            }
            Err(error) => {
                let watch = &self.warnings.watch;
                log::warn!(logger: watch, why = chain(&error); "local edits may go unseen");
                self.timer.read_within(Instant::now(), UNWATCHED_INTERVAL);
            }
        }
    }
}
