//! A running program.

use crate::output::Output;
use crate::patience::{eventually, patience, until};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, geteuid};
use std::fmt::Display;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

// The program's children may hold its streams open after it ends.
const DRAIN_WAIT: Duration = Duration::from_millis(500);
// The unit of CPU times in /proc (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// A started program. It and its process group are killed on drop.
#[derive(Debug)]
pub struct Running {
    child: Child,
    status: Option<ExitStatus>,
    start: Instant,
    end: Option<Instant>,
    stdout: Collector,
    stderr: Collector,
    command: String,
    patience: Duration,
}

impl Running {
    pub(crate) fn new(
        mut child: Child,
        input: Vec<u8>,
        command: String,
        patience: Duration,
    ) -> Self {
        let stdout = Collector::start(child.stdout.take());
        let stderr = Collector::start(child.stderr.take());
        if let Some(mut stdin) = child.stdin.take() {
            // Fails if the program ends without reading all of it, which is fine.
            start_thread("stdin", move || drop(stdin.write_all(&input)));
        }
        let start = Instant::now();
        Self { child, status: None, start, end: None, stdout, stderr, command, patience }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.bytes()).into_owned()
    }

    /// The standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Waits until standard error contains this text.
    ///
    /// # Panics
    ///
    /// When it does not come in time.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        self.wait_log_times(text, 1);
    }

    /// Waits until standard error contains this text at least `times` times.
    ///
    /// # Panics
    ///
    /// When it does not come in time.
    #[track_caller]
    pub fn wait_log_times(&self, text: &str, times: usize) {
        eventually(&format!("{text:?} in the log, {times} times"), || {
            let log = self.stderr();
            let seen = log.matches(text).count();
            if seen >= times { Ok(()) } else { Err(format!("{seen} times in\n{log}")) }
        });
    }

    /// Waits until standard output contains this text.
    ///
    /// # Panics
    ///
    /// When it does not come in time.
    #[track_caller]
    pub fn wait_stdout(&self, text: &str) {
        eventually(&format!("{text:?} on standard output"), || {
            let seen = self.stdout();
            if seen.contains(text) { Ok(()) } else { Err(seen) }
        });
    }

    /// Sets a soft limit, by its long option of `prlimit`.
    ///
    /// # Panics
    ///
    /// When that fails.
    #[track_caller]
    pub fn set_limit(&self, resource: &str, soft: impl Display) {
        let pid = self.pid().to_string();
        let limit = format!("--{resource}={soft}:");
        let mut prlimit = vec!["prlimit", "--pid", &pid, &limit];
        let owner = fs::metadata(format!("/proc/{pid}")).map_or(0, |process| process.uid());
        let (user, group) = (format!("--reuid={owner}"), format!("--regid={owner}"));
        if geteuid().is_root() && owner != 0 {
            // Root may lack the capability to change the limits of another user's processes.
            prlimit.splice(..0, ["setpriv", &user, &group, "--clear-groups"]);
        }
        let set = Command::new(prlimit[0]).args(&prlimit[1..]).status();
        assert!(set.is_ok_and(|end| end.success()), "cannot set {limit} of {}", self.command);
    }

    /// Stops reading standard error.
    pub fn hold_stderr(&self) {
        self.stderr.gate.set(true);
    }

    /// Reads standard error again.
    pub fn release_stderr(&self) {
        self.stderr.gate.set(false);
    }

    /// Whether the program still runs.
    pub fn is_running(&mut self) -> bool {
        self.poll_exit().is_none()
    }

    /// Sends a signal to the program.
    ///
    /// # Panics
    ///
    /// When the program has ended.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        assert!(self.is_running(), "it has ended already: {}", self.output());
        if let Err(e) = kill(self.process(), signal) {
            panic!("cannot send {signal} to {}: {e}", self.command);
        }
    }

    /// Kills the program with SIGKILL, but not its children, and waits until it ends.
    ///
    /// # Panics
    ///
    /// When the program has ended before.
    #[track_caller]
    pub fn kill9(&mut self) -> Output {
        self.signal(Signal::SIGKILL);
        self.wait_exit()
    }

    /// Waits until the program ends and its output is read.
    ///
    /// # Panics
    ///
    /// When that takes longer than the tool's patience, after killing it.
    #[track_caller]
    pub fn wait_exit(&mut self) -> Output {
        let limit = patience(self.patience);
        let deadline = Instant::now() + limit;
        let ended = until(deadline, &mut || self.poll_exit().ok_or(()));
        if ended.is_err() {
            self.kill_group();
            panic!("not ended after {limit:?}\n{}", self.output());
        }
        let drain_end = Instant::now() + DRAIN_WAIT;
        let is_drained = || (self.stdout.is_done() && self.stderr.is_done()).then_some(());
        // Incomplete output is no error here: a child that outlives the program is the test's
        // concern.
        until(drain_end, &mut || is_drained().ok_or(())).unwrap_or_default();
        self.output()
    }

    /// The CPU time used so far.
    ///
    /// # Panics
    ///
    /// When the program has ended.
    #[must_use]
    #[track_caller]
    pub fn cpu_time(&self) -> Duration {
        let stat = self.read_proc("stat");
        // The name in parentheses may contain any character. User and system time are the
        // 12th and 13th field after it.
        let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
        let ticks: u32 =
            fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
        TICK * ticks
    }

    /// The number of threads.
    ///
    /// # Panics
    ///
    /// When the program has ended.
    #[must_use]
    #[track_caller]
    pub fn thread_count(&self) -> usize {
        self.count_proc("task")
    }

    /// The number of open file descriptors.
    ///
    /// # Panics
    ///
    /// When the program has ended.
    #[must_use]
    #[track_caller]
    pub fn fd_count(&self) -> usize {
        self.count_proc("fd")
    }

    /// The peak resident memory in KiB.
    ///
    /// # Panics
    ///
    /// When the program has ended.
    #[must_use]
    #[track_caller]
    pub fn memory_peak_kb(&self) -> u64 {
        let status = self.read_proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no VmHWM for {}:\n{status}", self.command))
    }

    #[track_caller]
    fn read_proc(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.pid());
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path} of {}: {e}", self.command))
    }

    #[track_caller]
    fn count_proc(&self, name: &str) -> usize {
        let path = format!("/proc/{}/{name}", self.pid());
        match fs::read_dir(&path) {
            Ok(entries) => entries.count(),
            Err(e) => panic!("{path} of {}: {e}", self.command),
        }
    }

    fn process(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    fn poll_exit(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
            self.end = self.status.map(|_| Instant::now());
        }
        self.status
    }

    fn output(&self) -> Output {
        let end = self.end.unwrap_or_else(Instant::now);
        Output {
            code: self.status.and_then(|status| status.code()),
            signal: self.status.and_then(|status| status.signal()),
            stdout: self.stdout.bytes().clone(),
            stderr: self.stderr(),
            elapsed: end - self.start,
            command: self.command.clone(),
        }
    }

    fn kill_group(&mut self) {
        // The group outlives its leader as long as it has members. Usually it has none, and the
        // call fails.
        killpg(self.process(), Signal::SIGKILL).unwrap_or_default();
        if self.status.is_none() {
            drop(self.child.kill());
            self.status = self.child.wait().ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_group();
        if std::thread::panicking() {
            let note = format!("--- {}\n{}\n", self.command, self.stderr());
            drop(io::stderr().write_all(note.as_bytes()));
        }
    }
}

