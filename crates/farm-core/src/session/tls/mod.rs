//! TLS between the relay and a server.
//!
//! Bytes go in and bytes come out: there is no socket here, and nothing waits.
//! `files` makes a certificate checker out of the files of an operator, `channel`
//! is one conversation, `error` says what can be wrong with either.
//!
//! **Invariant.** A channel takes nothing of ours before the server's certificate
//! has been checked: who is not the server learns no session and no password.

mod channel;
mod error;
mod files;

#[cfg(test)]
mod tests;

pub(super) use channel::Channel;
pub use error::{FileFault, TlsError};

use super::servers::{Server, Servers};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::path::PathBuf;
use std::sync::Arc;

/// Whose certificates are trusted when no file of authorities is named.
pub const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How to speak TLS with the servers. All files are PEM, and are read again for
/// every connection.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The authorities that we trust; [`SYSTEM_CA`] if it is not named.
    pub ca: Option<PathBuf>,
    /// Who we are, for servers that want to know.
    pub identity: Option<Identity>,
    /// The name that a server's certificate has to have; the one that the server
    /// was named with if there is none.
    pub server_name: Option<String>,
}

/// A certificate of ours and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, and those of the authorities between it and the root.
    pub cert: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

impl Tls {
    /// Tells whether this could work with these servers now.
    ///
    /// # Errors
    ///
    /// When a file can't be used, or a server is named in a way that no certificate
    /// can be for.
    pub fn check(&self, servers: &Servers) -> Result<(), TlsError> {
        files::client_config(self)?;
        servers.list().iter().try_for_each(|server| self.name_of(server).map(drop))
    }

    /// Begins a conversation with that server.
    pub(super) fn channel(&self, server: &Server) -> Result<Channel, Box<TlsError>> {
        let config = Arc::new(files::client_config(self)?);
        let connection = ClientConnection::new(config, self.name_of(server)?);
        Ok(Channel::new(connection.map_err(TlsError::Protocol)?))
    }

    /// What it is called when a server does not go on with the handshake.
    pub(super) fn silence(&self) -> Box<TlsError> {
        Box::new(TlsError::Silent)
    }

    fn name_of(&self, server: &Server) -> Result<ServerName<'static>, TlsError> {
        server_name(self.server_name.as_deref().unwrap_or_else(|| server.host()))
    }
}

/// Reads the name or address that a certificate is to be for.
///
/// # Errors
///
/// When no certificate can be for that.
pub fn check_server_name(name: &str) -> Result<(), TlsError> {
    server_name(name).map(drop)
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    // Neither the zone of a link-local address nor the dot that ends an absolute name
    // is ever in a certificate.
    let bare = name.split('%').next().unwrap_or(name).trim_end_matches('.');
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}
