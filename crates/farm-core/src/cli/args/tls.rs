//! The options about TLS.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::engine::chain;
use crate::session::{Identity, Servers, Tls, check_server_name};
use clap::Args;
use clap::builder::FalseyValueParser;
use std::path::PathBuf;

const HEADING: &str = "TLS";
const SWITCH: &str = "ZK_TLS";

/// How to speak TLS with the servers.
#[derive(Debug, Clone, Args)]
pub(super) struct TlsArgs {
    /// Speak TLS; the servers are named with their secure port
    #[arg(long, env = SWITCH, value_parser = FalseyValueParser::new())]
    #[arg(global = true, hide_env_values = true, help_heading = HEADING)]
    tls: bool,

    /// Trust the authorities in this PEM file, not those of the system
    #[arg(long, value_name = "FILE", env = "ZK_TLS_CA")]
    #[arg(global = true, hide_env_values = true, help_heading = HEADING)]
    tls_ca: Option<PathBuf>,

    /// Show this certificate to servers that ask for one (PEM)
    #[arg(long, value_name = "FILE", env = "ZK_TLS_CERT")]
    #[arg(global = true, hide_env_values = true, help_heading = HEADING)]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate (PEM, not encrypted)
    #[arg(long, value_name = "FILE", env = "ZK_TLS_KEY")]
    #[arg(global = true, hide_env_values = true, help_heading = HEADING)]
    tls_key: Option<PathBuf>,

    /// Expect this name in the servers' certificates, not the one in --host
    #[arg(long, value_name = "NAME", env = "ZK_TLS_SERVER_NAME", value_parser = server_name)]
    #[arg(global = true, hide_env_values = true, help_heading = HEADING)]
    tls_server_name: Option<String>,
}

impl TlsArgs {
    /// What the session wants to know, if TLS is to be spoken at all.
    ///
    /// # Errors
    ///
    /// Wrong usage when options are missing, a configuration that can't work when a
    /// file can't be used.
    pub(super) fn read(&self, servers: &Servers) -> Result<Option<Tls>, Failure> {
        if !self.tls {
            // Who says no on purpose may leave the rest of the environment as it is.
            return match self.detail() {
                Some(option) if std::env::var_os(SWITCH).is_none() => {
                    Err(Failure::new(Exit::Usage, format!("{option} without --tls"))
                        .hint("add --tls, or set ZK_TLS=1; ZK_TLS=0 means no TLS"))
                }
                _ => Ok(None),
            };
        }
        let identity = match (&self.tls_cert, &self.tls_key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(Identity { cert: cert.clone(), key: key.clone() }),
            (Some(_), None) => return Err(half("--tls-cert", "--tls-key", "ZK_TLS_KEY")),
            (None, Some(_)) => return Err(half("--tls-key", "--tls-cert", "ZK_TLS_CERT")),
        };
        let tls =
            Tls { ca: self.tls_ca.clone(), identity, server_name: self.tls_server_name.clone() };
        tls.check(servers).map_err(|error| Failure::from(error).during("cannot speak TLS"))?;
        Ok(Some(tls))
    }

    /// An option that means nothing without TLS.
    const fn detail(&self) -> Option<&'static str> {
        match self {
            Self { tls_ca: Some(_), .. } => Some("--tls-ca"),
            Self { tls_cert: Some(_), .. } => Some("--tls-cert"),
            Self { tls_key: Some(_), .. } => Some("--tls-key"),
            Self { tls_server_name: Some(_), .. } => Some("--tls-server-name"),
            _ => None,
        }
    }
}

fn half(one: &str, other: &str, variable: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{one} without {other}"))
        .hint(format!("add {other}, or set {variable}; both may name the same file"))
}

// clap shows an error without its source.
fn server_name(text: &str) -> Result<String, String> {
    check_server_name(text).map(|()| text.to_owned()).map_err(|error| chain(&error))
}
