//! The command line.

use crate::mirror::{MirrorSpec, check_places};
use crate::rollout::{OnChange, OnFailure, RolloutOptions};
use clap::Parser;
use clap::builder::NonEmptyStringValueParser;
use farm_core::cli::{
    CmdTimeoutArg, Exit, Failure, LogArgs, WaitArg, ZkArgs, parse_duration, parse_interval,
};
use farm_core::engine::Wait;
use farm_core::farm::permit::GroupName;
use farm_core::farm::rollout::StatePaths;
use farm_core::farm::turn::{self, AllowedHours, Drain, Group, RequireHealthy, Schedule, Zone};
use farm_core::process::health::HealthPolicy;
use farm_core::process::tree::Program;
use farm_core::session::SessionOptions;
use nix::sys::signal::Signal;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  zkexec -e './server /etc/app.conf' -m /etc/app.conf=/conf/app
  zkexec -m /etc/app.conf=/conf/app -l app -H 'curl -fs localhost/health' -- ./server -v
  zkexec -m /etc/nginx/=/conf/nginx/ --on-change HUP -- nginx -g 'daemon off;'
  zkexec -m /etc/app.conf=/conf/app,check='app --test {}' -l app --on-failed-restart rollback -e app
  zkexec -e app -l app -m /etc/app.conf=/conf/app --allowed-hours 22-6,Sat,Sun --tz Europe/Paris";

/// The most requests to ZooKeeper at once.
const REQUEST_THREADS: usize = 4;

const CMD_TIMEOUT: &str =
    "Stop a command of --alert, check= or --on-change cmd: after this time; 0 means no limit";

/// Run a command with config files from ZooKeeper, and restart it when they change
///
/// The files are written before the command runs for the first time. With --lock, the
/// members of a group restart in turn: each one only after the one before works.
#[derive(Debug, Parser)]
#[command(name = "zkexec", version, max_term_width = 100, before_help = EXAMPLES)]
#[command(mut_arg("host", |arg| arg.short('c').long("cluster").visible_alias("host")))]
#[command(mut_arg("retries", |arg| arg.short(None)))]
#[command(mut_arg("wait", |arg| arg.default_value("100ms:2s")))]
#[command(mut_arg("cmd_timeout", |arg| arg.help(CMD_TIMEOUT)))]
#[command(mut_arg("quiet", |arg| arg.short('s').long("silent").help("Log only errors")))]
pub struct Args {
    #[command(flatten)]
    child: ChildArgs,

    /// Keep the file LOCAL equal to ZNODE; options after commas: optional, mode=, owner=, check=
    #[arg(short, long = "mirror", value_name = "LOCAL=ZNODE")]
    mirrors: Vec<MirrorSpec>,

    #[command(flatten)]
    gather: WaitArg,

    #[command(flatten)]
    limit: CmdTimeoutArg,

    /// Start with the existing files if ZooKeeper does not answer within DUR; 0 means at once
    #[arg(long, value_name = "DUR", value_parser = parse_duration)]
    start_without_zk: Option<Duration>,

    #[command(flatten)]
    change: ChangeArgs,

    #[command(flatten)]
    health: HealthArgs,

    #[command(flatten)]
    turn: TurnArgs,

    #[command(flatten)]
    zk: ZkArgs,

    /// How much to log; used before the other options are checked.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The command to run.
#[derive(Debug, clap::Args)]
struct ChildArgs {
    /// Run CMD with sh -c
    #[arg(
        short,
        long,
        value_name = "CMD",
        conflicts_with = "argv",
        required_unless_present = "argv"
    )]
    exec: Option<OsString>,

    /// The command and its arguments, without a shell
    #[arg(last = true, value_name = "ARGV")]
    argv: Vec<OsString>,
}

/// How the command is stopped, and what happens to it when files change.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The command")]
struct ChangeArgs {
    /// Stop the command with this signal
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", value_parser = signal)]
    stop_signal: Signal,

