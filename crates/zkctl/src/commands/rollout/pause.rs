//! `zkctl rollout pause` and `resume`.

use super::orders::{Edited, Order, Report, TurnsArg, WhyArg, format_of};
use super::target::{GroupArg, Target};
use crate::connection::Connection;
use crate::format::OutputArgs;
use clap::Args;
use farm_core::cli::{Exit, Failure};

const PAUSE_EXAMPLES: &str = "\
Examples:
  zkctl rollout pause app --why 'looking at the latency'";

const RESUME_EXAMPLES: &str = "\
Examples:
  zkctl rollout resume app
  zkctl rollout resume app --ignore-hours 2h";

const PAUSE_NOTES: &str = "\
Nobody begins a turn in a paused group. A turn that is under way ends. A member whose turn has
failed tries nothing, also no new content. Children still start when their zkexec does.";

/// Let no member of a group begin a turn
#[derive(Debug, Args)]
#[command(before_help = PAUSE_EXAMPLES, after_help = PAUSE_NOTES)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    group: GroupArg,

    #[command(flatten)]
    why: WhyArg,
}

/// Let a paused group go on
#[derive(Debug, Args)]
#[command(before_help = RESUME_EXAMPLES)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    group: GroupArg,

    #[command(flatten)]
    turns: TurnsArg,
}

pub(super) fn pause(
    args: &PauseArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let target = args.group.target()?;
    let order = Order::new(target.clone(), &args.why);
    set_paused(target, order, true, output, connection)
}

pub(super) fn resume(
    args: &ResumeArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let target = args.group.target()?;
    let order = Order::for_turns(target.clone(), &args.turns);
    set_paused(target, order, false, output, connection)
}

fn set_paused(
    target: Target,
    order: Order,
    is_paused: bool,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let command = if is_paused { "pause" } else { "resume" };
    let format = format_of(output, &format!("rollout {command}"))?;
    let edited = connection.ask(move |client, deadline| {
        if !order.target().exists(client)? {
            return Ok(Err(order.target().missing()));
        }
        order.edit_control(client, deadline, |control| control.is_paused = is_paused)
    })?;
    let Edited { control, is_changed } = edited?;
    let group = &target.group;
    let state = if is_paused { "is paused" } else { "is not paused" };
    let (mut lines, mut notes) = (Vec::new(), Vec::new());
    if is_changed {
        lines.push(format!("{group} {state}"));
    } else {
        notes.push(format!("nothing to change: {group} {state}"));
    }
    let report = Report { command, is_changed, control, forgotten: Vec::new(), lines, notes };
    report.print(&target, format)
}
