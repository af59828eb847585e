//! The files that the znodes of a subtree become, worked out now and then.

use super::event::News;
use super::layout::{Layout, lay_out};
use crate::mirror::Leaves;
use farm_core::session::ZnodePath;
use farm_core::session::cache::Cache;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pause for each znode between working the files out and working them out again:
/// a fraction of the time goes there, however fast a subtree changes.
const LAY_OUT_PAUSE: Duration = Duration::from_micros(20);

/// Znodes that go one after the other go together: ZooKeeper deletes a subtree one
/// znode at a time.
const BURST_PAUSE: Duration = Duration::from_secs(2);

/// Znodes that go, one after the other.
#[derive(Debug)]
struct DeletionBurst {
    /// The files as they were before the first of them went.
    before: Arc<Leaves>,
    last: Instant,
}

/// The files of a subtree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The files don't follow from the znodes any more.
    is_dirty: bool,
    /// When the files were worked out, and of how many znodes.
    laid_out: Option<(Instant, usize)>,
    leaves: Arc<Leaves>,
    burst: Option<DeletionBurst>,
    skipped: BTreeSet<ZnodePath>,
    has_overlooked: bool,
}

impl Tree {
    /// The files, as far as they were worked out.
    pub(super) const fn leaves(&self) -> &Arc<Leaves> {
        &self.leaves
    }

    /// A znode came or changed.
    pub(super) fn came(&mut self) {
        self.is_dirty = true;
        self.burst = None;
    }

    /// A znode went.
    pub(super) fn went(&mut self, now: Instant) {
        self.is_dirty = true;
        let burst = self.burst.take().filter(|burst| now < burst.last + BURST_PAUSE);
        let before = burst.map_or_else(|| Arc::clone(&self.leaves), |burst| burst.before);
        self.burst = Some(DeletionBurst { before, last: now });
    }

    /// The top went. What went right before it went with it, and is kept with it.
    pub(super) fn top_went(&mut self, now: Instant) {
        self.went(now);
        if let Some(burst) = self.burst.take() {
            self.leaves = burst.before;
        }
        self.rest();
    }

    /// Nothing is known of the znodes for now.
    pub(super) fn rest(&mut self) {
        self.is_dirty = false;
        self.burst = None;
    }

    /// When the files are to be worked out.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (at, znodes) = self.laid_out.filter(|_| self.is_dirty)?;
        Some(at + LAY_OUT_PAUSE * u32::try_from(znodes).unwrap_or(u32::MAX))
    }

    /// Works the files out; the answer is what is worth telling of it.
    pub(super) fn lay_out(
        &mut self,
        now: Instant,
        top: &ZnodePath,
        cache: &Cache<Arc<[u8]>>,
    ) -> Vec<News> {
        self.is_dirty = false;
        let znodes = cache.below().filter_map(|(path, znode)| Some((path, &znode?.data)));
        let znodes = znodes.collect::<BTreeMap<_, _>>();
        self.laid_out = Some((now, znodes.len()));
        let Layout { leaves, refused, overlooked } = lay_out(top, &znodes);
        let mut news = Vec::new();
        self.skipped.retain(|path| refused.contains_key(path));
        for (path, why) in refused {
            if self.skipped.insert(path.clone()) {
                news.push(News::Skipped(path, why));
            }
        }
        if let Some(path) = overlooked
            && !std::mem::replace(&mut self.has_overlooked, true)
        {
            news.push(News::Overlooked(path));
        }
        if leaves != *self.leaves {
            self.leaves = Arc::new(leaves);
        }
        news
    }
}
