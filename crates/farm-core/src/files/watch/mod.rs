//! Hints that a file or a directory has changed.
//!
//! **Invariant.** Every change that ends after [`FileWatch::lower`] has returned is
//! followed by a hint, also when the watched thing is deleted and made again, or
//! a link on the way to it is turned elsewhere.

mod mounted;
mod path_components;

use self::mounted::is_mounted;
use self::path_components::{PathComponents, trail};
use super::hidden::{is_displaced, is_hidden, is_staged};
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind};
use notify::{Config, Event, EventKind, INotifyWatcher, RecursiveMode, Watcher};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Something changed: read again. Says how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// Somebody is still at it: wait until it is quiet for a moment.
    Soon,
    /// A save is complete: closed after writing, renamed or removed.
    Now,
}

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// One file, links followed.
    File,
    /// A directory with all below it.
    Tree,
}

/// Why a watch can't be set.
#[derive(Debug)]
pub struct WatchError {
    path: PathBuf,
    source: notify::Error,
}

impl WatchError {
    /// Whether the user's limit of watches is used up.
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

/// Watches a path for as long as it lives.
pub struct FileWatch {
    path: PathBuf,
    watched: Watched,
    shared: Arc<Shared>,
    watcher: INotifyWatcher,
    /// What is watched, directories but for a file that is mounted by itself, and
    /// whether with all below it.
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
    /// 0 nothing, 1 a soon, 2 a now: what was posted since it was lowered last.
    pending: AtomicU8,
    /// Directories have come, gone or moved: the watches are to be set anew.
    is_stale: AtomicBool,
    has_told_limit: AtomicBool,
    // Protects where the path leads. It is read by every event on notify's thread,
    // which has no inbox of ours that a message could wait in.
    scope: Mutex<Scope>,
}

#[derive(Debug, Default)]
struct Scope {
    trail: PathComponents,
    /// The directory of which everything counts.
    tree: Option<PathBuf>,
}

impl FileWatch {
    /// Starts to watch; `post` is called on another thread, and must not block.
    ///
    /// After a hint there is no other of the same kind until [`FileWatch::lower`], which
    /// also tells if the system has no watch to give.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if the system has nothing to set watches with.
    pub fn start(
        path: PathBuf,
        watched: Watched,
        post: impl Fn(Hint) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let shared = Arc::new(Shared {
            pending: AtomicU8::new(0),
            is_stale: AtomicBool::new(true),
            has_told_limit: AtomicBool::new(false),
            scope: Mutex::new(Scope::default()),
        });
        let posting = Arc::clone(&shared);
        let handler = move |event| {
            if let Some(hint) = posting.judge(event) {
                posting.raise(hint, &post);
            }
        };
        // A link below a watched directory leads out of it.
        let config = Config::default().with_follow_symlinks(false);
        let watcher = INotifyWatcher::new(handler, config)
            .map_err(|source| WatchError { path: path.clone(), source })?;
        let mut watch = Self { path, watched, shared, watcher, folders: BTreeMap::new() };
        // What fails here fails there again, or has become possible.
        drop(watch.lower());
        Ok(watch)
    }

    /// Asks for the next hint. To be called before reading, never after: a change
    /// that lands while we read must be a hint again.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if the watches could not be set where they are needed now;
    /// the next call tries again. Hints may be missed until then.
    pub fn lower(&mut self) -> Result<(), WatchError> {
        self.shared.pending.store(0, Ordering::Release);
        if !self.shared.is_stale.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let outcome = self.arm();
        if outcome.is_err() {
            self.shared.is_stale.store(true, Ordering::Release);
        }
        outcome
    }

