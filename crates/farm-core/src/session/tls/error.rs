//! What can be wrong with TLS.

use rustls::pki_types::{ServerName, pem};
use rustls::{AlertDescription, CertificateError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How many names of a certificate are told.
const NAMES_TOLD_MAX: usize = 3;

errors! {
    /// Why TLS does not work.
    #[derive(Debug, Clone)]
    #[non_exhaustive]
    pub enum TlsError {
        /// A file of ours can't be used.
        File {
            /// Which one.
            path: PathBuf,
            /// What is wrong with it.
            fault: FileFault,
        } => "cannot use {}" (path.display()) from fault,
        /// No certificate can be for such a name.
        ServerName(name: String) => "no certificate can be for the name {name:?}",
        /// The server's certificate is for somebody else.
        OtherName {
            /// The name it should have had.
            wanted: String,
            /// Those it has.
            presented: Vec<String>,
        } => "certificate is for another name: not {wanted}{}" (but(presented)),
        /// Nobody whom we trust has signed the server's certificate.
        UnknownIssuer => "certificate has an unknown issuer",
        /// The server's certificate has expired.
        Expired => "certificate has expired",
        /// The server's certificate is not valid yet.
        NotYetValid => "certificate is not valid yet",
        /// Something else is wrong with the server's certificate.
        Certificate(error: rustls::Error) => "certificate can't be used" from error,
        /// What the server says is no TLS.
        NoTls => "server speaks no TLS",
        /// The connection ended in the handshake.
        HungUp => "server hung up in the handshake; it may speak no TLS at this port",
        /// The connection ended after the handshake, before ZooKeeper said a word.
        Dropped =>
            "server hung up after the handshake; it may refuse our certificate, or have no quorum",
        /// The handshake was not done in time.
        Silent => "no answer in the handshake",
        /// The server refused us.
        Refused(alert: AlertDescription) => "server refused us: {alert:?}",
        /// The two sides did not come to terms.
        Protocol(error: rustls::Error) => "no agreement with the server" from error,
    }

    /// What is wrong with a file.
    #[derive(Debug, Clone)]
    #[non_exhaustive]
    pub enum FileFault {
        /// It can't be read.
        Read(error: Arc<io::Error>) => error,
        /// It is a directory, a pipe, a device.
        NoFile => "it is no regular file",
        /// It is too long for what it should be.
        TooLong => "it is too long",
        /// It is no PEM.
        Pem(error: Arc<pem::Error>) => "it is not PEM" from error,
        /// There is no certificate in it that can be used.
        NoCertificate => "it holds no certificate that can be used",
        /// There is no key in it that can be used.
        NoKey => "it holds no private key that is not encrypted",
        /// The key is not the one of the certificate.
        KeyOfAnother => "it is not the key of the certificate",
        /// The certificate or the key can't be used.
        Unusable(error: rustls::Error) => error,
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(error) => Self::of_certificate(error),
            rustls::Error::AlertReceived(alert) => Self::Refused(alert),
            error => Self::Protocol(error),
        }
    }
}

impl TlsError {
    /// Tells whether it stays like that until somebody does something. What ends
    /// without a reason may be a server that is just starting.
    pub(in super::super) const fn is_lasting(&self) -> bool {
        !matches!(self, Self::HungUp | Self::Dropped | Self::Silent)
    }

    fn of_certificate(error: CertificateError) -> Self {
        match error {
            CertificateError::NotValidForNameContext { expected, presented } => {
                let wanted = match expected {
                    ServerName::IpAddress(address) => std::net::IpAddr::from(address).to_string(),
                    name => name.to_str().into_owned(),
                };
                Self::OtherName { wanted, presented }
            }
            // An authority that has the name of one that we trust, and another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            error => Self::Certificate(rustls::Error::InvalidCertificate(error)),
        }
    }
}

/// For whom a certificate is instead.
fn but(presented: &[String]) -> String {
    if presented.is_empty() {
        return ", it names no host at all".to_owned();
    }
    let told = presented.iter().take(NAMES_TOLD_MAX);
    let told = told.map(|name| plain_name(name)).collect::<Vec<_>>().join(", ");
    let rest = if presented.len() > NAMES_TOLD_MAX { ", …" } else { "" };
    format!(" but {told}{rest}")
}

/// The name in the library's `DnsName("zk1")`.
fn plain_name(presented: &str) -> &str {
    presented.split('"').nth(1).unwrap_or(presented)
}
