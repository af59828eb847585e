//! Who is up and who is down, as the kernel tells.
//!
//! Every child holds its end of a fifo: when the last holder is gone, the other end says
//! so, whatever zkexec believes. What the children and the commands around them do, they
//! write to a fifo that all share.

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

/// Ends the thread.
const CURTAIN: &str = "curtain";

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The child runs, on this content, as this process.
    Up(String, u32),
    /// It runs no more.
    Down,
    /// Its health check has found this content to work.
    Healthy(String),
    /// It was told to end.
    Stopping,
    /// It was told of this content, and runs on.
    Told(String),
    /// Somebody looks at the content before it is put in place.
    Checking,
    /// The test is about to kill the zkexec around it.
    Killed,
}

/// One mark.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    pub(crate) at: Instant,
    pub(crate) who: usize,
    pub(crate) mark: Mark,
}

// A lock and not messages: a test looks at what was seen so far, as often as it likes.
type Sights = Arc<Mutex<Vec<Sight>>>;

/// The thread that looks.
#[derive(Debug)]
pub(crate) struct Eye {
    sights: Sights,
    marks: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Eye {
    /// Makes the fifos `marks` and, in every member's directory, `alive`.
    pub(crate) fn open(scratch: &Path, members: usize) -> Self {
        let marks = scratch.join("marks");
        mkfifo(&marks, Mode::S_IRWXU).unwrap();
        // Held for writing too: it never ends.
        let stream = OpenOptions::new().read(true).write(true).custom_flags(NONBLOCK).open(&marks);
        let open = |who: usize| {
            let alive = scratch.join(format!("{who}/alive"));
            mkfifo(&alive, Mode::S_IRWXU).unwrap();
            OpenOptions::new().read(true).custom_flags(NONBLOCK).open(alive).unwrap()
        };
        let lives = (0..members).map(open).collect();
        let sights = Sights::default();
        let mut looker = Looker {
            marks: stream.unwrap(),
            text: String::new(),
            lives,
            is_up: vec![false; members],
            sights: Arc::clone(&sights),
        };
        let builder = std::thread::Builder::new().name("eye".to_owned());
        let thread = builder.spawn(move || while looker.look() {}).unwrap();
        Self { sights, marks, thread: Some(thread) }
    }

    pub(crate) fn sights(&self) -> Vec<Sight> {
        self.sights.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was seen of one member.
    pub(crate) fn marks_of(&self, who: usize) -> Vec<Mark> {
        self.sights().into_iter().filter(|sight| sight.who == who).map(|sight| sight.mark).collect()
    }

    /// Says that the test is about to kill the zkexec of this one.
    pub(crate) fn kills(&self, who: usize) {
        let sight = Sight { at: Instant::now(), who, mark: Mark::Killed };
        self.sights.lock().unwrap_or_else(PoisonError::into_inner).push(sight);
    }

    /// Waits until this was seen of that member so many times.
    #[track_caller]
    pub(crate) fn sees_times(&self, who: usize, times: usize, mark: &Mark) {
        eventually(&format!("{mark:?} of {who}, {times} times"), || {
            let marks = self.marks_of(who);
            let seen = marks.iter().filter(|seen| *seen == mark).count();
            if seen >= times { Ok(()) } else { Err(format!("{marks:?}")) }
        });
    }

    #[track_caller]
    pub(crate) fn sees(&self, who: usize, mark: &Mark) {
        self.sees_times(who, 1, mark);
    }

    /// Waits until the child runs on this content, and tells its process.
    #[track_caller]
    pub(crate) fn sees_up(&self, who: usize, version: &str) -> u32 {
        self.sees_up_within(Duration::from_secs(10), who, version)
    }

    #[track_caller]
    pub(crate) fn sees_up_within(&self, limit: Duration, who: usize, version: &str) -> u32 {
        eventually_within(limit, &format!("{who} runs on {version}"), || {
            let marks = self.marks_of(who);
            match marks.iter().rev().find(|mark| matches!(mark, Mark::Up(..) | Mark::Down)) {
                Some(Mark::Up(seen, pid)) if seen == version => Ok(*pid),
                _ => Err(format!("{marks:?}")),
            }
        })
    }

    /// How often it went down.
    pub(crate) fn downs(&self, who: usize) -> usize {
        self.marks_of(who).iter().filter(|mark| **mark == Mark::Down).count()
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        let told = OpenOptions::new().write(true).custom_flags(NONBLOCK).open(&self.marks);
        if told.and_then(|mut marks| writeln!(marks, "{CURTAIN}")).is_ok() {
            drop(self.thread.take().map(JoinHandle::join));
        }
    }
}

struct Looker {
    marks: File,
    text: String,
    lives: Vec<File>,
    is_up: Vec<bool>,
    sights: Sights,
}

impl Looker {
    /// Waits for something to see; says whether there is more to come.
    fn look(&mut self) -> bool {
        let mut fds = vec![PollFd::new(self.marks.as_fd(), PollFlags::POLLIN)];
        let watched: Vec<usize> = (0..self.lives.len()).filter(|who| self.is_up[*who]).collect();
        let lives = watched.iter().map(|who| self.lives[*who].as_fd());
        fds.extend(lives.map(|fd| PollFd::new(fd, PollFlags::empty())));
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
        // What led to an end was written before it.
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = self.marks.read(&mut chunk) {
            self.text.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
        let (before, after): (Vec<_>, Vec<_>) = {
            let lines = self.text.rfind('\n').map_or(0, |end| end + 1);
            let rest = self.text.split_off(lines);
            let lines = std::mem::replace(&mut self.text, rest);
            let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
            // A child that came up in the same moment did so after its forerunner's end.
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
        if words == [CURTAIN] {
            return false;
        }
        let [who, what, rest @ ..] = &words[..] else { return true };
        let Ok(who) = who.parse::<usize>() else { return true };
        let mark = match (*what, rest) {
            ("up", [version, pid, ..]) => {
                if self.is_up[who] {
                    self.down(at, who);
                }
                self.is_up[who] = true;
                Mark::Up((*version).to_owned(), pid.parse().unwrap_or_default())
            }
            ("healthy", [version, ..]) => Mark::Healthy((*version).to_owned()),
            ("told", [version, ..]) => Mark::Told((*version).to_owned()),
            ("stopping", _) => Mark::Stopping,
            ("checking", _) => Mark::Checking,
            _ => return true,
        };
        self.note(at, who, mark);
        true
    }

    fn down(&mut self, at: Instant, who: usize) {
        self.is_up[who] = false;
        self.note(at, who, Mark::Down);
    }

    fn note(&self, at: Instant, who: usize, mark: Mark) {
        let mut sights = self.sights.lock().unwrap_or_else(PoisonError::into_inner);
        sights.push(Sight { at, who, mark });
    }
}

fn is_start(line: &str, who: usize) -> bool {
    line.starts_with(&format!("{who} up "))
}
