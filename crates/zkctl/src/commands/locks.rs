//! `zkctl locks`: who holds and who waits in a rolling-restart group.
//!
//! **Invariant.** What is deleted is a contender of the group that was named, and the
//! very one that was there when the command looked.

use super::lineup::{Contended, Seen, show, show_broken};
use crate::connection::Connection;
use crate::format::{HeaderArg, OutputArgs};
use crate::output::Output;
use clap::Args;
use farm_core::cli::{Exit, Failure};
use farm_core::farm::permit::{Contender, ContenderInfo, GroupName, Queue};
use farm_core::session::{Client, SessionError, Watch, Znode, ZnodePath};
use std::sync::OnceLock;

const EXAMPLES: &str = "\
Examples:
  zkctl locks
  zkctl locks services/db
  zkctl locks services/db -o tsv --header
  zkctl locks services/db --break ex0000000012";

const NOTES: &str = "\
A contender is shown by its group, whether it holds or waits, its ID, since when
it stands in line, its host and pid, and why. One of a member written in Ruby
says nothing of itself: its session is shown.";

/// Show who holds and who waits in rolling-restart groups
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(crate) struct LocksArgs {
    /// Show this group alone
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Delete the contender with this ID from the group: its turn is over
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
        output.refuse("locks --break")?;
        return break_contender(group, id, connection);
    }
    let choice = output.choose("locks")?;
    let has_header = args.header.of(choice)?;
    let asked = group.clone();
    let contenders = connection.ask(move |client, _| match &asked {
        Some(group) => in_group(client, group),
        None => in_all_groups(client).map(Some),
    })?;
    let contenders = match (contenders, group) {
        (Some(contenders), _) => contenders,
        (None, group) => return Err(no_group(group.as_ref())),
    };
    let mut output = Output::open();
    show(&contenders, choice, has_header, &mut output)?;
    output.finish()?;
    Ok(Exit::Done)
}

fn no_group(group: Option<&GroupName>) -> Failure {
    let name = group.map(ToString::to_string).unwrap_or_default();
    Failure::new(Exit::No, format!("there is no group {name}"))
        .hint("zkctl locks shows all groups in which somebody holds or waits")
}

fn in_all_groups(client: &Client) -> Result<Vec<Contended>, SessionError> {
    // A name of ours can always be read; if not, nobody can have groups there.
    let Ok(all) = GroupName::all() else { return Ok(Vec::new()) };
    let names = match client.children(&all, Watch::No) {
        Ok(names) => names,
        Err(SessionError::NoNode(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut contenders = Vec::new();
    for name in names {
        match GroupName::parse(&name) {
            Ok(group) => match in_group(client, &group) {
                Err(error @ SessionError::NoAuth(_)) => log::warn!("a group is left out: {error}"),
                found => contenders.extend(found?.unwrap_or_default()),
            },
            Err(error) => log::warn!("a group is left out: {error}"),
        }
    }
    Ok(contenders)
}

/// All contenders of a group, in order; `None` if there is no such group.
fn in_group(client: &Client, group: &GroupName) -> Result<Option<Vec<Contended>>, SessionError> {
    let names = match client.children(group.directory(), Watch::No) {
        Ok(names) => names,
        Err(SessionError::NoNode(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let line = Queue::of(names);
    let path =
        |place: &Contender| Some((place.clone(), group.directory().child(place.name()).ok()?));
    let (places, paths): (Vec<_>, Vec<_>) = line.places().iter().filter_map(path).unzip();
    let mut found = Vec::new();
    for ((place, path), read) in places.into_iter().zip(&paths).zip(client.get_many(&paths)?) {
        found.extend(seen(client, path, read)?.map(|seen| (place, seen)));
    }
    Ok(Some(Contended::in_order(group, found)))
}

/// Reads a contender, as far as that is allowed; `None` if it is gone.
fn look(client: &Client, path: &ZnodePath) -> Result<Option<Seen>, SessionError> {
    seen(client, path, client.get(path, Watch::No))
}

fn seen(
    client: &Client,
    path: &ZnodePath,
    read: Result<Znode, SessionError>,
) -> Result<Option<Seen>, SessionError> {
    match read {
        Ok(znode) => Ok(Some(Seen { card: ContenderInfo::read(&znode.data), stat: znode.stat })),
        Err(SessionError::NoNode(_)) => Ok(None),
        Err(SessionError::NoAuth(_)) => {
            let stat = client.exists(path, Watch::No)?;
            Ok(stat.map(|stat| Seen { card: ContenderInfo::default(), stat }))
        }
        Err(error) => Err(error),
    }
}

fn break_contender(group: &GroupName, id: &str, connection: &Connection) -> Result<Exit, Failure> {
    let no_such = || {
        Failure::new(Exit::No, format!("{group} has no contender {id}"))
            .hint(format!("zkctl locks {group} shows their IDs"))
    };
    let place = Contender::parse(id).ok_or_else(no_such)?;
    // A name of no znode is the name of no contender either.
    let path = group.directory().child(id).map_err(|_| no_such())?;
    let target = OnceLock::new();
    let broken = connection.ask(move |client, _| {
        loop {
            let Some(seen) = look(client, &path)? else {
                // It may be gone because the answer to our delete was lost.
                return Ok(target.get().cloned());
            };
            let target: &Seen = target.get_or_init(|| seen.clone());
            if target.stat.czxid != seen.stat.czxid {
                return Ok(Some(target.clone()));
            }
            match client.delete(&path, Some(seen.stat.version)) {
                Ok(()) | Err(SessionError::NoNode(_)) => return Ok(Some(target.clone())),
                Err(SessionError::BadVersion(_)) => {}
                Err(error) => return Err(error),
            }
        }
    })?;
    let seen = broken.ok_or_else(no_such)?;
    let mut output = Output::open();
    show_broken(group, &place, &seen, &mut output)?;
    output.finish()?;
    Ok(Exit::Done)
}
