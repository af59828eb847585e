//! Types are small enough to read: they have few fields, and their methods are in few files.
//!
//! This relies on the layout of rustfmt: an item starts at the beginning of its line, and each
//! field has a line of its own.

use super::fault::{FIELDS_MAX, Fault, IMPL_FILES_MAX};
use super::lexer::ident;
use super::modules::module_of;
use super::syntax::outline;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const TYPES: [&str; 3] = ["struct ", "enum ", "union "];

/// The structs of a file with too many fields.
pub(super) fn wide(text: &str) -> Vec<(usize, Fault)> {
    let mut found = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let item = line.trim_start();
        let Some(name) = declared(item, &TYPES[..1]) else { continue };
        // Bounds look like fields, but come before the brace.
        let mut last = line;
        while !last.ends_with(['{', '}', ';'])
            && let Some((next, _)) = lines.next()
        {
            last = next;
        }
        if !last.ends_with('{') {
            continue;
        }
        let indent = &line[..line.len() - item.len()];
        let end = format!("{indent}}}");
        let body = lines.by_ref().map(|(line, _)| line).take_while(|line| *line != end);
        let fields = body.filter(|line| is_field(line, indent)).count();
        if fields > FIELDS_MAX {
            found.push((number, Fault::Wide { name: name.to_owned(), fields }));
        }
    }
    found
}

fn is_field(line: &str, indent: &str) -> bool {
    let field = line.strip_prefix(indent).and_then(|line| line.strip_prefix("    "));
    let field = field.map_or("", |field| without_visibility(field).trim_start_matches("r#"));
    let name = ident(field);
    !name.is_empty() && field[name.len()..].starts_with(':')
}

/// The types with methods in too many files of their crate, by the file that declares them.
///
/// Only inherent methods count: a trait may be implemented in other files. Tests do not count.
pub(super) fn scattered(texts: &[(PathBuf, String)]) -> BTreeMap<&Path, Vec<(usize, Fault)>> {
    let sources: Vec<_> = texts.iter().filter_map(|(path, text)| Source::of(path, text)).collect();
    let tests: BTreeSet<_> = sources.iter().flat_map(Source::test_modules).collect();
    let is_test = |source: &Source<'_>| {
        let module = &source.module;
        (1..=module.len()).any(|end| tests.contains(&(source.package, module[..end].to_vec())))
    };
    let sources: Vec<_> = sources.iter().filter(|source| !is_test(source)).collect();

    let mut declarations: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for source in &sources {
        for (line, number) in source.text.lines().zip(1..) {
            if let Some(name) = declared(line, &TYPES) {
                declarations.entry((source.package, name)).or_default().push((*source, number));
            }
        }
    }
    let mut impl_files: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for source in &sources {
        for name in source.implemented() {
            let namesakes = declarations.get(&(source.package, name));
            let nearest =
                namesakes.and_then(|all| all.iter().max_by_key(|(at, _)| source.nearness(at)));
            if let Some((at, number)) = nearest {
                impl_files.entry((at.path, *number, name)).or_default().insert(source.path);
            }
        }
    }
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for ((path, number, name), files) in impl_files {
        if files.len() > IMPL_FILES_MAX {
            let fault = Fault::Scattered { name: name.to_owned(), files: files.len() };
            found.entry(path).or_default().push((number, fault));
        }
    }
    found
}

/// A file of a crate and its module.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
    package: &'a Path,
    module: Vec<&'a str>,
}

impl<'a> Source<'a> {
    fn of(path: &'a Path, text: &'a str) -> Option<Self> {
        let package = path.ancestors().find(|above| above.ends_with("src"))?;
        let inside = path.strip_prefix(package).ok()?;
        Some(Self { path, text, package, module: module_of(inside)? })
    }

    /// The modules that are compiled for tests alone.
    fn test_modules(&self) -> impl Iterator<Item = (&'a Path, Vec<&'a str>)> + '_ {
        let declared = outline(self.text).modules.into_iter();
        let names = declared.filter(|module| module.place.is_test).map(|module| module.name);
        names.map(|name| (self.package, [&self.module[..], &[name]].concat()))
    }

    /// The types that have inherent methods here.
    fn implemented(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let items = self.text.split("\nimpl").skip(1);
        items.filter_map(|item| {
            let header = item.split('{').next().unwrap_or_default();
            let whose = after_generics(header)?.trim_start();
            let path = whose.split(|c: char| c == '<' || c.is_whitespace()).next()?;
            (!whose.contains(" for ")).then(|| path.rsplit("::").next())?
        })
    }

    /// How near the module of a type is. Of several types with the same name, the nearest one is
    /// meant.
    fn nearness(&self, other: &Self) -> (bool, usize, bool) {
        let shared = self.module.iter().zip(&other.module).take_while(|(a, b)| a == b).count();
        (self.path == other.path, shared, shared == other.module.len())
    }
}

/// What follows the generic parameters of an `impl`. None if this is a longer word.
fn after_generics(header: &str) -> Option<&str> {
    if !header.starts_with('<') {
        return header.starts_with(' ').then_some(header);
    }
    let mut nesting = 0_usize;
    let (end, _) = header.char_indices().find(|&(at, c)| {
        match c {
            '<' => nesting += 1,
            '>' if !header[..at].ends_with('-') => nesting -= 1,
            _ => {}
        }
        nesting == 0
    })?;
    header.get(end + 1..)
}

