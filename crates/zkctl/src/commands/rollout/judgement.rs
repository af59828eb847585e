//! Whether a rollout is done, and whether it can still get there by itself.
//!
//! **Invariant.** Done is said of one look alone, in which no member has anything left to do.

use super::look::{Look, Member};
use farm_core::cli::{Exit, Failure};
use farm_core::farm::rollout::{Control, MemberState, Verdict, Version};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// After this time a member that has failed on what it runs stays so: it has had the time to
/// notice a retry.
const SETTLED: Duration = Duration::from_secs(3);
/// The same for one that has failed on anything else: it may be about to try newer content, or try
/// again by itself.
const SETTLED_ELSEWHERE: Duration = Duration::from_secs(30);

/// How many members are named in a message.
const NAMES_MAX: usize = 3;

/// What a look says about the end of a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    /// No member has anything left to do.
    Done,
    /// It may get there by itself.
    Pending,
    /// It does not, without an operator.
    Stuck(Obstacle),
}

/// Why a rollout does not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    NoMember,
    Refused { id: String, version: Version, by: Option<String>, reason: Option<String> },
    Failed { id: String, version: Option<Version>, reason: Option<String> },
    Paused { ids: Vec<String>, by: Option<String>, why: Option<String> },
    Skipped { ids: Vec<String>, version: Option<Version> },
}

/// Judges one look. `is_settled` tells whether a member that has failed will stay so.
pub(super) fn judge(look: &Look, is_settled: impl Fn(&Member) -> bool) -> Judgement {
    let Look { control, members, versions, .. } = look;
    if members.is_empty() {
        return Judgement::Stuck(Obstacle::NoMember);
    }
    let undone: Vec<&Member> = members.iter().filter(|member| !member.is_done(control)).collect();
    if undone.is_empty() && look.strangers().next().is_none() {
        return Judgement::Done;
    }
    let (skipped, others): (Vec<&Member>, Vec<&Member>) =
        undone.into_iter().partition(|member| member.is_skipped(control));
    let idle = || others.iter().copied().filter(|member| !is_under_way(member.record.state));
    let refused = idle().filter(|member| !member.is_confirmed()).find_map(|member| {
        let (version, record) = versions.get_key_value(&member.wanted?)?;
        (record.verdict == Verdict::Refused).then(|| Obstacle::Refused {
            id: member.id.clone(),
            version: *version,
            by: record.by.clone(),
            reason: record.reason.clone(),
        })
    });
    let failed = || {
        let failed = |member: &&Member| member.record.state == Some(MemberState::Failed);
        idle().filter(failed).find(|member| is_settled(member)).map(|member| Obstacle::Failed {
            id: member.id.clone(),
            version: member.wanted,
            reason: member.record.reason.clone(),
        })
    };
    let ids = |members: &mut dyn Iterator<Item = &Member>| -> Vec<String> {
        members.map(|member| member.id.clone()).collect()
    };
    let paused = || {
        let ids = ids(&mut idle().filter(|_| control.is_paused));
        let (by, why) = (control.by.clone(), control.why.clone());
        (!ids.is_empty()).then_some(Obstacle::Paused { ids, by, why })
    };
    let left_out = || {
        let is_all = others.is_empty() && look.strangers().next().is_none();
        let version = skipped.first()?.wanted;
        is_all.then(|| Obstacle::Skipped { ids: ids(&mut skipped.iter().copied()), version })
    };
    let obstacle = refused.or_else(failed).or_else(paused).or_else(left_out);
    obstacle.map_or(Judgement::Pending, Judgement::Stuck)
}

/// Whether a member is in the middle of a step that ends by itself, also in a paused group.
const fn is_under_way(state: Option<MemberState>) -> bool {
    matches!(
        state,
        Some(
            MemberState::Starting
                | MemberState::Restarting
                | MemberState::Unconfirmed
                | MemberState::Soaking
                | MemberState::Stopping
        )
    )
}

impl Obstacle {
    /// One word for it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::NoMember => "no-member",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Paused { .. } => "paused",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// The message about it.
    pub(super) fn failure(&self, group: &str) -> Failure {
        let no = |what: String| Failure::new(Exit::No, what);
        let because = |text: &Option<String>| {
            text.as_ref().map_or_else(String::new, |text| format!(": {text}"))
        };
        let by = |who: &Option<String>| {
            who.as_ref().map_or_else(String::new, |who| format!(" by {who}"))
        };
        match self {
            Self::NoMember => no(format!("{group} has no member"))
                .hint("only members that zkexec runs with --lock can be waited for"),
            Self::Refused { id, version, by: who, reason } => {
                no(format!("version {version} is refused{}{}", by(who), because(reason)))
                    .during(format!("{id} can't go on"))
                    .hint(format!("zkctl rollout retry {group} has it tried again"))
            }
            Self::Failed { id, version, reason } => {
                let version = version.map_or_else(String::new, |v| format!(" on version {v}"));
                no(format!("{id} has failed{version}{}", because(reason))).hint(format!(
                    "zkctl rollout retry {group}, or zkctl rollout skip {group} {id}"
                ))
            }
            Self::Paused { ids, by: who, why } => {
                let ids = listed(ids.iter().map(String::as_str));
                no(format!("{group} is paused{}{}; not done: {ids}", by(who), because(why)))
                    .hint(format!("zkctl rollout resume {group} lets it go on"))
            }
            Self::Skipped { ids, version } => {
                let version = version.map_or_else(String::new, |v| format!(" version {v}"));
                let ids = listed(ids.iter().map(String::as_str));
                no(format!("all others are done, and{version} is skipped on {ids}"))
            }
        }
    }
}

