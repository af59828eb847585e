//! What the pages promise to users of zkfarmer is tested.
//!
//! Every row and every item of these pages ends with a comment that names the tests:
//! `<!-- tested by: module::test, other::test -->`.

use super::fault::Fault;
use super::table::tables;
use std::path::{Path, PathBuf};

const PAGES: [&str; 2] = ["docs/differences.md", "docs/migrating.md"];
const MARK: &str = "<!-- tested by:";

/// The rows and items that no test holds, and the names of tests that are not there.
pub(super) fn unheld(path: &Path, text: &str, texts: &[(PathBuf, String)]) -> Vec<(usize, Fault)> {
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

/// The rows of tables without their heads, and the items of lists with all their lines.
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

/// Whether a file is the module that the name starts with.
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
        // Attributes may stand between.
        let above = text[..start].rsplit_once("\n\n").map_or("", |(_, above)| above);
        above.contains("#[test]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_items_name_tests_that_are_there() {
        let source = "use x;\n\n#[test]\nfn it_holds() {}\n\nfn no_test() {}\n\n#[test]\n\
            #[expect(x)]\nfn so_does_this() {}\n";
        let texts = vec![(PathBuf::from("tests/e2e/tests/ctl/set.rs"), source.to_owned())];
        let page = "# Page\n\n| a | b |\n|---|---|\n| 1 | 2 <!-- tested by: set::it_holds --> |\n\
            | 3 | 4 |\n\nprose\n\n- one\n  two <!-- tested by: ctl::set::it_holds,\n  \
            set::so_does_this -->\n- three <!-- tested by: ctl::set::no_test -->\n- four\n\
            - five <!-- tested by: get::it_holds -->\n";
        let found = unheld(Path::new(PAGES[0]), page, &texts);
        let lost = |name: &str| Fault::NoSuchTest { name: name.to_owned() };
        let wanted = [
            (6, Fault::Untested),
            (13, lost("ctl::set::no_test")),
            (14, Fault::Untested),
            (15, lost("get::it_holds")),
        ];
        assert_eq!(found, wanted);
        assert_eq!(unheld(Path::new("README.md"), page, &texts), []);
    }
}
