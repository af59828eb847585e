//! No two files of a crate import each other, directly or through other files.
//!
//! An import counts for the file that defines the name: who imports a re-export depends on that
//! file, and not on the one that re-exports it.

use super::fault::{Fault, Step};
use super::modules::{Crate, Edge, Texts};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// For each file, the files that it imports from, each with the first such import.
type Graph<'a> = BTreeMap<&'a Path, BTreeMap<&'a Path, Edge<'a>>>;

/// The circles of all crates, by the first file of each circle.
pub(super) fn found(texts: &[(PathBuf, String)]) -> BTreeMap<&Path, Vec<(usize, Fault)>> {
    let all: Texts<'_> = texts.iter().map(|(path, text)| (path.as_path(), text.as_str())).collect();
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for root in roots(&all) {
        let graph = graph(Crate::read(root, &all).edges());
        for files in circles(&graph) {
            let Some(first) = files.first() else { continue };
            let steps = shortest(&graph, &files).into_iter().map(|edge| Step {
                from: edge.from.to_owned(),
                line: edge.line,
                name: edge.name.clone(),
                to: edge.to.to_owned(),
            });
            let fault = Fault::Circle {
                steps: steps.collect(),
                files: files.iter().map(|file| file.to_path_buf()).collect(),
            };
            found.entry(*first).or_default().push((0, fault));
        }
    }
    found
}

/// The root files of all crates: the library, the program and the tests of each package.
fn roots<'a>(texts: &Texts<'a>) -> Vec<&'a Path> {
    let packages: BTreeSet<_> = texts
        .keys()
        .filter(|path| path.ends_with("Cargo.toml"))
        .map(|path| path.parent())
        .collect();
    let is_root = |path: &&Path| {
        let dir = path.parent();
        let package = dir.and_then(Path::parent);
        let is_top = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
        let is_test = dir.is_some_and(|dir| dir.ends_with("tests"))
            && path.extension().is_some_and(|extension| extension == "rs");
        packages.contains(&package) && (is_top || is_test)
    };
    texts.keys().copied().filter(is_root).collect()
}

fn graph(mut edges: Vec<Edge<'_>>) -> Graph<'_> {
    edges.sort_by_key(|edge| edge.line);
    let mut graph = Graph::new();
    for edge in edges {
        graph.entry(edge.from).or_default().entry(edge.to).or_insert(edge);
    }
    graph
}

/// The groups of files that all import each other, directly or through other files.
fn circles<'a>(graph: &Graph<'a>) -> Vec<BTreeSet<&'a Path>> {
    let reached: BTreeMap<_, _> = graph.keys().map(|file| (*file, reached(graph, file))).collect();
    let mut found: Vec<BTreeSet<_>> = Vec::new();
    for (file, others) in &reached {
        let is_known = found.iter().any(|circle| circle.contains(file));
        if others.contains(file) && !is_known {
            let is_back = |other: &&&Path| reached.get(**other).is_some_and(|b| b.contains(file));
            found.push(others.iter().filter(is_back).copied().collect());
        }
    }
    found
}

/// All files that a file imports, directly or through other files.
fn reached<'a>(graph: &Graph<'a>, file: &Path) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut pending = vec![file];
    while let Some(file) = pending.pop() {
        for next in graph.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(*next) {
                pending.push(next);
            }
        }
    }
    reached
}

/// The shortest circle among some files.
fn shortest<'g, 'a>(graph: &'g Graph<'a>, files: &BTreeSet<&'a Path>) -> Vec<&'g Edge<'a>> {
    let circles = files.iter().filter_map(|file| shortest_from(graph, file));
    circles.min_by_key(Vec::len).unwrap_or_default()
}

