//! A tool that works, and the hand that takes things from it.

use super::super::descriptors::limit_descriptors;
use super::super::stderr::UnreadPipe;
use super::thing::Thing;
use farm_harness::{
    Ensemble, FaultProxy, Running, Scratch, Signal, Tmpfs, Tool, Zk, ZkError, eventually,
    eventually_within, holds_for, patience, toolbox,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How soon TERM has to end a tool.
const END: Duration = Duration::from_secs(2);
const COPY_CONF: &str = "cat dir/host.json > seen";
const CHILD: &str = "cat dir/app.conf > seen; exec sleep 999";
const MAX_WATCHES: &str = "/proc/sys/user/max_inotify_watches";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Zkjoin,
    Zkexport,
    Zkexec,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Zkjoin => "zkjoin",
            Self::Zkexport => "zkexport",
            Self::Zkexec => "zkexec",
        }
    }

    /// The tool's file.
    const fn file(self) -> &'static str {
        match self {
            Self::Zkjoin => "host.json",
            Self::Zkexport => "farm.json",
            Self::Zkexec => "app.conf",
        }
    }

    /// The arguments. What a tool runs on a change copies the file to `seen`.
    const fn args(self) -> &'static [&'static str] {
        match self {
            Self::Zkjoin => {
                &["--name", "host", "--changed-cmd", COPY_CONF, "/farm", "dir/host.json"]
            }
            Self::Zkexport => &["-c", "cat dir/farm.json > seen", "/farm", "dir/farm.json"],
            Self::Zkexec => &["-w", "0", "-m", "dir/app.conf=/farm/app", "-e", CHILD],
        }
    }

    /// The znode that is changed from outside.
    const fn znode(self) -> &'static str {
        match self {
            Self::Zkjoin => "/farm/host",
            Self::Zkexport => "/farm/other",
            Self::Zkexec => "/farm/app",
        }
    }

    /// The exit code after TERM.
    const fn code(self) -> i32 {
        match self {
            Self::Zkjoin | Self::Zkexport => 0,
            Self::Zkexec => 143,
        }
    }
}

pub(super) struct Rig<'a> {
    kind: Kind,
    thing: Thing,
    scratch: &'a Scratch,
    // Dropped before the disk is unmounted.
    running: Option<Running>,
    ensemble: &'a Ensemble,
    root: String,
    proxy: FaultProxy,
    pipe: Option<UnreadPipe>,
    disk: Option<Tmpfs>,
    is_away: bool,
    /// The last change that reached the znode and CONF.
    remote: u32,
    local: u32,
}

