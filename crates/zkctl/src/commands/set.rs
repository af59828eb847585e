//! `zkctl set`: sets fields of a record.

use super::assignment::{Assignments, CannotSet, ValueType, apply, parse_words};
use crate::connection::Connection;
use crate::format::Terminator;
use crate::output::Output;
use crate::stdin::read_value;
use clap::Args;
use farm_core::cli::{Exit, Failure};
use farm_core::farm::{Absent, Edit, EditError, edit_znode};
use farm_core::model::{Assignment, Filter, Record, Retyped};
use farm_core::session::{SessionError, Stat, ZnodePath};
use std::sync::atomic::{AtomicBool, Ordering};

const EXAMPLES: &str = "\
Examples:
  zkctl set /services/db/1.2.3.4 enabled 1
  zkctl set /services/db/1.2.3.4 mysql.role=master note='back at noon'
  zkctl set /services/db/1.2.3.4 'tags:=[\"ssd\"]' weight:=1.5
  zkctl set /services/db running_filter 'enabled=1' --create
  zkctl set /services/db/1.2.3.4 enabled 0 --if enabled=1
  uptime | zkctl set /services/db/1.2.3.4 load -";

const NOTES: &str = "\
VALUE and TEXT are stored as strings, unless the field now holds a number, true or
false and the text is one too. FIELD:=JSON stores any JSON value.
Concurrent changes by others are never lost.";

/// Set fields of the record of a znode
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
#[command(override_usage = "zkctl set [OPTIONS] PATH FIELD VALUE\n       \
                            zkctl set [OPTIONS] PATH FIELD=TEXT|FIELD:=JSON...")]
pub(crate) struct SetArgs {
    /// Change this znode
    #[arg(value_name = "PATH")]
    path: String,

    /// Set FIELD to VALUE (- reads it from stdin), or make these assignments
    #[arg(value_name = "WORD", required = true, allow_negative_numbers = true)]
    words: Vec<String>,

    /// Read VALUE and every TEXT as this type
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    value_type: Option<ValueType>,

    /// Write only if the record fulfils this condition, else exit with 1
    #[arg(long = "if", value_name = "FIELD=V")]
    condition: Option<String>,

    /// Write only if the znode has this version, else exit with 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    if_version: Option<i32>,

    /// Create the znode if it is missing
    #[arg(long)]
    create: bool,

    /// Write nothing; print what would change, and exit with 1 if anything would
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(crate) fn set(args: &SetArgs, connection: &Connection) -> Result<Exit, Failure> {
    let path = ZnodePath::parse(&args.path)?;
    let request = args.request(path.clone())?;
    let absent = if args.create { Absent::Create } else { Absent::Refuse };
    // When the connection breaks during a write, the server may have made it. The
    // condition, which was met before, is not checked again then.
    let is_maybe_written = AtomicBool::new(false);
    let edited = connection.ask(move |client, deadline| {
        let mut has_tried = false;
        let change = |record: &mut Record, stat: Option<&Stat>| {
            let edit = request.apply_to(record, stat, is_maybe_written.load(Ordering::Relaxed));
            has_tried |= matches!(edit, Ok(Edit::Write(_)));
            edit
        };
        match edit_znode(client, &request.path, deadline, absent, change) {
            Err(EditError::Session(error)) => {
                is_maybe_written.fetch_or(has_tried, Ordering::Relaxed);
                Err(error)
            }
            other => Ok(other.map_err(Failure::from)),
        }
    })?;
    edited?.report(path)
}

impl SetArgs {
    fn request(&self, path: ZnodePath) -> Result<Request, Failure> {
        let condition = self.condition.as_deref().map(Filter::parse).transpose()?;
        let assignments = match parse_words(&self.words)? {
            Assignments::Known(assignments) => assignments,
            Assignments::FromStdin(field) => vec![Assignment::text(field, read_value()?)],
        };
        let typed = |assignment: Assignment| match self.value_type {
            Some(value_type) => value_type.convert(assignment),
            None => Ok(assignment),
        };
        Ok(Request {
            path,
            assignments: assignments.into_iter().map(typed).collect::<Result<_, _>>()?,
            condition,
            version: self.if_version,
            is_dry_run: self.dry_run,
        })
    }
}

/// What to set, and under which conditions.
struct Request {
    path: ZnodePath,
    assignments: Vec<Assignment>,
    condition: Option<Filter>,
    version: Option<i32>,
    is_dry_run: bool,
}

/// The outcome of a request.
#[derive(Debug)]
enum Outcome {
    Set(Vec<Retyped>),
    /// A dry run; these lines would change.
    WouldChange(Vec<String>),
    /// The record does not fulfil the condition.
    Unmet,
    /// The znode has another version, or does not exist.
    OtherVersion(Option<i32>),
}

impl Outcome {
    /// Reports it on stdout, in the log or as a failure.
    fn report(self, path: ZnodePath) -> Result<Exit, Failure> {
        match self {
            Self::Set(all_retyped) => {
                for Retyped { field, was } in all_retyped {
                    log::warn!(
                        "{field} was a {was} and is now a string; {field}:=JSON keeps the type"
                    );
                }
                Ok(Exit::Done)
            }
            Self::WouldChange(lines) => {
                let mut output = Output::open();
                for line in lines {
                    output.row(&line, Terminator::Newline)?;
                }
                output.finish()?;
                Ok(Exit::No)
            }
            Self::Unmet => {
                Err(Failure::new(Exit::No, format!("{path} does not fulfil the condition")))
            }
            Self::OtherVersion(Some(version)) => {
                Err(Failure::new(Exit::No, format!("{path} has version {version}")))
            }
            Self::OtherVersion(None) => Err(SessionError::NoNode(path).into()),
        }
    }
}

impl Request {
    /// Applies the assignments to a record if the conditions are met. After a write whose
    /// outcome is unknown, a record that has the values already counts as set.
    fn apply_to(
        &self,
        record: &mut Record,
        stat: Option<&Stat>,
        is_maybe_written: bool,
    ) -> Result<Edit<Outcome>, CannotSet> {
        let before = record.clone();
        let applied = apply(record, &self.assignments);
        if is_maybe_written && stat.is_some() && applied.is_ok() && *record == before {
            return Ok(Edit::Write(Outcome::Set(Vec::new())));
        }
        let version = stat.map(|stat| stat.version);
        if self.version.is_some() && version != self.version {
            return Ok(Edit::Leave(Outcome::OtherVersion(version)));
        }
        if self.condition.as_ref().is_some_and(|condition| !condition.keeps(&before)) {
            return Ok(Edit::Leave(Outcome::Unmet));
        }
        let all_retyped = applied.map_err(|error| CannotSet { path: self.path.clone(), error })?;
        if self.is_dry_run && (*record != before || stat.is_none()) {
            return Ok(Edit::Leave(Outcome::WouldChange(self.changes(&before, record))));
        }
        Ok(Edit::Write(Outcome::Set(all_retyped)))
    }

