//! Hints that a file or a directory has changed.
//!
//! **Invariant.** Every change that ends after [`FileWatch::rearm`] has returned is
//! followed by a hint, also if the watched path is deleted and created again, or a link
//! on the way to it gets another target. Directories above it that are renamed or mounted
//! over cause none, and neither does an edit through another hard link: the user of a watch
//! looks at the path from time to time (see [`Look`](super::look::Look)), and calls
//! [`FileWatch::renew`] when it names something else.

mod error;
mod inotify;
mod mounted;
mod path_components;
mod setter;
mod shared;

pub use self::error::WatchError;
pub use self::setter::Watched;
pub use self::shared::Hint;

use self::error::WatchFault;
use self::setter::Setter;
use self::shared::Shared;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Watches a path until it is dropped.
pub struct FileWatch {
    shared: Arc<Shared>,
    setter: Setter,
    /// Watches may be on files that the path does not lead to any more.
    is_renewal_due: bool,
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch").field("setter", &self.setter).finish_non_exhaustive()
    }
}

impl FileWatch {
    /// Starts to watch; `post` is called on another thread, and must not block.
    ///
    /// Each hint is posted once until [`FileWatch::rearm`], which also reports if a watch
    /// cannot be set.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if inotify is not available, or the system has no thread.
    pub fn start(
        path: PathBuf,
        watched: Watched,
        post: impl Fn(Hint) + Send + Sync + 'static,
    ) -> Result<Self, WatchError> {
        let shared = Arc::new(Shared::new(post));
        let setter = Setter::start(path, watched, Arc::clone(&shared))?;
        let mut watch = Self { shared, setter, is_renewal_due: false };
        // A failure is reported by the caller's first `rearm`, if it lasts.
        drop(watch.rearm());
        Ok(watch)
    }

    /// Makes the next [`FileWatch::rearm`] forget all watches, and watch what the path names
    /// then.
    pub fn renew(&mut self) {
        self.is_renewal_due = true;
        self.shared.is_stale.store(true, Ordering::Release);
    }

    /// Allows the next hint. Call it before reading, never after: a change during the
    /// read must cause a hint again.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if a watch could not be set, or not yet; the next call tries again. Hints
    /// may be missed until then.
    pub fn rearm(&mut self) -> Result<(), WatchError> {
        self.shared.pending.store(0, Ordering::Release);
        self.set_watches().inspect_err(|error| {
            // What takes too long goes on, and has its outcome later.
            let is_over = matches!(error.fault, WatchFault::Notify(_));
            self.shared.is_stale.fetch_or(is_over, Ordering::AcqRel);
        })
    }

    fn set_watches(&mut self) -> Result<(), WatchError> {
        self.setter.late()?;
        if !self.shared.is_stale.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.setter.set(std::mem::take(&mut self.is_renewal_due))
    }
}

#[cfg(test)]
mod tests;
