//! Records a rolling restart of five zkexec on a real ZooKeeper.
//!
//! **Invariant.** What is recorded was told by the members and done by the operator. Times are
//! those of this machine's clock, from the member, which says since when it is in a state, or from
//! the server.

use super::error::DrawError;
use super::follower::{Seen, follow};
use super::journal::{Journal, LastTold};
use super::run::{Run, Told};
use crate::workspace;
use farm_core::engine::unix_ms;
use farm_core::farm::rollout::{MemberState, Source, SourceBytes, Version, version_of};
use farm_core::session::{PathError, ZnodePath};
use farm_harness::{Ensemble, Options, Running, Scratch, Tool, Zk, patience, until};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

const MEMBERS: [&str; 5] = ["a", "b", "c", "d", "e"];
const GROUP: &str = "roll";
const GROUP_MEMBERS: &str = "/_zkexec/roll/members";
const CONTENT: &str = "/conf/app";
/// What the operator puts, under the names that the picture has for it. The child does not take
/// the third one.
const CONTENTS: [(&str, &str); 4] = [
    ("V1", "colour=blue\n"),
    ("V2", "colour=green\n"),
    ("V3", "colour=bad\n"),
    ("V4", "colour=red\n"),
];
/// How long a whole roll may take, also on a busy machine.
const ROLL_WAIT: Duration = Duration::from_secs(60);
/// How long everything stays as it is before the operator does something, and at the end.
const LEAD: Duration = Duration::from_millis(1500);
/// How long the failed content stays.
const FAILED: Duration = Duration::from_millis(2500);
/// How often a signal is looked for.
const TICK: Duration = Duration::from_millis(50);
const LOG_LINES_MAX: usize = 20;

/// Records a run in which V2 works, V3 fails on the first member, and V4 works again.
pub(super) fn record() -> Result<Run, DrawError> {
    let mut recorder = Recorder::start()?;
    recorder.wait("everybody runs V1", |told| is_on(told, "V1"))?;
    recorder.journal.begin(unix_ms().unwrap_or_default());
    recorder.pause(LEAD)?;
    recorder.put("V2")?;
    recorder.wait("everybody runs V2", |told| is_on(told, "V2"))?;
    recorder.pause(LEAD)?;
    recorder.put("V3")?;
    recorder.wait("one fails on V3, and the others refuse it", are_warned)?;
    recorder.pause(FAILED)?;
    recorder.put("V4")?;
    recorder.wait("everybody runs V4", |told| is_on(told, "V4"))?;
    recorder.pause(LEAD)?;
    Ok(recorder.journal.finish(unix_ms().unwrap_or_default()))
}

fn is_on(told: &LastTold, version: &str) -> bool {
    let is_there = |told: &Told| {
        told.state == MemberState::Running && told.running.as_deref() == Some(version)
    };
    told.len() == MEMBERS.len() && told.values().all(is_there)
}

fn are_warned(told: &LastTold) -> bool {
    let count = |state| told.values().filter(|told| told.state == state).count();
    count(MemberState::Failed) == 1 && count(MemberState::Refused) == MEMBERS.len() - 1
}

struct Recorder {
    // Fields are dropped in this order: the tools, then the server, then the directory.
    execs: Vec<(&'static str, Running)>,
    zk: Zk,
    seen: Receiver<Seen>,
    _ensemble: Ensemble,
    _scratch: Scratch,
    signals: Signals,
    journal: Journal,
}

impl Recorder {
    fn start() -> Result<Self, DrawError> {
        // From here on, a signal must not kill the process: there is something to clean up.
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(DrawError::System)?;
        let ensemble = Ensemble::try_with(&Options::default()).map_err(DrawError::Server)?;
        let server = ensemble.server(0).addr();
        let mut zk = Zk::connect(server)?;
        zk.create_all(CONTENT, CONTENTS[0].1)?;
        let scratch = Scratch::new();
        let exec = |(index, member): (u64, &'static str)| {
            (member, exec(&scratch, &server.to_string(), member, index).spawn())
        };
        let mut execs: Vec<_> = (0..).zip(MEMBERS).map(exec).collect();
        let mut are_members = || {
            if is_signalled(&mut signals) {
                return Ok(Err(DrawError::Interrupted));
            }
            if let Some(error) = exited(&mut execs) {
                return Ok(Err(error));
            }
            let members = zk.children(GROUP_MEMBERS).unwrap_or_default();
            if members == MEMBERS { Ok(Ok(())) } else { Err(members.join(", ")) }
        };
        match until(Instant::now() + patience(ROLL_WAIT), &mut are_members) {
            Ok(outcome) => outcome?,
            Err(members) => {
                let expected = "five members".to_owned();
                let seen = format!("{members}\n{}", logs(&execs));
                return Err(DrawError::TimedOut { expected, seen });
            }
        }
        let seen = follow(server, GROUP_MEMBERS, &MEMBERS)?;
        let journal = Journal::new(names().map_err(DrawError::Path)?);
        Ok(Self { execs, zk, seen, _ensemble: ensemble, _scratch: scratch, signals, journal })
    }