    /// Sets the watches along the trail, until the trail holds still.
    fn arm(&mut self) -> Result<(), WatchError> {
        const ROUNDS_MAX: usize = 8;
        for _ in 0..ROUNDS_MAX {
            let trail = trail(&self.path);
            let tree = match self.watched {
                Watched::File => None,
                Watched::Tree => trail.end.clone().filter(|end| end.is_dir()),
            };
            let mut wanted: BTreeMap<PathBuf, bool> =
                trail.names.keys().map(|folder| (folder.clone(), false)).collect();
            wanted.extend(tree.clone().map(|tree| (tree, true)));
            if self.watched == Watched::File {
                let mounted = trail.end.clone().filter(|end| is_mounted(end));
                wanted.extend(mounted.map(|file| (file, false)));
            }
            {
                let mut scope = self.shared.scope.lock().unwrap_or_else(PoisonError::into_inner);
                *scope = Scope { trail: trail.clone(), tree };
            }
            for old in self.folders.keys().filter(|old| !wanted.contains_key(*old)) {
                // It may have gone by itself.
                drop(self.watcher.unwatch(old));
            }
            self.folders = wanted.clone();
            let mut is_moved = false;
            for (folder, is_tree) in wanted {
                is_moved |= !self.watch(&folder, is_tree)?;
            }
            // A name that changed before its directory was watched gave no event.
            if !is_moved && path_components::trail(&self.path) == trail {
                return Ok(());
            }
        }
        // Somebody is at it all the time; the hints that this causes lead here again.
        self.shared.is_stale.store(true, Ordering::Release);
        Ok(())
    }

    /// False if the directory has gone meanwhile.
    fn watch(&mut self, folder: &Path, is_tree: bool) -> Result<bool, WatchError> {
        let mode = if is_tree { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        match self.watcher.watch(folder, mode) {
            Ok(()) => Ok(true),
            Err(e) if is_missing(&e) => Ok(false),
            Err(source) => Err(WatchError { path: folder.to_owned(), source }),
        }
    }
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
    fn raise(&self, hint: Hint, post: &impl Fn(Hint)) {
        let level = match hint {
            Hint::Soon => 1,
            Hint::Now => 2,
        };
        if self.pending.fetch_max(level, Ordering::AcqRel) < level {
            post(hint);
        }
    }

    fn judge(&self, event: notify::Result<Event>) -> Option<Hint> {
        let event = match event {
            Ok(event) => event,
            Err(e) => {
                // New directories may be unwatched from here on: tell it once.
                if !self.has_told_limit.swap(true, Ordering::Relaxed) {
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
        let concern = event.paths.iter().map(|path| scope.concern(path)).max()?;
        drop(scope);
        let (is_stale, is_hint) = match concern {
            Concern::None => (false, false),
            Concern::Late => (false, is_data(event.kind)),
            Concern::Tree => (is_structure, true),
            // A new name on the trail may be a link.
            Concern::PathComponents => (!is_data(event.kind), true),
        };
        if is_stale {
            self.is_stale.store(true, Ordering::Release);
        }
        is_hint.then_some(hint)
    }
}

/// What a path is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Concern {
    None,
    /// A file that we displaced: an editor that still had it open goes on there.
    Late,
    /// Something in the watched directory.
    Tree,
    /// What the path leads to, or a name on the way there.
    PathComponents,
}

impl Scope {
    fn concern(&self, path: &Path) -> Concern {
        if self.trail.has(path) {
            return Concern::PathComponents;
        }
        let name = path.file_name().unwrap_or(OsStr::new(""));
        if is_displaced(name) {
            return Concern::Late;
        }
        match self.tree.as_ref().and_then(|tree| path.strip_prefix(tree).ok()) {
            Some(below) if !is_staged(name) && !below.iter().any(is_hidden) => Concern::Tree,
            Some(_) | None => Concern::None,
        }
    }
}

/// How soon, and whether directories or links may have come or gone.
const fn urgency(kind: EventKind) -> Option<(Hint, bool)> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some((Hint::Now, false)),
        EventKind::Modify(ModifyKind::Name(_)) => Some((Hint::Now, true)),
        EventKind::Remove(RemoveKind::File) => Some((Hint::Now, false)),
        EventKind::Remove(_) => Some((Hint::Now, true)),
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => {
            Some((Hint::Soon, false))
        }
        // What is in a new directory may be there before its watch is.
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
