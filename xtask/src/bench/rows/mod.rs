//! The rows, each with the raw limit it is compared with.

mod codec;
mod exec;
mod export;
mod get;
mod join;
mod mirror;

use super::error::BenchError;
use super::stage::Stage;
use super::table::Row;

/// Measures one row, which bears this name.
type Measure = fn(&Stage, &'static str) -> Result<Row, BenchError>;

/// All rows, in the order of the table.
const ROWS: [(&str, Measure); 17] = [
    ("get", get::one_shot),
    ("export-1000-json", |stage, name| export::once(stage, name, 1_000, "json")),
    ("export-1000-php", |stage, name| export::once(stage, name, 1_000, "php")),
    ("export-10000-json", |stage, name| export::once(stage, name, 10_000, "json")),
    ("export-10000-php", |stage, name| export::once(stage, name, 10_000, "php")),
    ("set-to-file-1", |stage, name| mirror::set_to_file(stage, name, 1)),
    ("set-to-file-1000", |stage, name| mirror::set_to_file(stage, name, 1_000)),
    ("set-to-file-10000", |stage, name| mirror::set_to_file(stage, name, 10_000)),
    ("reads-per-change-1000", |stage, name| mirror::reads_per_change(stage, name, 1_000)),
    ("edit-to-znode", join::edit_to_znode),
    ("znode-to-edit", join::znode_to_edit),
    ("set-to-child", |stage, name| exec::set_to_child(stage, name, &[])),
    ("set-to-child-lock", |stage, name| exec::set_to_child(stage, name, &["--lock", name])),
    ("decode-1000-znodes", |_, name| codec::decode_znodes(name)),
    ("encode-1000-json", |_, name| codec::encode_json(name)),
    ("encode-1000-php", |_, name| codec::encode_php(name)),
    ("encode-1000-yaml", |_, name| codec::encode_yaml(name)),
];

/// The rows that have `part` in their name.
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
        let told: BTreeSet<_> = ROWS.iter().map(|(name, _)| *name).collect();
        assert_eq!(told.len(), ROWS.len());
        for name in told {
            assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/bench.md");
        }
    }
}
