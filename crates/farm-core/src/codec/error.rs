//! What can be wrong with bytes that should be a record.

use std::error::Error;
use std::fmt;
use std::str::Utf8Error;

use serde_saphyr::SerializeError;
use serde_saphyr::granit_parser::ScanError;

use crate::model::{DEPTH_MAX, FieldPath, RESERVED_KEY};

/// Why bytes are no record.
#[derive(Debug)]
pub enum DecodeError {
    /// The bytes are not text.
    NotUtf8(Utf8Error),
    /// The text is no JSON.
    Json(serde_json::Error),
    /// A number is NaN or infinite, as Python's `json` writes it.
    JsonNotFinite {
        /// The line, counted from 1.
        line: usize,
        /// The byte in the line, counted from 1.
        column: usize,
    },
    /// The text is no YAML.
    Yaml(Box<ScanError>),
    /// The text is YAML, but one field cannot be had as it is written.
    Field {
        /// Which field; without keys it is the document itself.
        field: FieldPath,
        /// What is wrong with it.
        fault: FieldFault,
    },
    /// The document is well formed, but it is no object.
    NotAnObject,
    /// An object uses the key that is kept back, see [`RESERVED_KEY`].
    ReservedKey,
    /// More than [`DEPTH_MAX`] objects and lists stand in one another.
    TooDeep,
    /// The document is larger than this codec reads, written out or with its
    /// aliases filled in.
    TooLarge {
        /// How many bytes it reads at most.
        bytes_max: usize,
    },
    /// A second document follows the first.
    ManyDocuments,
}

/// What keeps a YAML field from being a value of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldFault {
    /// The number is not finite.
    NotFinite,
    /// The same key stands twice in one mapping.
    DuplicateKey,
    /// A key is a list, a mapping or an alias.
    ComplexKey,
    /// The tag is none of YAML's own.
    UnknownTag,
    /// The value is not of the type that its tag says.
    TagMismatch,
    /// An alias stands within the value that it refers to.
    Cycle,
    /// `<<` is given something else than mappings.
    MergeOfValues,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8(_) => f.write_str("not UTF-8"),
            Self::Json(_) => f.write_str("malformed JSON"),
            Self::JsonNotFinite { line, column } => {
                write!(f, "malformed JSON: NaN or Infinity at line {line} column {column}")
            }
            Self::Yaml(_) => f.write_str("malformed YAML"),
            Self::Field { field, fault } if field.keys().is_empty() => fault.fmt(f),
            Self::Field { field, fault } => write!(f, "field {field}: {fault}"),
            Self::NotAnObject => f.write_str("not an object"),
            Self::ReservedKey => write!(f, "the key {RESERVED_KEY:?} is reserved"),
            Self::TooDeep => write!(f, "nested more than {DEPTH_MAX} deep"),
            Self::TooLarge { bytes_max } => write!(f, "more than {bytes_max} bytes"),
            Self::ManyDocuments => f.write_str("more than one document"),
        }
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "a number that is not finite",
            Self::DuplicateKey => "the key stands there twice",
            Self::ComplexKey => "a key that is no plain text",
            Self::UnknownTag => "an unknown tag",
            Self::TagMismatch => "a value that does not fit its tag",
            Self::Cycle => "an alias within the value it refers to",
            Self::MergeOfValues => "<< merges mappings only",
        })
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotUtf8(cause) => Some(cause),
            Self::Json(cause) => Some(cause),
            Self::Yaml(cause) => Some(cause),
            Self::JsonNotFinite { .. }
            | Self::Field { .. }
            | Self::NotAnObject
            | Self::ReservedKey
            | Self::TooDeep
            | Self::TooLarge { .. }
            | Self::ManyDocuments => None,
        }
    }
}

/// Why a record or a farm cannot be written.
#[derive(Debug)]
pub enum EncodeError {
    /// The YAML library refused a text.
    Yaml(Box<SerializeError>),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml(_) => f.write_str("cannot be written as YAML"),
        }
    }
}

impl Error for EncodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Yaml(cause) => Some(cause),
        }
    }
}
