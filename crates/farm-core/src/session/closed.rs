//! The end of a connection.

/// The other end has closed the connection, or it broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;
