//! The command line.

use crate::announce::Pace;
use crate::hold::HoldPolicy;
use crate::target::{STDOUT, Target};
use crate::view::View;
use clap::Parser;
use farm_core::cli::{
    ChangedCmdArg, CmdTimeoutArg, Exit, Failure, FilterArg, FormatArg, LogArgs, ParseArg,
    TimedCommand, WaitArg, ZkArgs, parse_duration, parse_interval, parse_limit,
};
use farm_core::codec::{ExportFormat, Parse};
use farm_core::engine::Wait;
use farm_core::files::write_options::{FileMode, Owner, WriteOptions};
use farm_core::model::Selection;
use farm_core::session::{SessionOptions, ZnodePath};
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  zkexport /services/db /data/web/conf/database.php
  zkexport /services/db /etc/db.json -F 'enabled=1,mysql.replication_delay<60'
  zkexport /services/db /etc/db.yaml -c 'systemctl reload haproxy'
  zkexport /services/db /etc/db.php --check-cmd 'php -l {}' --min-hosts 2
  zkexport -f dir /services/db /srv/db       a directory per host, a file per field
  zkexport -f json /services/db - | jq .     once, to standard output
  zkexport -n /services/db /etc/db.yaml      what would change";

/// How many requests run at once: more do not make the first read of a large farm faster.
const REQUEST_THREADS: usize = 16;

/// The default DUR of `--hold-drop`.
const HOLD_LIMIT_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// The default of `--timeout`.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Keep CONF equal to all hosts of a farm, as they come, change and go
///
/// CONF is one object from host name to record, and is replaced as a whole. It
/// stays as it is while ZooKeeper is away or the farm does not exist.
#[derive(Debug, Parser)]
#[command(name = "zkexport", version, max_term_width = 100, before_help = EXAMPLES)]
#[command(mut_arg("changed_cmd", |arg| arg.short('c')))]
pub struct Args {
    /// The farm's znode; zkexport waits for it if it is missing
    #[arg(value_name = "FARM", value_parser = ZnodePath::parse)]
    farm: ZnodePath,

    /// The file or directory to write; - or /dev/stdout writes to standard output, once
    #[arg(value_name = "CONF")]
    conf: PathBuf,

    #[command(flatten)]
    format: FormatArg,

    #[command(flatten)]
    parse: ParseArg,

    /// Write only these fields of every host, like 'hostname,mysql.replication_delay'
    #[arg(long, value_name = "FIELDS")]
    fields: Option<Selection>,

    #[command(flatten)]
    filter: FilterArg,

    #[command(flatten)]
    commands: CommandArgs,

    #[command(flatten)]
    wait: WaitArg,

    /// Leave CONF as it is while fewer than N hosts would be in it
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    min_hosts: usize,

    /// If PCT percent of the hosts, and at least two, go within 10s, keep them for up to DUR (5m)
    #[arg(long, value_name = "PCT%[:DUR]", value_parser = hold_drop)]
    hold_drop: Option<HoldPolicy>,

    #[command(flatten)]
    writing: WritingArgs,

    /// Create FARM if it is missing at start
    #[arg(long)]
    create_farm: bool,

    #[command(flatten)]
    end: EndArgs,

    #[command(flatten)]
    zk: ZkArgs,

    /// How much to log; read before anything else.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The commands that run before and after a change.
#[derive(Debug, clap::Args)]
struct CommandArgs {
    #[command(flatten)]
    changed: ChangedCmdArg,

    /// Run CMD on the new file, named {} in CMD, before it replaces CONF; if CMD fails, CONF stays
    #[arg(long, value_name = "CMD")]
    check_cmd: Option<String>,

    #[command(flatten)]
    limit: CmdTimeoutArg,

    /// Let at least this time pass between two runs of --changed-cmd
    #[arg(long, value_name = "DUR", value_parser = parse_duration, requires = "changed_cmd")]
    min_interval: Option<Duration>,

    /// Wait for a random time of at most DUR before each run of --changed-cmd
    #[arg(long, value_name = "DUR", value_parser = parse_duration, requires = "changed_cmd")]
    splay: Option<Duration>,
}

/// How CONF is written.
#[derive(Debug, clap::Args)]
struct WritingArgs {
    /// Give CONF this mode, like 640; without it an existing file keeps its own
    #[arg(long, value_name = "MODE", value_parser = FileMode::parse)]
    mode: Option<FileMode>,

    /// Give CONF to USER, USER:GROUP or :GROUP; without it an existing file keeps its owner
    #[arg(long, value_name = "OWNER", value_parser = Owner::parse)]
    owner: Option<Owner>,

    /// Rewrite CONF itself instead of replacing it; readers may see a part
    #[arg(long)]
    in_place: bool,

    /// Take over a directory with files that zkexport did not write, and remove them
    #[arg(long)]
    adopt: bool,
}

/// When to end.
#[derive(Debug, clap::Args)]
struct EndArgs {
    /// Write CONF once and exit
    #[arg(long)]
    once: bool,

    /// Show what would change as a unified diff, change nothing, and exit
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Give up --once after this time, 10s if not given; 0 means never
    #[arg(long, value_name = "DUR", value_parser = parse_limit)]
    timeout: Option<Duration>,
}

/// The options, parsed and checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) session: SessionOptions,
    pub(crate) farm: ZnodePath,
    pub(crate) parse: Parse,
    pub(crate) output: OutputConfig,
    pub(crate) hold: Option<HoldPolicy>,
    pub(crate) creates_farm: bool,
    /// The time limit, if zkexport ends after one file.
    pub(crate) once: Option<Duration>,
}