    /// Kill what is left of the command after this time; 0 means at once
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse_duration)]
    kill_timeout: Duration,

    /// What to do when files have changed: restart, none, a signal to send, or cmd:CMD to run
    #[arg(long, value_name = "WHAT", default_value = "restart", value_parser = on_change)]
    on_change: OnChange,
}

/// How the command's health is checked.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Health")]
struct HealthArgs {
    /// Check the command's health with CMD
    #[arg(short = 'H', long, value_name = "CMD")]
    health: Option<String>,

    /// Check every DUR, 10ms or more
    #[arg(short = 'i', long, value_name = "DUR", default_value = "30", value_parser = parse_interval)]
    health_interval: Duration,

    /// Give the command this time to become healthy; without --health, it must stay up this long
    #[arg(short = 'd', long, value_name = "DUR", default_value = "30", value_parser = parse_duration)]
    health_delay: Duration,

    /// Count a check that takes longer than DUR, 10ms or more, as failed
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse_interval)]
    health_timeout: Duration,

    /// Consider the command healthy after N good checks in a row
    #[arg(long, value_name = "N", default_value = "1")]
    health_rise: NonZeroU32,

    /// Alert after N failed checks in a row
    #[arg(long, value_name = "N", default_value = "1")]
    health_fall: NonZeroU32,

    /// Run CMD when the command fails, a health check fails, or new files do not work
    #[arg(short, long, value_name = "CMD")]
    alert: Option<String>,
}

/// When the command may be restarted.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Rolling restarts")]
struct TurnArgs {
    /// Restart in turn with all members of the group NAME
    #[arg(short, long, value_name = "NAME", value_parser = GroupName::parse)]
    lock: Option<GroupName>,

    /// Let N members restart at once
    #[arg(long, value_name = "N", default_value = "1", requires = "lock")]
    concurrency: NonZeroU32,

    /// Keep the lock for DUR after the command is known to work
    #[arg(long, value_name = "DUR", default_value = "0", value_parser = parse_duration)]
    #[arg(requires = "lock")]
    soak: Duration,

    /// What to do when new files do not work: hold, or rollback to the previous files
    #[arg(long, value_name = "WHAT", default_value = "hold", value_parser = on_failure)]
    on_failed_restart: OnFailure,

    /// Set FIELD of ZNODE to VALUE before stopping the command, and restore it once it works again
    #[arg(long, value_name = "ZNODE:FIELD=VALUE", value_parser = Drain::parse)]
    drain: Option<Drain>,

    /// Stop the command only if at most MAX_FAILED (10%) hosts of FARM then fail, this one included
    #[arg(long, value_name = "FARM[:MAX_FAILED]", value_parser = RequireHealthy::parse)]
    require_healthy: Option<RequireHealthy>,

    /// Call this member ID in the group; the name of the host, and a number, if not given
    #[arg(long, value_name = "ID", requires = "lock", value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,

    /// Keep the files that worked last in DIR, for a start while the group refuses the new ones
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY", hide_env_values = true)]
    state_dir: Option<OsString>,

    /// Restart only at these times, like 22-6,Sat,Sun
    #[arg(long, value_name = "HOURS", value_parser = AllowedHours::parse)]
    allowed_hours: Option<AllowedHours>,

    /// The time zone of --allowed-hours; the machine's own if not given
    #[arg(long, value_name = "ZONE", requires = "allowed_hours")]
    tz: Option<String>,
}

/// How the child is started and stopped.
#[derive(Debug)]
pub(crate) struct ChildConfig {
    pub(crate) program: Program,
    pub(crate) stop_signal: Signal,
    pub(crate) kill_timeout: Duration,
}

/// The commands that run beside the child.
#[derive(Debug)]
pub(crate) struct CommandsConfig {
    /// The time limit of all but the health check.
    pub(crate) limit: Duration,
    /// The health check and its policy.
    pub(crate) health: Option<(String, HealthPolicy)>,
    pub(crate) alert: Option<String>,
}

