//! The znode cache on a real server.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test as well")]

use farm_core::session::cache::{
    Action, Answer, Cache, Contents, Depth, Event, News, Scope, State, snapshot,
};
use farm_core::session::{self, Acl, Auth, Servers, Session, SessionOptions, ZnodePath};
use farm_harness::{Ensemble, FaultProxy, Zk, patience};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const PATHS: [&str; 9] =
    ["/t", "/t/a", "/t/b", "/t/a/x", "/t/a/y", "/t/a/x/1", "/t/a-x", "/t/b/x", "/t/a/x/1/deep"];

type Contained = BTreeMap<String, Vec<u8>>;

enum Post {
    Session(session::Event),
    Answered(Answer<Vec<u8>>),
}

/// Keeps the data as it is.
fn kept(data: Vec<u8>) -> (Vec<u8>, usize) {
    let bytes = data.len();
    (data, bytes)
}

/// A cache with its own session.
struct Live {
    cache: Cache<Vec<u8>>,
    session: Session,
    posts: Receiver<Post>,
    outbox: Sender<Post>,
    /// The contents according to the news alone.
    followed: Contained,
}

fn config(servers: &str) -> SessionOptions {
    SessionOptions {
        servers: Servers::parse(servers).unwrap(),
        session_timeout: Duration::from_secs(10),
        rounds_max: None,
        request_threads: 3,
        auth: Auth::default(),
        acl: Acl::open(),
        tls: None,
    }
}

impl Live {
    fn open(servers: &str, depth: Depth) -> Self {
        let (outbox, posts) = channel();
        let to_self = outbox.clone();
        let session = Session::open(config(servers), move |event| {
            drop(to_self.send(Post::Session(event)));
        });
        let cache = Cache::new(Scope::new(top(), depth, Contents::All), kept);
        Self { cache, session, posts, outbox, followed: Contained::new() }
    }

    fn step(&mut self, event: Event<Vec<u8>>) {
        for action in self.cache.step(Instant::now(), event) {
            match action {
                Action::Request(request) => {
                    let outbox = self.outbox.clone();
                    request.dispatch(&self.session, move |answer| {
                        drop(outbox.send(Post::Answered(answer)));
                    });
                }
                Action::Report(News::Added(at) | News::Changed(at)) => {
                    let data = self.cache.get(&at).map(|znode| znode.data.clone());
                    self.followed.extend(data.map(|data| (at.to_string(), data)));
                }
                Action::Report(News::Removed(at, _)) => drop(self.followed.remove(at.as_str())),
                Action::Report(_) => {}
            }
        }
    }

    /// Handles the next message, or a tick at the deadline.
    fn handle_next(&mut self, deadline: Instant) {
        let deadlines = self.cache.deadline().into_iter().chain(self.session.deadline());
        let deadline = deadlines.min().map_or(deadline, |at| at.min(deadline));
        self.session.tick(Instant::now());
        let wait = deadline.saturating_duration_since(Instant::now());
        match self.posts.recv_timeout(wait) {
            Ok(Post::Answered(answer)) => self.step(Event::Answered(answer)),
            Ok(Post::Session(event)) => {
                if matches!(event, session::Event::Lost) {
                    self.session.renew(Instant::now());
                }
                self.step(Event::Session(event));
            }
            Err(_) => self.step(Event::Tick),
        }
    }

    /// Handles messages until the cache and the followed contents equal the server's.
    #[track_caller]
    fn until_equal(&mut self, zk: &mut Zk, depth: usize) {
        let expected = expected(zk, depth);
        let deadline = Instant::now() + patience(PATIENCE);
        loop {
            let state = match expected.is_empty() {
                true => State::Missing,
                false => State::Complete,
            };
            let is_equal =
                expected.is_empty() || self.held() == expected && self.followed == expected;
            if self.cache.state() == state && is_equal {
                return;
            }
            assert!(Instant::now() < deadline, "{:?} is not {expected:?}", self.cache);
            self.handle_next(deadline);
        }
    }