/// The options about the file.
#[derive(Debug)]
pub(crate) struct OutputConfig {
    /// CONF as it was typed.
    pub(crate) file: String,
    pub(crate) target: Target,
    pub(crate) view: View,
    pub(crate) wait: Wait,
    pub(crate) command: Option<TimedCommand>,
    pub(crate) check: Option<TimedCommand>,
    pub(crate) pace: Pace,
    pub(crate) hosts_min: usize,
    /// Show what would be written, and write nothing.
    pub(crate) is_dry: bool,
}

impl Args {
    /// Whether zkexport ends after one file.
    pub(crate) fn is_once(&self) -> bool {
        self.end.once || self.end.dry_run || self.is_to_stdout()
    }

    fn is_to_stdout(&self) -> bool {
        is_stdout(&self.conf)
    }

    pub(crate) fn config(self) -> Result<Config, Failure> {
        let filter = self.filter.filter()?;
        let format = self.format.of_file(&self.conf)?;
        if let Some(what) = self.contradiction(format) {
            return Err(Failure::new(Exit::Usage, what));
        }
        let WritingArgs { mode, owner, in_place, adopt } = self.writing;
        let options = WriteOptions { mode, owner, is_in_place: in_place };
        let is_dry = self.end.dry_run;
        let once = self.is_once().then(|| self.end.timeout.unwrap_or(TIMEOUT_DEFAULT));
        let command = |text: Option<String>| self.commands.limit.on(text.filter(|_| !is_dry));
        let file = self.conf.display().to_string();
        let conf = if is_stdout(&self.conf) { PathBuf::from(STDOUT) } else { self.conf };
        let output = OutputConfig {
            file,
            command: command(self.commands.changed.changed_cmd),
            check: command(self.commands.check_cmd),
            pace: Pace {
                interval: self.commands.min_interval.unwrap_or_default(),
                splay: self.commands.splay.unwrap_or_default(),
            },
            view: View { filter, fields: self.fields },
            wait: self.wait.wait,
            hosts_min: self.min_hosts,
            is_dry,
            target: Target::new(conf, format, adopt, options),
        };
        Ok(Config {
            session: self.zk.config(REQUEST_THREADS)?,
            farm: self.farm,
            parse: self.parse.parse,
            hold: self.hold_drop,
            creates_farm: self.create_farm && !is_dry,
            once,
            output,
        })
    }

    /// The first pair of options that exclude each other.
    fn contradiction(&self, format: ExportFormat) -> Option<&'static str> {
        let Self { commands, writing, end, .. } = self;
        let (is_dir, is_to_stdout) = (format == ExportFormat::Dir, self.is_to_stdout());
        let table = [
            (is_to_stdout && is_dir, "a directory can't go to standard output"),
            (
                is_to_stdout && commands.changed.changed_cmd.is_some(),
                "--changed-cmd needs a file that changes, not standard output",
            ),
            (is_to_stdout && commands.check_cmd.is_some(), "--check-cmd needs a file to check"),
            (is_to_stdout && end.dry_run, "--dry-run needs a file to compare with"),
            (
                is_to_stdout
                    && (writing.mode.is_some() || writing.owner.is_some() || writing.in_place),
                "--mode, --owner and --in-place need a file",
            ),
            // The files of a directory are written one by one, so the contents that were
            // checked can't replace the old ones as a whole.
            (is_dir && commands.check_cmd.is_some(), "--check-cmd needs a file, not a directory"),
            (is_dir && writing.in_place, "--in-place needs a file, not a directory"),
            (!is_dir && writing.adopt, "--adopt is for the format dir alone"),
            (end.timeout.is_some() && !self.is_once(), "--timeout is for --once alone"),
        ];
        table.into_iter().find_map(|(is_wrong, what)| is_wrong.then_some(what))
    }
}

/// Whether a path means our standard output, which no other file can replace.
fn is_stdout(conf: &Path) -> bool {
    [STDOUT, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].map(Path::new).contains(&conf)
}

/// Reads `PCT%[:DUR]`.
fn hold_drop(text: &str) -> Result<HoldPolicy, String> {
    let both = text.split_once(':').map(|(percent, limit)| (percent, Some(limit)));
    let (percent, limit) = both.unwrap_or((text, None));
    let number = percent.strip_suffix('%').filter(|number| {
        number.starts_with(|c: char| c.is_ascii_digit())
            && number.bytes().all(|c| c.is_ascii_digit() || c == b'.')
    });
    let number = number.and_then(|number| number.parse::<f64>().ok());
    let percent = number.filter(|percent| *percent > 0.0 && *percent <= 100.0);
    let percent = percent.ok_or("it must start with a share of the farm, like 30%")?;
    let limit = limit.map(parse_interval).transpose().map_err(|error| error.to_string())?;
    Ok(HoldPolicy { percent, limit: limit.unwrap_or(HOLD_LIMIT_DEFAULT) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_options_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn hold_drop_is_a_share_and_maybe_a_duration() {
        for (text, percent, seconds) in
            [("30%", 30.0, 300), ("0.5%:1s", 0.5, 1), ("100%", 100.0, 300), ("30%:10m", 30.0, 600)]
        {
            let limit = Duration::from_secs(seconds);
            assert_eq!(hold_drop(text), Ok(HoldPolicy { percent, limit }), "{text}");
        }
        for text in [
            "", "30", "100%:0", "0%", "101%", "-1%", "%", "x%", "30%:", "30%:x", "1e1%", "NaN%",
            ".%",
        ] {
            assert!(hold_drop(text).is_err(), "{text:?}");
        }
    }
}
