//! `zkctl check`: is a farm well? A monitoring plugin.
//!
//! **Invariant.** Only what was read of the farm makes a verdict; whatever was
//! not read, or makes no sense, is answered by "unknown".

use super::children::Below;
use super::get::malformed;
use crate::connection::Connection;
use crate::format::{Choice, End, Layout, OutputArgs};
use crate::output::Output;
use clap::Args;
use farm_core::cli::{Exit, Failure, FilterArg, plugin_text, printable};
use farm_core::farm::COMMON;
use farm_core::model::{
    Allowance, Filter, Health, Limits, RunningFilterError, Value, Verdict, farm_size,
    running_filter,
};
use farm_core::session::ZnodePath;
use farm_core::session::cache::{Contents, Depth};
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  zkctl check /services/db
  zkctl check /services/db -w 1 -c 25%
  zkctl check /services/db -F 'mysql.replication_delay<60' --min-hosts 3 -v";

const NOTES: &str = "\
A host runs if it is there, its record can be read, and the filter in the field
running_filter of the farm's record keeps it, and so does -F. The field size of
that record is the number of hosts there should be. -v names the hosts that fail.
Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; no others.";

/// Tell whether enough hosts of a farm run, as a Nagios plugin
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(crate) struct CheckArgs {
    /// Check the hosts below this znode
    #[arg(value_name = "FARM")]
    farm: String,

    /// So many failing hosts are CRITICAL
    #[arg(short = 'c', long = "max-failed-node", value_name = "N|N%")]
    #[arg(default_value = "10%", value_parser = Allowance::parse, allow_hyphen_values = true)]
    critical: Allowance,

    /// So many failing hosts are a WARNING
    #[arg(short = 'w', long = "warn-failed-node", value_name = "N|N%")]
    #[arg(value_parser = Allowance::parse, allow_hyphen_values = true)]
    warning: Option<Allowance>,

    /// Fewer running hosts are CRITICAL
    #[arg(long, value_name = "N")]
    min_hosts: Option<u32>,

    #[command(flatten)]
    filter: FilterArg,
}

pub(crate) fn check(
    args: &CheckArgs,
    output: OutputArgs,
    is_verbose: bool,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let choice = output.choose_of("check", &[Layout::Text, Layout::Json])?;
    output.refuse_null("check")?;
    let limits = Limits {
        critical: args.critical.clone(),
        warning: args.warning.clone(),
        hosts_min: args.min_hosts.map(u64::from),
    };
    let report = match look(args, connection) {
        Ok(farm) => Report::of(&farm, &limits, is_verbose),
        Err(failure) if choice.layout == Layout::Json => Report::unknown(&failure, &limits),
        Err(failure) => return Err(failure),
    };
    match report.tell(choice, Output::open()) {
        // The exit code is an answer too, and it needs no reader.
        Err(failure) if failure.exit() == Exit::Done => Ok(report.exit),
        told => told.map(|()| report.exit),
    }
}

/// What was read of a farm.
struct Seen {
    size: u64,
    /// Every host that is there, and what is wrong with it.
    hosts: Vec<(String, Option<String>)>,
}

fn look(args: &CheckArgs, connection: &Connection) -> Result<Seen, Failure> {
    let path = ZnodePath::parse(&args.farm)?;
    let own_filter = args.filter.filter()?;
    let asked = path.clone();
    let (farm, hosts) = connection.ask(move |client, _| {
        let below = Below::read(client, &asked, Depth::CHILDREN, Contents::All)?;
        let mut hosts = below.children(client)?;
        hosts.retain(|host| host.place.name != COMMON);
        Ok((below.top()?.clone(), hosts))
    })?;
    let record = farm.map_err(|error| malformed(&path, &error))?;
    let size = farm_size(&record).map_err(|error| {
        Failure::from(error)
            .during(format!("the size of {path} is unknown"))
            .hint(format!("zkctl set {path} size:=N tells how many hosts there should be"))
    })?;
    let farm_filter = running_filter(&record).map_err(|error| bad_filter(&path, error))?;
    let filters: Vec<&Filter> = farm_filter.iter().chain(&own_filter).collect();
    let hosts = hosts.into_iter().map(|host| {
        let trouble = match host.content {
            Err(why) => Some(why),
            Ok(record) if filters.iter().all(|filter| filter.keeps(&record)) => None,
            Ok(_) => Some("the filter does not keep it".to_owned()),
        };
        (host.place.name, trouble)
    });
    Ok(Seen { size, hosts: hosts.collect() })
}

fn bad_filter(path: &ZnodePath, error: RunningFilterError) -> Failure {
    let what = format!("the running_filter of {path} can't be used");
    match error {
        RunningFilterError::NoText => Failure::new(Exit::Malformed, what + ": it is no text"),
        RunningFilterError::Filter(error) => Failure::from(error).during(what),
    }
}

/// The answer in both of its forms.
struct Report {
    exit: Exit,
    lines: Vec<String>,
    json: Value,
}

