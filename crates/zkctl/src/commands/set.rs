//! `zkctl set`: fields of a record given a value.

use super::assignment::{Assignments, Refusal, Type, apply, parse_words};
use crate::connection::Connection;
use crate::format::End;
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
VALUE and TEXT make a string, unless the field holds a number, true or false now
and the new text is one too. FIELD:=JSON takes any JSON value as it is.
A change that somebody else makes at the same time is never lost.";

/// Set fields of the record of a znode
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
#[command(override_usage = "zkctl set [OPTIONS] PATH FIELD VALUE\n       \
                            zkctl set [OPTIONS] PATH FIELD=TEXT|FIELD:=JSON...")]
pub(crate) struct SetArgs {
    /// Change this znode
    #[arg(value_name = "PATH")]
    path: String,

    /// FIELD and VALUE (- takes it from stdin), or assignments
    #[arg(value_name = "WORD", required = true, allow_negative_numbers = true)]
    words: Vec<String>,

    /// Read VALUE and every TEXT as this type
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    wanted: Option<Type>,

    /// Only if the record fulfils this, else exit with 1
    #[arg(long = "if", value_name = "FIELD=V")]
    condition: Option<String>,

    /// Only if the znode has this version, else exit with 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    if_version: Option<i32>,

    /// Create the znode if it is missing
    #[arg(long)]
    create: bool,

