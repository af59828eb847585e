//! The content that the files should have, and whether it has stopped changing.

use super::event::Event;
use crate::mirror::{self, Action, Content, MirrorSource, MirrorSpec, News};
use farm_core::engine::{Debounce, Outbox, Wait};
use farm_core::session::Session;
use std::time::Instant;

/// The most znodes named in the reason for a turn.
const NAMES_MAX: usize = 3;

/// The content in ZooKeeper.
#[derive(Debug)]
pub(super) struct WantedContent {
    pub(super) mirrors: Vec<MirrorSpec>,
    pub(super) source: MirrorSource,
    /// The content that was read last.
    pub(super) latest: Option<Content>,
    /// Pending from a change until nothing has changed for `--wait`.
    pub(super) debounce: Debounce,
    outbox: Outbox<Event>,
}

impl WantedContent {
    /// Nothing has been read yet.
    pub(super) fn new(mirrors: Vec<MirrorSpec>, wait: Wait, outbox: Outbox<Event>) -> Self {
        for mirror in &mirrors {
            log::info!("registering callback on {}", mirror.znode);
        }
        let source = MirrorSource::new(&mirrors);
        Self { mirrors, source, latest: None, debounce: Debounce::new(wait), outbox }
    }

    /// Records a change.
    pub(super) fn changed(&mut self, now: Instant, content: Content) {
        self.latest = Some(content);
        self.debounce.changed(now);
    }

    /// Records a complete read; returns whether the content differs from the previous one.
    pub(super) fn replace(&mut self, content: &Content) -> bool {
        self.latest.replace(content.clone()).as_ref() != Some(content)
    }

    /// The latest content, if it has changed and `--wait` is over.
    pub(super) fn take(&mut self, now: Instant) -> Option<Content> {
        self.debounce.take(now).then(|| self.latest.clone()).flatten()
    }

    /// The reason for a turn, shown to others in the lock: the znodes that differ from the
    /// content that the child runs on.
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

    /// Passes an event to the source and sends its requests.
    pub(super) fn step(
        &mut self,
        now: Instant,
        session: &Session,
        event: mirror::Event,
    ) -> Vec<News> {
        let mut all_news = Vec::new();
        for action in self.source.step(now, event) {
            match action {
                Action::Request(request) => {
                    request.dispatch(session, self.outbox.posting(Event::Mirrors));
                }
                Action::Report(news) => all_news.push(news),
            }
        }
        all_news
    }
}
