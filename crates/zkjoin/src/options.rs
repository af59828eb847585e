//! The command line.

use crate::member::MemberOptions;
use clap::Parser;
use farm_core::cli::{
    ChangedCmdArg, CmdTimeoutArg, Exit, Failure, FormatArg, LogArgs, TimedCommand, ZkArgs,
    parse_duration,
};
use farm_core::codec::ConfFormat;
use farm_core::farm::COMMON;
use farm_core::host::identity;
use farm_core::model::HostName;
use farm_core::session::{SessionOptions, ZnodePath};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  zkjoin /services/db /var/service/db            a directory, one file a field
  zkjoin /services/db /etc/db.json               a JSON file
  zkjoin --name db-01 /services/db /etc/db.json  under a name of your choice
  zkjoin --common /services/db /etc/shared.yaml  what all hosts of the farm share
  ZKHOST=zk1,zk2,zk3/prod zkjoin /services/db /var/service/db";

const CMD_TIMEOUT: &str = "End CMD if it takes longer than this; 0 means no limit";

const CHANGED_CMD: &str =
    "Run CMD with sh after a remote change has reached CONF, and once at start";

/// Register this host in a farm, and keep its config and its znode equal
///
/// FARM/<name> is an ephemeral znode that lives as long as this program. An edit
/// of CONF reaches the znode at once, and an edit of the znode reaches CONF.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, before_help = EXAMPLES)]
#[command(mut_arg("changed_cmd", |arg| arg.help(CHANGED_CMD)))]
#[command(mut_arg("cmd_timeout", |arg| arg.help(CMD_TIMEOUT)))]
pub struct Args {
    /// The farm's znode; zkjoin creates it if it is missing
    #[arg(value_name = "FARM", value_parser = ZnodePath::parse)]
    farm: ZnodePath,

    /// The config: a directory with a file for each field, or a JSON or YAML file
    #[arg(value_name = "CONF")]
    conf: PathBuf,

    #[command(flatten)]
    format: FormatArg,

    /// Keep CONF equal to FARM/common, a persistent znode that all hosts share;
    /// at start, its record replaces CONF
    #[arg(short, long)]
    common: bool,

    /// Never write CONF; CONF replaces the znode's record at start and when CONF changes
    #[arg(long, visible_alias = "import")]
    one_way: bool,

    #[command(flatten)]
    changed: ChangedCmdArg,

    #[command(flatten)]
    limit: CmdTimeoutArg,

    /// Name of the znode; without it, the IPv4 address of the default route
    #[arg(long, value_name = "NAME", value_parser = HostName::parse, conflicts_with = "common")]
    name: Option<HostName>,

    /// Leave the field 'hostname' alone, on both sides
    #[arg(long)]
    no_hostname: bool,

    /// Do not raise the farm's 'size', the most hosts that it ever had
    #[arg(long)]
    no_size: bool,

    /// If a writer keeps CONF open, read CONF once it has not been written for DUR; a file
    /// that appears in a directory, or vanishes from it, counts after the same time
    #[arg(long, value_name = "DUR", default_value = "50ms", value_parser = parse_duration)]
    settle: Duration,

    #[command(flatten)]
    zk: ZkArgs,

    /// How much to log; read before anything else.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The options, parsed and checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) session: SessionOptions,
    pub(crate) farm: ZnodePath,
    pub(crate) entry: ZnodePath,
    pub(crate) conf: PathBuf,
    pub(crate) format: ConfFormat,
    pub(crate) member: MemberOptions,
    /// Whether to raise the farm's size.
    pub(crate) keeps_size: bool,
    /// The changed-command.
    pub(crate) hook: Option<TimedCommand>,
    /// How long a writer that keeps CONF open must pause before CONF is read, and how long a
    /// directory must be quiet before a new or missing file counts.
    pub(crate) quiet: Duration,
}

/// One for the member's requests, and one for the farm's size.
const REQUEST_THREADS: usize = 2;

impl Args {
    pub(crate) fn config(self) -> Result<Config, Failure> {
        let Some(format) = self.format.of_file(&self.conf)?.of_conf() else {
            let what = "php can be written, but not read back";
            return Err(Failure::new(Exit::Configuration, what).hint("use json, yaml or dir"));
        };
        let entry = match self.name {
            _ if self.common => self.farm.child(COMMON)?,
            Some(name) => self.farm.child(name.as_str())?,
            None => self.farm.child(default_name()?.as_str())?,
        };
        let has_hostname = !(self.no_hostname || self.common);
        let member = MemberOptions {
            hostname: if has_hostname { Some(own_hostname()?) } else { None },
            is_common: self.common,
            is_one_way: self.one_way,
        };
        Ok(Config {
            session: self.zk.config(REQUEST_THREADS)?,
            entry,
            farm: self.farm,
            conf: self.conf,
            format,
            member,
            // The common znode is not a host.
            keeps_size: !(self.no_size || self.common),
            hook: self.limit.on(self.changed.changed_cmd),
            quiet: self.settle,
        })
    }
}

fn default_name() -> Result<HostName, Failure> {
    let address = identity::default_route_ipv4().map_err(|error| {
        Failure::from(error)
            .during("cannot determine the name of this host")
            .hint("set it with --name")
    })?;
    HostName::parse(&address.to_string()).map_err(|error| {
        Failure::new(Exit::Configuration, "cannot use the address as a name").because(error)
    })
}

fn own_hostname() -> Result<String, Failure> {
    identity::host_name().map_err(|error| {
        Failure::from(error)
            .during("cannot determine the hostname")
            .hint("--no-hostname leaves the field 'hostname' alone")
    })
}
