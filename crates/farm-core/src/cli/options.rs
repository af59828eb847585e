//! Options that several tools have, written once.

use super::access::AccessArgs;
use super::duration::parse_duration;
use super::exit::Exit;
use super::failure::{Failure, chain};
use crate::codec::ExportFormat;
use crate::model::Filter;
use crate::session::{Config, SESSION_TIMEOUT_LEAST, Servers};
use clap::Args;
use std::path::Path;
use std::time::Duration;

/// The heading in the help of all options about the connection.
pub const CONNECTION: &str = "Connection";

/// How to reach ZooKeeper.
#[derive(Debug, Clone, Args)]
pub struct ZkArgs {
    /// Name the servers: host:port[,host:port...][/chroot]
    #[arg(short = 'H', long = "host", value_name = "HOSTS", env = "ZKHOST", global = true)]
    #[arg(hide_env_values = true)]
    #[arg(default_value = "localhost:2181", value_parser = servers, help_heading = CONNECTION)]
    host: Servers,

    /// Session timeout, 4s or more
    #[arg(long, value_name = "DUR", env = "ZK_SESSION_TIMEOUT", global = true)]
    #[arg(hide_env_values = true)]
    #[arg(default_value = "10s", value_parser = parse_duration, help_heading = CONNECTION)]
    session_timeout: Duration,

    /// Give up after N rounds over all servers; 0 never gives up
    #[arg(short, long, value_name = "N", global = true, help_heading = CONNECTION)]
    retries: Option<u32>,

    #[command(flatten)]
    access: AccessArgs,
    #[cfg(feature = "tls")]
    #[command(flatten)]
    tls: super::tls::TlsArgs,
}

impl ZkArgs {
    /// What the session wants to know, for a tool that makes so many blocking
    /// requests at once. A session timeout that is too short is raised, with a warning;
    /// the credentials are read here and never again.
    ///
    /// # Errors
    ///
    /// When there is an access list or a file of credentials that can't be used, or TLS
    /// can't be spoken with what it is given.
    pub fn config(&self, couriers: usize) -> Result<Config, Failure> {
        let (auth, acl) = self.access.read()?;
        if self.session_timeout < SESSION_TIMEOUT_LEAST {
            log::warn!(
                "a session timeout of {:?} is too short, asking for {SESSION_TIMEOUT_LEAST:?}",
                self.session_timeout
            );
        }
        Ok(Config {
            servers: self.host.clone(),
            session_timeout: self.session_timeout.max(SESSION_TIMEOUT_LEAST),
            rounds_max: self.retries.filter(|&rounds| rounds > 0),
            couriers,
            auth,
            acl,
            #[cfg(feature = "tls")]
            tls: self.tls.read(&self.host)?,
            #[cfg(not(feature = "tls"))]
            tls: None,
        })
    }
}

// clap shows an error without its source.
fn servers(text: &str) -> Result<Servers, String> {
    Servers::parse(text).map_err(|error| chain(&error))
}

/// The format of a file.
#[derive(Debug, Clone, Copy, Args)]
pub struct FormatArg {
    /// Take CONF to have this format: json, yaml, php or dir; without it the
    /// extension of CONF decides, and an existing directory is dir
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<ExportFormat>,
}

impl FormatArg {
    /// The format of the file: the one that was asked for, else the one that its name tells.
    ///
    /// # Errors
    ///
    /// Wrong usage when neither says anything.
    pub fn of_file(self, conf: &Path) -> Result<ExportFormat, Failure> {
        let known = self.format.or_else(|| conf.is_dir().then_some(ExportFormat::Dir));
        known.or_else(|| ExportFormat::of_extension(conf)).ok_or_else(|| {
            let what =
                format!("the name {:?} does not tell its format", conf.display().to_string());
            Failure::new(Exit::Usage, what).hint("add --format json, yaml, php or dir")
        })
    }
}

/// Which hosts to keep.
#[derive(Debug, Clone, Args)]
pub struct FilterArg {
    /// Keep only hosts for which all of these hold, like 'enabled=1,delay<60'
    #[arg(short = 'F', long, value_name = "FILTERS", allow_hyphen_values = true)]
    filters: Option<String>,
}

impl FilterArg {
    /// The filter, if one was asked for.
    ///
    /// # Errors
    ///
    /// Wrong usage, with a picture that points at the mistake.
    pub fn filter(&self) -> Result<Option<Filter>, Failure> {
        self.filters.as_deref().map(parse_filter).transpose()
    }
}

/// Reads a filter that was typed.
///
/// # Errors
///
/// Wrong usage, with a picture that points at the mistake.
pub fn parse_filter(text: &str) -> Result<Filter, Failure> {
    Filter::parse(text).map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::TextFormat;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Tool {
        #[command(flatten)]
        zk: ZkArgs,
        #[command(flatten)]
        format: FormatArg,
        #[command(flatten)]
        filter: FilterArg,
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
        assert_eq!((config.rounds_max, config.couriers), (None, 3));
        let config =
            tool(&["-H", "zk1", "--session-timeout", "1m", "-r", "5"]).zk.config(1).unwrap();
        assert_eq!(config.session_timeout, Duration::from_secs(60));
        assert_eq!(config.rounds_max, Some(5));
    }

    #[test]
    fn the_format_is_what_was_asked_for_else_what_the_name_tells() {
        let table: [(&[&str], &str, Option<ExportFormat>); 5] = [
            (&["-f", "json"], "hosts.php", Some(ExportFormat::Text(TextFormat::Json))),
            (&[], "hosts.php", Some(ExportFormat::Text(TextFormat::Php))),
            (&[], env!("CARGO_MANIFEST_DIR"), Some(ExportFormat::Dir)),
            (&[], "hosts.txt", None),
            (&[], "hosts", None),
        ];
        for (args, conf, format) in table {
            match tool(args).format.of_file(Path::new(conf)) {
                Ok(found) => assert_eq!(Some(found), format, "{conf}"),
                Err(failure) => {
                    assert_eq!((failure.exit(), None), (Exit::Usage, format), "{conf}");
                    assert!(failure.told_by("tool").contains(conf));
                }
            }
        }
    }

    #[test]
    fn a_filter_is_read_or_pointed_at() {
        assert!(tool(&[]).filter.filter().unwrap().is_none());
        assert!(tool(&["-F", "!maintenance,delay<60"]).filter.filter().unwrap().is_some());
        let failure = tool(&["-F", "a=1,<2"]).filter.filter().unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.told_by("tool").ends_with("^\n"));
    }
}
