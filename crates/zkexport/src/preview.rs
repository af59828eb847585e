//! The changes that a store would make, as a unified diff.

use farm_core::cli::printable;
use farm_core::files::tree::Change;
use similar::TextDiff;
use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// After this time, the diff is not the shortest one any more.
const DIFF_TIMEOUT: Duration = Duration::from_secs(2);
const LINES_AROUND: usize = 3;

/// The longest text that is compared line by line, which takes twenty times its memory.
const COMPARED_BYTES_MAX: usize = 16 << 20;

/// Writes one change as `diff -u` shows it.
pub(crate) fn write_diff(change: &Change, out: &mut impl Write) -> io::Result<()> {
    let name = |bytes: &Option<Vec<u8>>| match bytes {
        Some(_) => label(&change.path),
        None => "/dev/null".to_owned(),
    };
    let (old, new) = (name(&change.before), name(&change.after));
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    if length(&change.before) + length(&change.after) > COMPARED_BYTES_MAX {
        return writeln!(out, "Files {old} and {new} differ");
    }
    let (before, after) = (text(&change.before), text(&change.after));
    writeln!(out, "--- {old}\n+++ {new}")?;
    let lines = |text| str::split_inclusive(text, '\n').collect::<Vec<_>>();
    let (old, new) = (lines(&*before), lines(&*after));
    let diff = TextDiff::configure().timeout(DIFF_TIMEOUT).diff_slices(&old, &new);
    for hunk in diff.unified_diff().context_radius(LINES_AROUND).iter_hunks() {
        writeln!(out, "{}", hunk.header())?;
        for line in hunk.iter_changes() {
            write!(out, "{}{}", line.tag(), line.value())?;
            // The library also takes a carriage return for the end of a line: after a value that
            // ends in one, the next line of the diff would seem to belong to the value.
            if !line.value().ends_with('\n') {
                writeln!(out, "\n\\ No newline at end of file")?;
            }
        }
    }
    Ok(())
}

fn text(bytes: &Option<Vec<u8>>) -> Cow<'_, str> {
    bytes.as_deref().map(String::from_utf8_lossy).unwrap_or_default()
}

/// The path on one line.
fn label(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(before: Option<&str>, after: Option<&str>) -> String {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let (before, after) = (bytes(before), bytes(after));
        let mut out = Vec::new();
        write_diff(&Change { path: "db.json".into(), before, after }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_change_reads_as_in_diff_u() {
        let changed = "--- db.json\n+++ db.json\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n";
        assert_eq!(diff(Some("a\nb\nc\n"), Some("a\nB\nc\n")), changed);
        let new = "--- /dev/null\n+++ db.json\n@@ -0,0 +1 @@\n+a\n";
        assert_eq!(diff(None, Some("a\n")), new);
        let gone = "--- db.json\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n\\ No newline at end of file\n";
        assert_eq!(diff(Some("a"), None), gone);
        assert_eq!(diff(None, Some("")), "--- /dev/null\n+++ db.json\n");
    }

    #[test]
    fn no_value_can_look_like_the_diff_of_another_file() {
        let forged = "x\n--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\r+++ b\r\n+c\r";
        let added = diff(None, Some(forged));
        let mut lines = added.split_inclusive('\n');
        assert_eq!(lines.next(), Some("--- /dev/null\n"));
        assert_eq!(lines.next(), Some("+++ db.json\n"));
        assert_eq!(lines.next(), Some("@@ -0,0 +1,6 @@\n"));
        let value: String =
            lines.by_ref().take(6).map(|line| line.strip_prefix('+').unwrap()).collect();
        assert_eq!(value, format!("{forged}\n"));
        assert_eq!(lines.collect::<String>(), "\\ No newline at end of file\n");
        for (old, new) in [("a\rb\n", "a\rc\n"), ("a\r", "b\r"), ("a\r\n", "a\n"), ("a", "a\r")] {
            let changed = diff(Some(old), Some(new));
            let body: Vec<&str> = changed.split_terminator('\n').skip(3).collect();
            assert!(body.iter().all(|line| line.starts_with(['-', '+', '\\'])), "{changed:?}");
            assert!(changed.ends_with('\n'), "{changed:?}");
        }
    }

    #[test]
    fn a_name_stays_on_its_line() {
        let bytes = Some(b"a\n".to_vec());
        let path = Path::new("db/h\n+++ /etc/passwd\u{1b}\u{202e}").to_owned();
        let mut diff = Vec::new();
        write_diff(&Change { path, before: None, after: bytes }, &mut diff).unwrap();
        let text = String::from_utf8(diff).unwrap();
        let label = r"+++ db/h\n+++ /etc/passwd\u{1b}\u{202e}";
        assert_eq!(text, format!("--- /dev/null\n{label}\n@@ -0,0 +1 @@\n+a\n"));
    }

    #[test]
    fn files_that_are_too_large_to_compare_differ() {
        let long = "x\n".repeat(COMPARED_BYTES_MAX / 2);
        assert_eq!(diff(Some(&long), Some("x")), "Files db.json and db.json differ\n");
        assert_eq!(diff(None, Some(&(long + "x"))), "Files /dev/null and db.json differ\n");
    }

    #[test]
    fn the_diff_of_a_large_farm_that_is_all_new_is_quick() {
        let lines = |word: &str| (0..100_000).map(|n| format!("{word} {n}\n")).collect::<String>();
        let start = std::time::Instant::now();
        let text = diff(Some(&lines("old")), Some(&lines("new")));
        assert_eq!(text.lines().count(), 200_003);
        assert!(start.elapsed() < farm_harness::patience(Duration::from_secs(20)));
    }
}
