//! Values only: records, fields, filters, farms. No I/O, no clock, no ZooKeeper.
//!
//! **Invariant.** No value from [`Record::set`] or a codec nests deeper than
//! [`DEPTH_MAX`] objects and lists, so every walk over a record may recurse.

mod assignment;
mod depth;
mod farm;
mod field;
mod health;
mod merge;
mod numeric;
mod order;
mod packed;
mod predicate;
mod record;
mod selection;

pub use assignment::{Assignment, AssignmentError, Retyped, bool_from, number_from};
pub use depth::{DEPTH_MAX, height};
pub use farm::{Farm, HOST_NAME_BYTES_MAX, HostName, HostNameError, raise_size};
pub use field::{FieldPath, FieldPathError};
pub use health::{
    Allowance, AllowanceError, HOSTS_MAX, Health, Hosts, Limits, RunningFilterError, SizeError,
    Verdict, farm_size, running_filter,
};
pub use merge::{Conflict, Merge, merge, merge_base};
pub use order::Rank;
pub use packed::{PARSED_BYTES_MAX, PackedRecord};
pub use predicate::{Comparison, Filter, FilterError, FilterFault, Predicate};
pub use record::{RESERVED_KEY, Record, SetError};
pub use selection::Selection;

pub use serde_json::{Map, Number, Value};
