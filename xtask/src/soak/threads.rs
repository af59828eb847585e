//! Who watches and writes while the faults fall.
//!
//! **Invariant.** Each thread has an observer of its own and does nothing but
//! post: what it means is decided in one place. Both end with the servers, or
//! when nobody listens any more.

use super::error::SoakError;
use super::eye::Eye;
use super::farm::{Identity, counter, members};
use farm_harness::ZkError;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// What the threads have to tell.
#[derive(Debug)]
pub(super) enum News {
    /// Who was in the farm, and how long nobody could tell before.
    Seen { members: BTreeMap<String, Identity>, gap: Duration },
    /// The edit of that host is in its znode.
    Written { host: String, number: u64 },
}

/// An edit to make: the host's field `remote` becomes this number.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) host: String,
    /// Where its record is.
    pub(super) path: String,
    pub(super) number: u64,
}

/// Looks at the farm ten times a second.
pub(super) fn watch(servers: Vec<SocketAddr>, news: Sender<News>) -> Result<(), SoakError> {
    start("sentinel", move || {
        let (_never, pause) = channel::<()>();
        let mut eye = Eye::new(servers);
        let mut last = Instant::now();
        loop {
            // Measured from question to answer: an answer that hung is no sight of now.
            let asked = Instant::now();
            if let Ok(members) = eye.ask(members) {
                let gap = last.elapsed();
                last = asked;
                if news.send(News::Seen { members, gap }).is_err() {
                    return;
                }
            } else if last.elapsed() > Duration::from_secs(300) {
                return;
            }
            // Nobody ever posts here: it is a pause.
            pause.recv_timeout(LOOK_EVERY).unwrap_or_default();
        }
    })
}

/// Makes edits, each until it is known to be made.
pub(super) fn write(
    servers: Vec<SocketAddr>,
    edits: Receiver<Edit>,
    news: Sender<News>,
) -> Result<(), SoakError> {
    start("writer", move || {
        let mut eye = Eye::new(servers);
        let mut pending = Vec::<Edit>::new();
        loop {
            let wait = if pending.is_empty() { Duration::MAX } else { RETRY_EVERY };
            let edit = match edits.recv_timeout(wait.min(Duration::from_secs(3600))) {
                Ok(edit) => Some(edit),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            pending.extend(edit);
            pending.extend(edits.try_iter());
            let mut left = Vec::new();
            for edit in pending.drain(..) {
                if !matches!(eye.ask(|zk| apply(zk, &edit)), Ok(true)) {
                    left.push(edit);
                } else if news.send(News::Written { host: edit.host, number: edit.number }).is_err()
                {
                    return;
                }
            }
            pending = left;
        }
    })
}

/// True when the edit is made; one whose answer was lost is found to be made, or
/// made again.
fn apply(zk: &mut farm_harness::Zk, edit: &Edit) -> Result<bool, ZkError> {
    let path = &edit.path;
    let znode = zk.get(path)?;
    let Ok(mut record) = serde_json::from_slice::<Map<String, Value>>(&znode.data) else {
        return Ok(false);
    };
    if counter(&record, "remote") == edit.number {
        return Ok(true);
    }
    record.insert("remote".to_owned(), edit.number.into());
    match zk.set_if(path, Value::Object(record).to_string(), znode.stat.version) {
        Ok(_) => Ok(true),
        Err(ZkError::BadVersion) => Ok(false),
        Err(error) => Err(error),
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), SoakError> {
    Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(SoakError::System)
}
