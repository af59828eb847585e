//! Child processes that die with this process.
//!
//! The kernel sends the parent-death signal when the *thread* that started the child ends.
//! A test's thread ends with its test, but the shared server must live on. So one thread
//! that never ends starts all children.

use crate::toolbox;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// Its number on every architecture.
const SIGPIPE: u32 = 13;

type Order = (Command, Sender<io::Result<Child>>);

/// A command that the kernel kills when the thread that started it ends, alone or with its
/// process.
///
/// It runs under `setpriv`, which executes the program in its place: the process id is the
/// program's own. Without `setpriv` on the machine this is the plain command.
///
/// No signal is ignored in it, although this process may run under `nohup`: a tool leaves the
/// signals alone that it was started with as ignored.
#[must_use]
pub fn die_with_parent(program: &OsStr) -> Command {
    let mut words: Vec<OsString> = Vec::new();
    if let Some(setpriv) = toolbox::in_path("setpriv") {
        words.extend([setpriv.into_os_string(), "--pdeathsig".into(), "KILL".into(), "--".into()]);
    }
    // By its path: the program may get another search path.
    if let Some(env) = toolbox::in_path("env").filter(|_| ignores_signals()) {
        words.extend([env.into_os_string(), "--default-signal".into()]);
    }
    words.push(program.to_owned());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// Whether this process ignores signals, other than PIPE, which the standard library resets.
fn ignores_signals() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let bits = bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.unwrap_or_default() & !(1 << (SIGPIPE - 1)) != 0
}

/// Starts a child from the thread that lives as long as this process.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Option<Sender<Order>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts children is gone");
    let spawner = SPAWNER.get_or_init(|| start().ok()).as_ref().ok_or_else(gone)?;
    let (reply, answer) = channel();
    spawner.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

fn start() -> io::Result<Sender<Order>> {
    let (sender, orders) = channel::<Order>();
    std::thread::Builder::new().name("spawner".to_owned()).spawn(move || {
        for (mut command, reply) in orders {
            drop(reply.send(command.spawn()));
        }
    })?;
    Ok(sender)
}
