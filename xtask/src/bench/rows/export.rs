//! `zkexport --once`, from the start of the process to its end.

use crate::bench::error::BenchError;
use crate::bench::limit::{idle_process, replace, run};
use crate::bench::stage::Stage;
use crate::bench::stats::{Taken, interleave};
use crate::bench::table::Row;
use std::fs;
use std::time::Instant;

/// How many hosts are read and written altogether, however large the farm is.
const HOSTS_TOTAL: usize = 80_000;
const ROUNDS_MIN: usize = 8;
const ROUNDS_MAX: usize = 25;
const WARM_UP_ROUNDS: usize = 2;

/// Beside an idle process, the same reads by a hundred in a request, sent ahead of their
/// answers on a bare socket, and one write, sync and rename of the same bytes.
pub(super) fn once(
    stage: &Stage,
    name: &'static str,
    hosts: usize,
    format: &str,
) -> Result<Row, BenchError> {
    let farm = stage.farm(hosts)?;
    let file = stage.path(&format!("{name}.{format}"));
    let bare_file = stage.path(&format!("{name}.bare"));
    let mut export = stage.once("zkexport")?;
    export.args(["--once", &farm.path()]).arg(&file);
    let mut idle = idle_process();
    run(&mut export)?;
    let rounds = (HOSTS_TOTAL / hosts).clamp(ROUNDS_MIN, ROUNDS_MAX);
    let bytes = fs::read(&file).map_err(BenchError::io(&file))?;
    let measured = || -> Taken {
        // Equal bytes would not be written at all.
        fs::remove_file(&file).map_err(BenchError::io(&file))?;
        let start = Instant::now();
        run(&mut export)?;
        Ok(start.elapsed())
    };
    let limit = || -> Taken {
        let start = Instant::now();
        run(&mut idle)?;
        let mut zk = stage.zk()?;
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
