//! Sets the watches, in a thread of its own.
//!
//! notify's thread takes a request only when it has handled all events. Whoever makes events
//! faster than it handles them keeps a request waiting for as long as they go on.
//!
//! **Invariant.** Only this thread waits for notify. Every directory has a watch of its own: notify
//! would follow a link that takes the place of a directory, and watch all that is below it.

use super::error::{WatchError, WatchFault};
use super::inotify::Inotify;
use super::mounted::is_mounted;
use super::path_components::PathComponents;
use super::shared::{Hint, Scope, Shared};
use crate::codec::dir::DEPTH_MAX;
use crate::engine::Worker;
use crate::files::conf::CONF_ENTRIES_MAX;
use crate::files::folder::Folder;
use crate::files::hidden::is_hidden;
use crate::files::kind::Kind;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// One file, links followed.
    File,
    /// A directory with everything below it.
    Tree,
}

/// How long [`Setter::set`] waits for notify. Far more than it takes without a flood of events.
const WAIT_MAX: Duration = Duration::from_millis(300);

type Outcome = Result<(), WatchError>;

/// Our end of the thread.
#[derive(Debug)]
pub(super) struct Setter {
    path: PathBuf,
    /// Whether to forget all watches first.
    requests: Sender<bool>,
    outcomes: Receiver<Outcome>,
    /// Whether an outcome is still to come.
    is_busy: bool,
    /// Whether somebody waits for the outcome; otherwise it is announced by a hint.
    is_awaited: Arc<AtomicBool>,
    thread: Option<Worker>,
}

impl Setter {
    /// Starts the thread; no watch is set yet.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if inotify is not available, or the system has no thread.
    pub(super) fn start(
        path: PathBuf,
        watched: Watched,
        shared: Arc<Shared>,
    ) -> Result<Self, WatchError> {
        let watcher = new_watcher(&shared, &path)?;
        let (requests, received) = channel();
        let (send, outcomes) = channel();
        let is_awaited = Arc::new(AtomicBool::new(false));
        let awaited = Arc::clone(&is_awaited);
        let mut watches = Watches {
            path: path.clone(),
            watched,
            watcher,
            is_renewal_due: false,
            folders: BTreeSet::new(),
        };
        let thread = Worker::start("watch", move || {
            for is_renewal in received {
                let outcome = watches.set(is_renewal, &shared);
                if send.send(outcome).is_err() {
                    break;
                }
                if !awaited.swap(true, Ordering::AcqRel) {
                    shared.post_once(Hint::Now);
                }
            }
        });
        let thread =
            thread.map_err(|e| WatchError::of(&path, WatchFault::Notify(notify::Error::io(e))))?;
        Ok(Self { path, requests, outcomes, is_busy: false, is_awaited, thread: Some(thread) })
    }

    /// The outcome of an earlier request that took too long, if there was one.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if it failed, or has no outcome yet.
    pub(super) fn late(&mut self) -> Outcome {
        if !self.is_busy {
            return Ok(());
        }
        let late = self.outcomes.try_recv();
        self.is_busy = late.is_err();
        late.unwrap_or_else(|_| Err(self.too_slow()))
    }

    /// Sets the watches for what the path names now.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if a watch could not be set, or not in time. Not while an outcome is still
    /// to come.
    pub(super) fn set(&mut self, is_renewal: bool) -> Outcome {
        self.is_awaited.store(true, Ordering::Release);
        // The thread lives as long as we do.
        self.requests.send(is_renewal).unwrap_or_default();
        match self.outcomes.recv_timeout(WAIT_MAX) {
            Ok(outcome) => outcome,
            Err(_) => {
                self.is_busy = true;
                self.is_awaited.store(false, Ordering::Release);
                Err(self.too_slow())
            }
        }
    }

    fn too_slow(&self) -> WatchError {
        WatchError::of(&self.path, WatchFault::TooSlow)
    }
}

impl Drop for Setter {
    fn drop(&mut self) {
        // A request may go on for as long as there are events.
        if let Some(thread) = self.thread.take() {
            thread.leave();
        }
    }
}

/// The watches that are set.
struct Watches {
    path: PathBuf,
    watched: Watched,
    watcher: Inotify,
    is_renewal_due: bool,
    /// The paths that have a watch: directories, and a file that is a mount point.
    folders: BTreeSet<PathBuf>,
}

