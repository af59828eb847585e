//! The modules of a crate, and the file that defines what a path names.

use super::syntax::{Import, Outline, Place, outline};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// A chain of more imports than this is one of imports that name themselves.
const IMPORTS_MAX: usize = 32;

/// The text of each file, by its path.
pub(super) type Texts<'a> = BTreeMap<&'a Path, &'a str>;

/// An import: a file uses a name that another file defines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edge<'a> {
    pub(super) from: &'a Path,
    pub(super) to: &'a Path,
    pub(super) line: usize,
    /// The path as it is written.
    pub(super) name: String,
}

/// The names that lead to a module from the root of the crate.
type ModulePath<'a> = Vec<&'a str>;

/// The modules of a crate, without those of its unit tests.
#[derive(Debug, Default)]
pub(super) struct Crate<'a> {
    modules: BTreeMap<ModulePath<'a>, Module<'a>>,
    files: Vec<(&'a Path, ModulePath<'a>, Outline<'a>)>,
}

#[derive(Debug)]
struct Module<'a> {
    file: &'a Path,
    items: BTreeSet<&'a str>,
    /// The names that it imports, and their paths.
    imports: BTreeMap<&'a str, Vec<&'a str>>,
    globs: Vec<Vec<&'a str>>,
}

/// What a path leads to.
enum Target<'a> {
    Module(ModulePath<'a>),
    /// Something that this file defines.
    Item(&'a Path),
}

/// The module of a file, by its path below `src`. That of the root is empty.
pub(super) fn module_of(inside_src: &Path) -> Option<ModulePath<'_>> {
    let mut names: Vec<_> = inside_src.iter().filter_map(|part| part.to_str()).collect();
    let name = names.pop()?.strip_suffix(".rs")?;
    names.extend(Some(name).filter(|name| !matches!(*name, "mod" | "lib" | "main")));
    Some(names)
}

impl<'a> Crate<'a> {
    /// Reads the crate with this root file.
    pub(super) fn read(root: &'a Path, texts: &Texts<'a>) -> Self {
        let mut found = Self::default();
        let dir = root.parent().unwrap_or(Path::new("")).to_owned();
        let mut pending = vec![(root, ModulePath::new(), dir)];
        while let Some((file, module, dir)) = pending.pop() {
            let Some(text) = texts.get(file) else { continue };
            let outline = outline(text);
            found.add(file, &module, &outline);
            for declared in &outline.modules {
                if declared.is_inline || declared.place.is_test {
                    continue;
                }
                let inside: PathBuf = dir.iter().chain(scope_dirs(&declared.place)).collect();
                let candidates = match declared.file {
                    Some(path) => {
                        vec![normalized(&file.parent().unwrap_or(Path::new("")).join(path))]
                    }
                    None => vec![
                        inside.join(format!("{}.rs", declared.name)),
                        inside.join(declared.name).join("mod.rs"),
                    ],
                };
                let child = candidates.iter().find_map(|path| texts.get_key_value(path.as_path()));
                let Some((&child, _)) = child else { continue };
                // The child modules of a file with `#[path]` are in the same directory.
                let child_dir = match declared.file {
                    Some(_) => child.parent().unwrap_or(Path::new("")).to_owned(),
                    None => inside.join(declared.name),
                };
                let module = [&module[..], &declared.place.scope, &[declared.name]].concat();
                pending.push((child, module, child_dir));
            }
            found.files.push((file, module, outline));
        }
        found
    }

