//! The rows, each with its limit.

mod codec;
mod exec;
mod export_change;
mod export_once;
mod get;
mod join;

use super::error::BenchError;
use super::table::Row;
use super::testbed::Testbed;

/// Measures the row with this name.
type Measure = fn(&Testbed, &'static str) -> Result<Row, BenchError>;

/// All rows, in the order of the table.
const ROWS: [(&str, Measure); 17] = [
    ("get", get::one_shot),
    ("export-1000-json", |testbed, name| export_once::once(testbed, name, 1_000, "json")),
    ("export-1000-php", |testbed, name| export_once::once(testbed, name, 1_000, "php")),
    ("export-10000-json", |testbed, name| export_once::once(testbed, name, 10_000, "json")),
    ("export-10000-php", |testbed, name| export_once::once(testbed, name, 10_000, "php")),
    ("set-to-file-1", |testbed, name| export_change::set_to_file(testbed, name, 1)),
    ("set-to-file-1000", |testbed, name| export_change::set_to_file(testbed, name, 1_000)),
    ("set-to-file-10000", |testbed, name| export_change::set_to_file(testbed, name, 10_000)),
    ("reads-per-change-1000", |testbed, name| {
        export_change::reads_per_change(testbed, name, 1_000)
    }),
    ("edit-to-znode", join::edit_to_znode),
    ("znode-to-edit", join::znode_to_edit),
    ("set-to-child", |testbed, name| exec::set_to_child(testbed, name, &[])),
    ("set-to-child-lock", |testbed, name| exec::set_to_child(testbed, name, &["--lock", name])),
    ("decode-1000-znodes", |_, name| codec::decode_znodes(name)),
    ("encode-1000-json", |_, name| codec::encode_json(name)),
    ("encode-1000-php", |_, name| codec::encode_php(name)),
    ("encode-1000-yaml", |_, name| codec::encode_yaml(name)),
];

/// The rows whose names contain `part`.
pub(super) fn named(part: &str) -> Vec<(&'static str, Measure)> {
    ROWS.into_iter().filter(|(name, _)| name.contains(part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_found_by_a_part_of_their_name() {
        let names = |part| named(part).iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names("10000"), ["export-10000-json", "export-10000-php", "set-to-file-10000"]);
        assert_eq!(names(""), ROWS.map(|(name, _)| name));
        assert!(names("nothing").is_empty());
    }

    #[test]
    fn every_row_is_explained_in_the_document() {
        let page = std::fs::read_to_string(crate::workspace::root().join("docs/bench.md")).unwrap();
        let names: BTreeSet<_> = ROWS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), ROWS.len());
        for name in names {
            assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/bench.md");
        }
    }
}
