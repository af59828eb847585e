//! Headings in the help.

/// The heading of all options about the connection.
pub const CONNECTION: &str = "Connection";
