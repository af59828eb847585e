//! Why a connection to a server ended.

/// Why a connection to a server ended.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum DownReason {
    /// The server closed it, or the network broke it.
    #[error("it closed the connection")]
    HungUp,
    /// The server did not answer in time.
    #[error("it stopped answering")]
    Silent,
    /// The server began an answer and did not complete it in time.
    #[error("it did not finish an answer in time")]
    Unfinished,
    /// The server sent something that violates the protocol.
    #[error("it sent {0}")]
    Garbled(&'static str),
    /// The server does not accept our credentials.
    #[error("it refused our credentials")]
    AuthRefused,
    /// The server does not know a kind of request, and closes the connection after one.
    #[error("it is too old for a request, which is not repeated")]
    Outdated,
}
