//! `zkctl unset`: removes fields of a record.

use super::field::parse_field;
use crate::connection::Connection;
use clap::Args;
use farm_core::cli::{Exit, Failure};
use farm_core::farm::{EditError, edit_record};
use farm_core::model::{FieldPath, Record};
use farm_core::session::ZnodePath;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};

const EXAMPLES: &str = "\
Examples:
  zkctl unset /services/db/1.2.3.4 maintenance
  zkctl unset /services/db/1.2.3.4 mysql.replication_delay note
  zkctl unset --strict /services/db/1.2.3.4 maintenance";

/// Remove fields from the record of a znode
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct UnsetArgs {
    /// Change this znode
    #[arg(value_name = "PATH")]
    path: String,

    /// Remove these fields; a.b is the field b inside a
    #[arg(value_name = "FIELD", required = true)]
    fields: Vec<String>,

    /// Change nothing and exit with 1 if a field is missing
    #[arg(long)]
    strict: bool,
}

pub(crate) fn unset(args: &UnsetArgs, connection: &Connection) -> Result<Exit, Failure> {
    let path = ZnodePath::parse(&args.path)?;
    let fields = args.fields.iter().map(|text| parse_field(text));
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    // When the connection breaks after we saw all fields, we may have removed them. A
    // missing field is no error then.
    let is_strict = AtomicBool::new(args.strict);
    let target = path.clone();
    let edited = connection.ask(move |client, deadline| {
        let mut has_removed = false;
        let change = |record: &mut Record| {
            let removed = remove(record, &fields, is_strict.load(Ordering::Relaxed));
            has_removed |= removed.is_ok();
            Ok::<_, Infallible>(removed)
        };
        match edit_record(client, &target, deadline, change) {
            Err(EditError::Session(error)) => {
                is_strict.fetch_and(!has_removed, Ordering::Relaxed);
                Err(error)
            }
            other => Ok(other.map_err(Failure::from)),
        }
    })?;
    edited?.map(|()| Exit::Done).map_err(|field| absent(&path, &field))
}

fn absent(path: &ZnodePath, field: &FieldPath) -> Failure {
    Failure::new(Exit::No, format!("{path} has no field {field}"))
}

/// Removes the fields. If `is_strict` and one is missing, removes none and returns that one.
fn remove(record: &mut Record, fields: &[FieldPath], is_strict: bool) -> Result<(), FieldPath> {
    if is_strict && let Some(field) = fields.iter().find(|field| record.get(field).is_none()) {
        return Err(field.clone());
    }
    for field in fields {
        record.unset(field);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(names: &[&str]) -> Vec<FieldPath> {
        names.iter().map(|name| FieldPath::parse(name).unwrap()).collect()
    }

    fn host() -> Record {
        let value = json!({"a": {"b": 1, "c": 2}, "d": "x"});
        Record::from_map(value.as_object().unwrap().clone())
    }

    #[test]
    fn absent_fields_are_no_error() {
        let mut record = host();
        remove(&mut record, &fields(&["a.b", "z", "d.e", "a.b"]), false).unwrap();
        assert_eq!(serde_json::Value::Object(record.into_map()), json!({"a": {"c": 2}, "d": "x"}));
    }

    #[test]
    fn strict_changes_nothing_if_a_field_is_absent() {
        let mut record = host();
        let refusal = remove(&mut record, &fields(&["d", "a.z"]), true).unwrap_err();
        assert_eq!(record, host());
        let failure = absent(&ZnodePath::root(), &refusal);
        assert_eq!(failure.exit(), Exit::No);
        assert_eq!(failure.render("zkctl"), "zkctl: / has no field a.z\n");
        remove(&mut record, &fields(&["d", "a.c"]), true).unwrap();
        assert_eq!(serde_json::Value::Object(record.into_map()), json!({"a": {"b": 1}}));
    }
}
