//! `zkctl check`: a monitoring plugin for the health of a farm.
//!
//! **Invariant.** OK, WARNING and CRITICAL need a number of hosts to compare with: that of the
//! farm's record or of the command line; everything else is UNKNOWN.

use super::children::{Child, Subtree};
use super::get::malformed;
use crate::connection::Connection;
use crate::format::{Layout, OutputArgs, OutputFormat, Terminator};
use crate::output::Output;
use clap::Args;
use farm_core::cli::{Exit, Failure, FilterArg, ParseArg, plugin_text, printable};
use farm_core::codec::{Decoded, Parse};
use farm_core::farm::COMMON;
use farm_core::model::{
    Allowance, Filter, HOSTS_MAX, Health, Limits, Record, RunningFilterError, SizeError, Value,
    Verdict, farm_size, running_filter,
};
use farm_core::session::cache::{Contents, Depth};
use farm_core::session::{Client, SessionError, Watch, ZnodePath};
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  zkctl check /services/db
  zkctl check /services/db -w 1 -c 25%
  zkctl check /services/db -F 'mysql.replication_delay<60' --min-hosts 3 -v
  zkctl check /brokers/ids --size 5 -c 2
  zkctl check /live_nodes --parse none --min-hosts 3";

/// The default of `-c`.
const CRITICAL_DEFAULT: &str = "10%";

const NOTES: &str = "\
A host runs if its znode exists, its record can be read, and it passes -F and the
filter in the field running_filter of the farm's record. The field size of that
record is the expected number of hosts, unless --size is given. Without either
of them, --min-hosts alone decides. -v names the failing hosts.
Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; no others.";

/// Tell whether enough hosts of a farm run, as a Nagios plugin
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(crate) struct CheckArgs {
    /// Check the hosts below this znode
    #[arg(value_name = "FARM")]
    farm: String,

    /// CRITICAL if at least this many hosts fail [default: 10%]
    #[arg(short = 'c', long = "max-failed-node", value_name = "N|N%")]
    #[arg(value_parser = Allowance::parse, allow_hyphen_values = true)]
    critical: Option<Allowance>,

    /// WARNING if at least this many hosts fail
    #[arg(short = 'w', long = "warn-failed-node", value_name = "N|N%")]
    #[arg(value_parser = Allowance::parse, allow_hyphen_values = true)]
    warning: Option<Allowance>,

    /// CRITICAL if fewer than this many hosts run
    #[arg(long, value_name = "N")]
    min_hosts: Option<u32>,

    /// Expect this many hosts, whatever the farm's record says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=HOSTS_MAX))]
    size: Option<u64>,

    #[command(flatten)]
    parse: ParseArg,

    #[command(flatten)]
    filter: FilterArg,
}

pub(crate) fn check(
    args: &CheckArgs,
    output: OutputArgs,
    is_verbose: bool,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let format = output.choose_from("check", &[Layout::Text, Layout::Json])?;
    output.refuse_null("check")?;
    let mut limits = Limits {
        critical: args.critical.clone().or_else(|| Allowance::parse(CRITICAL_DEFAULT).ok()),
        warning: args.warning.clone(),
        hosts_min: args.min_hosts.map(u64::from),
    };
    let report = match read_farm(args, connection) {
        Ok(farm) => {
            if farm.size.is_none() {
                limits.critical = None;
            }
            Report::of(&farm, &limits, is_verbose)
        }
        Err(failure) if format.layout == Layout::Json => Report::unknown(&failure, &limits),
        Err(failure) => return Err(failure),
    };
    match report.print(format, Output::open()) {
        // The reader closed the pipe; the exit code still gives the verdict.
        Err(failure) if failure.exit() == Exit::Done => Ok(report.exit),
        result => result.map(|()| report.exit),
    }
}

/// A farm as it was read.
struct FarmState {
    /// How many hosts it should have, if that is known.
    size: Option<u64>,
    /// Every host that has a znode, and why it fails if it does.
    hosts: Vec<(String, Option<String>)>,
}

