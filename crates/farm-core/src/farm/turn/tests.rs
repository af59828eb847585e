//! All that may keep a host from acting, against a server.

use super::*;
use crate::session::live::{Live, Post};
use farm_harness::{FakeServer, patience};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(15);
const HOUR: u64 = 60 * 60;

/// A turn with a session, as a runner has them.
struct Stage {
    turn: Turn,
    live: Live<Answer>,
    told: Vec<News>,
}

impl Stage {
    fn at(server: &FakeServer, terms: TurnOptions) -> Self {
        let live = Live::open(server.addr(), 2);
        let turn = Turn::new(Instant::now(), terms, live.all_answers());
        Self { turn, live, told: Vec::new() }
    }

    fn step(&mut self, event: Event) {
        let news = self.turn.step(Instant::now(), self.live.session(), event);
        self.told.extend(news);
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + patience(PATIENCE);
        while !is_so(self) {
            assert!(Instant::now() < give_up, "{what}: {:?} {:?}", self.told, self.kept_at(23));
            let due = self.turn.deadline().map_or(give_up, |due| due.min(give_up));
            match self.live.next(due) {
                Some(Post::Session(event)) => self.step(Event::Session(event)),
                Some(Post::Answer(answer)) => self.step(Event::Answered(answer)),
                None => self.step(Event::Tick),
            }
        }
    }

    /// What keeps the host from acting at that hour of a day in 1970.
    fn kept_at(&self, hour: u64) -> Option<String> {
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(hour * HOUR);
        self.turn.obstacle_at(clock).map(|obstacle| obstacle.to_string())
    }
}

fn terms() -> TurnOptions {
    let holders = NonZeroU32::MIN;
    TurnOptions {
        group: Some(Group { name: GroupName::parse("app").unwrap(), holders }),
        hours: Some(Schedule::new(
            AllowedHours::parse("22-6").unwrap(),
            Zone::named("UTC").unwrap(),
        )),
        health: Some(RequireHealthy::parse("/db:1").unwrap()),
        drain: Some(Drain::parse("/db/h1:on=0").unwrap()),
    }
}

#[test]
fn who_wants_nothing_is_kept_by_nothing() {
    let server = FakeServer::start();
    let mut stage = Stage::at(&server, TurnOptions::default());
    assert_eq!(stage.kept_at(12), None);
    stage.step(Event::Confirm);
    assert_eq!(stage.told, [News::Confirmed]);
    assert!(stage.turn.is_idle() && stage.turn.deadline().is_none());
}

#[test]
fn one_obstacle_after_the_other_is_named_until_none_is_left() {
    let server = FakeServer::start();
    server.put("/db", br#"{"size":3,"running_filter":"up=1"}"#);
    for host in ["h1", "h2", "h3"] {
        server.put(&format!("/db/{host}"), br#"{"up":0}"#);
    }
    let mut stage = Stage::at(&server, terms());
    assert_eq!(stage.kept_at(12).as_deref(), Some("it is no allowed hour"));
    assert_eq!(stage.kept_at(23).as_deref(), Some("it is others' turn"));
    stage.step(Event::Ask { why: "a test".to_owned() });
    stage.until("the permit", |stage| stage.told.contains(&News::Granted));
    stage.until("too many fail", |stage| {
        let kept = stage.kept_at(23).unwrap_or_default();
        kept == "3 of 3 hosts would fail with this one, 1 may"
    });
    for host in ["h1", "h2", "h3"] {
        server.put(&format!("/db/{host}"), br#"{"up":1}"#);
    }
    stage.until("all are up", |stage| {
        stage.kept_at(23).as_deref() == Some("this host is not drained yet")
    });
    stage.step(Event::Drain);
    stage.until("it is drained", |stage| stage.told.contains(&News::Drained));
    assert_eq!(stage.kept_at(23), None);
    assert_eq!(stage.kept_at(12).as_deref(), Some("it is no allowed hour"));
    stage.step(Event::Confirm);
    stage.until("it is confirmed", |stage| stage.told.contains(&News::Confirmed));
    stage.step(Event::Restore);
    stage.until("it is restored", |stage| stage.told.contains(&News::Restored));
    assert_eq!(stage.kept_at(23).as_deref(), Some("this host is not drained yet"));
    stage.step(Event::GiveBack);
    assert_eq!(stage.kept_at(23).as_deref(), Some("it is others' turn"));
}

#[test]
fn a_session_that_is_over_takes_the_permit_with_it() {
    let server = FakeServer::start();
    let group = terms().group;
    let mut stage = Stage::at(&server, TurnOptions { group, ..TurnOptions::default() });
    stage.step(Event::Ask { why: "a test".to_owned() });
    stage.until("the permit", |stage| stage.told.contains(&News::Granted));
    assert_eq!(stage.kept_at(23), None);
    let id = server.sessions().last().unwrap().id;
    server.expire(id);
    stage.until("it is lost", |stage| stage.told.contains(&News::Lost));
    assert_eq!(stage.kept_at(23).as_deref(), Some("it is others' turn"));
    stage.step(Event::Confirm);
    assert_eq!(stage.told.last(), Some(&News::Unconfirmed));
}
