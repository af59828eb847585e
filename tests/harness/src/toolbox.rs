//! Finds Java, ZooKeeper, PHP and libfaketime on this machine.
//!
//! `cargo xtask` and the tests use the same rules: xtask fetches what these functions do not
//! find, and the tests find what xtask has fetched. The environment variables `FARM_JAVA`,
//! `FARM_ZOOKEEPER_CLASSPATH`, `FARM_PHP` and `FARM_FAKETIME` come first, then the system, then the packages
//! unpacked under the build directory. `FARM_PROVISION=unpack` skips the system.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

const DEBIAN_JARS: &str = "usr/share/java";
const REQUIRED_JARS: [&str; 6] =
    ["zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-simple", "metrics-core", "snappy-java"];
// Only some releases of ZooKeeper load these at startup.
const OPTIONAL_JARS: [&str; 12] = [
    "netty-buffer",
    "netty-codec",
    "netty-common",
    "netty-handler",
    "netty-resolver",
    "netty-transport",
    "netty-transport-native-unix-common",
    "netty-transport-native-epoll",
    "commons-cli",
    "commons-io",
    "jackson-core",
    "jackson-databind",
];

/// The programs and jars that a real server needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolbox {
    /// The `java` program.
    pub java: PathBuf,
    /// ZooKeeper's class path, separated by colons.
    pub zookeeper_classpath: String,
    /// The `php` program, if it is installed.
    pub php: Option<PathBuf>,
}

/// A tool that is not found on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// No `java`.
    Java,
    /// No jars of ZooKeeper.
    ZooKeeper,
    /// No `php`.
    Php,
    /// No `libfaketime`.
    FakeTime,
}

impl Missing {
    /// The Debian package that contains it.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::Java => "default-jre-headless",
            Self::ZooKeeper => "libzookeeper-java",
            Self::Php => "php-cli",
            Self::FakeTime => "libfaketime",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Java => "no Java (java in PATH, JAVA_HOME or FARM_JAVA)",
            Self::ZooKeeper => {
                "no ZooKeeper (Debian's jars, ZOOKEEPER_HOME or FARM_ZOOKEEPER_CLASSPATH)"
            }
            Self::Php => "no PHP (php in PATH or FARM_PHP)",
            Self::FakeTime => "no libfaketime (Debian's library or FARM_FAKETIME)",
        })
    }
}

impl std::error::Error for Missing {}

impl Toolbox {
    /// Looks for Java, ZooKeeper and PHP. PHP is optional.
    ///
    /// # Errors
    ///
    /// The first tool that is missing.
    pub fn find() -> Result<Self, Missing> {
        Ok(Self {
            java: find_java().ok_or(Missing::Java)?,
            zookeeper_classpath: find_zookeeper().ok_or(Missing::ZooKeeper)?,
            php: find_php(),
        })
    }
}

/// The `php` program, for a test that needs it.
///
/// # Panics
///
/// When it is missing: such a test fails instead of being skipped.
#[must_use]
pub fn php() -> PathBuf {
    find_php().unwrap_or_else(|| panic!("{}: run `cargo xtask test`", Missing::Php))
}

/// The library that gives a program another clock, for a test that needs it.
///
/// # Panics
///
/// When it is missing: such a test fails instead of being skipped.
#[must_use]
pub fn faketime() -> PathBuf {
    find_faketime().unwrap_or_else(|| panic!("{}: run `cargo xtask test`", Missing::FakeTime))
}

