//! The tools under test, and checks of their files.

use super::conf::{Conf, Format};
use super::farm::{FARM, Farm, Identity, as_files, as_json, as_php, files_in};
use super::usage::Usage;
use super::user::give_to_tools;
use farm_harness::{Running, Signal, Tool};
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A tool and its resource usage.
pub(super) struct Daemon {
    pub(super) name: String,
    /// The directory of its files.
    dir: PathBuf,
    is_moved: bool,
    tool: Tool,
    pub(super) running: Running,
    pub(super) usage: Usage,
    /// The soak test has stopped it and will restart it.
    is_stopped: bool,
}

impl Daemon {
    /// Starts a tool whose files are in this directory, which is made.
    pub(super) fn start(name: String, tool: Tool, dir: PathBuf) -> Self {
        let made = fs::create_dir(&dir).and_then(|()| give_to_tools(&dir));
        made.unwrap_or_else(|error| panic!("cannot make {}: {error}", dir.display()));
        let (running, usage) = (tool.spawn(), Usage::default());
        Self { name, dir, is_moved: false, tool, running, usage, is_stopped: false }
    }

    /// Moves the directory of its files away.
    pub(super) fn move_away(&mut self) -> io::Result<()> {
        self.is_moved = true;
        self.usage.may_fail_to_write = true;
        fs::rename(&self.dir, self.dir.with_extension("gone"))
    }

    /// Moves the directory of its files back.
    pub(super) fn move_back(&mut self) -> io::Result<()> {
        fs::rename(self.dir.with_extension("gone"), &self.dir)?;
        self.is_moved = false;
        Ok(())
    }

    /// Whether it has exited by itself.
    pub(super) fn has_exited_by_itself(&mut self) -> bool {
        !self.is_stopped && !self.running.is_running()
    }

    /// Stops it, and waits until it has exited.
    pub(super) fn stop(&mut self, signal: Signal) {
        self.usage.read_cpu_time(&self.running);
        self.is_stopped = true;
        self.running.signal(signal);
        drop(self.running.wait_exit());
        self.usage.add_exited(&self.running);
    }

    pub(super) fn restart(&mut self) {
        self.running = self.tool.spawn();
        self.is_stopped = false;
    }
}

/// A counter in a record, which one side increments.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// The last edit that was requested.
    pub(super) requested: u64,
    /// The last edit that has certainly been made.
    pub(super) confirmed: u64,
    /// The value of both sides after the last recovery.
    pub(super) settled: u64,
}

impl Counter {
    /// Sets all to the number that both sides have after a recovery.
    pub(super) const fn settle(&mut self, number: u64) {
        *self = Self { requested: number, confirmed: number, settled: number };
    }
}

/// A host and its zkjoin.
pub(super) struct Joiner {
    pub(super) daemon: Daemon,
    pub(super) conf: Conf,
    /// The znode that it must have, unless its session may have ended.
    pub(super) identity: Option<Identity>,
    /// Its session may have ended since the last recovery.
    pub(super) session_may_have_ended: bool,
    pub(super) local: Counter,
    pub(super) remote: Counter,
    /// A JSON file is replaced as a whole, so only one side edits in each round.
    pub(super) is_local_turn: bool,
}

impl Joiner {
    pub(super) fn start(tool: Tool, dir: &Path, index: usize) -> Self {
        let format = if index.is_multiple_of(2) { Format::Dir } else { Format::Json };
        let name = format!("host-{index}");
        let dir = dir.join(&name);
        let conf = Conf::new(&dir, format);
        let tool = tool.args(["--name", &name, "--format", &format.name(), FARM]).arg(&conf.path);
        Self {
            daemon: Daemon::start(name, tool, dir),
            conf,
            identity: None,
            session_may_have_ended: true,
            local: Counter::default(),
            remote: Counter::default(),
            is_local_turn: true,
        }
    }

    /// Makes the next local edit, if the config is there.
    pub(super) fn edit(&mut self, is_in_place: bool) -> io::Result<()> {
        if self.daemon.is_moved {
            return Ok(());
        }
        self.local.requested += 1;
        self.local.confirmed = self.local.requested;
        self.conf.edit("local", self.local.requested, is_in_place)
    }
}

/// A zkexport and its file.
pub(super) struct Exporter {
    pub(super) daemon: Daemon,
    format: Format,
    path: PathBuf,
}

impl Exporter {
    pub(super) fn start(tool: Tool, dir: &Path, format: Format) -> Self {
        let name = match format {
            Format::Dir => "farm",
            Format::Json => "farm.json",
            Format::Php => "farm.php",
        };
        let dir = dir.join(format!("of-{name}"));
        let path = dir.join(name);
        let tool = tool.args(["--format", &format.name(), FARM]).arg(&path);
        Self { daemon: Daemon::start(name.to_owned(), tool, dir), format, path }
    }

    /// Checks that the file equals the farm.
    pub(super) fn check(&self, farm: &Farm) -> Result<(), String> {
        let (found, is_equal) = match self.format {
            Format::Php => {
                let found = self.text()?;
                let is_equal = found == as_php(farm);
                (found, is_equal)
            }
            Format::Json => {
                let found = self.text()?;
                let value = serde_json::from_str::<Value>(&found).ok();
                (found, value == Some(as_json(farm)))
            }
            Format::Dir => {
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
        if is_equal {
            Ok(())
        } else {
            Err(format!("the file has {found}, the farm {}", as_json(farm)))
        }
    }

    /// The first of these hosts that is not in the file.
    pub(super) fn missing_host<'a>(
        &self,
        mut hosts: impl Iterator<Item = &'a str>,
    ) -> Option<&'a str> {
        if self.daemon.is_moved {
            return None;
        }
        let text = if self.format == Format::Dir { String::new() } else { self.text().ok()? };
        hosts.find(|name| match self.format {
            Format::Dir => !self.path.join(name).is_dir(),
            Format::Json | Format::Php => !text.contains(&format!("\"{name}\"")),
        })
    }

    fn text(&self) -> Result<String, String> {
        fs::read_to_string(&self.path).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn hosts(&self) -> Result<Vec<String>, String> {
        let failed = |error: io::Error| format!("{}: {error}", self.path.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        Ok(names)
    }
}
