//! Why no server could be reached.

use super::link::DownReason;
use super::tls::TlsError;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What went wrong with one server, last.
#[derive(Debug, Clone)]
pub struct ConnectError {
    server: String,
    kind: ConnectErrorKind,
}

/// The step that failed.
#[derive(Debug, Clone)]
pub(super) enum ConnectErrorKind {
    /// Its name has no address.
    Resolve(Arc<std::io::Error>),
    /// It does not take connections.
    Connect(Arc<std::io::Error>),
    /// It did not answer the attempt to connect.
    NoAnswer,
    /// It took the connection, but TLS did not come about, or not for long.
    Tls(Box<TlsError>),
    /// It took the connection, and then that.
    Greeting(DownReason),
}

impl ConnectError {
    pub(super) const fn new(server: String, kind: ConnectErrorKind) -> Self {
        Self { server, kind }
    }

    /// What is wrong with TLS, if that is the trouble.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsError> {
        match &self.kind {
            ConnectErrorKind::Tls(error) => Some(error),
            _ => None,
        }
    }

    /// Tells whether a server was reached, and does not take our credentials.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self.kind, ConnectErrorKind::Greeting(DownReason::AuthRefused))
    }

    /// Tells whether somebody has to do something about it: it does not go by itself.
    pub(super) fn is_lasting(&self) -> bool {
        self.weight() > 0
    }

    /// How much more there is to tell about it than about a server that is just away.
    pub(super) fn weight(&self) -> u8 {
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
            ConnectErrorKind::Greeting(DownReason::HungUp) => write!(
                f,
                "{server}: it hung up at once; it may have no quorum, want TLS, or be no ZooKeeper"
            ),
            ConnectErrorKind::Greeting(DownReason::AuthRefused) => {
                write!(f, "{server} refused our credentials")
            }
            ConnectErrorKind::Greeting(reason) => write!(f, "{server}: connected, then {reason}"),
        }
    }
}
