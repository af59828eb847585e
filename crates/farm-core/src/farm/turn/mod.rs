//! A turn of a rolling restart: whether this host may act now, and if not, why.
//!
//! A [`Turn`] drives the [`Permit`] of the group, the [`Schedule`] of the allowed hours, the health
//! of the farm, and the field that takes this host out of the rotation. Its owner decides what to
//! do with the answers.
//!
//! **Invariant.** While any of these is unknown, the owner may not act.

mod drain;
mod health;
mod hours;
mod obstacle;
mod report;
#[cfg(test)]
mod tests;
mod zone;

pub use drain::{Drain, DrainError};
pub use health::{FarmVerdict, RequireError, RequireHealthy, UnknownReason};
pub use hours::{AllowedHours, HoursError, Schedule};
pub use obstacle::Obstacle;
pub use zone::{Zone, ZoneError};

use super::permit::{self, GroupName, MemberId, Permit};
use crate::engine::Post;
use crate::session::{self, Action, Session};
use drain::Drainer;
use health::{FarmHealth, ThisHost};
use std::num::NonZeroU32;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A group whose members take turns, and how many may act at once.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// How many members may hold a permit at once.
    pub holders: NonZeroU32,
}

/// The conditions of a turn; `None` is always met.
#[derive(Debug, Default)]
pub struct TurnOptions {
    /// The group whose permit is needed.
    pub group: Option<Group>,
    /// The hours at which a turn may begin.
    pub hours: Option<Schedule>,
    /// The farm that has to be healthy.
    pub health: Option<RequireHealthy>,
    /// The field that takes this host out of the rotation.
    pub drain: Option<Drain>,
}

/// The conditions that are checked before a running child is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    /// Whether the time is within the allowed hours.
    pub is_in_hours: bool,
    /// Whether the farm is healthy enough without this host.
    pub can_spare_us: bool,
}

/// What happened, or what the owner wants.
#[derive(Debug)]
pub enum Event {
    /// Something happened to the session.
    Session(session::Event),
    /// A request was answered.
    Answered(Answer),
    /// The owner wants a permit.
    Ask {
        /// The reason, for other people to read.
        why: String,
    },
    /// Whether the permit counts only at the head of the queue, for now. If it is held and no
    /// longer counts, another [`News::Granted`] follows.
    NeedHead(bool),
    /// The owner does not want the permit any more, whether it waits for it or holds it.
    GiveBack,
    /// The owner is about to do what only a holder may. Answered by [`News::Confirmed`] or
    /// [`News::Unconfirmed`], unless the permit is lost or given back before.
    Confirm,
    /// Any hour is allowed until that time, in milliseconds since 1970.
    IgnoreHours(Option<i64>),
    /// Read the whole farm again.
    Refresh,
    /// Take this host out of the rotation.
    Drain,
    /// Put it back; answered by [`News::Restored`].
    Restore,
    /// The deadline has passed.
    Tick,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer(Reply);

#[derive(Debug)]
enum Reply {
    Permit(permit::Answer),
    Health(health::Answer),
    Drain(drain::Answer),
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// We hold the permit.
    Granted,
    /// We do not hold the permit any more, and are not in the queue.
    Lost,
    /// We certainly hold the permit, or need none.
    Confirmed,
    /// Another member may hold the permit by now.
    Unconfirmed,
    /// The hours or the health of the farm have changed.
    Gates(Gates),
    /// This host is out of the rotation, or was never in it.
    Drained,
    /// This host is back in the rotation, or will be when its znode is back.
    Restored,
}

fn this_process() -> MemberId {
    let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    MemberId { host, pid: std::process::id() }
}

/// The allowed hours, and when to look at the clock again.
#[derive(Debug)]
struct Hours {
    schedule: Schedule,
    check_at: Instant,
    /// Until when any hour is allowed, in milliseconds since 1970.
    ignored_until_ms: Option<i64>,
}

impl Hours {
    fn is_open(&self, clock: SystemTime) -> bool {
        self.schedule.is_open(clock) || self.ignored_for(clock).is_some()
    }

