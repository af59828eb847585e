//! Checks that no two mirrors write to the same place.
//!
//! **Invariant.** A conflict is found however the paths are written: with dots, double slashes or
//! symbolic links.

use super::MirrorSpec;
use std::fmt;
use std::path::{Path, PathBuf};

/// A conflict between two mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// Both are the same file or directory.
    Same(PathBuf, PathBuf),
    /// The first lies in the directory of the second, where every other file is removed.
    Inside(PathBuf, PathBuf),
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(one, other) if one == other => {
                write!(f, "two mirrors have the same file: {}", one.display())
            }
            Self::Same(one, other) => {
                let (one, other) = (one.display(), other.display());
                write!(f, "two mirrors have the same file: {one} and {other}")
            }
            Self::Inside(inner, outer) => {
                let (inner, outer) = (inner.display(), outer.display());
                write!(f, "one mirror lies in the directory of another: {inner} in {outer}")
            }
        }
    }
}

impl std::error::Error for Overlap {}

/// Checks that no two mirrors write to the same place.
///
/// # Errors
///
/// The first two that do.
pub(crate) fn check_places(mirrors: &[MirrorSpec]) -> Result<(), Overlap> {
    let places: Vec<PathBuf> = mirrors.iter().map(|mirror| real(&mirror.local)).collect();
    for (later, there) in places.iter().enumerate() {
        for (earlier, here) in places[..later].iter().enumerate() {
            let (one, other) = (&mirrors[earlier], &mirrors[later]);
            let (first, second) = (one.local.clone(), other.local.clone());
            if here == there {
                return Err(Overlap::Same(first, second));
            }
            if other.is_tree && here.starts_with(there) {
                return Err(Overlap::Inside(first, second));
            }
            if one.is_tree && there.starts_with(here) {
                return Err(Overlap::Inside(second, first));
            }
        }
    }
    Ok(())
}

/// Resolves links and dots in the part of the path that exists.
fn real(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing = Vec::new();
    let mut at = whole.as_path();
    loop {
        if let Ok(real) = at.canonicalize() {
            return missing.into_iter().rev().fold(real, |path, name| path.join(name));
        }
        let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
            return whole;
        };
        missing.push(name);
        at = parent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;
    use std::os::unix::fs::symlink;

    fn check(mirrors: &[String]) -> Result<(), Overlap> {
        let mirrors: Vec<MirrorSpec> = mirrors.iter().map(|text| text.parse().unwrap()).collect();
        check_places(&mirrors)
    }

    #[test]
    fn the_same_place_is_refused_however_it_is_written() {
        let scratch = Scratch::new();
        scratch.write("deep/target", "");
        symlink("deep", scratch.join("link")).unwrap();
        symlink("deep/target", scratch.join("direct")).unwrap();
        let top = scratch.path().display();
        for (one, other) in [
            ("conf", "conf"),
            ("conf", "./conf"),
            ("conf", "deep/../conf"),
            ("deep//new", "link/./new"),
            ("deep/target", "direct"),
            ("none/x", "none//x"),
        ] {
            let mirrors = [format!("{top}/{one}=/a"), format!("{top}/{other}=/b")];
            assert!(matches!(check(&mirrors), Err(Overlap::Same(..))), "{one} {other}");
        }
        let mirrors = [format!("{top}/dir/=/a/"), format!("{top}/dir=/b")];
        assert!(matches!(check(&mirrors), Err(Overlap::Same(..))));
    }

    #[test]
    fn nothing_is_mirrored_into_a_mirrored_directory() {
        let scratch = Scratch::new();
        let top = scratch.path().display();
        let inside = "lies in the directory of another";
        for (one, other) in [("d/=/a/", "d/x=/b"), ("d/x=/b", "d/=/a/"), ("d/=/a/", "d/e/=/b/")] {
            let error = check(&[format!("{top}/{one}"), format!("{top}/{other}")]).unwrap_err();
            assert!(error.to_string().contains(inside), "{error}");
        }
        for (one, other) in [("d/=/a/", "dx=/b"), ("x/a=/b", "x/b=/b"), ("d/=/a/", "e/=/a/")] {
            let mirrors = [format!("{top}/{one}"), format!("{top}/{other}")];
            assert_eq!(check(&mirrors), Ok(()), "{one} {other}");
        }
    }

    #[test]
    fn relative_paths_are_places_too() {
        let here = std::env::current_dir().unwrap();
        let mirrors = ["conf=/a".to_owned(), format!("{}/conf=/a", here.display())];
        assert!(matches!(check(&mirrors), Err(Overlap::Same(..))));
    }
}
