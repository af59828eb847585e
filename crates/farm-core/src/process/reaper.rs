//! Reaping children that nobody else waits for: orphans, which became our children because their
//! parent has ended, and children that we had before we executed this program.
//!
//! Orphans come to process 1 of a container, and to a subreaper.
//!
//! **Invariant.** A process whose owner reaps it is not reaped here, so its owner learns how it
//! ended, and can signal it until then.

pub use nix::unistd::Pid;

use super::table::ProcessTable;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::getpid;
use std::io;

/// Reaps every child that has ended, except `owned`: the commands whose owners reap them. To be
/// called on every CHLD.
pub fn reap_orphans(owned: impl IntoIterator<Item = Pid>) {
    let owned: Vec<Pid> = owned.into_iter().collect();
    if let Err(e) = reap_ended(&ProcessTable::of(getpid()), &owned, drop) {
        // The next call finds them, once the owners have reaped theirs.
        log::debug!("cannot list our children: /proc: {e}");
    }
}

/// As [`reap_orphans`]; calls `reaped` with each that was reaped.
///
/// # Errors
///
/// When the children can't be listed. Some may have been reaped.
pub(super) fn reap_ended(
    table: &ProcessTable,
    owned: &[Pid],
    mut reaped: impl FnMut(Pid),
) -> io::Result<()> {
    loop {
        match next_to_reap() {
            Ok(None) => return Ok(()),
            Ok(Some(pid)) if !owned.contains(&pid) => reap(pid).into_iter().for_each(&mut reaped),
            // The kernel reports no other one before its owner has reaped this one.
            Ok(Some(_)) | Err(_) => break,
        }
    }
    let others = table.children()?.into_iter().filter(|pid| !owned.contains(pid));
    others.filter_map(reap).for_each(reaped);
    Ok(())
}

/// Whether we have no child, alive or not.
pub(super) fn has_no_child() -> bool {
    look() == Err(Errno::ECHILD)
}

/// The next process that has ended; it is not reaped.
fn next_to_reap() -> Result<Option<Pid>, Errno> {
    match look() {
        Ok(status) => Ok(status.pid().filter(|pid| pid.as_raw() > 0)),
        Err(Errno::ECHILD) => Ok(None),
        // There is one, but `nix` can't represent how it ended.
        Err(e) => Err(e),
    }
}

fn look() -> Result<WaitStatus, Errno> {
    waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT)
}

/// Reaps one of our children if it has ended; returns it then.
fn reap(pid: Pid) -> Option<Pid> {
    match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::StillAlive) => None,
        // `nix` also returns an error for a signal that it does not know.
        Ok(_) | Err(_) => Some(pid),
    }
}