    fn changes(&self, before: &Record, after: &Record) -> Vec<String> {
        let shown = |record: &Record, assignment: &Assignment| {
            let value = record.get(assignment.field());
            value.map_or_else(|| "(none)".to_owned(), ToString::to_string)
        };
        let mut lines = Vec::new();
        for assignment in &self.assignments {
            let (old, new) = (shown(before, assignment), shown(after, assignment));
            let line = format!("{}: {old} -> {new}", assignment.field());
            if old != new && !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(words: &[&str], condition: &str, version: Option<i32>, is_dry_run: bool) -> Request {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let Assignments::Known(assignments) = parse_words(&words).unwrap() else {
            panic!("nothing comes from stdin")
        };
        let condition = (!condition.is_empty()).then(|| Filter::parse(condition).unwrap());
        Request { path: ZnodePath::root(), assignments, condition, version, is_dry_run }
    }

    fn record(value: Value) -> Record {
        Record::from_map(value.as_object().unwrap().clone())
    }

    const VERSION_3: Stat = Stat {
        version: 3,
        czxid: 0,
        mzxid: 0,
        ctime_ms: 0,
        mtime_ms: 0,
        ephemeral_owner: 0,
        data_length: 0,
        num_children: 0,
    };

    #[test]
    fn conditions_must_be_met() {
        for (condition, version, is_met) in [
            ("", None, true),
            ("on=1", None, true),
            ("on=1,!gone", Some(3), true),
            ("on=0", None, false),
            ("gone=1", None, false),
            ("", Some(2), false),
            ("on=0", Some(3), false),
        ] {
            let mut host = record(json!({"on": "1"}));
            let request = request(&["on", "0"], condition, version, false);
            let edit = request.apply_to(&mut host, Some(&VERSION_3), false).unwrap();
            assert_eq!(matches!(edit, Edit::Write(_)), is_met, "{condition} {version:?}");
            if let Edit::Leave(outcome) = edit {
                assert_eq!(outcome.report(ZnodePath::root()).unwrap_err().exit(), Exit::No);
            }
        }
        let missing = request(&["on", "0"], "", Some(0), false);
        let edit = missing.apply_to(&mut Record::new(), None, false).unwrap();
        assert!(matches!(edit, Edit::Leave(Outcome::OtherVersion(None))), "{edit:?}");
    }

    #[test]
    fn a_write_that_happened_is_not_checked_again() {
        let request = request(&["on", "0"], "on=1", Some(2), false);
        let is_set = |record: &mut Record, is_maybe_written| {
            let edit = request.apply_to(record, Some(&VERSION_3), is_maybe_written).unwrap();
            matches!(edit, Edit::Write(Outcome::Set(_)))
        };
        let mut written = record(json!({"on": "0"}));
        assert!(is_set(&mut written, true));
        assert!(!is_set(&mut written, false));
        // Another client wrote something else, so the conditions are checked.
        let mut other = record(json!({"on": "2"}));
        assert!(!is_set(&mut other, true));
    }

    #[test]
    fn a_dry_run_tells_what_would_change() {
        let request = request(&["a=1", "b.c:=[2]", "d=x", "a=1"], "", None, true);
        let mut host = record(json!({"a": "0", "d": "x"}));
        let edit = request.apply_to(&mut host, Some(&VERSION_3), false).unwrap();
        let Edit::Leave(Outcome::WouldChange(lines)) = edit else {
            panic!("something would change: {edit:?}")
        };
        assert_eq!(lines, ["a: \"0\" -> \"1\"", "b.c: (none) -> [2]"]);
        let mut same = record(json!({"a": "1", "b": {"c": [2]}, "d": "x"}));
        let edit = request.apply_to(&mut same, Some(&VERSION_3), false).unwrap();
        assert!(matches!(edit, Edit::Write(_)), "{edit:?}");
    }
}
