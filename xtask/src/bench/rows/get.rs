//! `zkctl get`: from the start of the process to its exit.

use crate::bench::error::BenchError;
use crate::bench::limit::{idle_process, run};
use crate::bench::stats::{TimingResult, interleave};
use crate::bench::table::Row;
use crate::bench::testbed::Testbed;
use std::time::Instant;

const ROUNDS: usize = 200;
const WARM_UP_ROUNDS: usize = 20;

/// The limit: a process that does nothing, and the same three requests on a bare socket.
pub(super) fn one_shot(testbed: &Testbed, name: &'static str) -> Result<Row, BenchError> {
    let farm = testbed.farm(1_000)?;
    let path = farm.host_path(7);
    let addr = testbed.addr()?;
    let mut get = testbed.once("zkctl")?;
    get.args(["get", &path, "serial"]);
    let mut idle = idle_process();
    let measured = || -> TimingResult {
        let start = Instant::now();
        run(&mut get)?;
        Ok(start.elapsed())
    };
    let limit = || -> TimingResult {
        let start = Instant::now();
        run(&mut idle)?;
        let mut zk = farm_harness::Zk::connect(addr)?;
        zk.get(&path)?;
        zk.close()?;
        Ok(start.elapsed())
    };
    Row::measured(name, interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?)
}
