//! Which names of a config directory count.
//!
//! Programs save a file by renaming, deleting and creating others. **Invariant.** A name that
//! appeared or vanished counts once its directory has been quiet for a while. Until then it is
//! held: neither a new field nor a deleted one.

use crate::codec::dir::Tree;
use crate::engine::{Debounce, Wait};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Names count after this time even in a directory that is never quiet.
const UNSETTLED_MAX: Duration = Duration::from_secs(1);

type Keys = Vec<String>;

/// The names that count, and those that are held. `S` is a version of a directory.
#[derive(Debug)]
pub(super) struct Names<S> {
    wait: Wait,
    /// `None` before the first scan, of which every name counts.
    settled: Option<BTreeSet<Keys>>,
    unsettled: BTreeMap<Keys, Unsettled<S>>,
}

#[derive(Debug)]
struct Unsettled<S> {
    changes: Debounce,
    /// The directory at the last change.
    folder: Option<S>,
}

impl<S> Default for Names<S> {
    fn default() -> Self {
        Self::settling(Duration::ZERO)
    }
}

impl<S> Names<S> {
    /// `quiet` is how long a directory must be quiet.
    pub(super) fn settling(quiet: Duration) -> Self {
        let wait = Wait { min: quiet, max: UNSETTLED_MAX.max(quiet) };
        Self { wait, settled: None, unsettled: BTreeMap::new() }
    }

    /// Whether a path is, or is below, a name that is held.
    pub(super) fn is_held(&self, keys: &[String]) -> bool {
        (1..=keys.len()).any(|length| self.unsettled.contains_key(&keys[..length]))
    }

    /// Everything is gone, the directory too: nothing is held.
    pub(super) fn release(&mut self) {
        self.unsettled.clear();
    }

    /// We changed the directory from `before` to `after`: these names count at once.
    pub(super) fn wrote(&mut self, before: &Tree, after: &Tree) {
        let Some(settled) = &mut self.settled else { return };
        let (before, after) = (keys_of(before), keys_of(after));
        for keys in before.symmetric_difference(&after) {
            self.unsettled.remove(keys);
            if after.contains(keys) {
                settled.insert(keys.clone());
            } else {
                settled.remove(keys);
            }
        }
    }
}

impl<S: PartialEq + Copy> Names<S> {
    /// Takes a scan. Removes the names from `tree` that have just appeared, and returns those
    /// that have just vanished, and when to scan again. `others` are names without a file in
    /// the tree; `folder_of` is the version of a directory.
    pub(super) fn scanned(
        &mut self,
        now: Instant,
        tree: &mut Tree,
        others: BTreeSet<Keys>,
        folder_of: impl Fn(&[String]) -> Option<S>,
    ) -> (Vec<Keys>, Option<Duration>) {
        let mut present = keys_of(tree);
        present.extend(others);
        let Some(settled) = &mut self.settled else {
            self.settled = Some(present);
            return (Vec::new(), None);
        };
        let differing: Vec<Keys> = settled.symmetric_difference(&present).cloned().collect();
        let mut before = std::mem::take(&mut self.unsettled);
        for keys in differing {
            let folder = folder_of(keys.split_last().map_or(&[], |(_, above)| above));
            let mut name = before
                .remove(&keys)
                .unwrap_or(Unsettled { changes: Debounce::new(self.wait), folder: None });
            if name.changes.is_empty() || name.folder != folder {
                name.changes.changed(now);
                name.folder = folder;
            }
            if !name.changes.take(now) {
                self.unsettled.insert(keys, name);
            } else if !settled.remove(&keys) {
                settled.insert(keys);
            }
        }
        let again = self.unsettled.values().filter_map(|name| name.changes.deadline()).min();
        tree.files.retain(|keys, _| !self.unsettled.contains_key(keys));
        tree.folders.retain(|keys| !self.unsettled.contains_key(keys));
        let vanished = self.unsettled.keys().filter(|keys| !present.contains(*keys));
        (vanished.cloned().collect(), again.map(|at| at.saturating_duration_since(now)))
    }
}

