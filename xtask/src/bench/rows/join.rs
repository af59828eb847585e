//! A running zkjoin on a directory of fields, in both directions.

use crate::bench::error::BenchError;
use crate::bench::limit::{BareFile, Wire};
use crate::bench::sight::Sight;
use crate::bench::stage::{Stage, rest};
use crate::bench::stats::interleave;
use crate::bench::table::Row;
use farm_harness::{Running, Zk, until};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ROUNDS: usize = 100;
const WARM_UP_ROUNDS: usize = 5;
/// For what follows a change, such as a sync of the directory, to be over.
const QUIET: Duration = Duration::from_millis(20);
const JOIN_WAIT: Duration = Duration::from_secs(10);
const FARM: &str = "/joined/hosts";
const HOST: &str = "bench";
const FIRST_SERIAL: u32 = 1_000_000;

/// Beside a set by one bare client that another one is told of.
pub(super) fn edit_to_znode(stage: &Stage, name: &'static str) -> Result<Row, BenchError> {
    let mut member = Member::start(stage, name)?;
    let mut wire = Wire::new(stage, "/bench/edit-to-znode")?;
    let measured = || member.edit();
    let limit = || {
        rest(QUIET);
        wire.set_to_change("{\"serial\":\"0\"}")
    };
    Row::measured(name, interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?)
}

/// Beside two bare clients, one told of the other's set, that then reads the
/// znode and puts a file with one field in place.
pub(super) fn znode_to_edit(stage: &Stage, name: &'static str) -> Result<Row, BenchError> {
    let mut member = Member::start(stage, name)?;
    let mut wire = Wire::new(stage, "/bench/znode-to-edit")?;
    let bytes = FIRST_SERIAL.to_string().into_bytes();
    let bare_file = BareFile { path: stage.path(&format!("{name}.bare")), bytes };
    let measured = || member.set();
    let limit = || {
        rest(QUIET);
        wire.set_to_file("{\"serial\":\"0\"}", &bare_file)
    };
    Row::measured(name, interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?)
}

/// A zkjoin that runs, somebody who edits its config, and somebody who sets its znode.
struct Member {
    zk: Zk,
    znode: String,
    conf: PathBuf,
    staged: PathBuf,
    serial: u32,
    _join: Running,
}

impl Member {
    /// Starts one; its znode is there when this returns.
    fn start(stage: &Stage, name: &str) -> Result<Self, BenchError> {
        let conf = stage.path(name);
        let staged = stage.path(&format!("{name}.field"));
        fs::create_dir(&conf).map_err(BenchError::io(&conf))?;
        let host = format!("{HOST}-{name}");
        let znode = format!("{FARM}/{host}");
        let join = stage.daemon("zkjoin")?.args(["--name", &host, FARM]).arg(&conf).spawn();
        let mut zk = stage.zk()?;
        let deadline = Instant::now() + JOIN_WAIT;
        let mut probe = || zk.watch(&znode);
        until(deadline, &mut probe)?;
        let member = Self { zk, znode, conf, staged, serial: FIRST_SERIAL, _join: join };
        // The hostname comes into the directory as well, and the raised size into the farm.
        rest(QUIET * 10);
        Ok(member)
    }

    /// From the writing of a field's file until a bare client is told of the znode.
    fn edit(&mut self) -> Result<Duration, BenchError> {
        rest(QUIET);
        self.serial += 1;
        let serial = self.serial.to_string();
        let start = Instant::now();
        File::create(&self.staged)
            .and_then(|mut file| file.write_all(serial.as_bytes()))
            .and_then(|()| fs::rename(&self.staged, self.conf.join("serial")))
            .map_err(BenchError::io(&self.staged))?;
        loop {
            self.zk.next_change()?;
            let told = start.elapsed();
            // Read after the clock: the change may have been another one.
            if self.zk.watch(&self.znode)?.text().contains(&serial) {
                return Ok(told);
            }
        }
    }

    /// From a set by a bare client until the field's file has the new value.
    fn set(&mut self) -> Result<Duration, BenchError> {
        rest(QUIET);
        self.serial += 1;
        let serial = self.serial.to_string();
        let text = self.zk.get(&self.znode)?.text();
        // Whatever else is in the record stays as it is.
        let rest_of_it = text.split_once(",\"serial\"").map_or(&*text, |(head, _)| head);
        let data = format!("{},\"serial\":\"{serial}\"}}", rest_of_it.trim_end_matches('}'));
        let sight = Sight::of(&self.conf.join("serial"));
        let start = Instant::now();
        self.zk.set(&self.znode, data)?;
        Ok(sight.wait_for(&serial)? - start)
    }
}
