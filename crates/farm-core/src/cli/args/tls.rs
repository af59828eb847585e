//! The options about TLS.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::engine::{chain, variable};
use crate::session::{Identity, Servers, Tls, check_server_name};
use clap::Args;
use clap::builder::FalseyValueParser;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const HEADING: &str = "TLS";
const TLS_VARIABLE: &str = "ZK_TLS";

/// How to speak TLS with the servers.
#[derive(Debug, Clone, Args)]
pub(super) struct TlsArgs {
    /// Use TLS; --host must name the servers' secure port
    #[arg(long, env = TLS_VARIABLE, value_parser = FalseyValueParser::new())]
    #[arg(global = true, hide_env_values = true, help_heading = HEADING)]
    tls: bool,

    /// Trust the authorities in this PEM file, not those of the system
    #[arg(long, value_name = "FILE", env = "ZK_TLS_CA")]
    #[arg(global = true, hide_env_values = true, help_heading = HEADING)]
    tls_ca: Option<PathBuf>,

    /// Present this certificate to servers that ask for one (PEM)
    #[arg(long, value_name = "FILE", env = "ZK_TLS_CERT")]
    #[arg(global = true, hide_env_values = true, help_heading = HEADING)]
    tls_cert: Option<PathBuf>,

    /// Use this private key for the certificate (PEM, not encrypted)
    #[arg(long, value_name = "FILE", env = "ZK_TLS_KEY")]
    #[arg(global = true, hide_env_values = true, help_heading = HEADING)]
    tls_key: Option<PathBuf>,

    /// Expect this name in the servers' certificates, not the one in --host
    #[arg(long, value_name = "NAME", env = "ZK_TLS_SERVER_NAME", value_parser = server_name)]
    #[arg(global = true, hide_env_values = true, help_heading = HEADING)]
    tls_server_name: Option<String>,
}

impl TlsArgs {
    /// The TLS configuration of the session, if TLS is on.
    ///
    /// # Errors
    ///
    /// Wrong usage when an option is missing; a configuration error when a file cannot be
    /// used.
    pub(super) fn read(&self, servers: &Servers) -> Result<Option<Tls>, Failure> {
        if !self.tls {
            return self.refuse_without_tls().map(|()| None);
        }
        let identity = match (&self.tls_cert, &self.tls_key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(Identity { cert: cert.clone(), key: key.clone() }),
            (Some(_), None) => return Err(missing("--tls-cert", "--tls-key", "ZK_TLS_KEY")),
            (None, Some(_)) => return Err(missing("--tls-key", "--tls-cert", "ZK_TLS_CERT")),
        };
        let tls =
            Tls { ca: self.tls_ca.clone(), identity, server_name: self.tls_server_name.clone() };
        tls.check(servers).map_err(|error| Failure::from(error).during("cannot speak TLS"))?;
        Ok(Some(tls))
    }

    /// Refuses options that have no effect without TLS: whoever gave them expects that nothing is
    /// sent in plain text. With `ZK_TLS=0`, the environment may still set them, because other
    /// tools may share it; the command line may not.
    fn refuse_without_tls(&self) -> Result<(), Failure> {
        let options = [
            ("--tls-ca", "ZK_TLS_CA", self.tls_ca.as_deref().map(Path::as_os_str)),
            ("--tls-cert", "ZK_TLS_CERT", self.tls_cert.as_deref().map(Path::as_os_str)),
            ("--tls-key", "ZK_TLS_KEY", self.tls_key.as_deref().map(Path::as_os_str)),
            (
                "--tls-server-name",
                "ZK_TLS_SERVER_NAME",
                self.tls_server_name.as_deref().map(OsStr::new),
            ),
        ];
        let is_off = variable(TLS_VARIABLE).is_some();
        for (option, name, value) in options {
            let is_from_environment = || variable(name).as_deref() == value;
            if value.is_some() && !(is_off && is_from_environment()) {
                return Err(Failure::new(Exit::Usage, format!("{option} without --tls"))
                    .hint("add --tls, or set ZK_TLS=1; ZK_TLS=0 means no TLS"));
            }
        }
        Ok(())
    }
}

fn missing(one: &str, other: &str, variable: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{one} without {other}"))
        .hint(format!("add {other}, or set {variable}; both may name the same file"))
}

// clap shows an error without its source.
fn server_name(text: &str) -> Result<String, String> {
    check_server_name(text).map(|()| text.to_owned()).map_err(|error| chain(&error))
}
