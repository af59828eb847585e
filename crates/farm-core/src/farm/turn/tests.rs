//! The conditions of a turn, against an in-memory server.

use super::*;
use crate::session::live::{Live, Post};
use farm_harness::{FakeServer, patience};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(15);
const HOUR: u64 = 60 * 60;

/// A turn with its session, and the news of it.
struct Fixture {
    turn: Turn,
    live: Live<Answer>,
    news: Vec<News>,
}

impl Fixture {
    fn at(server: &FakeServer, options: TurnOptions) -> Self {
        let live = Live::open(server.addr(), 2);
        let turn = Turn::new(Instant::now(), options, live.all_answers());
        Self { turn, live, news: Vec::new() }
    }

    fn step(&mut self, event: Event) {
        self.news.extend(self.turn.step(Instant::now(), self.live.session(), event));
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + patience(TIMEOUT);
        while !is_so(self) {
            assert!(Instant::now() < give_up, "{what}: {:?} {:?}", self.news, self.obstacle_at(23));
            let due = self.turn.deadline().map_or(give_up, |due| due.min(give_up));
            match self.live.next(due) {
                Some(Post::Session(event)) => self.step(Event::Session(event)),
                Some(Post::Answer(answer)) => self.step(Event::Answered(answer)),
                None => self.step(Event::Tick),
            }
        }
    }

    /// The obstacle at this hour of a day in 1970.
    fn obstacle_at(&self, hour: u64) -> Option<String> {
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(hour * HOUR);
        self.turn.obstacle_at(clock).map(|obstacle| obstacle.to_string())
    }
}

fn options() -> TurnOptions {
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
fn a_turn_without_conditions_has_no_obstacle() {
    let server = FakeServer::start();
    let mut fixture = Fixture::at(&server, TurnOptions::default());
    assert_eq!(fixture.obstacle_at(12), None);
    fixture.step(Event::Confirm);
    assert_eq!(fixture.news, [News::Confirmed]);
    assert!(fixture.turn.is_idle() && fixture.turn.deadline().is_none());
}

#[test]
fn one_obstacle_after_the_other_is_named_until_none_is_left() {
    let server = FakeServer::start();
    server.put("/db", br#"{"size":3,"running_filter":"up=1"}"#);
    for host in ["h1", "h2", "h3"] {
        server.put(&format!("/db/{host}"), br#"{"up":0}"#);
    }
    let mut fixture = Fixture::at(&server, options());
    assert_eq!(fixture.obstacle_at(12).as_deref(), Some("the time is outside the allowed hours"));
    assert_eq!(fixture.obstacle_at(23).as_deref(), Some("this member does not hold the lock"));
    fixture.step(Event::Ask { why: "a test".to_owned() });
    fixture.until("the permit", |fixture| fixture.news.contains(&News::Granted));
    fixture.until("too many fail", |fixture| {
        let obstacle = fixture.obstacle_at(23).unwrap_or_default();
        obstacle == "3 of 3 hosts would fail, this one included, but only 1 may"
    });
    for host in ["h1", "h2", "h3"] {
        server.put(&format!("/db/{host}"), br#"{"up":1}"#);
    }
    fixture.until("all are up", |fixture| {
        fixture.obstacle_at(23).as_deref() == Some("this host is not drained yet")
    });
    fixture.step(Event::Drain);
    fixture.until("it is drained", |fixture| fixture.news.contains(&News::Drained));
    assert_eq!(fixture.obstacle_at(23), None);
    assert_eq!(fixture.obstacle_at(12).as_deref(), Some("the time is outside the allowed hours"));
    fixture.step(Event::Confirm);
    fixture.until("it is confirmed", |fixture| fixture.news.contains(&News::Confirmed));
    fixture.step(Event::Restore);
    fixture.until("it is restored", |fixture| fixture.news.contains(&News::Restored));
    assert_eq!(fixture.obstacle_at(23).as_deref(), Some("this host is not drained yet"));
    fixture.step(Event::GiveBack);
    assert_eq!(fixture.obstacle_at(23).as_deref(), Some("this member does not hold the lock"));
}

#[test]
fn a_session_that_is_over_takes_the_permit_with_it() {
    let server = FakeServer::start();
    let group = options().group;
    let mut fixture = Fixture::at(&server, TurnOptions { group, ..TurnOptions::default() });
    fixture.step(Event::Ask { why: "a test".to_owned() });
    fixture.until("the permit", |fixture| fixture.news.contains(&News::Granted));
    assert_eq!(fixture.obstacle_at(23), None);
    let id = server.sessions().last().unwrap().id;
    server.expire(id);
    fixture.until("it is lost", |fixture| fixture.news.contains(&News::Lost));
    assert_eq!(fixture.obstacle_at(23).as_deref(), Some("this member does not hold the lock"));
    fixture.step(Event::Confirm);
    assert_eq!(fixture.news.last(), Some(&News::Unconfirmed));
}

#[test]
fn an_operator_may_allow_any_hour_for_a_while() {
    let server = FakeServer::start();
    let hours = options().hours;
    let mut fixture = Fixture::at(&server, TurnOptions { hours, ..TurnOptions::default() });
    let off = "the time is outside the allowed hours";
    assert_eq!(fixture.obstacle_at(12).as_deref(), Some(off));
    let until_ms = 13 * i64::try_from(HOUR).unwrap() * 1000;
    fixture.step(Event::IgnoreHours(Some(until_ms)));
    assert_eq!(fixture.obstacle_at(12), None);
    assert_eq!(fixture.obstacle_at(13).as_deref(), Some(off));
    assert_eq!(fixture.obstacle_at(23), None);
    fixture.step(Event::IgnoreHours(Some(-1)));
    assert_eq!(fixture.obstacle_at(12).as_deref(), Some(off));
    // Until an hour from now: whatever the time is, a turn may begin, and the clock is looked at
    // again when that ends.
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let hour_ms = i64::try_from(now_ms).unwrap() + 1000 * i64::try_from(HOUR).unwrap();
    fixture.step(Event::IgnoreHours(Some(hour_ms)));
    assert!(fixture.turn.gates().is_in_hours);
    let due = fixture.turn.deadline().unwrap();
    assert!(due <= Instant::now() + Duration::from_secs(HOUR));
    fixture.step(Event::IgnoreHours(None));
    assert_eq!(fixture.obstacle_at(12).as_deref(), Some(off));
}
