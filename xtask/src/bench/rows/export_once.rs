//! `zkexport --once`: from the start of the process to its exit.

use crate::bench::error::BenchError;
use crate::bench::limit::{idle_process, replace, run};
use crate::bench::stats::{TimingResult, interleave};
use crate::bench::table::Row;
use crate::bench::testbed::Testbed;
use std::fs;
use std::time::Instant;

/// All rounds together export about this many hosts, whatever the size of the farm.
const HOSTS_TOTAL: usize = 80_000;
const ROUNDS_MIN: usize = 8;
const ROUNDS_MAX: usize = 25;
const WARM_UP_ROUNDS: usize = 2;

/// The limit: a process that does nothing, the same reads on a bare socket (a hundred in each
/// request, pipelined), and one write, sync and rename of the same bytes.
pub(super) fn once(
    testbed: &Testbed,
    name: &'static str,
    hosts: usize,
    format: &str,
) -> Result<Row, BenchError> {
    let farm = testbed.farm(hosts)?;
    let file = testbed.path(&format!("{name}.{format}"));
    let bare_file = testbed.path(&format!("{name}.bare"));
    let mut export = testbed.once("zkexport")?;
    export.args(["--once", &farm.path()]).arg(&file);
    let mut idle = idle_process();
    run(&mut export)?;
    let rounds = (HOSTS_TOTAL / hosts).clamp(ROUNDS_MIN, ROUNDS_MAX);
    let bytes = fs::read(&file).map_err(BenchError::io(&file))?;
    let measured = || -> TimingResult {
        // zkexport does not write a file that would not change.
        fs::remove_file(&file).map_err(BenchError::io(&file))?;
        let start = Instant::now();
        run(&mut export)?;
        Ok(start.elapsed())
    };
    let limit = || -> TimingResult {
        let start = Instant::now();
        run(&mut idle)?;
        let mut zk = testbed.zk()?;
        let names = zk.children(&farm.path())?;
        let paths: Vec<_> = names.iter().map(|name| format!("{}/{name}", farm.path())).collect();
        zk.get_all(&paths)?;
        zk.close()?;
        replace(&bare_file, &bytes)?;
        let elapsed = start.elapsed();
        fs::remove_file(&bare_file).map_err(BenchError::io(&bare_file))?;
        Ok(elapsed)
    };
    Ok(Row::measured(name, interleave(rounds, WARM_UP_ROUNDS, measured, limit)?)?
        .with_bytes(bytes.len()))
}
