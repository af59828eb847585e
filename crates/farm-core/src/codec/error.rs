//! What can be wrong with bytes that should be a record.

use std::str::Utf8Error;

use serde_saphyr::SerializeError;
use serde_saphyr::granit_parser::ScanError;

use crate::model::{DEPTH_MAX, FieldPath, RESERVED_KEY};

errors! {
    /// Why bytes are no record.
    #[derive(Debug)]
    pub enum DecodeError {
        /// The bytes are not text.
        NotUtf8(error: Utf8Error) => "not UTF-8" from error,
        /// The text is no JSON.
        Json(error: serde_json::Error) => "malformed JSON" from error,
        /// A number is NaN or infinite, as Python's `json` writes it.
        JsonNotFinite {
            /// The line, counted from 1.
            line: usize,
            /// The byte in the line, counted from 1.
            column: usize,
        } => "malformed JSON: NaN or Infinity at line {line} column {column}",
        /// The text is no YAML.
        Yaml(error: Box<ScanError>) => "malformed YAML" from error,
        /// The text is YAML, but one field cannot be had as it is written.
        Field {
            /// Which field; without keys it is the document itself.
            field: FieldPath,
            /// What is wrong with it.
            fault: FieldFault,
        } => "{}{fault}" (at(field)),
        /// The document is well formed, but it is no object.
        NotAnObject => "not an object",
        /// An object uses the key that is kept back, see [`RESERVED_KEY`].
        ReservedKey => "the key {RESERVED_KEY:?} is reserved",
        /// More than [`DEPTH_MAX`] objects and lists stand in one another.
        TooDeep => "nested more than {DEPTH_MAX} deep",
        /// The document is larger than this codec reads, written out or with its
        /// aliases filled in.
        TooLarge {
            /// How many bytes it reads at most.
            bytes_max: usize,
        } => "more than {bytes_max} bytes",
        /// A second document follows the first.
        ManyDocuments => "more than one document",
    }

    /// What keeps a YAML field from being a value of ours.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum FieldFault {
        /// The number is not finite.
        NotFinite => "a number that is not finite",
        /// The same key stands twice in one mapping.
        DuplicateKey => "the key stands there twice",
        /// A key is a list, a mapping or an alias.
        ComplexKey => "a key that is no plain text",
        /// The tag is none of YAML's own.
        UnknownTag => "an unknown tag",
        /// The value is not of the type that its tag says.
        TagMismatch => "a value that does not fit its tag",
        /// An alias stands within the value that it refers to.
        Cycle => "an alias within the value it refers to",
        /// `<<` is given something else than mappings.
        MergeOfValues => "<< merges mappings only",
    }

    /// Why a record or a farm cannot be written.
    #[derive(Debug)]
    pub enum EncodeError {
        /// The YAML library refused a text.
        Yaml(error: Box<SerializeError>) => "cannot be written as YAML" from error,
    }
}

/// Where the fault is, unless it is the document itself.
fn at(field: &FieldPath) -> String {
    if field.keys().is_empty() { String::new() } else { format!("field {field}: ") }
}
