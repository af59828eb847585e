//! Which packages to unpack.

use super::error::AptError;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

// What we unpack must be whole whatever is installed: half a runtime here and
// half in the system would find each other on some machines only.
const WHOLE_SECTIONS: [&str; 2] = ["java", "php"];

/// The packages that every unpacked program may take from the system.
pub(super) fn base_of_system() -> BTreeSet<String> {
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
        if is_installed && !WHOLE_SECTIONS.contains(&section) {
            names.extend(field("Package").map(str::to_owned));
        }
    }
    names
}

/// The names in apt's list of addresses that the system does not bring.
pub(super) fn wanted(package: &str, uris: &str, base: &BTreeSet<String>) -> Vec<String> {
    // Libraries ask for a Java to run them, and there is one already.
    let is_runtime = |name: &str| name.starts_with("openjdk-") || name.contains("-jre");
    let is_spare = |name: &str| is_runtime(name) && !is_runtime(package);
    let name_of = |line: &str| {
        let file = line.strip_prefix('\'')?.split_once("' ")?.1;
        file.split_once('_').map(|(name, _)| name.to_owned())
    };
    let names = uris.lines().filter_map(name_of);
    names.filter(|name| !base.contains(name) && !is_spare(name)).collect()
}

/// The package files in a directory, sorted.
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
    fn base_is_what_is_installed_and_no_runtime_of_ours() {
        let base = base(STATUS);
        assert_eq!(base.iter().map(String::as_str).collect::<Vec<_>>(), ["libc6", "tzdata"]);
    }

    #[test]
    fn wanted_takes_names_from_addresses() {
        let uris = "Reading package lists...\nNeed to get 3 MB of archives.\n\
            'http://h/l/libc6_2.36_amd64.deb' libc6_2.36_amd64.deb 1 MD5Sum:0\n\
            'http://h/p/php8.2-cli_8.2%2b1_amd64.deb' php8.2-cli_8.2+1_amd64.deb 1 \n";
        assert_eq!(wanted("php-cli", uris, &base(STATUS)), ["php8.2-cli"]);
    }

    #[test]
    fn libraries_come_without_a_runtime() {
        let uris = "'http://h/z_1.deb' libzookeeper-java_1.deb 1 \n\
            'http://h/j_1.deb' openjdk-17-jre-headless_1.deb 1 \n";
        let base = BTreeSet::new();
        assert_eq!(wanted("libzookeeper-java", uris, &base), ["libzookeeper-java"]);
        assert_eq!(wanted("default-jre-headless", uris, &base).len(), 2);
    }
}
