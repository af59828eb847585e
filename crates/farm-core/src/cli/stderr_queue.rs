//! Lines for stderr, which a thread of their own writes.
//!
//! **Invariant.** Handing over a line never waits, whatever the reader of stderr does. A line
//! that finds the queue full is dropped and counted, and so are all that follow until half of
//! the queue is written: then one line tells how many are missing, in the place of those lines.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much waits for a reader of stderr before lines are dropped.
const BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines that were dropped since the queue was full.
    lost: u64,
    is_writing: bool,
    /// When to call `wake`.
    wake_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    has_lines: Condvar,
    is_drained: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines, or until the time of the wake-up.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match state.wake_at {
            None => self.has_lines.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                let waited = self.has_lines.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

/// The queue; clones share it.
#[derive(Debug, Clone)]
pub(super) struct StderrQueue(Arc<Shared>);

impl StderrQueue {
    /// Starts the thread. `tell_lost` logs how many lines were dropped; `wake` is called at the
    /// time of [`StderrQueue::wake_at`], and returns the next one.
    ///
    /// The thread is never joined: it may wait for a reader that never comes.
    pub(super) fn start(
        output: impl AsFd + Send + 'static,
        tell_lost: impl Fn(u64) + Send + 'static,
        wake: impl Fn() -> Option<Instant> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let queue = Self(Arc::clone(&shared));
        thread::Builder::new()
            .name("stderr".to_owned())
            .spawn(move || write_lines(&shared, &output, tell_lost, wake))?;
        Ok(queue)
    }

    /// Hands over a line, with its line end.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.lost > 0 || state.bytes + line.len() > BYTES_MAX {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        drop(state);
        self.0.has_lines.notify_one();
    }

    /// Has `wake` called at this time, unless an earlier one is pending.
    pub(super) fn wake_at(&self, at: Instant) {
        let mut state = self.0.lock();
        if state.wake_at.is_none_or(|pending| at < pending) {
            state.wake_at = Some(at);
            drop(state);
            self.0.has_lines.notify_one();
        }
    }

    /// Waits until all lines are written, for at most `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.0.lock();
        while !state.lines.is_empty() || state.is_writing {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.is_drained.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// One write is one line: what `env_logger` writes at a time.
impl Write for StderrQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(
    shared: &Shared,
    output: &impl AsFd,
    tell_lost: impl Fn(u64),
    wake: impl Fn() -> Option<Instant>,
) {
    let mut state = shared.lock();
    loop {
        if let Some(line) = state.lines.pop_front() {
            state.bytes -= line.len();
            state.is_writing = true;
            drop(state);
            // A reader that went away misses the line, and so does nobody.
            let _ = write_all(output, &line);
            state = shared.lock();
            state.is_writing = false;
        }
        if state.lost > 0 && state.bytes <= BYTES_MAX / 2 {
            let lost = mem::take(&mut state.lost);
            drop(state);
            tell_lost(lost);
            state = shared.lock();
        }
        if state.wake_at.take_if(|at| *at <= Instant::now()).is_some() {
            drop(state);
            let next = wake();
            state = shared.lock();
            state.wake_at = state.wake_at.into_iter().chain(next).min();
        }
        if state.lines.is_empty() {
            shared.is_drained.notify_all();
            state = shared.wait(state);
        }
    }
}

fn write_all(output: &impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match nix::unistd::write(output, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            // Another process that shares this stderr has made it non-blocking.
            Err(Errno::EAGAIN) => {
                let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut fds, PollTimeout::NONE) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(e) => return Err(e),
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::io::{BufRead, BufReader, Read};
    use std::sync::mpsc::{Receiver, channel};

    const LIMIT: Duration = Duration::from_secs(30);

    fn queue(output: io::PipeWriter) -> (StderrQueue, Receiver<u64>) {
        let (lost, losses) = channel();
        let queue =
            StderrQueue::start(output, move |count| lost.send(count).unwrap(), || None).unwrap();
        (queue, losses)
    }

    #[test]
    fn lines_arrive_in_order_and_a_flush_waits_for_them() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (queue, losses) = queue(writer);
        queue.push(b"one\n");
        queue.push(b"two\n");
        queue.flush(LIMIT);
        let mut text = [0; 8];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"one\ntwo\n");
        assert!(losses.try_recv().is_err());
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_no_time_and_they_are_counted() {
        let (reader, writer) = io::pipe().unwrap();
        let (queue, losses) = queue(writer);
        let line = [[b'x'; 99].as_slice(), b"\n"].concat();
        // Far more than the pipe and the queue hold together.
        let pushed = 20 * BYTES_MAX / line.len();
        for _ in 0..pushed {
            queue.push(&line);
        }
        let begun = Instant::now();
        queue.flush(Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20), "there is still something to write");

        let mut lines = BufReader::new(reader).lines();
        let mut read = 0;
        let lost = loop {
            lines.next().unwrap().unwrap();
            read += 1;
            if let Ok(lost) = losses.try_recv() {
                break lost;
            }
        };
        queue.push(b"again\n");
        read += lines.by_ref().map(Result::unwrap).take_while(|line| line != "again").count();
        assert_eq!(read as u64 + lost, pushed as u64);
        assert!(losses.try_recv().is_err(), "told once");
    }

    #[test]
    fn a_stderr_that_somebody_made_non_blocking_loses_nothing() {
        let (reader, writer) = io::pipe().unwrap();
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let (queue, _losses) = queue(writer);
        let line = [[b'x'; 999].as_slice(), b"\n"].concat();
        // More than a pipe takes at once, less than the queue.
        for _ in 0..200 {
            queue.push(&line);
        }
        queue.push(b"end\n");
        let lines = BufReader::new(reader).lines().map(Result::unwrap);
        assert_eq!(lines.take_while(|line| line != "end").count(), 200);
    }

    #[test]
    fn a_reader_that_went_away_holds_up_nothing() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (queue, _losses) = queue(writer);
        queue.push(b"nobody reads this\n");
        queue.flush(LIMIT);
        assert!(queue.0.lock().lines.is_empty());
    }

    #[test]
    fn a_wake_up_comes_at_its_time_without_any_line() {
        let (_reader, writer) = io::pipe().unwrap();
        let (woken, wakes) = channel();
        let wake = move || {
            woken.send(Instant::now()).unwrap();
            None
        };
        let queue = StderrQueue::start(writer, |_| {}, wake).unwrap();
        let at = Instant::now() + Duration::from_millis(50);
        queue.wake_at(at + LIMIT * 100);
        queue.wake_at(at);
        queue.wake_at(at + LIMIT * 100);
        assert!(wakes.recv_timeout(LIMIT).unwrap() >= at);
        queue.push(b"a line\n");
        queue.flush(LIMIT);
        assert!(wakes.try_recv().is_err(), "once");
    }
}
