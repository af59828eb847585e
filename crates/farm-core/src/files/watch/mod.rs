//! Hints that a file or a directory has changed.
//!
//! **Invariant.** Every change that ends after [`FileWatch::rearm`] has returned is
//! followed by a hint, also if the watched path is deleted and created again, or a link
//! on the way to it gets another target. Directories above it that are renamed or mounted
//! over cause none, and neither does an edit through another hard link: the user of a watch
//! looks at the path from time to time (see [`Look`](super::look::Look)), and calls
//! [`FileWatch::renew`] when it names something else.

mod inotify;
mod mounted;
mod path_components;

use self::inotify::Inotify;
use self::mounted::is_mounted;
use self::path_components::PathComponents;
use super::hidden::{is_displaced, is_hidden, is_staged};
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind};
use notify::{Event, EventKind, RecursiveMode};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Something changed: read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// Somebody is still writing: read when no more hints come.
    Soon,
    /// A save is complete: the file was closed after writing, renamed or removed.
    Now,
}

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// One file, links followed.
    File,
    /// A directory with everything below it.
    Tree,
}

/// Why a watch cannot be set.
#[derive(Debug)]
pub struct WatchError {
    path: PathBuf,
    source: notify::Error,
}

impl WatchError {
    /// Whether the user has reached the limit of watches.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(self.source.kind, notify::ErrorKind::MaxFilesWatch)
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot watch {}", self.path.display())?;
        if self.is_limit() {
            f.write_str(" (see sysctl fs.inotify.max_user_watches)")?;
        }
        Ok(())
    }
}

impl std::error::Error for WatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Watches a path until it is dropped.
pub struct FileWatch {
    path: PathBuf,
    watched: Watched,
    shared: Arc<Shared>,
    watcher: Inotify,
    /// Watches may be on files that the path does not lead to any more.
    is_renewal_due: bool,
    /// The watched directories, or a file that is a mount point, and whether everything
    /// below them is watched.
    folders: BTreeMap<PathBuf, bool>,
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch")
            .field("path", &self.path)
            .field("watched", &self.watched)
            .field("folders", &self.folders)
            .finish_non_exhaustive()
    }
}

struct Shared {
    post: Box<dyn Fn(Hint) + Send + Sync>,
    /// The hint that was posted since the last [`FileWatch::rearm`]: 0 none, 1 soon, 2 now.
    pending: AtomicU8,
    /// Directories were created, removed or moved: the watches must be set again.
    is_stale: AtomicBool,
    has_logged_limit: AtomicBool,
    // Protects where the path leads. It is read by every event on notify's thread,
    // which has no inbox of ours that a message could wait in.
    scope: Mutex<Scope>,
}

#[derive(Debug, Default)]
struct Scope {
    components: PathComponents,
    /// The directory in which everything counts.
    tree: Option<PathBuf>,
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
        let shared = Arc::new(Shared {
            post: Box::new(post),
            pending: AtomicU8::new(0),
            is_stale: AtomicBool::new(true),
            has_logged_limit: AtomicBool::new(false),
            scope: Mutex::new(Scope::default()),
        });
        let watcher = new_watcher(&shared, &path)?;
        let folders = BTreeMap::new();
        let mut watch = Self { path, watched, shared, watcher, is_renewal_due: false, folders };
        // A failure is reported by the caller's first `lower`, if it lasts.
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
    /// [`WatchError`] if a watch could not be set; the next call tries again. Hints may
    /// be missed until then.
    pub fn rearm(&mut self) -> Result<(), WatchError> {
        self.shared.pending.store(0, Ordering::Release);
        if !self.shared.is_stale.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let outcome = self.set_watches();
        if outcome.is_err() {
            self.shared.is_stale.store(true, Ordering::Release);
        }
        outcome
    }

    /// Sets the watches for all components of the path, until these no longer change.
    fn set_watches(&mut self) -> Result<(), WatchError> {
        const ROUNDS_MAX: usize = 8;
        if self.is_renewal_due {
            // A watch stays on its directory when that is renamed, and the library knows
            // watches by their paths: only another instance is sure to forget them.
            self.watcher = new_watcher(&self.shared, &self.path)?;
            self.folders.clear();
            self.is_renewal_due = false;
        }
        for _ in 0..ROUNDS_MAX {
            let components = PathComponents::of(&self.path);
            let tree = match self.watched {
                Watched::File => None,
                Watched::Tree => components.end.clone().filter(|end| end.is_dir()),
            };
            let mut wanted: BTreeMap<PathBuf, bool> =
                components.names.keys().map(|folder| (folder.clone(), false)).collect();
            wanted.extend(tree.clone().map(|tree| (tree, true)));
            if self.watched == Watched::File {
                let mounted = components.end.clone().filter(|end| is_mounted(end));
                wanted.extend(mounted.map(|file| (file, false)));
            }
            {
                let mut scope = self.shared.scope.lock().unwrap_or_else(PoisonError::into_inner);
                *scope = Scope { components: components.clone(), tree };
            }
            for old in self.folders.keys().filter(|old| !wanted.contains_key(*old)) {
                // It fails if the directory was removed.
                drop(self.watcher.unwatch(old));
            }
            self.folders = wanted.clone();
            let mut is_gone = false;
            for (folder, is_tree) in wanted {
                is_gone |= !self.watch(&folder, is_tree)?;
            }
            // A name that changed before its directory was watched caused no event.
            if !is_gone && PathComponents::of(&self.path) == components {
                return Ok(());
            }
        }
        // The path changes all the time; its events cause hints, and the next `lower`
        // tries again.
        self.shared.is_stale.store(true, Ordering::Release);
        Ok(())
    }

