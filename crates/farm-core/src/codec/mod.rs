//! Bytes to records and back: one file per format.
//!
//! **Invariant.** A codec returns a record, or an error that says what is wrong with
//! the bytes. Unreadable bytes never become an empty record. A byte order mark at the
//! start of the bytes is dropped. What is decoded is within [the bounds](bounds).

mod bounds;
pub mod dir;
mod error;
mod format;
pub mod json;
mod parse;
pub mod php;
pub mod yaml;

pub use bounds::{RECORD_BYTES_MAX, VALUES_MAX};
pub use error::{DecodeError, EncodeError, FieldFault};
pub use format::{ConfFormat, ConfText, ExportFormat, FormatError, TextFormat};
pub use parse::{Decoded, Malformed, Parse, ParseNameError};

use crate::model::{Farm, Record};

/// Reads one record from the bytes of a file.
///
/// # Errors
///
/// [`DecodeError`] if the bytes are not a record in this format.
pub fn decode(format: ConfText, bytes: &[u8]) -> Result<Record, DecodeError> {
    match format {
        ConfText::Json => json::decode(bytes),
        ConfText::Yaml => yaml::decode(bytes),
    }
}

/// Encodes one record for a file that people read.
///
/// # Errors
///
/// [`EncodeError`] for a text that YAML cannot express.
pub fn encode_record(
    format: impl Into<TextFormat>,
    record: &Record,
) -> Result<Vec<u8>, EncodeError> {
    match format.into() {
        TextFormat::Json => Ok(json::encode_record(record)),
        TextFormat::Yaml => yaml::encode_record(record),
        TextFormat::Php => Ok(php::encode_record(record)),
    }
}

/// Encodes a farm for a file that people read: an object from host name to record.
///
/// # Errors
///
/// [`EncodeError`] for a text that YAML cannot express, and if the process has been told to stop.
pub fn encode_farm(format: impl Into<TextFormat>, farm: &Farm) -> Result<Vec<u8>, EncodeError> {
    match format.into() {
        TextFormat::Json => json::encode_farm(farm),
        TextFormat::Yaml => yaml::encode_farm(farm),
        TextFormat::Php => php::encode_farm(farm),
    }
}
