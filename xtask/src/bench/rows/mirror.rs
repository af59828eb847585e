//! A running zkexport, from a change in the farm to the file.

use crate::bench::error::BenchError;
use crate::bench::limit::{BareFile, Wire};
use crate::bench::sight::Sight;
use crate::bench::stage::{BenchFarm, Stage, record, rest};
use crate::bench::stats::{Figure, interleave};
use crate::bench::table::{Row, Unit};
use farm_harness::{Running, Zk};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ROUNDS: usize = 40;
const WARM_UP_ROUNDS: usize = 3;
/// Longer than the 50 ms in which changes are gathered: each is the first one
/// after a quiet spell, and is written at once.
const QUIET: Duration = Duration::from_millis(75);
/// No other row writes this serial or a greater one.
const FIRST_SERIAL: u32 = 1_000_000;

/// Beside two bare clients, one told of the other's set, that then reads the
/// znode and puts a file of the same size in place.
pub(super) fn set_to_file(
    stage: &Stage,
    name: &'static str,
    hosts: usize,
) -> Result<Row, BenchError> {
    let mut mirror = Mirror::start(stage, name, stage.farm(hosts)?)?;
    let bytes = fs::read(&mirror.file).map_err(BenchError::io(&mirror.file))?;
    let mut wire = Wire::new(stage, "/bench/set-to-file")?;
    let bare_file = BareFile { path: stage.path(&format!("{name}.bare")), bytes };
    let measured = || mirror.change();
    let limit = || {
        rest(QUIET);
        wire.set_to_file(&record(0, FIRST_SERIAL), &bare_file)
    };
    let pairs = interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?;
    Ok(Row::measured(name, pairs)?.with_bytes(bare_file.bytes.len()))
}

/// How often the server was asked for something of the farm; one read is the limit.
pub(super) fn reads_per_change(
    stage: &Stage,
    name: &'static str,
    hosts: usize,
) -> Result<Row, BenchError> {
    let farm = stage.farm(hosts)?;
    let mut mirror = Mirror::start(stage, name, farm)?;
    mirror.change()?;
    let before = reads(stage, farm)?;
    for _ in 0..ROUNDS {
        mirror.change()?;
    }
    rest(QUIET);
    let per_change = (reads(stage, farm)? - before) / ROUNDS as f64;
    Ok(Row {
        name,
        unit: Unit::Reads,
        samples: ROUNDS,
        measured: Figure::constant(per_change),
        limit: Figure::constant(1.0),
        bytes: None,
    })
}

/// How often the server was asked for data or children below the farm's first part.
fn reads(stage: &Stage, farm: BenchFarm) -> Result<f64, BenchError> {
    let counter = format!("zk_cnt_{}_read_per_namespace", farm.namespace());
    let counters = stage.counters()?;
    let mut lines = counters.lines().filter_map(|line| line.split_once('\t'));
    let count = lines.find_map(|(name, count)| (name == counter).then(|| count.parse().ok()));
    count.flatten().ok_or(BenchError::NotCounted { counter })
}

/// A zkexport that runs, and somebody who changes its farm.
struct Mirror {
    zk: Zk,
    farm: BenchFarm,
    file: PathBuf,
    serial: u32,
    _export: Running,
}

impl Mirror {
    /// Starts one; its file has the farm when this returns.
    fn start(stage: &Stage, name: &str, farm: BenchFarm) -> Result<Self, BenchError> {
        let file = stage.path(&format!("{name}.json"));
        let sight = Sight::of(&file);
        let export = stage.daemon("zkexport")?.arg(farm.path()).arg(&file).spawn();
        sight.wait_for("{")?;
        Ok(Self { zk: stage.zk()?, farm, file, serial: FIRST_SERIAL, _export: export })
    }

    /// From a set by a bare client until the file has the new value.
    fn change(&mut self) -> Result<Duration, BenchError> {
        rest(QUIET);
        self.serial += 1;
        let sight = Sight::of(&self.file);
        let path = self.farm.host_path(0);
        let data = record(0, self.serial);
        let start = Instant::now();
        self.zk.set(&path, data)?;
        Ok(sight.wait_for(&format!("\"serial\": {}", self.serial))? - start)
    }
}
