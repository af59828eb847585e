//! A cache that is filled once.

use super::{Action, Cache, Decode, Event, Scope, State, Watching};
use crate::session::{Client, SessionError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, scope};
use std::time::Instant;

/// The most requests in flight at once.
const READERS_MAX: usize = 16;

/// Reads everything in the scope once, with several requests in flight, and leaves no
/// watch. For a znode that can't be read the cache has the error.
///
/// # Errors
///
/// Those of the connection, and those of the top: [`SessionError::NoNode`],
/// [`SessionError::NoAuth`].
pub fn snapshot<V: Send + Sync>(
    client: &Client,
    scope: Scope,
    decode: Decode<V>,
) -> Result<Cache<V>, SessionError> {
    let mut cache = Cache::new(scope, decode);
    // Without a connection the client returns an error.
    (cache.watching, cache.state) = (Watching::Nothing, State::Loading);
    let mut actions = cache.step(Instant::now(), Event::Refresh);
    loop {
        let requests: Vec<_> = actions
            .drain(..)
            .filter_map(|action| match action {
                Action::Request(request) => Some(request),
                Action::Report(_) => None,
            })
            .collect();
        if requests.is_empty() {
            break;
        }
        for answer in in_parallel(&requests, |request| request.perform(client)) {
            if let Some(error) = answer.connection_error() {
                return Err(error.clone());
            }
            actions.extend(cache.step(Instant::now(), Event::Answered(answer)));
        }
    }
    match cache.refusal.take_if(|_| cache.state != State::Complete) {
        Some(error) => Err(error),
        None => Ok(cache),
    }
}

/// Works on several items at a time; the outcomes are in the order of the items.
fn in_parallel<I: Sync, T: Send>(items: &[I], work_on: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || -> Vec<(usize, T)> {
        let indices = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let items = indices.map_while(|index| Some((index, items.get(index)?)));
        items.map(|(index, item)| (index, work_on(item))).collect()
    };
    let mut outcomes = scope(|scope| {
        // If the system is short of threads, fewer of them do the work, at least this one.
        let readers: Vec<_> = (1..READERS_MAX.min(items.len()))
            .map_while(|_| Builder::new().name("reader".to_owned()).spawn_scoped(scope, work).ok())
            .collect();
        let mut outcomes = work();
        for reader in readers {
            match reader.join() {
                Ok(done) => outcomes.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcomes
    });
    outcomes.sort_unstable_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_keeps_its_order() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(in_parallel(&items, |n| n * 2), (0..2000).step_by(2).collect::<Vec<_>>());
        assert!(in_parallel(&[], |n: &usize| *n).is_empty());
    }
}
