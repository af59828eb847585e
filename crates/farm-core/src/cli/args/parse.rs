//! `--parse`: how the bytes of znodes are read.

use crate::codec::Parse;
use clap::Args;

/// How the bytes of znodes are read.
#[derive(Debug, Clone, Copy, Args)]
pub struct ParseArg {
    /// How the data of a znode is read: json, text, keyvalue or none
    #[arg(long, value_name = "HOW", default_value = "json")]
    pub parse: Parse,
}
