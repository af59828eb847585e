//! The environment of all rows: a ZooKeeper server, generated farms, release binaries.
//!
//! **Invariant.** The server is started for this run and stopped after it.

use super::error::BenchError;
use farm_harness::{Ensemble, Options, Scratch, Tool, Zk};
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Enough for ten thousand hosts and their sessions, without frequent garbage collections.
const HEAP_MB: u32 = 512;

/// The environment in which all rows are measured.
pub(super) struct Testbed {
    // Started by the first row that needs it: the codecs need no server.
    ensemble: OnceCell<Ensemble>,
    scratch: Scratch,
    bin_dir: PathBuf,
}

impl Testbed {
    pub(super) fn new(bin_dir: PathBuf) -> Self {
        Self { ensemble: OnceCell::new(), scratch: Scratch::new(), bin_dir }
    }

    fn ensemble(&self) -> Result<&Ensemble, BenchError> {
        if let Some(ensemble) = self.ensemble.get() {
            return Ok(ensemble);
        }
        let options = Options { heap_mb: HEAP_MB, ..Options::default() };
        let started = Ensemble::try_with(&options).map_err(BenchError::Start)?;
        Ok(self.ensemble.get_or_init(|| started))
    }

    pub(super) fn addr(&self) -> Result<SocketAddr, BenchError> {
        Ok(self.ensemble()?.server(0).addr())
    }

    /// The counters of the server (`mntr`).
    pub(super) fn counters(&self) -> Result<String, BenchError> {
        Ok(self.ensemble()?.server(0).four_letter("mntr"))
    }

    /// A bare client, connected to the server.
    pub(super) fn zk(&self) -> Result<Zk, BenchError> {
        Ok(Zk::connect(self.addr()?)?)
    }

    /// A path in the temporary directory of this run.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// The farm with so many hosts, created by the first row that needs it.
    pub(super) fn farm(&self, hosts: usize) -> Result<BenchFarm, BenchError> {
        let farm = BenchFarm { hosts };
        let mut zk = self.zk()?;
        if zk.exists(&farm.path())?.is_none() {
            zk.create_all(&farm.path(), "")?;
            let znode = |index| (farm.host_path(index), record(index, 0));
            zk.create_each(&(0..hosts).map(znode).collect::<Vec<_>>())?;
        }
        zk.close()?;
        Ok(farm)
    }

    /// A tool that exits by itself, with an empty environment.
    pub(super) fn once(&self, tool: &str) -> Result<Command, BenchError> {
        let mut command = Command::new(self.bin_dir.join(tool));
        command.env_clear().arg("--host").arg(self.addr()?.to_string());
        Ok(command)
    }

    /// A tool that runs until it is dropped.
    pub(super) fn daemon(&self, tool: &str) -> Result<Tool, BenchError> {
        let host = self.addr()?.to_string();
        Ok(Tool::program(self.bin_dir.join(tool)).args(["--host", &host]))
    }
}

/// A farm of generated hosts.
#[derive(Debug, Clone, Copy)]
pub(super) struct BenchFarm {
    hosts: usize,
}

impl BenchFarm {
    /// The first part of its path: the server has counters for each.
    pub(super) fn namespace(self) -> String {
        format!("farm{}", self.hosts)
    }

    pub(super) fn path(self) -> String {
        format!("/{}/hosts", self.namespace())
    }

    pub(super) fn host_path(self, index: usize) -> String {
        format!("{}/{}", self.path(), host_name(index))
    }
}

/// The name of a generated host: an address, as zkjoin uses by default.
pub(super) fn host_name(index: usize) -> String {
    format!("10.{}.{}.{}", index >> 16, index >> 8 & 255, index & 255)
}

/// The record of a generated host; `serial` is the field that the rows change.
pub(super) fn record(index: usize, serial: u32) -> String {
    format!(
        "{{\"enabled\":\"1\",\"hostname\":\"db-{index:05}.example.org\",\
         \"mysql\":{{\"port\":3306,\"replication_delay\":0.5,\"role\":\"replica\"}},\
         \"rack\":\"b{}\",\"serial\":{serial},\"weight\":100}}",
        index % 40
    )
}

/// Waits until a daemon has finished what follows a change.
pub(super) fn settle(time: Duration) {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_core::codec::json::decode_znode;
    use farm_core::model::HostName;
    use std::collections::BTreeSet;

    #[test]
    fn generated_hosts_have_names_and_records_of_their_own() {
        let names: BTreeSet<_> = (0..70_000).map(host_name).collect();
        assert_eq!(names.len(), 70_000);
        assert!(names.iter().all(|name| HostName::parse(name).is_ok()));
        assert_eq!(host_name(65_536 + 256 + 7), "10.1.1.7");
        decode_znode(record(12, 7).as_bytes()).unwrap();
        assert!(record(12, 7).contains("\"serial\":7,"));
    }
}
