//! What can be wrong with TLS.

use rustls::pki_types::{ServerName, pem};
use rustls::{AlertDescription, CertificateError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How many names of a certificate are told.
const NAMES_TOLD_MAX: usize = 3;

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
    /// No certificate can be for such a name.
    #[error("no certificate can be for the name {0:?}")]
    ServerName(String),
    /// The server's certificate is for somebody else.
    #[error("certificate is for another name: not {wanted}{}", but(.presented))]
    OtherName {
        /// The name it should have had.
        wanted: String,
        /// Those it has.
        presented: Vec<String>,
    },
    /// Nobody whom we trust has signed the server's certificate.
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
    /// What the server says is no TLS.
    #[error("server speaks no TLS")]
    NoTls,
    /// The connection ended in the handshake.
    #[error("server hung up in the handshake; it may speak no TLS at this port")]
    HungUp,
    /// The connection ended after the handshake, before ZooKeeper said a word.
    #[error("server hung up after the handshake; it may refuse our certificate, or have no quorum")]
    Dropped,
    /// The handshake was not done in time.
    #[error("no answer in the handshake")]
    Silent,
    /// The server refused us.
    #[error("server refused us: {0:?}")]
    Refused(AlertDescription),
    /// The two sides did not come to terms.
    #[error("no agreement with the server")]
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
    #[error("it is no regular file")]
    NoFile,
    /// It is too long for what it should be.
    #[error("it is too long")]
    TooLong,
    /// It is no PEM.
    #[error("it is not PEM")]
    Pem(#[source] Arc<pem::Error>),
    /// There is no certificate in it that can be used.
    #[error("it holds no certificate that can be used")]
    NoCertificate,
    /// There is no key in it that can be used.
    #[error("it holds no private key that is not encrypted")]
    NoKey,
    /// The key is not the one of the certificate.
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
