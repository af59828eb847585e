//! One run of a command.
//!
//! **Invariant.** The process is reaped only after the last signal to its group, so the kernel
//! can't have given the pid to another process.

use super::outcome::{End, Outcome};
use crate::engine::Worker;
use crate::process::service_manager;
use crate::process::tree::StartError;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const SHELL: &str = "sh";
/// How much of the end of the output is kept.
const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// How much is read from the pipe at most after the command has ended.
const PIPE_BYTES_MAX: usize = 1 << 20;

/// A command from its start until it is reaped.
#[derive(Debug)]
pub(super) struct Run {
    child: Child,
    group: Pid,
    output: Receiver<VecDeque<u8>>,
    // The waiter ends with the process, the reader with the waiter.
    _waiter: Worker,
    _reader: Worker,
}

impl Run {
    pub(super) fn start(
        command: &str,
        environment: &[(&str, String)],
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Self, StartError> {
        let (output, output_end) = io::pipe()?;
        let (over, over_end) = io::pipe()?;
        let (sender, receiver) = channel();
        let mut shell = Command::new(SHELL);
        shell.arg("-c").arg(command).process_group(0);
        shell.stdin(Stdio::null()).stdout(output_end.try_clone()?).stderr(output_end);
        for name in service_manager::VARIABLES {
            shell.env_remove(name);
        }
        shell.envs(environment.iter().map(|(name, value)| (name, value)));
        let spawned = shell.spawn();
        let mut child = spawned.map_err(|e| StartError::new(OsStr::new(SHELL), e))?;
        // It holds write ends of the pipe, and the reader would wait for their close.
        drop(shell);

        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let workers = Worker::start("hook-reader", move || collect(output, &over, &sender, ended))
            .and_then(|reader| {
                Ok((reader, Worker::start("hook", move || wait_for(group, over_end))?))
            });
        match workers {
            Ok((reader, waiter)) => {
                Ok(Self { child, group, output: receiver, _waiter: waiter, _reader: reader })
            }
            Err(e) => {
                signal_group(group, Signal::SIGKILL);
                child.wait()?;
                Err(e.into())
            }
        }
    }

    /// The pid of the process, which is not reaped yet.
    pub(super) const fn pid(&self) -> Pid {
        self.group
    }

    pub(super) fn signal(&self, signal: Signal) {
        signal_group(self.group, signal);
    }

    /// Reaps the process, which has ended. `overrun` is the time limit if it was ended for that.
    pub(super) fn end(mut self, overrun: Option<Duration>) -> Outcome {
        let output = self.output.try_recv().unwrap_or_default();
        Outcome { end: End::Reaped(self.child.wait()), output, overrun }
    }

    /// Waits for the end of the process, at most for `grace`, and kills the whole group.
    pub(super) fn kill_after(mut self, grace: Duration) {
        // The reader sends the output when the process has ended.
        drop(self.output.recv_timeout(grace));
        signal_group(self.group, Signal::SIGKILL);
        if let Err(e) = self.child.wait() {
            log::debug!("a command could not be reaped: {e}");
        }
    }
}

fn signal_group(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(e) => log::warn!(pid:% = group; "a command can't be signalled: {e}"),
    }
}

/// Waits for the end of the process without reaping it.
fn wait_for(pid: Pid, over: PipeWriter) {
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    drop(over);
}

/// Reads the output of the command until the command ends.
///
/// Not until the pipe closes: a process that the command leaves in the background may hold it
/// open for ever.
fn collect(
    mut output: PipeReader,
    over: &PipeReader,
    sender: &Sender<VecDeque<u8>>,
    ended: impl FnOnce(),
) {
    let mut last = VecDeque::new();
    let mut is_open = true;
    let mut left = PIPE_BYTES_MAX;
    loop {
        let interest = if is_open { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut fds =
            [PollFd::new(over.as_fd(), PollFlags::POLLIN), PollFd::new(output.as_fd(), interest)];
        // poll(2) would report a closed pipe again and again.
        let watched = if is_open { &mut fds[..] } else { &mut fds[..1] };
        match poll(watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => {
                log::warn!("the output of a command can't be read: {e}");
                // Only the end of the command is left to wait for; it closes this pipe.
                drop((&*over).read(&mut [0]));
                break;
            }
        }
        let is_over = fds[0].any().unwrap_or(false);
        let has_output = is_open && fds[1].any().unwrap_or(false);
        if has_output && left > 0 {
            let count = read_piece(&mut output, &mut last);
            is_open = count != Some(0);
            // A background process that writes on and on must not hide the command's end.
            left -= if is_over { count.unwrap_or(0).min(left) } else { 0 };
        } else if is_over {
            break;
        }
    }
    // The owner may be gone, and with it the receiver.
    drop(sender.send(last));
    ended();
}

/// Reads what is there and returns how much: 0 at the end of the pipe, `None` after an
/// interrupted call.
fn read_piece(output: &mut PipeReader, last: &mut VecDeque<u8>) -> Option<usize> {
    let mut piece = [0; 4096];
    match output.read(&mut piece) {
        Ok(count) => {
            last.extend(&piece[..count]);
            last.drain(..last.len().saturating_sub(OUTPUT_BYTES_MAX));
            Some(count)
        }
        Err(e) => (e.kind() != io::ErrorKind::Interrupted).then_some(0),
    }
}
