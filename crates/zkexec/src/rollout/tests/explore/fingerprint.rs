//! Tells states apart.
//!
//! Two states that differ only in the names of the members are one. What a state has of a member
//! is hashed without its name, and the sum of all members does not depend on their order.

use super::super::*;
use super::member::{Member, Process};
use super::scenario::Content;
use super::world::{MEMBERS, World};
use super::zookeeper::TurnId;
use std::hash::{Hash, Hasher};

/// A quick hash; every state is hashed once for each way into it.
#[derive(Debug, Default)]
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let folded = product as u64 ^ (product >> 64) as u64;
        self.0 = folded.rotate_left(23);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.mix(word as u64);
    }
}

/// The same for all states that differ only in the names of the members.
pub(super) fn fingerprint(world: &World<'_>) -> u64 {
    let mut members = [0; MEMBERS];
    for (index, member) in world.members.iter().enumerate() {
        let mut mixer = Mixer(member.hash(hash_of));
        hash_relations(world, index, &mut mixer);
        members[index] = mixer.finish();
    }
    members.sort_unstable();
    let mut mixer = Mixer::default();
    members.hash(&mut mixer);
    let zookeeper = &world.zookeeper;
    (world.published, world.faults, world.commands, world.losses, world.round).hash(&mut mixer);
    (zookeeper.is_paused, zookeeper.restart, zookeeper.retry).hash(&mut mixer);
    zookeeper.queue.len().hash(&mut mixer);
    for record in &zookeeper.records {
        let known = record.as_ref().map(|it| (it.verdict, it.tries, it.round));
        known.hash(&mut mixer);
    }
    mixer.finish()
}

fn hash_of(member: &Member) -> u64 {
    let mut mixer = Mixer::default();
    hash_member(member, &mut mixer);
    mixer.finish()
}

fn hash_member(member: &Member, mixer: &mut Mixer) {
    (member.files, member.backup, member.saved, member.can_boot).hash(mixer);
    member.process.is_some().hash(mixer);
    if let Some(Process { rollout, link, permit, group, child, staged, seen, has_ended, is_slow }) =
        &member.process
    {
        hash_rollout(rollout, mixer);
        (link, permit, group, child).hash(mixer);
        (staged, seen, has_ended, is_slow).hash(mixer);
    }
}

/// Points in time do not count, because any time may pass between two moves.
fn hash_rollout(rollout: &Rollout<Content>, mixer: &mut Mixer) {
    let Rollout { phase, permit, child, contents, group, is_confirmed, confirm_by, .. } = rollout;
    std::mem::discriminant(phase).hash(mixer);
    (permit, child, contents, group).hash(mixer);
    (is_confirmed, confirm_by.is_some(), rollout.deadline().is_some()).hash(mixer);
    rollout.is_rolled_back.hash(mixer);
}

/// What the rest of the world has of that member.
fn hash_relations(world: &World<'_>, index: usize, mixer: &mut Mixer) {
    let number =
        |turn: &Option<TurnId>| turn.filter(|turn| turn.member == index).map(|turn| turn.number);
    for contender in &world.zookeeper.queue {
        (contender.member == index, contender.is_left_behind).hash(mixer);
    }
    for record in world.zookeeper.records.iter().flatten() {
        record.trials.each_ref().map(number).hash(mixer);
        number(&record.refused_in).hash(mixer);
    }
    (world.zookeeper.skips[index], world.ran[index]).hash(mixer);
}
