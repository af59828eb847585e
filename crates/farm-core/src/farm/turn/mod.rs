//! A turn of a rolling restart: may this host act now, and if not, what keeps it from it?
//!
//! A [`Turn`] drives what has to be asked: the [`Permit`] of the group, the [`Schedule`] of
//! the allowed hours, the health of a farm that has to bear it, and the field that takes this
//! host out of the rotation meanwhile. What the answers are good for its owner decides.
//!
//! **Invariant.** Whatever is not known keeps the owner from acting: no hour, no farm, no
//! field and no permit that can't be told.

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
use std::time::{Instant, SystemTime};

/// A group whose members take turns, and how many may act at once.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// How many members may hold a permit at once.
    pub holders: NonZeroU32,
}

/// What a turn takes; what is `None` never keeps anybody.
#[derive(Debug, Default)]
pub struct TurnOptions {
    /// Whose turn it is.
    pub group: Option<Group>,
    /// The hours at which it may begin.
    pub hours: Option<Schedule>,
    /// The farm that has to bear it.
    pub health: Option<RequireHealthy>,
    /// The field that takes this host out of the rotation.
    pub drain: Option<Drain>,
}

/// What may keep a host at work from being taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    /// It is a time at which that is allowed.
    pub is_in_hours: bool,
    /// The farm can bear it.
    pub can_spare_us: bool,
}

/// What happened, or is wanted.
#[derive(Debug)]
pub enum Event {
    /// Something about the session.
    Session(session::Event),
    /// A request was answered.
    Answered(Answer),
    /// The permit shall be waited for.
    Ask {
        /// What for, as others shall read it.
        why: String,
    },
    /// No permit is wanted any more, whether it is waited for or held.
    GiveBack,
    /// The owner is about to do what only a holder may. Answered by [`News::Confirmed`] or
    /// [`News::Unconfirmed`], unless the permit is lost or given back before.
    Confirm,
    /// Everything that is known of the farm shall be read again.
    Refresh,
    /// Take this host out of the rotation.
    Drain,
    /// Put it back; answered by [`News::Restored`].
    Restore,
    /// The deadline has passed.
    Tick,
}

/// An answer to one of the requests.
#[derive(Debug)]
pub struct Answer(Reply);

#[derive(Debug)]
enum Reply {
    Permit(permit::Answer),
    Health(health::Answer),
    Drain(drain::Answer),
}

/// What is known now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The permit is ours.
    Granted,
    /// We hold no permit any more, and stand in no queue.
    Lost,
    /// The permit is ours for sure, or none is needed.
    Confirmed,
    /// The permit may be another's by now.
    Unconfirmed,
    /// Hours or health have changed.
    Gates(Gates),
    /// This host is out of the rotation, or was never in it.
    Drained,
    /// It is back, as far as can be.
    Restored,
}

fn this_process() -> MemberId {
    let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    MemberId { host, pid: std::process::id() }
}

/// Allowed hours, and when to look at the clock.
#[derive(Debug)]
struct Hours {
    schedule: Schedule,
    look_at: Instant,
}

/// The component. See the module's page.
///
/// The loop that owns it brings it the events, a tick when [`Turn::deadline`] has passed, and
/// the [`Answer`]s that it was posted.
#[derive(Debug)]
pub struct Turn {
    permit: Option<Permit>,
    hours: Option<Hours>,
    health: Option<FarmHealth>,
    drainer: Option<Drainer>,
    /// What the owner was told last.
    gates: Gates,
    post: Post<Reply>,
    news: Vec<News>,
}

impl Turn {
    /// Nothing is asked for yet. `post` is called with answers, on other threads.
    #[must_use]
    pub fn new(
        now: Instant,
        terms: TurnOptions,
        post: impl Fn(Answer) + Send + Sync + 'static,
    ) -> Self {
        let TurnOptions { group, hours, health, drain } = terms;
        let hours = hours.map(|schedule| Hours { schedule, look_at: now });
        let mut turn = Self {
            permit: group.map(|group| Permit::new(group.name, group.holders, this_process())),
            hours,
            health: health.map(|required| FarmHealth::new(required, ThisHost::detect())),
            drainer: drain.map(Drainer::new),
            gates: Gates { is_in_hours: false, can_spare_us: false },
            post: Post::new(move |reply| post(Answer(reply))),
            news: Vec::new(),
        };
        turn.gates = turn.look(SystemTime::now());
        turn
    }

    /// What the owner was told last of hours and health.
    #[must_use]
    pub const fn gates(&self) -> Gates {
        self.gates
    }

    /// What keeps this host from acting, if anything does: the first of hours, permit, health
    /// and drain. A permit counts as held until it is known to be lost; whoever acts has it
    /// confirmed before.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        self.obstacle_at(SystemTime::now())
    }

    fn obstacle_at(&self, clock: SystemTime) -> Option<Obstacle> {
        if let Some(Hours { schedule, .. }) = &self.hours
            && !schedule.is_open(clock)
        {
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

    /// Whether nothing is left to drain or to restore.
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
            self.hours.as_ref().map(|hours| hours.look_at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Takes one event, and asks what has to be asked.
    pub fn step(&mut self, now: Instant, session: &Session, event: Event) -> Vec<News> {
        match event {
            Event::Session(event) => {
                // The permit hears first that a session is over: nobody acts on what another
                // may hold by then.
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
            Event::Confirm if self.permit.is_none() => self.news.push(News::Confirmed),
            Event::Confirm => self.permit(now, session, permit::Event::Confirm),
            Event::Refresh => self.health(now, session, health::Event::Refresh),
            Event::Drain => self.drain(now, session, drain::Event::Drain),
            Event::Restore => self.drain(now, session, drain::Event::Restore),
            // A part that has nothing due ignores it.
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
                Action::Ask(request) => {
                    request.dispatch(session, self.post.posting(Reply::Permit));
                }
                Action::Tell(news) => {
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
        self.look_at_gates(now);
    }

    fn drain(&mut self, now: Instant, session: &Session, event: drain::Event) {
        let Some(drainer) = &mut self.drainer else { return };
        for action in drainer.step(now, event) {
            match action {
                Action::Ask(request) => {
                    request.dispatch(session, self.post.posting(Reply::Drain));
                }
                Action::Tell(news) => {
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

    fn look(&self, clock: SystemTime) -> Gates {
        Gates {
            is_in_hours: self.hours.as_ref().is_none_or(|hours| hours.schedule.is_open(clock)),
            can_spare_us: self.health.as_ref().is_none_or(|health| health.verdict().is_allowed()),
        }
    }

    /// Tells what hours and health say, if that has changed.
    fn look_at_gates(&mut self, now: Instant) {
        let clock = SystemTime::now();
        if let Some(Hours { schedule, look_at }) = &mut self.hours {
            *look_at = now + schedule.look_again(clock);
        }
        let gates = self.look(clock);
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
