//! The list of our children, from /proc.
//!
//! **Invariant.** While we have a descendant, the list is not empty: every descendant has an
//! ancestor that is our child, and a child stays listed, dead or alive, until we reap it.

use crate::engine::shown;
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Positions after the name in /proc/PID/stat: the parent's pid, and the start time.
const PARENT: usize = 1;
const START: usize = 19;

/// The processes that /proc lists.
#[derive(Debug)]
pub(super) struct ProcessTable {
    proc: PathBuf,
    parent: Pid,
}

impl ProcessTable {
    pub(super) fn of(parent: Pid) -> Self {
        Self { proc: PathBuf::from("/proc"), parent }
    }

    /// All children, including those that have ended and are not reaped.
    pub(super) fn children(&self) -> io::Result<Vec<Pid>> {
        match self.listed() {
            // Not every kernel is built with the `children` files.
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.found(),
            listed => listed,
        }
    }

    /// The name of a process, for the log.
    pub(super) fn name_of(&self, pid: Pid) -> String {
        let name = fs::read_to_string(self.proc.join(pid.to_string()).join("comm"));
        name.unwrap_or_default().trim_end().chars().map(shown).collect()
    }

    /// When a process was started, as the time since boot.
    pub(super) fn started(&self, pid: Pid) -> Option<Duration> {
        let stat = fs::read(self.proc.join(pid.to_string()).join("stat")).ok()?;
        let ticks: u64 = word_after_name(&stat, START)?.parse().ok()?;
        let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
        let per_second = u64::try_from(per_second).ok().filter(|count| *count > 0)?;
        Some(Duration::from_millis(ticks.saturating_mul(1000) / per_second))
    }

    /// Reads the `children` files, one per thread.
    fn listed(&self) -> io::Result<Vec<Pid>> {
        let mut children = Vec::new();
        for thread in fs::read_dir(self.proc.join("self/task"))? {
            let list = fs::read_to_string(thread?.path().join("children"))?;
            children.extend(list.split_ascii_whitespace().filter_map(pid));
        }
        Ok(children)
    }

    /// Looks at every process for its parent.
    fn found(&self) -> io::Result<Vec<Pid>> {
        let mut children = Vec::new();
        for process in fs::read_dir(&self.proc)? {
            let process = process?;
            let Some(pid) = process.file_name().to_str().and_then(pid) else { continue };
            // A process that is gone by now was not our child: we have not reaped it.
            let Ok(stat) = fs::read(process.path().join("stat")) else { continue };
            if parent_in(&stat) == Some(self.parent) {
                children.push(pid);
            }
        }
        Ok(children)
    }

    #[cfg(test)]
    fn at(proc: &std::path::Path, parent: Pid) -> Self {
        Self { proc: proc.to_owned(), parent }
    }
}

fn pid(word: &str) -> Option<Pid> {
    word.parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

fn parent_in(stat: &[u8]) -> Option<Pid> {
    word_after_name(stat, PARENT).and_then(pid)
}

/// A word after the name in the line that proc(5) describes. The name may contain any
/// character, including `)`.
fn word_after_name(stat: &[u8], position: usize) -> Option<&str> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;

    fn pids(numbers: &[i32]) -> Vec<Pid> {
        numbers.iter().copied().map(Pid::from_raw).collect()
    }

    #[test]
    fn a_name_can_not_be_taken_for_a_parent() {
        let table: [(&[u8], Option<i32>); 6] = [
            (b"12 (cat) S 7 12 12 0 -1", Some(7)),
            (b"12 (a) S 1 (b) S 8 12", Some(8)),
            (b"12 (\xff) R 9 1", Some(9)),
            (b"12 (kthreadd) S 0 0", None),
            (b"12 (cut", None),
            (b"", None),
        ];
        for (stat, parent) in table {
            assert_eq!(parent_in(stat), parent.map(Pid::from_raw), "{stat:?}");
        }
    }

    #[test]
    fn the_start_time_counts_from_boot() {
        let proc = Scratch::new();
        let zeros = "0 ".repeat(17);
        proc.write("12/stat", format!("12 (a) b) S 7 {zeros}250 9"));
        proc.write("13/stat", "13 (b) S 8 1");
        let table = ProcessTable::at(proc.path(), Pid::from_raw(7));
        let second = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap();
        let started = Duration::from_millis(250_000 / u64::try_from(second).unwrap());
        let of = |pid| table.started(Pid::from_raw(pid));
        assert_eq!((of(12), of(13), of(14)), (Some(started), None, None));
    }

    #[test]
    fn children_are_found_in_either_way() {
        let proc = Scratch::new();
        proc.write("12/stat", "12 (a) S 7 1");
        proc.write("13/stat", "13 (b) S 8 1");
        proc.write("14/stat", "14 (c) Z 7 1");
        proc.write("15/status", "gone while we looked");
        proc.write("uptime", "1");
        let table = ProcessTable::at(proc.path(), Pid::from_raw(7));
        let mut found = table.children().unwrap();
        found.sort();
        assert_eq!(found, pids(&[12, 14]));

        proc.write("self/task/7/children", "21 22 ");
        proc.write("self/task/8/children", "");
        proc.write("self/task/9/children", "23\n");
        let mut listed = table.children().unwrap();
        listed.sort();
        assert_eq!(listed, pids(&[21, 22, 23]));
    }

    #[test]
    fn no_list_of_processes_is_an_error_and_not_the_answer_that_there_are_none() {
        let proc = Scratch::new();
        let table = ProcessTable::at(&proc.join("nowhere"), Pid::from_raw(7));
        assert!(table.children().is_err());
    }
}
