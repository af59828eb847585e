//! The threads that watch the farm and edit znodes while faults are injected.
//!
//! **Invariant.** Each thread has its own observer and only sends events: the testbed decides what
//! they mean. Both threads exit when the servers are gone or nobody receives any more.

use super::error::SoakError;
use super::farm::{Identity, counter, members};
use super::observer::Observer;
use farm_harness::ZkError;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

const WATCH_INTERVAL: Duration = Duration::from_millis(100);
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// What the threads report.
#[derive(Debug)]
pub(super) enum Event {
    /// The hosts in the farm, and the time since the last request before that was answered.
    Observed { members: BTreeMap<String, Identity>, gap: Duration },
    /// The edit of this host is in its znode.
    Written { host: String, number: u64 },
}

/// An edit to make: it sets the field `remote` of a host to this number.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) host: String,
    /// The znode with its record.
    pub(super) path: String,
    pub(super) number: u64,
}

/// Starts a thread that reads the farm ten times a second.
pub(super) fn start_watcher(
    servers: Vec<SocketAddr>,
    events: Sender<Event>,
) -> Result<(), SoakError> {
    spawn("watcher", move || {
        let (_never, pause) = channel::<()>();
        let mut observer = Observer::new(servers);
        let mut last = Instant::now();
        loop {
            // The gap starts at the request: an answer that took long may show an old state.
            let requested = Instant::now();
            if let Ok(members) = observer.request(members) {
                let gap = last.elapsed();
                last = requested;
                if events.send(Event::Observed { members, gap }).is_err() {
                    return;
                }
            } else if last.elapsed() > Duration::from_secs(300) {
                return;
            }
            // Nobody ever sends here: this only waits.
            pause.recv_timeout(WATCH_INTERVAL).unwrap_or_default();
        }
    })
}

/// Starts a thread that makes edits, and repeats each one until it is certainly made.
pub(super) fn start_writer(
    servers: Vec<SocketAddr>,
    edits: Receiver<Edit>,
    events: Sender<Event>,
) -> Result<(), SoakError> {
    spawn("writer", move || {
        let mut observer = Observer::new(servers);
        let mut pending = Vec::<Edit>::new();
        loop {
            let wait = if pending.is_empty() { Duration::MAX } else { RETRY_INTERVAL };
            let edit = match edits.recv_timeout(wait.min(Duration::from_secs(3600))) {
                Ok(edit) => Some(edit),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            pending.extend(edit);
            pending.extend(edits.try_iter());
            let mut left = Vec::new();
            for edit in pending.drain(..) {
                if !matches!(observer.request(|zk| apply(zk, &edit)), Ok(true)) {
                    left.push(edit);
                } else if events
                    .send(Event::Written { host: edit.host, number: edit.number })
                    .is_err()
                {
                    return;
                }
            }
            pending = left;
        }
    })
}

/// True if the edit has been made. If the answer to an earlier attempt was lost, this finds the
/// edit in the znode or makes it again.
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

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), SoakError> {
    Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(SoakError::System)
}
