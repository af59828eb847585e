//! Mirrors from a fake server to the disk.

use super::{Action, Answer, Content, Event, Files, MirrorSource, MirrorSpec, News};
use farm_core::session::live::{Live, Post};
use farm_harness::{FakeServer, Scratch, op, patience};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

type Listing = BTreeMap<String, Vec<u8>>;

/// Mirrors the server and installs every content at once.
struct Follower {
    live: Live<Answer>,
    source: MirrorSource,
    files: Files,
    scratch: Scratch,
    news: Vec<String>,
}

impl Follower {
    fn start(server: &dyn Display, mirrors: &[&str]) -> Self {
        let scratch = Scratch::new();
        let top = scratch.path().display();
        let specs: Vec<MirrorSpec> =
            mirrors.iter().map(|text| format!("{top}/{text}").parse().unwrap()).collect();
        let live = Live::open(server, 3);
        let (source, files) = (MirrorSource::new(&specs), Files::new(specs));
        Self { live, source, files, scratch, news: Vec::new() }
    }

    /// Runs the loop until the condition holds.
    #[track_caller]
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + patience(PATIENCE);
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what}: {:?} {:?}", self.news, self.listing());
            self.step(deadline);
        }
    }

    /// Handles one event, if there is one before the deadline.
    fn step(&mut self, deadline: Instant) {
        let due = self.source.deadline().map_or(deadline, |due| due.min(deadline));
        let event = match self.live.next(due) {
            None => Event::Tick,
            Some(Post::Answer(answer)) => Event::Answered(answer),
            Some(Post::Session(event)) => Event::Session(event),
        };
        for action in self.source.step(Instant::now(), event) {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Request(request) => {
                request.dispatch(self.live.session(), self.live.answers());
            }
            Action::Report(News::Complete(content) | News::Changed(content)) => {
                self.install(&content);
            }
            Action::Report(News::Missing(path)) => self.news.push(format!("missing {path}")),
            Action::Report(News::Deleted(path)) => self.news.push(format!("deleted {path}")),
            Action::Report(News::Unreadable(path, why)) => {
                self.news.push(format!("unreadable {path}: {why}"));
            }
            Action::Report(News::Readable(path)) => self.news.push(format!("readable {path}")),
            Action::Report(News::Skipped(path, _)) => self.news.push(format!("skipped {path}")),
            Action::Report(News::BytesIgnored(path)) => {
                self.news.push(format!("bytes ignored {path}"));
            }
        }
    }

    fn install(&self, content: &Content) {
        let staged = self.files.stage(content).unwrap();
        drop(self.files.install(staged).unwrap());
        assert!(self.files.matches(content).unwrap());
    }

    fn listing(&self) -> Listing {
        let mut all = Listing::new();
        collect(self.scratch.path(), "", &mut all);
        all
    }

    #[track_caller]
    fn holds(&mut self, expected: &[(&str, &[u8])]) {
        let expected: Listing =
            expected.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        self.until("the files", |follower| follower.listing() == expected);
    }
}