/// The shortest circle that starts at a file.
fn shortest_from<'g, 'a>(graph: &'g Graph<'a>, start: &Path) -> Option<Vec<&'g Edge<'a>>> {
    let mut arrivals: BTreeMap<&Path, &Edge<'_>> = BTreeMap::new();
    let mut pending = VecDeque::from([start]);
    while !arrivals.contains_key(start) {
        let file = pending.pop_front()?;
        for edge in graph.get(file).into_iter().flat_map(BTreeMap::values) {
            arrivals.entry(edge.to).or_insert_with(|| {
                pending.push_back(edge.to);
                edge
            });
        }
    }
    let mut circle = vec![*arrivals.get(start)?];
    while let Some(edge) = circle.last().filter(|edge| edge.from != start) {
        circle.push(arrivals.get(edge.from)?);
    }
    circle.reverse();
    Some(circle)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a package with these files below its `src`, each file without `.rs`.
    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let manifest = (PathBuf::from("x/Cargo.toml"), String::new());
        let files =
            files.iter().map(|(path, text)| (Path::new("x/src").join(path), (*text).into()));
        let texts: Vec<_> = files.chain([manifest]).collect();
        let inside = |path: &Path| {
            path.strip_prefix("x/src").unwrap().with_extension("").display().to_string()
        };
        let faults = found(&texts).into_iter().flat_map(|(first, faults)| {
            faults.into_iter().map(move |(line, fault)| (first, line, fault))
        });
        let shown = |(first, line, fault): (&Path, usize, Fault)| {
            let Fault::Circle { files, steps } = fault else { panic!("{fault:?}") };
            assert_eq!((line, first), (0, &*files[0]));
            let files: Vec<_> = files.iter().map(|file| inside(file)).collect();
            let step = |step: &Step| format!("{}:{} {}", inside(&step.from), step.line, step.name);
            let steps: Vec<_> = steps.iter().map(step).collect();
            format!("{}: {}", files.join(" "), steps.join(", "))
        };
        faults.map(shown).collect()
    }

    const LIB: (&str, &str) = ("lib.rs", "mod a;\nmod b;\nmod c;\n");

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        let a = ("a.rs", "use crate::b::B;\npub struct A;\n");
        let b = ("b.rs", "\nuse super::a::A;\npub struct B;\n");
        assert_eq!(circles_of(&[LIB, a, b]), ["a b: a:1 crate::b::B, b:2 super::a::A"]);
        assert_eq!(circles_of(&[LIB, a, ("b.rs", "pub struct B;\n")]), [""; 0]);
    }

    #[test]
    fn a_circle_may_go_through_other_files_and_the_shortest_one_is_shown() {
        let a = ("a.rs", "use crate::{b::{self, d as e}, c::X};\nfn f() { b::f() }\n");
        let b = ("b.rs", "fn f() { crate::c::f() }\nfn d() {}\n");
        let c = ("c.rs", "pub struct X;\nfn f() { super::a::f() }\n");
        assert_eq!(circles_of(&[LIB, a, b, c]), ["a b c: a:1 crate::c::X, c:2 super::a::f"]);
        let other = ("a.rs", "use crate::b::d as e;\nfn f() {}\n");
        let circle = "a b c: a:1 crate::b::d, b:1 crate::c::f, c:2 super::a::f";
        assert_eq!(circles_of(&[LIB, other, b, c]), [circle]);
    }

    #[test]
    fn a_child_and_its_parent_may_be_a_circle() {
        let lib = ("lib.rs", "mod a;\n");
        let parent = |code: &str| format!("mod b;\npub struct A;\n{code}");
        let child = ("a/b.rs", "use super::A;\npub struct B;\npub fn f() {}\n");
        for (code, name) in [
            ("use b::B;", "b::B"),
            ("fn f() { b::f() }", "b::f"),
            ("fn f() -> self::b::B {}", "self::b::B"),
            ("pub use b::B;\nfn f(b: B) {}", "B"),
            ("use b::*;", "b"),
        ] {
            let found = circles_of(&[lib, ("a.rs", &parent(code)), child]);
            assert_eq!(found.len(), 1, "{code}: {found:?}");
            assert!(found[0].starts_with("a/b a: a/b:1 super::A, a:"), "{code}: {found:?}");
            assert!(found[0].ends_with(&format!(" {name}")), "{code}: {found:?}");
        }
        for code in ["", "pub use b::B;", "pub(in crate::a) use b::{B as C, f};", "/* b::f() */"] {
            assert_eq!(circles_of(&[lib, ("a/mod.rs", &parent(code)), child]), [""; 0], "{code}");
        }
        assert_eq!(circles_of(&[lib, ("a.rs", "mod b;\n"), child]), [""; 0]);
    }

    #[test]
    fn a_reexport_leads_to_the_file_that_defines_the_name() {
        let lib = ("lib.rs", "mod a;\nmod b;\n");
        let a = ("a.rs", "mod c;\nmod d;\npub use c::{C, other as renamed};\npub use d::*;\n");
        let b = ("b.rs", "use crate::a::C;\npub struct B;\n");
        let d = ("a/d.rs", "pub fn g() {}\n");
        let c = |code: &str| format!("pub struct C;\npub fn other() {{}}\n{code}");
        let files = |b, c| circles_of(&[lib, a, b, ("a/c.rs", c), d]);
        let back = c("use crate::b::B;\n");
        assert_eq!(files(b, &back), ["a/c b: a/c:3 crate::b::B, b:1 crate::a::C"]);
        let renamed = ("b.rs", "fn f() { super::a::renamed() }\npub struct B;\n");
        assert_eq!(files(renamed, &back), ["a/c b: a/c:3 crate::b::B, b:1 super::a::renamed"]);
        // An import from another child of the same module is no circle.
        assert_eq!(files(("b.rs", "use crate::a::g;\npub struct B;\n"), &back), [""; 0]);
        assert_eq!(files(b, &c("use super::g;\n")), [""; 0]);
    }

    #[test]
    fn inline_modules_belong_to_their_file() {
        let a = ("a.rs", "pub mod inner {\n    use super::super::b::B;\n    pub fn f() {}\n}\n");
        let b = ("b.rs", "pub struct B;\nfn f() { crate::a::inner::f() }\n");
        let circle = "a b: a:2 super::super::b::B, b:2 crate::a::inner::f";
        assert_eq!(circles_of(&[LIB, a, b]), [circle]);
    }

    #[test]
    fn what_is_no_import_makes_no_circle() {
        let a = ("a.rs", "use crate::b::B;\npub struct A;\npub fn std() {}\n");
        for harmless in [
            "// crate::a::A\n/// [`A`](super::a::A)\n",
            "const TEXT: &str = \"crate::a::A\";\n",
            "#[cfg(test)]\nmod tests {\n    use super::super::a::A;\n}\n",
            "#[cfg(test)]\nuse super::a::A;\n",
            "#[cfg(test)]\nmod tests;\n",
            "use std::fmt;\nuse ::crate_a::a::A;\nfn f() { fmt::a(); other::a::A::new() }\n",
            "pub(in crate::a) fn f() {}\n",
            "use crate::a;\n",
            "use log;\nfn f() { log::f() }\n",
        ] {
            let b = format!("{harmless}pub struct B;\n");
            let tests = ("b/tests.rs", "use crate::a::A;\n");
            assert_eq!(circles_of(&[LIB, a, ("b.rs", &b), tests]), [""; 0], "{harmless}");
        }
    }

    #[test]
    fn the_tests_of_a_package_are_crates_as_well() {
        let texts = [
            ("x/Cargo.toml", ""),
            ("x/tests/main.rs", "mod a;\n#[path = \"deep/../far/b.rs\"]\nmod b;\n"),
            ("x/tests/a.rs", "use crate::b::B;\npub struct A;\n"),
            ("x/tests/far/b.rs", "use crate::a::A;\npub struct B;\n"),
        ];
        let texts = texts.map(|(path, text)| (PathBuf::from(path), text.to_owned()));
        let found = found(&texts);
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [Path::new("x/tests/a.rs")]);
    }
}
