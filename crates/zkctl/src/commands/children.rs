//! The znodes below another one, with what they hold.

use farm_core::cli::chain;
use farm_core::codec::json::decode_znode;
use farm_core::model::Record;
use farm_core::session::{Client, SessionError, Stat, Watch, ZnodePath};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, scope};

/// Requests that are under way at the same time.
const READERS_MAX: usize = 16;
/// As many znodes one reader asks for together.
const TOGETHER_MAX: usize = 32;

/// Where a znode stands below the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its path from there: `1.2.3.4`, or `db/1.2.3.4`.
    pub(super) name: String,
    /// Its whole path, or why it has none that we can use.
    pub(super) path: Result<ZnodePath, String>,
}

/// A znode that was read.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) place: Place,
    /// The record, or why it can't be read.
    pub(super) content: Result<Record, String>,
    pub(super) stat: Option<Stat>,
}

/// Lists the children of a znode, sorted by the bytes of their names.
pub(super) fn list(client: &Client, top: &ZnodePath) -> Result<Vec<Place>, SessionError> {
    let names = client.children(top, Watch::No)?;
    Ok(names.into_iter().map(|name| place(top, "", name)).collect())
}

/// Lists everything below a znode, every znode before its children.
pub(super) fn list_all(client: &Client, top: &ZnodePath) -> Result<Vec<Place>, SessionError> {
    let mut all = Vec::new();
    let mut level = list(client, top)?;
    while !level.is_empty() {
        let below = side_by_side(&level, |parent| {
            let Ok(path) = &parent.path else { return Ok(None) };
            match client.children(path, Watch::No) {
                Ok(names) => {
                    let places =
                        names.into_iter().map(|name| place(path, &parent.name, name)).collect();
                    Ok(Some(places))
                }
                Err(SessionError::NoNode(_)) => Ok(None),
                Err(error @ SessionError::NoAuth(_)) => {
                    log::warn!("its children are left out: {error}");
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })?;
        all.append(&mut level);
        level = below.into_iter().flat_map(|places: Vec<Place>| places).collect();
    }
    all.sort_by(|a, b| a.name.split('/').cmp(b.name.split('/')));
    Ok(all)
}

fn place(parent: &ZnodePath, above: &str, name: String) -> Place {
    let path = parent.child(&name).map_err(|error| error.to_string());
    Place { name: if above.is_empty() { name } else { format!("{above}/{name}") }, path }
}

/// Reads all these znodes. One that is gone before it is read is left out: it is
/// no child any more.
pub(super) fn read(client: &Client, places: &[Place]) -> Result<Vec<Child>, SessionError> {
    let groups: Vec<&[Place]> = places.chunks(TOGETHER_MAX).collect();
    let read = side_by_side(&groups, |group| read_together(client, group).map(Some))?;
    Ok(read.into_iter().flatten().collect())
}

fn read_together(client: &Client, places: &[Place]) -> Result<Vec<Child>, SessionError> {
    let paths: Vec<ZnodePath> = places.iter().filter_map(|place| place.path.clone().ok()).collect();
    let mut read = client.get_many(&paths)?.into_iter();
    let mut children = Vec::with_capacity(places.len());
    for place in places {
        let child = |content, stat| Some(Child { place: place.clone(), content, stat });
        let outcome = place.path.as_ref().map(|path| (path, read.next()));
        children.extend(match outcome {
            Err(why) => child(Err(why.clone()), None),
            Ok((path, Some(Ok(znode)))) => child(decode(path, &znode.data), Some(znode.stat)),
            Ok((_, Some(Err(SessionError::NoNode(_))) | None)) => None,
            // Its metadata is open to everybody all the same.
            Ok((path, Some(Err(error @ SessionError::NoAuth(_))))) => client
                .exists(path, Watch::No)?
                .and_then(|stat| child(Err(error.to_string()), Some(stat))),
            Ok((_, Some(Err(error)))) => return Err(error),
        });
    }
    Ok(children)
}

/// Works on all items, several at the same time, and keeps what comes of them in
/// the order of the items.
pub(super) fn side_by_side<I: Sync, T: Send>(
    items: &[I],
    work_on: impl Fn(&I) -> Result<Option<T>, SessionError> + Sync,
) -> Result<Vec<T>, SessionError> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, T)>, SessionError> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return Ok(done) };
            match work_on(item) {
                Ok(outcome) => done.extend(outcome.map(|outcome| (index, outcome))),
                Err(error) => {
                    // The others need not go on: the answer is lost anyway.
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let mut outcomes = scope(|scope| {
        // A system that is short of threads gets fewer of them; this one works too.
        let readers: Vec<_> = (1..READERS_MAX.min(items.len()))
            .map_while(|_| Builder::new().name("reader".to_owned()).spawn_scoped(scope, work).ok())
            .collect();
        let mut outcomes = work()?;
        for reader in readers {
            match reader.join() {
                Ok(done) => outcomes.extend(done?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(outcomes)
    })?;
    outcomes.sort_unstable_by_key(|(index, _)| *index);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

/// What a znode holds, or why that is no record.
pub(super) fn decode(path: &ZnodePath, data: &[u8]) -> Result<Record, String> {
    decode_znode(data).map_err(|error| format!("{path} holds no record: {}", chain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_keeps_its_order_and_leaves_out_what_came_to_nothing() {
        let items: Vec<usize> = (0..1000).collect();
        let halves = side_by_side(&items, |&n| Ok(n.is_multiple_of(2).then_some(n / 2))).unwrap();
        assert_eq!(halves, (0..500).collect::<Vec<_>>());
        assert!(side_by_side(&[], |&n: &usize| Ok(Some(n))).unwrap().is_empty());
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let items: Vec<usize> = (0..1000).collect();
        let failed = side_by_side(&items, |&n| {
            if n == 500 { Err(SessionError::Disconnected) } else { Ok(Some(n)) }
        });
        assert!(matches!(failed, Err(SessionError::Disconnected)), "{failed:?}");
    }
}
