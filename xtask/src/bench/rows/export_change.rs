//! A running zkexport: from a change in the farm to the new file.

use crate::bench::error::BenchError;
use crate::bench::file_observer::FileObserver;
use crate::bench::limit::{BareClients, BareFile};
use crate::bench::stats::{Summary, interleave};
use crate::bench::table::{Row, Unit};
use crate::bench::testbed::{BenchFarm, Testbed, record, settle};
use farm_harness::{Running, Zk};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ROUNDS: usize = 40;
const WARM_UP_ROUNDS: usize = 3;
/// Longer than the 50 ms in which zkexport gathers changes, so that each change is the first one
/// of its batch and is written at once.
const QUIET: Duration = Duration::from_millis(75);
/// No other row writes this serial or a greater one.
const FIRST_SERIAL: u32 = 1_000_000;

/// The limit: a bare client gets the watch event of another client's set, reads the znode, and
/// replaces a file of the same size.
pub(super) fn set_to_file(
    testbed: &Testbed,
    name: &'static str,
    hosts: usize,
) -> Result<Row, BenchError> {
    let mut export = RunningExport::start(testbed, name, testbed.farm(hosts)?)?;
    let bytes = fs::read(&export.file).map_err(BenchError::io(&export.file))?;
    let mut clients = BareClients::new(testbed, "/bench/set-to-file")?;
    let bare_file = BareFile { path: testbed.path(&format!("{name}.bare")), bytes };
    let measured = || export.change();
    let limit = || {
        settle(QUIET);
        clients.set_to_file(&record(0, FIRST_SERIAL), &bare_file)
    };
    let pairs = interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?;
    Ok(Row::measured(name, pairs)?.with_bytes(bare_file.bytes.len()))
}

/// The number of read requests in the farm for each change. The limit is one.
pub(super) fn reads_per_change(
    testbed: &Testbed,
    name: &'static str,
    hosts: usize,
) -> Result<Row, BenchError> {
    let farm = testbed.farm(hosts)?;
    let mut export = RunningExport::start(testbed, name, farm)?;
    export.change()?;
    let before = read_count(testbed, farm)?;
    for _ in 0..ROUNDS {
        export.change()?;
    }
    settle(QUIET);
    let per_change = (read_count(testbed, farm)? - before) / ROUNDS as f64;
    Ok(Row {
        name,
        unit: Unit::Reads,
        samples: ROUNDS,
        measured: Summary::constant(per_change),
        limit: Summary::constant(1.0),
        bytes: None,
    })
}

/// The number of read requests below the first part of the farm's path, as the server counts.
fn read_count(testbed: &Testbed, farm: BenchFarm) -> Result<f64, BenchError> {
    let counter = format!("zk_cnt_{}_read_per_namespace", farm.namespace());
    let counters = testbed.counters()?;
    let mut lines = counters.lines().filter_map(|line| line.split_once('\t'));
    let count = lines.find_map(|(name, count)| (name == counter).then(|| count.parse().ok()));
    count.flatten().ok_or(BenchError::NotCounted { counter })
}

/// A running zkexport, and a client that changes its farm.
struct RunningExport {
    zk: Zk,
    farm: BenchFarm,
    file: PathBuf,
    serial: u32,
    _export: Running,
}

impl RunningExport {
    /// Starts zkexport and waits for its file.
    fn start(testbed: &Testbed, name: &str, farm: BenchFarm) -> Result<Self, BenchError> {
        let file = testbed.path(&format!("{name}.json"));
        let observer = FileObserver::new(&file);
        let export = testbed.daemon("zkexport")?.arg(farm.path()).arg(&file).spawn();
        observer.wait_for("{")?;
        Ok(Self { zk: testbed.zk()?, farm, file, serial: FIRST_SERIAL, _export: export })
    }

    /// The time from a set by a bare client until the file has the new value.
    fn change(&mut self) -> Result<Duration, BenchError> {
        settle(QUIET);
        self.serial += 1;
        let observer = FileObserver::new(&self.file);
        let path = self.farm.host_path(0);
        let data = record(0, self.serial);
        let start = Instant::now();
        self.zk.set(&path, data)?;
        Ok(observer.wait_for(&format!("\"serial\": {}", self.serial))? - start)
    }
}