    /// For how long any hour is allowed yet.
    fn ignored_for(&self, clock: SystemTime) -> Option<Duration> {
        let until = Duration::from_millis(u64::try_from(self.ignored_until_ms?).ok()?);
        UNIX_EPOCH.checked_add(until)?.duration_since(clock).ok().filter(|left| !left.is_zero())
    }

    fn check(&mut self, now: Instant, clock: SystemTime) {
        let again = self.schedule.look_again(clock);
        let left = self.ignored_for(clock);
        self.check_at = now + left.map_or(again, |left| left.min(again));
    }
}

/// The component that checks all conditions.
///
/// The loop that owns it hands it the events, a tick when [`Turn::deadline`] has passed, and the
/// [`Answer`]s that were posted.
#[derive(Debug)]
pub struct Turn {
    permit: Option<Permit>,
    hours: Option<Hours>,
    health: Option<FarmHealth>,
    drainer: Option<Drainer>,
    /// As reported last.
    gates: Gates,
    post: Post<Reply>,
    news: Vec<News>,
}

impl Turn {
    /// No permit is requested yet. `post` is called with each answer, on another thread.
    #[must_use]
    pub fn new(
        now: Instant,
        options: TurnOptions,
        post: impl Fn(Answer) + Send + Sync + 'static,
    ) -> Self {
        let TurnOptions { group, hours, health, drain } = options;
        let hours = hours.map(|schedule| Hours { schedule, check_at: now, ignored_until_ms: None });
        let mut turn = Self {
            permit: group.map(|group| Permit::new(group.name, group.holders, this_process())),
            hours,
            health: health.map(|required| FarmHealth::new(required, ThisHost::detect())),
            drainer: drain.map(Drainer::new),
            gates: Gates { is_in_hours: false, can_spare_us: false },
            post: Post::new(move |reply| post(Answer(reply))),
            news: Vec::new(),
        };
        turn.gates = turn.gates_at(SystemTime::now());
        turn
    }

    /// Hours and health, as reported last.
    #[must_use]
    pub const fn gates(&self) -> Gates {
        self.gates
    }

    /// The first condition that is not met, if any, in the order hours, permit, health, drain. A
    /// permit counts as held until it is known to be lost, so have it confirmed before you act.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        self.obstacle_at(SystemTime::now())
    }

    fn obstacle_at(&self, clock: SystemTime) -> Option<Obstacle> {
        if self.hours.as_ref().is_some_and(|hours| !hours.is_open(clock)) {
            return Some(Obstacle::OffHours);
        }
        if self.permit.as_ref().is_some_and(|permit| !permit.is_held()) {
            return Some(Obstacle::NoPermit);
        }
        if let Some(verdict) = self.health.as_ref().map(FarmHealth::verdict)
            && !verdict.is_allowed()
        {
            return Some(Obstacle::Farm(verdict));
        }
        let is_drained = self.drainer.as_ref().is_none_or(Drainer::is_drained);
        (!is_drained).then_some(Obstacle::NotDrained)
    }

