//! `zkctl rollout status`: what the members of a group are doing.

use super::look::Look;
use super::summary::Summary;
use super::target::{Target, all_groups};
use super::watch::{Scene, Viewer};
use crate::connection::Connection;
use crate::format::{HeaderArg, OutputArgs};
use crate::output::Output;
use clap::Args;
use farm_core::cli::{Exit, Failure};
use farm_core::session::{Client, SessionError};
use std::convert::Infallible;

const EXAMPLES: &str = "\
Examples:
  zkctl rollout status
  zkctl rollout status app
  zkctl rollout status app --watch
  zkctl rollout status app -o tsv --header
  zkctl rollout status app --json | jq -r '.members[] | select(.done | not).id'";

const NOTES: &str = "\
Each member has a line: its ID, its state and the version that it runs on, since when, its
health, why it is not done, and for whom it waits. A member is done if it runs, confirmed,
what its sources in ZooKeeper hold now, and has done the last restart.";

/// Show what the members of a group are doing, or all groups
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(super) struct StatusArgs {
    /// Show the members of this group, named as in zkexec --lock
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Show it again after each change; on a terminal live, with a bar
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    header: HeaderArg,
}

pub(super) fn status(
    args: &StatusArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let target = args.name.as_deref().map(Target::parse).transpose()?;
    let format = output.choose("rollout status")?;
    let has_header = args.header.with(format)?;
    let asked = target.clone();
    let look = move |client: &Client| match &asked {
        Some(target) => Ok(Look::take(client, target)?.map(Box::new).map(Scene::Group)),
        None => Ok(Some(Scene::All(look_at_all(client)?))),
    };
    let missing = || target.as_ref().map_or_else(no_group, Target::missing);
    if args.watch {
        let mut viewer = Viewer::new(format, has_header);
        let mut is_first = true;
        let show = |scene: Option<Scene>| {
            let scene = scene.ok_or_else(missing)?;
            if std::mem::take(&mut is_first) {
                scene.warn();
            }
            viewer.show(&scene).map(|()| None::<Infallible>)
        };
        connection.follow(None, look, show)?;
        return Ok(Exit::Done);
    }
    let scene = connection.ask(move |client, _| look(client))?.ok_or_else(missing)?;
    scene.warn();
    let mut output = Output::open();
    scene.print(format, has_header, &mut output)?;
    output.finish()?;
    Ok(Exit::Done)
}

fn no_group() -> Failure {
    Failure::new(Exit::No, "there is no group")
}

/// A row for each group, sorted by name.
fn look_at_all(client: &Client) -> Result<Vec<Summary>, SessionError> {
    let mut groups = Vec::new();
    for name in all_groups(client)? {
        let target = match Target::parse(&name) {
            Ok(target) => target,
            Err(error) => {
                log::warn!("leaving out a group: {}", error.line());
                continue;
            }
        };
        match Look::take(client, &target) {
            Err(error @ SessionError::NoAuth(_)) => log::warn!("leaving out a group: {error}"),
            look => groups.extend(look?.as_ref().map(Summary::of)),
        }
    }
    Ok(groups)
}
