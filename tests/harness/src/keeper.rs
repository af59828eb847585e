//! Children that die with this process.
//!
//! The kernel's parent-death signal follows the *thread* that started the
//! child, and a test's thread ends with its test, while the shared server has to
//! live on. So one thread that never ends starts them all.

use crate::toolbox;
use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Order = (Command, Sender<io::Result<Child>>);

/// A command that the kernel kills when the thread that started it ends, with
/// its process or before.
///
/// It runs under `setpriv`, which becomes the program: the process id is the
/// program's own. Without `setpriv` on the machine it is the plain command.
#[must_use]
pub fn mortal(program: &OsStr) -> Command {
    let Some(setpriv) = toolbox::in_path("setpriv") else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts a child from the thread that lives as long as the process.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static KEEPER: OnceLock<Option<Sender<Order>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts children is gone");
    let keeper = KEEPER.get_or_init(|| start().ok()).as_ref().ok_or_else(gone)?;
    let (reply, answer) = channel();
    keeper.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

fn start() -> io::Result<Sender<Order>> {
    let (sender, orders) = channel::<Order>();
    std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
        for (mut command, reply) in orders {
            drop(reply.send(command.spawn()));
        }
    })?;
    Ok(sender)
}
