//! The znodes below another one, with what they hold.

use farm_core::cli::chain;
use farm_core::codec::json::decode_znode;
use farm_core::model::Record;
use farm_core::session::{Client, SessionError, Stat, Watch, ZnodePath};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, scope};

/// Reads that are under way at the same time.
const READERS_MAX: usize = 16;

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
    side_by_side(places, |place| {
        let child = |content, stat| Some(Child { place: place.clone(), content, stat });
        let path = match &place.path {
            Ok(path) => path,
            Err(why) => return Ok(child(Err(why.clone()), None)),
        };
        match client.get(path, Watch::No) {
            Ok(znode) => Ok(child(decode(path, &znode.data), Some(znode.stat))),
            Err(SessionError::NoNode(_)) => Ok(None),
            // Its metadata is open to everybody all the same.
            Err(error @ SessionError::NoAuth(_)) => Ok(client
                .exists(path, Watch::No)?
                .and_then(|stat| child(Err(error.to_string()), Some(stat)))),
            Err(error) => Err(error),
        }
    })
}

/// Works on all items, several at the same time, and keeps what comes of them in
/// the order of the items.
fn side_by_side<I: Sync, T: Send>(
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
