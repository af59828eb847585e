//! Callbacks that post events of other threads to the loop.

use std::fmt;
use std::sync::Arc;

/// A callback that any thread may call and that only posts its argument. A clone is cheap.
pub struct Post<T>(Arc<dyn Fn(T) + Send + Sync>);

impl<T: 'static> Post<T> {
    /// Wraps a callback.
    #[must_use]
    pub fn new(post: impl Fn(T) + Send + Sync + 'static) -> Self {
        Self(Arc::new(post))
    }

    /// Calls it.
    pub fn post(&self, event: T) {
        (self.0)(event);
    }

    /// A callback that wraps its argument as a `T` and posts that.
    pub fn posting<A>(&self, wrap: fn(A) -> T) -> impl Fn(A) + Clone + use<A, T> {
        let post = self.clone();
        move |argument| post.post(wrap(argument))
    }
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Post<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post")
    }
}
