//! A running zkjoin with a directory as its config, in both directions.

use crate::bench::error::BenchError;
use crate::bench::file_observer::FileObserver;
use crate::bench::limit::{BareClients, BareFile};
use crate::bench::stats::interleave;
use crate::bench::table::Row;
use crate::bench::testbed::{Testbed, settle};
use farm_harness::{Running, Zk, until};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ROUNDS: usize = 100;
const WARM_UP_ROUNDS: usize = 5;
/// Enough for what follows a change, such as the sync of the directory.
const QUIET: Duration = Duration::from_millis(20);
const JOIN_WAIT: Duration = Duration::from_secs(10);
const FARM: &str = "/joined/hosts";
const HOST: &str = "bench";
const FIRST_SERIAL: u32 = 1_000_000;

/// The limit: a bare client gets the watch event of another client's set.
pub(super) fn edit_to_znode(testbed: &Testbed, name: &'static str) -> Result<Row, BenchError> {
    let mut join = RunningJoin::start(testbed, name)?;
    let mut clients = BareClients::new(testbed, "/bench/edit-to-znode")?;
    let measured = || join.edit();
    let limit = || {
        settle(QUIET);
        clients.set_to_change("{\"serial\":\"0\"}")
    };
    Row::measured(name, interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?)
}

/// The limit: a bare client gets the watch event of another client's set, reads the znode, and
/// replaces a file with one field.
pub(super) fn znode_to_edit(testbed: &Testbed, name: &'static str) -> Result<Row, BenchError> {
    let mut join = RunningJoin::start(testbed, name)?;
    let mut clients = BareClients::new(testbed, "/bench/znode-to-edit")?;
    let bytes = FIRST_SERIAL.to_string().into_bytes();
    let bare_file = BareFile { path: testbed.path(&format!("{name}.bare")), bytes };
    let measured = || join.set();
    let limit = || {
        settle(QUIET);
        clients.set_to_file("{\"serial\":\"0\"}", &bare_file)
    };
    Row::measured(name, interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?)
}

/// A running zkjoin, its config, and a client that sets its znode.
struct RunningJoin {
    zk: Zk,
    znode: String,
    conf: PathBuf,
    temporary: PathBuf,
    serial: u32,
    _join: Running,
}

impl RunningJoin {
    /// Starts zkjoin and waits for its znode.
    fn start(testbed: &Testbed, name: &str) -> Result<Self, BenchError> {
        let conf = testbed.path(name);
        let temporary = testbed.path(&format!("{name}.field"));
        fs::create_dir(&conf).map_err(BenchError::io(&conf))?;
        let host = format!("{HOST}-{name}");
        let znode = format!("{FARM}/{host}");
        let join = testbed.daemon("zkjoin")?.args(["--name", &host, FARM]).arg(&conf).spawn();
        let mut zk = testbed.zk()?;
        let deadline = Instant::now() + JOIN_WAIT;
        let mut probe = || zk.watch(&znode);
        until(deadline, &mut probe)?;
        let running = Self { zk, znode, conf, temporary, serial: FIRST_SERIAL, _join: join };
        // zkjoin still writes the hostname to the directory, and the size to the farm.
        settle(QUIET * 10);
        Ok(running)
    }

    /// The time from the write of a field's file until a bare client gets the watch event.
    fn edit(&mut self) -> Result<Duration, BenchError> {
        settle(QUIET);
        self.serial += 1;
        let serial = self.serial.to_string();
        let start = Instant::now();
        File::create(&self.temporary)
            .and_then(|mut file| file.write_all(serial.as_bytes()))
            .and_then(|()| fs::rename(&self.temporary, self.conf.join("serial")))
            .map_err(BenchError::io(&self.temporary))?;
        loop {
            self.zk.next_change()?;
            let elapsed = start.elapsed();
            // The event may be of another change. Reading the znode is no part of the time.
            if self.zk.watch(&self.znode)?.text().contains(&serial) {
                return Ok(elapsed);
            }
        }
    }

    /// The time from a set by a bare client until the field's file has the new value.
    fn set(&mut self) -> Result<Duration, BenchError> {
        settle(QUIET);
        self.serial += 1;
        let serial = self.serial.to_string();
        let text = self.zk.get(&self.znode)?.text();
        // The other fields of the record stay as they are.
        let other_fields = text.split_once(",\"serial\"").map_or(&*text, |(head, _)| head);
        let data = format!("{},\"serial\":\"{serial}\"}}", other_fields.trim_end_matches('}'));
        let observer = FileObserver::new(&self.conf.join("serial"));
        let start = Instant::now();
        self.zk.set(&self.znode, data)?;
        Ok(observer.wait_for(&serial)? - start)
    }
}