/// The `java` program.
#[must_use]
pub fn find_java() -> Option<PathBuf> {
    let home = || non_empty("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let system = || home().filter(|path| path.is_file()).or_else(|| in_path("java"));
    find_program("FARM_JAVA", system, "java")
}

/// The `php` program.
#[must_use]
pub fn find_php() -> Option<PathBuf> {
    find_program("FARM_PHP", || in_path("php"), "php")
}

/// The library `libfaketime`, to be preloaded.
#[must_use]
pub fn find_faketime() -> Option<PathBuf> {
    if let Some(path) = non_empty("FARM_FAKETIME") {
        return Some(path.into());
    }
    let found = if is_unpack_only() { None } else { faketime_below(Path::new("/")) };
    found.or_else(|| faketime_below(&provision_dir().join(Missing::FakeTime.package())))
}

/// Debian's path contains the name of the architecture.
fn faketime_below(root: &Path) -> Option<PathBuf> {
    let architectures = std::fs::read_dir(root.join("usr/lib")).ok()?.flatten();
    let mut libraries = architectures.map(|dir| dir.path().join("faketime/libfaketime.so.1"));
    libraries.find(|path| path.is_file())
}

/// The class path of a ZooKeeper server.
#[must_use]
pub fn find_zookeeper() -> Option<String> {
    if let Some(classpath) = non_empty("FARM_ZOOKEEPER_CLASSPATH") {
        return classpath.into_string().ok();
    }
    let home = || classpath_of_home(Path::new(&non_empty("ZOOKEEPER_HOME")?));
    let system = || home().or_else(|| classpath_of_debian(Path::new("/")));
    let found = if is_unpack_only() { None } else { system() };
    found.or_else(|| classpath_of_debian(&provision_dir().join(Missing::ZooKeeper.package())))
}

/// Where `cargo xtask` unpacks packages that it can't install: one directory per package,
/// and `bin` with wrappers that start the programs in them.
#[must_use]
pub fn provision_dir() -> PathBuf {
    target_dir().join("provision")
}

/// The build directory of this program.
///
/// # Panics
///
/// When the path of this program is unknown.
#[must_use]
pub fn target_dir() -> PathBuf {
    let program =
        env::current_exe().unwrap_or_else(|e| panic!("cannot get the path of this program: {e}"));
    // Cargo marks the top of its build directory. The program is below it in the directory of
    // the profile, or of the target and the profile.
    let marked = program.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    marked.or_else(|| program.ancestors().nth(2)).unwrap_or(Path::new("target")).to_path_buf()
}

/// Whether to skip the tools of the system.
#[must_use]
pub fn is_unpack_only() -> bool {
    env::var_os("FARM_PROVISION").is_some_and(|value| value == "unpack")
}

/// The first program with that name in `PATH`.
#[must_use]
pub fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

fn find_program(
    variable: &str,
    system: impl Fn() -> Option<PathBuf>,
    name: &str,
) -> Option<PathBuf> {
    if let Some(path) = non_empty(variable) {
        return Some(path.into());
    }
    let found = if is_unpack_only() { None } else { system() };
    found.or_else(|| Some(provision_dir().join("bin").join(name)).filter(|path| path.is_file()))
}

fn non_empty(variable: &str) -> Option<std::ffi::OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

/// The class path of an unpacked release: its conf directory (for logging) and all its jars.
fn classpath_of_home(home: &Path) -> Option<String> {
    let jars_in = |dir: PathBuf| -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
        let jars = entries.flatten().map(|entry| entry.path());
        let mut jars: Vec<_> = jars.filter(|jar| jar.extension() == Some("jar".as_ref())).collect();
        jars.sort();
        jars
    };
    let jars = [jars_in(home.join("lib")), jars_in(home.to_path_buf())].concat();
    let is_server = |jar: &PathBuf| {
        let name = jar.file_name().and_then(OsStr::to_str).unwrap_or("");
        name.starts_with("zookeeper-") && !name.starts_with("zookeeper-jute")
    };
    jars.iter().any(is_server).then(|| {
        let conf = home.join("conf");
        let parts: Vec<_> = std::iter::once(conf).chain(jars).collect();
        parts.iter().map(|part| part.display().to_string()).collect::<Vec<_>>().join(":")
    })
}

/// The class path of Debian's packages: only the jars that the server loads, so that it
/// starts quickly.
fn classpath_of_debian(root: &Path) -> Option<String> {
    let jar = |name: &&str| -> Option<String> {
        let path = root.join(DEBIAN_JARS).join(format!("{name}.jar"));
        path.is_file().then(|| path.display().to_string())
    };
    let needed: Option<Vec<_>> = REQUIRED_JARS.iter().map(jar).collect();
    let parts: Vec<_> = needed?.into_iter().chain(OPTIONAL_JARS.iter().filter_map(jar)).collect();
    Some(parts.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scratch;

    #[test]
    fn debian_needs_every_needed_jar() {
        let root = Scratch::new();
        for name in REQUIRED_JARS {
            assert_eq!(classpath_of_debian(root.path()), None, "before {name}");
            root.write(format!("{DEBIAN_JARS}/{name}.jar"), "");
        }
        root.write(format!("{DEBIAN_JARS}/netty-common.jar"), "");
        let classpath = classpath_of_debian(root.path()).unwrap();
        assert_eq!(classpath.split(':').count(), REQUIRED_JARS.len() + 1);
    }

    #[test]
    fn faketime_is_found_whatever_the_architecture() {
        let root = Scratch::new();
        assert_eq!(faketime_below(root.path()), None);
        root.write("usr/lib/debug/other", "");
        let library = root.write("usr/lib/riscv64-linux-gnu/faketime/libfaketime.so.1", "");
        assert_eq!(faketime_below(root.path()), Some(library));
    }

    #[test]
    fn a_home_needs_the_server_itself() {
        let home = Scratch::new();
        home.write("lib/zookeeper-jute-3.8.0.jar", "");
        assert_eq!(classpath_of_home(home.path()), None);
        home.write("lib/zookeeper-3.8.0.jar", "");
        let classpath = classpath_of_home(home.path()).unwrap();
        assert!(classpath.starts_with(&home.join("conf:").display().to_string()), "{classpath}");
        assert!(classpath.ends_with("lib/zookeeper-jute-3.8.0.jar"), "{classpath}");
    }
}
