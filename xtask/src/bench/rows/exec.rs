//! A running zkexec: from a change of the znode to the restarted child.

use crate::bench::error::BenchError;
use crate::bench::file_observer::FileObserver;
use crate::bench::limit::{BareClients, BareFile};
use crate::bench::stats::interleave;
use crate::bench::table::Row;
use crate::bench::testbed::{Testbed, settle};
use farm_harness::{Running, Zk, toolbox};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 60;
const WARM_UP_ROUNDS: usize = 5;
/// Enough for what follows a restart, such as releasing the lock.
const QUIET: Duration = Duration::from_millis(75);

/// The limit: a bare client gets the watch event of a set, reads the znode, replaces the file, and
/// restarts the same child.
pub(super) fn set_to_child(
    testbed: &Testbed,
    name: &'static str,
    options: &[&str],
) -> Result<Row, BenchError> {
    let mut exec = RunningExec::start(testbed, name, options)?;
    let mut bare = BareChild::start(testbed, name)?;
    let measured = || exec.change();
    let limit = || bare.change();
    Row::measured(name, interleave(ROUNDS, WARM_UP_ROUNDS, measured, limit)?)
}

/// The shell command of the child: it reads a number from its config, creates a file with that
/// number in its name to show that it runs, and becomes a `sleep`, which exits at once on SIGTERM.
fn child_command(conf: &Path) -> String {
    let conf = conf.display();
    format!("read -r serial < {conf}; : > {conf}.$serial; exec sleep 60")
}

/// Observes the file that the child creates when it runs with this number.
fn child_observer(conf: &Path, serial: u32) -> FileObserver {
    FileObserver::new(&PathBuf::from(format!("{}.{serial}", conf.display())))
}

fn line(serial: u32) -> String {
    format!("{serial}\n")
}

/// A running zkexec, and a client that changes its znode.
struct RunningExec {
    zk: Zk,
    znode: String,
    conf: PathBuf,
    serial: u32,
    _exec: Running,
}

impl RunningExec {
    /// Starts zkexec and waits for its child.
    fn start(testbed: &Testbed, name: &str, options: &[&str]) -> Result<Self, BenchError> {
        let (conf, znode) = (testbed.path(name), format!("/bench-{name}"));
        let mut zk = testbed.zk()?;
        zk.create_all(&znode, line(0))?;
        let first = child_observer(&conf, 0);
        let mirror = format!("{}={znode}", conf.display());
        // zkexec must not wait to see whether the child stays up.
        let always = ["--wait", "0", "--health-delay", "0", "--mirror", &mirror, "--exec"];
        let exec =
            testbed.daemon("zkexec")?.args(always).arg(child_command(&conf)).args(options).spawn();
        first.wait_for("")?;
        Ok(Self { zk, znode, conf, serial: 0, _exec: exec })
    }

    /// The time from a set by a bare client until the new child runs.
    fn change(&mut self) -> Result<Duration, BenchError> {
        settle(QUIET);
        self.serial += 1;
        let observer = child_observer(&self.conf, self.serial);
        let start = Instant::now();
        self.zk.set(&self.znode, line(self.serial))?;
        Ok(observer.wait_for("")? - start)
    }
}

/// The same child without zkexec.
struct BareChild {
    clients: BareClients,
    file: BareFile,
    child: Child,
    serial: u32,
}

impl BareChild {
    fn start(testbed: &Testbed, name: &str) -> Result<Self, BenchError> {
        let path = testbed.path(&format!("{name}.bare"));
        let file = BareFile { path, bytes: line(0).into_bytes() };
        let mut clients = BareClients::new(testbed, "/bench/set-to-child")?;
        clients.set_to_file("0", &file)?;
        let first = child_observer(&file.path, 0);
        let child = spawn(&file.path)?;
        first.wait_for("")?;
        Ok(Self { clients, file, child, serial: 0 })
    }

    /// The time from the set until the new child runs.
    fn change(&mut self) -> Result<Duration, BenchError> {
        settle(QUIET);
        self.serial += 1;
        self.file.bytes = line(self.serial).into_bytes();
        let observer = child_observer(&self.file.path, self.serial);
        let start = Instant::now();
        self.clients.set_to_file(&line(self.serial), &self.file)?;
        self.end()?;
        self.child = spawn(&self.file.path)?;
        Ok(observer.wait_for("")? - start)
    }

    fn end(&mut self) -> Result<(), BenchError> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).map_err(|e| BenchError::io("sh")(e.into()))?;
        self.child.wait().map(drop).map_err(BenchError::io("sh"))
    }
}

impl Drop for BareChild {
    fn drop(&mut self) {
        // It may have exited by itself.
        self.end().unwrap_or_default();
    }
}

fn spawn(conf: &Path) -> Result<Child, BenchError> {
    let mut command = Command::new(toolbox::in_path("sh").unwrap_or_else(|| "sh".into()));
    command.arg("-c").arg(child_command(conf)).stdin(Stdio::null());
    command.spawn().map_err(BenchError::io("sh"))
}
