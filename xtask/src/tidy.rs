//! `tidy`: rules about the repository that the compiler does not check.

mod behaviours;
mod circles;
mod claims;
mod drawing;
mod exit_codes;
mod fault;
mod glossary_items;
mod glossary_origins;
mod layers;
mod lexer;
mod links;
mod modules;
mod source;
mod syntax;
mod table;
mod types;

use crate::failure::Failure;
use crate::step::eprint_line;
use crate::workspace;
use fault::Complaint;
use std::fs;
use std::path::{Path, PathBuf};

/// Checks the repository and prints all complaints.
pub(crate) fn run() -> Result<(), Failure> {
    let complaints = inspect(&workspace::root())?;
    for complaint in &complaints {
        eprint_line(&complaint.to_string());
    }
    match complaints.len() {
        0 => Ok(()),
        complaints => Err(Failure::Untidy { complaints }),
    }
}

fn inspect(root: &Path) -> Result<Vec<Complaint>, Failure> {
    let mut texts = Vec::new();
    for path in files(root)? {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("rs" | "md" | "toml" | "yml" | "yaml" | "service")) {
            let text = fs::read_to_string(root.join(&path)).map_err(Failure::io(&path))?;
            texts.push((path, text));
        }
    }
    let mut scattered = types::scattered(&texts);
    let mut circles = circles::found(&texts);
    let mut complaints = Vec::new();
    for (path, text) in &texts {
        let mut found = source::notes(text);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => {
                found.extend(source::size_and_name(path, text));
                found.extend(source::unsafe_code(path, text));
                found.extend(types::wide(text));
                found.extend(scattered.remove(path.as_path()).unwrap_or_default());
                found.extend(layers::upward_imports(path, text));
                found.extend(circles.remove(path.as_path()).unwrap_or_default());
            }
            Some("md") => {
                found.extend(links::dead_links(root, path, text));
                found.extend(glossary_origins::missing(path, text));
                found.extend(glossary_items::unknown(path, text, &texts));
                found.extend(behaviours::repeated(path, text));
                found.extend(claims::untested(path, text, &texts));
            }
            Some("toml") => found.extend(source::missing_lints(path, text)),
            _ => {}
        }
        found.extend(exit_codes::unknown(path, text, &texts));
        complaints.extend(found.into_iter().map(|(line, fault)| Complaint {
            path: path.clone(),
            line,
            fault,
        }));
    }
    complaints.extend(drawing::outdated(root));
    Ok(complaints)
}

/// All files below the root, relative to it and sorted.
fn files(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).map_err(Failure::io(&dir))? {
            let entry = entry.map_err(Failure::io(&dir))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(Failure::io(&dir))?);
            // Build directories have this file, whatever their names are.
            let is_excluded = entry.file_name() == ".git" || path.join("CACHEDIR.TAG").exists();
            if kind.is_dir() && !is_excluded {
                pending.push(path);
            } else if kind.is_file() {
                files.extend(path.strip_prefix(root).map(Path::to_path_buf));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::fault::{LINES_MAX, UNSAFE, UNSAFE_FILE};
    use super::source::NOTES;
    use super::*;
    use crate::draw;
    use farm_harness::Scratch;

    #[test]
    fn every_rule_is_applied_to_the_whole_repository() {
        let root = Scratch::new();
        root.write("target/CACHEDIR.TAG", "");
        root.write("target/utils.rs", "");
        root.write(".git/utils.rs", "");
        root.write("src/utils.rs", "");
        root.write("src/long.rs", "\n".repeat(LINES_MAX + 1));
        root.write("crates/x/Cargo.toml", "[package]\nname = \"x\"\n");
        root.write("crates/x/src/lib.rs", "mod a;\nuse a::A;\npub struct Lib;\n");
        root.write("crates/x/src/a.rs", "use super::Lib;\npub struct A;\n");
        root.write("README.md", "[here](src/long.rs) [gone](gone.md)\n");
        root.write("crates/farm-core/src/model/up.rs", "use crate::farm::Farm;\n");
        root.write("notes.md", NOTES[0]);
        root.write("src/main.rs", format!("{UNSAFE} {{ f() }}"));
        root.write("src/wide.rs", format!("struct Wide {{\n{}}}\n", "    a: u8,\n".repeat(16)));
        root.write("src/far.rs", "pub enum Far {}\n");
        root.write(draw::PICTURE, "<svg/>");
        for file in ["a", "b", "c", "d"] {
            root.write(format!("src/{file}.rs"), "use x;\n\nimpl Far {}\n");
        }
        let complaints = inspect(root.path()).unwrap();
        let lines: Vec<_> = complaints.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "README.md:1: gone.md does not exist".to_owned(),
                "crates/farm-core/src/model/up.rs:1: model must not import farm".to_owned(),
                "crates/x/Cargo.toml: `[lints] workspace = true` is missing".to_owned(),
                "crates/x/src/a.rs: 2 files import each other: crates/x/src/a.rs, \
                 crates/x/src/lib.rs; the shortest circle:\n    \
                 crates/x/src/a.rs:1: `super::Lib`, which is in crates/x/src/lib.rs\n    \
                 crates/x/src/lib.rs:2: `a::A`, which is in crates/x/src/a.rs"
                    .to_owned(),
                format!("notes.md:1: {} does not belong here", NOTES[0]),
                "src/far.rs:1: Far has methods in 4 files; the limit is 3".to_owned(),
                "src/long.rs: 501 lines; the limit is 500".to_owned(),
                format!("src/main.rs:1: {UNSAFE} code; only {UNSAFE_FILE} may have any"),
                "src/utils.rs: the name says nothing about the content".to_owned(),
                "src/wide.rs:1: Wide has 16 fields; the limit is 15".to_owned(),
                format!("{}: line 0: the run does not end", draw::RUN),
            ]
        );
    }
}