fn read_farm(args: &CheckArgs, connection: &Connection) -> Result<FarmState, Failure> {
    let path = ZnodePath::parse(&args.farm)?;
    let own_filter = args.filter.filter()?;
    let (target, parse) = (path.clone(), args.parse.parse);
    let (farm, mut hosts) = connection.ask(move |client, _| read(client, &target, parse))?;
    hosts.retain(|host| host.location.name != COMMON);
    let record = match farm {
        Ok(packed) => packed.unpack().into_owned(),
        // A farm of somebody else's: its znode can hold anything.
        Err(error) if args.size.is_some() || args.min_hosts.is_some() => {
            log::info!("{path} holds no record, so there is no running_filter: {error}");
            Record::new()
        }
        Err(error) => return Err(malformed(&path, &error)),
    };
    let size = expected_size(args, &path, &record)?;
    let farm_filter = running_filter(&record).map_err(|error| bad_filter(&path, error))?;
    let filters: Vec<&Filter> = farm_filter.iter().chain(&own_filter).collect();
    let hosts = hosts.into_iter().map(|host| {
        let problem = match host.content {
            Err(why) => Some(why),
            Ok(packed) if is_kept(&filters, &packed.unpack()) => None,
            Ok(_) => Some("the filter does not keep it".to_owned()),
        };
        (host.location.name, problem)
    });
    Ok(FarmState { size, hosts: hosts.collect() })
}

/// The farm's own record, which is always JSON, and its hosts.
fn read(
    client: &Client,
    path: &ZnodePath,
    parse: Parse,
) -> Result<(Decoded, Vec<Child>), SessionError> {
    let subtree = |contents| Subtree::read(client, path, Depth::CHILDREN, contents, parse);
    let contents = match parse {
        Parse::Json => {
            let subtree = subtree(Contents::All)?;
            return Ok((subtree.top()?.clone(), subtree.children(client)?));
        }
        Parse::None => Contents::Names,
        Parse::Text | Parse::KeyValue => Contents::Below,
    };
    let (record, _) = Parse::Json.decoder()(client.get(path, Watch::No)?.data);
    Ok((record, subtree(contents)?.children(client)?))
}

/// How many hosts the farm should have; `None` if only `--min-hosts` says something about it.
fn expected_size(
    args: &CheckArgs,
    path: &ZnodePath,
    record: &Record,
) -> Result<Option<u64>, Failure> {
    let is_least_enough =
        args.min_hosts.is_some() && args.critical.is_none() && args.warning.is_none();
    match (args.size, farm_size(record)) {
        (Some(size), _) | (None, Ok(size)) => Ok(Some(size)),
        (None, Err(SizeError::Absent)) if is_least_enough => Ok(None),
        (None, Err(error)) => Err(Failure::from(error)
            .during(format!("the size of {path} is unknown"))
            .hint(format!("zkctl set {path} size:=N sets it; --size N is for this check"))),
    }
}

fn is_kept(filters: &[&Filter], record: &Record) -> bool {
    filters.iter().all(|filter| filter.keeps(record))
}

fn bad_filter(path: &ZnodePath, error: RunningFilterError) -> Failure {
    let what = format!("the running_filter of {path} can't be used");
    match error {
        RunningFilterError::NoText => Failure::new(Exit::Malformed, what + ": it is no text"),
        RunningFilterError::Filter(error) => Failure::from(error).during(what),
    }
}

/// The answer in both formats.
struct Report {
    exit: Exit,
    lines: Vec<String>,
    json: Value,
}

