//! Starts zkexec in its own directory and chroot.

use farm_harness::{
    Chroot, Ensemble, Output, Running, Scratch, Signal, Tool, Zk, eventually, eventually_within,
};
use std::fmt::Display;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// A child that appends its pid and the content of `conf` to `starts`.
pub(crate) const RECORDING_CHILD: &str = "echo \"$$ $(cat conf)\" >> starts; exec sleep 1000";

/// A chroot on the shared server, and the directory in which zkexec runs.
pub(crate) struct ExecFixture {
    pub(crate) scratch: Scratch,
    pub(crate) zk: Zk,
    chroot: Chroot<'static>,
}

impl ExecFixture {
    #[track_caller]
    pub(crate) fn new(test: &str) -> Self {
        let chroot = Ensemble::shared().chroot(test);
        Self { scratch: Scratch::new(), zk: chroot.zk(), chroot }
    }

    /// Also creates a znode `/conf` with this data.
    #[track_caller]
    pub(crate) fn with_conf(test: &str, bytes: impl AsRef<[u8]>) -> Self {
        let mut fixture = Self::new(test);
        fixture.zk.create("/conf", bytes).unwrap();
        fixture
    }

    pub(crate) fn servers(&self) -> String {
        self.chroot.connect_string()
    }

    /// The connect string of this test's chroot at another address.
    pub(crate) fn servers_at(&self, addr: impl Display) -> String {
        format!("{addr}{}", self.chroot.path())
    }

    pub(crate) fn zkexec(&self, args: &[&str]) -> Tool {
        self.configure(Tool::new("zkexec")).args(args)
    }

    /// `zkexec` started by a shell: `$@` is its path and its arguments.
    pub(crate) fn by_shell(&self, line: &str, args: &[&str]) -> Tool {
        let shell = Tool::program("sh").args(["-c", line, "sh"]).arg(Tool::path_of("zkexec"));
        self.configure(shell).args(args)
    }

    pub(crate) fn configure(&self, tool: Tool) -> Tool {
        let servers = self.servers();
        tool.cwd(self.scratch.path()).env("ZKHOST", servers).env("ZK_SESSION_TIMEOUT", "4s")
    }

    /// Starts zkexec with `/conf` as the file `conf` and [`RECORDING_CHILD`], and waits for the
    /// first start.
    #[track_caller]
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let running =
            self.zkexec(&["-m", "conf=/conf", "-w", "0", "-e", RECORDING_CHILD]).args(args).spawn();
        self.wait_starts(1);
        running
    }

    /// The pids and contents that the children have recorded so far.
    pub(crate) fn starts(&self) -> Vec<(i32, String)> {
        let notes = self.scratch.read("starts").unwrap_or_default();
        // The last line may be incomplete.
        let whole = notes.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let note = |line: &str| {
            let (pid, found) = line.split_once(' ').unwrap();
            (pid.parse().unwrap(), found.to_owned())
        };
        whole.lines().map(note).collect()
    }

    /// Waits until a child has started for the `count`th time, and returns its pid and content.
    #[track_caller]
    pub(crate) fn wait_starts(&self, count: usize) -> (i32, String) {
        self.wait_starts_within(Duration::from_secs(10), count)
    }

    #[track_caller]
    pub(crate) fn wait_starts_within(&self, limit: Duration, count: usize) -> (i32, String) {
        eventually_within(limit, &format!("{count} starts"), || {
            let starts = self.starts();
            if starts.len() < count { Err(format!("{starts:?}")) } else { Ok(starts) }
        })
        .swap_remove(count - 1)
    }

    /// The contents that the children have recorded.
    pub(crate) fn contents(&self) -> Vec<String> {
        self.starts().into_iter().map(|(_, found)| found).collect()
    }

    /// Waits until a file has this text.
    #[track_caller]
    pub(crate) fn wait_file(&self, name: &str, wanted: &str) {
        eventually(&format!("{name} contains {wanted:?}"), || {
            let found = self.scratch.read(name)?;
            if found == wanted { Ok(()) } else { Err(found) }
        });
    }

    /// Waits until a process has written its pid to a file.
    #[track_caller]
    pub(crate) fn pid_in(&self, name: &str) -> i32 {
        eventually(&format!("a process in {name}"), || {
            let text = self.scratch.read(name)?;
            let line = text.strip_suffix('\n').ok_or("no whole line")?;
            line.trim().parse().map_err(|e| format!("{e} in {text:?}"))
        })
    }

    /// Writes an executable script.
    #[track_caller]
    pub(crate) fn script(&self, name: &str, text: &str) {
        let path = self.scratch.write(name, text);
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// The names in a subdirectory, sorted.
    #[track_caller]
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let entries = fs::read_dir(self.scratch.join(below)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Sends TERM and waits until zkexec ends by it.
#[track_caller]
pub(crate) fn stop(mut running: Running) -> Output {
    running.signal(Signal::SIGTERM);
    let output = running.wait_exit();
    output.code(143);
    output
}