    fn put(&mut self, name: &str) -> Result<(), DrawError> {
        let content = CONTENTS.iter().find(|(known, _)| *known == name);
        let stat = self.zk.set(CONTENT, content.map_or("", |(_, content)| content))?;
        self.journal.put(stat.mtime_ms, name);
        Ok(())
    }

    /// Records until the members have told this.
    fn wait(
        &mut self,
        expected: &str,
        is_reached: impl Fn(&LastTold) -> bool,
    ) -> Result<(), DrawError> {
        let deadline = Instant::now() + patience(ROLL_WAIT);
        while !is_reached(&self.journal.told) {
            if Instant::now() >= deadline {
                let seen = format!("{:#?}\n{}", self.journal.told, logs(&self.execs));
                return Err(DrawError::TimedOut { expected: expected.to_owned(), seen });
            }
            self.listen(TICK)?;
        }
        Ok(())
    }

    /// Records for some time.
    fn pause(&mut self, time: Duration) -> Result<(), DrawError> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.listen(left.min(TICK))?;
        }
    }

    /// Waits for a word of a member.
    fn listen(&mut self, limit: Duration) -> Result<(), DrawError> {
        if is_signalled(&mut self.signals) {
            return Err(DrawError::Interrupted);
        }
        match self.seen.recv_timeout(limit) {
            Ok(seen) => {
                let (member, znode) = seen?;
                self.journal.take(member, &znode)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                exited(&mut self.execs).map_or(Ok(()), Err)
            }
        }
    }
}

/// The names of the versions.
fn names() -> Result<BTreeMap<Version, &'static str>, PathError> {
    let source = Source::Znode(ZnodePath::parse(CONTENT)?);
    let version =
        |content: &str| version_of([(&source, &SourceBytes::Bytes(content.as_bytes().into()))]);
    Ok(CONTENTS.into_iter().map(|(name, content)| (version(content), name)).collect())
}

/// A zkexec whose child takes a moment to stop and to load, and ends when it does not like what it
/// has loaded.
fn exec(scratch: &Scratch, server: &str, member: &str, index: u64) -> Tool {
    let conf = scratch.join(format!("{member}.conf"));
    let at = conf.display();
    let child = format!(
        "trap 'sleep 0.6; exit 0' TERM; sleep 0.9; if grep -q bad {at}; then exit 3; fi; \
         cp {at} {at}.loaded; while :; do sleep 60 & wait $!; done"
    );
    // True only of a child that has loaded this content.
    let health = format!("sleep 0.3; cmp -s {at} {at}.loaded");
    let mirror = format!("{at}={CONTENT}");
    // They get into the line in the order of their names, which makes the picture easy to read.
    let wait = format!("{}ms", 100 + 50 * index);
    Tool::program(workspace::bin_dir().join("zkexec"))
        .args(["--host", server, "--name", member, "--lock", GROUP, "--mirror", &mirror])
        .args(["--exec", &child, "--health", &health, "--wait", &wait])
        .args(["--health-interval", "0.5", "--health-delay", "10"])
}

fn is_signalled(signals: &mut Signals) -> bool {
    signals.pending().next().is_some()
}

fn exited(execs: &mut [(&'static str, Running)]) -> Option<DrawError> {
    let (member, exec) = execs
        .iter_mut()
        .find_map(|(member, exec)| (!exec.is_running()).then_some((*member, &*exec)))?;
    Some(DrawError::Exited { member: member.to_owned(), log: tail(exec) })
}

fn logs(execs: &[(&'static str, Running)]) -> String {
    let log = |(member, exec): &(&str, Running)| format!("{member}:\n{}", tail(exec));
    execs.iter().map(log).collect::<Vec<_>>().join("\n")
}

fn tail(exec: &Running) -> String {
    let log = exec.stderr();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n")
}
