//! What can be wrong with bytes that should be a record.

use std::str::Utf8Error;

use serde_saphyr::SerializeError;
use serde_saphyr::granit_parser::ScanError;

use crate::model::{DEPTH_MAX, FieldPath, RESERVED_KEY};

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not text.
    #[error("not UTF-8")]
    NotUtf8(#[source] Utf8Error),
    /// The text is no JSON.
    #[error("malformed JSON")]
    Json(#[source] serde_json::Error),
    /// A number is NaN or infinite, as Python's `json` writes it.
    #[error("malformed JSON: NaN or Infinity at line {line} column {column}")]
    JsonNotFinite {
        /// The line, counted from 1.
        line: usize,
        /// The byte in the line, counted from 1.
        column: usize,
    },
    /// The text is no YAML.
    #[error("malformed YAML")]
    Yaml(#[source] Box<ScanError>),
    /// The text is YAML, but one field cannot be had as it is written.
    #[error("{}{fault}", at(.field))]
    Field {
        /// Which field; without keys it is the document itself.
        field: FieldPath,
        /// What is wrong with it.
        fault: FieldFault,
    },
    /// The document is well formed, but it is no object.
    #[error("not an object")]
    NotAnObject,
    /// An object uses the key that is kept back, see [`RESERVED_KEY`].
    #[error("the key {RESERVED_KEY:?} is reserved")]
    ReservedKey,
    /// More than [`DEPTH_MAX`] objects and lists stand in one another.
    #[error("nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// The document is larger than this codec reads, written out or with its
    /// aliases filled in.
    #[error("more than {bytes_max} bytes")]
    TooLarge {
        /// How many bytes it reads at most.
        bytes_max: usize,
    },
    /// A second document follows the first.
    #[error("more than one document")]
    ManyDocuments,
}

/// What keeps a YAML field from being a value of ours.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum FieldFault {
    /// The number is not finite.
    #[error("a number that is not finite")]
    NotFinite,
    /// The same key stands twice in one mapping.
    #[error("the key stands there twice")]
    DuplicateKey,
    /// A key is a list, a mapping or an alias.
    #[error("a key that is no plain text")]
    ComplexKey,
    /// The tag is none of YAML's own.
    #[error("an unknown tag")]
    UnknownTag,
    /// The value is not of the type that its tag says.
    #[error("a value that does not fit its tag")]
    TagMismatch,
    /// An alias stands within the value that it refers to.
    #[error("an alias within the value it refers to")]
    Cycle,
    /// `<<` is given something else than mappings.
    #[error("<< merges mappings only")]
    MergeOfValues,
}

/// Why a record or a farm cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The YAML library refused a text.
    #[error("cannot be written as YAML")]
    Yaml(#[source] Box<SerializeError>),
}

/// Where the fault is, unless it is the document itself.
fn at(field: &FieldPath) -> String {
    if field.keys().is_empty() { String::new() } else { format!("field {field}: ") }
}
