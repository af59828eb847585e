//! `zkctl get`, from the start of the process to its end.

use crate::bench::error::BenchError;
use crate::bench::limit::{idle_process, run};
use crate::bench::stage::Stage;
use crate::bench::stats::{Taken, interleave};
use crate::bench::table::Row;
use std::time::Instant;

const ROUNDS: usize = 200;
const WARM_UP_ROUNDS: usize = 20;

/// Beside an idle process, and the same three requests on a bare socket.
pub(super) fn one_shot(stage: &Stage, name: &'static str) -> Result<Row, BenchError> {
    let farm = stage.farm(1_000)?;
    let path = farm.host_path(7);
    let addr = stage.addr()?;
    let mut get = stage.once("zkctl")?;
    get.args(["get", &path, "serial"]);
    let mut idle = idle_process();
    let measured = || -> Taken {
        let start = Instant::now();
        run(&mut get)?;
        Ok(start.elapsed())
    };
    let limit = || -> Taken {
        let start = Instant::now();
        run(&mut idle)?;
        let mut zk = farm_harness::Zk::connect(addr)?;
        zk.get(&path)?;
        zk.close()?;
        Ok(start.elapsed())
    };
    Row::measured(name, interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?)
}
