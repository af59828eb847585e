//! Certificates and keys from files.

use super::error::{FileFault, TlsError};
use crate::engine::without_byte_order_mark;
use crate::host::resolve::open;
use nix::fcntl::OFlag;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All authorities that systems trust take a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A certificate of ours and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, and those of the authorities between it and the root.
    pub cert: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

/// Reads all files, as they are now.
pub(super) fn client_config(
    ca: &Path,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsError> {
    let roots = roots(ca)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Protocol)?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { cert, key }) => {
            let chain = certificates(cert)?;
            if chain.is_empty() {
                return Err(at(cert, FileFault::NoCertificate));
            }
            let private = private_key(key)?;
            builder.with_client_auth_cert(chain, private).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => at(key, FileFault::KeyOfAnother),
                rustls::Error::InvalidCertificate(_) => at(cert, FileFault::Unusable(error)),
                error => at(key, FileFault::Unusable(error)),
            })?
        }
    };
    // Every connection has its own configuration, so no session can be resumed.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // Bundles often hold a few certificates that can't be parsed.
    let (usable, _) = roots.add_parsable_certificates(certificates(path)?);
    if usable == 0 {
        return Err(at(path, FileFault::NoCertificate));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    CertificateDer::pem_slice_iter(without_byte_order_mark(&bytes))
        .collect::<Result<_, _>>()
        .map_err(|error| at(path, FileFault::Pem(Arc::new(error))))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(path)?;
    PrivateKeyDer::from_pem_slice(without_byte_order_mark(&bytes)).map_err(|error| match error {
        pem::Error::NoItemsFound => at(path, FileFault::NoKey),
        error => at(path, FileFault::Pem(Arc::new(error))),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error| at(path, FileFault::Read(Arc::new(error)));
    // To open a pipe would block until it has a writer.
    let file = open(path, OFlag::O_NONBLOCK).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(at(path, FileFault::NoFile));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(at(path, FileFault::TooLong));
    }
    Ok(bytes)
}

fn at(path: &Path, fault: FileFault) -> TlsError {
    TlsError::File { path: path.to_owned(), fault }
}
