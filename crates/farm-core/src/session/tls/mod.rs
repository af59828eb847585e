//! TLS between the relay and a server.
//!
//! Bytes go in and bytes come out: there is no socket here, and nothing waits. `files`
//! reads the certificates and keys, `channel` is the TLS state of one connection, `error`
//! says what can go wrong with either.
//!
//! **Invariant.** A channel takes no plain text before the server's certificate has been
//! verified: an impostor never gets our session or a password.

mod channel;
mod error;
mod files;

#[cfg(test)]
mod tests;

pub(super) use channel::Channel;
pub use error::{FileFault, TlsError};
pub use files::Identity;

use super::servers::{Server, Servers};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The trusted authorities if no file of them is named.
pub const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The TLS settings. All files are PEM, and are read again for every connection.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The file of trusted authorities; `None` is [`SYSTEM_CA`].
    pub ca: Option<PathBuf>,
    /// Our own certificate, for servers that ask for one.
    pub identity: Option<Identity>,
    /// The name that a server's certificate must have; `None` is the name of the server
    /// in the list of servers.
    pub server_name: Option<String>,
}

impl Tls {
    /// Checks the files and the names of the servers.
    ///
    /// # Errors
    ///
    /// If a file can't be used, or a server has a name that no certificate can hold.
    pub fn check(&self, servers: &Servers) -> Result<(), TlsError> {
        self.client_config()?;
        servers.list().iter().try_for_each(|server| self.name_of(server).map(drop))
    }

    /// Starts TLS with that server.
    pub(super) fn channel(&self, server: &Server) -> Result<Channel, Box<TlsError>> {
        let config = Arc::new(self.client_config()?);
        let connection = ClientConnection::new(config, self.name_of(server)?);
        Ok(Channel::new(connection.map_err(TlsError::Protocol)?))
    }

    /// The error for a server that does not continue the handshake.
    pub(super) fn no_answer(&self) -> Box<TlsError> {
        Box::new(TlsError::Silent)
    }

    fn client_config(&self) -> Result<rustls::ClientConfig, TlsError> {
        let ca = self.ca.as_deref().unwrap_or(Path::new(SYSTEM_CA));
        files::client_config(ca, self.identity.as_ref())
    }

    fn name_of(&self, server: &Server) -> Result<ServerName<'static>, TlsError> {
        server_name(self.server_name.as_deref().unwrap_or_else(|| server.host()))
    }
}

/// Checks a name or address that a certificate should be for.
///
/// # Errors
///
/// If no certificate can hold it.
pub fn check_server_name(name: &str) -> Result<(), TlsError> {
    server_name(name).map(drop)
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    // A certificate holds neither the zone of a link-local address nor the trailing dot
    // of an absolute name.
    let bare = name.split('%').next().unwrap_or(name).trim_end_matches('.');
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}
