//! Where goes what comes up on other threads.

use std::fmt;
use std::sync::Arc;

/// A callback that may be called on any thread, and only posts what it is given; cheap to
/// clone.
pub struct Post<T>(Arc<dyn Fn(T) + Send + Sync>);

impl<T: 'static> Post<T> {
    /// One that calls this.
    #[must_use]
    pub fn new(post: impl Fn(T) + Send + Sync + 'static) -> Self {
        Self(Arc::new(post))
    }

    /// Posts it.
    pub fn post(&self, it: T) {
        (self.0)(it);
    }

    /// A callback that posts what it is given as such a `T`.
    pub fn posting<A>(&self, wrap: fn(A) -> T) -> impl Fn(A) + Clone + use<A, T> {
        let post = self.clone();
        move |it| post.post(wrap(it))
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
