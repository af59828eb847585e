//! Panics on the session's threads, brought to the thread that owns it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps the first panic until somebody asks.
///
/// A lock and not a message, because the owner asks only where it takes part in
/// the session's life, and must then find it whoever left it.
#[derive(Debug, Clone, Default)]
pub(super) struct PanicSlot(Arc<Mutex<Option<Box<dyn Any + Send>>>>);

impl PanicSlot {
    /// Does the work; tells whether it ended without a panic.
    pub(super) fn guard(&self, work: impl FnOnce()) -> bool {
        let Err(panic) = catch_unwind(AssertUnwindSafe(work)) else { return true };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert(panic);
        false
    }

    /// Goes on panicking, on this thread, if one of the others has.
    pub(super) fn surface(&self) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = kept {
            resume_unwind(panic);
        }
    }
}
