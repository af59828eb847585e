//! An interactive shell on a pseudo-terminal.

use super::fixture::ExecFixture;
use crate::terminals::open_terminal;
use farm_harness::{Tool, die_with_parent, eventually};
use nix::pty::PtyMaster;
use nix::unistd::tcgetpgrp;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::Builder;

pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";
pub(crate) const CTRL_Z: &str = "\x1a";

/// A shell on a pseudo-terminal. On drop the shell is killed and the terminal hangs up.
pub(crate) struct TerminalSession {
    shell: Child,
    master: PtyMaster,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl TerminalSession {
    /// Starts a shell in the fixture's directory with `zkexec` in its `PATH`.
    #[track_caller]
    pub(crate) fn new(fixture: &ExecFixture) -> Self {
        let (master, tty) = open_terminal();
        let bin = Tool::path_of("zkexec");
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", bin.parent().unwrap_or(Path::new("")).display());
        // The test may run as a background job, which ignores INT. `env` is no group leader, so
        // setsid does not fork and the process id stays the same.
        let mut command = die_with_parent(OsStr::new("env"));
        command
            .args(["--default-signal", "setsid", "--ctty", "sh", "-i"])
            .current_dir(fixture.scratch.path());
        command.env_clear().env("PATH", path).env("PS1", "$ ").env("ZKHOST", fixture.servers());
        command.env("ZK_SESSION_TIMEOUT", "4s").env("PWD", fixture.scratch.path());
        command.stdin(tty.try_clone().unwrap()).stdout(tty.try_clone().unwrap()).stderr(tty);
        let shell = command.spawn().unwrap();
        drop(command);
        let terminal = Self { shell, master, screen: Arc::default() };
        terminal.read();
        terminal.wait_foreground(terminal.shell());
        terminal.wait_screen("$ ");
        terminal
    }

    /// Starts a thread that collects the terminal's output until the last process closes it.
    fn read(&self) {
        let screen = Arc::clone(&self.screen);
        let mut output = File::from(self.master.as_fd().try_clone_to_owned().unwrap());
        let work = move || {
            let mut piece = [0; 4096];
            while let Ok(count) = output.read(&mut piece) {
                screen.lock().unwrap().extend(&piece[..count]);
            }
        };
        Builder::new().name("screen".to_owned()).spawn(work).unwrap();
    }

    pub(crate) fn shell(&self) -> i32 {
        self.shell.id().cast_signed()
    }

    pub(crate) fn type_keys(&self, keys: &str) {
        (&self.master).write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line, and waits for its echo and then for the answer.
    #[track_caller]
    pub(crate) fn type_line(&self, line: &str, answer: &str) {
        let before = self.text().len();
        self.type_keys(&format!("{line}\n"));
        // A prompt may come between them.
        eventually(&format!("{line:?} and {answer:?}"), || {
            let text = self.text();
            let echoed = text[before..].split_once(&format!("{line}\r\n"));
            let is_there = echoed.is_some_and(|(_, rest)| rest.contains(&format!("{answer}\r\n")));
            if is_there { Ok(()) } else { Err(text) }
        });
    }

    /// The foreground process group.
    pub(crate) fn foreground(&self) -> i32 {
        tcgetpgrp(&self.master).map_or(0, nix::unistd::Pid::as_raw)
    }

    #[track_caller]
    pub(crate) fn wait_foreground(&self, group: i32) {
        eventually("the foreground", || match self.foreground() {
            holder if holder == group => Ok(()),
            holder => Err(format!("{holder}, not {group}; {}", self.text())),
        });
    }

    /// Waits until another process group is in the foreground, and returns it.
    #[track_caller]
    pub(crate) fn wait_foreground_from(&self, group: i32) -> i32 {
        eventually("another foreground", || match self.foreground() {
            holder if holder > 0 && holder != group => Ok(holder),
            holder => Err(format!("{holder}; {}", self.text())),
        })
    }

    #[track_caller]
    pub(crate) fn wait_screen(&self, text: &str) {
        eventually(&format!("{text:?} on the screen"), || match self.text() {
            screen if screen.contains(text) => Ok(()),
            screen => Err(screen),
        });
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }
}

impl Drop for TerminalSession {
    fn drop(&mut self) {
        drop(self.shell.kill());
        drop(self.shell.wait());
        if std::thread::panicking() {
            drop(std::io::stderr().write_all(format!("--- screen\n{}\n", self.text()).as_bytes()));
        }
    }
}
