//! The search through all states of a scenario.
//!
//! Breadth first, so that the first violation has the shortest story.

use super::check::{unrest, violation};
use super::fingerprint::fingerprint;
use super::moves::{Move, possible};
use super::scenario::Scenario;
use super::world::World;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// The key is a hash already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("the keys are numbers");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// How a state was reached first.
#[derive(Debug, Clone, Copy)]
struct Origin {
    before: u32,
    step: Move,
}

/// What a search has seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) states: usize,
    /// Those in which nothing goes on by itself.
    pub(super) resting: usize,
    /// Whether all states were seen.
    pub(super) is_all: bool,
}

struct Search<'a> {
    scenario: &'a Scenario,
    numbers: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    /// `None` for the start.
    origins: Vec<Option<Origin>>,
    waiting: VecDeque<(u32, World<'a>)>,
    /// Where the moves lead that happen by themselves, from one state after the other.
    next: Vec<u32>,
    /// Where those of a state end in that list.
    ends: Vec<usize>,
}

/// Visits the states, up to that many.
///
/// # Errors
///
/// The story of the first violation.
pub(super) fn explore(scenario: &Scenario, states_max: usize) -> Result<Seen, String> {
    let mut search = Search {
        scenario,
        numbers: HashMap::default(),
        origins: Vec::new(),
        waiting: VecDeque::new(),
        next: Vec::new(),
        ends: Vec::new(),
    };
    search.visit(World::new(scenario), None)?;
    let mut seen = Seen { is_all: true, ..Seen::default() };
    let mut moves = Vec::new();
    while let Some((number, world)) = search.waiting.pop_front() {
        if search.origins.len() >= states_max {
            seen.is_all = false;
            break;
        }
        moves.clear();
        possible(&world, &mut moves);
        if moves.iter().all(|step| step.is_choice()) {
            seen.resting += 1;
            if let Some(why) = unrest(&world) {
                return Err(search.story(number, &why));
            }
        }
        for step in &moves {
            let origin = Origin { before: number, step: *step };
            let next = search.visit(world.after(*step), Some(origin))?;
            if !step.is_choice() {
                search.next.push(next);
            }
        }
        search.ends.push(search.next.len());
    }
    seen.states = search.origins.len();
    // The states that were left out may lead to others.
    match if seen.is_all { search.circle() } else { None } {
        None => Ok(seen),
        Some(circle) => Err(search.circle_story(&circle)),
    }
}

impl<'a> Search<'a> {
    /// Returns the number of the state.
    fn visit(&mut self, world: World<'a>, origin: Option<Origin>) -> Result<u32, String> {
        let next = u32::try_from(self.origins.len()).expect("few enough states");
        match self.numbers.entry(fingerprint(&world)) {
            Entry::Occupied(entry) => return Ok(*entry.get()),
            Entry::Vacant(entry) => entry.insert(next),
        };
        self.origins.push(origin);
        if let Some(why) = violation(&world) {
            return Err(self.story(next, &why));
        }
        self.waiting.push_back((next, world));
        Ok(next)
    }

    /// Where the moves of a state lead that happen by themselves.
    fn next_of(&self, number: u32) -> &[u32] {
        let at = number as usize;
        let first = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.next[first..self.ends[at]]
    }

    /// States that lead to each other by themselves, in a circle.
    fn circle(&self) -> Option<Vec<u32>> {
        let numbers = 0..u32::try_from(self.ends.len()).expect("few enough states");
        let mut into = vec![0_u32; self.origins.len()];
        for to in &self.next {
            into[*to as usize] += 1;
        }
        // A state to which no other one leads is in no circle.
        let mut free: Vec<u32> = numbers.clone().filter(|it| into[*it as usize] == 0).collect();
        while let Some(number) = free.pop() {
            for to in self.next_of(number) {
                into[*to as usize] -= 1;
                if into[*to as usize] == 0 {
                    free.push(*to);
                }
            }
        }
        // To each state that is left, another one leads that is left: backwards, there is no end.
        let is_left = |number: u32| into[number as usize] > 0;
        let before = |to: u32| {
            let leads = |from: &u32| is_left(*from) && self.next_of(*from).contains(&to);
            numbers.clone().find(leads)
        };
        let mut walk = vec![numbers.clone().find(|it| is_left(*it))?];
        loop {
            let from = before(*walk.last()?)?;
            let earlier = walk.iter().position(|other| *other == from);
            walk.push(from);
            if let Some(at) = earlier {
                let mut circle = walk.split_off(at);
                circle.reverse();
                return Some(circle);
            }
        }
    }

    fn circle_story(&self, circle: &[u32]) -> String {
        let story = self.story(circle[0], "it can go on for ever");
        let mut lines = vec![story, "  and from there, again and again:".to_owned()];
        let mut world = self.world(circle[0]).0;
        for next in &circle[1..] {
            let mut moves = Vec::new();
            possible(&world, &mut moves);
            let is_next =
                |step: &Move| self.numbers.get(&fingerprint(&world.after(*step))) == Some(next);
            let Some(step) = moves.into_iter().find(is_next) else { break };
            world = world.after(step);
            lines.push(format!("  {:<22} {}", step.to_string(), describe(&world)));
        }
        lines.join("\n")
    }

    /// What has happened up to that state.
    fn story(&self, last: u32, why: &str) -> String {
        let mut lines = vec![format!("{}: {why}", self.scenario)];
        lines.extend(self.world(last).1);
        lines.join("\n")
    }

    /// A state and the way there.
    fn world(&self, last: u32) -> (World<'a>, Vec<String>) {
        let mut steps = Vec::new();
        let mut at = last;
        while let Some(Origin { before, step }) = self.origins[at as usize] {
            steps.push(step);
            at = before;
        }
        let mut world = World::new(self.scenario);
        let mut lines = Vec::new();
        for step in steps.into_iter().rev() {
            world = world.after(step);
            lines.push(format!("  {:<22} {}", step.to_string(), describe(&world)));
        }
        (world, lines)
    }
}

pub(super) fn describe(world: &World<'_>) -> String {
    let mut text = String::new();
    for member in &world.members {
        let phase = member.process.as_ref().map(|process| process.rollout.phase());
        let phase = phase.map_or("-".to_owned(), |phase| format!("{phase:?}"));
        let phase = phase.split(' ').next().unwrap_or_default().to_owned();
        text += &format!("{phase:<15}");
    }
    let queue: Vec<String> = world
        .zookeeper
        .queue
        .iter()
        .map(|it| format!("{}{}", it.member, if it.is_left_behind { "'" } else { "" }))
        .collect();
    let wanted = world.wanted();
    let record = world.zookeeper.record(wanted);
    let record = record.map_or("unknown".to_owned(), |record| {
        let triers = record.trials.iter().flatten().map(|turn| turn.member.to_string());
        let triers: Vec<String> = triers.collect();
        format!("{:?} in round {} by [{}]", record.verdict, record.round, triers.join(" "))
    });
    text + &format!("queue [{}], {wanted:?} {record}", queue.join(" "))
}
