//! The command that runs after a change, and its environment.
//!
//! **Invariant.** A run gets the hosts that differ from the farm of the latest
//! successful run, so that no change is ever left out.

use crate::difference::Difference;
use farm_core::model::{Farm, HostName};
use farm_core::process::command::{Environment, Finished, is_plain_word};
use farm_core::process::hook::Hook;
use farm_core::process::reaper::Pid;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the lists of names are together, in bytes. With an environment that is much longer,
/// the command would not start at all.
const NAMES_BYTES_MAX: usize = 64 * 1024;

/// How the runs of the command are spread over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The least time between the starts of two runs.
    pub(crate) interval: Duration,
    /// Each run waits for a random part of this.
    pub(crate) splay: Duration,
}

/// Why the command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The first file is written.
    Start,
    /// The file has changed.
    Change,
}

/// A run that waits for its time.
#[derive(Debug)]
struct Due {
    at: Instant,
    reason: Reason,
    farm: Arc<Farm>,
}

#[derive(Debug)]
enum Progress {
    Idle,
    /// The command runs with this farm.
    Running(Arc<Farm>),
    /// The run failed, and the hook will retry it.
    Failed(Arc<Farm>),
}

/// Runs the changed-command.
#[derive(Debug)]
pub(crate) struct Announcer {
    hook: Hook,
    path: String,
    file: String,
    pace: Pace,
    /// The farm of the latest successful run.
    announced: Arc<Farm>,
    progress: Progress,
    /// The farm of the run after the current one.
    next: Option<Arc<Farm>>,
    due: Option<Due>,
    last_start: Option<Instant>,
}

impl Announcer {
    pub(crate) fn new(hook: Hook, path: String, file: String, pace: Pace) -> Self {
        Self {
            hook,
            path,
            file,
            pace,
            announced: Arc::new(Farm::new()),
            progress: Progress::Idle,
            next: None,
            due: None,
            last_start: None,
        }
    }

    /// Runs the command for this farm, as soon as the pace allows.
    pub(crate) fn announce(&mut self, now: Instant, reason: Reason, farm: Arc<Farm>) {
        match (&self.progress, &mut self.due) {
            (Progress::Running(_), _) => self.next = Some(farm),
            // It keeps its time, or a stream of changes would put it off for ever.
            (Progress::Idle | Progress::Failed(_), Some(due)) => due.farm = farm,
            (Progress::Idle | Progress::Failed(_), None) => {
                let splay = self.pace.splay.mul_f64(fastrand::f64());
                let at = (now + splay).max(self.allowed_at(now));
                self.due = Some(Due { at, reason, farm });
                self.start_due(now);
            }
        }
    }

    fn allowed_at(&self, now: Instant) -> Instant {
        self.last_start.map_or(now, |last| last + self.pace.interval)
    }

    fn start_due(&mut self, now: Instant) {
        let Some(Due { reason, farm, .. }) = self.due.take_if(|due| due.at <= now) else { return };
        let difference = Difference::between(&self.announced, &farm);
        let environment = environment(reason, &self.path, &self.file, farm.len(), &difference);
        self.progress = Progress::Running(farm);
        self.last_start = Some(now);
        self.hook.request(now, environment);
    }

    /// Takes the end of a run; returns whether it succeeded, if it was one of ours.
    pub(crate) fn finished(&mut self, now: Instant, finished: &Finished) -> Option<bool> {
        let is_success = self.hook.finished(now, finished)?;
        if let Progress::Running(farm) = std::mem::replace(&mut self.progress, Progress::Idle) {
            if is_success {
                self.announced = farm;
            } else {
                self.progress = Progress::Failed(farm);
            }
        }
        if let Some(farm) = self.next.take() {
            self.announce(now, Reason::Change, farm);
        }
        Some(is_success)
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        self.hook.pid()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match (&self.progress, &self.due) {
            (Progress::Running(_), _) => self.hook.deadline(),
            (Progress::Idle | Progress::Failed(_), Some(due)) => Some(due.at),
            (Progress::Idle | Progress::Failed(_), None) => {
                self.hook.deadline().map(|retry| retry.max(self.allowed_at(retry)))
            }
        }
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        if self.deadline().is_none_or(|due| due > now) {
            return;
        }
        if self.due.is_some() && !matches!(self.progress, Progress::Running(_)) {
            self.start_due(now);
            return;
        }
        self.progress = match std::mem::replace(&mut self.progress, Progress::Idle) {
            Progress::Failed(farm) => {
                // The retry is due.
                self.last_start = Some(now);
                Progress::Running(farm)
            }
            Progress::Running(farm) => Progress::Running(farm),
            Progress::Idle => Progress::Idle,
        };
        self.hook.tick(now);
    }
}

