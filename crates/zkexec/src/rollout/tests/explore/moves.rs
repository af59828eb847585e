//! What can happen next.

use super::super::*;
use super::member::{ChildState, Link, Process};
use super::scenario::Quality;
use super::world::World;
use super::zookeeper::Change;
use std::fmt;

/// Something that happens, most of it to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    HearContent(u8),
    HearKnown(u8),
    HearOrders(u8),
    Grant(u8),
    /// It notices that its contender was deleted.
    HearBroken(u8),
    /// It notices that its session is over.
    HearLost(u8),
    /// Its requests get through again, or it has a new session.
    Connect(u8),
    ReadAgain(u8),
    Install(u8),
    Gone(u8),
    ChildEnds(u8),
    Healthy(u8),
    Tick(u8),
    /// The first change in its queue is made.
    Change(u8),
    /// It hears what came of that.
    Answer(u8),
    /// The session of an earlier process ends.
    Expire(u8),

    Publish,
    Crash(u8),
    Boot(u8),
    EndSession(u8),
    Cut(u8),
    /// Its next change takes longer than others need for a turn.
    Delay(u8),
    /// A change is made, and its answer is lost.
    CutAfterChange(u8),

    Pause,
    Resume,
    Restart,
    Retry,
    Skip(u8),
    BreakLock(u8),
}

impl Move {
    /// Whether it may never happen.
    pub(super) const fn is_choice(self) -> bool {
        matches!(self, Self::Publish | Self::Boot(_)) || self.is_fault() || self.is_command()
    }

    /// The member that hears something, or is heard.
    pub(super) const fn heard_by(self) -> Option<u8> {
        match self {
            Self::HearContent(id)
            | Self::HearKnown(id)
            | Self::HearOrders(id)
            | Self::HearBroken(id)
            | Self::ReadAgain(id)
            | Self::Change(id)
            | Self::Answer(id) => Some(id),
            _ => None,
        }
    }

    pub(super) const fn is_fault(self) -> bool {
        matches!(
            self,
            Self::Crash(_)
                | Self::EndSession(_)
                | Self::Cut(_)
                | Self::Delay(_)
                | Self::CutAfterChange(_)
        )
    }

    pub(super) const fn is_command(self) -> bool {
        matches!(
            self,
            Self::Pause
                | Self::Resume
                | Self::Restart
                | Self::Retry
                | Self::Skip(_)
                | Self::BreakLock(_)
        )
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{self:?}");
        f.write_str(&text.replace('(', " of ").replace(')', ""))
    }
}

/// Adds all that can happen next.
pub(super) fn possible(world: &World<'_>, moves: &mut Vec<Move>) {
    at_any_time(world, moves);
    if world.scenario.is_prompt && moves.iter().any(|step| is_at_once(world, *step)) {
        moves.retain(|step| step.is_choice() || is_at_once(world, *step));
    }
}

/// Whether it happens before anything else happens by itself.
fn is_at_once(world: &World<'_>, step: Move) -> bool {
    let process = |id: u8| world.members[usize::from(id)].process.as_ref();
    step.heard_by().and_then(process).is_some_and(|process| !process.is_slow)
}

fn at_any_time(world: &World<'_>, moves: &mut Vec<Move>) {
    for (index, member) in world.members.iter().enumerate() {
        let id = u8::try_from(index).expect("few members");
        if let Some(process) = &member.process {
            let first = moves.len();
            of_process(world, process, id, moves);
            let hears = moves[first..].iter().any(|step| step.heard_by().is_some());
            of_link(world, process, hears, id, moves);
            of_child(world, process, id, moves);
        } else if member.can_boot {
            moves.push(Move::Boot(id));
        }
        if world.zookeeper.queue.iter().any(|it| it.member == index && it.is_left_behind) {
            moves.push(Move::Expire(id));
        }
    }
    if world.published + 1 < world.scenario.published.len() {
        moves.push(Move::Publish);
    }
    if world.commands > 0 {
        commands(world, moves);
    }
}

fn of_link(world: &World<'_>, process: &Process, hears: bool, id: u8, moves: &mut Vec<Move>) {
    let has_faults = world.faults > 0;
    match process.link {
        Link::Connected => {}
        Link::Cut | Link::Lost => moves.push(Move::Connect(id)),
        Link::Expired => moves.push(Move::HearLost(id)),
    }
    if has_faults {
        moves.push(Move::Crash(id));
        if matches!(process.link, Link::Connected | Link::Cut) {
            moves.push(Move::EndSession(id));
        }
        let is_heard = process.is_changing() || hears && world.scenario.is_prompt;
        if is_heard && !process.is_slow {
            moves.push(Move::Delay(id));
        }
        if process.is_connected() {
            moves.push(Move::Cut(id));
            // The other changes are separate moves.
            let first = process.group.changes.first().map(|pending| pending.change);
            if matches!(first, Some(Change::Untouched | Change::Refuse { .. })) {
                moves.push(Move::CutAfterChange(id));
            }
        }
    }
}

