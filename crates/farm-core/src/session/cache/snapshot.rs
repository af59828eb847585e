//! What is there now, read once.

use super::{Action, Cache, Decode, Event, Scope, State, Watching};
use crate::session::{Client, SessionError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, scope};
use std::time::Instant;

/// The most requests under way at the same time.
const READERS_MAX: usize = 16;

/// Reads everything in the scope once, with several requests at a time, and leaves no
/// watch. A znode that can't be read is in the cache with its trouble.
///
/// # Errors
///
/// Those of the link, and what keeps the top from being read: [`SessionError::NoNode`],
/// [`SessionError::NoAuth`].
pub fn snapshot<V: Send + Sync>(
    client: &Client,
    scope: Scope,
    decode: Decode<V>,
) -> Result<Cache<V>, SessionError> {
    let mut cache = Cache::new(scope, decode);
    // The client has contact, or says that it has none.
    (cache.watching, cache.state) = (Watching::Nothing, State::Loading);
    let mut actions = cache.step(Instant::now(), Event::Refresh);
    loop {
        let requests: Vec<_> = actions
            .drain(..)
            .filter_map(|action| match action {
                Action::Ask(request) => Some(request),
                Action::Tell(_) => None,
            })
            .collect();
        if requests.is_empty() {
            break;
        }
        for answer in side_by_side(&requests, |request| request.perform(client)) {
            if let Some(error) = answer.broken() {
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

/// Works on all items, several at the same time, and keeps what comes of them in their
/// order.
fn side_by_side<I: Sync, T: Send>(items: &[I], work_on: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || -> Vec<(usize, T)> {
        let indices = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let items = indices.map_while(|index| Some((index, items.get(index)?)));
        items.map(|(index, item)| (index, work_on(item))).collect()
    };
    let mut outcomes = scope(|scope| {
        // A system that is short of threads gets fewer of them; this one works too.
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
        assert_eq!(side_by_side(&items, |n| n * 2), (0..2000).step_by(2).collect::<Vec<_>>());
        assert!(side_by_side(&[], |n: &usize| *n).is_empty());
    }
}
