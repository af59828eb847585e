//! `zkctl rollout wait`: waits until a rollout is done.

use super::judgement::{Failures, Judgement, Obstacle, judge, listed};
use super::look::{Look, Member};
use super::orders::format_of;
use super::target::{GroupArg, Target};
use super::wording::state_name;
use crate::commands::znode_stat::object;
use crate::connection::Connection;
use crate::format::{Layout, OutputArgs, OutputFormat};
use crate::output::Output;
use clap::Args;
use farm_core::cli::{Exit, Failure, parse_limit};
use farm_core::farm::rollout::Version;
use farm_core::model::Value;
use farm_core::session::SessionError;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  zkctl put /conf/app app.conf && zkctl rollout wait app
  zkctl rollout wait app --for 10m
  zkctl rollout restart app && zkctl rollout wait app --for 1h -o json";

const NOTES: &str = "\
It ends with 0 when every member runs, confirmed, what its sources in ZooKeeper hold, and has done
the last restart. It ends with 1 when it does not get there without an operator: a member has failed
or wants what is refused, the group is paused or has no member, or all but skipped members are done.
The option --timeout limits only the time until ZooKeeper is reached.";

/// Wait until all members run what they should
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(super) struct WaitArgs {
    #[command(flatten)]
    group: GroupArg,

    /// Give up after this time, with exit code 124
    #[arg(long = "for", value_name = "DUR", value_parser = parse_limit)]
    limit: Option<Duration>,
}

pub(super) fn wait(
    args: &WaitArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let target = args.group.target()?;
    let format = format_of(output, "rollout wait")?;
    let asked = target.clone();
    let look = move |client: &_| {
        let asked: &Target = &asked;
        sync(client, asked)?;
        Look::take(client, asked)
    };
    let mut progress = Progress::default();
    let ended = connection.follow(args.limit, look, |look| {
        let look = look.ok_or_else(|| target.missing())?;
        progress.take(look, Instant::now())
    })?;
    let outcome = match &ended {
        Some(End::Done) => "done",
        Some(End::Stuck(obstacle)) => obstacle.name(),
        None => "overdue",
    };
    let group = target.group.to_string();
    progress.print(&group, outcome, format)?;
    match ended {
        Some(End::Done) => Ok(Exit::Done),
        Some(End::Stuck(obstacle)) => Err(obstacle.failure(&group)),
        None => {
            let limit = SessionError::Overdue(args.limit.unwrap_or_default());
            let what = format!("{limit}: {}", progress.missing());
            Err(Failure::new(Exit::Overdue, what).during(group))
        }
    }
}

/// How the wait ends before its time is over.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    Stuck(Obstacle),
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Progress {
    /// The last look.
    look: Option<Look>,
    failures: Failures,
    has_named_strangers: bool,
}

impl Progress {
    /// Takes a look; returns how the wait ends, if it does.
    fn take(&mut self, look: Look, now: Instant) -> Result<Option<End>, Failure> {
        if let Some(unread) = look.unread.first() {
            return Err(Failure::from(unread.clone()));
        }
        match &self.look {
            None => look.warn(),
            Some(before) => {
                for version in newer(before, &look) {
                    log::warn!("there is newer content, waiting for version {version}");
                }
            }
        }
        self.failures.note(&look, now);
        let judgement = judge(&look, |member| self.failures.is_settled(member, now));
        let is_all_but_strangers = look.done() == look.members.len();
        if judgement == Judgement::Pending
            && is_all_but_strangers
            && !std::mem::replace(&mut self.has_named_strangers, true)
        {
            log::warn!("all members are done, waiting for {}", strangers(&look));
        }
        self.look = Some(look);
        Ok(match judgement {
            Judgement::Done => Some(End::Done),
            Judgement::Pending => None,
            Judgement::Stuck(obstacle) => Some(End::Stuck(obstacle)),
        })
    }

    /// What was missing in the last look.
    fn missing(&self) -> String {
        let Some(look) = &self.look else { return String::new() };
        let mut parts = vec![format!("{} of {} confirmed", look.done(), look.members.len())];
        let undone = look.members.iter().filter(|member| !member.is_done(&look.control));
        let words: Vec<String> = undone.map(|member| what_is_missing(member, look)).collect();
        parts.extend((!words.is_empty()).then(|| listed(words.iter().map(String::as_str))));
        parts.extend(look.strangers().next().is_some().then(|| strangers(look)));
        parts.join("; ")
    }

    fn print(&self, group: &str, outcome: &str, format: OutputFormat) -> Result<(), Failure> {
        let (done, total) =
            self.look.as_ref().map_or((0, 0), |look| (look.done(), look.members.len()));
        let versions = self.look.iter().flat_map(Look::wanted);
        let answer = object([
            ("v", Value::from(1)),
            ("group", Value::from(group)),
            ("outcome", Value::from(outcome)),
            ("done", Value::from(done)),
            ("total", Value::from(total)),
            ("versions", versions.map(|version| Value::from(version.to_string())).collect()),
        ]);
        let mut output = Output::open();
        match format.layout {
            Layout::Json => output.json(&answer)?,
            Layout::Jsonl => output.json_line(&answer, format.terminator)?,
            Layout::Yaml => output.yaml(&answer)?,
            Layout::Text | Layout::Tsv => {}
        }
        output.finish()
    }
}

/// The versions that are wanted now and were not before.
fn newer(before: &Look, now: &Look) -> BTreeSet<Version> {
    now.wanted().difference(&before.wanted()).copied().collect()
}

fn what_is_missing(member: &Member, look: &Look) -> String {
    let state = state_name(member.record.state);
    if member.is_confirmed() && member.is_behind(&look.control) {
        return format!("{} has not restarted yet ({state})", member.id);
    }
    format!("{} is {state}", member.id)
}

/// The contenders that belong to no member.
fn strangers(look: &Look) -> String {
    let names: Vec<String> = look
        .strangers()
        .map(|place| format!("{} ({})", place.contender.name(), place.znode.owner()))
        .collect();
    format!("contenders without a member: {}", listed(names.iter().map(String::as_str)))
}

/// Has the next look show everything that was written before the call.
fn sync(client: &farm_core::session::Client, target: &Target) -> Result<(), SessionError> {
    client.exists_at_leader(target.group.directory()).map(drop)
}