    /// Whether there is nothing to restore, and no drain under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.drainer.as_ref().is_none_or(Drainer::is_idle)
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [
            self.permit.as_ref().and_then(Permit::deadline),
            self.health.as_ref().and_then(FarmHealth::deadline),
            self.drainer.as_ref().and_then(Drainer::deadline),
            self.hours.as_ref().map(|hours| hours.check_at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Takes one event, and dispatches the requests that follow.
    pub fn step(&mut self, now: Instant, session: &Session, event: Event) -> Vec<News> {
        match event {
            Event::Session(event) => {
                // The permit comes first: when the session is over, another member may hold it, and
                // no other part may act on it any more.
                self.permit(now, session, permit::Event::Session(event.clone()));
                self.drain(now, session, drain::Event::Session(event.clone()));
                self.health(now, session, health::Event::Session(event));
            }
            Event::Answered(Answer(reply)) => match reply {
                Reply::Permit(it) => self.permit(now, session, permit::Event::Answered(it)),
                Reply::Health(it) => self.health(now, session, health::Event::Answered(it)),
                Reply::Drain(it) => self.drain(now, session, drain::Event::Answered(it)),
            },
            Event::Ask { why } => self.permit(now, session, permit::Event::Ask { why }),
            Event::GiveBack => self.permit(now, session, permit::Event::GiveBack),
            Event::NeedHead(it) => self.permit(now, session, permit::Event::NeedHead(it)),
            Event::IgnoreHours(until_ms) => {
                self.hours.iter_mut().for_each(|hours| hours.ignored_until_ms = until_ms);
                self.check_gates(now);
            }
            Event::Confirm if self.permit.is_none() => self.news.push(News::Confirmed),
            Event::Confirm => self.permit(now, session, permit::Event::Confirm),
            Event::Refresh => self.health(now, session, health::Event::Refresh),
            Event::Drain => self.drain(now, session, drain::Event::Drain),
            Event::Restore => self.drain(now, session, drain::Event::Restore),
            // Parts that have nothing due ignore it.
            Event::Tick => {
                self.permit(now, session, permit::Event::Tick);
                self.drain(now, session, drain::Event::Tick);
                self.health(now, session, health::Event::Tick);
            }
        }
        std::mem::take(&mut self.news)
    }

    fn permit(&mut self, now: Instant, session: &Session, event: permit::Event) {
        let Some(permit) = &mut self.permit else { return };
        for action in permit.step(now, event) {
            match action {
                Action::Request(request) => {
                    request.dispatch(session, self.post.posting(Reply::Permit));
                }
                Action::Report(news) => {
                    report::permit(&news);
                    self.news.extend(match news {
                        permit::News::Granted { .. } => Some(News::Granted),
                        permit::News::Lost => Some(News::Lost),
                        permit::News::Confirmed if session.lease().is_valid() => {
                            Some(News::Confirmed)
                        }
                        permit::News::Confirmed | permit::News::Unconfirmed => {
                            Some(News::Unconfirmed)
                        }
                        permit::News::Waiting { .. }
                        | permit::News::Left
                        | permit::News::UnequalHolders { .. }
                        | permit::News::Refused(_) => None,
                    });
                }
            }
        }
    }

    fn health(&mut self, now: Instant, session: &Session, event: health::Event) {
        if let Some(health) = &mut self.health {
            for request in health.step(now, event) {
                request.dispatch(session, self.post.posting(Reply::Health));
            }
        }
        self.check_gates(now);
    }

    fn drain(&mut self, now: Instant, session: &Session, event: drain::Event) {
        let Some(drainer) = &mut self.drainer else { return };
        for action in drainer.step(now, event) {
            match action {
                Action::Request(request) => {
                    request.dispatch(session, self.post.posting(Reply::Drain));
                }
                Action::Report(news) => {
                    report::drain(&news);
                    self.news.extend(match news {
                        drain::News::Drained(_) | drain::News::NotThere => Some(News::Drained),
                        drain::News::Restored(_) | drain::News::Postponed => Some(News::Restored),
                        drain::News::Failing(_) => None,
                    });
                }
            }
        }
    }

    fn gates_at(&self, clock: SystemTime) -> Gates {
        Gates {
            is_in_hours: self.hours.as_ref().is_none_or(|hours| hours.is_open(clock)),
            can_spare_us: self.health.as_ref().is_none_or(|health| health.verdict().is_allowed()),
        }
    }

    /// Reports hours and health if they have changed.
    fn check_gates(&mut self, now: Instant) {
        let clock = SystemTime::now();
        self.hours.iter_mut().for_each(|hours| hours.check(now, clock));
        let gates = self.gates_at(clock);
        if gates == self.gates {
            return;
        }
        self.gates = gates;
        if let Some(health) = &self.health {
            report::verdict(&health.verdict());
        }
        self.news.push(News::Gates(gates));
    }
}