/// The configuration made from the options.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) session: SessionOptions,
    pub(crate) child: ChildConfig,
    pub(crate) mirrors: Vec<MirrorSpec>,
    pub(crate) wait: Wait,
    pub(crate) commands: CommandsConfig,
    pub(crate) start_without_zk: Option<Duration>,
    pub(crate) rollout: RolloutOptions,
    pub(crate) turn: turn::TurnOptions,
    /// `None` without `--lock`.
    pub(crate) member: Option<MemberConfig>,
}

/// This zkexec as a member of its group.
#[derive(Debug)]
pub(crate) struct MemberConfig {
    pub(crate) group: GroupName,
    pub(crate) holders: NonZeroU32,
    pub(crate) host: String,
    /// Its id, if that is not made of the name of the host.
    pub(crate) name: Option<String>,
    /// The servers and the chroot.
    pub(crate) cluster: String,
    pub(crate) mirrors: Vec<MirrorSpec>,
    /// Where the content that was confirmed last is kept.
    pub(crate) state_dir: Option<PathBuf>,
}

impl Args {
    pub(crate) fn config(self) -> Result<Config, Failure> {
        let Self { child, change, health, turn, .. } = self;
        let program = match child.exec {
            Some(command) => Program::Shell(command),
            None => Program::Argv(child.argv),
        };
        // With no delay, a restart would fail before its first check has ended.
        let has_no_delay = health.health.is_some() && health.health_delay.is_zero();
        let rollout = RolloutOptions {
            is_locked: turn.lock.is_some(),
            has_health: health.health.is_some(),
            delay: if has_no_delay { health.health_timeout } else { health.health_delay },
            soak: turn.soak,
            on_change: change.on_change,
            on_failure: turn.on_failed_restart,
            drains: turn.drain.is_some(),
            has_many_holders: turn.concurrency > NonZeroU32::MIN,
        };
        let session = self.zk.config(REQUEST_THREADS)?;
        let member = turn.member(&session, &self.mirrors)?;
        let turn = turn.options()?;
        check_places(&self.mirrors)
            .map_err(|overlap| Failure::new(Exit::Usage, overlap.to_string()))?;
        Ok(Config {
            session,
            child: ChildConfig {
                program,
                stop_signal: change.stop_signal,
                kill_timeout: change.kill_timeout,
            },
            mirrors: self.mirrors,
            wait: self.gather.wait,
            commands: health.commands(self.limit.cmd_timeout),
            start_without_zk: self.start_without_zk,
            rollout,
            turn,
            member,
        })
    }
}

impl HealthArgs {
    fn commands(self, limit: Duration) -> CommandsConfig {
        let policy = HealthPolicy {
            interval: self.health_interval,
            limit: self.health_timeout,
            delay: self.health_delay,
            rise: self.health_rise,
            fall: self.health_fall,
        };
        let health = self.health.map(|command| (command, policy));
        CommandsConfig { limit, health, alert: self.alert }
    }
}

impl TurnArgs {
    /// The member of the group that the options describe.
    fn member(
        &self,
        session: &SessionOptions,
        mirrors: &[MirrorSpec],
    ) -> Result<Option<MemberConfig>, Failure> {
        let Some(group) = self.lock.clone() else { return Ok(None) };
        if let Some(name) = &self.name {
            StatePaths::of(&group)?.member(name)?;
        }
        let host = nix::unistd::gethostname().unwrap_or_default();
        Ok(Some(MemberConfig {
            group,
            holders: self.concurrency,
            host: host.to_string_lossy().into_owned(),
            name: self.name.clone(),
            cluster: session.servers.to_string(),
            mirrors: mirrors.to_vec(),
            state_dir: self.state_dir.as_deref().and_then(first_directory),
        }))
    }