    fn held(&self) -> Contained {
        let below = self.cache.below().filter_map(|(at, znode)| Some((at.to_string(), znode?)));
        let top = self.cache.top().map(|znode| ("/t".to_owned(), znode));
        below.chain(top).map(|(at, znode)| (at, znode.data.clone())).collect()
    }
}

fn top() -> ZnodePath {
    ZnodePath::parse("/t").unwrap()
}

/// The server's contents down to that level, read by another client.
fn expected(zk: &mut Zk, depth: usize) -> Contained {
    let mut all = Contained::new();
    let mut left = vec![("/t".to_owned(), 0)];
    while let Some((at, level)) = left.pop() {
        let Ok(znode) = zk.get(&at) else { continue };
        all.insert(at.clone(), znode.data);
        if level < depth {
            let names = zk.children(&at).unwrap();
            left.extend(names.into_iter().map(|name| (format!("{at}/{name}"), level + 1)));
        }
    }
    all
}

fn act(zk: &mut Zk, rng: &mut fastrand::Rng, value: u32) {
    let at = PATHS[rng.usize(..PATHS.len())];
    let value = value.to_string();
    if zk.exists(at).unwrap().is_none() {
        // Fails if the parent is missing.
        drop(zk.create(at, &value));
    } else if rng.u8(..3) > 0 || zk.delete(at).is_err() {
        zk.set(at, &value).unwrap();
    }
}

fn churn(depth: Depth, levels: usize, name: &str, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let ensemble = Ensemble::shared();
    let chroot = ensemble.chroot(name);
    let mut zk = chroot.zk();
    let proxy = FaultProxy::start(ensemble.server(0).addr());
    let mut live = Live::open(&format!("{}{}", proxy.addr(), chroot.path()), depth);
    for round in 0..12_u32 {
        for step in 0..40 {
            act(&mut zk, &mut rng, round * 100 + step);
            if rng.u8(..3) == 0 {
                live.handle_next(Instant::now() + Duration::from_millis(1));
            }
            match rng.u8(..60) {
                0 => proxy.cut(),
                1 => live.step(Event::Refresh),
                2 if proxy.last_session().is_some() => drop(proxy.expire()),
                _ => {}
            }
        }
        live.until_equal(&mut zk, levels);
    }
}

#[test]
fn after_any_churn_one_znode_is_as_the_server_has_it() {
    churn(Depth::ZNODE, 0, "cache_of_one_znode", 1);
}

#[test]
fn after_any_churn_the_children_are_as_the_server_has_them() {
    churn(Depth::CHILDREN, 1, "cache_of_children", 2);
}

#[test]
fn after_any_churn_two_levels_are_as_the_server_has_them() {
    churn(Depth::levels(2), 2, "cache_of_two_levels", 3);
}

#[test]
fn after_any_churn_a_subtree_is_as_the_server_has_it() {
    churn(Depth::SUBTREE, usize::MAX, "cache_of_a_subtree", 4);
}

#[test]
fn a_snapshot_is_what_there_is() {
    let chroot = Ensemble::shared().chroot("a_snapshot_is_what_there_is");
    let mut zk = chroot.zk();
    for at in PATHS {
        zk.create(at, at).unwrap();
    }
    let mut session = Session::open(config(&chroot.connect_string()), |_| ());
    let cache = session.call(patience(PATIENCE), |client| {
        snapshot(client, Scope::new(top(), Depth::SUBTREE, Contents::Below), kept)
    });
    let cache = cache.unwrap();
    let names: Vec<_> = cache.below().map(|(at, _)| at.to_string()).collect();
    let mut expected: Vec<_> = PATHS[1..].iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(names, expected);
    assert!(cache.below().all(|(at, znode)| znode.unwrap().data == at.as_str().as_bytes()));
    let missing = session.call(patience(PATIENCE), |client| {
        let top = ZnodePath::parse("/none").unwrap();
        snapshot(client, Scope::new(top, Depth::SUBTREE, Contents::Names), kept)
    });
    let message = missing.unwrap_err().to_string();
    assert_eq!(message, format!("no such znode: {}/none", chroot.path()));
}
