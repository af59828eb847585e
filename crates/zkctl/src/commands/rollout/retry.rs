//! `zkctl rollout retry`: what has failed is tried again.

use super::look::Look;
use super::orders::{Edited, Order, Performed, Report, TurnsArg, format_of};
use super::target::GroupArg;
use crate::connection::Connection;
use crate::format::OutputArgs;
use clap::Args;
use farm_core::cli::{Exit, Failure};
use farm_core::farm::rollout::{MemberState, Verdict, Version};
use farm_core::session::Client;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  zkctl rollout retry app
  zkctl rollout retry app && zkctl rollout wait app --for 10m";

const NOTES: &str = "\
The group forgets that it has refused what its members want. The member whose turn has failed
tries again in the turn that it holds; without one, the first in the queue does.";

/// Try again what a group has refused, or what has failed
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    group: GroupArg,

    #[command(flatten)]
    turns: TurnsArg,
}

/// What to try again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Plan {
    /// The refused versions.
    forget: Vec<Version>,
    /// The number of the retry for those that have failed on something else.
    goal: Option<u64>,
    /// The members that have failed on something else.
    failed: Vec<String>,
}

pub(super) fn retry(
    args: &RetryArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let target = args.group.target()?;
    let format = format_of(output, "rollout retry")?;
    let order = Order::for_turns(target.clone(), &args.turns);
    let (Edited { control, .. }, Plan { forget, failed, .. }) =
        order.carry_out(connection, Look::take, Plan::of, Plan::perform)?;
    let group = &target.group;
    let forgotten = forget.iter().map(|v| format!("{group}: version {v} may be tried again"));
    let again = failed.iter().map(|id| format!("{group}: {id} tries again"));
    let lines = forgotten.chain(again).collect();
    let report = Report {
        command: "retry",
        is_changed: true,
        control,
        forgotten: forget,
        lines,
        notes: Vec::new(),
    };
    report.print(&target, format)
}

impl Plan {
    fn of(look: &Look) -> Result<Self, Failure> {
        let Look { group, control, members, versions, .. } = look;
        let no = |what: String| Failure::new(Exit::No, what);
        if control.is_paused {
            return Err(no(format!("{group} is paused: nobody tries anything"))
                .hint(format!("zkctl rollout resume {group} lets it go on")));
        }
        let ids = look.ids_by_session();
        let head = look.queue.first();
        if let Some(head) = head.filter(|head| !ids.contains_key(&head.znode.stat.ephemeral_owner))
        {
            let (id, owner) = (head.contender.name(), head.znode.owner());
            let what = format!("the head of the queue of {group} is no member: {id} ({owner})");
            return Err(no(what).hint(format!("zkctl locks {group} --break {id} ends its turn")));
        }
        let is_refused = |version: &Version| {
            versions.get(version).map(|it| it.verdict) == Some(Verdict::Refused)
        };
        let forget: Vec<Version> = look.wanted().into_iter().filter(is_refused).collect();
        let failed = members.iter().filter(|member| {
            let is_failed = member.record.state == Some(MemberState::Failed);
            is_failed && !member.wanted.is_some_and(|wanted| forget.contains(&wanted))
        });
        let failed: Vec<String> = failed.map(|member| member.id.clone()).collect();
        if forget.is_empty() && failed.is_empty() {
            let what = "no wanted version is refused, and no member has failed";
            return Err(no(format!("nothing to retry in {group}: {what}")));
        }
        let goal = (!failed.is_empty()).then(|| control.retry.saturating_add(1));
        Ok(Self { forget, goal, failed })
    }

    /// The refusals are forgotten last: a member that has failed on a refused version does not
    /// react to the number, and tries once.
    fn perform(&self, order: &Order, client: &Client, deadline: Instant) -> Performed {
        let edited = order.edit_control(client, deadline, |control| {
            if let Some(goal) = self.goal {
                control.retry = control.retry.max(goal);
            }
        })?;
        if edited.is_ok() {
            self.forget.iter().try_for_each(|version| order.forget_refusal(client, *version))?;
        }
        Ok(edited)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NEW, OLD, control, in_state, known, look, queue, version};
    use super::*;
    use serde_json::json;

    fn group(states: &[(&str, &str)], verdict: &str) -> Look {
        let members = states.iter().map(|(id, state)| in_state(id, state, OLD, NEW)).collect();
        let versions = [known(NEW, &json!({"verdict": verdict, "by": "a"}))].into();
        Look { versions, ..look(members, control(&json!({"retry": 7}))) }
    }

    #[test]
    fn refusals_are_forgotten_and_other_failures_get_a_new_number() {
        let refused = Plan { forget: vec![version(NEW)], ..Plan::default() };
        let failed = Plan { goal: Some(8), failed: vec!["a".to_owned()], ..Plan::default() };
        for (states, verdict, plan) in [
            (&[("a", "failed"), ("b", "refused")][..], "refused", &refused),
            (&[("b", "refused")], "refused", &refused),
            (&[("a", "failed"), ("b", "waiting")], "trying", &failed),
            (&[("a", "failed")], "confirmed", &failed),
        ] {
            assert_eq!(Plan::of(&group(states, verdict)).unwrap(), *plan, "{states:?} {verdict}");
        }
        // Members with other sources: one has failed on a refused version, one on something else.
        let mut both = group(&[("a", "failed"), ("b", "failed")], "refused");
        both.members[0].wanted = Some(version(OLD));
        assert_eq!(Plan::of(&both).unwrap(), Plan { forget: refused.forget, ..failed });
    }

    #[test]
    fn where_nothing_can_be_tried_the_answer_is_no() {
        let line = |look: &Look| {
            let failure = Plan::of(look).unwrap_err();
            assert_eq!(failure.exit(), Exit::No);
            failure.line()
        };
        let nothing = group(&[("a", "running"), ("b", "waiting")], "trying");
        assert!(line(&nothing).starts_with("nothing to retry in app: "), "{}", line(&nothing));
        let mut failed = group(&[("a", "failed")], "refused");
        failed.members[0].owner = 1;
        failed.queue = queue(&[("ex1", 9, r#"{"host":"old-1"}"#), ("ex2", 1, "")]);
        assert_eq!(line(&failed), "the head of the queue of app is no member: ex1 (old-1)");
        failed.queue = queue(&[("ex1", 1, ""), ("ex2", 9, "")]);
        assert!(Plan::of(&failed).is_ok());
        failed.control.is_paused = true;
        assert_eq!(line(&failed), "app is paused: nobody tries anything");
    }
}
