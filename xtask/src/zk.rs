//! `zk`: a server that stays up for development.

use crate::failure::Failure;
use crate::provision::{self, Need};
use crate::step::say;
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

const USUAL_PORT: u16 = 2181;
const START_WAIT: Duration = Duration::from_secs(30);
const STOP_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Zk {
    /// Start the server, unless it is up
    Up,
    /// Stop it; its data stays
    Down,
    /// Say where it is, and fail if it is not up
    Status,
}

pub(crate) fn run(zk: &Zk) -> Result<(), Failure> {
    let dir = toolbox::target_dir().join("zk");
    match zk {
        Zk::Up => up(&dir),
        Zk::Down => down(&dir),
        Zk::Status => State::read(&dir).ok_or(Failure::NoServer)?.tell(),
    }
}

fn up(dir: &Path) -> Result<(), Failure> {
    if let Some(state) = State::read(dir) {
        return state.tell();
    }
    let toolbox = provision::ensure(Need::Servers)?;
    let usual = TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT)).is_ok();
    let port = if usual { USUAL_PORT } else { free_port() };
    let lines = vec!["tickTime=2000".to_owned()];
    let conf = Conf { toolbox, dir: dir.to_owned(), port, secure_port: None, heap_mb: 256, lines };
    conf.write(None).map_err(Failure::io(dir))?;
    let java = conf.complete(Command::new(&conf.toolbox.java)).map_err(Failure::io(conf.log()))?;
    let child = detached(java).spawn().map_err(Failure::io(&conf.toolbox.java))?;
    let state = State { pid: child.id(), port, dir: dir.to_owned() };
    state.write()?;
    let mut probe = || mode(state.addr());
    if until(Instant::now() + patience(START_WAIT), &mut probe).is_err() {
        say(&conf.log_tail());
        return Err(Failure::ServerDown { log: conf.log() });
    }
    state.tell()
}

fn down(dir: &Path) -> Result<(), Failure> {
    let Some(state) = State::read(dir) else {
        say("no server");
        return Ok(());
    };
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // It may end between our look and the signal.
        kill(Pid::from_raw(state.pid.cast_signed()), signal).unwrap_or_default();
        let mut probe = || State::read(dir).map_or(Ok(()), Err);
        if until(Instant::now() + STOP_WAIT, &mut probe).is_ok() {
            break;
        }
    }
    fs::remove_file(State::path(dir)).map_err(Failure::io(State::path(dir)))
}

/// A group of its own: Ctrl-C in this terminal is not meant for the server.
fn detached(mut command: Command) -> Command {
    command.process_group(0);
    command
}

/// The server that was started last, if it still runs.
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

    /// True while the process is there and is our server: ids are used again.
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

    fn tell(&self) -> Result<(), Failure> {
        // The answer goes to standard output, for `$(cargo xtask zk status)`.
        writeln!(std::io::stdout(), "{}", self.addr()).map_err(Failure::io("standard output"))
    }
}
