//! The events of the main loop.

use crate::mirror;
use farm_core::farm::rollout::{publish, state};
use farm_core::farm::turn;
use farm_core::process::command::Finished;
use farm_core::session;

/// What a thread posts to the inbox of the main loop.
#[derive(Debug)]
pub(super) enum Event {
    Session(session::Event),
    Signal(i32),
    Mirrors(mirror::Answer),
    Turn(turn::Answer),
    Group(state::Answer),
    Published(publish::Answer),
    HealthCheckFinished(Finished),
    AlertFinished(Finished),
    ChangeCommandFinished(Finished),
    FileCheckFinished(Finished),
}
