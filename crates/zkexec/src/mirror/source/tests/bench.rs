//! A source, what it asks and what it tells.

use super::super::request::{Ask, Outcome};
use super::super::walk::Nodes;
use super::super::*;
use farm_core::session::Watch;
use std::time::Duration;

pub(super) struct Bench {
    pub(super) source: Source,
    pub(super) now: Instant,
    pub(super) asked: Vec<Request>,
    told: Vec<String>,
}

pub(super) fn path(path: &str) -> ZnodePath {
    ZnodePath::parse(path).unwrap()
}

pub(super) fn bytes(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

pub(super) fn nodes(pairs: &[(&str, &str)]) -> Nodes {
    pairs.iter().map(|(at, text)| (path(at), bytes(text))).collect()
}

pub(super) fn forbidden(at: &str) -> SessionError {
    SessionError::NoAuth(path(at))
}

pub(super) fn shown(content: &Content) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mirrored = |mirrored: &Mirrored| match mirrored {
        Mirrored::Absent => "-".to_owned(),
        Mirrored::Bytes(bytes) => text(bytes),
        Mirrored::Tree(leaves) => {
            let leaf = |(path, bytes): (&String, &Arc<[u8]>)| format!("{path}={}", text(bytes));
            format!("{{{}}}", leaves.iter().map(leaf).collect::<Vec<_>>().join(" "))
        }
    };
    content.mirrored().iter().map(mirrored).collect::<Vec<_>>().join("|")
}

impl Bench {
    pub(super) fn new(mirrors: &[&str]) -> Self {
        let specs: Vec<MirrorSpec> = mirrors.iter().map(|text| text.parse().unwrap()).collect();
        let source = Source::new(&specs);
        Self { source, now: Instant::now(), asked: Vec::new(), told: Vec::new() }
    }

    /// Connected, and asked about everything.
    pub(super) fn connected(mirrors: &[&str]) -> Self {
        let mut bench = Self::new(mirrors);
        bench.step(Event::Connected { is_new: true });
        bench
    }

    pub(super) fn step(&mut self, event: Event) {
        for action in self.source.step(self.now, event) {
            match action {
                Action::Ask(request) => self.asked.push(request),
                Action::Tell(news) => self.told.push(match news {
                    News::Complete(content) => format!("complete {}", shown(&content)),
                    News::Changed(content) => format!("changed {}", shown(&content)),
                    News::Missing(path) => format!("missing {path}"),
                    News::Deleted(path) => format!("deleted {path}"),
                    News::Unreadable(path, why) => format!("unreadable {path}: {why}"),
                    News::Skipped(path, why) => format!("skipped {path}: {why}"),
                    News::Overlooked(path) => format!("overlooked {path}"),
                }),
            }
        }
    }

    pub(super) fn hint(&mut self, at: &str, change: Change) {
        self.step(Event::Hint(Hint { path: path(at), change }));
    }

    pub(super) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// What is asked and was not answered.
    pub(super) fn asks(&self) -> Vec<String> {
        let ask = |request: &Request| match &request.ask {
            Ask::Read(path) => format!("read {path}"),
            Ask::Arm(path) => format!("arm {path}"),
            Ask::Walk(path, Watch::Yes) => format!("walk {path} watching"),
            Ask::Walk(path, Watch::No) => format!("walk {path}"),
            Ask::Look(path, Watch::Yes) => format!("look {path} watching"),
            Ask::Look(path, Watch::No) => format!("look {path}"),
        };
        self.asked.iter().map(ask).collect()
    }

    pub(super) fn deliver(&mut self, request: &Request, outcome: Outcome) {
        let Request { ticket, session, unit, .. } = *request;
        self.step(Event::Answered(Answer { ticket, session, unit, outcome }));
    }

    /// Answers the oldest question.
    #[track_caller]
    pub(super) fn answer(&mut self, outcome: Outcome) {
        assert!(!self.asked.is_empty(), "nothing is asked");
        let request = self.asked.remove(0);
        self.deliver(&request, outcome);
    }

    #[track_caller]
    pub(super) fn found(&mut self, text: &str) {
        self.answer(Outcome::Read(Ok(Some(bytes(text)))));
    }

    #[track_caller]
    pub(super) fn nothing(&mut self) {
        self.answer(Outcome::Read(Ok(None)));
    }

    #[track_caller]
    pub(super) fn walked(&mut self, pairs: &[(&str, &str)]) {
        self.answer(Outcome::Walk(Ok(Some(nodes(pairs)))));
    }

    #[track_caller]
    pub(super) fn looked(&mut self, text: &str) {
        let Some(Ask::Look(at, _)) = self.asked.first().map(|request| request.ask.clone()) else {
            panic!("not the question: {:?}", self.asks());
        };
        self.answer(Outcome::Look(at, Ok(Some(bytes(text)))));
    }

    /// Lets time pass; what is due is done.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        if self.source.deadline().is_some_and(|due| due <= self.now) {
            self.step(Event::Tick);
        }
    }
}
