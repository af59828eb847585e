//! A host process and its process tree, seen from outside.

use crate::host::{CONTROL, LOG, MARK, ROLE};
use farm_harness::{Scratch, die_with_parent, eventually};
use nix::sys::stat::Mode;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A host process with its process tree. All are killed on drop.
pub(crate) struct HostProcess {
    pub(crate) scratch: Scratch,
    pub(crate) process: Child,
    control: File,
}

/// What the host runs.
pub(crate) enum Run<'a> {
    Shell(&'a str),
    Argv(&'a [&'a str]),
}

/// The directory with the control pipe and the log of a host.
pub(crate) fn control_dir() -> Scratch {
    let scratch = Scratch::new();
    nix::unistd::mkfifo(&scratch.join(CONTROL), Mode::from_bits_truncate(0o666)).unwrap();
    File::create(scratch.join(LOG)).unwrap();
    scratch
}

/// The command line of a host.
pub(crate) fn arguments(scratch: &Scratch, mode: &str, run: &Run<'_>) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![std::env::current_exe().unwrap().into(), ROLE.into()];
    words.push(scratch.path().into());
    words.push(mode.into());
    match run {
        Run::Shell(line) => words.extend(["shell".into(), line.into()]),
        Run::Argv(argv) => {
            words.push("argv".into());
            words.extend(argv.iter().map(OsString::from));
        }
    }
    words
}

impl HostProcess {
    pub(crate) fn shell(line: &str) -> Self {
        Self::start(&Run::Shell(line), &[], |_| {})
    }

    pub(crate) fn argv(argv: &[&str]) -> Self {
        Self::start(&Run::Argv(argv), &[], |_| {})
    }

    /// Starts the host through another program, if `below` names one.
    pub(crate) fn start(run: &Run<'_>, below: &[&str], adjust: impl FnOnce(&mut Command)) -> Self {
        let scratch = control_dir();
        let words = arguments(&scratch, "stay", run);
        let mut all = below.iter().map(OsString::from).chain(words);
        let mut command = die_with_parent(&all.next().unwrap());
        command.args(all).current_dir(scratch.path()).stdin(Stdio::null());
        adjust(&mut command);
        let process = command.spawn().unwrap();
        Self::of(scratch, process)
    }

    pub(crate) fn of(scratch: Scratch, process: Child) -> Self {
        let control = File::options().read(true).write(true).open(scratch.join(CONTROL)).unwrap();
        Self { scratch, process, control }
    }

    /// Sends a command to the host.
    pub(crate) fn tell(&self, line: &str) {
        (&self.control).write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.scratch.read(LOG).unwrap().lines().map(str::to_owned).collect()
    }

    /// Waits for the nth line that starts like this, and returns the rest of it.
    #[track_caller]
    pub(crate) fn nth(&self, number: usize, start: &str) -> String {
        eventually(&format!("{start} ({number}) in the log"), || {
            let log = self.log();
            let mut found = log.iter().filter_map(|line| line.strip_prefix(start));
            found.nth(number).map(|rest| rest.trim().to_owned()).ok_or_else(|| log.join("\n"))
        })
    }

    #[track_caller]
    pub(crate) fn first(&self, start: &str) -> String {
        self.nth(0, start)
    }

    pub(crate) fn count(&self, start: &str) -> usize {
        self.log().iter().filter(|line| line.starts_with(start)).count()
    }

    /// Waits for the child, and returns its pid.
    #[track_caller]
    pub(crate) fn child(&self) -> i32 {
        self.first("up ").parse().unwrap()
    }

    /// Waits for the pid that a process writes to a file.
    #[track_caller]
    pub(crate) fn pid_in(&self, name: &str) -> i32 {
        eventually(name, || {
            let text = self.scratch.read(name)?;
            let is_whole = text.ends_with('\n');
            text.trim().parse().ok().filter(|_| is_whole).ok_or(text)
        })
    }

    #[track_caller]
    pub(crate) fn wait_for_text(&self, name: &str, wanted: &str) {
        eventually(name, || {
            let text = self.scratch.read(name)?;
            if text.contains(wanted) { Ok(()) } else { Err(text) }
        });
    }

    /// All living processes of the process tree.
    pub(crate) fn living(&self) -> Vec<i32> {
        marked(self.scratch.path())
    }

    /// Waits until this many are alive.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<i32> {
        eventually(&format!("{count} processes of the tree"), || {
            let living = self.living();
            if living.len() == count { Ok(living) } else { Err(format!("{living:?}")) }
        })
    }

    /// Waits until the process tree has no deadline.
    #[track_caller]
    pub(crate) fn wait_until_nothing_is_due(&self) {
        eventually("nothing is due", || {
            self.tell("due");
            if self.count("due false") > 0 { Ok(()) } else { Err(format!("{:?}", self.log())) }
        });
    }

    /// Waits until the host logs that the tree is gone, and checks that no process and no unreaped
    /// child is left.
    #[track_caller]
    pub(crate) fn wait_for_end(&self) {
        self.first("gone");
        assert_eq!(self.living(), [] as [i32; 0], "{:#?}", self.log());
        assert_eq!(children_of(self.pid()), [] as [i32; 0], "{:#?}", self.log());
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }

    /// Ends the host and returns its exit status.
    #[track_caller]
    pub(crate) fn quit(mut self) -> ExitStatus {
        self.tell("quit");
        eventually("the end of the host", || match self.process.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err("it runs"),
        })
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        // A host that a shell has started is not our child; its directory identifies it.
        for pid in self.living().into_iter().chain(with_argument(self.scratch.path())) {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
    }
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn marked(dir: &Path) -> Vec<i32> {
    let mark = format!("{MARK}={}", dir.display());
    let has_mark = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    processes().filter(has_mark).collect()
}

fn with_argument(dir: &Path) -> Vec<i32> {
    let has_word = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == dir.as_os_str().as_encoded_bytes())
    };
    processes().filter(has_word).collect()
}

/// The fields of /proc/PID/stat after the name: state, parent, group, …
pub(crate) fn stat(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().map(str::to_owned).collect()
}

/// Whether the process is alive: a zombie is not.
pub(crate) fn is_alive(pid: i32) -> bool {
    stat(pid).first().is_some_and(|state| !matches!(state.as_str(), "Z" | "X"))
}

/// Whether the process is stopped by a signal.
pub(crate) fn is_stopped(pid: i32) -> bool {
    stat(pid).first().is_some_and(|state| state == "T")
}

pub(crate) fn group(pid: i32) -> i32 {
    stat(pid)[2].parse().unwrap()
}

pub(crate) fn children_of(parent: i32) -> Vec<i32> {
    let parent = parent.to_string();
    processes().filter(|pid| stat(*pid).get(1) == Some(&parent)).collect()
}

#[track_caller]
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    eventually(what, || if condition() { Ok(()) } else { Err("not so") });
}