/// The first of these names, and how many more there are.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names;
    let mut text: Vec<String> = names.by_ref().take(NAMES_MAX).map(str::to_owned).collect();
    let more = names.count();
    text.extend((more > 0).then(|| format!("and {more} more")));
    text.join(", ")
}

/// Since when members are known to have failed.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<String, (Attempt, Instant)>);

/// What changes when a failed member has something else to try.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attempt {
    since_ms: Option<i64>,
    wanted: Option<Version>,
    orders: (u64, u64),
    round: u64,
}

impl Failures {
    /// Takes note of the members that have failed.
    pub(super) fn note(&mut self, look: &Look, now: Instant) {
        let is_failed = |member: &&Member| member.record.state == Some(MemberState::Failed);
        let mut before = std::mem::take(&mut self.0);
        for member in look.members.iter().filter(is_failed) {
            let Control { restart, retry, .. } = look.control;
            let known = member.wanted.and_then(|wanted| look.versions.get(&wanted));
            let attempt = Attempt {
                since_ms: member.record.since_ms,
                wanted: member.wanted,
                orders: (restart, retry),
                round: known.map_or(0, |record| record.round),
            };
            let at = match before.remove(&member.id) {
                Some((former, at)) if former == attempt => at,
                _ => now,
            };
            self.0.insert(member.id.clone(), (attempt, at));
        }
    }

