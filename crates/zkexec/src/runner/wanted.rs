//! What ZooKeeper wants in the files, and whether it has been quiet since.

use crate::mirror::{self, Action, Answer, Content, Event, MirrorSpec, Source};
use farm_core::engine::{Debounce, Wait};
use farm_core::session::cache::Refusal;
use farm_core::session::{Session, ZnodePath};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// How many znodes are named as the reason of a turn.
const NAMES_MAX: usize = 3;

/// What its owner has to know.
#[derive(Debug)]
pub(super) enum News {
    /// Everything was read; [`Wanted::latest`] has it.
    Complete {
        /// It is other than before.
        is_new: bool,
    },
    /// A znode that is needed has never been there.
    Missing(ZnodePath),
    /// This can't be read.
    Unreadable(ZnodePath, Refusal),
}

/// The contents that are wanted.
pub(super) struct Wanted {
    mirrors: Vec<MirrorSpec>,
    source: Source,
    latest: Option<Content>,
    debounce: Debounce,
    post: Arc<dyn Fn(Answer) + Send + Sync>,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Wanted {
    /// Nothing is known yet; `post` is called with answers, on other threads.
    pub(super) fn new(
        mirrors: Vec<MirrorSpec>,
        wait: Wait,
        post: impl Fn(Answer) + Send + Sync + 'static,
    ) -> Self {
        for mirror in &mirrors {
            log::info!("registering callback on {}", mirror.znode);
        }
        let source = Source::new(&mirrors);
        Self { mirrors, source, latest: None, debounce: Debounce::new(wait), post: Arc::new(post) }
    }

    /// Whether there are mirrors at all.
    pub(super) fn is_any(&self) -> bool {
        !self.mirrors.is_empty()
    }

    /// The latest that was read.
    pub(super) const fn latest(&self) -> Option<&Content> {
        self.latest.as_ref()
    }

    /// Something else is wanted: to be gathered with what follows.
    pub(super) fn changed(&mut self, now: Instant) {
        self.debounce.changed(now);
    }

    /// The latest has been taken.
    pub(super) const fn taken(&mut self) {
        self.debounce.clear();
    }

    /// When [`Wanted::take`] has something.
    pub(super) fn quiet_at(&self) -> Option<Instant> {
        self.debounce.deadline()
    }

    /// The latest, if it has changed and been quiet since.
    pub(super) fn take(&mut self, now: Instant) -> Option<Content> {
        self.debounce.take(now).then(|| self.latest.clone()).flatten()
    }

    /// What others are told that a turn is for, when the child runs on that content.
    pub(super) fn reason(&self, running: Option<&Content>) -> String {
        let (Some(from), Some(to)) = (running, self.latest.as_ref()) else {
            return "new content".to_owned();
        };
        let positions: Vec<usize> = from.differing(to).collect();
        let names = positions.iter().take(NAMES_MAX);
        let names: Vec<&str> = names
            .filter_map(|position| self.mirrors.get(*position))
            .map(|mirror| mirror.znode.as_str())
            .collect();
        let more = if positions.len() > NAMES_MAX { " and more" } else { "" };
        format!("new content of {}{more}", names.join(", "))
    }

    /// When a tick is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.source.deadline()
    }

    /// Takes one event, and asks what has to be asked.
    pub(super) fn step(&mut self, now: Instant, session: &Session, event: Event) -> Vec<News> {
        let mut told = Vec::new();
        for action in self.source.step(now, event) {
            match action {
                Action::Ask(request) => {
                    let post = Arc::clone(&self.post);
                    request.dispatch(session, move |answer| post(answer));
                }
                Action::Tell(news) => told.extend(self.learn(now, news)),
            }
        }
        told
    }

    fn learn(&mut self, now: Instant, news: mirror::News) -> Option<News> {
        match news {
            mirror::News::Complete(content) => {
                let is_new = self.latest.as_ref() != Some(&content);
                self.latest = Some(content);
                return Some(News::Complete { is_new });
            }
            mirror::News::Changed(content) => {
                self.latest = Some(content);
                self.changed(now);
            }
            mirror::News::Missing(path) => return Some(News::Missing(path)),
            mirror::News::Unreadable(path, why) => return Some(News::Unreadable(path, why)),
            mirror::News::Deleted(path) => {
                log::warn!(znode:% = path; "a znode is gone, its file stays");
            }
            mirror::News::Skipped(path, why) => {
                log::warn!(znode:% = path; "left out: {why}");
            }
            mirror::News::Overlooked(path) => {
                log::info!(znode:% = path; "it has children: its own bytes are left out");
            }
        }
        None
    }
}
