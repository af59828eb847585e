//! Observers that go on, whatever server is away.

use farm_harness::{Zk, ZkError};
use std::net::SocketAddr;
use std::time::Duration;

/// A server that takes longer is as good as none.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// A bare client of whichever server answers.
pub(super) struct Eye {
    servers: Vec<SocketAddr>,
    next: usize,
    zk: Option<Zk>,
}

impl Eye {
    pub(super) const fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, next: 0, zk: None }
    }

    /// Asks; a lost connection is told as such, and the next question goes to
    /// another server.
    pub(super) fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Zk) -> Result<T, ZkError>,
    ) -> Result<T, ZkError> {
        let mut zk = match self.zk.take() {
            Some(zk) => zk,
            None => self.connect()?,
        };
        match question(&mut zk) {
            Err(error @ (ZkError::Io(_) | ZkError::SessionExpired)) => {
                zk.abandon();
                Err(error)
            }
            answer => {
                self.zk = Some(zk);
                answer
            }
        }
    }

    fn connect(&mut self) -> Result<Zk, ZkError> {
        let addr = self.servers[self.next % self.servers.len()];
        self.next += 1;
        // A server that has no quorum takes a connection and is slow to drop it.
        farm_harness::mode(addr)?;
        Zk::connect_within(addr, ANSWER_WAIT)
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        if let Some(zk) = self.zk.take() {
            zk.abandon();
        }
    }
}
