//! `zkctl rollout skip`: one member leaves out a version that the others try.
//!
//! **Invariant.** That the member skips the version is written before the refusal is forgotten: so
//! it never tries it again in between.

use super::look::Look;
use super::orders::{Edited, Order, Performed, Report, WhyArg, format_of};
use super::target::GroupArg;
use super::wording::state_name;
use crate::connection::Connection;
use crate::format::OutputArgs;
use clap::Args;
use farm_core::cli::{Exit, Failure};
use farm_core::farm::rollout::{Control, MemberState, Verdict, Version};
use farm_core::session::Client;
use std::collections::BTreeMap;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  zkctl rollout skip app web-3 --why 'its disk is broken'";

const NOTES: &str = "\
The member gives its lock away and stays as it is until other content comes, and the group forgets
the refusal for the others. If another one refuses the content too, it is refused.";

/// Have a member that has failed leave out what the others try
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(super) struct SkipArgs {
    #[command(flatten)]
    group: GroupArg,

    /// The ID of the member, as in zkctl rollout status
    #[arg(value_name = "MEMBER")]
    member: String,

    #[command(flatten)]
    why: WhyArg,
}

/// What to skip.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    /// The member that skips it.
    id: String,
    version: Version,
    /// Whether the refusal of the version is forgotten.
    is_forgotten: bool,
    /// What the members want now.
    wanted: BTreeMap<String, Version>,
}

pub(super) fn skip(
    args: &SkipArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let target = args.group.target()?;
    let format = format_of(output, "rollout skip")?;
    let order = Order::new(target.clone(), &args.why);
    let member = args.member.clone();
    let made = move |look: &Look| Plan::of(look, &member);
    let (edited, plan) = order.carry_out(connection, Look::take, made, Plan::perform)?;
    let Edited { control, is_changed } = edited;
    let Plan { id, version, is_forgotten, .. } = plan;
    let group = &target.group;
    let forgotten = if is_forgotten { vec![version] } else { Vec::new() };
    let is_changed = is_changed || is_forgotten;
    let (mut lines, mut notes) = (Vec::new(), Vec::new());
    if is_changed {
        lines.push(format!("{group}: {id} skips version {version}"));
        lines.extend(
            is_forgotten.then(|| format!("{group}: the others may try version {version} again")),
        );
    } else {
        notes.push(format!("nothing to change: {id} skips version {version}"));
    }
    let report = Report { command: "skip", is_changed, control, forgotten, lines, notes };
    report.print(&target, format)
}

impl Plan {
    fn of(look: &Look, id: &str) -> Result<Self, Failure> {
        let group = &look.group;
        let no = |what: String| Failure::new(Exit::No, what);
        let member = look.member(id).ok_or_else(|| {
            no(format!("{group} has no member {id}"))
                .hint(format!("zkctl rollout status {group} shows their IDs"))
        })?;
        let version =
            member.wanted.ok_or_else(|| no(format!("{id} does not tell what it wants")))?;
        let known = look.versions.get(&version);
        let refused = known.filter(|record| record.verdict == Verdict::Refused);
        let is_skipped = member.is_skipped(&look.control);
        match member.record.state {
            // A command that was killed half-way has not forgotten the refusal.
            _ if is_skipped => {}
            Some(MemberState::Failed | MemberState::Refused)
                if member.record.versions.wanted != Some(version) =>
            {
                return Err(no(format!("{id} has not tried version {version} yet")));
            }
            Some(MemberState::Failed | MemberState::Refused) => {}
            state => {
                let state = state_name(state);
                return Err(no(format!("{id} has not failed: its state is {state}")));
            }
        }
        let is_by_others = |by: &String| is_skipped && by != id;
        let is_forgotten =
            refused.is_some_and(|record| !record.by.as_ref().is_some_and(is_by_others));
        let wanted = look.members.iter().filter_map(|it| Some((it.id.clone(), it.wanted?)));
        Ok(Self { id: id.to_owned(), version, is_forgotten, wanted: wanted.collect() })
    }

    fn perform(&self, order: &Order, client: &Client, deadline: Instant) -> Performed {
        let edited = order.edit_control(client, deadline, |control| self.change(control))?;
        if edited.is_ok() && self.is_forgotten {
            order.forget_refusal(client, self.version)?;
        }
        Ok(edited)
    }

    /// Other members no longer skip what they do not want any more: should the content come back,
    /// it is tried like any other.
    fn change(&self, control: &mut Control) {
        let is_current = |id: &String, version: &mut Version| {
            self.wanted.get(id).is_none_or(|wanted| wanted == version)
        };
        control.skip.retain(is_current);
        control.skip.insert(self.id.clone(), self.version);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NEW, OLD, control, in_state, known, look, version};
    use super::*;
    use farm_core::farm::rollout::Control;
    use serde_json::{Value, json};

    fn group(state: &str, skip: &Value, verdict: &Value) -> Look {
        let members = vec![in_state("a", "running", NEW, NEW), in_state("b", state, OLD, NEW)];
        let versions = [known(NEW, verdict)].into();
        Look { versions, ..look(members, control(&json!({"skip": skip}))) }
    }

    #[test]
    fn a_member_that_has_failed_can_skip_and_the_others_try_again() {
        let refused = |by: &str| json!({"verdict": "refused", "by": by});
        let trying = json!({"verdict": "trying"});
        let (nothing, own, old) = (json!({}), json!({"b": NEW}), json!({"b": OLD}));
        for (state, skip, verdict, is_forgotten) in [
            ("failed", &nothing, &refused("b"), true),
            ("failed", &nothing, &refused("c"), true),
            ("failed", &old, &refused("b"), true),
            ("refused", &nothing, &refused("c"), true),
            ("failed", &nothing, &trying, false),
            // The command was killed half-way, or somebody else refuses it too.
            ("skipped", &own, &refused("b"), true),
            ("skipped", &own, &refused("c"), false),
            ("skipped", &own, &trying, false),
        ] {
            let plan = Plan::of(&group(state, skip, verdict), "b").unwrap();
            let case = format!("{state} {skip} {verdict}");
            assert_eq!((plan.version, plan.is_forgotten), (version(NEW), is_forgotten), "{case}");
        }
    }

    #[test]
    fn who_has_not_failed_on_what_is_wanted_can_not_skip() {
        let trying = json!({"verdict": "trying"});
        let line = |look: &Look, id: &str| {
            let failure = Plan::of(look, id).unwrap_err();
            assert_eq!(failure.exit(), Exit::No);
            failure.line()
        };
        let mut look = group("waiting", &json!({}), &trying);
        assert_eq!(line(&look, "b"), "b has not failed: its state is waiting");
        assert_eq!(line(&look, "c"), "app has no member c");
        look.members[1].wanted = None;
        assert_eq!(line(&look, "b"), "b does not tell what it wants");
        look = group("failed", &json!({}), &trying);
        look.members[1].wanted = Some(version(OLD));
        assert_eq!(line(&look, "b"), format!("b has not tried version {OLD} yet"));
    }

    #[test]
    fn what_others_no_longer_want_they_no_longer_skip() {
        let plan = Plan::of(&group("failed", &json!({}), &json!({"verdict": "trying"})), "b");
        let mut control: Control = control(&json!({"skip": {"a": OLD, "gone": OLD}}));
        plan.unwrap().change(&mut control);
        let skip: Vec<_> = control.skip.into_iter().collect();
        assert_eq!(skip, [("b".to_owned(), version(NEW)), ("gone".to_owned(), version(OLD))]);
    }
}
