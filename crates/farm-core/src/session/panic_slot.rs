//! Carries a panic on one of the session's threads to the thread that owns the session.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps the first panic until the owner asks for it.
///
/// It is a lock and not a message, because the owner asks only when it renews the
/// session, and must then find the panic of any thread.
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

    /// Continues the panic of another thread on this one, if there was one.
    pub(super) fn resume(&self) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = kept {
            resume_unwind(panic);
        }
    }
}
