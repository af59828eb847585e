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

const CHANGED_CMD: &str =
    "Run CMD with sh after a remote change reached CONF, and once at the start";

/// Register this host in a farm, and keep its config and its znode equal
///
/// FARM/<name> is an ephemeral znode that lives as long as this program. An edit
/// of CONF reaches it, an edit of it reaches CONF, each at once.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, before_help = EXAMPLES)]
#[command(mut_arg("changed_cmd", |arg| arg.help(CHANGED_CMD)))]
#[command(mut_arg("cmd_timeout", |arg| arg.help("End CMD if it takes longer than this")))]
pub struct Args {
    /// The farm's znode; it is created if it is missing
    #[arg(value_name = "FARM", value_parser = ZnodePath::parse)]
    farm: ZnodePath,

    /// The config: a directory with a file for each field, or a JSON or YAML file
    #[arg(value_name = "CONF")]
    conf: PathBuf,

    #[command(flatten)]
    format: FormatArg,

    /// Keep CONF equal to FARM/common, which all hosts share and which outlives
    /// them; at the start, what it holds replaces CONF
    #[arg(short, long)]
    common: bool,

    /// Never write CONF: it wins at the start and whenever it changes
    #[arg(long, visible_alias = "import")]
    one_way: bool,

    #[command(flatten)]
    changed: ChangedCmdArg,

    #[command(flatten)]
    limit: CmdTimeoutArg,

    /// Call the znode NAME; without it, the IPv4 address of the default route
    #[arg(long, value_name = "NAME", value_parser = HostName::parse, conflicts_with = "common")]
    name: Option<HostName>,

    /// Leave the field 'hostname' alone, on both sides
    #[arg(long)]
    no_hostname: bool,

    /// Leave the farm's 'size', the most hosts ever seen, alone
    #[arg(long)]
    no_size: bool,

    /// Wait for so long a quiet when CONF is written by somebody who keeps it open
    #[arg(long, value_name = "DUR", default_value = "50ms", value_parser = parse_duration)]
    settle: Duration,

    #[command(flatten)]
    zk: ZkArgs,

    /// How much to log; read before anything else.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What the options come to.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) session: SessionOptions,
    pub(crate) farm: ZnodePath,
    pub(crate) entry: ZnodePath,
    pub(crate) conf: PathBuf,
    pub(crate) format: ConfFormat,
    pub(crate) terms: MemberOptions,
    pub(crate) keeps_size: bool,
    /// What to run after a change.
    pub(crate) hook: Option<TimedCommand>,
    pub(crate) settle: Duration,
}

/// One request at a time, and the farm's size beside it.
const COURIERS: usize = 2;

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
        let terms = MemberOptions {
            hostname: if has_hostname { Some(own_hostname()?) } else { None },
            is_common: self.common,
            is_one_way: self.one_way,
        };
        Ok(Config {
            session: self.zk.config(COURIERS)?,
            entry,
            farm: self.farm,
            conf: self.conf,
            format,
            terms,
            // What all share is no host.
            keeps_size: !(self.no_size || self.common),
            hook: self.limit.on(self.changed.changed_cmd),
            settle: self.settle,
        })
    }
}

fn default_name() -> Result<HostName, Failure> {
    let address = identity::default_route_ipv4().map_err(|error| {
        Failure::from(error)
            .during("cannot tell the name of this host")
            .hint("give it one with --name")
    })?;
    HostName::parse(&address.to_string()).map_err(|error| {
        Failure::new(Exit::Configuration, "cannot use the address as a name").because(error)
    })
}

fn own_hostname() -> Result<String, Failure> {
    identity::host_name().map_err(|error| {
        Failure::from(error)
            .during("cannot tell the host's name")
            .hint("leave the field alone with --no-hostname")
    })
}
