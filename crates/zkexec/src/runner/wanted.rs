//! What ZooKeeper wants in the files, and whether it has been quiet since.

use super::Event;
use crate::mirror::{self, Action, Content, MirrorSource, MirrorSpec, News};
use farm_core::engine::{Debounce, Outbox, Wait};
use farm_core::session::Session;
use std::time::Instant;

/// How many znodes are named as the reason of a turn.
const NAMES_MAX: usize = 3;

/// The contents that are wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) mirrors: Vec<MirrorSpec>,
    pub(super) source: MirrorSource,
    /// The latest that was read.
    pub(super) latest: Option<Content>,
    /// Runs while it is other than what was taken last, and has not been quiet since.
    pub(super) debounce: Debounce,
    outbox: Outbox<Event>,
}

impl Wanted {
    /// Nothing is known yet.
    pub(super) fn new(mirrors: Vec<MirrorSpec>, wait: Wait, outbox: Outbox<Event>) -> Self {
        for mirror in &mirrors {
            log::info!("registering callback on {}", mirror.znode);
        }
        let source = MirrorSource::new(&mirrors);
        Self { mirrors, source, latest: None, debounce: Debounce::new(wait), outbox }
    }

    /// ZooKeeper has this content now.
    pub(super) fn changed(&mut self, now: Instant, content: Content) {
        self.latest = Some(content);
        self.debounce.changed(now);
    }

    /// Takes what was read as the latest; returns whether that is other than before.
    pub(super) fn replace(&mut self, content: &Content) -> bool {
        self.latest.replace(content.clone()).as_ref() != Some(content)
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

    /// Lets the source take one event, and asks what has to be asked.
    pub(super) fn step(
        &mut self,
        now: Instant,
        session: &Session,
        event: mirror::Event,
    ) -> Vec<News> {
        let mut told = Vec::new();
        for action in self.source.step(now, event) {
            match action {
                Action::Ask(request) => {
                    request.dispatch(session, self.outbox.posting(Event::MirrorSource));
                }
                Action::Tell(news) => told.push(news),
            }
        }
        told
    }
}
