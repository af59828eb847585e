//! Many reads in one request, for whoever reads a whole farm.

use super::{Client, Watch, Znode, library_error};
use crate::session::multi;
use crate::session::wire::{code, opcode};
use crate::session::{SessionError, ZnodePath};
use std::sync::atomic::Ordering;
use zookeeper::ZkError;

/// The most reads in one request: even with the longest data that servers take by
/// default in each of them, the answer is half of what a frame may be.
pub(crate) const READS_MAX: usize = 32;
/// The same before anything is known of what they bring.
const FIRST_READS: usize = 4;
/// The length of an answer that they may be expected to fill, if all of them hold what
/// the longest one so far did: a server has each answer in its memory as a whole.
const ANSWER_BYTES: usize = 1 << 20;
/// The most bytes of paths in one request: servers bound it as they bound data.
const PATHS_BYTES_MAX: usize = 64 << 10;
/// What a server does not answer well is asked for in such a part of it next time.
const SHRINKING: usize = 4;

impl Client {
    /// Reads many znodes, without leaving a watch: several at a time where the server
    /// can do that and one after the other where not. The outcomes stand in the order
    /// of the paths. They are not of one moment.
    ///
    /// # Errors
    ///
    /// Those of the link. What is wrong with a single znode stands in its place:
    /// [`SessionError::NoNode`], [`SessionError::NoAuth`]. After
    /// [`SessionError::Disconnected`] nothing of it is known: read all of them again.
    pub fn get_many(
        &self,
        paths: &[ZnodePath],
    ) -> Result<Vec<Result<Znode, SessionError>>, SessionError> {
        let full: Vec<ZnodePath> = paths.iter().map(|path| path.below(&self.chroot)).collect();
        let mut outcomes = Vec::with_capacity(paths.len());
        while outcomes.len() < paths.len() {
            let most = self.reads_most.load(Ordering::Relaxed);
            let rest = &full[outcomes.len()..];
            let longest = self.longest_read.load(Ordering::Relaxed);
            let batch = &rest[..batch_length(rest, most.min(reads_for(longest)))];
            match self.read_at_once(batch, most)? {
                Some(read) => outcomes.extend(read),
                None => {
                    for path in &paths[outcomes.len()..][..batch.len()] {
                        match self.get(path, Watch::No) {
                            Err(error) if error.is_transient() => return Err(error),
                            outcome => outcomes.push(self.learn(outcome)),
                        }
                    }
                }
            }
        }
        Ok(outcomes)
    }

    /// Reads these in one request; `None` if they have to be read one by one.
    fn read_at_once(
        &self,
        batch: &[ZnodePath],
        most: usize,
    ) -> Result<Option<Vec<Result<Znode, SessionError>>>, SessionError> {
        if batch.len() < 2 {
            return Ok(None);
        }
        let body = multi::read_body(batch.iter().map(ZnodePath::as_str));
        let answer = self.ask(opcode::MULTI_READ, body, None).inspect_err(|_| {
            // It may be the answer that was too much, for the server or for us: with
            // less of it the connection stands.
            self.ask_for_less(most / SHRINKING);
        })?;
        let (code::OK, body) = answer else {
            // A server from before 3.6, which hangs up now; or one that wants none of this.
            self.ask_for_less(1);
            return Ok(None);
        };
        let Ok(answers) = multi::read_answers(&body, batch.len()) else {
            self.ask_for_less(1);
            return Ok(None);
        };
        let outcome = |(answer, path): (Result<Znode, i32>, &ZnodePath)| {
            self.learn(answer.map_err(|code| library_error(path, ZkError::from(code))))
        };
        Ok(Some(answers.into_iter().zip(batch).map(outcome).collect()))
    }

    /// Remembers how long the data of a znode of this farm can be.
    fn learn(&self, outcome: Result<Znode, SessionError>) -> Result<Znode, SessionError> {
        outcome.inspect(|znode| {
            self.longest_read.fetch_max(znode.data.len().max(1), Ordering::Relaxed);
        })
    }

    /// Many couriers meet the same trouble at once, and it counts once: all of them
    /// had asked for as much.
    fn ask_for_less(&self, less: usize) {
        self.reads_most.fetch_min(less.max(1), Ordering::Relaxed);
    }
}

/// How many reads may go into one request, by the longest data read so far.
const fn reads_for(longest: usize) -> usize {
    match longest {
        0 => FIRST_READS,
        _ if longest * READS_MAX <= ANSWER_BYTES => READS_MAX,
        _ => ANSWER_BYTES / longest,
    }
}

/// How many of these go into one request.
fn batch_length(paths: &[ZnodePath], most: usize) -> usize {
    let mut bytes = 0;
    let fits = |path: &&ZnodePath| {
        bytes += path.as_str().len();
        bytes <= PATHS_BYTES_MAX
    };
    paths.iter().take(most).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(count: usize, length: usize) -> Vec<ZnodePath> {
        let path = ZnodePath::parse(&format!("/{}", "a".repeat(length - 1))).unwrap();
        vec![path; count]
    }

    #[test]
    fn a_batch_is_bounded_by_count_and_by_bytes() {
        let table = [(0, 10, 1), (1, 10, 1), (20, 10, 20), (100, 10, 32), (100, 4096, 16)];
        for (count, length, expected) in table {
            let length = batch_length(&paths(count, length), READS_MAX);
            assert_eq!(length, expected, "{count} paths");
        }
    }

    #[test]
    fn long_data_is_read_in_small_batches() {
        let table = [(0, 4), (1, 32), (32 << 10, 32), (100_000, 10), (1_000_000, 1), (5 << 20, 0)];
        for (longest, expected) in table {
            assert_eq!(reads_for(longest), expected, "{longest} bytes");
        }
    }
}
