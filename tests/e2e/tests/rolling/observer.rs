//! Observes which children run, independently of zkexec.
//!
//! Every child holds a fifo open: when the last holder ends, the kernel reports a hang-up at
//! the other end. The children and their commands write events to a fifo that all share.

use farm_harness::{eventually, eventually_within};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const NONBLOCK: i32 = nix::libc::O_NONBLOCK;

/// The line that stops the thread.
const STOP: &str = "stop";

/// An event of a member's child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChildEvent {
    /// The child runs: its content and its pid.
    Up(String, u32),
    /// The child has ended.
    Down,
    /// A health check has succeeded on this content.
    Healthy(String),
    /// The child got TERM.
    Stopping,
    /// The child got HUP and read this content.
    Reloaded(String),
    /// The content is checked before it is installed.
    Checking,
    /// The test is about to kill the child's zkexec.
    Killed,
}

/// An event with its time and member.
#[derive(Debug, Clone)]
pub(crate) struct Observation {
    pub(crate) at: Instant,
    pub(crate) who: usize,
    pub(crate) event: ChildEvent,
}

// A lock instead of messages: a test reads all events so far, and may do so repeatedly.
type Observations = Arc<Mutex<Vec<Observation>>>;

/// A handle to the observing thread.
#[derive(Debug)]
pub(crate) struct Observer {
    observations: Observations,
    events: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// Makes the fifo `events`, and `alive` in every member's directory.
    pub(crate) fn open(scratch: &Path, members: usize) -> Self {
        let events = scratch.join("events");
        mkfifo(&events, Mode::S_IRWXU).unwrap();
        // Open for writing too, so that it never reports the end of the file.
        let stream = OpenOptions::new().read(true).write(true).custom_flags(NONBLOCK).open(&events);
        let open = |who: usize| {
            let alive = scratch.join(format!("{who}/alive"));
            mkfifo(&alive, Mode::S_IRWXU).unwrap();
            OpenOptions::new().read(true).custom_flags(NONBLOCK).open(alive).unwrap()
        };
        let alive_fifos = (0..members).map(open).collect();
        let observations = Observations::default();
        let mut poller = Poller {
            events: stream.unwrap(),
            text: String::new(),
            alive_fifos,
            is_up: vec![false; members],
            observations: Arc::clone(&observations),
        };
        let builder = std::thread::Builder::new().name("observer".to_owned());
        let thread = builder.spawn(move || while poller.poll_once() {}).unwrap();
        Self { observations, events, thread: Some(thread) }
    }

    pub(crate) fn observations(&self) -> Vec<Observation> {
        self.observations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The events of one member.
    pub(crate) fn events_of(&self, who: usize) -> Vec<ChildEvent> {
        self.observations()
            .into_iter()
            .filter(|observation| observation.who == who)
            .map(|observation| observation.event)
            .collect()
    }

    /// Records that the test is about to kill this member's zkexec.
    pub(crate) fn record_kill(&self, who: usize) {
        let observation = Observation { at: Instant::now(), who, event: ChildEvent::Killed };
        self.observations.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
    }

    /// Waits until a member has had this event `times` times.
    #[track_caller]
    pub(crate) fn wait_event_times(&self, who: usize, times: usize, event: &ChildEvent) {
        eventually(&format!("{event:?} of {who}, {times} times"), || {
            let events = self.events_of(who);
            let seen = events.iter().filter(|seen| *seen == event).count();
            if seen >= times { Ok(()) } else { Err(format!("{events:?}")) }
        });
    }

    #[track_caller]
    pub(crate) fn wait_event(&self, who: usize, event: &ChildEvent) {
        self.wait_event_times(who, 1, event);
    }

    /// Waits until a member's child runs on this content, and returns its pid.
    #[track_caller]
    pub(crate) fn wait_up(&self, who: usize, version: &str) -> u32 {
        self.wait_up_within(Duration::from_secs(10), who, version)
    }

    #[track_caller]
    pub(crate) fn wait_up_within(&self, limit: Duration, who: usize, version: &str) -> u32 {
        eventually_within(limit, &format!("{who} runs on {version}"), || {
            let events = self.events_of(who);
            match events
                .iter()
                .rev()
                .find(|event| matches!(event, ChildEvent::Up(..) | ChildEvent::Down))
            {
                Some(ChildEvent::Up(seen, pid)) if seen == version => Ok(*pid),
                _ => Err(format!("{events:?}")),
            }
        })
    }

    /// How often a member's child has ended.
    pub(crate) fn down_count(&self, who: usize) -> usize {
        self.events_of(who).iter().filter(|event| **event == ChildEvent::Down).count()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let fifo = OpenOptions::new().write(true).custom_flags(NONBLOCK).open(&self.events);
        if fifo.and_then(|mut events| writeln!(events, "{STOP}")).is_ok() {
            drop(self.thread.take().map(JoinHandle::join));
        }
    }
}

struct Poller {
    events: File,
    text: String,
    alive_fifos: Vec<File>,
    is_up: Vec<bool>,
    observations: Observations,
}

impl Poller {
    /// Waits for events and records them; returns `false` when the thread is to stop.
    fn poll_once(&mut self) -> bool {
        let mut fds = vec![PollFd::new(self.events.as_fd(), PollFlags::POLLIN)];
        let watched: Vec<usize> =
            (0..self.alive_fifos.len()).filter(|who| self.is_up[*who]).collect();
        let alive_fifos = watched.iter().map(|who| self.alive_fifos[*who].as_fd());
        fds.extend(alive_fifos.map(|fd| PollFd::new(fd, PollFlags::empty())));
        let polled = poll(&mut fds, PollTimeout::NONE);
        let at = Instant::now();
        let is_over = |fd: &PollFd<'_>| {
            fd.revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
        };
        let gone: Vec<usize> = watched
            .iter()
            .zip(&fds[1..])
            .filter(|(_, fd)| is_over(fd))
            .map(|(who, _)| *who)
            .collect();
        if polled.is_err() {
            return true;
        }
        // Lines that a child wrote before its end precede its `Down`.
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = self.events.read(&mut chunk) {
            self.text.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
        let (before, after): (Vec<_>, Vec<_>) = {
            let lines = self.text.rfind('\n').map_or(0, |end| end + 1);
            let rest = self.text.split_off(lines);
            let lines = std::mem::replace(&mut self.text, rest);
            let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
            // An `up` line of a member whose child has ended comes from the next child.
            lines.into_iter().partition(|line| !gone.iter().any(|who| is_start(line, *who)))
        };
        let is_going_on = before.iter().all(|line| self.read(at, line));
        for who in gone {
            self.down(at, who);
        }
        is_going_on && after.iter().all(|line| self.read(at, line))
    }

