//! A ZooKeeper client that keeps working when servers fail.

use farm_harness::{Zk, ZkError};
use std::net::SocketAddr;
use std::time::Duration;

/// A server that takes longer counts as failed.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// A bare client that connects to whichever server answers.
pub(super) struct Observer {
    servers: Vec<SocketAddr>,
    next: usize,
    zk: Option<Zk>,
}

impl Observer {
    pub(super) const fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, next: 0, zk: None }
    }

    /// Makes a request. If the connection is lost, it returns that error, and the next request goes
    /// to another server.
    pub(super) fn request<T>(
        &mut self,
        request: impl FnOnce(&mut Zk) -> Result<T, ZkError>,
    ) -> Result<T, ZkError> {
        let mut zk = match self.zk.take() {
            Some(zk) => zk,
            None => self.connect()?,
        };
        match request(&mut zk) {
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
        // A server without a quorum accepts connections and drops them only after a while.
        farm_harness::mode(addr)?;
        Zk::connect_within(addr, ANSWER_WAIT)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some(zk) = self.zk.take() {
            zk.abandon();
        }
    }
}
