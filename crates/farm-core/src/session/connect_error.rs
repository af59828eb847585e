//! Why no server could be reached.

use super::DownReason;
use super::tls::TlsError;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The latest failure to connect to a server.
#[derive(Debug, Clone)]
pub struct ConnectError {
    server: String,
    kind: ConnectErrorKind,
}

/// The step that failed.
#[derive(Debug, Clone)]
pub(super) enum ConnectErrorKind {
    /// What this process needs for a session: threads, descriptors.
    System(Arc<std::io::Error>),
    /// The look-up of its name.
    Resolve(Arc<std::io::Error>),
    /// The connection.
    Connect(Arc<std::io::Error>),
    /// The server did not answer the attempt to connect.
    NoAnswer,
    /// The TLS handshake, or what followed soon after it.
    Tls(Box<TlsError>),
    /// What follows the connection until the session is connected.
    Handshake(DownReason),
}

impl ConnectError {
    /// This process can't get what a session needs.
    pub(super) fn of_process(error: std::io::Error) -> Self {
        Self::new("this process".to_owned(), ConnectErrorKind::System(Arc::new(error)))
    }

    /// This host can't connect to itself.
    pub(super) fn of_loopback(error: std::io::Error) -> Self {
        let kind = ConnectErrorKind::Connect(Arc::new(error));
        Self::new("the loopback interface of this host".to_owned(), kind)
    }

    pub(super) const fn new(server: String, kind: ConnectErrorKind) -> Self {
        Self { server, kind }
    }

    /// What is wrong with TLS, if TLS has failed.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsError> {
        match &self.kind {
            ConnectErrorKind::Tls(error) => Some(error),
            _ => None,
        }
    }

    /// Tells whether this process lacks threads or descriptors, so that no server was tried.
    #[must_use]
    pub const fn is_of_process(&self) -> bool {
        matches!(self.kind, ConnectErrorKind::System(_))
    }

    /// Tells whether a server was reached and refused our credentials.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self.kind, ConnectErrorKind::Handshake(DownReason::AuthRefused))
    }

    /// Tells whether the error persists until somebody fixes its cause.
    pub(super) fn is_lasting(&self) -> bool {
        self.priority() > 0
    }

    /// Which of several errors to report: a higher one is worth more than a server
    /// that is just down.
    pub(super) fn priority(&self) -> u8 {
        match self.tls() {
            _ if self.is_refusal() => 2,
            Some(error) if error.is_lasting() => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, kind } = self;
        match kind {
            ConnectErrorKind::System(error) => write!(f, "cannot open a session: {error}"),
            ConnectErrorKind::Resolve(error) => {
                write!(f, "{server}: cannot resolve its name: {error}")
            }
            ConnectErrorKind::Connect(error) => write!(f, "{server}: cannot connect: {error}"),
            ConnectErrorKind::NoAnswer => {
                write!(f, "{server}: no answer to the attempt to connect")
            }
            ConnectErrorKind::Tls(error) => {
                write!(f, "{server}: TLS: {error}")?;
                let mut source = error.source();
                while let Some(error) = source {
                    write!(f, ": {error}")?;
                    source = error.source();
                }
                Ok(())
            }
            ConnectErrorKind::Handshake(DownReason::HungUp) => write!(
                f,
                "{server}: it closed the connection at once; it may have no quorum, require TLS, \
                 or not be ZooKeeper"
            ),
            ConnectErrorKind::Handshake(DownReason::AuthRefused) => {
                write!(f, "{server} refused our credentials")
            }
            ConnectErrorKind::Handshake(reason) => write!(f, "{server}: connected, then {reason}"),
        }
    }
}
