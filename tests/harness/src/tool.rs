//! Programs under test: how they are started and what came of them.

use crate::keeper::{self, mortal};
use crate::running::Running;
use crate::scratch::Scratch;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
// The rest of our environment would make a test depend on who runs it.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

/// A program with its arguments and surroundings, ready to run.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    stdin: Vec<u8>,
    patience: Duration,
}

impl Tool {
    /// One of the workspace's binaries, from `FARM_BIN_DIR` or the build directory.
    ///
    /// # Panics
    ///
    /// When it was not built.
    #[must_use]
    #[track_caller]
    pub fn new(name: &str) -> Self {
        let program = Self::path_of(name);
        assert!(
            program.is_file(),
            "{} is not there: run `cargo build --workspace --bins`, or `cargo xtask test`",
            program.display()
        );
        Self::program(program)
    }

    /// Any program, by its path or by a name in `PATH`.
    #[must_use]
    pub fn program(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            cwd: None,
            stdin: Vec::new(),
            patience: PATIENCE,
        }
    }

    /// A tool of the workspace as a user whom the modes of files bind: as nobody if
    /// we are root. The directory is opened to all, and holds a copy of the program
    /// then, because the one that was built may lie where only its builder can go.
    #[track_caller]
    pub fn unprivileged(name: &str, scratch: &Scratch) -> Self {
        if !nix::unistd::geteuid().is_root() {
            return Self::new(name);
        }
        let copy = scratch.join(name);
        if !copy.exists() {
            scratch.program(&Self::path_of(name), name);
        }
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o777))
            .unwrap_or_else(|error| panic!("cannot open {}: {error}", scratch.path().display()));
        let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
        Self::program("setpriv").args(nobody).arg(copy)
    }

    /// Where a binary of the workspace is, for a test that has a shell start it.
    ///
    /// # Panics
    ///
    /// When this program does not know its own path.
    #[must_use]
    pub fn path_of(name: &str) -> PathBuf {
        if let Some(dir) = env::var_os("FARM_BIN_DIR") {
            return Path::new(&dir).join(name);
        }
        let mut dir = env::current_exe().unwrap_or_else(|e| panic!("cannot tell my own path: {e}"));
        dir.pop();
        if dir.ends_with("deps") {
            dir.pop();
        }
        dir.join(name)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment, which is almost empty otherwise.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Runs it in this directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// Feeds it these bytes; without them its standard input is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = bytes.as_ref().to_vec();
        self
    }

    /// How long it may take (scaled by `FARM_TEST_PATIENCE`).
    #[must_use]
    pub const fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    ///
    /// When it can't be started or takes too long; the message has what it printed.
    #[must_use]
    #[track_caller]
    pub fn run(&self) -> Output {
        self.spawn().wait_exit()
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    #[must_use]
    #[track_caller]
    pub fn spawn(&self) -> Running {
        let mut command = mortal(self.program.as_os_str());
        command.args(&self.arguments).env_clear().env("RUST_BACKTRACE", "1");
        for name in KEPT_VARIABLES {
            command.envs(env::var_os(name).map(|value| (name, value)));
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(self.cwd.iter().map(|dir| ("PWD", dir)));
        if let Some(dir) = &self.cwd {
            command.current_dir(dir);
        }
        let stdin = if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Its own group, so that what it starts can be killed with it.
        command.process_group(0);
        match keeper::spawn(command) {
            Ok(child) => Running::new(child, self.stdin.clone(), self.describe(), self.patience),
            Err(e) => panic!("cannot start {}: {e}", self.describe()),
        }
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.variables {
            text += &format!("{}={} ", name.display(), value.display());
        }
        text += &self.program.display().to_string();
        for argument in &self.arguments {
            text += &format!(" {}", argument.display());
        }
        if let Some(dir) = &self.cwd {
            text += &format!(" (in {})", dir.display());
        }
        text
    }
}

/// What came of a program.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, with replacements for what is no text.
    pub stderr: String,
    /// How long it ran.
    pub elapsed: Duration,
    /// The command, for messages.
    pub(crate) command: String,
}

impl Output {
    /// Standard output as text, with replacements for what is none.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Asserts that it ended with code 0.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        self.code(0)
    }

    /// Asserts that it ended with this code.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn code(&self, code: i32) -> &Self {
        assert!(self.code == Some(code), "expected exit code {code}\n{self}");
        self
    }

    /// Asserts that this signal ended it.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn signal(&self, signal: crate::Signal) -> &Self {
        assert!(self.signal == Some(signal as i32), "expected to end by {signal}\n{self}");
        self
    }

    /// Asserts all of standard output.
    ///
    /// # Panics
    ///
    /// When it differs.
    #[track_caller]
    pub fn stdout_is(&self, expected: impl AsRef<[u8]>) -> &Self {
        let expected = expected.as_ref();
        assert!(
            self.stdout == expected,
            "expected standard output:\n{}\n{self}",
            String::from_utf8_lossy(expected)
        );
        self
    }

    /// Asserts a part of standard output.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[track_caller]
    pub fn stdout_has(&self, expected: &str) -> &Self {
        assert!(self.text().contains(expected), "expected {expected:?} in standard output\n{self}");
        self
    }

    /// Asserts all of standard error.
    ///
    /// # Panics
    ///
    /// When it differs.
    #[track_caller]
    pub fn stderr_is(&self, expected: &str) -> &Self {
        assert!(self.stderr == expected, "expected standard error:\n{expected}\n{self}");
        self
    }

    /// Asserts a part of standard error.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[track_caller]
    pub fn stderr_has(&self, expected: &str) -> &Self {
        assert!(self.stderr.contains(expected), "expected {expected:?} in standard error\n{self}");
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "command: {}", self.command)?;
        match (self.code, self.signal) {
            (Some(code), _) => writeln!(f, "exit code {code} after {:?}", self.elapsed)?,
            (None, Some(signal)) => writeln!(f, "signal {signal} after {:?}", self.elapsed)?,
            (None, None) => writeln!(f, "no end after {:?}", self.elapsed)?,
        }
        writeln!(f, "--- standard output\n{}", self.text())?;
        writeln!(f, "--- standard error\n{}", self.stderr)
    }
}
