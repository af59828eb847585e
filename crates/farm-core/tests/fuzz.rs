//! No decoder or parser panics on damaged input.
//!
//! The checks and the samples are those of the fuzzer in `tests/fuzz`.

#[expect(unreachable_pub, reason = "the fuzzer builds them as a library")]
#[path = "../../../tests/fuzz/src/lib.rs"]
mod checks;

use farm_harness::survive_mutations;
use std::path::Path;

#[track_caller]
fn survive(name: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(name);
    survive_mutations(corpus, check);
}

#[test]
fn json_is_read_or_refused() {
    survive("json", checks::json);
}

#[test]
fn yaml_is_read_or_refused() {
    survive("yaml", checks::yaml);
}

#[test]
fn no_record_becomes_php_code() {
    survive("json", checks::php);
}

#[test]
fn directories_are_read_and_never_left() {
    survive("dir", checks::dir);
    survive("json", checks::dir);
}

#[test]
fn field_paths_are_read_or_refused() {
    survive("field", checks::field);
}

#[test]
fn filters_are_read_or_refused() {
    survive("filter", checks::filter);
}

#[test]
fn servers_are_read_or_refused() {
    survive("servers", checks::servers);
}
