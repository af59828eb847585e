//! All hosts of a farm, kept fresh: a view of a [`cache`] of the farm's children.
//!
//! **Invariant.** The farm is complete only when every listed host has been read over the current
//! connection. A host that can't be read keeps its last good record, and a farm that is gone keeps
//! its last good hosts. A farm beyond [`FARM_HOSTS_MAX`] or [`FARM_BYTES_MAX`] is refused as a whole.

#[cfg(test)]
mod tests;

pub use crate::session::cache::{Refusal, State};

use crate::codec::{Decoded, Malformed, Parse};
use crate::model::{Farm, HostName, HostNameError, PackedRecord, Record};
use crate::session::cache::{self, Cache, Contents, Depth, Limits, Scope};
use crate::session::{self, PathError, SessionError, ZnodePath};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// The most hosts of a farm.
pub const FARM_HOSTS_MAX: usize = 100_000;
/// The most bytes of all records of a farm.
pub const FARM_BYTES_MAX: usize = 128 << 20;

/// A request to ZooKeeper.
pub type Request = cache::Request<Decoded>;
/// The answer to a request.
pub type Answer = cache::Answer<Decoded>;
/// What happened.
pub type Event = cache::Event<Decoded>;
/// What to do.
pub type Action = session::Action<Request, News>;

/// What has changed.
#[derive(Debug)]
pub enum News {
    /// This host came, went or has another record; [`farm`](FarmView::farm) shows which.
    Changed(HostName),
    /// Every host has been read: [`farm`](FarmView::farm) is complete.
    Complete,
    /// The farm does not exist.
    Missing,
    /// The farm can't be listed; the listing is tried again.
    Refused(Refusal),
    /// This host can't be read any more.
    Unreadable(HostName, Unreadable),
    /// This host can be read again; if its record differs, [`News::Changed`] comes next.
    Readable(HostName),
    /// A znode whose name no host can have is skipped.
    Skipped(String, NotAHost),
}

