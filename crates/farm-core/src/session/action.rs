//! What a state machine asks of its owner.

/// A step that a state machine asks of its owner: make the request `R`, or take note of
/// the news `N`.
#[derive(Debug)]
pub enum Action<R, N> {
    /// Make this request, and pass the answer to the machine.
    Request(R),
    /// This is known now.
    Report(N),
}