impl Report {
    fn of(seen: &Seen, limits: &Limits, is_verbose: bool) -> Self {
        let states = seen.hosts.iter().map(|(name, trouble)| (name.clone(), trouble.is_none()));
        let health = Health::of(seen.size, states);
        let verdict = Verdict::of(&health, limits);
        let (running, size, failing) = (health.running(), health.size(), health.failing());
        let critical = &limits.critical;
        let mut line = format!(
            "{verdict}: {running}/{size} nodes running, {failing} nodes failing, \
             max allowed {critical}"
        );
        if let Some(least) = limits.hosts_min {
            line += &format!(", at least {least} needed");
        }
        let perfdata = perfdata(&health, limits);
        let mut lines = vec![format!("{line} | {perfdata}")];
        if is_verbose {
            let troubles = seen.hosts.iter().filter_map(|(name, why)| Some((name, why.as_ref()?)));
            lines.extend(troubles.map(|(name, why)| trouble_line(name, why)));
            let missing = health.missing();
            lines.extend((missing > 0).then(|| format!("{missing} more not there")));
        }
        let json = serde_json::json!({
            "v": 1,
            "status": verdict.to_string(),
            "running": running,
            "size": size,
            "failing": failing,
            "failed": health.failed(),
            "max_failed": critical.to_string(),
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
            "max_failed": limits.critical.to_string(),
            "perfdata": "",
            "error": failure.line(),
        });
        Self { exit: Exit::Unknown, lines: Vec::new(), json }
    }

    fn tell(&self, choice: Choice, mut output: Output<impl Write>) -> Result<(), Failure> {
        if choice.layout == Layout::Json {
            // One line: a monitoring system shows no more.
            output.json_line(&self.json, End::Newline)?;
        } else {
            for line in &self.lines {
                output.line(line, End::Newline)?;
            }
        }
        output.finish()
    }
}

fn trouble_line(name: &str, why: &str) -> String {
    plugin_text(&printable(&format!("{name}: {why}")))
}

fn perfdata(health: &Health, limits: &Limits) -> String {
    let (running, size, failing) = (health.running(), health.size(), health.failing());
    let least = limits.hosts_min.map_or_else(String::new, |least| format!("{least}:"));
    let warning = limits.warning.as_ref().map_or_else(String::new, |w| w.of(size).to_string());
    let critical = limits.critical.of(size);
    format!("running={running};;{least};0;{size} failing={failing};{warning};{critical};0;{size}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_core::model::{Map, Record};
    use serde_json::json;

    fn seen(size: u64, running: usize, failed: &[(&str, &str)]) -> Seen {
        let well = (0..running).map(|number| (format!("10.0.0.{number}"), None));
        let ill = failed.iter().map(|(name, why)| ((*name).to_owned(), Some((*why).to_owned())));
        Seen { size, hosts: well.chain(ill).collect() }
    }

    fn limits(critical: &str, warning: Option<&str>, hosts_min: Option<u64>) -> Limits {
        let allowance = |text| Allowance::parse(text).unwrap();
        Limits { critical: allowance(critical), warning: warning.map(allowance), hosts_min }
    }

    #[test]
    fn the_first_line_tells_all_and_ends_with_what_was_measured() {
        let table = [
            (
                seen(17, 16, &[]),
                limits("10%", None, None),
                Exit::Done,
                "OK: 16/17 nodes running, 1 nodes failing, max allowed 10% \
                 | running=16;;;0;17 failing=1;;1.7;0;17",
            ),
            (
                seen(17, 15, &[("10.0.1.1", "ill")]),
                limits("3", Some("5%"), None),
                Exit::Warning,
                "WARNING: 15/17 nodes running, 2 nodes failing, max allowed 3 \
                 | running=15;;;0;17 failing=2;0.85;3;0;17",
            ),
            (
                seen(3, 2, &[]),
                limits("50%", None, Some(3)),
                Exit::Critical,
                "CRITICAL: 2/3 nodes running, 1 nodes failing, max allowed 50%, at least 3 needed \
                 | running=2;;3:;0;3 failing=1;;1.5;0;3",
            ),
        ];
        for (seen, limits, exit, line) in table {
            let report = Report::of(&seen, &limits, false);
            assert_eq!((report.exit, report.lines), (exit, vec![line.to_owned()]));
        }
    }

    #[test]
    fn the_hosts_that_fail_are_named_on_demand() {
        let seen = seen(5, 1, &[("a|x=1", "no\nway"), ("b", "the filter does not keep it")]);
        let report = Report::of(&seen, &limits("10%", None, None), true);
        let more = ["a\u{a6}x=1: no\\nway", "b: the filter does not keep it", "2 more not there"];
        assert_eq!(report.lines[1..], more);
        assert_eq!(report.json["failed"], json!(["a|x=1", "b"]));
        let all_there = Report::of(&self::seen(1, 1, &[]), &limits("10%", None, None), true);
        assert_eq!(all_there.lines.len(), 1);
    }

    #[test]
    fn both_formats_look_like_their_golden_files() {
        let failed = [("10.0.1.1", "the filter does not keep it")];
        let report = Report::of(&seen(17, 14, &failed), &limits("25%", Some("2"), Some(5)), true);
        for (layout, golden) in [
            (Layout::Text, include_str!("../../tests/golden/check.txt")),
            (Layout::Json, include_str!("../../tests/golden/check.json")),
        ] {
            let mut shown = Vec::new();
            let choice = Choice { layout, end: End::Newline };
            report.tell(choice, Output::into(&mut shown)).unwrap();
            assert_eq!(String::from_utf8(shown).unwrap(), golden);
        }
        assert_eq!(report.exit, Exit::Warning);
    }

    #[test]
    fn a_filter_that_the_farm_names_in_vain_is_told_with_the_farm() {
        let path = ZnodePath::parse("/services/db").unwrap();
        for nonsense in [json!("=1"), json!(1), json!(["enabled=1"])] {
            let fields = Map::from_iter([("running_filter".to_owned(), nonsense)]);
            let error = running_filter(&Record::from_map(fields)).unwrap_err();
            let line = bad_filter(&path, error).line();
            assert!(line.starts_with("the running_filter of /services/db can't be used"), "{line}");
        }
    }
}
