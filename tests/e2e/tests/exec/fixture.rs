//! One zkexec, the znodes that it mirrors, and the directory that it works in.

use farm_harness::{
    Chroot, Ensemble, Output, Running, Scratch, Signal, Tool, Zk, eventually, eventually_within,
};
use std::fmt::Display;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// Notes its process and what is in `conf`, and stays.
pub(crate) const RECORDING_CHILD: &str = "echo \"$$ $(cat conf)\" >> starts; exec sleep 1000";

/// A place of its own on the shared server, and one on the disk, where zkexec runs.
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

    /// One with a znode `/conf` that holds this.
    #[track_caller]
    pub(crate) fn with_conf(test: &str, bytes: impl AsRef<[u8]>) -> Self {
        let mut fixture = Self::new(test);
        fixture.zk.create("/conf", bytes).unwrap();
        fixture
    }

    pub(crate) fn servers(&self) -> String {
        self.chroot.connect_string()
    }

    /// The place of this test behind another address of the server.
    pub(crate) fn servers_at(&self, addr: impl Display) -> String {
        format!("{addr}{}", self.chroot.path())
    }

    pub(crate) fn zkexec(&self, args: &[&str]) -> Tool {
        self.configure(Tool::new("zkexec")).args(args)
    }

    /// `zkexec` started by a shell: `$@` stands for it and its arguments.
    pub(crate) fn by_shell(&self, line: &str, args: &[&str]) -> Tool {
        let shell = Tool::program("sh").args(["-c", line, "sh"]).arg(Tool::path_of("zkexec"));
        self.configure(shell).args(args)
    }

    pub(crate) fn configure(&self, tool: Tool) -> Tool {
        let servers = self.servers();
        tool.cwd(self.scratch.path()).env("ZKHOST", servers).env("ZK_SESSION_TIMEOUT", "4s")
    }

    /// Starts it with `/conf` as the file `conf` and a child that notes its starts, and
    /// waits for the first.
    #[track_caller]
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let running =
            self.zkexec(&["-m", "conf=/conf", "-w", "0", "-e", RECORDING_CHILD]).args(args).spawn();
        self.wait_starts(1);
        running
    }

    /// What the children have noted so far: their processes, and what they found.
    pub(crate) fn starts(&self) -> Vec<(i32, String)> {
        let notes = self.scratch.read("starts").unwrap_or_default();
        // The last line may be half written.
        let whole = notes.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let note = |line: &str| {
            let (pid, found) = line.split_once(' ').unwrap();
            (pid.parse().unwrap(), found.to_owned())
        };
        whole.lines().map(note).collect()
    }

    /// Waits until a child has started for the `count`th time, and gives what it noted.
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

    /// What all children have found.
    pub(crate) fn contents(&self) -> Vec<String> {
        self.starts().into_iter().map(|(_, found)| found).collect()
    }

    /// Waits until a file has this text.
    #[track_caller]
    pub(crate) fn wait_file(&self, name: &str, wanted: &str) {
        eventually(&format!("{name} says {wanted:?}"), || {
            let found = self.scratch.read(name)?;
            if found == wanted { Ok(()) } else { Err(found) }
        });
    }

    /// Waits until a file has a line that is a number: a process that noted itself.
    #[track_caller]
    pub(crate) fn pid_in(&self, name: &str) -> i32 {
        eventually(&format!("a process in {name}"), || {
            let text = self.scratch.read(name)?;
            let line = text.strip_suffix('\n').ok_or("no whole line")?;
            line.trim().parse().map_err(|e| format!("{e} in {text:?}"))
        })
    }

    /// A script that can be run.
    #[track_caller]
    pub(crate) fn script(&self, name: &str, text: &str) {
        let path = self.scratch.write(name, text);
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// The names in the directory, sorted.
    #[track_caller]
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let entries = fs::read_dir(self.scratch.join(below)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Ends it as a service manager does, and gives what it said.
#[track_caller]
pub(crate) fn stop(mut running: Running) -> Output {
    running.signal(Signal::SIGTERM);
    let output = running.wait_exit();
    output.code(143);
    output
}
