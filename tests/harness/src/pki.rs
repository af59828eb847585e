//! Certificates for servers and clients, made on the spot.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// Somebody who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, both in PEM.
#[derive(Debug, Clone)]
pub struct Papers {
    /// The certificate.
    pub cert: String,
    /// The private key.
    pub key: String,
}

impl Papers {
    /// Both in one file, as ZooKeeper wants them.
    #[must_use]
    pub fn both(&self) -> String {
        format!("{}{}", self.key, self.cert)
    }
}

impl Authority {
    /// A new one, whom nobody knows yet.
    ///
    /// # Panics
    ///
    /// When there is no randomness to be had.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, new_key());
        Self { issuer: issuer.expect("the parameters are complete") }
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Signs a certificate for these names and addresses.
    ///
    /// # Panics
    ///
    /// When one of them can't be in a certificate.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Papers {
        self.sign(&named("anybody", names))
    }

    /// The same, but valid for one day of long ago.
    ///
    /// # Panics
    ///
    /// When one of the names can't be in a certificate.
    #[must_use]
    pub fn issue_expired(&self, names: &[&str]) -> Papers {
        let mut params = named("anybody", names);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 2);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Papers {
        let key = new_key();
        let cert = params.signed_by(&key, &self.issuer).expect("the parameters are complete");
        Papers { cert: cert.pem(), key: key.serialize_pem() }
    }
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("the names are those of a test");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system has randomness")
}
