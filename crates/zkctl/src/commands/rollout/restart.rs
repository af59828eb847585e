//! `zkctl rollout restart`: every member restarts its child, one after the other.

use super::judgement::listed;
use super::look::Look;
use super::orders::{Edited, Order, Performed, Report, TurnsArg, format_of};
use super::target::GroupArg;
use crate::connection::Connection;
use crate::format::OutputArgs;
use clap::Args;
use farm_core::cli::{Exit, Failure};
use farm_core::farm::rollout::MemberState;
use farm_core::session::Client;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  zkctl rollout restart app --why 'new OpenSSL'
  zkctl rollout restart app --ignore-hours 2h && zkctl rollout wait app";

const NOTES: &str = "\
Each member takes a turn and restarts its child on what it runs, whatever --on-change says. While
a member has not done the last restart yet, another one changes nothing.";

/// Restart the child of every member, in turn
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(super) struct RestartArgs {
    #[command(flatten)]
    group: GroupArg,

    /// Restart once more, also if the last restart is not done yet
    #[arg(long)]
    again: bool,

    #[command(flatten)]
    turns: TurnsArg,
}

/// What to do about a group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    /// The number of the restart.
    goal: u64,
    members: usize,
    /// The members that have not done the last restart; then there is no other one.
    behind: Vec<String>,
    notes: Vec<String>,
}

pub(super) fn restart(
    args: &RestartArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let target = args.group.target()?;
    let format = format_of(output, "rollout restart")?;
    let order = Order::for_turns(target.clone(), &args.turns);
    let is_again = args.again;
    let made = move |look: &Look| Plan::of(look, is_again);
    let (edited, plan) =
        order.carry_out(connection, Look::take_without_contents, made, Plan::perform)?;
    let Edited { control, is_changed } = edited;
    let Plan { goal, members, behind, mut notes } = plan;
    let group = &target.group;
    let mut lines = Vec::new();
    if behind.is_empty() {
        let members = if members == 1 { "1 member" } else { &format!("{members} members") };
        lines.push(format!("{group}: restart {goal} is ordered for {members}"));
    } else {
        let behind = listed(behind.iter().map(String::as_str));
        notes.insert(0, format!("restart {goal} of {group} is not done yet: {behind}"));
        notes.push("--again has them restart once more".to_owned());
    }
    let report =
        Report { command: "restart", is_changed, control, forgotten: Vec::new(), lines, notes };
    report.print(&target, format)
}

impl Plan {
    fn of(look: &Look, is_again: bool) -> Result<Self, Failure> {
        let Look { group, control, members, .. } = look;
        if members.is_empty() {
            return Err(Failure::new(Exit::No, format!("{group} has no member"))
                .hint("only members that zkexec runs with --lock can be restarted"));
        }
        let behind = members.iter().filter(|member| member.is_behind(control) && !is_again);
        let behind: Vec<String> = behind.map(|member| member.id.clone()).collect();
        // Somebody may have deleted the state of the group. Members go by the numbers that they had.
        let done = members.iter().filter_map(|member| member.record.restarted).max();
        let goal = if behind.is_empty() {
            control.restart.max(done.unwrap_or_default()).saturating_add(1)
        } else {
            control.restart
        };
        Ok(Self { goal, members: members.len(), behind, notes: notes(look) })
    }

    fn perform(&self, order: &Order, client: &Client, deadline: Instant) -> Performed {
        order.edit_control(client, deadline, |control| {
            control.restart = control.restart.max(self.goal);
        })
    }
}

/// What a restart has to wait for.
fn notes(look: &Look) -> Vec<String> {
    let group = &look.group;
    let ids = look.ids_by_session();
    let holders = look.queue.iter().filter(|place| place.is_turn);
    let failed = holders
        .filter_map(|place| look.member(ids.get(&place.znode.stat.ephemeral_owner)?))
        .find(|member| member.record.state == Some(MemberState::Failed));
    let mut notes = Vec::new();
    notes.extend(failed.map(|member| format!("it waits for {}, whose turn has failed", member.id)));
    if look.control.is_paused {
        notes.push(format!("{group} is paused: it begins after zkctl rollout resume {group}"));
    }
    let strangers: Vec<String> = look.strangers().map(|place| place.znode.owner()).collect();
    if !strangers.is_empty() {
        let strangers = listed(strangers.iter().map(String::as_str));
        notes.push(format!("contenders without a member do not take part: {strangers}"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NEW, control, failed_group, in_state, look, queue};
    use super::*;
    use serde_json::json;

    #[test]
    fn one_restart_at_a_time_unless_it_is_wanted_again() {
        let group = |restart: u64| {
            let members =
                ["a", "b"].map(|id| in_state(id, "running", NEW, NEW)).into_iter().collect();
            look(members, control(&json!({"restart": restart})))
        };
        for (restart, is_again, goal, behind) in [
            // The group has forgotten the four that its members have done.
            (0, false, 5, &[][..]),
            (4, false, 5, &[]),
            (5, false, 5, &["a", "b"]),
            (5, true, 6, &[]),
            (u64::MAX, true, u64::MAX, &[]),
        ] {
            let plan = Plan::of(&group(restart), is_again).unwrap();
            assert_eq!((plan.goal, plan.members), (goal, 2), "{restart} {is_again}");
            assert_eq!(plan.behind, behind, "{restart} {is_again}");
        }
        assert_eq!(Plan::of(&Look::default(), true).unwrap_err().exit(), Exit::No);
    }

    #[test]
    fn it_tells_what_it_waits_for() {
        let plan = Plan::of(&failed_group(), true).unwrap();
        assert_eq!(
            plan.notes,
            [
                "it waits for web-2, whose turn has failed",
                "app is paused: it begins after zkctl rollout resume app",
                "contenders without a member do not take part: session=0x63",
            ]
        );
        let mut look = failed_group();
        look.control.is_paused = false;
        // The one that has failed has given its lock away.
        look.queue = queue(&[("ex1", 3, "")]);
        assert_eq!(Plan::of(&look, true).unwrap().notes, [""; 0]);
    }
}
