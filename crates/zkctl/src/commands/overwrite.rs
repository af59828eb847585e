//! Replaces all bytes of a znode.
//!
//! **Invariant.** A write replaces exactly the znode that was read. After a write whose answer was
//! lost, nothing is overwritten that others may have written on top of it.

use farm_core::farm::{Absent, Contention};
use farm_core::session::{Client, SessionError, Stat, Watch, Znode, ZnodePath};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The bytes to store, and under which conditions.
pub(super) struct Overwrite {
    pub(super) path: ZnodePath,
    pub(super) bytes: Vec<u8>,
    pub(super) absent: Absent,
    pub(super) version: Option<i32>,
    pub(super) is_dry_run: bool,
}

/// The outcome.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The znode holds the bytes.
    Stored,
    /// A dry run; so many bytes, if there is a znode, would become so many others.
    WouldChange { old: Option<usize>, new: usize },
    /// The znode does not exist, by its path on the server.
    Missing(ZnodePath),
    /// The znode has this version.
    OtherVersion(i32),
    /// Others were faster every time.
    Contended,
    /// The answer to a write was lost, and others have changed the znode since.
    Overtaken,
}

/// A write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Create,
    /// Replaces the bytes of this very znode.
    Replace {
        czxid: i64,
        version: i32,
    },
}

/// What a znode that does not hold our bytes tells about an attempt.
enum Fate {
    /// It was not made, and will not be.
    Refused,
    /// It may have been made, or not: repeating it is safe, and finds out.
    Open,
    /// It may have been made, and others have written since.
    Unknown,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Write(Attempt),
    End(Outcome),
}

/// The attempt whose answer was lost, for the next run of [`Overwrite::run`].
// A lock, because the session runs the operation anew after each disconnection, one run at a time
// but on any of its threads, and keeps nothing of an earlier run.
#[derive(Debug, Default)]
pub(super) struct Unanswered(Mutex<Option<Attempt>>);

impl Overwrite {
    /// Stores the bytes, unless a condition is not met. Repeats that until `until` when others
    /// write at the same time. After a disconnection, another run with the same `unanswered`
    /// finds out what became of the write.
    ///
    /// # Errors
    ///
    /// Those of the session.
    pub(super) fn run(
        &self,
        client: &Client,
        until: Instant,
        unanswered: &Unanswered,
    ) -> Result<Outcome, SessionError> {
        let mut attempt = unanswered.get();
        let outcome = self.store(client, until, &mut attempt);
        unanswered.set(attempt);
        outcome
    }

    fn store(
        &self,
        client: &Client,
        until: Instant,
        unanswered: &mut Option<Attempt>,
    ) -> Result<Outcome, SessionError> {
        let mut contention = Contention::new(until);
        loop {
            let found = match client.get(&self.path, Watch::No) {
                Err(SessionError::NoNode(full)) => Err(full),
                read => Ok(read?),
            };
            let attempt = match self.step(&found, unanswered) {
                Step::Write(attempt) => attempt,
                Step::End(outcome) => return Ok(outcome),
            };
            let written = match attempt {
                Attempt::Create => client.create_with_parents(&self.path, &self.bytes),
                Attempt::Replace { version, .. } => {
                    client.set(&self.path, &self.bytes, Some(version)).map(drop)
                }
            };
            match written {
                Ok(()) => return Ok(Outcome::Stored),
                // The next read tells what there is now.
                Err(
                    SessionError::BadVersion(_)
                    | SessionError::NodeExists(_)
                    | SessionError::NoNode(_),
                ) => {}
                Err(error) => {
                    if error.is_transient() {
                        // An earlier one that is still open is the one to find out about.
                        unanswered.get_or_insert(attempt);
                    }
                    return Err(error);
                }
            }
            if !contention.wait() {
                return Ok(Outcome::Contended);
            }
        }
    }

