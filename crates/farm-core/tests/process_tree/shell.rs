//! A shell on a pseudo-terminal, and its keyboard input.

use crate::host_process::{HostProcess, Run, arguments, control_dir, stat, wait_until};
use farm_core::engine::Worker;
use farm_harness::{die_with_parent, eventually};
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::unistd::{setsid, tcgetpgrp};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};

pub(crate) const ROLE: &str = "shell";
/// Shells with job control.
pub(crate) const INTERACTIVE: [&[&str]; 2] =
    [&["sh", "-i"], &["bash", "--norc", "--noprofile", "--noediting", "-i"]];

/// `TTY PROGRAM ARG...`: executes the program in a session of its own on the terminal.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let [tty, program, args @ ..] = args else { panic!("too few arguments") };
    setsid().unwrap();
    // The first terminal that a session leader opens becomes its controlling terminal.
    let tty = File::options().read(true).write(true).open(tty).unwrap();
    let clone = || tty.try_clone().unwrap();
    let error = Command::new(program)
        .args(args)
        .env("PS1", "$ ")
        .stdin(clone())
        .stdout(clone())
        .stderr(clone())
        .exec();
    panic!("{program}: {error}");
}

/// A terminal, its shell, and a script `w`, for `sh`, that executes a host.
pub(crate) struct ShellSession {
    pub(crate) host: HostProcess,
    master: PtyMaster,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl ShellSession {
    pub(crate) fn new(shell: &[&str], mode: &str, run: &Run<'_>) -> Self {
        let scratch = control_dir();
        let quoted = |word: &OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"));
        let words = arguments(&scratch, mode, run);
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        scratch.write("w", format!("exec {}\n", words.join(" ")));

        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let mut command = die_with_parent(std::env::current_exe().unwrap().as_os_str());
        command.arg(ROLE).arg(ptsname_r(&master).unwrap()).args(shell);
        let leader = command.current_dir(scratch.path()).spawn().unwrap();
        let session =
            Self { host: HostProcess::of(scratch, leader), master, screen: Arc::default() };
        session.read();
        if shell.contains(&"-i") {
            wait_until("the shell has the terminal", || session.foreground() == session.shell());
        }
        session
    }

    /// Collects what appears on the screen, until no process has the terminal open.
    fn read(&self) {
        let screen = Arc::clone(&self.screen);
        let mut output = File::from(self.master.as_fd().try_clone_to_owned().unwrap());
        let work = move || {
            let mut piece = [0; 4096];
            // An error is the end only after the shell has opened the terminal.
            loop {
                match output.read(&mut piece) {
                    Ok(count) => screen.lock().unwrap().extend(&piece[..count]),
                    Err(_) if Arc::strong_count(&screen) == 1 => break,
                    Err(_) => std::thread::park_timeout(std::time::Duration::from_millis(5)),
                }
            }
        };
        Worker::start("screen", work).unwrap().leave();
    }

    pub(crate) fn shell(&self) -> i32 {
        self.host.pid()
    }

    pub(crate) fn is_bash(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/comm", self.shell()))
            .is_ok_and(|name| name == "bash\n")
    }

    /// The pid of the host, which is the parent of the child.
    pub(crate) fn host_pid(&self) -> i32 {
        stat(self.host.child())[1].parse().unwrap()
    }

    pub(crate) fn press(&self, keys: &str) {
        (&self.master).write_all(keys.as_bytes()).unwrap();
    }

    /// The group that has the terminal.
    pub(crate) fn foreground(&self) -> i32 {
        tcgetpgrp(&self.master).map_or(0, nix::unistd::Pid::as_raw)
    }

    #[track_caller]
    pub(crate) fn wait_for_foreground(&self, group: i32) {
        eventually("the foreground", || match self.foreground() {
            holder if holder == group => Ok(()),
            holder => Err(format!("{holder}, not {group}; {:?}; {}", self.host.log(), self.text())),
        });
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        eventually(text, || match self.text() {
            screen if screen.contains(text) => Ok(()),
            screen => Err(format!("{screen}; {:?}", self.host.log())),
        });
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }
}