fn environment(
    reason: Reason,
    path: &str,
    file: &str,
    count: usize,
    difference: &Difference,
) -> Environment {
    let event = match reason {
        Reason::Start => "start",
        Reason::Change => "change",
    };
    let mut environment = vec![
        ("ZK_EVENT", event.to_owned()),
        ("ZK_PATH", path.to_owned()),
        ("ZK_FILE", file.to_owned()),
        ("ZK_COUNT", count.to_string()),
    ];
    let (mut bytes_left, mut is_whole) = (NAMES_BYTES_MAX, true);
    for (variable, names) in [
        ("ZK_ADDED", &difference.added),
        ("ZK_REMOVED", &difference.removed),
        ("ZK_CHANGED", &difference.changed),
    ] {
        let (list, has_all) = list(names, bytes_left);
        bytes_left -= list.len();
        is_whole &= has_all;
        environment.push((variable, list));
    }
    if !is_whole {
        environment.push(("ZK_TRUNCATED", "1".to_owned()));
    }
    environment
}

/// The names with blanks between them, and whether the list has all of them: it leaves out names
/// that a shell could take for something else, and ends at its limit.
fn list(names: &[HostName], bytes_max: usize) -> (String, bool) {
    let mut list = String::new();
    let mut has_all = true;
    for name in names.iter().map(HostName::as_str) {
        if !is_plain_word(name) {
            has_all = false;
            continue;
        }
        if list.len() + 1 + name.len() > bytes_max {
            return (list, false);
        }
        if !list.is_empty() {
            list.push(' ');
        }
        list.push_str(name);
    }
    (list, has_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<HostName> {
        names.iter().map(|name| HostName::parse(name).unwrap()).collect()
    }

    #[test]
    fn the_environment_says_what_happened() {
        let difference = Difference {
            added: names(&["a", "b"]),
            removed: names(&[]),
            changed: names(&["10.0.0.1"]),
        };
        let variables = environment(Reason::Change, "/db", "/etc/db.php", 7, &difference);
        let variables: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            variables,
            [
                "ZK_EVENT=change",
                "ZK_PATH=/db",
                "ZK_FILE=/etc/db.php",
                "ZK_COUNT=7",
                "ZK_ADDED=a b",
                "ZK_REMOVED=",
                "ZK_CHANGED=10.0.0.1"
            ]
        );
    }

    #[test]
    fn lists_that_are_too_long_end_with_a_whole_name_and_say_so() {
        let many: Vec<HostName> =
            (0..100_000).map(|n| HostName::parse(&format!("host-{n:06}")).unwrap()).collect();
        let (text, is_whole) = list(&many, NAMES_BYTES_MAX);
        assert!(!is_whole && text.len() <= NAMES_BYTES_MAX);
        assert!(text.split(' ').all(|name| name.len() == 11), "whole names only");
        let difference = Difference { added: many.clone(), removed: names(&["a"]), changed: many };
        let variables = environment(Reason::Start, "/db", "x", 1, &difference);
        assert_eq!(variables.last().unwrap().0, "ZK_TRUNCATED");
        let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes < NAMES_BYTES_MAX + 200, "{bytes}");
    }

    #[test]
    fn a_name_that_a_shell_could_take_for_something_else_is_left_out_and_that_is_told() {
        let hostile = ["b c", "*", "-rf", "`id`", "$(id)", "a;b", "~", "[ab]", "a'b"];
        for name in hostile {
            assert_eq!(list(&names(&["a", name, "d"]), NAMES_BYTES_MAX), ("a d".to_owned(), false));
            for difference in [
                Difference { added: names(&[name]), ..Difference::default() },
                Difference { removed: names(&[name]), ..Difference::default() },
                Difference { changed: names(&[name]), ..Difference::default() },
            ] {
                let variables = environment(Reason::Change, "/db", "x", 1, &difference);
                assert_eq!(variables.last().unwrap(), &("ZK_TRUNCATED", "1".to_owned()), "{name}");
                assert!(variables.iter().all(|(_, value)| !value.contains(name)), "{variables:?}");
            }
        }
        let plain = ["::1", "10.0.0.1:80", "db-01.example.com"];
        assert_eq!(list(&names(&plain), NAMES_BYTES_MAX), (plain.join(" "), true));
    }
}