    fn read(&mut self, at: Instant, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == [STOP] {
            return false;
        }
        let [who, what, rest @ ..] = &words[..] else { return true };
        let Ok(who) = who.parse::<usize>() else { return true };
        let event = match (*what, rest) {
            ("up", [version, pid, ..]) => {
                if self.is_up[who] {
                    self.down(at, who);
                }
                self.is_up[who] = true;
                ChildEvent::Up((*version).to_owned(), pid.parse().unwrap_or_default())
            }
            ("healthy", [version, ..]) => ChildEvent::Healthy((*version).to_owned()),
            ("reloaded", [version, ..]) => ChildEvent::Reloaded((*version).to_owned()),
            ("stopping", _) => ChildEvent::Stopping,
            ("checking", _) => ChildEvent::Checking,
            _ => return true,
        };
        self.record(at, who, event);
        true
    }

    fn down(&mut self, at: Instant, who: usize) {
        self.is_up[who] = false;
        self.record(at, who, ChildEvent::Down);
    }

    fn record(&self, at: Instant, who: usize, event: ChildEvent) {
        let mut observations = self.observations.lock().unwrap_or_else(PoisonError::into_inner);
        observations.push(Observation { at, who, event });
    }
}

/// The maximum number of members without a child at a time, and of members out of service,
/// that is from the end of a child until the next one is healthy. A member whose zkexec was
/// killed does not count until it is up again.
pub(crate) fn most_down(observations: &[Observation]) -> (usize, usize) {
    let members = observations.iter().map(|observation| observation.who + 1).max().unwrap_or(0);
    let (mut is_down, mut is_out) = (vec![false; members], vec![false; members]);
    let mut is_killed = vec![true; members];
    let (mut most_down, mut most_out) = (0, 0);
    for Observation { who, event, .. } in observations {
        let who = *who;
        match event {
            ChildEvent::Killed => {
                (is_killed[who], is_down[who], is_out[who]) = (true, false, false);
            }
            ChildEvent::Down if !is_killed[who] => (is_down[who], is_out[who]) = (true, true),
            ChildEvent::Up(..) if is_killed[who] => is_killed[who] = false,
            ChildEvent::Up(..) => is_down[who] = false,
            ChildEvent::Healthy(_) => is_out[who] = false,
            ChildEvent::Down
            | ChildEvent::Stopping
            | ChildEvent::Reloaded(_)
            | ChildEvent::Checking => {}
        }
        let count = |states: &[bool]| states.iter().filter(|state| **state).count();
        most_down = most_down.max(count(&is_down));
        most_out = most_out.max(count(&is_out));
    }
    (most_down, most_out)
}

fn is_start(line: &str, who: usize) -> bool {
    line.starts_with(&format!("{who} up "))
}
