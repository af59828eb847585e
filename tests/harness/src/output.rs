//! What a program printed and how it ended.

use nix::sys::signal::Signal;
use std::fmt;
use std::time::Duration;

/// The output and the exit status of a program.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code, unless a signal ended the program.
    pub code: Option<i32>,
    /// The signal that ended the program.
    pub signal: Option<i32>,
    /// The standard output.
    pub stdout: Vec<u8>,
    /// The standard error, with replacement characters for invalid UTF-8.
    pub stderr: String,
    /// How long the program ran.
    pub elapsed: Duration,
    /// The command line, for messages.
    pub(crate) command: String,
}

impl Output {
    /// The standard output as text, with replacement characters for invalid UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Asserts that the exit code is 0.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        self.code(0)
    }

    /// Asserts the exit code.
    ///
    /// # Panics
    ///
    /// When it differs.
    #[track_caller]
    pub fn code(&self, code: i32) -> &Self {
        assert!(self.code == Some(code), "expected exit code {code}\n{self}");
        self
    }

    /// Asserts that this signal ended the program.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn signal(&self, signal: Signal) -> &Self {
        assert!(self.signal == Some(signal as i32), "expected to end by {signal}\n{self}");
        self
    }

    /// Asserts the whole standard output.
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

    /// Asserts that standard output contains this text.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn stdout_has(&self, expected: &str) -> &Self {
        assert!(self.text().contains(expected), "expected {expected:?} in standard output\n{self}");
        self
    }

    /// Asserts the whole standard error.
    ///
    /// # Panics
    ///
    /// When it differs.
    #[track_caller]
    pub fn stderr_is(&self, expected: &str) -> &Self {
        assert!(self.stderr == expected, "expected standard error:\n{expected}\n{self}");
        self
    }

    /// Asserts that standard error contains this text.
    ///
    /// # Panics
    ///
    /// When it does not.
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