/// A thread that reads a stream to its end.
#[derive(Debug)]
struct Collector {
    // Written by the thread, read by the test at any time. With a channel the test would have
    // to keep a copy of what it received so far.
    bytes: Arc<Mutex<Vec<u8>>>,
    gate: Arc<Gate>,
    thread: Option<JoinHandle<()>>,
}

/// Holds up the thread that reads a stream.
#[derive(Debug, Default)]
struct Gate {
    is_shut: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, is_shut: bool) {
        *self.is_shut.lock().unwrap_or_else(PoisonError::into_inner) = is_shut;
        self.changed.notify_all();
    }

    fn pass(&self, stream: &impl AsFd) {
        let is_shut = self.is_shut.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_shut {
            // The least that the system grants. Otherwise a program has to write 64 KiB until it
            // can notice that nobody reads. What is in the pipe already may be more.
            fcntl(stream.as_fd(), FcntlArg::F_SETPIPE_SZ(1)).unwrap_or_default();
            drop(self.changed.wait_while(is_shut, |is_shut| *is_shut));
        }
    }
}

impl Collector {
    fn start(stream: Option<impl Read + AsFd + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let gate = Arc::new(Gate::default());
        let (sink, reading) = (Arc::clone(&bytes), Arc::clone(&gate));
        let thread = stream.map(|mut stream| {
            start_thread("output", move || {
                let mut chunk = [0; 8192];
                while let Ok(length @ 1..) = stream.read(&mut chunk) {
                    reading.pass(&stream);
                    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                    sink.extend_from_slice(&chunk[..length]);
                }
            })
        });
        Self { bytes, gate, thread }
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let started = Builder::new().name(name.to_owned()).spawn(work);
    started.unwrap_or_else(|e| panic!("cannot start a thread: {e}"))
}