impl Watches {
    /// Sets watches until what they are to be on no longer changes.
    fn set(&mut self, is_renewal: bool, shared: &Arc<Shared>) -> Outcome {
        const ROUNDS_MAX: usize = 8;
        self.is_renewal_due |= is_renewal;
        if self.is_renewal_due {
            // A watch stays on its directory when that is renamed, and the library knows
            // watches by their paths: only another instance is sure to forget them.
            self.watcher = new_watcher(shared, &self.path)?;
            self.folders.clear();
            self.is_renewal_due = false;
        }
        let mut done = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let wanted = Wanted::of(&self.path, self.watched);
            {
                let mut scope = shared.scope.lock().unwrap_or_else(PoisonError::into_inner);
                *scope = Scope { components: wanted.components.clone(), tree: wanted.tree.clone() };
            }
            for old in self.folders.difference(&wanted.folders) {
                // It fails if the directory was removed.
                drop(self.watcher.unwatch(old));
            }
            self.folders.clone_from(&wanted.folders);
            let mut is_gone = false;
            for folder in &wanted.folders {
                if !done.contains(folder) {
                    is_gone |= !self.watch(folder)?;
                    done.insert(folder.clone());
                }
            }
            // A name that changed before its directory was watched caused no event.
            if !is_gone && wanted == Wanted::of(&self.path, self.watched) {
                return Ok(());
            }
            // A directory that was missing may be there again.
            if is_gone {
                done.clear();
            }
        }
        // The path changes all the time; its events cause hints, and the next request tries
        // again.
        shared.is_stale.store(true, Ordering::Release);
        Ok(())
    }

    /// False if the directory was removed meanwhile.
    fn watch(&mut self, folder: &Path) -> Result<bool, WatchError> {
        match self.watcher.watch(folder) {
            Ok(()) => Ok(true),
            Err(e) if is_missing(&e) => Ok(false),
            Err(e) => Err(WatchError::of(folder, WatchFault::Notify(e))),
        }
    }
}

/// What is to be watched.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    components: PathComponents,
    tree: Option<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

impl Wanted {
    fn of(path: &Path, watched: Watched) -> Self {
        let components = PathComponents::of(path);
        let mut folders: BTreeSet<PathBuf> = components.names.keys().cloned().collect();
        let mut tree = None;
        match (watched, &components.end) {
            (Watched::File, Some(end)) if is_mounted(end) => drop(folders.insert(end.clone())),
            (Watched::Tree, Some(end)) if end.is_dir() => {
                tree = Some(end.clone());
                folders.insert(end.clone());
                if let Ok(folder) = Folder::open(end) {
                    add_folders_below(&folder, end, 0, &mut folders);
                }
            }
            (Watched::File | Watched::Tree, _) => {}
        }
        Self { components, tree, folders }
    }
}

/// Adds all directories below one, links and hidden ones left out. A config that has more, or
/// deeper ones, is refused anyway. One that can't be read is skipped there, too.
fn add_folders_below(folder: &Folder, path: &Path, depth: usize, found: &mut BTreeSet<PathBuf>) {
    let names = folder.names(CONF_ENTRIES_MAX).ok().flatten().unwrap_or_default();
    for name in names.iter().filter(|name| !is_hidden(name)) {
        if found.len() >= CONF_ENTRIES_MAX {
            return;
        }
        let is_folder = folder.kind(name).is_ok_and(|kind| kind == Some(Kind::Folder));
        if let (true, Ok(below)) = (is_folder && depth < DEPTH_MAX, folder.enter(name)) {
            let path = path.join(name);
            add_folders_below(&below, &path, depth + 1, found);
            found.insert(path);
        }
    }
}

fn new_watcher(shared: &Arc<Shared>, path: &Path) -> Result<Inotify, WatchError> {
    let shared = Arc::clone(shared);
    let handler = move |event| {
        if let Some(hint) = shared.hint_of(event) {
            shared.post_once(hint);
        }
    };
    Inotify::start(handler).map_err(|e| WatchError::of(path, WatchFault::Notify(e)))
}

fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(e) => {
            matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        }
        notify::ErrorKind::Generic(_)
        | notify::ErrorKind::WatchNotFound
        | notify::ErrorKind::InvalidConfig(_)
        | notify::ErrorKind::MaxFilesWatch => false,
    }
}
