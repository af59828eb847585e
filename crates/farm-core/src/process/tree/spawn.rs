//! How the child comes to be.
//!
//! **Invariant.** From the first instruction of its program on, the child leads a group of
//! its own, holds the foreground if it is to have it, has no signal blocked or caught, and
//! dies when we do. This is the only file with unsafe code in it.

use super::error::StartError;
use crate::process::OURS;
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::unistd::{Pid, getpid, getppid, tcsetpgrp};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Stdin};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// What the child runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A line for `sh -c`.
    Shell(OsString),
    /// A program and its arguments, without a shell.
    Argv(Vec<OsString>),
}

impl Program {
    fn name(&self) -> &OsStr {
        match self {
            Self::Shell(_) => OsStr::new("sh"),
            Self::Argv(argv) => argv.first().map_or(OsStr::new(""), OsString::as_os_str),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.name());
        match self {
            Self::Shell(line) => command.arg("-c").arg(line),
            Self::Argv(argv) => command.args(argv.iter().skip(1)),
        };
        command
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell(line) => line.display().fmt(f),
            Self::Argv(argv) => {
                let words: Vec<_> = argv.iter().map(|word| word.to_string_lossy()).collect();
                f.write_str(&words.join(" "))
            }
        }
    }
}

/// Starts the program; its input and output are ours.
pub(super) fn spawn(
    program: &Program,
    environment: &[(OsString, OsString)],
    takes_foreground: bool,
) -> Result<Child, StartError> {
    let mut command = program.command();
    for name in OURS {
        command.env_remove(name);
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.process_group(0);
    prepare(&mut command, takes_foreground);
    // Between the fork and the program our handlers are the child's too, and a signal of the
    // terminal would be lost in them.
    let spawned = with_signals_held(|| command.spawn());
    spawned.map_err(|cause| StartError::new(program.name(), cause))
}

fn with_signals_held<T>(work: impl FnOnce() -> T) -> T {
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let done = work();
    if let Ok(mask) = mask {
        // The mask is one that this thread had: it can't be refused.
        let _ = mask.thread_set_mask();
    }
    done
}

/// Has the child do what can only be done in it, between the fork and the program.
#[expect(unsafe_code, reason = "nothing else runs in the child before its program")]
fn prepare(command: &mut Command, takes_foreground: bool) {
    let parent = getpid();
    // Taken here, for the first to ask for it allocates.
    let stdin = io::stdin();
    let ready = move || {
        // prctl(2), then getppid(2): had we died before the first, the child would by now
        // have another parent, and no signal to come.
        set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            return Err(Errno::ESRCH.into());
        }
        if takes_foreground {
            take_foreground(&stdin);
        }
        restore_signals()
    };
    // SAFETY: we have several threads, so the child may only make calls that are safe in a
    // signal handler. These are: prctl, getppid, getpid, tcsetpgrp (an ioctl), sigaction and
    // pthread_sigmask, each by a thin wrapper of nix. Nothing allocates, locks or panics:
    // an error is made from its number alone, and nothing is captured but a pid, a bool and a handle.
    unsafe { command.pre_exec(ready) };
}

/// From the background, where a new group is, this would stop us, were TTOU not blocked.
fn take_foreground(stdin: &Stdin) {
    // The terminal may have hung up meanwhile, which is no reason not to start.
    let _ = tcsetpgrp(stdin, getpid());
}

/// Gives every signal its default, unless it was ignored before our time, and lets them in.
#[expect(unsafe_code, reason = "a handler of ours may not run in the child")]
fn restore_signals() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator() {
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            continue;
        }
        // SAFETY: no handler is installed, only defaults and what was there before; and
        // sigaction(2) is safe in a signal handler.
        unsafe {
            let before = sigaction(signal, &default)?;
            // Our runtime ignores PIPE, so nobody can tell what it was.
            if matches!(before.handler(), SigHandler::SigIgn) && signal != Signal::SIGPIPE {
                sigaction(signal, &before)?;
            }
        }
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// The process as the system knows it.
pub(super) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}
