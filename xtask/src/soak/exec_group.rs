//! Two zkexec of one group, which restart one at a time, and their checks.
//!
//! **Invariant.** Whether a child is up is observed without zkexec: the child writes its process id
//! to a file when it is ready, and that process has to exist.

use super::error::SoakError;
use super::observer::Observer;
use super::tools::{Counter, Daemon};
use farm_harness::{Tool, ZkError};
use fastrand::Rng;
use std::fs;
use std::path::{Path, PathBuf};

/// The znode that both mirror.
pub(super) const MIRRORED: &str = "/soak/mirrored";
/// The group, and the path of its lock.
const GROUP: &str = "soak";
const LOCK: &str = "/_zklocking/soak";
/// An edit is made at one of so many ticks.
const EDIT_ONE_OF: u32 = 40;

/// A zkexec and its child.
pub(super) struct Exec {
    pub(super) daemon: Daemon,
    conf: PathBuf,
    /// Its session may have ended since the last recovery: it was closed, or zkexec was killed.
    session_may_have_ended: bool,
}

impl Exec {
    fn start(tool: Tool, dir: &Path, name: &str) -> Self {
        let dir = dir.join(name);
        let conf = dir.join("conf");
        let at = conf.display();
        // The child takes a while to be ready, so that the checks see it down during a restart.
        let child =
            format!("cp {at} {at}.runs && sleep 0.5 && echo $$ > {at}.up && exec sleep 3600");
        let health = format!("kill -0 $(cat {at}.up)");
        let mirror = format!("{at}={MIRRORED}");
        let tool = tool.args(["--mirror", &mirror, "--lock", GROUP, "--exec", &child]).args([
            "--health",
            &health,
            "--health-interval",
            "0.5",
            "--health-delay",
            "60",
        ]);
        let daemon = Daemon::start(name.to_owned(), tool, dir);
        Self { daemon, conf, session_may_have_ended: true }
    }

    fn with_extension(&self, extension: &str) -> PathBuf {
        self.conf.with_extension(extension)
    }

    /// The child was ready, and its process exists.
    fn is_up(&self) -> bool {
        let pid = fs::read_to_string(self.with_extension("up")).unwrap_or_default();
        let line = fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
        line.starts_with(b"sleep")
    }

    /// Checks that the file and the child have the content of the znode.
    fn check(&self, content: &str) -> Result<(), String> {
        for path in [self.conf.clone(), self.with_extension("runs")] {
            let found = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            if found != content {
                return Err(format!("{} has {found:?}, the znode {content:?}", path.display()));
            }
        }
        if self.is_up() { Ok(()) } else { Err("its child is down".to_owned()) }
    }

    /// Whether this session is or was its own.
    fn owns(&self, session: i64) -> bool {
        self.daemon.running.stderr().contains(&format!("session=0x{session:x} "))
    }
}

/// All zkexec of the group.
pub(super) struct ExecGroup {
    pub(super) members: Vec<Exec>,
    pub(super) edits: Counter,
}

impl ExecGroup {
    pub(super) fn start(tools: [Tool; 2], dir: &Path) -> Self {
        let members = tools.into_iter().zip(["exec-one", "exec-two"]);
        let members = members.map(|(tool, name)| Exec::start(tool, dir, name));
        Self { members: members.collect(), edits: Counter::default() }
    }

    /// The number for an edit of the znode, if it is time for one.
    pub(super) fn edit(&mut self, rng: &mut Rng) -> Option<u64> {
        if rng.u32(..EDIT_ONE_OF) > 0 || self.edits.requested != self.edits.confirmed {
            return None;
        }
        self.edits.requested += 1;
        Some(self.edits.requested)
    }

    /// Tells the checks that this member is about to be killed.
    pub(super) fn expect_kill(&mut self, index: usize) {
        self.members[index].session_may_have_ended = true;
    }

    /// Tells the checks that this session is about to be closed. Returns the name of its owner.
    pub(super) fn expect_session_end(&mut self, session: i64) -> Option<String> {
        let exec = self.members.iter_mut().find(|exec| exec.owns(session))?;
        exec.session_may_have_ended = true;
        Some(exec.daemon.name.clone())
    }

    /// Checks that the children are never all down at once, unless a session may have ended.
    pub(super) fn check_not_all_down(&self) -> Result<(), String> {
        let counts_as_up = |exec: &Exec| exec.session_may_have_ended || exec.is_up();
        if self.members.iter().any(counts_as_up) {
            return Ok(());
        }
        let logs = self.members.iter().map(|exec| exec.daemon.running.stderr());
        Err(format!(
            "all children of the zkexec group are down at once\n{}",
            logs.collect::<Vec<_>>().join("\n---\n")
        ))
    }

    /// The first violation, and the name of the tool whose log belongs to it.
    pub(super) fn violation(
        &self,
        observer: &mut Observer,
    ) -> Result<Option<(&str, String)>, SoakError> {
        let found = observer.request(|zk| {
            let content = zk.get(MIRRORED)?.text();
            match zk.children(LOCK) {
                Ok(contenders) => Ok((content, contenders.len())),
                // The last contender deletes the lock.
                Err(ZkError::NoNode) => Ok((content, 0)),
                Err(error) => Err(error),
            }
        });
        let (content, contenders) = found.map_err(SoakError::Zk)?;
        for exec in &self.members {
            if let Err(what) = exec.check(&content) {
                return Ok(Some((&exec.daemon.name, what)));
            }
        }
        let name = self.members.first().map_or("", |exec| &exec.daemon.name);
        Ok((contenders > 0).then(|| (name, format!("the lock still has {contenders} contenders"))))
    }

    /// Records the current state after a recovery.
    pub(super) fn settle(&mut self) {
        self.members.iter_mut().for_each(|exec| exec.session_may_have_ended = false);
    }
}