    /// Whether a member that has failed will stay so.
    pub(super) fn is_settled(&self, member: &Member, now: Instant) -> bool {
        let has_run = member.record.versions.running == member.wanted && member.wanted.is_some();
        let least = if has_run { SETTLED } else { SETTLED_ELSEWHERE };
        self.0.get(&member.id).is_some_and(|(_, at)| now.saturating_duration_since(*at) >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NEW, OLD, control, in_state, known, look, queue, version};
    use super::*;
    use serde_json::{Value, json};

    fn judged(members: Vec<Member>, control_value: &Value, verdict: Option<Value>) -> Judgement {
        let versions = verdict.into_iter().map(|verdict| known(NEW, &verdict)).collect();
        judge(&Look { versions, ..look(members, control(control_value)) }, |_| true)
    }

    /// What a judgement says in one word, and of whom.
    fn word(judgement: Judgement) -> String {
        match judgement {
            Judgement::Done => "done".to_owned(),
            Judgement::Pending => "pending".to_owned(),
            Judgement::Stuck(obstacle) => {
                let whom = match &obstacle {
                    Obstacle::NoMember => "",
                    Obstacle::Refused { id, .. } | Obstacle::Failed { id, .. } => id,
                    Obstacle::Paused { ids, .. } | Obstacle::Skipped { ids, .. } => &ids.join("+"),
                };
                format!("{} {whom}", obstacle.name()).trim_end().to_owned()
            }
        }
    }

    const STATES: [&str; 14] = [
        "starting",
        "running",
        "off-hours",
        "waiting",
        "blocked",
        "restarting",
        "unconfirmed",
        "soaking",
        "failed",
        "refused",
        "paused",
        "skipped",
        "stopping",
        "dancing",
    ];

    /// A member that is done, and one in each state that does not run the new content.
    #[test]
    fn waiting_ends_only_where_it_cannot_help() {
        let refused = || Some(json!({"verdict": "refused", "by": "b", "reason": "no"}));
        let trying = || Some(json!({"verdict": "trying", "tries": 1}));
        let (free, paused) = (json!({"restart": 4}), json!({"restart": 4, "paused": true}));
        let skip = json!({"restart": 4, "skip": {"b": NEW}});
        let old_skip = json!({"restart": 4, "skip": {"b": OLD}});
        let under_way = ["starting", "restarting", "unconfirmed", "soaking", "stopping"];
        for state in STATES {
            let all = || vec![in_state("a", "running", NEW, NEW), in_state("b", state, OLD, OLD)];
            let is_under_way = under_way.contains(&state);
            let unless_under_way =
                |text: &str| (if is_under_way { "pending" } else { text }).to_owned();
            let failed = if state == "failed" { "failed b" } else { "pending" };
            for (control, verdict, expected) in [
                (&free, None, failed.to_owned()),
                (&free, trying(), failed.to_owned()),
                (&free, refused(), unless_under_way("refused b")),
                (&old_skip, refused(), unless_under_way("refused b")),
                (&skip, refused(), "skipped b".to_owned()),
                (&skip, trying(), "skipped b".to_owned()),
                (
                    &paused,
                    trying(),
                    unless_under_way(if state == "failed" { "failed b" } else { "paused b" }),
                ),
            ] {
                let judgement = word(judged(all(), control, verdict.clone()));
                assert_eq!(judgement, expected, "{state} {control} {verdict:?}");
            }
        }
    }

    #[test]
    fn done_takes_every_member_and_every_condition() {
        let done = |id: &str| in_state(id, "running", NEW, NEW);
        let free = json!({"restart": 4});
        let judge_with = |last: Member| word(judged(vec![done("a"), last], &free, None));
        assert_eq!(judge_with(done("b")), "done");
        // A paused group in which there is nothing to do, and a refusal that came too late.
        let paused = json!({"paused": true});
        let refused = Some(json!({"verdict": "refused"}));
        assert_eq!(word(judged(vec![done("a")], &paused, refused)), "done");
        for last in [
            in_state("b", "running", NEW, OLD),
            in_state("b", "running", OLD, NEW),
            in_state("b", "soaking", NEW, NEW),
            in_state("b", "dancing", NEW, NEW),
            Member { wanted: Some(version(OLD)), ..done("b") },
            Member { wanted: None, ..done("b") },
            Member::default(),
        ] {
            assert_eq!(judge_with(last.clone()), "pending", "{last:?}");
        }
        assert_eq!(word(judged(vec![done("a")], &json!({"restart": 5}), None)), "pending");
        assert_eq!(word(judged(Vec::new(), &free, None)), "no-member");
    }

    #[test]
    fn a_contender_without_a_member_keeps_the_rollout_from_its_end() {
        let mut look =
            look(vec![in_state("a", "running", NEW, NEW)], control(&json!({"skip": {"b": NEW}})));
        look.members[0].owner = 7;
        look.queue = queue(&[("ex1", 7, "")]);
        assert_eq!(judge(&look, |_| true), Judgement::Done);
        look.queue = queue(&[("ex1", 7, ""), ("ex2", 8, "")]);
        assert_eq!(judge(&look, |_| true), Judgement::Pending);
        look.members.push(in_state("b", "skipped", OLD, OLD));
        assert_eq!(judge(&look, |_| true), Judgement::Pending);
        // Not one that nobody's session owns, either.
        look.queue = queue(&[("ex1", 0, "")]);
        assert_eq!(judge(&look, |_| true), Judgement::Pending);
    }

    #[test]
    fn a_restart_is_not_kept_back_by_a_refusal_of_what_runs() {
        let refused = Some(json!({"verdict": "refused"}));
        let behind = vec![in_state("a", "waiting", NEW, NEW)];
        assert_eq!(word(judged(behind, &json!({"restart": 5}), refused)), "pending");
    }

    #[test]
    fn a_failure_counts_once_the_member_had_the_time_to_try_again() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut look = look(
            vec![in_state("a", "failed", NEW, NEW), in_state("b", "failed", OLD, OLD)],
            control(&json!({"restart": 4})),
        );
        let mut failures = Failures::default();
        let settled = |failures: &Failures, look: &Look, now| {
            look.members.iter().map(|member| failures.is_settled(member, now)).collect::<Vec<_>>()
        };
        failures.note(&look, at(0));
        assert_eq!(settled(&failures, &look, at(2)), [false, false]);
        failures.note(&look, at(2));
        assert_eq!(settled(&failures, &look, at(3)), [true, false]);
        assert_eq!(settled(&failures, &look, at(30)), [true, true]);
        // An operator has it tried again, or it fails anew.
        look.control.retry = 1;
        look.members[1].record.since_ms = Some(1);
        failures.note(&look, at(30));
        assert_eq!(settled(&failures, &look, at(31)), [false, false]);
        look.members.clear();
        failures.note(&look, at(32));
        assert!(failures.0.is_empty());
    }

    #[test]
    fn messages_name_who_and_why() {
        let id = || "web-3".to_owned();
        let table = [
            (Obstacle::NoMember, "app has no member"),
            (
                Obstacle::Refused {
                    id: id(),
                    version: version(NEW),
                    by: Some("web-1".to_owned()),
                    reason: Some("it ended\nwith 3".to_owned()),
                },
                "web-3 can't go on: version fedcba987654 is refused by web-1: it ended\\nwith 3",
            ),
            (
                Obstacle::Failed { id: id(), version: Some(version(NEW)), reason: None },
                "web-3 has failed on version fedcba987654",
            ),
            (
                Obstacle::Paused {
                    ids: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
                    by: Some("ann@ops".to_owned()),
                    why: Some("lunch".to_owned()),
                },
                "app is paused by ann@ops: lunch; not done: a, b, c, and 2 more",
            ),
            (
                Obstacle::Skipped { ids: vec![id()], version: Some(version(NEW)) },
                "all others are done, and version fedcba987654 is skipped on web-3",
            ),
        ];
        for (obstacle, line) in table {
            let failure = obstacle.failure("app");
            assert_eq!((failure.line().as_str(), failure.exit()), (line, Exit::No));
        }
    }
}