    /// What to do about the znode as it was read, or about the path at which there is none.
    fn step(&self, found: &Result<Znode, ZnodePath>, unanswered: &mut Option<Attempt>) -> Step {
        let stat = found.as_ref().ok().map(|znode| &znode.stat);
        let old = found.as_ref().ok().map(|znode| &znode.data);
        let is_equal = old == Some(&self.bytes);
        if let Some(attempt) = *unanswered {
            match attempt.fate(stat) {
                // Its conditions were met before, and are not checked again.
                _ if is_equal => return Step::End(Outcome::Stored),
                Fate::Open => return Step::Write(attempt),
                Fate::Unknown => return Step::End(Outcome::Overtaken),
                Fate::Refused => *unanswered = None,
            }
        }
        match found {
            Err(full) if self.version.is_some() || self.absent == Absent::Refuse => {
                Step::End(Outcome::Missing(full.clone()))
            }
            Ok(Znode { stat, .. }) if self.version.is_some_and(|only| only != stat.version) => {
                Step::End(Outcome::OtherVersion(stat.version))
            }
            _ if is_equal => Step::End(Outcome::Stored),
            _ if self.is_dry_run => {
                let (old, new) = (old.map(Vec::len), self.bytes.len());
                Step::End(Outcome::WouldChange { old, new })
            }
            Err(_) => Step::Write(Attempt::Create),
            Ok(Znode { stat, .. }) => {
                Step::Write(Attempt::Replace { czxid: stat.czxid, version: stat.version })
            }
        }
    }
}

impl Attempt {
    fn fate(self, found: Option<&Stat>) -> Fate {
        match (self, found) {
            (Self::Create, None) => Fate::Open,
            // Its first bytes are not ours.
            (Self::Create, Some(stat)) if stat.version == 0 => Fate::Refused,
            (Self::Create, Some(_)) | (Self::Replace { .. }, None) => Fate::Unknown,
            (Self::Replace { czxid, version }, Some(stat)) => {
                // A version wraps around. A server that lags behind has an older one.
                match stat.version.wrapping_sub(version) {
                    _ if stat.czxid != czxid => Fate::Unknown,
                    ..=0 => Fate::Open,
                    // The bytes that came next are not ours.
                    1 => Fate::Refused,
                    2.. => Fate::Unknown,
                }
            }
        }
    }
}

impl Unanswered {
    fn get(&self) -> Option<Attempt> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, attempt: Option<Attempt>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = attempt;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "ours";
    const REPLACE_3: Attempt = Attempt::Replace { czxid: 7, version: 3 };

    fn overwrite() -> Overwrite {
        Overwrite {
            path: path(),
            bytes: OURS.into(),
            absent: Absent::Create,
            version: None,
            is_dry_run: false,
        }
    }

    fn path() -> ZnodePath {
        ZnodePath::parse("/conf/app").unwrap()
    }

    /// A znode that was created by transaction 7.
    fn znode(version: i32, data: &str) -> Result<Znode, ZnodePath> {
        let stat = Stat { czxid: 7, version, ..Stat::default() };
        Ok(Znode { data: data.into(), stat })
    }

    fn missing() -> Result<Znode, ZnodePath> {
        Err(path())
    }

    #[test]
    fn a_znode_is_written_if_its_bytes_differ_and_the_conditions_are_met() {
        let write = Step::Write;
        let end = Step::End;
        let table = [
            (znode(3, "theirs"), Absent::Refuse, None, write(REPLACE_3)),
            (znode(3, ""), Absent::Create, None, write(REPLACE_3)),
            (znode(3, "ours\n"), Absent::Refuse, Some(3), write(REPLACE_3)),
            (znode(3, OURS), Absent::Refuse, None, end(Outcome::Stored)),
            (znode(3, OURS), Absent::Create, Some(3), end(Outcome::Stored)),
            (znode(3, OURS), Absent::Refuse, Some(2), end(Outcome::OtherVersion(3))),
            (znode(3, "theirs"), Absent::Create, Some(4), end(Outcome::OtherVersion(3))),
            (missing(), Absent::Create, None, write(Attempt::Create)),
            (missing(), Absent::Refuse, None, end(Outcome::Missing(path()))),
            (missing(), Absent::Create, Some(0), end(Outcome::Missing(path()))),
        ];
        for (found, absent, version, step) in table {
            let overwrite = Overwrite { absent, version, ..overwrite() };
            assert_eq!(overwrite.step(&found, &mut None), step, "{found:?} {version:?}");
        }
    }

