//! Bytes to records and back: one file per format.
//!
//! **Invariant.** What a codec reads is a record or an error that says what is
//! wrong with the bytes; nothing unreadable ever becomes an empty record.

pub mod dir;
mod error;
mod format;
pub mod json;
pub mod php;
pub mod yaml;

pub use error::{DecodeError, EncodeError, FieldFault};
pub use format::{Format, FormatError};

use crate::model::{Farm, Record};

/// Reads one record from the bytes of a file.
///
/// # Errors
///
/// [`DecodeError`] when the bytes are no record in this format, and for the
/// formats that are not read from bytes at all.
pub fn decode(format: Format, bytes: &[u8]) -> Result<Record, DecodeError> {
    match format {
        Format::Json => json::decode(bytes),
        Format::Yaml => yaml::decode(bytes),
        Format::Php => Err(DecodeError::WriteOnly(format)),
        Format::Dir => Err(DecodeError::NotBytes(format)),
    }
}

/// Writes one record for a file that people read.
///
/// # Errors
///
/// [`EncodeError::NotBytes`] for a directory, which is no file.
pub fn encode_record(format: Format, record: &Record) -> Result<Vec<u8>, EncodeError> {
    match format {
        Format::Json => Ok(json::encode_record(record)),
        Format::Yaml => yaml::encode_record(record),
        Format::Php => Ok(php::encode_record(record)),
        Format::Dir => Err(EncodeError::NotBytes(format)),
    }
}

/// Writes a whole farm for a file that people read: an object from host name to record.
///
/// # Errors
///
/// [`EncodeError::NotBytes`] for a directory, which is no file.
pub fn encode_farm(format: Format, farm: &Farm) -> Result<Vec<u8>, EncodeError> {
    match format {
        Format::Json => Ok(json::encode_farm(farm)),
        Format::Yaml => yaml::encode_farm(farm),
        Format::Php => Ok(php::encode_farm(farm)),
        Format::Dir => Err(EncodeError::NotBytes(format)),
    }
}
