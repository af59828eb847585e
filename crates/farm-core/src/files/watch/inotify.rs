//! The watcher of the notify library, with the thread that it may not have got.
//!
//! **Invariant.** The library's watcher is asked only while its thread runs: without one it
//! panics, also when it is dropped.

use crate::engine::Worker;
use notify::{Config, Error, Event, INotifyWatcher, RecursiveMode, Result, Watcher as _};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Weak};

/// Watches paths on a thread of its own.
pub(super) struct Inotify {
    /// `None` only while it is dropped.
    watcher: Option<INotifyWatcher>,
    /// The thread owns the other end.
    thread: Weak<()>,
}

impl Inotify {
    /// `handle` is called on the thread.
    pub(super) fn start(handle: impl Fn(Result<Event>) + Send + 'static) -> Result<Self> {
        // The library does not report that it got no thread, so we ask for one first.
        drop(Worker::start("probe", || ())?);
        let of_thread = Arc::new(());
        let thread = Arc::downgrade(&of_thread);
        let handler = move |event| {
            let _of_thread = &of_thread;
            handle(event);
        };
        let watcher = INotifyWatcher::new(handler, Config::default())?;
        let inotify = Self { watcher: Some(watcher), thread };
        inotify.check()?;
        Ok(inotify)
    }

    fn check(&self) -> Result<()> {
        if self.thread.strong_count() > 0 {
            return Ok(());
        }
        Err(Error::io(io::Error::other("its thread has ended")))
    }

    /// Watches a file, or a directory without those below it: the library follows links that it
    /// finds there.
    pub(super) fn watch(&mut self, path: &Path) -> Result<()> {
        let alone = RecursiveMode::NonRecursive;
        self.check()?;
        self.watcher.as_mut().map_or(Ok(()), |watcher| watcher.watch(path, alone))
    }

    pub(super) fn unwatch(&mut self, path: &Path) -> Result<()> {
        self.check()?;
        self.watcher.as_mut().map_or(Ok(()), |watcher| watcher.unwatch(path))
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        // Nothing is left to do if it panics because its thread is missing.
        drop(catch_unwind(AssertUnwindSafe(|| drop(self.watcher.take()))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::{Scratch, eventually};

    #[test]
    fn without_its_thread_a_watch_is_an_error_and_a_drop_is_quiet() {
        let scratch = Scratch::new();
        let mut inotify = Inotify::start(|_| panic!("the thread ends here")).unwrap();
        inotify.watch(scratch.path()).unwrap();
        scratch.write("file", "");
        let is_over = |inotify: &Inotify| inotify.check().map_or(Ok(()), |()| Err("it runs"));
        eventually("the thread has ended", || is_over(&inotify));
        assert!(inotify.watch(scratch.path()).is_err());
        assert!(inotify.unwatch(scratch.path()).is_err());
    }
}