impl Report {
    fn of(farm: &FarmState, limits: &Limits, is_verbose: bool) -> Self {
        let states = farm.hosts.iter().map(|(name, problem)| (name.clone(), problem.is_none()));
        let health = Health::of(farm.size.unwrap_or_default(), states);
        let verdict = Verdict::of(&health, limits);
        let (running, size, failing) = (health.running(), health.size(), health.failing());
        let mut line = match &limits.critical {
            Some(critical) => format!(
                "{verdict}: {running}/{size} nodes running, {failing} nodes failing, \
                 max allowed {critical}"
            ),
            None => format!("{verdict}: {running} nodes running, {failing} nodes failing"),
        };
        if let Some(least) = limits.hosts_min {
            line += &format!(", at least {least} needed");
        }
        let perfdata = perfdata(&health, limits);
        let mut lines = vec![format!("{line} | {perfdata}")];
        if is_verbose {
            let problems = farm.hosts.iter().filter_map(|(name, why)| Some((name, why.as_ref()?)));
            lines.extend(problems.map(|(name, why)| problem_line(name, why)));
            let missing = health.missing();
            lines.extend((missing > 0).then(|| format!("{missing} more not there")));
        }
        let json = serde_json::json!({
            "v": 1,
            "status": verdict.to_string(),
            "running": running,
            "size": farm.size.map(|_| size),
            "failing": failing,
            "failed": health.failed(),
            "max_failed": limits.critical.as_ref().map(Allowance::to_string),
            "perfdata": perfdata,
        });
        let exit = match verdict {
            Verdict::Ok => Exit::Done,
            Verdict::Warning => Exit::Warning,
            Verdict::Critical => Exit::Critical,
        };
        Self { exit, lines, json }
    }

    fn unknown(failure: &Failure, limits: &Limits) -> Self {
        let json = serde_json::json!({
            "v": 1,
            "status": "UNKNOWN",
            "running": null,
            "size": null,
            "failing": null,
            "failed": [],
            "max_failed": limits.critical.as_ref().map(Allowance::to_string),
            "perfdata": "",
            "error": failure.line(),
        });
        Self { exit: Exit::Unknown, lines: Vec::new(), json }
    }

    fn print(&self, format: OutputFormat, mut output: Output<impl Write>) -> Result<(), Failure> {
        if format.layout == Layout::Json {
            // Monitoring systems show only the first line.
            output.json_line(&self.json, Terminator::Newline)?;
        } else {
            for line in &self.lines {
                output.line(line, Terminator::Newline)?;
            }
        }
        output.finish()
    }
}

fn problem_line(name: &str, why: &str) -> String {
    plugin_text(&printable(&format!("{name}: {why}")))
}

