//! One run of a command.
//!
//! **Invariant.** The process is not reaped before we have stopped to signal its
//! group: its number can't become another's meanwhile.

use super::Failed;
use crate::engine::{Worker, shown};
use crate::process::OURS;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How much of the end of the output is kept.
const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// How much of its output may still be in the pipe when a command has ended.
const PIPE_BYTES_MAX: usize = 1 << 20;
const LINE_CHARS_MAX: usize = 500;
/// How many of the last lines of a failed command are logged.
const LINES_MAX: usize = 10;

/// A command while it runs, until it is reaped.
#[derive(Debug)]
pub(super) struct Run {
    child: Child,
    group: Pid,
    output: Receiver<VecDeque<u8>>,
    // The waiter ends with the process, the reader with the waiter.
    _waiter: Worker,
    _reader: Worker,
}

/// How a run ended.
#[derive(Debug)]
pub(in crate::process) struct Outcome {
    status: io::Result<ExitStatus>,
    output: VecDeque<u8>,
    /// The time that it was given, if it was ended for taking longer.
    overrun: Option<Duration>,
}

impl Run {
    pub(super) fn start(
        command: &str,
        environment: &[(&str, String)],
        ended: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (output, output_end) = io::pipe()?;
        let (over, over_end) = io::pipe()?;
        let (sender, receiver) = channel();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).process_group(0);
        shell.stdin(Stdio::null()).stdout(output_end.try_clone()?).stderr(output_end);
        for name in OURS {
            shell.env_remove(name);
        }
        shell.envs(environment.iter().map(|(name, value)| (name, value)));
        let mut child = shell.spawn()?;
        // It holds ends of the pipe; the reader would wait for them.
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
                end_group(group, Signal::SIGKILL);
                child.wait()?;
                Err(e)
            }
        }
    }

    /// The process, which can't have been reaped.
    pub(super) const fn pid(&self) -> Pid {
        self.group
    }

    pub(super) fn signal(&self, signal: Signal) {
        end_group(self.group, signal);
    }

    /// Reaps the process, which has ended, by itself or because it took longer than given.
    pub(super) fn end(mut self, overrun: Option<Duration>) -> Outcome {
        let output = self.output.try_recv().unwrap_or_default();
        Outcome { status: self.child.wait(), output, overrun }
    }

    /// Waits for the end of the process, but no longer than given, and ends the whole group.
    pub(super) fn kill_after(mut self, grace: Duration) {
        // The output comes when the process has ended; either way the rest goes now.
        drop(self.output.recv_timeout(grace));
        end_group(self.group, Signal::SIGKILL);
        if let Err(e) = self.child.wait() {
            log::debug!("a command could not be reaped: {e}");
        }
    }
}

impl Outcome {
    /// Of a command that could not be started.
    pub(super) const fn unstarted(error: io::Error) -> Self {
        Self { status: Err(error), output: VecDeque::new(), overrun: None }
    }

    /// Whether it counts as done: one that took too long does not, however it ended.
    pub(in crate::process) fn verdict(&self) -> Result<(), Failed> {
        match self.overrun {
            None => self.exit(),
            Some(limit) => Err(self.failed(format!("not done in {limit:?}"))),
        }
    }

    /// How it ended, in time or not.
    pub(in crate::process) fn exit(&self) -> Result<(), Failed> {
        let is_success = self.status.as_ref().is_ok_and(ExitStatus::success);
        if is_success { Ok(()) } else { Err(self.failed(self.reason())) }
    }

    fn failed(&self, reason: String) -> Failed {
        Failed { reason, said: self.last_lines(LINES_MAX) }
    }

    fn reason(&self) -> String {
        match &self.status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (None, Some(signal)) => format!("killed by signal {signal}"),
                (None, None) => status.to_string(),
            },
            Err(e) => e.to_string(),
        }
    }

    /// The last lines that say something, safe to log.
    pub(super) fn last_lines(&self, lines_max: usize) -> Vec<String> {
        let bytes: Vec<u8> = self.output.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> =
            text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(lines_max));
        last.map(|line| line.chars().take(LINE_CHARS_MAX).map(shown).collect()).collect()
    }
}

fn end_group(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(e) => log::warn!(pid:% = group; "a command can't be signalled: {e}"),
    }
}

/// Waits for the end of the process and leaves it to be reaped by its owner.
fn wait_for(pid: Pid, over: PipeWriter) {
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    drop(over);
}

/// Reads what the command says until it ends.
///
/// Not until the pipe closes: what the command has left running in the
/// background may hold it open for ever.
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
        // A pipe that is closed would be reported again and again.
        let watched = if is_open { &mut fds[..] } else { &mut fds[..1] };
        match poll(watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => {
                log::warn!("the output of a command can't be read: {e}");
                // Its end is all that is left to wait for, and that is the end of this pipe.
                drop((&*over).read(&mut [0]));
                break;
            }
        }
        let is_over = fds[0].any().unwrap_or(false);
        let has_output = is_open && fds[1].any().unwrap_or(false);
        if has_output && left > 0 {
            let count = take(&mut output, &mut last);
            is_open = count != Some(0);
            // A talkative child of the command must not keep us from seeing its end.
            left -= if is_over { count.unwrap_or(0).min(left) } else { 0 };
        } else if is_over {
            break;
        }
    }
    // The owner may be gone: then nobody asks.
    drop(sender.send(last));
    ended();
}

/// Takes a piece that is there, and says how long it is: nothing at the end,
/// `None` if it is to be tried again.
fn take(output: &mut PipeReader, last: &mut VecDeque<u8>) -> Option<usize> {
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
