//! Why bytes are not a record, and why a record cannot be encoded.

use std::str::Utf8Error;

use serde_saphyr::SerializeError;
use serde_saphyr::granit_parser::ScanError;

use crate::model::{DEPTH_MAX, FieldPath, RESERVED_KEY};

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not text.
    #[error("not UTF-8")]
    NotUtf8(#[source] Utf8Error),
    /// The text is not JSON.
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
    /// The text is not YAML.
    #[error("malformed YAML")]
    Yaml(#[source] Box<ScanError>),
    /// The text is YAML, but one field has no value of ours.
    #[error("{}{fault}", at(.field))]
    Field {
        /// The field; without keys, the document itself.
        field: FieldPath,
        /// What is wrong with it.
        fault: FieldFault,
    },
    /// The document is well formed, but not an object.
    #[error("not an object")]
    NotAnObject,
    /// An object has the key [`RESERVED_KEY`].
    #[error("the key {RESERVED_KEY:?} is reserved")]
    ReservedKey,
    /// More than [`DEPTH_MAX`] objects and lists nest.
    #[error("nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// The document is larger than this codec reads, as it is or with its aliases
    /// expanded.
    #[error("more than {bytes_max} bytes")]
    TooLarge {
        /// The most bytes that the codec reads.
        bytes_max: usize,
    },
    /// There are more values than a record may have.
    #[error("more than {values_max} values")]
    TooManyValues {
        /// How many it may have.
        values_max: usize,
    },
    /// The values nest so deeply that most of the text for people would be blanks.
    #[error("indented, it would be more than {factor} times as long")]
    TooIndented {
        /// How many times as long it may be.
        factor: usize,
    },
    /// Text has a character that is no part of one.
    #[error("the control character U+{:04X}", u32::from(*.character))]
    Control {
        /// The first of them.
        character: char,
    },
    /// A piece of what should be keys and values has no key, or no separator.
    #[error("line or part {number} has neither = nor :, or nothing before it")]
    NoPair {
        /// Its number, counted from 1.
        number: usize,
    },
    /// A second document follows the first.
    #[error("more than one document")]
    ManyDocuments,
}

/// Why a YAML field has no value of ours.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum FieldFault {
    /// The number is not finite.
    #[error("a number that is not finite")]
    NotFinite,
    /// One mapping has the same key twice.
    #[error("the key is there twice")]
    DuplicateKey,
    /// A key is a list, a mapping or an alias.
    #[error("a key that is not plain text")]
    ComplexKey,
    /// The tag is not one of YAML's own.
    #[error("an unknown tag")]
    UnknownTag,
    /// The value does not have the type of its tag.
    #[error("a value that does not fit its tag")]
    TagMismatch,
    /// An alias is within the value that it refers to.
    #[error("an alias within the value it refers to")]
    Cycle,
    /// The value of `<<` is neither a mapping nor a list of mappings.
    #[error("<< merges mappings only")]
    MergeOfValues,
}

/// Why a record or a farm cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The YAML library refused a text.
    #[error("cannot be written as YAML")]
    Yaml(#[source] Box<SerializeError>),
    /// The process has been told to stop.
    #[error("told to stop")]
    Stopped,
}

/// Names the field, unless it is the document itself.
fn at(field: &FieldPath) -> String {
    if field.keys().is_empty() { String::new() } else { format!("field {field}: ") }
}
