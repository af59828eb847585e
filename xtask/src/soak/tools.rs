//! The tools that live through it, and what each one's files should say.

use super::conf::{Conf, Kind};
use super::farm::{FARM, Farm, Identity, as_files, as_json, as_php, files_in};
use super::usage::Usage;
use farm_harness::{Running, Signal, Tool};
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A tool, and what it takes.
pub(super) struct Daemon {
    pub(super) name: String,
    tool: Tool,
    pub(super) running: Running,
    pub(super) usage: Usage,
    /// It was ended, and is to be started again.
    is_down: bool,
}

impl Daemon {
    pub(super) fn start(name: String, tool: Tool) -> Self {
        let running = tool.spawn();
        Self { name, tool, running, usage: Usage::default(), is_down: false }
    }

    /// It runs, unless it was ended.
    pub(super) fn is_up(&mut self) -> bool {
        self.is_down || self.running.is_running()
    }

    /// Ends it, and waits for its end.
    pub(super) fn end(&mut self, signal: Signal) {
        self.usage.clock(&self.running);
        self.is_down = true;
        self.running.signal(signal);
        drop(self.running.wait_exit());
        self.usage.renew(&self.running);
    }

    pub(super) fn start_again(&mut self) {
        self.running = self.tool.spawn();
        self.is_down = false;
    }
}

/// The counter that one side keeps in a host's record.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// The last edit that was asked for.
    pub(super) wanted: u64,
    /// The last one that is made for sure.
    pub(super) made: u64,
    /// What both sides held when it was calm.
    pub(super) settled: u64,
}

impl Counter {
    /// Everybody agrees on this number, and nobody has another one under way.
    pub(super) const fn settle(&mut self, number: u64) {
        *self = Self { wanted: number, made: number, settled: number };
    }
}

/// A host and its zkjoin.
pub(super) struct Joiner {
    pub(super) daemon: Daemon,
    pub(super) conf: Conf,
    /// The znode that it must have, as long as nothing excuses another.
    pub(super) identity: Option<Identity>,
    /// Its session was ended, or may have ended, since it was calm.
    pub(super) is_excused: bool,
    pub(super) local: Counter,
    pub(super) remote: Counter,
    /// A file is edited as a whole: by one side at a time.
    pub(super) is_locals_turn: bool,
}

impl Joiner {
    pub(super) fn start(tool: Tool, dir: &Path, index: usize) -> Self {
        let kind = if index.is_multiple_of(2) { Kind::Dir } else { Kind::Json };
        let name = format!("host-{index}");
        let conf = Conf::new(dir, &name, kind);
        let tool = tool.args(["--name", &name, "--format", &kind.format(), FARM]).arg(&conf.path);
        Self {
            daemon: Daemon::start(name, tool),
            conf,
            identity: None,
            is_excused: true,
            local: Counter::default(),
            remote: Counter::default(),
            is_locals_turn: true,
        }
    }

    /// The next local edit.
    pub(super) fn edit(&mut self, is_in_place: bool) -> io::Result<()> {
        self.local.wanted += 1;
        self.local.made = self.local.wanted;
        self.conf.edit("local", self.local.wanted, is_in_place)
    }
}

/// A zkexport and its file.
pub(super) struct Exporter {
    pub(super) daemon: Daemon,
    kind: Kind,
    path: PathBuf,
}

impl Exporter {
    pub(super) fn start(tool: Tool, dir: &Path, kind: Kind) -> Self {
        let name = match kind {
            Kind::Dir => "farm",
            Kind::Json => "farm.json",
            Kind::Php => "farm.php",
        };
        let path = dir.join(name);
        let tool = tool.args(["--format", &kind.format(), FARM]).arg(&path);
        Self { daemon: Daemon::start(name.to_owned(), tool), kind, path }
    }

    /// The file shows the farm.
    pub(super) fn shows(&self, farm: &Farm) -> Result<(), String> {
        let (found, is_equal) = match self.kind {
            Kind::Php => {
                let found = self.text()?;
                let is_equal = found == as_php(farm);
                (found, is_equal)
            }
            Kind::Json => {
                let found = self.text()?;
                let value = serde_json::from_str::<Value>(&found).ok();
                (found, value == Some(as_json(farm)))
            }
            Kind::Dir => {
                let hosts = self.hosts()?;
                let mut is_equal = hosts == farm.keys().cloned().collect::<Vec<_>>();
                let mut found = format!("{hosts:?}");
                for (name, host) in farm {
                    let files = files_in(&self.path.join(name))?;
                    is_equal &= files == as_files(&host.record);
                    found += &format!("\n{name}: {files:?}");
                }
                (found, is_equal)
            }
        };
        if is_equal { Ok(()) } else { Err(format!("it says {found}, the farm {}", as_json(farm))) }
    }

    /// A host that the file has lost, if it has lost one of these.
    pub(super) fn lacks<'a>(&self, mut hosts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let text = if self.kind == Kind::Dir { String::new() } else { self.text().ok()? };
        hosts.find(|name| match self.kind {
            Kind::Dir => !self.path.join(name).is_dir(),
            Kind::Json | Kind::Php => !text.contains(&format!("\"{name}\"")),
        })
    }

    fn text(&self) -> Result<String, String> {
        fs::read_to_string(&self.path).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn hosts(&self) -> Result<Vec<String>, String> {
        let told = |error: io::Error| format!("{}: {error}", self.path.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(told)? {
            names.push(entry.map_err(told)?.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        Ok(names)
    }
}