impl<'a> Rig<'a> {
    /// `None` if the thing can't be taken away on this machine.
    pub(super) fn prepare(
        kind: Kind,
        thing: Thing,
        ensemble: &'a Ensemble,
        scratch: &'a Scratch,
    ) -> Option<Self> {
        let chroot = ensemble.chroot(&format!("{thing:?}_{}", kind.name()));
        let root = chroot.path().to_owned();
        let disk = match thing {
            Thing::Disk => Some(Tmpfs::mount(scratch.join("dir"))?),
            Thing::InotifyWatches if !can_unshare() => return None,
            // Root has no such limit.
            Thing::Threads if !nix::unistd::geteuid().is_root() => return None,
            _ => None,
        };
        let pipe = (thing == Thing::StderrReader).then(|| UnreadPipe::new(scratch));
        scratch.write("clock", "+0");
        if kind == Kind::Zkjoin {
            scratch.write("dir/host.json", r#"{"local":0}"#);
        } else {
            chroot.zk().create_all(kind.znode(), r#"{"remote":0}"#).unwrap();
            fs::create_dir_all(scratch.join("dir")).unwrap();
        }
        let proxy = FaultProxy::start(ensemble.server(0).addr());
        Some(Self {
            kind,
            thing,
            scratch,
            running: None,
            ensemble,
            root,
            proxy,
            pipe,
            disk,
            is_away: false,
            remote: 0,
            local: 0,
        })
    }

    fn zk(&self) -> Zk {
        let addr = self.ensemble.server(0).addr();
        eventually("a client", || Zk::connect_below(addr, &self.root).map_err(|e| format!("{e:?}")))
    }

    /// Where the directory of the tool's file is now.
    fn dir(&self) -> &'static str {
        if self.scratch.join("gone").exists() { "gone" } else { "dir" }
    }

    fn running(&mut self) -> &mut Running {
        self.running.as_mut().unwrap()
    }

    /// Starts the tool and waits until it does its job.
    pub(super) fn start(&mut self) {
        let path = Tool::path_of(self.kind.name());
        let tool = match self.thing {
            Thing::StderrReader => self.pipe.as_ref().unwrap().tool(self.kind.name()),
            Thing::Threads => {
                let tool = Tool::unprivileged(self.kind.name(), self.scratch);
                let all = self.scratch.path();
                Tool::program("chown").args(["-R", "65534:65534"]).arg(all).run().ok();
                tool
            }
            Thing::InotifyWatches => Tool::program("unshare").arg("-Ur").arg(path),
            Thing::Clock => Tool::program(path)
                .env("LD_PRELOAD", toolbox::faketime())
                .env("FAKETIME_TIMESTAMP_FILE", self.scratch.join("clock"))
                .env("FAKETIME_NO_CACHE", "1")
                .env("NO_FAKE_STAT", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("DONT_FAKE_MONOTONIC", "1"),
            _ => Tool::program(path),
        };
        let servers = format!("{}{}", self.proxy.addr(), self.root);
        let tool = tool.env("ZKHOST", servers).env("ZK_SESSION_TIMEOUT", "4s");
        self.running = Some(tool.args(self.kind.args()).cwd(self.scratch.path()).spawn());
        let (kind, mut zk) = (self.kind, self.zk());
        // A left-over znode of ours may have to expire first.
        eventually_within(self.thing.back_within(), "the tool does its job", || {
            if kind == Kind::Zkjoin {
                zk.get(kind.znode()).map_err(|error| format!("{error:?}"))?;
            }
            self.scratch.read(format!("dir/{}", kind.file()))?;
            self.scratch.read("seen").map(drop)
        });
    }

    /// Changes what the tool keeps equal, on all sides that can be changed now.
    pub(super) fn change(&mut self, number: u32) {
        let is_away = self.is_away;
        if self.kind == Kind::Zkjoin && !(is_away && self.thing == Thing::Disk) {
            let dir = self.dir();
            let path = format!("{dir}/host.json");
            let mut conf: Value = serde_json::from_str(&self.scratch.read(&path).unwrap()).unwrap();
            conf["local"] = json!(number);
            self.scratch.write(&path, conf.to_string());
            self.local = number;
        }
        if is_away && self.thing.hides_znodes() {
            return;
        }
        let mut zk = self.zk();
        // zkjoin also writes it.
        eventually("the znode is changed", || {
            let set = zk.get(self.kind.znode()).and_then(|znode| {
                let mut record: Value = serde_json::from_slice(&znode.data).unwrap();
                record["remote"] = json!(number);
                zk.set_if(self.kind.znode(), record.to_string(), znode.stat.version)
            });
            match set {
                Ok(_) => {
                    self.remote = number;
                    Ok(())
                }
                // The session is over, and the znode with it.
                Err(ZkError::NoNode) if is_away => Ok(()),
                Err(error) => Err(format!("{error:?}")),
            }
        });
    }

    /// Waits until the last change has arrived everywhere.
    pub(super) fn wait_change(&mut self, number: u32) {
        let mut zk = self.zk();
        let (kind, remote, local) = (self.kind, self.remote, self.local);
        let has = |text: &str, field: &str, number: u32| {
            let record: Value = serde_json::from_str(text).map_err(|e| format!("{e}: {text}"))?;
            let record = if kind == Kind::Zkexport { &record["other"] } else { &record };
            if record[field] == json!(number) { Ok(()) } else { Err(record.to_string()) }
        };
        eventually_within(
            self.thing.back_within(),
            &format!("change {number} has arrived"),
            || {
                let file = self.scratch.read(format!("dir/{}", kind.file()))?;
                let seen = self.scratch.read("seen")?;
                if remote > 0 {
                    has(&file, "remote", remote)?;
                    has(&seen, "remote", remote)?;
                }
                if kind == Kind::Zkjoin {
                    has(&file, "local", local)?;
                    let znode = zk.get(kind.znode()).map_err(|error| format!("{error:?}"))?;
                    has(&znode.text(), "local", local)?;
                }
                Ok::<_, String>(())
            },
        );
    }

    pub(super) fn take_away(&mut self) {
        self.is_away = true;
        match self.thing {
            Thing::StderrReader => self.pipe.as_ref().unwrap().fill(),
            Thing::Descriptors => limit_descriptors(self.running(), Some(0)),
            Thing::Threads => self.limit("nproc", "1"),
            Thing::Memory => {
                let status = format!("/proc/{}/status", self.running().pid());
                let status = fs::read_to_string(status).unwrap();
                let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
                let kib: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
                self.limit("as", &(kib << 10).to_string());
            }
            Thing::Disk => self.disk.as_ref().unwrap().fill(),
            Thing::InotifyWatches => {
                self.set_max_watches(0);
                let copy = Tool::program("cp").args(["-a", "dir", "new"]);
                copy.cwd(self.scratch.path()).run().ok();
                self.rename("dir", "old");
                self.rename("new", "dir");
                fs::remove_dir_all(self.scratch.join("old")).unwrap();
            }
            Thing::Network => self.proxy.stall(),
            Thing::Server => self.ensemble.server(0).kill(),
            Thing::Session => {
                self.proxy.refuse();
                self.proxy.expire().unwrap();
            }
            Thing::Directory => self.rename("dir", "gone"),
            Thing::Clock => self.set_clock("+1d"),
        }
    }

    pub(super) fn give_back(&mut self) {
        match self.thing {
            Thing::StderrReader => self.pipe.as_ref().unwrap().drain(),
            Thing::Descriptors => {
                if let Some(running) = &self.running {
                    limit_descriptors(running, None);
                }
            }
            Thing::Threads => self.limit("nproc", "1000"),
            Thing::Memory => self.limit("as", "unlimited"),
            Thing::Disk => self.disk.as_ref().unwrap().clear(),
            Thing::InotifyWatches => {
                if self.running.is_some() {
                    self.set_max_watches(10_000);
                }
            }
            Thing::Network => self.proxy.pass(),
            Thing::Server => self.ensemble.server(0).restart(),
            Thing::Session => self.proxy.accept(),
            Thing::Directory => self.rename("gone", "dir"),
            Thing::Clock => self.set_clock("+0"),
        }
        self.is_away = false;
    }

    /// Waits until the tool has met the trouble, or works in spite of it.
    pub(super) fn wait_noticed(&mut self, times: usize) {
        if self.thing.is_dispensable() {
            self.wait_change(self.remote);
        } else {
            let line = self.thing.log_line();
            self.running().wait_log_times(line, times);
        }
    }

    /// Leaves it away for so long that a back-off has grown to its most.
    pub(super) fn stay_away(&mut self) {
        let file = self.scratch.join(format!("{}/{}", self.dir(), self.kind.file()));
        let running = self.running.as_mut().unwrap();
        holds_for(self.thing.lasts(), "the tool runs, and its file is whole", || {
            if !running.is_running() {
                return Err("it ended".to_owned());
            }
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            serde_json::from_str::<Value>(&text)
                .map(drop)
                .map_err(|error| format!("{error}: {text}"))
        });
    }

    /// Ends the tool, in time and with everything whole.
    pub(super) fn terminate(&mut self) {
        let asked = Instant::now();
        let mut running = self.running.take().unwrap();
        running.signal(Signal::SIGTERM);
        let output = running.wait_exit();
        output.code(self.kind.code());
        assert!(asked.elapsed() < patience(END), "{:?}: {output}", asked.elapsed());
        self.check_noticed(&output.stderr);
        let dir = self.dir();
        let entries = fs::read_dir(self.scratch.join(dir)).unwrap();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        let is_ours = |name: &&std::ffi::OsString| **name != "ballast";
        assert_eq!(names.iter().filter(is_ours).collect::<Vec<_>>(), [self.kind.file()]);
        self.check_conf(dir);
        fs::remove_file(self.scratch.join("seen")).unwrap();
    }

    /// Checks that CONF has all local edits. After zkjoin has ended, remote ones count only if
    /// they are there, too: the znode ends with its session.
    fn check_conf(&mut self, dir: &str) {
        let file = self.scratch.read(format!("{dir}/{}", self.kind.file())).unwrap();
        let record: Value = serde_json::from_str(&file).unwrap();
        if self.kind == Kind::Zkjoin {
            assert_eq!(record["local"], json!(self.local), "{file}");
            self.remote = u32::try_from(record["remote"].as_u64().unwrap_or(0)).unwrap();
        }
    }

    /// Waits until the tool has ended for lack of memory, or has done without for a while. Its
    /// file is whole all the time.
    pub(super) fn outlast(&mut self) {
        let mut running = self.running.take().unwrap();
        let file = self.scratch.join(format!("dir/{}", self.kind.file()));
        let is_whole = || {
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            let record = serde_json::from_str::<Value>(&text);
            record.map(drop).map_err(|error| format!("{error}: {text}"))
        };
        holds_for(Duration::from_secs(2), "its file is whole", is_whole);
        if running.is_running() {
            self.running = Some(running);
        } else {
            running.wait_exit().signal(Signal::SIGABRT);
            self.check_conf("dir");
        }
    }

    /// Starts the tool again if it has ended.
    pub(super) fn start_again(&mut self) {
        if self.running.is_none() {
            self.start();
        }
    }

    /// Checks that the thing was away, if that shows in the log alone.
    fn check_noticed(&self, log: &str) {
        match self.thing {
            Thing::InotifyWatches if self.is_away && self.kind == Kind::Zkjoin => {
                assert!(log.contains("local edits may go unseen"), "{log}");
            }
            Thing::Clock if self.is_away => {
                let days: BTreeSet<_> = log.lines().filter_map(|line| line.get(..10)).collect();
                assert!(days.len() > 1, "{log}");
            }
            _ => {}
        }
    }

    fn set_clock(&self, offset: &str) {
        // At once: half an offset would be another one.
        self.scratch.write("clock.new", offset);
        self.rename("clock.new", "clock");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.scratch.join(from), self.scratch.join(to)).unwrap();
    }

    /// Sets a soft limit of the tool, if it runs.
    fn limit(&mut self, resource: &str, soft: &str) {
        if self.running.as_mut().is_some_and(Running::is_running) {
            self.running().set_limit(resource, soft);
        }
    }

    fn set_max_watches(&self, count: u32) {
        let pid = self.running.as_ref().unwrap().pid().to_string();
        let line = format!("echo {count} > {MAX_WATCHES}");
        let args = ["-t", &pid, "-U", "--preserve-credentials", "sh", "-c", &line];
        assert!(Command::new("nsenter").args(args).status().unwrap().success(), "{line}");
    }
}

/// Whether a user namespace gives a limit of its own, which can be changed from outside.
fn can_unshare() -> bool {
    let mut trial = Command::new("unshare");
    trial.args(["-Ur", "sh", "-c", &format!("echo 10000 > {MAX_WATCHES}")]);
    trial.stderr(Stdio::null()).status().is_ok_and(|end| end.success())
}
