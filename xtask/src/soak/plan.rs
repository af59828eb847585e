//! What goes wrong, and when.
//!
//! **Invariant.** A plan follows from its seed alone: it never looks at what the
//! faults before have done, so that the same seed brings the same faults.

use fastrand::Rng;
use std::fmt;
use std::time::Duration;

/// How many faults make a storm, before it is calm again.
const STEPS_MAX: usize = 5;

/// Which server a fault falls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Leader,
    Follower,
}

/// What happens to a wire between the tools and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Cut,
    Reset,
    /// Nobody listens any more.
    Refuse,
    /// A black hole, either way.
    Swallow,
    /// A black hole for what the tools send.
    SwallowRequests,
    /// A black hole for what the server sends.
    SwallowAnswers,
    /// Half an answer, and then nothing.
    HalfFrame,
    /// Every frame takes so long.
    Slow(Duration),
}

/// Something that goes wrong. Tools are counted from 0, and the count wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    KillServer(Target),
    FreezeServer(Target),
    /// Killed, and started again at once.
    RestartServer(Target),
    /// All servers, one after the other.
    RollingRestart,
    LoseQuorum,
    LoseAllServers,
    OneWire(usize, Wire),
    AllWires(Wire),
    /// The session that the wire has seen last is ended on the server.
    Expire(usize),
    KillJoiner(usize),
    StopJoiner(usize),
    FreezeJoiner(usize),
    KillSharer(usize),
    FreezeSharer(usize),
    KillExporter(usize),
    FreezeExporter(usize),
    KillRoller(usize),
}

/// A fault, the rest before it, and how long it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) rest: Duration,
    pub(super) fault: Fault,
    pub(super) hold: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)?;
        if self.hold.is_zero() {
            return Ok(());
        }
        write!(f, " for {:.1} s", self.hold.as_secs_f64())
    }
}

/// The faults of one storm.
pub(super) fn storm(rng: &mut Rng, session_timeout: Duration) -> Vec<Step> {
    (0..rng.usize(1..=STEPS_MAX)).map(|_| step(rng, session_timeout)).collect()
}

fn step(rng: &mut Rng, session_timeout: Duration) -> Step {
    let rest = Duration::from_millis(rng.u64(200..4000));
    let target = if rng.bool() { Target::Leader } else { Target::Follower };
    let which = rng.usize(..1000);
    let fault = match rng.u32(..100) {
        0..12 => Fault::KillServer(target),
        12..24 => Fault::FreezeServer(target),
        24..30 => Fault::RestartServer(target),
        30..35 => Fault::RollingRestart,
        35..41 => Fault::LoseQuorum,
        41..44 => Fault::LoseAllServers,
        44..60 => Fault::OneWire(which, wire(rng)),
        60..70 => Fault::AllWires(wire(rng)),
        70..77 => Fault::Expire(which),
        77..83 => Fault::KillJoiner(which),
        83..86 => Fault::StopJoiner(which),
        86..90 => Fault::FreezeJoiner(which),
        90..93 => Fault::KillSharer(which),
        93..95 => Fault::FreezeSharer(which),
        95..97 => Fault::KillExporter(which),
        97..98 => Fault::FreezeExporter(which),
        98.. => Fault::KillRoller(which),
    };
    // A session lives over the short ones, and can't over the long ones.
    let is_long = rng.u32(..4) == 0;
    let share = if is_long { 1.3 + rng.f64() } else { 0.05 + rng.f64() / 4.0 };
    let is_survivable =
        matches!(fault, Fault::KillServer(_) | Fault::FreezeServer(_) | Fault::OneWire(..));
    // One server of three may be away for any time.
    let share = if is_survivable { share.max(rng.f64() * 1.5) } else { share };
    let is_momentary =
        matches!(fault, Fault::RestartServer(_) | Fault::RollingRestart | Fault::Expire(_));
    let hold = if is_momentary { Duration::ZERO } else { session_timeout.mul_f64(share) };
    Step { rest, fault, hold }
}

fn wire(rng: &mut Rng) -> Wire {
    match rng.u32(..8) {
        0 => Wire::Cut,
        1 => Wire::Reset,
        2 => Wire::Refuse,
        3 => Wire::Swallow,
        4 => Wire::SwallowRequests,
        5 => Wire::SwallowAnswers,
        6 => Wire::HalfFrame,
        _ => Wire::Slow(Duration::from_millis(rng.u64(10..150))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn plan(seed: u64) -> Vec<Step> {
        let mut rng = Rng::with_seed(seed);
        (0..400).flat_map(|_| storm(&mut rng, TIMEOUT)).collect()
    }

    #[test]
    fn the_same_seed_brings_the_same_faults() {
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn in_the_long_run_everything_goes_wrong() {
        let plan = plan(1);
        let names = |step: &Step| format!("{:?}", step.fault).split('(').next().map(str::to_owned);
        let seen: std::collections::BTreeSet<_> = plan.iter().filter_map(names).collect();
        assert_eq!(seen.len(), 17, "{seen:?}");
        let lost: Vec<_> = plan.iter().filter(|step| step.fault == Fault::LoseQuorum).collect();
        assert!(lost.iter().any(|step| step.hold > TIMEOUT));
        assert!(lost.iter().any(|step| step.hold < TIMEOUT / 3));
    }
}
