//! The field that takes this host out of the rotation: setting it and restoring it.
//!
//! A field of a record, usually of this host's own, gets a value before the child is stopped, and
//! its former value when the child is healthy again.
//!
//! **Invariant.** Values of other writers are never overwritten: only our own value is replaced by
//! the former one. The former value is kept as long as an attempt to set the field may have
//! succeeded.

use crate::engine::chain;
use crate::farm::{EditError, edit_record};
use crate::model::{Assignment, AssignmentError, FieldPath, Record, Retyped, SetError, Value};
use crate::session::{Client, PathError, SessionError, ZnodePath};
use std::time::Instant;

/// The argument of `--drain`: the znode, the field in its record, and the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    pub(super) path: ZnodePath,
    pub(super) assignment: Assignment,
}

impl Drain {
    /// Parses `ZNODE:FIELD=VALUE`, or `ZNODE:FIELD:=JSON` for a value with a type. The field is
    /// the text between the last colon and the first `=`. So the znode may have colons in its
    /// name, but no `=`, and a colon in the field is written `\u{3A}`.
    ///
    /// # Errors
    ///
    /// [`DrainError`], for the part that is missing or wrong.
    pub fn parse(text: &str) -> Result<Self, DrainError> {
        let Some(sign) = text.find('=') else { return Err(DrainError::NoSign) };
        let before = &text[..sign];
        let named = before.strip_suffix(':').unwrap_or(before);
        let Some((path, _)) = named.rsplit_once(':') else { return Err(DrainError::NoField) };
        let assignment = Assignment::parse(&text[path.len() + 1..]);
        Ok(Self {
            assignment: assignment.map_err(DrainError::Assignment)?,
            path: ZnodePath::parse(path).map_err(DrainError::Znode)?,
        })
    }

    /// Sets the field, on a request thread. `former` is from an earlier attempt that may have
    /// succeeded, or that was never restored. If the field still holds the value of that attempt,
    /// it is ours already.
    ///
    /// # Errors
    ///
    /// [`Undrained`], with what the next attempt needs.
    pub(crate) fn drain(
        &self,
        client: &Client,
        former: Option<Drained>,
        until: Instant,
    ) -> Result<Drained, Undrained> {
        let mut drained = former.clone();
        let edited = edit_record(client, &self.path, until, |record| {
            let now = self.apply(record, former.as_ref())?;
            drained = Some(now.clone());
            Ok(now)
        });
        edited.map_err(|error| {
            let drained = if may_be_written(&error) { drained } else { former };
            Undrained { error, drained: drained.map(Box::new) }
        })
    }

    fn apply(&self, record: &mut Record, former: Option<&Drained>) -> Result<Drained, SetError> {
        let field = self.assignment.field();
        let was = record.get(field).cloned();
        if let Some(former) = former
            && was.as_ref() == Some(&former.set)
        {
            return Ok(former.clone());
        }
        let keys_found = keys_found(record, field);
        let retyped = self.assignment.apply(record)?;
        let set = record.get(field).cloned().unwrap_or_default();
        Ok(Drained { was, set, keys_found, retyped })
    }

    /// Puts the former value back, on a request thread, if the field holds ours. Can be repeated.
    ///
    /// # Errors
    ///
    /// Those of [`edit_record`].
    pub(crate) fn restore(
        &self,
        client: &Client,
        drained: &Drained,
        until: Instant,
    ) -> Result<Restored, EditError<SetError>> {
        edit_record(client, &self.path, until, |record| {
            drained.put_back(record, self.assignment.field())
        })
    }
}

/// Whether the write may have happened in spite of this error.
fn may_be_written(error: &EditError<SetError>) -> bool {
    match error {
        EditError::Session(SessionError::Garbled(_)) => true,
        EditError::Session(error) => error.is_transient(),
        EditError::Malformed { .. }
        | EditError::TooLarge { .. }
        | EditError::Refused(_)
        | EditError::Contended { .. } => false,
    }
}

/// How many keys of the field's path, from the top, exist in the record.
fn keys_found(record: &Record, field: &FieldPath) -> usize {
    let depths = 1..=field.keys().len();
    depths.take_while(|&depth| record.get(&top(field, depth)).is_some()).count()
}

fn top(field: &FieldPath, depth: usize) -> FieldPath {
    FieldPath::from_keys(field.keys()[..depth].to_vec())
}

/// The former value of the field, and the one that we set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drained {
    pub(super) was: Option<Value>,
    pub(super) set: Value,
    /// How many keys of the path existed; we added the others.
    pub(super) keys_found: usize,
    pub(super) retyped: Option<Retyped>,
}

impl Drained {
    /// The number or bool that became a string, for a warning.
    #[must_use]
    pub(crate) const fn retyped(&self) -> Option<&Retyped> {
        self.retyped.as_ref()
    }

    fn put_back(&self, record: &mut Record, field: &FieldPath) -> Result<Restored, SetError> {
        let present = record.get(field);
        if present == self.was.as_ref() {
            return Ok(Restored::Back);
        }
        if present != Some(&self.set) {
            return Ok(Restored::Overruled);
        }
        record.unset(field);
        if let Some(was) = &self.was {
            record.set(field, was.clone())?;
            return Ok(Restored::Back);
        }
        for depth in (self.keys_found + 1..field.keys().len()).rev() {
            let above = top(field, depth);
            let is_empty =
                record.get(&above).and_then(Value::as_object).is_some_and(|o| o.is_empty());
            if !is_empty {
                break;
            }
            record.unset(&above);
        }
        Ok(Restored::Back)
    }
}

/// How the field was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restored {
    /// It holds its former value.
    Back,
    /// Another writer has changed it meanwhile, and it keeps that value.
    Overruled,
    /// We never set it.
    Untouched,
}

/// The field was not set, or it is unknown whether it was.
#[derive(Debug)]
pub(crate) struct Undrained {
    /// Why.
    pub(crate) error: EditError<SetError>,
    /// For the next attempt or the restoration, if the field may have been set.
    pub(crate) drained: Option<Box<Drained>>,
}

/// The form of the argument of `--drain`.
const FORM: &str = "ZNODE:FIELD=VALUE";

/// Why an argument of `--drain` is invalid.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// There is no `=`.
    #[error("there is no =: the form is {FORM}")]
    NoSign,
    /// There is no colon in front of the field.
    #[error("there is no colon before the field: the form is {FORM}")]
    NoField,
    /// The znode is not a valid path.
    #[error(transparent)]
    Znode(PathError),
    /// The rest is not a valid assignment.
    // clap shows an error without its source.
    #[error("{}", chain(.0))]
    Assignment(AssignmentError),
}
