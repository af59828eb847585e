//! Why TLS does not work.

use rustls::pki_types::{ServerName, pem};
use rustls::{AlertDescription, CertificateError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How many names of a certificate a message has at most.
const NAMES_SHOWN_MAX: usize = 3;

/// Why TLS does not work.
#[derive(Debug, thiserror::Error, Clone)]
#[non_exhaustive]
pub enum TlsError {
    /// A file of ours can't be used.
    #[error("cannot use {}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: FileFault,
    },
    /// No certificate can hold such a name.
    #[error("no certificate can be for the name {0:?}")]
    ServerName(String),
    /// The server's certificate is for another name.
    #[error("certificate is for another name: not {wanted}{}", names(.presented))]
    OtherName {
        /// The name that it should have.
        wanted: String,
        /// The names that it has.
        presented: Vec<String>,
    },
    /// No trusted authority has signed the server's certificate.
    #[error("certificate has an unknown issuer")]
    UnknownIssuer,
    /// The server's certificate has expired.
    #[error("certificate has expired")]
    Expired,
    /// The server's certificate is not valid yet.
    #[error("certificate is not valid yet")]
    NotYetValid,
    /// Something else is wrong with the server's certificate.
    #[error("certificate can't be used")]
    Certificate(#[source] rustls::Error),
    /// The server's answer is not TLS.
    #[error("server does not speak TLS")]
    NoTls,
    /// The connection ended during the handshake.
    #[error("server closed the connection during the handshake; this port may be without TLS")]
    HungUp,
    /// The connection ended after the handshake, before ZooKeeper answered.
    #[error(
        "server closed the connection after the handshake; it may refuse our certificate, or \
         have no quorum"
    )]
    Dropped,
    /// The handshake was not done in time.
    #[error("no answer in the handshake")]
    Silent,
    /// The server refused us.
    #[error("server refused us: {0:?}")]
    Refused(AlertDescription),
    /// The handshake failed for another reason.
    #[error("protocol error")]
    Protocol(#[source] rustls::Error),
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error, Clone)]
#[non_exhaustive]
pub enum FileFault {
    /// It can't be read.
    #[error(transparent)]
    Read(Arc<io::Error>),
    /// It is a directory, a pipe, a device.
    #[error("it is not a regular file")]
    NoFile,
    /// It is too large.
    #[error("it is too large")]
    TooLong,
    /// It is not PEM.
    #[error("it is not PEM")]
    Pem(#[source] Arc<pem::Error>),
    /// It holds no usable certificate.
    #[error("it holds no usable certificate")]
    NoCertificate,
    /// It holds no usable key.
    #[error("it holds no unencrypted private key")]
    NoKey,
    /// The key does not belong to the certificate.
    #[error("it is not the key of the certificate")]
    KeyOfAnother,
    /// The certificate or the key can't be used.
    #[error(transparent)]
    Unusable(rustls::Error),
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
    /// Tells whether the error persists until somebody fixes its cause. A connection that
    /// ends without a reason may be to a server that is just starting.
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
            // A bad signature: the authority has the name of a trusted one, and another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            error => Self::Certificate(rustls::Error::InvalidCertificate(error)),
        }
    }
}

/// The names that a certificate has instead.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return ", it names no host at all".to_owned();
    }
    let shown = presented.iter().take(NAMES_SHOWN_MAX);
    let shown = shown.map(|name| plain_name(name)).collect::<Vec<_>>().join(", ");
    let rest = if presented.len() > NAMES_SHOWN_MAX { ", …" } else { "" };
    format!(" but {shown}{rest}")
}

/// The name in the library's `DnsName("zk1")`.
fn plain_name(presented: &str) -> &str {
    presented.split('"').nth(1).unwrap_or(presented)
}
