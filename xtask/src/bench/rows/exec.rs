//! A running zkexec, from a change of the znode to the new child.

use crate::bench::error::BenchError;
use crate::bench::limit::{BareFile, Wire};
use crate::bench::sight::Sight;
use crate::bench::stage::{Stage, rest};
use crate::bench::stats::interleave;
use crate::bench::table::Row;
use farm_harness::{Running, Zk, toolbox};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 60;
const WARM_UP_ROUNDS: usize = 5;
/// For what follows a restart, such as the end of the turn, to be over.
const QUIET: Duration = Duration::from_millis(75);

/// Beside a bare client that is told of another's set, reads the znode, puts the file in
/// place, ends the same child and starts it again.
pub(super) fn set_to_child(
    stage: &Stage,
    name: &'static str,
    options: &[&str],
) -> Result<Row, BenchError> {
    let mut wrapped = Wrapped::start(stage, name, options)?;
    let mut bare = Bare::start(stage, name)?;
    let measured = || wrapped.change();
    let limit = || bare.change();
    Row::measured(name, interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?)
}

/// A shell that reads a number from its config, tells by a new file of that name that it
/// runs, and becomes a process that ends at once when it is told to. If nobody can tell it,
/// it ends by itself after a minute.
fn child_of(conf: &Path) -> String {
    let conf = conf.display();
    format!("read -r serial < {conf}; : > {conf}.$serial; exec sleep 60")
}

/// Sees the child run on that number.
fn sight(conf: &Path, serial: u32) -> Sight {
    Sight::of(&PathBuf::from(format!("{}.{serial}", conf.display())))
}

fn line(serial: u32) -> String {
    format!("{serial}\n")
}

/// A zkexec, and somebody who changes its znode.
struct Wrapped {
    zk: Zk,
    znode: String,
    conf: PathBuf,
    serial: u32,
    _exec: Running,
}

impl Wrapped {
    /// Starts one; its child runs when this returns.
    fn start(stage: &Stage, name: &str, options: &[&str]) -> Result<Self, BenchError> {
        let (conf, znode) = (stage.path(name), format!("/bench-{name}"));
        let mut zk = stage.zk()?;
        zk.create_all(&znode, line(0))?;
        let first = sight(&conf, 0);
        let mirror = format!("{}={znode}", conf.display());
        // Nobody waits for a child to show that it stays up.
        let always = ["--wait", "0", "--health-delay", "0", "--mirror", &mirror, "--exec"];
        let exec = stage.daemon("zkexec")?.args(always).arg(child_of(&conf)).args(options).spawn();
        first.wait_for("")?;
        Ok(Self { zk, znode, conf, serial: 0, _exec: exec })
    }

    /// From a set by a bare client until the new child runs.
    fn change(&mut self) -> Result<Duration, BenchError> {
        rest(QUIET);
        self.serial += 1;
        let sight = sight(&self.conf, self.serial);
        let start = Instant::now();
        self.zk.set(&self.znode, line(self.serial))?;
        Ok(sight.wait_for("")? - start)
    }
}

/// The same child, without a tool around it.
struct Bare {
    wire: Wire,
    file: BareFile,
    child: Child,
    serial: u32,
}

impl Bare {
    fn start(stage: &Stage, name: &str) -> Result<Self, BenchError> {
        let path = stage.path(&format!("{name}.bare"));
        let file = BareFile { path, bytes: line(0).into_bytes() };
        let mut wire = Wire::new(stage, "/bench/set-to-child")?;
        wire.set_to_file("0", &file)?;
        let first = sight(&file.path, 0);
        let child = spawn(&file.path)?;
        first.wait_for("")?;
        Ok(Self { wire, file, child, serial: 0 })
    }

    /// From the set until the new child runs.
    fn change(&mut self) -> Result<Duration, BenchError> {
        rest(QUIET);
        self.serial += 1;
        self.file.bytes = line(self.serial).into_bytes();
        let sight = sight(&self.file.path, self.serial);
        let start = Instant::now();
        self.wire.set_to_file(&line(self.serial), &self.file)?;
        self.end()?;
        self.child = spawn(&self.file.path)?;
        Ok(sight.wait_for("")? - start)
    }

    fn end(&mut self) -> Result<(), BenchError> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).map_err(|e| BenchError::io("sh")(e.into()))?;
        self.child.wait().map(drop).map_err(BenchError::io("sh"))
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.end().unwrap_or_default();
    }
}

fn spawn(conf: &Path) -> Result<Child, BenchError> {
    let mut command = Command::new(toolbox::in_path("sh").unwrap_or_else(|| "sh".into()));
    command.arg("-c").arg(child_of(conf)).stdin(Stdio::null());
    command.spawn().map_err(BenchError::io("sh"))
}
