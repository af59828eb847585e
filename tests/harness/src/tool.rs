//! Programs under test: their arguments and environment.

use crate::output::Output;
use crate::running::Running;
use crate::scratch::Scratch;
use crate::spawner::{self, die_with_parent};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
// Other variables would make a test depend on who runs it.
const INHERITED_VARIABLES: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

/// A program with its arguments and environment, ready to run.
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
    /// When it is not built.
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

    /// A tool of the workspace, run by a user to whom file modes apply: `nobody` if this process
    /// runs as root. Then the directory is made accessible to all and holds a copy of the
    /// program, because other users may not be able to reach the build directory.
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

    /// The path of a binary of the workspace, for a test that starts it from a shell.
    ///
    /// # Panics
    ///
    /// When the path of this program is unknown.
    #[must_use]
    pub fn path_of(name: &str) -> PathBuf {
        if let Some(dir) = env::var_os("FARM_BIN_DIR") {
            return Path::new(&dir).join(name);
        }
        let mut dir = env::current_exe()
            .unwrap_or_else(|e| panic!("cannot get the path of this program: {e}"));
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

    /// Sets an environment variable. Otherwise the environment is almost empty.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// Sets the standard input, which is empty by default.
    #[must_use]
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = bytes.as_ref().to_vec();
        self
    }

    /// Sets how long the program may take (scaled by `FARM_TEST_PATIENCE`).
    #[must_use]
    pub const fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Runs the program until it ends.
    ///
    /// # Panics
    ///
    /// When it can't be started or takes too long; the message has its output.
    #[must_use]
    #[track_caller]
    pub fn run(&self) -> Output {
        self.spawn().wait_exit()
    }

    /// Starts the program.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    #[must_use]
    #[track_caller]
    pub fn spawn(&self) -> Running {
        let mut command = die_with_parent(self.program.as_os_str());
        command.args(&self.arguments).env_clear().env("RUST_BACKTRACE", "1");
        for name in INHERITED_VARIABLES {
            command.envs(env::var_os(name).map(|value| (name, value)));
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(self.cwd.iter().map(|dir| ("PWD", dir)));
        if let Some(dir) = &self.cwd {
            command.current_dir(dir);
        }
        let stdin = if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A process group of its own, so that its children can be killed with it.
        command.process_group(0);
        match spawner::spawn(command) {
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
