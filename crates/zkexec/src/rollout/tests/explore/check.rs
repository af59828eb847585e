//! What must hold in every state, and in those in which nothing goes on by itself.

use super::super::*;
use super::member::{ChildState, Link, Process};
use super::scenario::Quality;
use super::world::{MEMBERS, World};
use super::zookeeper::{Record, TurnId};
use farm_core::farm::rollout::Verdict;

/// How many members try content at most before somebody knows that it works.
const TRIERS_MAX: usize = 2;

/// What is wrong in this state.
pub(super) fn violation(world: &World<'_>) -> Option<String> {
    if let Some(violation) = world.violation {
        return Some(violation.to_owned());
    }
    let processes = world.members.iter().filter_map(|member| member.process.as_ref());
    let down = processes.filter(|process| process.child.is_down_in_turn).count();
    if down > world.scenario.holders {
        return Some(format!("{down} children are down at once"));
    }
    let ran = world.ran.iter().filter(|ran| **ran).count();
    if ran > TRIERS_MAX.min(1 + usize::from(world.losses)) {
        let losses = world.losses;
        return Some(format!("{ran} members have tried what may not work, after {losses} losses"));
    }
    for index in 0..MEMBERS {
        let queue = &world.zookeeper.queue;
        let own = queue.iter().filter(|it| it.member == index && !it.is_left_behind).count();
        if own > usize::from(world.members[index].process.is_some()) {
            return Some(format!("member {index} has {own} contenders"));
        }
    }
    None
}

/// What is wrong with a state in which nothing goes on by itself.
pub(super) fn unrest(world: &World<'_>) -> Option<String> {
    for (index, member) in world.members.iter().enumerate() {
        if let Some(process) = &member.process
            && let Some(why) = of_member(world, index, process)
        {
            let phase = process.rollout.phase();
            return Some(format!("member {index} stays in {phase:?} for ever: {why}"));
        }
    }
    of_group(world)
}

fn of_member(world: &World<'_>, index: usize, process: &Process) -> Option<&'static str> {
    let (zookeeper, wanted) = (&world.zookeeper, world.wanted());
    let is_skipped = zookeeper.skips[index] == Some(wanted);
    let phase = process.rollout.phase();
    if process.link != Link::Connected {
        return Some("it has no contact");
    }
    let reason = match phase {
        Phase::Settled => is_settled(world, index, process),
        Phase::Refused => zookeeper.is_refused(wanted),
        Phase::Skipped => is_skipped,
        Phase::Paused => zookeeper.is_paused,
        Phase::Failed { .. } if is_skipped => false,
        Phase::Failed { .. } => {
            let is_refused = zookeeper.is_refused(wanted);
            let is_holder = process.permit.is_held;
            let waits = zookeeper.is_paused || is_refused || is_behind_failed(world, index);
            (may_fail(world) || is_refused) && (is_holder || waits)
        }
        Phase::Queued | Phase::Unconfirmed => is_behind_failed(world, index),
        _ => false,
    };
    if !reason {
        return Some("there is no reason for that");
    }
    let waits = matches!(phase, Phase::Queued | Phase::Unconfirmed | Phase::Failed { .. });
    if zookeeper.place(index).is_some() && !waits {
        return Some("it has a contender");
    }
    let is_working = process.child.state == ChildState::Up && process.rollout.is_confirmed();
    let is_behind = process.rollout.restarted() != zookeeper.restart;
    let may_be_behind = zookeeper.is_paused || is_behind_failed(world, index);
    if is_behind && is_working && !may_be_behind && !process.has_failed() {
        return Some("it has not restarted its child");
    }
    None
}

fn is_settled(world: &World<'_>, index: usize, process: &Process) -> bool {
    let wanted = world.wanted();
    process.rollout.running() == Some(&wanted)
        && world.members[index].files == wanted
        && process.child.content == wanted
        && process.child.state == ChildState::Up
}

/// Whether a turn can have failed.
fn may_fail(world: &World<'_>) -> bool {
    world.scenario.quality != Quality::Good || world.scenario.is_slow
}

/// Whether somebody before it in the queue keeps its place because its turn has failed.
fn is_behind_failed(world: &World<'_>, index: usize) -> bool {
    let zookeeper = &world.zookeeper;
    let Some(place) = zookeeper.place(index) else { return false };
    zookeeper.queue.iter().take(place).any(|before| {
        let process = world.members[before.member].process.as_ref();
        process.is_some_and(|process| process.permit.is_held && process.has_failed())
    })
}

/// Whether the turn that refused the content has turned out well.
fn has_changed_its_mind(world: &World<'_>, record: &Record) -> bool {
    let Some(TurnId { member, number }) = record.refused_in else { return false };
    world.members[member].process.as_ref().is_some_and(|process| {
        let is_same = process.group.turns.iter().any(|turn| turn.number == number);
        is_same && process.rollout.phase() == Phase::Settled && is_settled(world, member, process)
    })
}

fn of_group(world: &World<'_>) -> Option<String> {
    let (zookeeper, wanted) = (&world.zookeeper, world.wanted());
    let record = zookeeper.record(wanted)?;
    let losses = usize::from(world.losses);
    let is_good = world.scenario.works(wanted) && !world.scenario.is_slow;
    if is_good && record.verdict == Verdict::Refused && losses < TRIERS_MAX {
        return Some(format!("content that works is refused, after {losses} losses"));
    }
    if record.verdict == Verdict::Refused && has_changed_its_mind(world, record) {
        return Some("who has refused it runs on it".to_owned());
    }
    let trials = record.trials.iter().flatten().count();
    if trials > losses && record.verdict == Verdict::Trying {
        return Some(format!("{trials} tries have no outcome, after {losses} losses"));
    }
    if record.verdict == Verdict::Confirmed && !world.scenario.works(wanted) {
        return Some("content that does not work is confirmed".to_owned());
    }
    None
}
