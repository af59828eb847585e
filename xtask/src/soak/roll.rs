//! Two zkexec that take turns with restarts, and what must hold for them.
//!
//! **Invariant.** Whether a child is up is seen from outside: by what it says of itself
//! when it is ready, and by the process that said so.

use super::error::SoakError;
use super::eye::Eye;
use super::tools::{Counter, Daemon};
use farm_harness::{Tool, ZkError};
use fastrand::Rng;
use std::fs;
use std::path::{Path, PathBuf};

/// The znode that both mirror.
pub(super) const CONTENT: &str = "/soak/roll";
/// Their group, and its lock.
const GROUP: &str = "soak";
const LOCK: &str = "/_zklocking/soak";
/// One of so many chances for an edit is taken.
const EDIT_ONE_OF: u32 = 40;

/// A zkexec, and the child that it wraps.
pub(super) struct Roller {
    pub(super) daemon: Daemon,
    conf: PathBuf,
    /// Its session was ended, or it was killed itself, since it was calm.
    is_excused: bool,
}

impl Roller {
    fn start(tool: Tool, dir: &Path, name: &str) -> Self {
        let conf = dir.join(name);
        let at = conf.display();
        // It takes a while to be ready, so that a look now and then sees that it is down.
        let child =
            format!("cp {at} {at}.runs && sleep 0.5 && echo $$ > {at}.up && exec sleep 3600");
        let health = format!("kill -0 $(cat {at}.up)");
        let mirror = format!("{at}={CONTENT}");
        let tool = tool.args(["--mirror", &mirror, "--lock", GROUP, "--exec", &child]).args([
            "--health",
            &health,
            "--health-interval",
            "0.5",
            "--health-delay",
            "60",
        ]);
        Self { daemon: Daemon::start(name.to_owned(), tool), conf, is_excused: true }
    }

    fn beside(&self, end: &str) -> PathBuf {
        self.conf.with_extension(end)
    }

    /// The child is ready, and still the process that said so.
    fn is_up(&self) -> bool {
        let pid = fs::read_to_string(self.beside("up")).unwrap_or_default();
        let line = fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
        line.starts_with(b"sleep")
    }

    /// Its file, its child and the znode are the same.
    fn shows(&self, content: &str) -> Result<(), String> {
        for path in [self.conf.clone(), self.beside("runs")] {
            let found = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            if found != content {
                return Err(format!("{} says {found:?}, the znode {content:?}", path.display()));
            }
        }
        if self.is_up() { Ok(()) } else { Err("its child is down".to_owned()) }
    }

    /// Whether that session is or was its own.
    fn owns(&self, session: i64) -> bool {
        self.daemon.running.stderr().contains(&format!("session=0x{session:x} "))
    }
}

/// The group.
pub(super) struct Rollers {
    pub(super) rollers: Vec<Roller>,
    pub(super) edits: Counter,
}

impl Rollers {
    pub(super) fn start(tools: [Tool; 2], dir: &Path) -> Self {
        let rollers = tools.into_iter().zip(["roller-one", "roller-two"]);
        let rollers = rollers.map(|(tool, name)| Roller::start(tool, dir, name));
        Self { rollers: rollers.collect(), edits: Counter::default() }
    }

    /// The znode is to be edited, and this is the number.
    pub(super) fn edit(&mut self, rng: &mut Rng) -> Option<u64> {
        if rng.u32(..EDIT_ONE_OF) > 0 || self.edits.wanted != self.edits.made {
            return None;
        }
        self.edits.wanted += 1;
        Some(self.edits.wanted)
    }

    /// This one is about to be killed.
    pub(super) fn excuse(&mut self, index: usize) {
        self.rollers[index].is_excused = true;
    }

    /// That session was ended; returns whose it was.
    pub(super) fn lose(&mut self, session: i64) -> Option<String> {
        let roller = self.rollers.iter_mut().find(|roller| roller.owns(session))?;
        roller.is_excused = true;
        Some(roller.daemon.name.clone())
    }

    /// Those who take turns are never down at once.
    pub(super) fn are_not_all_down(&self) -> Result<(), String> {
        let is_in_turn = |roller: &Roller| roller.is_excused || roller.is_up();
        if self.rollers.iter().any(is_in_turn) {
            return Ok(());
        }
        let logs = self.rollers.iter().map(|roller| roller.daemon.running.stderr());
        Err(format!("all rollers are down at once\n{}", logs.collect::<Vec<_>>().join("\n---\n")))
    }

    /// The first thing that is not as it should be, and whose log tells about it.
    pub(super) fn complaint(&self, eye: &mut Eye) -> Result<Option<(&str, String)>, SoakError> {
        let found = eye.ask(|zk| {
            let content = zk.get(CONTENT)?.text();
            match zk.children(LOCK) {
                Ok(contenders) => Ok((content, contenders.len())),
                // Whoever goes last removes it.
                Err(ZkError::NoNode) => Ok((content, 0)),
                Err(error) => Err(error),
            }
        });
        let (content, contenders) = found.map_err(SoakError::Zk)?;
        for roller in &self.rollers {
            if let Err(what) = roller.shows(&content) {
                return Ok(Some((&roller.daemon.name, what)));
            }
        }
        let name = self.rollers.first().map_or("", |roller| &roller.daemon.name);
        Ok((contenders > 0).then(|| (name, format!("{contenders} still want the lock"))))
    }

    /// All is as it should be.
    pub(super) fn settle(&mut self) {
        self.rollers.iter_mut().for_each(|roller| roller.is_excused = false);
    }
}