fn keys_of(tree: &Tree) -> BTreeSet<Keys> {
    tree.files.keys().chain(&tree.folders).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(50);

    struct Fixture {
        names: Names<u32>,
        start: Instant,
    }

    impl Fixture {
        fn new(files: &[&str]) -> Self {
            let mut fixture = Self { names: Names::settling(QUIET), start: Instant::now() };
            assert_eq!(fixture.scan(0, 0, files), (strings(files), vec![], None));
            fixture
        }

        /// Scans at `ms` a directory of that version; returns the names in the tree, those that
        /// have just vanished, and after how many milliseconds to scan again.
        fn scan(
            &mut self,
            ms: u64,
            version: u32,
            files: &[&str],
        ) -> (Vec<String>, Vec<String>, Option<u128>) {
            let now = self.start + Duration::from_millis(ms);
            let mut tree = tree(files);
            let (vanished, again) =
                self.names.scanned(now, &mut tree, BTreeSet::new(), |_| Some(version));
            let join = |keys: Keys| keys.join("/");
            let left = tree.files.into_keys().map(join).collect();
            let vanished = vanished.into_iter().map(join).collect();
            (left, vanished, again.map(|again| again.as_millis()))
        }
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn tree(files: &[&str]) -> Tree {
        let keys = |name: &str| name.split('/').map(str::to_owned).collect();
        let files = files.iter().map(|name| (keys(name), Vec::new()));
        Tree { files: files.collect(), folders: BTreeSet::new() }
    }

    #[test]
    fn a_name_that_stays_or_stays_away_counts_when_the_directory_was_quiet() {
        let mut fixture = Fixture::new(&["a", "b"]);
        let held = (strings(&["a"]), strings(&["b"]), Some(50));
        assert_eq!(fixture.scan(100, 1, &["a", "c"]), held);
        assert_eq!(fixture.scan(149, 1, &["a", "c"]), (held.0, held.1, Some(1)));
        assert!(fixture.names.is_held(&strings(&["b"])) && fixture.names.is_held(&strings(&["c"])));
        assert!(fixture.names.is_held(&strings(&["c", "x"])));
        assert_eq!(fixture.scan(150, 1, &["a", "c"]), (strings(&["a", "c"]), vec![], None));
        assert!(!fixture.names.is_held(&strings(&["c"])));
    }

    #[test]
    fn what_is_as_before_within_the_time_was_never_different() {
        let mut fixture = Fixture::new(&["a"]);
        for save in 0..25 {
            let at = save * 100;
            assert_eq!(fixture.scan(at, 0, &["b"]), (vec![], strings(&["a"]), Some(50)));
            assert_eq!(fixture.scan(at + 40, 0, &["a", "b"]), (strings(&["a"]), vec![], Some(10)));
            assert_eq!(fixture.scan(at + 45, 0, &["a"]), (strings(&["a"]), vec![], None));
        }
    }

    #[test]
    fn a_busy_directory_delays_a_name_by_a_second_at_most() {
        let mut fixture = Fixture::new(&["a"]);
        let taken = (0..100).find(|n| fixture.scan(20 * u64::from(*n), *n, &[]).1.is_empty());
        assert_eq!(taken, Some(50));
    }

    #[test]
    fn what_we_write_ourselves_counts_at_once() {
        let mut fixture = Fixture::new(&["a", "b"]);
        fixture.names.wrote(&tree(&["a", "b"]), &tree(&["b", "c"]));
        assert_eq!(fixture.scan(1, 1, &["b", "c"]), (strings(&["b", "c"]), vec![], None));
        fixture.scan(2, 2, &["b"]);
        fixture.names.wrote(&tree(&["b"]), &tree(&["b", "c"]));
        assert!(!fixture.names.is_held(&strings(&["c"])));
    }

    #[test]
    fn without_a_time_to_wait_every_name_counts() {
        let mut fixture = Fixture::new(&["a"]);
        fixture.names.wait = Wait { min: Duration::ZERO, max: Duration::ZERO };
        assert_eq!(fixture.scan(1, 1, &["b"]), (strings(&["b"]), vec![], None));
    }
}