fn of_process(world: &World<'_>, process: &Process, id: u8, moves: &mut Vec<Move>) {
    let (zookeeper, index) = (&world.zookeeper, usize::from(id));
    let phase = process.rollout.phase();
    if phase == Phase::Installing {
        moves.push(Move::Install(id));
    }
    if !process.is_connected() || phase == Phase::Leaving {
        return;
    }
    if phase == Phase::Rereading {
        moves.push(Move::ReadAgain(id));
    } else if process.seen != world.published {
        moves.push(Move::HearContent(id));
    }
    if !process.is_known(&zookeeper.known(process.group.followed)) {
        moves.push(Move::HearKnown(id));
    }
    if process.group.orders != zookeeper.orders(index) {
        moves.push(Move::HearOrders(id));
    }
    let permit = &process.permit;
    if permit.is_wanted {
        let limit = if permit.needs_head { 1 } else { world.scenario.holders };
        match zookeeper.place(index) {
            Some(place) if place < limit && !permit.is_held && !is_changing(world, index) => {
                moves.push(Move::Grant(id));
            }
            None if permit.has_contender => moves.push(Move::HearBroken(id)),
            _ => {}
        }
    }
    match process.group.outcome {
        Some(_) => moves.push(Move::Answer(id)),
        None if !process.group.changes.is_empty() => moves.push(Move::Change(id)),
        None => {}
    }
}

/// Whether another member makes a change: it is quicker than a new holder of the permit.
fn is_changing(world: &World<'_>, index: usize) -> bool {
    let others = world.members.iter().enumerate().filter(|(other, _)| *other != index);
    let mut others = others.filter_map(|(_, member)| member.process.as_ref());
    others.any(Process::is_changing)
}

fn of_child(world: &World<'_>, process: &Process, id: u8, moves: &mut Vec<Move>) {
    let (scenario, child) = (world.scenario, &process.child);
    let works = scenario.works(child.content);
    let ends = !works && scenario.quality == Quality::Exits;
    match child.state {
        ChildState::Stopping => moves.push(Move::Gone(id)),
        ChildState::Up if ends => moves.push(Move::ChildEnds(id)),
        ChildState::Up if works && child.is_checked && !process.rollout.is_confirmed() => {
            moves.push(Move::Healthy(id));
        }
        ChildState::Up | ChildState::Down => {}
    }
    let is_soaking = matches!(process.rollout.phase(), Phase::Soaking { .. });
    let is_hanging = !works && scenario.quality == Quality::Hangs;
    if process.rollout.deadline().is_some() && (is_soaking || is_hanging || scenario.is_slow) {
        moves.push(Move::Tick(id));
    }
}

fn commands(world: &World<'_>, moves: &mut Vec<Move>) {
    let zookeeper = &world.zookeeper;
    let wanted = world.wanted();
    moves.push(Move::Restart);
    moves.push(if zookeeper.is_paused { Move::Resume } else { Move::Pause });
    let processes = || world.members.iter().filter_map(|member| member.process.as_ref());
    let is_refused = zookeeper.is_refused(wanted);
    if !zookeeper.is_paused && (is_refused || processes().any(Process::has_failed)) {
        moves.push(Move::Retry);
    }
    for (index, member) in world.members.iter().enumerate() {
        // As `zkctl rollout skip` does.
        let can_skip = member.process.as_ref().is_some_and(|process| {
            let has_read = process.seen == world.published;
            has_read && (process.has_failed() || process.rollout.phase() == Phase::Refused)
        });
        if can_skip && zookeeper.skips[index] != Some(wanted) {
            moves.push(Move::Skip(u8::try_from(index).expect("few members")));
        }
    }
    for place in 0..zookeeper.queue.len().min(world.scenario.holders) {
        moves.push(Move::BreakLock(u8::try_from(place).expect("few members")));
    }
}

/// Whether the member has anything to hear.
pub(super) fn hears(world: &World<'_>, index: usize) -> bool {
    let mut moves = Vec::new();
    if let Some(process) = &world.members[index].process {
        of_process(world, process, u8::try_from(index).expect("few members"), &mut moves);
    }
    moves.iter().any(|step| step.heard_by().is_some())
}