/// Why a znode is not a host.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum NotAHost {
    /// Its name is not that of a host.
    #[error(transparent)]
    Name(#[from] HostNameError),
    /// Its path is not valid.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Why a znode has no readable record.
#[derive(Debug, thiserror::Error, Clone)]
pub enum Unreadable {
    /// Its bytes are no record.
    #[error("it holds no record{}", hint(.0))]
    Malformed(#[source] Arc<Malformed>),
    /// ZooKeeper refuses to read it.
    #[error(transparent)]
    Refused(SessionError),
}

fn hint(malformed: &Malformed) -> String {
    malformed.hint().map_or_else(String::new, |hint| format!(" ({hint})"))
}

/// The state machine.
#[derive(Debug)]
pub struct FarmView {
    path: ZnodePath,
    parse: Parse,
    cache: Cache<Decoded>,
    farm: Farm,
    /// Hosts that can't be read; each is reported once.
    unreadable: BTreeSet<HostName>,
}

impl FarmView {
    /// A view of the farm at this path, which is not read yet.
    #[must_use]
    pub fn new(path: ZnodePath, parse: Parse) -> Self {
        let contents = if parse == Parse::None { Contents::Names } else { Contents::Below };
        Self::of(path, contents, parse)
    }

    /// A view that reads the farm's own record too.
    #[must_use]
    pub fn with_own_record(path: ZnodePath) -> Self {
        Self::of(path, Contents::All, Parse::Json)
    }

    fn of(path: ZnodePath, contents: Contents, parse: Parse) -> Self {
        let is_host = |path: &ZnodePath| path.name().is_some_and(|n| HostName::check(n).is_ok());
        let scope = Scope::new(path.clone(), Depth::CHILDREN, contents).admitting(is_host);
        let scope = scope.within(Limits { znodes: FARM_HOSTS_MAX, bytes: FARM_BYTES_MAX });
        // A host that registers anew is deleted and created in one transaction.
        let scope = scope.confirming_removals();
        let cache = Cache::new(scope, parse.decoder());
        Self { path, parse, cache, farm: Farm::new(), unreadable: BTreeSet::new() }
    }

    /// The latest good record of every host.
    #[must_use]
    pub const fn farm(&self) -> &Farm {
        &self.farm
    }

    /// Every host of the farm, with its record if that can be read.
    pub fn hosts(&self) -> impl Iterator<Item = (HostName, Option<&PackedRecord>)> {
        self.cache.below().filter_map(|(path, _)| {
            let name = host_name(path)?;
            let record = self.farm.get(name.as_str());
            Some((name.clone(), record.filter(|_| !self.unreadable.contains(&name))))
        })
    }

    /// How many hosts can't be read now; some of them may have a record from before.
    #[must_use]
    pub fn unreadable_count(&self) -> usize {
        self.unreadable.len()
    }

    /// The farm's own record, if this view reads it; `None` before it was read.
    #[must_use]
    pub fn own_record(&self) -> Option<Result<&PackedRecord, Unreadable>> {
        if let Some(error) = self.cache.top_error() {
            return Some(Err(Unreadable::Refused(error.clone())));
        }
        let decoded = self.cache.top()?.data.as_ref();
        Some(decoded.map_err(|error| Unreadable::Malformed(Arc::clone(error))))
    }

    /// Why the farm can't be listed, if it can't.
    #[must_use]
    pub const fn refusal(&self) -> Option<&SessionError> {
        self.cache.refusal()
    }

    /// How much of the farm is up to date.
    #[must_use]
    pub const fn state(&self) -> State {
        self.cache.state()
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.cache.deadline()
    }

    /// Takes one event.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let actions = self.cache.step(now, event).into_iter();
        let mut taken = Vec::new();
        for action in actions {
            match action {
                cache::Action::Request(request) => taken.push(Action::Request(request)),
                cache::Action::Report(news) => {
                    let recovered = self.recovered(&news).map(News::Readable);
                    let news = recovered.into_iter().chain(self.take_news(news));
                    taken.extend(news.map(Action::Report));
                }
            }
        }
        taken
    }

    /// The host that could not be read and can be, if these news are about one.
    fn recovered(&mut self, news: &cache::News) -> Option<HostName> {
        let (cache::News::Added(path) | cache::News::Changed(path)) = news else { return None };
        let host = host_name(path).filter(|_| self.cache.is_below(path))?;
        let is_readable = self.cache.get(path)?.data.is_ok();
        (is_readable && self.unreadable.remove(&host)).then_some(host)
    }

    fn take_news(&mut self, news: cache::News) -> Option<News> {
        match news {
            cache::News::Added(path) | cache::News::Changed(path) => self.read(&path),
            cache::News::Removed(path, _) => {
                let host = host_name(&path)?;
                self.unreadable.remove(&host);
                self.farm.remove(host.as_str()).map(|_| News::Changed(host))
            }
            cache::News::Unreadable(path) => {
                let error = self.cache.error(&path)?.clone();
                self.unreadable(host_name(&path)?, Unreadable::Refused(error))
            }
            cache::News::Complete => {
                self.forget_vanished();
                Some(News::Complete)
            }
            cache::News::Missing => Some(News::Missing),
            cache::News::Refused(refusal) => Some(News::Refused(refusal)),
            cache::News::Ignored { parent, name } => {
                let name_error = HostName::check(&name).err().map(NotAHost::from);
                let why = name_error.or_else(|| Some(parent.child(&name).err()?.into()))?;
                Some(News::Skipped(name, why))
            }
            cache::News::Suspended => None,
        }
    }

    /// Removes hosts that the cache does not know: it had dropped all znodes when there were too
    /// many, and could not report which of them have gone since.
    fn forget_vanished(&mut self) {
        let is_there = |host: &HostName| {
            self.path.child(host.as_str()).is_ok_and(|path| self.cache.contains(&path))
        };
        let gone: Vec<HostName> = self
            .farm
            .iter()
            .map(|(host, _)| host)
            .chain(&self.unreadable)
            .filter(|host| !is_there(host))
            .cloned()
            .collect();
        for host in gone {
            self.farm.remove(host.as_str());
            self.unreadable.remove(&host);
        }
    }

    fn read(&mut self, path: &ZnodePath) -> Option<News> {
        // The farm's own record is not a host.
        if !self.cache.is_below(path) {
            return None;
        }
        let host = host_name(path)?;
        let decoded = match self.cache.get(path) {
            Some(znode) => znode.data.clone(),
            None if self.parse == Parse::None => Ok(PackedRecord::from(Record::new())),
            None => return None,
        };
        match decoded {
            Ok(record) => {
                if self.farm.get(host.as_str()) == Some(&record) {
                    return None;
                }
                self.farm.insert(host.clone(), record);
                Some(News::Changed(host))
            }
            Err(error) => self.unreadable(host, Unreadable::Malformed(error)),
        }
    }

    fn unreadable(&mut self, host: HostName, reason: Unreadable) -> Option<News> {
        self.unreadable.insert(host.clone()).then_some(News::Unreadable(host, reason))
    }
}

fn host_name(path: &ZnodePath) -> Option<HostName> {
    HostName::parse(path.name()?).ok()
}