fn perfdata(health: &Health, limits: &Limits) -> String {
    let (running, size, failing) = (health.running(), health.size(), health.failing());
    let least = limits.hosts_min.map_or_else(String::new, |least| format!("{least}:"));
    let of = |limit: &Option<Allowance>| {
        limit.as_ref().map_or_else(String::new, |limit| limit.of(size).to_string())
    };
    let (warning, critical) = (of(&limits.warning), of(&limits.critical));
    // Without a limit in hosts the size is not known either.
    let most = limits.critical.as_ref().map_or_else(String::new, |_| size.to_string());
    format!("running={running};;{least};0;{most} failing={failing};{warning};{critical};0;{most}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_core::model::{Map, Record};
    use serde_json::json;

    fn farm(size: u64, running: usize, failed: &[(&str, &str)]) -> FarmState {
        let running = (0..running).map(|number| (format!("10.0.0.{number}"), None));
        let failed = failed.iter().map(|(name, why)| ((*name).to_owned(), Some((*why).to_owned())));
        FarmState { size: Some(size), hosts: running.chain(failed).collect() }
    }

    fn limits(critical: &str, warning: Option<&str>, hosts_min: Option<u64>) -> Limits {
        let allowance = |text| Allowance::parse(text).unwrap();
        Limits { critical: Some(allowance(critical)), warning: warning.map(allowance), hosts_min }
    }

    #[test]
    fn the_first_line_ends_with_the_performance_data() {
        let table = [
            (
                farm(17, 16, &[]),
                limits("10%", None, None),
                Exit::Done,
                "OK: 16/17 nodes running, 1 nodes failing, max allowed 10% \
                 | running=16;;;0;17 failing=1;;1.7;0;17",
            ),
            (
                farm(17, 15, &[("10.0.1.1", "ill")]),
                limits("3", Some("5%"), None),
                Exit::Warning,
                "WARNING: 15/17 nodes running, 2 nodes failing, max allowed 3 \
                 | running=15;;;0;17 failing=2;0.85;3;0;17",
            ),
            (
                farm(3, 2, &[]),
                limits("50%", None, Some(3)),
                Exit::Critical,
                "CRITICAL: 2/3 nodes running, 1 nodes failing, max allowed 50%, at least 3 needed \
                 | running=2;;3:;0;3 failing=1;;1.5;0;3",
            ),
        ];
        for (farm, limits, exit, line) in table {
            let report = Report::of(&farm, &limits, false);
            assert_eq!((report.exit, report.lines), (exit, vec![line.to_owned()]));
        }
    }

    #[test]
    fn without_a_size_only_the_least_number_counts() {
        let line = |running, hosts_min| {
            let farm = FarmState { size: None, ..farm(0, running, &[("b", "ill")]) };
            let limits = Limits { critical: None, warning: None, hosts_min: Some(hosts_min) };
            let report = Report::of(&farm, &limits, false);
            (report.exit, report.lines[0].clone(), report.json["size"].clone())
        };
        let well = "OK: 2 nodes running, 1 nodes failing, at least 2 needed \
                    | running=2;;2:;0; failing=1;;;0;";
        assert_eq!(line(2, 2), (Exit::Done, well.to_owned(), Value::Null));
        let ill = "CRITICAL: 1 nodes running, 1 nodes failing, at least 2 needed \
                   | running=1;;2:;0; failing=1;;;0;";
        assert_eq!(line(1, 2), (Exit::Critical, ill.to_owned(), Value::Null));
    }

    #[test]
    fn verbose_names_the_failing_hosts() {
        let farm = farm(5, 1, &[("a|x=1", "no\nway"), ("b", "the filter does not keep it")]);
        let report = Report::of(&farm, &limits("10%", None, None), true);
        let more = ["a\u{a6}x=1: no\\nway", "b: the filter does not keep it", "2 more not there"];
        assert_eq!(report.lines[1..], more);
        assert_eq!(report.json["failed"], json!(["a|x=1", "b"]));
        let all_there = Report::of(&self::farm(1, 1, &[]), &limits("10%", None, None), true);
        assert_eq!(all_there.lines.len(), 1);
    }

    #[test]
    fn both_formats_look_like_their_golden_files() {
        let failed = [("10.0.1.1", "the filter does not keep it")];
        let report = Report::of(&farm(17, 14, &failed), &limits("25%", Some("2"), Some(5)), true);
        for (layout, golden) in [
            (Layout::Text, include_str!("../../tests/golden/check.txt")),
            (Layout::Json, include_str!("../../tests/golden/check.json")),
        ] {
            let mut printed = Vec::new();
            let format = OutputFormat { layout, terminator: Terminator::Newline };
            report.print(format, Output::into(&mut printed)).unwrap();
            assert_eq!(String::from_utf8(printed).unwrap(), golden);
        }
        assert_eq!(report.exit, Exit::Warning);
    }

    #[test]
    fn an_error_in_the_running_filter_names_the_farm() {
        let path = ZnodePath::parse("/services/db").unwrap();
        for nonsense in [json!("=1"), json!(1), json!(["enabled=1"])] {
            let fields = Map::from_iter([("running_filter".to_owned(), nonsense)]);
            let error = running_filter(&Record::from_map(fields)).unwrap_err();
            let line = bad_filter(&path, error).line();
            assert!(line.starts_with("the running_filter of /services/db can't be used"), "{line}");
        }
    }
}
