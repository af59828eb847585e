//! What storing a farm in a directory would change, without doing it.

use super::{ClaimError, NAMES_MAX, OWN, REMOVAL_DEPTH_MAX, laid_out};
use crate::files::file::StoreError;
use crate::files::folder::{Folder, Kind};
use crate::files::mark::is_empty;
use crate::model::Farm;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// More than any field has; of a stranger's file the beginning tells enough.
const BYTES_MAX: u64 = 64 << 20;

/// A file that would be made, changed or removed.
///
/// A directory without anything in it has a path that ends in a slash, and no bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which file, from the top of the directory on.
    pub path: PathBuf,
    /// What it has; `None` if it is not there.
    pub before: Option<Vec<u8>>,
    /// What it would have; `None` if it would not be there.
    pub after: Option<Vec<u8>>,
}

/// Says what a farm would change in a directory; nothing is touched.
///
/// # Errors
///
/// [`ClaimError`] as for [`super::ExportDir::claim`].
pub fn preview(path: &Path, adopt: bool, farm: &Farm) -> Result<Vec<Change>, ClaimError> {
    let before = match before(path, adopt) {
        Ok(Some(before)) => before,
        Ok(None) => return Err(OWN.is_missing(path)),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            return Err(ClaimError::NotADirectory(path.to_owned()));
        }
        Err(e) => return Err(ClaimError::Store(StoreError::io(path, e))),
    };
    let tree = laid_out(farm).tree;
    let mut after = Contents::default();
    after.folders.extend(tree.folders.iter().map(|keys| keys.iter().collect::<PathBuf>()));
    let files = tree.files.into_iter().map(|(keys, bytes)| (keys.iter().collect(), bytes));
    after.files.extend(files);
    Ok(changes(before, after))
}

#[derive(Debug, Default)]
struct Contents {
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Contents {
    /// Is there nothing that tells of this directory by its path?
    fn is_bare(&self, folder: &Path) -> bool {
        let below = |path: &&PathBuf| path.starts_with(folder) && path.as_path() != folder;
        let next =
            |from: &Path| (std::ops::Bound::Excluded(from.to_owned()), std::ops::Bound::Unbounded);
        // In this order of paths, what is in a directory comes right after it.
        !self.folders.range(next(folder)).next().is_some_and(|path| below(&path))
            && !self.files.range(next(folder)).next().is_some_and(|(path, _)| below(&path))
    }
}

fn before(path: &Path, adopt: bool) -> io::Result<Option<Contents>> {
    let mut contents = Contents::default();
    let folder = match Folder::open(path) {
        Ok(folder) => folder,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(contents)),
        Err(e) => return Err(e),
    };
    if !adopt && !OWN.is_on(&folder)? && !is_empty(&folder)? {
        return Ok(None);
    }
    collect(&folder, Path::new(""), 0, &mut contents)?;
    Ok(Some(contents))
}

fn collect(folder: &Folder, at: &Path, depth: usize, contents: &mut Contents) -> io::Result<()> {
    for name in folder.names(NAMES_MAX)?.ok_or(io::ErrorKind::FileTooLarge)? {
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = at.join(&name);
        match folder.kind(&name)? {
            None | Some(Kind::Other) => {}
            Some(Kind::Folder) if depth == REMOVAL_DEPTH_MAX => {}
            Some(Kind::Folder) => {
                collect(&folder.enter(&name)?, &path, depth + 1, contents)?;
                contents.folders.insert(path);
            }
            Some(Kind::File) => {
                let Some(file) = folder.open_file(&name)? else { continue };
                let mut bytes = Vec::new();
                file.take(BYTES_MAX).read_to_end(&mut bytes)?;
                contents.files.insert(path, bytes);
            }
        }
    }
    Ok(())
}

fn changes(mut before: Contents, mut after: Contents) -> Vec<Change> {
    let bare = |path: &Path| path.join("");
    let gone = before.folders.difference(&after.folders).filter(|path| before.is_bare(path));
    let gone = gone.map(|path| Change { path: bare(path), before: Some(Vec::new()), after: None });
    let new = after.folders.difference(&before.folders).filter(|path| after.is_bare(path));
    let new = new.map(|path| Change { path: bare(path), before: None, after: Some(Vec::new()) });
    let mut changes: Vec<Change> = gone.chain(new).collect();
    let paths: BTreeSet<PathBuf> = before.files.keys().chain(after.files.keys()).cloned().collect();
    for path in paths {
        let (before, after) = (before.files.remove(&path), after.files.remove(&path));
        if before != after {
            changes.push(Change { path, before, after });
        }
    }
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::export::ExportDir;
    use crate::model::{HostName, Record};
    use farm_harness::Scratch;
    use serde_json::{Value, json};

    fn farm(hosts: &Value) -> Farm {
        let hosts = hosts.as_object().unwrap().iter();
        let host = |(name, record): (&String, &Value)| {
            let record = Record::from_map(record.as_object().unwrap().clone());
            (HostName::parse(name).unwrap(), record)
        };
        hosts.map(host).collect()
    }

    fn told(changes: &[Change]) -> Vec<String> {
        let text = |bytes: &Option<Vec<u8>>| {
            let text = bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            text.unwrap_or_else(|| "-".to_owned())
        };
        let line = |Change { path, before, after }: &Change| {
            format!("{} {}>{}", path.display(), text(before), text(after))
        };
        changes.iter().map(line).collect()
    }

    #[test]
    fn what_would_change_is_what_changes() {
        let scratch = Scratch::new();
        let path = scratch.join("db");
        let old = farm(&json!({"a": {"x": "1", "deep": {"y": "2"}}, "b": {}, "c": {"only": "1"}}));
        let new = farm(&json!({"a": {"x": "3", "deep": {"y": "2"}}, "b": {"n": 1}, "d": {}}));
        let before = preview(&path, false, &old).unwrap();
        assert_eq!(told(&before), ["a/deep/y ->2", "a/x ->1", "b/ ->", "c/only ->1"]);
        assert!(!path.exists(), "nothing is touched");
        ExportDir::claim(&path, false).unwrap().store(&old).unwrap();
        assert_eq!(preview(&path, false, &old).unwrap(), []);
        let change = preview(&path, false, &new).unwrap();
        assert_eq!(told(&change), ["a/x 1>3", "b/n ->1", "c/only 1>-", "d/ ->"]);
        ExportDir::claim(&path, false).unwrap().store(&new).unwrap();
        assert_eq!(preview(&path, false, &new).unwrap(), []);
        assert_eq!(
            told(&preview(&path, false, &farm(&json!({"b": {"n": 1}}))).unwrap()),
            ["a/deep/y 2>-", "a/x 3>-", "d/ >-"]
        );
    }

    #[test]
    fn somebody_elses_directory_is_shown_only_to_who_would_take_it_over() {
        let scratch = Scratch::new();
        scratch.write("etc/passwd", "root");
        scratch.write("etc/.hidden", "x");
        let etc = scratch.join("etc");
        assert!(matches!(preview(&etc, false, &Farm::new()), Err(ClaimError::NotOurs { .. })));
        assert_eq!(told(&preview(&etc, true, &Farm::new()).unwrap()), ["passwd root>-"]);
        let file = etc.join("passwd");
        assert!(matches!(preview(&file, true, &Farm::new()), Err(ClaimError::NotADirectory(_))));
        assert!(!etc.join(super::super::MARK).exists());
    }
}
