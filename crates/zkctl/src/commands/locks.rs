//! `zkctl locks`: who holds and who waits in a rolling-restart group.
//!
//! **Invariant.** `--break` deletes only a contender of the named group, and only the znode
//! that the command read first, not a later one with the same name.

use super::contenders::{QueueEntry, show, show_broken};
use super::lock_queue::{ContenderZnode, locked_groups, read_queue};
use crate::connection::Connection;
use crate::format::{HeaderArg, OutputArgs};
use crate::output::Output;
use clap::Args;
use farm_core::cli::{Exit, Failure};
use farm_core::farm::permit::{Contender, GroupName};
use farm_core::session::{Client, SessionError};
use std::sync::OnceLock;

const EXAMPLES: &str = "\
Examples:
  zkctl locks
  zkctl locks services/db
  zkctl locks services/db -o tsv --header
  zkctl locks services/db --break ex0000000012";

const NOTES: &str = "\
Each line shows a contender: its group, whether it holds or waits, its ID, when it
joined the queue, its host and pid, and why. A member written in Ruby stores no
data; the line shows its session in place of its host.";

/// Show who holds and who waits in rolling-restart groups
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(crate) struct LocksArgs {
    /// Show only this group
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Delete the contender with this ID from the group, which ends its turn
    #[arg(long = "break", value_name = "ID", requires = "name", conflicts_with = "header")]
    broken: Option<String>,

    #[command(flatten)]
    header: HeaderArg,
}

pub(crate) fn locks(
    args: &LocksArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let group = args.name.as_deref().map(GroupName::parse).transpose()?;
    if let (Some(id), Some(group)) = (&args.broken, &group) {
        output.refuse_all("locks --break")?;
        return break_contender(group, id, connection);
    }
    let format = output.choose("locks")?;
    let has_header = args.header.with(format)?;
    let target = group.clone();
    let contenders = connection.ask(move |client, _| match &target {
        Some(group) => in_group(client, group),
        None => in_all_groups(client).map(Some),
    })?;
    let contenders = match (contenders, group) {
        (Some(contenders), _) => contenders,
        (None, group) => return Err(no_group(group.as_ref())),
    };
    let mut output = Output::open();
    show(&contenders, format, has_header, &mut output)?;
    output.finish()?;
    Ok(Exit::Done)
}

fn no_group(group: Option<&GroupName>) -> Failure {
    let name = group.map(ToString::to_string).unwrap_or_default();
    Failure::new(Exit::No, format!("there is no group {name}"))
        .hint("zkctl locks shows all groups that have a contender")
}

fn in_all_groups(client: &Client) -> Result<Vec<QueueEntry>, SessionError> {
    let mut contenders = Vec::new();
    for name in locked_groups(client)? {
        match GroupName::parse(&name) {
            Ok(group) => match in_group(client, &group) {
                Err(error @ SessionError::NoAuth(_)) => log::warn!("leaving out a group: {error}"),
                found => contenders.extend(found?.unwrap_or_default()),
            },
            Err(error) => log::warn!("leaving out a group: {error}"),
        }
    }
    Ok(contenders)
}

/// All contenders of a group, in order; `None` if the group does not exist.
fn in_group(client: &Client, group: &GroupName) -> Result<Option<Vec<QueueEntry>>, SessionError> {
    let queue = read_queue(client, group)?;
    let entry = |place| QueueEntry::of(group, place);
    Ok(queue.map(|places| places.into_iter().map(entry).collect()))
}

fn break_contender(group: &GroupName, id: &str, connection: &Connection) -> Result<Exit, Failure> {
    let not_found = || {
        Failure::new(Exit::No, format!("{group} has no contender {id}"))
            .hint(format!("zkctl locks {group} shows their IDs"))
    };
    let contender = Contender::parse(id).ok_or_else(not_found)?;
    // An invalid znode name is not the name of a contender.
    let path = group.directory().child(id).map_err(|_| not_found())?;
    let first_read = OnceLock::new();
    let broken = connection.ask(move |client, _| {
        loop {
            let Some(znode) = ContenderZnode::read(client, &path)? else {
                // Our delete may have succeeded, and its answer was lost.
                return Ok(first_read.get().cloned());
            };
            let target: &ContenderZnode = first_read.get_or_init(|| znode.clone());
            if target.stat.czxid != znode.stat.czxid {
                return Ok(Some(target.clone()));
            }
            match client.delete(&path, Some(znode.stat.version)) {
                Ok(()) | Err(SessionError::NoNode(_)) => return Ok(Some(target.clone())),
                Err(SessionError::BadVersion(_)) => {}
                Err(error) => return Err(error),
            }
        }
    })?;
    let znode = broken.ok_or_else(not_found)?;
    let mut output = Output::open();
    show_broken(group, &contender, &znode, &mut output)?;
    output.finish()?;
    Ok(Exit::Done)
}
