//! Starting the child.
//!
//! **Invariant.** From the first instruction of its program on, the child leads a group of its
//! own, has the foreground if it was requested, has no signal blocked or caught, and dies when we
//! do. This is the only file with unsafe code.

use super::error::StartError;
use crate::engine::IgnoredSignals;
use crate::process::service_manager;
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

/// Starts the program with our stdin, stdout and stderr.
pub(super) fn spawn(
    program: &Program,
    environment: &[(OsString, OsString)],
    takes_foreground: bool,
) -> Result<Child, StartError> {
    let mut command = program.command();
    for name in service_manager::VARIABLES {
        command.env_remove(name);
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.process_group(0);
    prepare(&mut command, takes_foreground);
    // Between fork and exec the child has our signal handlers, and a signal of the terminal
    // would be lost in them.
    let spawned = with_signals_held(|| command.spawn());
    spawned.map_err(|cause| StartError::new(program.name(), cause))
}

fn with_signals_held<T>(work: impl FnOnce() -> T) -> T {
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let done = work();
    if let Ok(mask) = mask {
        // It was this thread's mask, so the kernel accepts it.
        let _ = mask.thread_set_mask();
    }
    done
}

/// Adds the steps that only the child itself can take, between fork and exec.
#[expect(unsafe_code, reason = "nothing else runs in the child before its program")]
fn prepare(command: &mut Command, takes_foreground: bool) {
    let parent = getpid();
    // Taken here, because the first call allocates.
    let stdin = io::stdin();
    let ignored = IgnoredSignals::at_start();
    let ready = move || {
        // In this order: if we died before prctl(2), no signal will come, but getppid(2) shows
        // that the child has another parent.
        set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            return Err(Errno::ESRCH.into());
        }
        if takes_foreground {
            take_foreground(&stdin);
        }
        restore_signals(ignored)
    };
    // SAFETY: we have several threads, so the child may only make calls that are safe in a
    // signal handler. These are: prctl, getppid, getpid, tcsetpgrp (an ioctl), sigaction and
    // pthread_sigmask, each by a thin wrapper of nix. Nothing allocates, locks or panics:
    // an error is made from its number alone, and nothing is captured but a pid, a bool, a set of
    // bits and a handle.
    unsafe { command.pre_exec(ready) };
}

/// A new group is in the background, where this call would stop us if TTOU were not blocked.
fn take_foreground(stdin: &Stdin) {
    // The terminal may have hung up; the child starts all the same.
    let _ = tcsetpgrp(stdin, getpid());
}

/// Resets every signal to its default, except those that we were started with as ignored, and
/// unblocks them all.
#[expect(unsafe_code, reason = "a handler of ours may not run in the child")]
fn restore_signals(ignored: IgnoredSignals) -> io::Result<()> {
    let with = |handler| SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    let (default, ignore) = (with(SigHandler::SigDfl), with(SigHandler::SigIgn));
    for signal in Signal::iterator() {
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            continue;
        }
        // SAFETY: this installs no handler, and sigaction(2) is safe in a signal handler.
        unsafe {
            let before = sigaction(signal, &default)?;
            // We catch CHLD even if it was ignored. The Rust runtime ignores PIPE, so what we
            // were started with is unknown.
            let is_ignored = matches!(before.handler(), SigHandler::SigIgn);
            if ignored.contains(signal as i32) || is_ignored && signal != Signal::SIGPIPE {
                sigaction(signal, &ignore)?;
            }
        }
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// The pid of the child, in the type of `nix`.
pub(super) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}