    fn options(self) -> Result<turn::TurnOptions, Failure> {
        let zone = || self.tz.as_deref().map_or_else(Zone::system, Zone::named);
        let hours = self.allowed_hours.map(|hours| zone().map(|zone| Schedule::new(hours, zone)));
        Ok(turn::TurnOptions {
            group: self.lock.map(|name| Group { name, holders: self.concurrency }),
            hours: hours.transpose()?,
            health: self.require_healthy,
            drain: self.drain,
        })
    }
}

/// The first directory of a list, as systemd gives it for several `StateDirectory=`.
fn first_directory(list: &OsStr) -> Option<PathBuf> {
    let first = list.as_bytes().split(|byte| *byte == b':').next()?;
    (!first.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(first)))
}

fn on_change(text: &str) -> Result<OnChange, String> {
    match text {
        "restart" => Ok(OnChange::Restart),
        "none" => Ok(OnChange::Nothing),
        _ => match text.strip_prefix("cmd:") {
            Some("") => Err("there is no command after cmd:".to_owned()),
            Some(command) => Ok(OnChange::Command(command.to_owned())),
            None => signal(text)
                .map(OnChange::Signal)
                .map_err(|error| format!("{error}; other values are restart, none and cmd:CMD")),
        },
    }
}

/// Parses `TERM`, `SIGTERM` or `15`, in any case.
fn signal(text: &str) -> Result<Signal, String> {
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    let number = text.parse::<i32>().ok().and_then(|number| Signal::try_from(number).ok());
    number.or_else(|| name.parse().ok()).ok_or_else(|| "there is no such signal".to_owned())
}

fn on_failure(text: &str) -> Result<OnFailure, String> {
    match text {
        "hold" => Ok(OnFailure::Hold),
        "rollback" => Ok(OnFailure::RollBack),
        _ => Err("it must be hold or rollback".to_owned()),
    }
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
    fn a_signal_has_a_name_or_a_number() {
        for text in ["TERM", "term", "SIGTERM", "15"] {
            assert_eq!(signal(text), Ok(Signal::SIGTERM), "{text}");
        }
        for text in ["", "SIG", "FOO", "0", "-1", "99", "15 "] {
            assert!(signal(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_reaction_is_one_of_four() {
        assert_eq!(on_change("restart"), Ok(OnChange::Restart));
        assert_eq!(on_change("none"), Ok(OnChange::Nothing));
        assert_eq!(on_change("HUP"), Ok(OnChange::Signal(Signal::SIGHUP)));
        assert_eq!(on_change("cmd:a b"), Ok(OnChange::Command("a b".to_owned())));
        for text in ["", "cmd:", "restarts", "cmd"] {
            assert!(on_change(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_letters_are_those_of_old() {
        let args = ["zkexec", "-e", "x", "-c", "zk1", "-H", "h", "-i", "1", "-d", "0.5", "-m"];
        let args =
            Args::try_parse_from(args.into_iter().chain(["/a=/b", "-l", "n", "-a", "y", "-v"]));
        let args = args.unwrap();
        assert_eq!(args.health.health_interval, Duration::from_secs(1));
        assert_eq!(args.health.health_delay, Duration::from_millis(500));
        assert_eq!(args.config().unwrap().session.servers.to_string(), "zk1:2181");
        let args = ["zkexec", "-e", "x", "-H", "h", "-d", "0", "--health-timeout", "7"];
        let config = Args::try_parse_from(args).unwrap().config().unwrap();
        let policy = config.commands.health.unwrap().1;
        assert_eq!((config.rollout.delay, policy.delay), (Duration::from_secs(7), Duration::ZERO));
        for wrong in [
            &["zkexec"][..],
            &["zkexec", "-e", "x", "--", "y"],
            &["zkexec", "-e", "x", "--soak", "1"],
        ] {
            assert!(Args::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
