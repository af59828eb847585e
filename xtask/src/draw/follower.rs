//! A thread that follows the znodes of the members.
//!
//! **Invariant.** It sends each znode as it was read, with its version. A watch fires once and is
//! set anew by the read, so a write in between is not read itself; the version then tells.

use super::error::DrawError;
use farm_harness::{Zk, ZkError, Znode};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;

/// The znode of a member, or why there are no more of them.
pub(super) type Seen = Result<(String, Znode), ZkError>;

/// Starts to follow the znodes of these members, which exist. It ends with the server.
pub(super) fn follow(
    server: SocketAddr,
    parent: &str,
    members: &[&str],
) -> Result<Receiver<Seen>, DrawError> {
    let paths: Vec<_> = members.iter().map(|member| format!("{parent}/{member}")).collect();
    let (sender, seen) = channel();
    let work = move || {
        if let Err(error) = send_all(server, &paths, &sender) {
            // Nobody receives any more when the recording has ended.
            drop(sender.send(Err(error)));
        }
    };
    Builder::new().name("follower".to_owned()).spawn(work).map_err(DrawError::System)?;
    Ok(seen)
}

fn send_all(server: SocketAddr, paths: &[String], sender: &Sender<Seen>) -> Result<(), ZkError> {
    let mut zk = Zk::connect(server)?;
    let mut pending = paths.to_vec();
    loop {
        for path in pending.drain(..) {
            let znode = zk.watch(&path)?;
            let member = path.rsplit('/').next().unwrap_or_default().to_owned();
            if sender.send(Ok((member, znode))).is_err() {
                return Ok(());
            }
        }
        pending.push(zk.next_change()?);
    }
}
