//! Taking this host out of the rotation while its child is down.
//!
//! A field of a record, most likely of this host's own, is given a value before the
//! child is stopped, and gets its former one back when the child is well again.
//!
//! **Invariant.** What others wrote is never touched: only our own value is replaced
//! by the former one. What stood there before our first attempt is known as long as
//! that attempt may have been one that succeeded.

mod drainer;
#[cfg(test)]
mod tests;

pub(crate) use drainer::{Answer, Drainer, Event, News};

use crate::engine::chain;
use crate::farm::{EditError, edit_record};
use crate::model::{Assignment, AssignmentError, FieldPath, Record, Retyped, SetError, Value};
use crate::session::{Client, PathError, SessionError, ZnodePath};
use std::time::Instant;

/// What `--drain` says: the znode, the field in its record, and the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    path: ZnodePath,
    assignment: Assignment,
}

impl Drain {
    /// Reads `ZNODE:FIELD=VALUE`, or `ZNODE:FIELD:=JSON` for a value whose type is
    /// given. What stands between the last colon and the first `=` is the field, so
    /// the znode may have colons in its name, but no `=`; a colon in the field is
    /// written `\u{3A}`.
    ///
    /// # Errors
    ///
    /// [`DrainError`], which says which part is missing or wrong.
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

    /// Sets the field, on a courier. `former` is what an earlier attempt has left
    /// whose end is unknown, or that was never restored; if the field still holds what
    /// that one set, it is ours already.
    ///
    /// # Errors
    ///
    /// [`Undrained`], with what a next attempt has to know.
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

    /// Puts the former value back, on a courier, if the field holds ours. To do it
    /// twice does no harm.
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

/// May the write have happened although it ended like this?
fn may_be_written(error: &EditError<SetError>) -> bool {
    match error {
        EditError::Session(SessionError::Garbled(_)) => true,
        EditError::Session(error) => error.is_transient(),
        EditError::Malformed { .. } | EditError::Refused(_) | EditError::Contended { .. } => false,
    }
}

/// How many keys of the field's path, from the top, lead to something.
fn keys_found(record: &Record, field: &FieldPath) -> usize {
    let depths = 1..=field.keys().len();
    depths.take_while(|&depth| record.get(&top(field, depth)).is_some()).count()
}

fn top(field: &FieldPath, depth: usize) -> FieldPath {
    FieldPath::from_keys(field.keys()[..depth].to_vec())
}

/// What stood in the field, and what we put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drained {
    was: Option<Value>,
    set: Value,
    /// How many keys of the path were there; the others were made.
    keys_found: usize,
    retyped: Option<Retyped>,
}

impl Drained {
    /// The number or bool that became a string, which is worth a warning.
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
    /// It holds what it held before.
    Back,
    /// Somebody has changed it meanwhile, and that stands.
    Overruled,
    /// It was never set.
    Untouched,
}

/// The field was not set, as far as is known.
#[derive(Debug)]
pub(crate) struct Undrained {
    /// Why.
    pub(crate) error: EditError<SetError>,
    /// What a next attempt, or a restoration, has to know: it may have been set.
    pub(crate) drained: Option<Box<Drained>>,
}

/// What `--drain` takes.
const FORM: &str = "ZNODE:FIELD=VALUE";

/// A text that does not say what to drain.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// There is no `=`.
    #[error("there is no = in it: it has to be {FORM}")]
    NoSign,
    /// There is no colon in front of the field.
    #[error("there is no colon before the =: it has to be {FORM}")]
    NoField,
    /// The znode is no path.
    #[error(transparent)]
    Znode(PathError),
    /// The rest is no assignment.
    // clap shows an error without its source.
    #[error("{}", chain(.0))]
    Assignment(AssignmentError),
}
