//! Which packages to unpack.

use super::error::AptError;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Packages of these sections are never taken from the system: a runtime of which one half is
/// unpacked here and the other installed there works on some machines only.
const UNPACKED_SECTIONS: [&str; 2] = ["java", "php"];

/// The installed packages that an unpacked program may use.
pub(super) fn installed_base() -> BTreeSet<String> {
    base(&fs::read_to_string("/var/lib/dpkg/status").unwrap_or_default())
}

fn base(status: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for stanza in status.split("\n\n") {
        let field = |name: &str| {
            stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let is_installed = field("Status").is_some_and(|status| status.ends_with(" installed"));
        let section = field("Section").unwrap_or_default();
        let section = section.rsplit('/').next().unwrap_or_default();
        if is_installed && !UNPACKED_SECTIONS.contains(&section) {
            names.extend(field("Package").map(str::to_owned));
        }
    }
    names
}

/// The packages in apt's list of URIs that are not in the base.
pub(super) fn needed(package: &str, uris: &str, base: &BTreeSet<String>) -> Vec<String> {
    // Libraries depend on a Java runtime, which is unpacked as a package of its own.
    let is_runtime = |name: &str| name.starts_with("openjdk-") || name.contains("-jre");
    let is_second_runtime = |name: &str| is_runtime(name) && !is_runtime(package);
    let name_of = |line: &str| {
        let file = line.strip_prefix('\'')?.split_once("' ")?.1;
        file.split_once('_').map(|(name, _)| name.to_owned())
    };
    let names = uris.lines().filter_map(name_of);
    names.filter(|name| !base.contains(name) && !is_second_runtime(name)).collect()
}

/// The `.deb` files in a directory, sorted.
pub(super) fn deb_files(dir: &Path) -> Result<Vec<PathBuf>, AptError> {
    let entries = fs::read_dir(dir).map_err(AptError::io(dir))?;
    let files = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> = files.filter(|file| file.extension() == Some("deb".as_ref())).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: libc6\nStatus: install ok installed\nSection: libs\n\n\
        Package: libslf4j-java\nStatus: install ok installed\nSection: java\n\n\
        Package: libwar-java\nStatus: install ok installed\nSection: contrib/java\n\n\
        Package: libgone\nStatus: deinstall ok config-files\nSection: libs\n\n\
        Package: tzdata\nStatus: hold ok installed\n";

    #[test]
    fn the_base_is_what_is_installed_without_java_and_php() {
        let base = base(STATUS);
        assert_eq!(base.iter().map(String::as_str).collect::<Vec<_>>(), ["libc6", "tzdata"]);
    }

    #[test]
    fn needed_packages_are_read_from_uris() {
        let uris = "Reading package lists...\nNeed to get 3 MB of archives.\n\
            'http://h/l/libc6_2.36_amd64.deb' libc6_2.36_amd64.deb 1 MD5Sum:0\n\
            'http://h/p/php8.2-cli_8.2%2b1_amd64.deb' php8.2-cli_8.2+1_amd64.deb 1 \n";
        assert_eq!(needed("php-cli", uris, &base(STATUS)), ["php8.2-cli"]);
    }

    #[test]
    fn libraries_are_unpacked_without_a_runtime() {
        let uris = "'http://h/z_1.deb' libzookeeper-java_1.deb 1 \n\
            'http://h/j_1.deb' openjdk-17-jre-headless_1.deb 1 \n";
        let base = BTreeSet::new();
        assert_eq!(needed("libzookeeper-java", uris, &base), ["libzookeeper-java"]);
        assert_eq!(needed("default-jre-headless", uris, &base).len(), 2);
    }
}
