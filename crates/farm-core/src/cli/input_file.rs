//! A file that the command line names as the input.
//!
//! **Invariant.** Reading it ends, whatever the path leads to: only a regular file is read, and of
//! one that is too large only the beginning.

use super::exit::{Exit, exit_for_read_error};
use super::exit_reason::UNSAFE_LINK_HINT;
use super::failure::Failure;
use crate::host::resolve::{UnsafeLink, open};
use nix::fcntl::OFlag;
use std::io::{self, Read};
use std::path::Path;

/// Reads a regular file as it is.
///
/// # Errors
///
/// A [`Failure`] that names the file: one that cannot be read, that is not a regular file, or that
/// has more than `bytes_max`.
pub fn read_file(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let name = format!("{:?}", path.display().to_string());
    let cannot_read = |error| read_failure(format!("cannot read {name}"), error);
    // To open a pipe would block until it has a writer.
    let file = open(path, OFlag::O_NONBLOCK).map_err(cannot_read)?;
    let kind = file.metadata().map_err(cannot_read)?.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() { "it is a directory" } else { "it is not a regular file" };
        return Err(Failure::new(Exit::Configuration, format!("cannot read {name}: {what}"))
            .hint("name a regular file, or - for stdin"));
    }
    let mut bytes = Vec::new();
    // One byte more, to detect a file that is too large.
    let count = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(count).read_to_end(&mut bytes).map_err(cannot_read)?;
    if bytes.len() > bytes_max {
        let what = format!("{name} has more than {bytes_max} bytes");
        return Err(Failure::new(Exit::Malformed, what));
    }
    Ok(bytes)
}

/// The failure to open or to read a file that the command line or the environment names.
pub(super) fn read_failure(what: String, error: io::Error) -> Failure {
    let is_unsafe_link = UnsafeLink::of(&error).is_some();
    let failure = Failure::new(exit_for_read_error(&error), what).because(error);
    if is_unsafe_link { failure.hint(UNSAFE_LINK_HINT) } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_file_is_read_as_it_is() {
        let scratch = Scratch::new();
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [&b""[..], b"\n", b"a\r\n\n", b"\xef\xbb\xbfa", &all] {
            let path = scratch.write("file", bytes);
            assert_eq!(read_file(&path, 256).unwrap(), bytes);
        }
        symlink("file", scratch.join("link")).unwrap();
        assert_eq!(read_file(&scratch.join("link"), 256).unwrap(), all);
    }

    #[test]
    fn the_size_is_bounded_to_the_byte() {
        let scratch = Scratch::new();
        let path = scratch.write("file", "12345");
        assert_eq!(read_file(&path, 5).unwrap(), b"12345");
        let failure = read_file(&path, 4).unwrap_err();
        assert_eq!(failure.exit(), Exit::Malformed);
        assert_eq!(failure.line(), format!("{path:?} has more than 4 bytes"));
        // A file of which only the beginning fits into the memory.
        File::create(scratch.join("sparse")).unwrap().set_len(1 << 40).unwrap();
        let failure = read_file(&scratch.join("sparse"), 4).unwrap_err();
        assert_eq!(failure.exit(), Exit::Malformed);
    }

    #[test]
    fn what_is_no_file_is_refused_by_name_and_at_once() {
        let scratch = Scratch::new();
        // Neither of them has another end.
        mkfifo(&scratch.join("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(scratch.join("socket")).unwrap();
        symlink("loop", scratch.join("loop")).unwrap();
        for (name, reason) in [
            ("", "it is a directory"),
            ("fifo", "it is not a regular file"),
            ("missing", "No such file"),
            ("missing/file", "No such file"),
            ("socket", "No such device"),
            ("loop", "Too many levels"),
        ] {
            let path = scratch.join(name);
            let failure = read_file(&path, 4).unwrap_err();
            assert_eq!(failure.exit(), Exit::Configuration, "{name}");
            let line = failure.line();
            assert!(line.starts_with("cannot read ") && line.contains(reason), "{line}");
            assert!(line.contains(path.to_str().unwrap()), "{line}");
        }
        assert_eq!(read_file(Path::new("/dev/zero"), 4).unwrap_err().exit(), Exit::Configuration);
        let denied = read_failure("x".to_owned(), io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.exit(), Exit::NotAllowed);
    }
}