/// The name of the item that a line declares, if it is of one of these kinds.
fn declared<'a>(line: &'a str, kinds: &[&str]) -> Option<&'a str> {
    let rest = kinds.iter().find_map(|kind| without_visibility(line).strip_prefix(kind))?;
    Some(ident(rest)).filter(|name| !name.is_empty())
}

/// A line without its visibility.
fn without_visibility(line: &str) -> &str {
    match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or(line, |(_, rest)| rest),
        Some(rest) => rest.strip_prefix(' ').unwrap_or(line),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(count: usize, indent: &str) -> String {
        (0..count).map(|n| format!("{indent}    pub(crate) field{n}: u8,\n")).collect()
    }

    #[test]
    fn a_struct_has_a_limit_of_fields() {
        let name = |text: &str| match wide(text).as_slice() {
            [] => None,
            [(line, Fault::Wide { name, fields })] => Some((*line, name.clone(), *fields)),
            other => panic!("{other:?}"),
        };
        let just = fields(FIELDS_MAX, "");
        assert_eq!(name(&format!("struct A {{\n{just}}}\nstruct B {{\n{just}}}\n")), None);
        let more = format!(
            "{just}    /// note: this\n    // so: it is\n    #[arg(long = \"x\")]\n    r#type: u8,\n"
        );
        let expected = Some((2, "A".to_owned(), FIELDS_MAX + 1));
        assert_eq!(
            name(&format!("#[derive(Args)]\npub(crate) struct A<'a> {{\n{more}}}\n")),
            expected
        );
        let bounds = "where\n    T: Clone,\n    U: Clone,\n";
        assert_eq!(name(&format!("struct A<T, U>\n{bounds}{{\n{just}}}\n")), None);
        let inner = fields(FIELDS_MAX + 1, "    ");
        assert_eq!(name(&format!("mod a {{\n    struct A {{\n{inner}    }}\n}}\n")), expected);
        let deeper = "    a: [u8; {\n        b: 1\n    }],\n".repeat(FIELDS_MAX);
        assert_eq!(name(&format!("struct A {{\n{deeper}}}\n")), None);
        let others =
            format!("struct A;\nstruct B(u8);\nstruct C {{}}\nstruct D(\n    u8,\n);\n{more}");
        assert_eq!(name(&others), None);
        assert_eq!(name(&format!("let a = A {{\n{more}}};\nenum E {{\n{more}}}\n")), None);
    }

    /// The faults of files with these texts.
    fn faults_of(files: &[(&str, &str)]) -> Vec<(String, usize, Fault)> {
        let texts: Vec<_> =
            files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        let found = scattered(&texts).into_iter().flat_map(|(path, faults)| {
            faults.into_iter().map(move |(line, fault)| (path.display().to_string(), line, fault))
        });
        found.collect()
    }

    const DECLARED: (&str, &str) =
        ("x/src/a/mod.rs", "//! A.\n\npub struct A<T>(T);\n\nimpl<T> A<T> {\n}\n");

    #[test]
    fn the_methods_of_a_type_are_in_few_files() {
        let near =
            ("x/src/a/b.rs", "use super::A;\n\nimpl<T: Fn() -> u8> A<T>\nwhere\n    T: X,\n{\n}\n");
        let far = ("x/src/c.rs", "\nimpl crate::a::A<u8> {\n}\n\nimpl crate::a::A<u16> {\n}\n");
        let last = ("x/src/d.rs", "\nimpl<'a> A<&'a u8> {\n}\n");
        assert_eq!(faults_of(&[DECLARED, near, far]), []);
        let fault = Fault::Scattered { name: "A".to_owned(), files: IMPL_FILES_MAX + 1 };
        let wanted = [("x/src/a/mod.rs".to_owned(), 3, fault)];
        assert_eq!(faults_of(&[DECLARED, near, far, last]), wanted);

        let other_crate = ("y/src/d.rs", last.1);
        let test = ("x/tests/d.rs", last.1);
        let traits =
            ("x/src/d.rs", "\nimpl<T> From<T> for A<T> {\n}\n\nimplied! {\n}\n// impl A {\n");
        for harmless in [other_crate, test, traits] {
            assert_eq!(faults_of(&[DECLARED, near, far, harmless]), [], "{harmless:?}");
        }
        let top = ("x/src/lib.rs", "mod a;\n\n#[cfg(test)]\nmod d;\n");
        let deeper = ("x/src/d/e.rs", last.1);
        assert_eq!(faults_of(&[DECLARED, near, far, top, last, deeper]), []);
    }

    #[test]
    fn types_of_the_same_name_are_distinguished() {
        let methods = "\nimpl A<u8> {\n}\n";
        let of_a = [("x/src/a/b.rs", methods), ("x/src/a/c.rs", methods)];
        let own = ("x/src/f.rs", "struct A;\n\nimpl A {\n}\n");
        let beside = ("x/src/g/h.rs", "pub(super) struct A;\n");
        let of_g = [("x/src/g/mod.rs", methods), ("x/src/g/i.rs", methods)];
        let all = [&[DECLARED, own, beside], &of_a[..], &of_g].concat();
        assert_eq!(faults_of(&all), []);
        assert_eq!(faults_of(&[&all[..], &[("x/src/a/d.rs", methods)]].concat()).len(), 1);
    }
}