    /// Adds the module of a file, and the inline modules in it.
    fn add(&mut self, file: &'a Path, module: &[&'a str], outline: &Outline<'a>) {
        let inline = outline.modules.iter().filter(|declared| declared.is_inline);
        let inline = inline.filter(|declared| !declared.place.is_test);
        let inline =
            inline.map(|declared| [module, &declared.place.scope, &[declared.name]].concat());
        for path in std::iter::once(module.to_vec()).chain(inline) {
            let (items, imports, globs) = Default::default();
            self.modules.insert(path, Module { file, items, imports, globs });
        }
        for (place, name) in outline.items.iter().filter(|(place, _)| !place.is_test) {
            if let Some(module) = self.modules.get_mut(&around(module, place)) {
                module.items.insert(name);
            }
        }
        for import in outline.imports.iter().filter(|import| !import.place.is_test) {
            let Some(module) = self.modules.get_mut(&around(module, &import.place)) else {
                continue;
            };
            match import.name {
                Some(name) => drop(module.imports.insert(name, import.path.clone())),
                None => module.globs.push(import.path.clone()),
            }
        }
    }

    /// All imports of one file from another one, outside of tests. A re-export is no import, unless
    /// the code of the same file uses the name.
    pub(super) fn edges(&self) -> Vec<Edge<'a>> {
        let mut found = Vec::new();
        for (file, module, outline) in &self.files {
            let is_import = |import: &&Import<'_>| !import.is_reexport;
            let imports = outline.imports.iter().filter(is_import);
            let imports = imports.map(|import| (&import.place, &import.path, import.name));
            let mentions = outline.mentions.iter();
            let mentions = mentions.map(|mention| (&mention.place, &mention.path, Some("")));
            for (place, path, name) in imports.chain(mentions).filter(|(place, ..)| !place.is_test)
            {
                let target = match self.target(&around(module, place), path, 0) {
                    Some(Target::Item(file)) => Some(file),
                    // A path to a module itself imports nothing, except with `*`.
                    Some(Target::Module(module)) if name.is_none() => {
                        self.modules.get(&module).map(|module| module.file)
                    }
                    Some(Target::Module(_)) | None => None,
                };
                if let Some(to) = target.filter(|to| to != file) {
                    found.push(Edge { from: file, to, line: place.line, name: path.join("::") });
                }
            }
        }
        found
    }

    /// What a path in this module leads to; none if it leads out of the crate.
    fn target(&self, module: &[&'a str], path: &[&'a str], imports: usize) -> Option<Target<'a>> {
        let (first, mut rest) = path.split_first()?;
        let mut at = module.to_vec();
        let mut is_ours = true;
        match *first {
            "crate" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()?),
            _ => {
                rest = path;
                is_ours = false;
            }
        }
        while is_ours && rest.first() == Some(&"super") {
            at.pop()?;
            rest = &rest[1..];
        }
        while let Some((&name, after)) = rest.split_first() {
            let here = self.modules.get(&at)?;
            let child = [&at[..], &[name]].concat();
            let is_module = self.modules.contains_key(&child);
            // A re-exported function may have the same name as its module.
            if let Some(import) = here.imports.get(name)
                && (after.is_empty() || !is_module)
            {
                let path = [import, after].concat();
                return self.imported(&at, &path, imports);
            }
            if !is_module {
                return self.item(&at, rest, is_ours, imports);
            }
            at = child;
            rest = after;
            is_ours = true;
        }
        Some(Target::Module(at))
    }

    fn imported(&self, module: &[&'a str], path: &[&'a str], imports: usize) -> Option<Target<'a>> {
        if imports == IMPORTS_MAX { None } else { self.target(module, path, imports + 1) }
    }

    /// The file that defines the first name of a path, which is neither a module nor imported.
    fn item(
        &self,
        module: &[&'a str],
        path: &[&'a str],
        is_ours: bool,
        imports: usize,
    ) -> Option<Target<'a>> {
        let here = self.modules.get(module)?;
        let name = path.first()?;
        if here.items.contains(name) {
            return Some(Target::Item(here.file));
        }
        for glob in &here.globs {
            if let Some(Target::Module(there)) = self.imported(module, glob, imports)
                && there != module
                && self.modules.get(&there).is_some_and(|there| there.has(name))
            {
                return self.imported(&there, &[&["self"], path].concat(), imports);
            }
        }
        is_ours.then_some(Target::Item(here.file))
    }
}

impl Module<'_> {
    fn has(&self, name: &str) -> bool {
        self.items.contains(name) || self.imports.contains_key(name)
    }
}

/// The module at a place in the file of a module.
fn around<'a>(module: &[&'a str], place: &Place<'a>) -> ModulePath<'a> {
    [module, &place.scope].concat()
}

/// An inline module is a directory for the files of the modules in it.
fn scope_dirs<'p>(place: &'p Place<'_>) -> impl Iterator<Item = &'p std::ffi::OsStr> {
    place.scope.iter().map(|name| std::ffi::OsStr::new(*name))
}

/// A path without `.` and `..`.
fn normalized(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}
