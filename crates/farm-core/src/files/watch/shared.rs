//! From events to hints, on notify's thread.

use super::path_components::PathComponents;
use crate::files::hidden::{is_displaced, is_hidden, is_staged};
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind};
use notify::{Event, EventKind};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

/// Something changed: read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// Somebody is still writing: read when no more hints come.
    Soon,
    /// A save is complete: the file was closed after writing, renamed or removed.
    Now,
}

/// What events are measured by, and what follows from them.
pub(super) struct Shared {
    post: Box<dyn Fn(Hint) + Send + Sync>,
    /// The hint that was posted since the last [`FileWatch::rearm`]: 0 none, 1 soon, 2 now.
    pub(super) pending: AtomicU8,
    /// Directories were created, removed or moved: the watches must be set again.
    pub(super) is_stale: AtomicBool,
    has_logged_limit: AtomicBool,
    // Protects where the path leads. It is read by every event on notify's thread,
    // which has no inbox of ours that a message could wait in.
    pub(super) scope: Mutex<Scope>,
}

/// Where the path leads.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) components: PathComponents,
    /// The directory in which everything counts.
    pub(super) tree: Option<PathBuf>,
}

impl Shared {
    /// Nothing is watched yet, so all watches are to be set.
    pub(super) fn new(post: impl Fn(Hint) + Send + Sync + 'static) -> Self {
        Self {
            post: Box::new(post),
            pending: AtomicU8::new(0),
            is_stale: AtomicBool::new(true),
            has_logged_limit: AtomicBool::new(false),
            scope: Mutex::new(Scope::default()),
        }
    }

    /// Posts a hint, unless one is pending that says as much.
    pub(super) fn post_once(&self, hint: Hint) {
        let level = match hint {
            Hint::Soon => 1,
            Hint::Now => 2,
        };
        if self.pending.fetch_max(level, Ordering::AcqRel) < level {
            (self.post)(hint);
        }
    }

    /// The hint that follows from an event.
    pub(super) fn hint_of(&self, event: notify::Result<Event>) -> Option<Hint> {
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
