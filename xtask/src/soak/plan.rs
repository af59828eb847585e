//! Which faults are injected, and when.
//!
//! **Invariant.** A plan depends on its seed alone, and never on the effects of earlier faults: the
//! same seed always gives the same faults.

use fastrand::Rng;
use std::fmt;
use std::time::Duration;

/// The most faults of a round.
const FAULTS_MAX: usize = 5;

/// Which server a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Leader,
    Follower,
}

/// A fault of the connections between the tools and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NetworkFault {
    Cut,
    Reset,
    /// New connections are refused.
    Refuse,
    /// Nothing is forwarded any more, in either direction.
    Swallow,
    /// Nothing from the tools is forwarded any more.
    SwallowRequests,
    /// Nothing from the server is forwarded any more.
    SwallowAnswers,
    /// Half of an answer arrives, and then nothing.
    HalfFrame,
    /// Every frame is delayed.
    Slow(Duration),
}

/// A fault. The number of a tool or proxy counts from 0 and wraps around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    KillServer(Target),
    FreezeServer(Target),
    /// The server is killed and started again at once.
    RestartServer(Target),
    /// All servers are restarted, one after the other.
    RollingRestart,
    LoseQuorum,
    LoseAllServers,
    /// The connections through one proxy have a fault.
    OneProxy(usize, NetworkFault),
    /// The connections through all proxies have a fault.
    AllProxies(NetworkFault),
    /// The latest session that went through this proxy is closed on the server.
    Expire(usize),
    KillJoiner(usize),
    StopJoiner(usize),
    FreezeJoiner(usize),
    KillSharer(usize),
    FreezeSharer(usize),
    KillExporter(usize),
    FreezeExporter(usize),
    KillExec(usize),
    /// Nobody reads what this tool logs.
    HoldStderr(usize),
    /// The tools can start no thread, and a session ends meanwhile.
    LimitThreads(usize),
    /// The directory of a tool's files is moved away.
    MoveDirectory(usize),
}

/// A fault, the pause before it, and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlannedFault {
    pub(super) pause: Duration,
    pub(super) fault: Fault,
    pub(super) duration: Duration,
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)?;
        if self.duration.is_zero() {
            return Ok(());
        }
        write!(f, " for {:.1} s", self.duration.as_secs_f64())
    }
}

/// Plans the faults of one round.
pub(super) fn round(rng: &mut Rng, session_timeout: Duration) -> Vec<PlannedFault> {
    (0..rng.usize(1..=FAULTS_MAX)).map(|_| planned_fault(rng, session_timeout)).collect()
}

fn planned_fault(rng: &mut Rng, session_timeout: Duration) -> PlannedFault {
    let pause = Duration::from_millis(rng.u64(200..4000));
    let target = if rng.bool() { Target::Leader } else { Target::Follower };
    let which = rng.usize(..1000);
    let fault = match rng.u32(..109) {
        0..12 => Fault::KillServer(target),
        12..24 => Fault::FreezeServer(target),
        24..30 => Fault::RestartServer(target),
        30..35 => Fault::RollingRestart,
        35..41 => Fault::LoseQuorum,
        41..44 => Fault::LoseAllServers,
        44..60 => Fault::OneProxy(which, network_fault(rng)),
        60..70 => Fault::AllProxies(network_fault(rng)),
        70..77 => Fault::Expire(which),
        77..83 => Fault::KillJoiner(which),
        83..86 => Fault::StopJoiner(which),
        86..90 => Fault::FreezeJoiner(which),
        90..93 => Fault::KillSharer(which),
        93..95 => Fault::FreezeSharer(which),
        95..97 => Fault::KillExporter(which),
        97..98 => Fault::FreezeExporter(which),
        98..100 => Fault::KillExec(which),
        100..103 => Fault::HoldStderr(which),
        103..106 => Fault::LimitThreads(which),
        106.. => Fault::MoveDirectory(which),
    };
    // A session survives a short fault. It can't survive a long one.
    let is_long = rng.u32(..4) == 0;
    let share = if is_long { 1.3 + rng.f64() } else { 0.05 + rng.f64() / 4.0 };
    let is_survivable =
        matches!(fault, Fault::KillServer(_) | Fault::FreezeServer(_) | Fault::OneProxy(..));
    // One of three servers may be down for any time.
    let share = if is_survivable { share.max(rng.f64() * 1.5) } else { share };
    let is_momentary =
        matches!(fault, Fault::RestartServer(_) | Fault::RollingRestart | Fault::Expire(_));
    let duration = if is_momentary { Duration::ZERO } else { session_timeout.mul_f64(share) };
    PlannedFault { pause, fault, duration }
}

fn network_fault(rng: &mut Rng) -> NetworkFault {
    match rng.u32(..8) {
        0 => NetworkFault::Cut,
        1 => NetworkFault::Reset,
        2 => NetworkFault::Refuse,
        3 => NetworkFault::Swallow,
        4 => NetworkFault::SwallowRequests,
        5 => NetworkFault::SwallowAnswers,
        6 => NetworkFault::HalfFrame,
        _ => NetworkFault::Slow(Duration::from_millis(rng.u64(10..150))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn plan(seed: u64) -> Vec<PlannedFault> {
        let mut rng = Rng::with_seed(seed);
        (0..400).flat_map(|_| round(&mut rng, TIMEOUT)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn in_the_long_run_every_fault_is_planned() {
        let plan = plan(1);
        let names = |planned: &PlannedFault| {
            format!("{:?}", planned.fault).split('(').next().map(str::to_owned)
        };
        let seen: std::collections::BTreeSet<_> = plan.iter().filter_map(names).collect();
        assert_eq!(seen.len(), 20, "{seen:?}");
        let lost: Vec<_> =
            plan.iter().filter(|planned| planned.fault == Fault::LoseQuorum).collect();
        assert!(lost.iter().any(|planned| planned.duration > TIMEOUT));
        assert!(lost.iter().any(|planned| planned.duration < TIMEOUT / 3));
    }
}