    #[test]
    fn a_dry_run_never_writes() {
        let change = |old| Step::End(Outcome::WouldChange { old, new: OURS.len() });
        let table = [
            (znode(3, "theirs"), None, change(Some(6))),
            (znode(3, "mine"), Some(3), change(Some(4))),
            (missing(), None, change(None)),
            (znode(3, OURS), None, Step::End(Outcome::Stored)),
            (znode(3, "theirs"), Some(2), Step::End(Outcome::OtherVersion(3))),
            (missing(), Some(3), Step::End(Outcome::Missing(path()))),
        ];
        for (found, version, step) in table {
            let overwrite = Overwrite { version, is_dry_run: true, ..overwrite() };
            assert_eq!(overwrite.step(&found, &mut None), step, "{found:?} {version:?}");
        }
    }

    #[test]
    fn after_a_lost_answer_no_write_of_others_is_overwritten() {
        let recreated = |version, data: &str| {
            znode(version, data)
                .map(|znode| Znode { stat: Stat { czxid: 8, ..znode.stat }, ..znode })
        };
        let next = |version| Step::Write(Attempt::Replace { czxid: 7, version });
        let stored = || Step::End(Outcome::Stored);
        let overtaken = || Step::End(Outcome::Overtaken);
        let table = [
            // It was made, and nobody has written since.
            (REPLACE_3, znode(4, OURS), stored()),
            (Attempt::Create, znode(0, OURS), stored()),
            // Somebody else has written the same, or ours was restored.
            (REPLACE_3, znode(9, OURS), stored()),
            (REPLACE_3, recreated(0, OURS), stored()),
            // It was not made, or the server lags behind.
            (REPLACE_3, znode(3, "theirs"), Step::Write(REPLACE_3)),
            (REPLACE_3, znode(1, "theirs"), Step::Write(REPLACE_3)),
            (Attempt::Create, missing(), Step::Write(Attempt::Create)),
            // Another write came first, so it was refused.
            (REPLACE_3, znode(4, "theirs"), next(4)),
            (Attempt::Create, znode(0, "theirs"), next(0)),
            // Perhaps it was made, and then replaced.
            (REPLACE_3, znode(5, "theirs"), overtaken()),
            (REPLACE_3, recreated(3, "theirs"), overtaken()),
            (REPLACE_3, missing(), overtaken()),
            (Attempt::Create, znode(1, "theirs"), overtaken()),
        ];
        for (attempt, found, step) in table {
            let mut unanswered = Some(attempt);
            assert_eq!(overwrite().step(&found, &mut unanswered), step, "{attempt:?} {found:?}");
            // A refused one is no longer in the way.
            let is_refused = matches!(step, Step::Write(next) if next != attempt);
            assert_eq!(unanswered.is_none(), is_refused, "{attempt:?} {found:?}");
        }
        let last = Attempt::Replace { czxid: 7, version: i32::MAX };
        let step = overwrite().step(&znode(i32::MIN, "theirs"), &mut Some(last));
        assert_eq!(step, next(i32::MIN));
    }

    #[test]
    fn a_condition_that_was_met_is_not_checked_again() {
        let only_3 = Overwrite { version: Some(3), ..overwrite() };
        let step = |found| only_3.step(&found, &mut Some(REPLACE_3));
        assert_eq!(step(znode(4, OURS)), Step::End(Outcome::Stored));
        assert_eq!(step(znode(1, "theirs")), Step::Write(REPLACE_3));
        // It was refused, because the condition was not met any more.
        assert_eq!(step(znode(4, "theirs")), Step::End(Outcome::OtherVersion(4)));
    }
}
