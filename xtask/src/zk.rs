//! `zk`: a ZooKeeper server for development that keeps running.

use crate::failure::Failure;
use crate::provision::{self, Need};
use crate::step::eprint_line;
use farm_harness::{Conf, Signal, free_port, mode, patience, toolbox, until};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const DEFAULT_PORT: u16 = 2181;
const START_WAIT: Duration = Duration::from_secs(120);
const STOP_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Zk {
    /// Start the server unless it is running
    Up,
    /// Stop the server and keep its data
    Down,
    /// Print the address of the server; fail if it is not running
    Status,
}

pub(crate) fn run(zk: &Zk) -> Result<(), Failure> {
    let dir = toolbox::target_dir().join("zk");
    match zk {
        Zk::Up => up(&dir),
        Zk::Down => down(&dir),
        Zk::Status => State::read(&dir).ok_or(Failure::NoServer)?.print(),
    }
}

fn up(dir: &Path) -> Result<(), Failure> {
    if let Some(state) = State::read(dir) {
        return state.print();
    }
    let toolbox = provision::ensure(Need::Servers)?;
    let is_default_free = TcpListener::bind((Ipv4Addr::LOCALHOST, DEFAULT_PORT)).is_ok();
    let port = if is_default_free { DEFAULT_PORT } else { free_port() };
    let lines = vec!["tickTime=2000".to_owned()];
    let conf = Conf { toolbox, dir: dir.to_owned(), port, secure_port: None, heap_mb: 256, lines };
    conf.write(None).map_err(Failure::io(dir))?;
    let java = conf.complete(Command::new(&conf.toolbox.java)).map_err(Failure::io(conf.log()))?;
    let child = detached(java).spawn().map_err(Failure::io(&conf.toolbox.java))?;
    let state = State { pid: child.id(), port, dir: dir.to_owned() };
    state.write()?;
    let mut probe = || mode(state.addr());
    if until(Instant::now() + patience(START_WAIT), &mut probe).is_err() {
        eprint_line(&conf.log_tail());
        return Err(Failure::ServerDown { log: conf.log() });
    }
    state.print()
}

fn down(dir: &Path) -> Result<(), Failure> {
    let Some(state) = State::read(dir) else {
        eprint_line("the server is not running");
        return Ok(());
    };
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // The process may exit between the check and the signal.
        kill(Pid::from_raw(state.pid.cast_signed()), signal).unwrap_or_default();
        let mut probe = || State::read(dir).map_or(Ok(()), Err);
        if until(Instant::now() + STOP_WAIT, &mut probe).is_ok() {
            break;
        }
    }
    fs::remove_file(State::path(dir)).map_err(Failure::io(State::path(dir)))
}

/// Puts the server in a process group of its own: Ctrl-C in this terminal must not reach it.
fn detached(mut command: Command) -> Command {
    command.process_group(0);
    command
}

/// The server that was started last, if it is still running.
#[derive(Debug)]
struct State {
    pid: u32,
    port: u16,
    dir: PathBuf,
}

impl State {
    fn path(dir: &Path) -> PathBuf {
        dir.join("server")
    }

    fn read(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(Self::path(dir)).ok()?;
        let (pid, port) = text.trim().split_once(' ')?;
        let state = Self { pid: pid.parse().ok()?, port: port.parse().ok()?, dir: dir.to_owned() };
        state.is_running().then_some(state)
    }

    /// True while the process exists and is our server: the kernel reuses process ids.
    fn is_running(&self) -> bool {
        let command = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let conf = self.dir.join("zoo.cfg").display().to_string();
        command.split(|byte| *byte == 0).any(|argument| argument == conf.as_bytes())
    }

    fn write(&self) -> Result<(), Failure> {
        let path = Self::path(&self.dir);
        let text = format!("{} {}\n", self.pid, self.port);
        File::create(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(Failure::io(path))
    }

    fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn print(&self) -> Result<(), Failure> {
        // On standard output, for `$(cargo xtask zk status)`.
        writeln!(std::io::stdout(), "{}", self.addr()).map_err(Failure::io("standard output"))
    }
}
