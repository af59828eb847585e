//! A value from stdin.

use farm_core::cli::{Exit, Failure};
use std::io::{self, Read};

/// A znode cannot hold more.
const VALUE_BYTES_MAX: usize = 1_000_000;

/// Reads all of stdin as one value, without its final newline.
pub(crate) fn read_value() -> Result<String, Failure> {
    read_from(&mut io::stdin().lock())
}

fn read_from(source: &mut impl Read) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let bytes_max = u64::try_from(VALUE_BYTES_MAX).unwrap_or(u64::MAX);
    // One byte more for the newline, and one to detect a value that is too large.
    source.take(bytes_max + 2).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(Exit::Malformed, "cannot read the value from stdin").because(error)
    })?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.len() > VALUE_BYTES_MAX {
        let what = format!("the value on stdin has more than {VALUE_BYTES_MAX} bytes");
        return Err(Failure::new(Exit::Malformed, what));
    }
    String::from_utf8(bytes).map_err(|error| {
        let error = error.utf8_error();
        Failure::new(Exit::Malformed, "the value on stdin is no text").because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_final_newline_is_dropped() {
        for (input, value) in
            [("", ""), ("a", "a"), ("a\n", "a"), ("a\n\n", "a\n"), ("\n", ""), ("a\nb\n", "a\nb")]
        {
            assert_eq!(read_from(&mut input.as_bytes()).unwrap(), value, "{input:?}");
        }
    }

    #[test]
    fn the_size_is_bounded_to_the_byte() {
        let most = "x".repeat(VALUE_BYTES_MAX);
        assert_eq!(read_from(&mut most.as_bytes()).unwrap(), most);
        assert_eq!(read_from(&mut format!("{most}\n").as_bytes()).unwrap(), most);
        for input in [format!("{most}x"), format!("{most}x\n"), format!("{most}\n\n")] {
            let failure = read_from(&mut input.as_bytes()).unwrap_err();
            assert_eq!(failure.exit(), Exit::Malformed);
        }
        // An endless source does not exhaust the memory.
        assert!(read_from(&mut io::repeat(b'x')).is_err());
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let failure = read_from(&mut [b'a', 0xff].as_slice()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Malformed);
        assert!(failure.render("zkctl").contains("no text"));
    }
}