    /// False if the directory was removed meanwhile.
    fn watch(&mut self, folder: &Path, is_tree: bool) -> Result<bool, WatchError> {
        let mode = if is_tree { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        match self.watcher.watch(folder, mode) {
            Ok(()) => Ok(true),
            Err(e) if is_missing(&e) => Ok(false),
            Err(source) => Err(WatchError { path: folder.to_owned(), source }),
        }
    }
}

fn new_watcher(shared: &Arc<Shared>, path: &Path) -> Result<Inotify, WatchError> {
    let shared = Arc::clone(shared);
    let handle = move |event| {
        if let Some(hint) = shared.hint_of(event) {
            shared.post_once(hint);
        }
    };
    Inotify::start(handle).map_err(|source| WatchError { path: path.to_owned(), source })
}

fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(e) => {
            matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
        }
        notify::ErrorKind::Generic(_)
        | notify::ErrorKind::WatchNotFound
        | notify::ErrorKind::InvalidConfig(_)
        | notify::ErrorKind::MaxFilesWatch => false,
    }
}

impl Shared {
    fn post_once(&self, hint: Hint) {
        let level = match hint {
            Hint::Soon => 1,
            Hint::Now => 2,
        };
        if self.pending.fetch_max(level, Ordering::AcqRel) < level {
            (self.post)(hint);
        }
    }

    fn hint_of(&self, event: notify::Result<Event>) -> Option<Hint> {
        let event = match event {
            Ok(event) => event,
            Err(e) => {
                // From here on new directories may have no watch; log this once.
                if !self.has_logged_limit.swap(true, Ordering::Relaxed) {
                    log::warn!("changes may be noticed late: {e}");
                }
                return Some(Hint::Now);
            }
        };
        if event.need_rescan() {
            self.is_stale.store(true, Ordering::Release);
            return Some(Hint::Now);
        }
        let (hint, is_structure) = urgency(event.kind)?;
        let scope = self.scope.lock().unwrap_or_else(PoisonError::into_inner);
        let relevance = event.paths.iter().map(|path| scope.relevance_of(path)).max()?;
        drop(scope);
        let (is_stale, is_hint) = match relevance {
            Relevance::None => (false, false),
            Relevance::Displaced => (false, is_data(event.kind)),
            Relevance::Tree => (is_structure, true),
            // A new name may be a link.
            Relevance::PathComponent => (!is_data(event.kind), true),
        };
        if is_stale {
            self.is_stale.store(true, Ordering::Release);
        }
        is_hint.then_some(hint)
    }
}

/// Why an event at a path matters, least relevant first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Relevance {
    None,
    /// A file that we displaced: an editor that has it open may still write to it.
    Displaced,
    /// An entry in the watched directory.
    Tree,
    /// The end of the watched path, or a name on the way to it.
    PathComponent,
}

impl Scope {
    fn relevance_of(&self, path: &Path) -> Relevance {
        if self.components.has(path) {
            return Relevance::PathComponent;
        }
        let name = path.file_name().unwrap_or(OsStr::new(""));
        if is_displaced(name) {
            return Relevance::Displaced;
        }
        match self.tree.as_ref().and_then(|tree| path.strip_prefix(tree).ok()) {
            Some(below) if !is_staged(name) && !below.iter().any(is_hidden) => Relevance::Tree,
            Some(_) | None => Relevance::None,
        }
    }
}

/// The hint for an event, and whether directories or links may have been added or
/// removed.
const fn urgency(kind: EventKind) -> Option<(Hint, bool)> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some((Hint::Now, false)),
        EventKind::Modify(ModifyKind::Name(_)) => Some((Hint::Now, true)),
        EventKind::Remove(RemoveKind::File) => Some((Hint::Now, false)),
        EventKind::Remove(_) => Some((Hint::Now, true)),
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => {
            Some((Hint::Soon, false))
        }
        // A new directory may have entries before it has a watch.
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Any | EventKind::Other => {
            Some((Hint::Soon, true))
        }
        EventKind::Access(_) => None,
    }
}

const fn is_data(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Modify(ModifyKind::Data(_))
            | EventKind::Access(AccessKind::Close(AccessMode::Write))
    )
}

#[cfg(test)]
mod tests;
