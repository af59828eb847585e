//! The changes that a store would make, as a unified diff.

use farm_core::files::tree::Change;
use similar::TextDiff;
use std::path::Path;
use std::time::Duration;

/// After this time, the diff is not the shortest one any more.
const DIFF_TIMEOUT: Duration = Duration::from_secs(2);
const LINES_AROUND: usize = 3;

/// One change as `diff -u` shows it.
pub(crate) fn unified(change: &Change) -> String {
    let text = |bytes: &Option<Vec<u8>>| {
        bytes.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned()
    };
    let (before, after) = (text(&change.before), text(&change.after));
    let name = |bytes: &Option<Vec<u8>>| match bytes {
        Some(_) => label(&change.path),
        None => "/dev/null".to_owned(),
    };
    let (old, new) = (name(&change.before), name(&change.after));
    let diff = TextDiff::configure().timeout(DIFF_TIMEOUT).diff_lines(&before, &after);
    let hunks = diff.unified_diff().context_radius(LINES_AROUND).to_string();
    format!("--- {old}\n+++ {new}\n{hunks}")
}

/// The path on one line.
fn label(path: &Path) -> String {
    path.display().to_string().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(before: Option<&str>, after: Option<&str>) -> String {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let (before, after) = (bytes(before), bytes(after));
        unified(&Change { path: "db.json".into(), before, after })
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
    fn the_diff_of_a_large_farm_that_is_all_new_is_quick() {
        let lines = |word: &str| (0..100_000).map(|n| format!("{word} {n}\n")).collect::<String>();
        let start = std::time::Instant::now();
        let text = diff(Some(&lines("old")), Some(&lines("new")));
        assert_eq!(text.lines().count(), 200_003);
        assert!(start.elapsed() < farm_harness::patience(Duration::from_secs(20)));
    }
}
