//! The answer on stdout.
//!
//! **Invariant.** A pipe or a file gets every byte as it is. A terminal gets nothing that it
//! would act on.

use crate::engine::printable_lines;
use std::borrow::Cow;
use std::io::{self, IsTerminal};

/// The bytes of whole lines as stdout is to get them.
#[must_use]
pub fn for_stdout(bytes: &[u8]) -> Cow<'_, [u8]> {
    if io::stdout().is_terminal() { printable_lines(bytes) } else { Cow::Borrowed(bytes) }
}
