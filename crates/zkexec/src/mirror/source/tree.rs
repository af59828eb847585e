//! The files of a subtree, recomputed at intervals.

use super::event::News;
use crate::mirror::Leaves;
use farm_core::farm::rollout::{Layout, lay_out};
use farm_core::session::ZnodePath;
use farm_core::session::cache::Cache;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pause, per znode, between two computations of the files. It keeps the cost a fraction of
/// the time, however fast a subtree changes.
const LAY_OUT_PAUSE: Duration = Duration::from_micros(20);

/// The longest pause between two deletions that count as one. A subtree is deleted znode by
/// znode.
const BURST_PAUSE: Duration = Duration::from_secs(2);

/// Deletions in quick succession.
#[derive(Debug)]
struct DeletionBurst {
    /// The files before the first deletion.
    before: Arc<Leaves>,
    last: Instant,
}

/// The files of a subtree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The znodes have changed since the files were computed.
    is_dirty: bool,
    /// When the files were computed, and from how many znodes.
    laid_out: Option<(Instant, usize)>,
    leaves: Arc<Leaves>,
    burst: Option<DeletionBurst>,
    skipped: BTreeSet<ZnodePath>,
    is_bytes_ignored_reported: bool,
}

impl Tree {
    /// The files as computed last.
    pub(super) const fn leaves(&self) -> &Arc<Leaves> {
        &self.leaves
    }

    /// A znode was created or changed.
    pub(super) fn znode_changed(&mut self) {
        self.is_dirty = true;
        self.burst = None;
    }

    /// A znode was deleted.
    pub(super) fn znode_removed(&mut self, now: Instant) {
        self.is_dirty = true;
        let burst = self.burst.take().filter(|burst| now < burst.last + BURST_PAUSE);
        let before = burst.map_or_else(|| Arc::clone(&self.leaves), |burst| burst.before);
        self.burst = Some(DeletionBurst { before, last: now });
    }

    /// The top was deleted. The files get back what was deleted right before it: that belongs to
    /// the same deletion of the whole subtree, whose files are kept.
    pub(super) fn top_removed(&mut self, now: Instant) {
        self.znode_removed(now);
        if let Some(burst) = self.burst.take() {
            self.leaves = burst.before;
        }
        self.pause();
    }

    /// The znodes are unknown for now; the files stay as they are.
    pub(super) fn pause(&mut self) {
        self.is_dirty = false;
        self.burst = None;
    }

    /// When the files are due to be computed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (at, znodes) = self.laid_out.filter(|_| self.is_dirty)?;
        Some(at + LAY_OUT_PAUSE * u32::try_from(znodes).unwrap_or(u32::MAX))
    }

    /// Computes the files; returns news about znodes that become none.
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
        let Layout { leaves, refused, bytes_ignored } = lay_out(top, &znodes);
        let mut news = Vec::new();
        self.skipped.retain(|path| refused.contains_key(path));
        for (path, why) in refused {
            if self.skipped.insert(path.clone()) {
                news.push(News::Skipped(path, why));
            }
        }
        if let Some(path) = bytes_ignored
            && !std::mem::replace(&mut self.is_bytes_ignored_reported, true)
        {
            news.push(News::BytesIgnored(path));
        }
        if leaves != *self.leaves {
            self.leaves = Arc::new(leaves);
        }
        news
    }
}
