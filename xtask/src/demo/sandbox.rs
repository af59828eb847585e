//! The environment of the demo: a directory, a server, and the tools that run there.

use super::error::DemoError;
use super::screen::Screen;
use crate::workspace;
use farm_harness::{Ensemble, Options, Running, Scratch, Signal, Tool, patience, until};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long an outcome may take, also on a busy machine.
const OUTCOME_WAIT: Duration = Duration::from_secs(20);
const LOG_LINES_MAX: usize = 20;

/// A tool that runs in the background.
#[derive(Debug)]
struct Daemon {
    line: String,
    log: PathBuf,
    running: Running,
}

impl Daemon {
    fn exited(&mut self) -> Option<DemoError> {
        let exited = || DemoError::Exited { line: self.line.clone(), log: tail(&self.log) };
        (!self.running.is_running()).then(exited)
    }
}

/// Everything that the demo starts, and the directory with all of its files.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) screen: Screen,
    // Fields are dropped in this order: the tools, then the server, then the directory.
    daemons: Vec<Daemon>,
    ensemble: Ensemble,
    scratch: Scratch,
    signals: Signals,
    path: String,
}

impl Sandbox {
    pub(super) fn start() -> Result<Self, DemoError> {
        // From here on, a signal must not kill the process: there is something to clean up.
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(DemoError::Signals)?;
        let ensemble = Ensemble::try_with(&Options::default()).map_err(DemoError::Server)?;
        let rest = env::var("PATH").unwrap_or_default();
        let path = format!("{}:{rest}", workspace::bin_dir().display());
        let (screen, scratch) = (Screen::open(), Scratch::new());
        Ok(Self { screen, daemons: Vec::new(), ensemble, scratch, signals, path })
    }

    /// The connect string of the server.
    pub(super) fn servers(&self) -> String {
        self.ensemble.connect_string()
    }

    /// The path of a file in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Writes a file in the directory.
    pub(super) fn write(&self, name: &str, text: &str) {
        self.scratch.write(name, text);
    }

    /// Prints a command, runs it, prints its output, and returns the output.
    pub(super) fn command(&mut self, line: &str) -> Result<String, DemoError> {
        self.screen.command(line);
        let mut running = self.shell(line).spawn();
        self.wait(line, || if running.is_running() { Err("it is still running") } else { Ok(()) })?;
        let output = running.wait_exit();
        self.screen.output(&output.text());
        if output.code == Some(0) {
            return Ok(output.text());
        }
        Err(DemoError::Command {
            line: line.to_owned(),
            code: output.code,
            stderr: output.stderr.trim_end().to_owned(),
        })
    }

    /// Prints a command and starts it in the background.
    pub(super) fn spawn(&mut self, line: &str, log: &str) {
        let line = format!("{line} 2> {log} &");
        self.screen.command(&line);
        // With `exec`, the process is that of the tool, and not that of a shell around it.
        let running = self.shell(&format!("exec {}", line.trim_end_matches(" &"))).spawn();
        self.daemons.push(Daemon { line, log: self.scratch.join(log), running });
    }

    /// Prints the command that kills a background tool, and runs it.
    pub(super) fn kill(&mut self, log: &str) -> Result<(), DemoError> {
        let log = self.scratch.join(log);
        let Some(index) = self.daemons.iter().position(|daemon| daemon.log == log) else {
            let (expected, seen) =
                (format!("a tool that logs to {}", log.display()), String::new());
            return Err(DemoError::TimedOut { expected, seen, logs: self.logs() });
        };
        let mut daemon = self.daemons.remove(index);
        if let Some(error) = daemon.exited() {
            return Err(error);
        }
        self.command(&format!("kill -9 {}", daemon.running.pid())).map(drop)
    }

    /// Waits until the probe succeeds, and returns how long that took.
    pub(super) fn wait<E: ToString>(
        &mut self,
        expected: &str,
        mut probe: impl FnMut() -> Result<(), E>,
    ) -> Result<Duration, DemoError> {
        let start = Instant::now();
        let mut check = || {
            if self.signals.pending().next().is_some() {
                return Ok(Err(DemoError::Interrupted));
            }
            if let Err(seen) = probe() {
                let exited = self.daemons.iter_mut().find_map(Daemon::exited);
                return exited.map(Err).ok_or_else(|| seen.to_string());
            }
            Ok(Ok(()))
        };
        match until(start + patience(OUTCOME_WAIT), &mut check) {
            Ok(outcome) => outcome.map(|()| start.elapsed()),
            Err(seen) => {
                let expected = expected.to_owned();
                Err(DemoError::TimedOut { expected, seen, logs: self.logs() })
            }
        }
    }

    /// Prints how to use the running farm, and waits for Ctrl-C.
    pub(super) fn keep(&mut self) -> Result<(), DemoError> {
        let bin_dir = workspace::bin_dir().display().to_string();
        let dir = self.scratch.path().display().to_string();
        self.screen.title("Everything keeps running. In another terminal:");
        let lines =
            [format!("cd {dir}"), format!("export ZKHOST={} PATH={bin_dir}:$PATH", self.servers())];
        for line in lines {
            self.screen.command(&line);
        }
        self.screen.explain("and then, for example:");
        for line in [
            "zkctl ls /services/db --fields hostname,enabled",
            "echo 7 > db-01/weight; cat hosts.php",
            "zkctl set /services/db/10.0.0.2 enabled 0; cat db-02/enabled",
            "zkjoin --name 10.0.0.3 --no-hostname /services/db db-03",
            "zkctl set /conf/app workers:=8; tail -n 1 app.starts",
            "tail -f reloads *.log",
        ] {
            self.screen.command(line);
        }
        self.screen.explain("");
        self.screen.explain("Ctrl-C in this terminal stops everything and removes the directory.");
        self.signals.wait().for_each(drop);
        Ok(())
    }

    /// Stops everything, the tools with SIGTERM.
    pub(super) fn stop(mut self) {
        for daemon in &mut self.daemons {
            if daemon.running.is_running() {
                let process = Pid::from_raw(daemon.running.pid().cast_signed());
                // The process may exit between the check and the signal.
                kill(process, Signal::SIGTERM).unwrap_or_default();
            }
        }
        let mut probe = || {
            let is_running = |daemon: &mut Daemon| daemon.running.is_running();
            if self.daemons.iter_mut().any(is_running) { Err(()) } else { Ok(()) }
        };
        // A tool that is still running is killed on drop.
        until(Instant::now() + patience(Duration::from_secs(2)), &mut probe).unwrap_or_default();
    }

    /// A shell command that finds the tools and the server.
    pub(super) fn shell(&self, line: &str) -> Tool {
        Tool::program("sh")
            .args(["-c", line])
            .cwd(self.scratch.path())
            .env("PATH", &self.path)
            .env("ZKHOST", self.servers())
    }

    fn logs(&self) -> String {
        let log = |daemon: &Daemon| format!("--- {}\n{}", daemon.line, tail(&daemon.log));
        self.daemons.iter().map(log).collect::<Vec<_>>().join("\n")
    }
}

fn tail(log: &PathBuf) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log_are_shown() {
        let scratch = Scratch::new();
        let text: String = (1..=LOG_LINES_MAX + 5).map(|number| format!("{number}\n")).collect();
        let shown = tail(&scratch.write("log", text));
        assert!(shown.starts_with("6\n") && shown.ends_with("\n25"), "{shown}");
        assert_eq!(tail(&scratch.join("gone")), "");
    }
}
