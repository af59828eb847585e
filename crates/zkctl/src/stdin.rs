//! A value, or the bytes of a znode, from stdin.
//!
//! **Invariant.** Little more than a znode can hold is ever in memory.

use farm_core::cli::{Exit, Failure};
use farm_core::session::DATA_BYTES_MAX;
use std::io::{self, Read};

/// Reads all of stdin as it is.
pub(crate) fn read_bytes() -> Result<Vec<u8>, Failure> {
    bytes_from(&mut io::stdin().lock())
}

/// Reads all of stdin as one value, without its final newline.
pub(crate) fn read_value() -> Result<String, Failure> {
    value_from(&mut io::stdin().lock())
}

fn bytes_from(source: &mut impl Read) -> Result<Vec<u8>, Failure> {
    // One byte more, to detect bytes that are too many.
    let bytes = read_start(source, DATA_BYTES_MAX + 1)
        .map_err(|error| Failure::new(Exit::Malformed, "cannot read stdin").because(error))?;
    if bytes.len() > DATA_BYTES_MAX {
        return Err(too_large("stdin"));
    }
    Ok(bytes)
}

fn value_from(source: &mut impl Read) -> Result<String, Failure> {
    // One byte more for the newline, and one to detect a value that is too large.
    let mut bytes = read_start(source, DATA_BYTES_MAX + 2).map_err(|error| {
        Failure::new(Exit::Malformed, "cannot read the value from stdin").because(error)
    })?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.len() > DATA_BYTES_MAX {
        return Err(too_large("the value on stdin"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let error = error.utf8_error();
        Failure::new(Exit::Malformed, "the value on stdin is no text").because(error)
    })
}

fn too_large(what: &str) -> Failure {
    Failure::new(Exit::Malformed, format!("{what} has more than {DATA_BYTES_MAX} bytes"))
}

/// Reads at most the first `count` bytes.
fn read_start(source: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(u64::try_from(count).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_final_newline_is_dropped() {
        for (input, value) in
            [("", ""), ("a", "a"), ("a\n", "a"), ("a\n\n", "a\n"), ("\n", ""), ("a\nb\n", "a\nb")]
        {
            assert_eq!(value_from(&mut input.as_bytes()).unwrap(), value, "{input:?}");
        }
    }

    #[test]
    fn the_size_is_bounded_to_the_byte() {
        let most = "x".repeat(DATA_BYTES_MAX);
        assert_eq!(value_from(&mut most.as_bytes()).unwrap(), most);
        assert_eq!(value_from(&mut format!("{most}\n").as_bytes()).unwrap(), most);
        for input in [format!("{most}x"), format!("{most}x\n"), format!("{most}\n\n")] {
            let failure = value_from(&mut input.as_bytes()).unwrap_err();
            assert_eq!(failure.exit(), Exit::Malformed);
        }
        // An endless source does not exhaust the memory.
        assert!(value_from(&mut io::repeat(b'x')).is_err());
    }

    #[test]
    fn bytes_are_read_as_they_are_up_to_the_bound() {
        let all: Vec<u8> = (0..=255).collect();
        let most = vec![b'\n'; DATA_BYTES_MAX];
        for bytes in [&b""[..], b"\n", b"a\r\n\n", b"\xef\xbb\xbfa", &all, &most] {
            assert_eq!(bytes_from(&mut &*bytes).unwrap(), bytes);
        }
        for source in [&mut most.chain(&b"\n"[..]) as &mut dyn Read, &mut io::repeat(0)] {
            let failure = bytes_from(&mut { source }).unwrap_err();
            assert_eq!(failure.exit(), Exit::Malformed);
            assert_eq!(failure.line(), "stdin has more than 1000000 bytes");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let failure = value_from(&mut [b'a', 0xff].as_slice()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Malformed);
        assert!(failure.render("zkctl").contains("no text"));
    }
}
