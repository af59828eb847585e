//! The options about the connection: servers, session, credentials and TLS.

use super::access::AccessArgs;
use super::duration::parse_duration;
use super::heading::CONNECTION;
use super::tls::TlsArgs;
use crate::cli::failure::Failure;
use crate::engine::chain;
use crate::session::{SESSION_TIMEOUT_LEAST, Servers, ServersError, SessionOptions};
use clap::Args;
use std::time::Duration;

/// What to do about a chroot after each server.
const CHROOT_TIP: &str =
    "\n\n  tip: a chroot comes once, after the last server: host:port,host:port/chroot";

/// How to reach ZooKeeper.
#[derive(Debug, Clone, Args)]
pub struct ZkArgs {
    /// Use these servers: host:port[,host:port...][/chroot]
    #[arg(short = 'H', long = "host", value_name = "HOSTS", env = "ZKHOST", global = true)]
    #[arg(hide_env_values = true)]
    #[arg(default_value = "localhost:2181", value_parser = servers, help_heading = CONNECTION)]
    host: Servers,

    /// Session timeout, 4s or more
    #[arg(long, value_name = "DUR", env = "ZK_SESSION_TIMEOUT", global = true)]
    #[arg(hide_env_values = true)]
    #[arg(default_value = "10s", value_parser = parse_duration, help_heading = CONNECTION)]
    session_timeout: Duration,

    /// Give up after N attempts at every server; 0 means never
    #[arg(short, long, value_name = "N", global = true, help_heading = CONNECTION)]
    retries: Option<u32>,

    #[command(flatten)]
    access: AccessArgs,

    #[command(flatten)]
    tls: TlsArgs,
}

impl ZkArgs {
    /// The options of the session; `request_threads` is the number of concurrent blocking requests.
    /// Raises a session timeout that is too short, with a warning. Reads the credentials,
    /// which are not read again later.
    ///
    /// # Errors
    ///
    /// When the access list, the credentials file or the TLS options cannot be used.
    pub fn config(&self, request_threads: usize) -> Result<SessionOptions, Failure> {
        let (auth, acl) = self.access.read()?;
        if self.session_timeout < SESSION_TIMEOUT_LEAST {
            log::warn!(
                "a session timeout of {:?} is too short, asking for {SESSION_TIMEOUT_LEAST:?}",
                self.session_timeout
            );
        }
        Ok(SessionOptions {
            servers: self.host.clone(),
            session_timeout: self.session_timeout.max(SESSION_TIMEOUT_LEAST),
            rounds_max: self.retries.filter(|&rounds| rounds > 0),
            request_threads,
            auth,
            acl,
            tls: self.tls.read(&self.host)?,
        })
    }
}

// clap shows an error without its source. A tip becomes the hint of the usage error.
fn servers(text: &str) -> Result<Servers, String> {
    Servers::parse(text).map_err(|error| match error {
        ServersError::CommaInChroot { .. } => format!("{error}{CHROOT_TIP}"),
        error => chain(&error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Tool {
        #[command(flatten)]
        zk: ZkArgs,
    }

    fn tool(args: &[&str]) -> Tool {
        Tool::try_parse_from([&["tool"], args].concat()).unwrap()
    }

    #[test]
    fn config_raises_short_timeouts_and_reads_zero_retries_as_never() {
        let args = ["-H", "zk1,zk2/app", "--session-timeout", "3999ms", "-r", "0"];
        let config = tool(&args).zk.config(3).unwrap();
        assert_eq!(config.servers.to_string(), "zk1:2181,zk2:2181/app");
        assert_eq!(config.session_timeout, SESSION_TIMEOUT_LEAST);
        assert_eq!((config.rounds_max, config.request_threads), (None, 3));
        let config =
            tool(&["-H", "zk1", "--session-timeout", "1m", "-r", "5"]).zk.config(1).unwrap();
        assert_eq!(config.session_timeout, Duration::from_secs(60));
        assert_eq!(config.rounds_max, Some(5));
    }
}
