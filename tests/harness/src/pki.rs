//! Certificates for servers and clients, generated at run time.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, both as PEM.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// The certificate.
    pub cert: String,
    /// The private key.
    pub key: String,
}

impl IssuedCertificate {
    /// Both in one file, as ZooKeeper reads them.
    #[must_use]
    pub fn both(&self) -> String {
        format!("{}{}", self.key, self.cert)
    }
}

impl Authority {
    /// Generates a new authority.
    ///
    /// # Panics
    ///
    /// When the system has no randomness.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = certificate_params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, new_key());
        Self { issuer: issuer.expect("the parameters are complete") }
    }

    /// The authority's own certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate for these names and addresses.
    ///
    /// # Panics
    ///
    /// When one of them is invalid in a certificate.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> IssuedCertificate {
        self.sign(&certificate_params("test", names))
    }

    /// Issues a certificate that expired in 2001.
    ///
    /// # Panics
    ///
    /// When one of the names is invalid in a certificate.
    #[must_use]
    pub fn issue_expired(&self, names: &[&str]) -> IssuedCertificate {
        let mut params = certificate_params("test", names);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 2);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> IssuedCertificate {
        let key = new_key();
        let cert = params.signed_by(&key, &self.issuer).expect("the parameters are complete");
        IssuedCertificate { cert: cert.pem(), key: key.serialize_pem() }
    }
}

fn certificate_params(name: &str, names: &[&str]) -> CertificateParams {
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
