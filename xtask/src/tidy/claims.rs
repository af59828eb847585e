//! Tests exist for everything that the pages promise to users of zkfarmer.
//!
//! Every row and every list item of these pages ends with a comment that names its tests:
//! `<!-- tested by: module::test, other::test -->`.

use super::fault::Fault;
use super::table::tables;
use std::path::{Path, PathBuf};

const PAGES: [&str; 2] = ["docs/differences.md", "docs/migrating.md"];
const MARK: &str = "<!-- tested by:";

/// The rows and items that name no test, and the names of tests that do not exist.
pub(super) fn untested(
    path: &Path,
    text: &str,
    texts: &[(PathBuf, String)],
) -> Vec<(usize, Fault)> {
    if !PAGES.iter().any(|page| path == Path::new(page)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, claim) in claims(text) {
        let Some((_, rest)) = claim.split_once(MARK) else {
            found.push((number, Fault::Untested));
            continue;
        };
        let names = rest.split("-->").next().unwrap_or_default();
        for name in names.split(',').map(str::trim) {
            if !texts.iter().any(|(path, text)| is_in(path, name) && has_test(text, name)) {
                found.push((number, Fault::NoSuchTest { name: name.to_owned() }));
            }
        }
    }
    found
}

/// All rows of tables, and all list items with all of their lines.
fn claims(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut is_item = false;
    for (line, number) in text.lines().zip(1..) {
        let is_start = line.starts_with("- ");
        is_item = is_start || (is_item && line.starts_with("  "));
        if is_start {
            found.push((number, line.to_owned()));
        } else if is_item && let Some((_, item)) = found.last_mut() {
            *item += " ";
            *item += line.trim_start();
        }
    }
    let rows = tables(text).into_iter().flat_map(|table| table.rows);
    found.extend(rows.map(|row| (row.line, row.text.to_owned())));
    found.sort();
    found
}

/// Whether a file is the module of a test.
fn is_in(path: &Path, name: &str) -> bool {
    let mut parts: Vec<&str> = name.split("::").collect();
    parts.pop();
    let module = path.with_extension("");
    let mut modules: Vec<_> = module.iter().filter_map(|part| part.to_str()).collect();
    modules.retain(|part| !matches!(*part, "src" | "tests" | "crates" | "mod"));
    !parts.is_empty()
        && path.extension().is_some_and(|end| end == "rs")
        && modules.ends_with(&parts)
}

fn has_test(text: &str, name: &str) -> bool {
    let function = format!("fn {}(", name.rsplit("::").next().unwrap_or(name));
    text.match_indices(&function).any(|(start, _)| {
        // Other attributes may be in between.
        let above = text[..start].rsplit_once("\n\n").map_or("", |(_, above)| above);
        above.contains("#[test]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_items_name_tests_that_exist() {
        let source = "use x;\n\n#[test]\nfn it_holds() {}\n\nfn no_test() {}\n\n#[test]\n\
            #[expect(x)]\nfn so_does_this() {}\n";
        let texts = vec![(PathBuf::from("tests/e2e/tests/ctl/set.rs"), source.to_owned())];
        let page = "# Page\n\n| a | b |\n|---|---|\n| 1 | 2 <!-- tested by: set::it_holds --> |\n\
            | 3 | 4 |\n\nprose\n\n- one\n  two <!-- tested by: ctl::set::it_holds,\n  \
            set::so_does_this -->\n- three <!-- tested by: ctl::set::no_test -->\n- four\n\
            - five <!-- tested by: get::it_holds -->\n";
        let found = untested(Path::new(PAGES[0]), page, &texts);
        let missing = |name: &str| Fault::NoSuchTest { name: name.to_owned() };
        let wanted = [
            (6, Fault::Untested),
            (13, missing("ctl::set::no_test")),
            (14, Fault::Untested),
            (15, missing("get::it_holds")),
        ];
        assert_eq!(found, wanted);
        assert_eq!(untested(Path::new("README.md"), page, &texts), []);
    }
}