fn collect(folder: &Path, above: &str, all: &mut Listing) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{above}{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), all);
        } else if !name.ends_with(".zkexec") {
            all.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

fn reads(server: &FakeServer) -> usize {
    let is_read = [op::GET_DATA, op::GET_CHILDREN, op::GET_CHILDREN2, op::EXISTS];
    server.requests().iter().filter(|seen| is_read.contains(&seen.opcode)).count()
}

#[test]
fn a_change_costs_one_read_and_is_a_file() {
    let server = FakeServer::start();
    for (path, data) in [("/a", "1"), ("/t", ""), ("/t/x", "2"), ("/t/d", ""), ("/t/d/y", "3")] {
        server.put(path, data.as_bytes());
    }
    let mut follower = Follower::start(&server.addr(), &["a=/a", "t/=/t/"]);
    follower.holds(&[("a", b"1"), ("t/x", b"2"), ("t/d/y", b"3")]);
    let before = reads(&server);
    let large: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    server.put("/a", &large);
    follower.holds(&[("a", &large), ("t/x", b"2"), ("t/d/y", b"3")]);
    assert_eq!(reads(&server), before + 1);
    server.put("/t/d/y", b"");
    follower.holds(&[("a", &large), ("t/x", b"2"), ("t/d/y", b"")]);
    server.put("/t/z", b"\0\xff");
    follower.holds(&[("a", &large), ("t/x", b"2"), ("t/d/y", b""), ("t/z", b"\0\xff")]);
    assert_eq!(reads(&server), before + 3);
    server.delete("/t/x");
    follower.holds(&[("a", &large), ("t/d/y", b""), ("t/z", b"\0\xff")]);
    assert_eq!(reads(&server), before + 3);
    assert_eq!(follower.news, Vec::<String>::new());
}

#[test]
fn what_is_missing_is_noticed_when_it_comes() {
    for is_old in [false, true] {
        let server = FakeServer::start();
        if is_old {
            server.old_version();
        }
        server.put("/deep", b"");
        let mut follower = Follower::start(&server.addr(), &["a=/deep/a", "t/=/t/"]);
        follower.until("both are missed", |follower| follower.news.len() == 2);
        assert_eq!(follower.listing().len(), 0);
        server.put("/deep/a", b"1");
        server.put("/t", b"");
        server.put("/t/x", b"2");
        follower.holds(&[("a", b"1"), ("t/x", b"2")]);
        follower.news.clear();
        for path in ["/deep/a", "/t/x", "/t"] {
            assert!(server.delete(path));
        }
        follower.until("both are gone", |follower| follower.news.len() == 2);
        follower.holds(&[("a", b"1"), ("t/x", b"2")]);
        server.put("/deep/a", b"3");
        follower.holds(&[("a", b"3"), ("t/x", b"2")]);
    }
}

#[test]
fn an_unreadable_file_stays_and_a_deletion_is_noticed_at_once() {
    let server = FakeServer::start();
    server.put("/a", b"1");
    let mut follower = Follower::start(&server.addr(), &["a=/a"]);
    follower.holds(&[("a", b"1")]);
    server.lock("/a", "digest", b"user:password");
    server.put("/a", b"2");
    follower.until("the refusal is reported", |follower| {
        follower.news == ["unreadable /a: not authorised: /a"]
    });
    follower.holds(&[("a", b"1")]);
    // No watch fires for a changed access list, but one does for the deletion.
    server.delete("/a");
    follower.until("it is gone", |follower| follower.news.last().unwrap() == "deleted /a");
    follower.holds(&[("a", b"1")]);
}

#[test]
fn a_chroot_is_no_part_of_a_file_name() {
    let server = FakeServer::start();
    for path in ["/app", "/app/t", "/app/t/x", "/apps"] {
        server.put(path, b"1");
    }
    let chroot = format!("{}/app", server.addr());
    let mut follower = Follower::start(&chroot, &["all/=/", "x=/t/x"]);
    follower.holds(&[("all/t/x", b"1"), ("x", b"1")]);
    server.put("/app/t/x", b"2");
    server.put("/apps/y", b"3");
    follower.holds(&[("all/t/x", b"2"), ("x", b"2")]);
}

#[test]
fn a_read_that_is_cut_is_made_again() {
    let server = FakeServer::start();
    for (path, data) in [("/a", "1"), ("/t", ""), ("/t/x", "2")] {
        server.put(path, data.as_bytes());
    }
    server.before_reply(op::GET_DATA, FakeServer::cut);
    let mut follower = Follower::start(&server.addr(), &["a=/a", "t/=/t/"]);
    follower.holds(&[("a", b"1"), ("t/x", b"2")]);
    assert_eq!(server.connections_accepted(), 2);
}

/// The files that the disk must have.
fn expected(server: &FakeServer, follower: &Follower) -> Option<Listing> {
    let mut all = Listing::new();
    let mut left = vec!["t".to_owned()];
    while let Some(name) = left.pop() {
        let children = server.children(&format!("/{name}"));
        if children.is_empty() && name != "t" {
            all.insert(name.clone(), server.get(&format!("/{name}"))?);
        }
        left.extend(children.iter().map(|child| format!("{name}/{child}")));
    }
    // The file of a deleted znode stays.
    let old = || follower.listing().remove("a");
    all.insert("a".to_owned(), server.get("/a").or_else(old)?);
    Some(all)
}

fn churn(seed: u64, is_old: bool) {
    let mut rng = Rng::with_seed(seed);
    let server = FakeServer::start();
    if is_old {
        server.old_version();
    }
    server.put("/a", b"0");
    server.put("/t", b"");
    let mut follower = Follower::start(&server.addr(), &["a=/a", "t/=/t/"]);
    follower.until("the first files", |follower| follower.source.is_complete());
    let paths = ["/a", "/t/b", "/t/c", "/t/c/d", "/t/c/d/e", "/t/c/f", "/t/g"];
    for step in 0..150_u32 {
        let path = paths[rng.usize(..paths.len())];
        let (parent, _) = path.rsplit_once('/').unwrap();
        match rng.u8(..60) {
            0 => server.cut(),
            1 => drop(server.sessions().last().map(|seen| server.expire(seen.id))),
            2..20 if server.children(path).is_empty() => drop(server.delete(path)),
            _ if parent.is_empty() || server.get(parent).is_some() => {
                server.put(path, step.to_string().as_bytes());
            }
            _ => {}
        }
        // The follower handles a few events in between.
        for _ in 0..rng.u8(..4) {
            follower.step(Instant::now() + Duration::from_millis(1));
        }
    }
    follower.until(&format!("seed {seed} old {is_old}"), |follower| {
        follower.source.is_complete() && Some(follower.listing()) == expected(&server, follower)
    });
}

#[test]
fn after_any_churn_the_disk_holds_what_the_server_holds() {
    for seed in 0..8 {
        churn(seed, false);
        churn(seed, true);
    }
}