    /// Print what would change, and exit with 1 if anything would
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(crate) fn set(args: &SetArgs, connection: &Connection) -> Result<Exit, Failure> {
    let path = ZnodePath::parse(&args.path)?;
    let order = args.order(path.clone())?;
    let absent = if args.create { Absent::Create } else { Absent::Refuse };
    // When the connection broke during a write, it may have happened: then a
    // condition that was met before it is no reason to complain.
    let is_written = AtomicBool::new(false);
    let edited = connection.ask(move |client, until| {
        let mut has_agreed = false;
        let change = |record: &mut Record, stat: Option<&Stat>| {
            let done = order.carry_out(record, stat, is_written.load(Ordering::Relaxed));
            has_agreed |= matches!(done, Ok(Edit::Write(_)));
            done
        };
        match edit_znode(client, &order.path, until, absent, change) {
            Err(EditError::Session(error)) => {
                is_written.fetch_or(has_agreed, Ordering::Relaxed);
                Err(error)
            }
            other => Ok(other.map_err(Failure::from)),
        }
    })?;
    edited?.tell(path)
}

impl SetArgs {
    fn order(&self, path: ZnodePath) -> Result<Order, Failure> {
        let condition = self.condition.as_deref().map(Filter::parse).transpose()?;
        let assignments = match parse_words(&self.words)? {
            Assignments::Known(assignments) => assignments,
            Assignments::FromStdin(field) => vec![Assignment::text(field, read_value()?)],
        };
        let typed = |assignment: Assignment| match self.wanted {
            Some(wanted) => wanted.given_to(assignment),
            None => Ok(assignment),
        };
        Ok(Order {
            path,
            assignments: assignments.into_iter().map(typed).collect::<Result<_, _>>()?,
            condition,
            version: self.if_version,
            is_dry: self.dry_run,
        })
    }
}

/// What shall be set, and under which conditions.
struct Order {
    path: ZnodePath,
    assignments: Vec<Assignment>,
    condition: Option<Filter>,
    version: Option<i32>,
    is_dry: bool,
}

/// What became of it.
#[derive(Debug)]
enum Done {
    Set(Vec<Retyped>),
    /// It is only looked what would change.
    WouldChange(Vec<String>),
    /// The record does not fulfil the condition.
    Unmet,
    /// The znode has another version, or is not there.
    OtherVersion(Option<i32>),
}

impl Done {
    /// Says it on stdout, in the log or as a failure.
    fn tell(self, path: ZnodePath) -> Result<Exit, Failure> {
        match self {
            Self::Set(all_retyped) => {
                for Retyped { field, was } in all_retyped {
                    log::warn!(
                        "{field} was a {was}, it is a string now; {field}:=JSON keeps the type"
                    );
                }
                Ok(Exit::Done)
            }
            Self::WouldChange(lines) => {
                let mut output = Output::open();
                for line in lines {
                    output.row(&line, End::Newline)?;
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

impl Order {
    /// Makes the assignments to a record, if the conditions are met. After a write
    /// whose end is unknown, a record that is as wanted already is fine.
    fn carry_out(
        &self,
        record: &mut Record,
        stat: Option<&Stat>,
        is_maybe_written: bool,
    ) -> Result<Edit<Done>, Refusal> {
        let before = record.clone();
        let applied = apply(record, &self.assignments);
        if is_maybe_written && stat.is_some() && applied.is_ok() && *record == before {
            return Ok(Edit::Write(Done::Set(Vec::new())));
        }
        let version = stat.map(|stat| stat.version);
        if self.version.is_some() && version != self.version {
            return Ok(Edit::Leave(Done::OtherVersion(version)));
        }
        if self.condition.as_ref().is_some_and(|condition| !condition.keeps(&before)) {
            return Ok(Edit::Leave(Done::Unmet));
        }
        let all_retyped = applied.map_err(|error| Refusal { path: self.path.clone(), error })?;
        if self.is_dry && (*record != before || stat.is_none()) {
            return Ok(Edit::Leave(Done::WouldChange(self.changes(&before, record))));
        }
        Ok(Edit::Write(Done::Set(all_retyped)))
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

    fn order(words: &[&str], condition: &str, version: Option<i32>, is_dry: bool) -> Order {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let Assignments::Known(assignments) = parse_words(&words).unwrap() else {
            panic!("nothing comes from stdin")
        };
        let condition = (!condition.is_empty()).then(|| Filter::parse(condition).unwrap());
        Order { path: ZnodePath::root(), assignments, condition, version, is_dry }
    }

    fn record(value: Value) -> Record {
        Record::from_map(value.as_object().unwrap().clone())
    }

    const THIRD: Stat = Stat {
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
            let order = order(&["on", "0"], condition, version, false);
            let done = order.carry_out(&mut host, Some(&THIRD), false).unwrap();
            assert_eq!(matches!(done, Edit::Write(_)), is_met, "{condition} {version:?}");
            if let Edit::Leave(no) = done {
                assert_eq!(no.tell(ZnodePath::root()).unwrap_err().exit(), Exit::No);
            }
        }
        let missing = order(&["on", "0"], "", Some(0), false);
        let no = missing.carry_out(&mut Record::new(), None, false).unwrap();
        assert!(matches!(no, Edit::Leave(Done::OtherVersion(None))), "{no:?}");
    }

    #[test]
    fn a_write_that_happened_is_not_judged_again() {
        let order = order(&["on", "0"], "on=1", Some(2), false);
        let is_set = |record: &mut Record, is_maybe_written| {
            let done = order.carry_out(record, Some(&THIRD), is_maybe_written).unwrap();
            matches!(done, Edit::Write(Done::Set(_)))
        };
        let mut done = record(json!({"on": "0"}));
        assert!(is_set(&mut done, true));
        assert!(!is_set(&mut done, false));
        // Somebody else wrote something different: the conditions count.
        let mut other = record(json!({"on": "2"}));
        assert!(!is_set(&mut other, true));
    }

    #[test]
    fn a_dry_run_tells_what_would_change() {
        let order = order(&["a=1", "b.c:=[2]", "d=x", "a=1"], "", None, true);
        let mut host = record(json!({"a": "0", "d": "x"}));
        let done = order.carry_out(&mut host, Some(&THIRD), false).unwrap();
        let Edit::Leave(Done::WouldChange(lines)) = done else {
            panic!("something would change: {done:?}")
        };
        assert_eq!(lines, ["a: \"0\" -> \"1\"", "b.c: (none) -> [2]"]);
        let mut same = record(json!({"a": "1", "b": {"c": [2]}, "d": "x"}));
        let done = order.carry_out(&mut same, Some(&THIRD), false).unwrap();
        assert!(matches!(done, Edit::Write(_)), "{done:?}");
    }
}
