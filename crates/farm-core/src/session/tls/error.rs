//! What can be wrong with TLS.

use rustls::pki_types::{ServerName, pem};
use rustls::{AlertDescription, CertificateError};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How many names of a certificate are told.
const NAMES_TOLD_MAX: usize = 3;

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
    },
    /// No certificate can be for such a name.
    ServerName(String),
    /// The server's certificate is for somebody else.
    OtherName {
        /// The name it should have had.
        wanted: String,
        /// Those it has.
        presented: Vec<String>,
    },
    /// Nobody whom we trust has signed the server's certificate.
    UnknownIssuer,
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is not valid yet.
    NotYetValid,
    /// Something else is wrong with the server's certificate.
    Certificate(rustls::Error),
    /// What the server says is no TLS.
    NoTls,
    /// The connection ended in the handshake.
    HungUp,
    /// The connection ended after the handshake, before ZooKeeper said a word.
    Dropped,
    /// The handshake was not done in time.
    Silent,
    /// The server refused us.
    Refused(AlertDescription),
    /// The two sides did not come to terms.
    Protocol(rustls::Error),
}

/// What is wrong with a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FileFault {
    /// It can't be read.
    Read(Arc<io::Error>),
    /// It is a directory, a pipe, a device.
    NoFile,
    /// It is too long for what it should be.
    TooLong,
    /// It is no PEM.
    Pem(Arc<pem::Error>),
    /// There is no certificate in it that can be used.
    NoCertificate,
    /// There is no key in it that can be used.
    NoKey,
    /// The key is not the one of the certificate.
    KeyOfAnother,
    /// The certificate or the key can't be used.
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

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "cannot use {}", path.display()),
            Self::ServerName(name) => write!(f, "no certificate can be for the name {name:?}"),
            Self::OtherName { wanted, presented } if presented.is_empty() => {
                write!(f, "certificate is for another name: not {wanted}, it names no host at all")
            }
            Self::OtherName { wanted, presented } => {
                let told = presented.iter().take(NAMES_TOLD_MAX);
                let told = told.map(|name| plain_name(name)).collect::<Vec<_>>().join(", ");
                let rest = if presented.len() > NAMES_TOLD_MAX { ", …" } else { "" };
                write!(f, "certificate is for another name: not {wanted} but {told}{rest}")
            }
            Self::UnknownIssuer => f.write_str("certificate has an unknown issuer"),
            Self::Expired => f.write_str("certificate has expired"),
            Self::NotYetValid => f.write_str("certificate is not valid yet"),
            Self::Certificate(_) => f.write_str("certificate can't be used"),
            Self::NoTls => f.write_str("server speaks no TLS"),
            Self::HungUp => {
                f.write_str("server hung up in the handshake; it may speak no TLS at this port")
            }
            Self::Dropped => f.write_str(
                "server hung up after the handshake; it may refuse our certificate, or have no \
                 quorum",
            ),
            Self::Silent => f.write_str("no answer in the handshake"),
            Self::Refused(alert) => write!(f, "server refused us: {alert:?}"),
            Self::Protocol(_) => f.write_str("no agreement with the server"),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { fault, .. } => Some(fault),
            Self::Certificate(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::ServerName(_)
            | Self::OtherName { .. }
            | Self::UnknownIssuer
            | Self::Expired
            | Self::NotYetValid
            | Self::NoTls
            | Self::HungUp
            | Self::Dropped
            | Self::Silent
            | Self::Refused(_) => None,
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::NoFile => f.write_str("it is no regular file"),
            Self::TooLong => f.write_str("it is too long"),
            Self::Pem(_) => f.write_str("it is not PEM"),
            Self::NoCertificate => f.write_str("it holds no certificate that can be used"),
            Self::NoKey => f.write_str("it holds no private key that is not encrypted"),
            Self::KeyOfAnother => f.write_str("it is not the key of the certificate"),
            Self::Unusable(error) => error.fmt(f),
        }
    }
}

impl Error for FileFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Its own text says it all.
            Self::Read(error) => error.source(),
            Self::Unusable(error) => error.source(),
            Self::Pem(error) => Some(error.as_ref()),
            Self::NoFile
            | Self::TooLong
            | Self::NoCertificate
            | Self::NoKey
            | Self::KeyOfAnother => None,
        }
    }
}

/// The name in the library's `DnsName("zk1")`.
fn plain_name(presented: &str) -> &str {
    presented.split('"').nth(1).unwrap_or(presented)
}
