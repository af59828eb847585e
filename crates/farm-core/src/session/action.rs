//! What a machine wants done.

/// What has to be done; `R` is what is asked, `N` what is told.
#[derive(Debug)]
pub enum Action<R, N> {
    /// Ask this, and bring the answer back, whatever it is.
    Ask(R),
    /// This is known now.
    Tell(N),
}
