//! What a machine wants done.

/// A step that a machine asks of its owner: to make a request `R`, or to take news `N`.
#[derive(Debug)]
pub enum Action<R, N> {
    /// Ask this, and bring the answer back, whatever it is.
    Ask(R),
    /// This is known now.
    Tell(N),
}
