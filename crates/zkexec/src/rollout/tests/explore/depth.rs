//! The search of scenarios with more states than can be remembered whole.
//!
//! Depth first: of the states that were seen, only the hashes are kept. The moves that happen by
//! themselves lead nowhere that the path has been before, or they could go on for ever.

use super::check::{unrest, violation};
use super::fingerprint::fingerprint;
use super::moves::{Move, possible};
use super::scenario::Scenario;
use super::search::{Seen, describe};
use super::world::World;
use std::collections::HashSet;

/// A set of hashes, none of which is 0. It takes half the memory of the one of the library.
struct Hashes {
    slots: Vec<u64>,
    len: usize,
}

impl Hashes {
    fn new() -> Self {
        Self { slots: vec![0; 1 << 16], len: 0 }
    }

    /// Returns whether it is new.
    fn insert(&mut self, hash: u64) -> bool {
        if self.len * 5 >= self.slots.len() * 4 {
            let twice = vec![0; self.slots.len() * 2];
            self.len = 0;
            for hash in std::mem::replace(&mut self.slots, twice).into_iter().filter(|it| *it != 0)
            {
                self.insert(hash);
            }
        }
        let slots = self.slots.len() as u128;
        let mut at = usize::try_from((u128::from(hash) * slots) >> 64).expect("a position");
        loop {
            match self.slots[at] {
                0 => {
                    self.slots[at] = hash;
                    self.len += 1;
                    return true;
                }
                found if found == hash => return false,
                _ => at = (at + 1) % self.slots.len(),
            }
        }
    }
}

/// A state on the path, and the moves from there.
struct Node<'a> {
    world: World<'a>,
    hash: u64,
    moves: Vec<Move>,
    /// How many of them were made.
    made: usize,
}

struct Search<'a> {
    scenario: &'a Scenario,
    hashes: Hashes,
    path: Vec<Node<'a>>,
    on_path: HashSet<u64>,
    seen: Seen,
}

/// Visits the states, up to that many.
///
/// # Errors
///
/// The story of the first violation that was found, which need not be the shortest.
pub(super) fn explore(scenario: &Scenario, states_max: usize) -> Result<Seen, String> {
    let mut search = Search {
        scenario,
        hashes: Hashes::new(),
        path: Vec::new(),
        on_path: HashSet::new(),
        seen: Seen { is_all: true, ..Seen::default() },
    };
    search.visit(World::new(scenario))?;
    while let Some(node) = search.path.last_mut() {
        if search.hashes.len >= states_max {
            search.seen.is_all = false;
            break;
        }
        match node.moves.get(node.made) {
            Some(step) => {
                let next = node.world.after(*step);
                node.made += 1;
                search.visit(next)?;
            }
            None => {
                search.on_path.remove(&node.hash);
                search.path.pop();
            }
        }
    }
    search.seen.states = search.hashes.len;
    Ok(search.seen)
}

impl<'a> Search<'a> {
    fn visit(&mut self, world: World<'a>) -> Result<(), String> {
        let hash = fingerprint(&world).max(1);
        if !self.hashes.insert(hash) {
            let is_circle = self.on_path.contains(&hash);
            return if is_circle { Err(self.story("it can go on for ever")) } else { Ok(()) };
        }
        if let Some(why) = violation(&world) {
            return Err(self.story(&why));
        }
        let mut moves = Vec::new();
        possible(&world, &mut moves);
        if moves.iter().all(|step| step.is_choice()) {
            self.seen.resting += 1;
            if let Some(why) = unrest(&world) {
                return Err(self.story(&why));
            }
        }
        self.on_path.insert(hash);
        self.path.push(Node { world, hash, moves, made: 0 });
        Ok(())
    }

    /// What has happened on the path.
    fn story(&self, why: &str) -> String {
        let lines = self.path.iter().map(|node| {
            let step =
                node.made.checked_sub(1).map_or(String::new(), |at| node.moves[at].to_string());
            format!("  {} then {step}", describe(&node.world))
        });
        let lines: Vec<String> = lines.collect();
        format!("{}: {why}\n{}", self.scenario, lines.join("\n"))
    }
}
