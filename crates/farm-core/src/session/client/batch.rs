//! How many reads go into one request.

use crate::session::{SessionError, Znode, ZnodePath};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most reads in one request. If each of them returns the longest data that servers
/// accept by default, the answer is half as long as a frame may be.
pub(crate) const READS_MAX: usize = 32;
/// The same before the length of any data is known.
const FIRST_READS: usize = 4;
/// The most bytes that an answer is expected to have, if all of its znodes hold as much
/// as the longest one so far: a server builds each answer in memory.
const ANSWER_BYTES: usize = 1 << 20;
/// The most bytes of paths in one request, which servers limit just as they limit data.
const PATHS_BYTES_MAX: usize = 64 << 10;
/// After a request without an answer the next ones are smaller by this factor.
pub(super) const SHRINKING: usize = 4;

/// The size of the next batch of reads. All request threads share it.
#[derive(Debug)]
pub(super) struct BatchSize {
    /// How many reads go into one request; 1 where larger batches have failed.
    reads_most: AtomicUsize,
    /// The length of the longest data that was read; 0 before the first read.
    longest_read: AtomicUsize,
}

impl BatchSize {
    pub(super) const fn new() -> Self {
        Self { reads_most: AtomicUsize::new(READS_MAX), longest_read: AtomicUsize::new(0) }
    }

    /// The most reads in one request, as far as the server is known.
    pub(super) fn reads_most(&self) -> usize {
        self.reads_most.load(Ordering::Relaxed)
    }

    /// The paths that go into the next request, of which there are at least one.
    pub(super) fn batch<'a>(&self, paths: &'a [ZnodePath], most: usize) -> &'a [ZnodePath] {
        let longest = self.longest_read.load(Ordering::Relaxed);
        &paths[..batch_length(paths, most.min(reads_for(longest)))]
    }

    /// Remembers how long the data of a znode can be.
    pub(super) fn learn(
        &self,
        outcome: Result<Znode, SessionError>,
    ) -> Result<Znode, SessionError> {
        outcome.inspect(|znode| {
            self.longest_read.fetch_max(znode.data.len().max(1), Ordering::Relaxed);
        })
    }

    /// Makes the next batches smaller. Several threads may report one failure, which counts
    /// once: all of them had asked for as much.
    pub(super) fn limit(&self, reads: usize) {
        self.reads_most.fetch_min(reads.max(1), Ordering::Relaxed);
    }
}

/// How many reads may go into one request, given the longest data read so far.
const fn reads_for(longest: usize) -> usize {
    match longest {
        0 => FIRST_READS,
        _ if longest * READS_MAX <= ANSWER_BYTES => READS_MAX,
        _ => ANSWER_BYTES / longest,
    }
}

/// How many of these paths go into one request.
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
