//! Makes an unpacked tree work in the directory where it is.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Turns absolute symlinks into relative ones if their targets are in the tree.
pub(super) fn make_links_relative(root: &Path) -> io::Result<()> {
    let mut pending = vec![(root.to_owned(), PathBuf::new())];
    while let Some((dir, up)) = pending.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                pending.push((path, up.join("..")));
            } else if kind.is_symlink() {
                let target = fs::read_link(&path)?;
                let Ok(inside) = target.strip_prefix("/") else { continue };
                if root.join(inside).symlink_metadata().is_ok() {
                    fs::remove_file(&path)?;
                    symlink(up.join(inside), &path)?;
                }
            }
        }
    }
    Ok(())
}

/// Writes a wrapper script for the program of a package, if it has one that we need.
pub(super) fn write_wrapper_of(package: &str, root: &Path, bin: &Path) -> io::Result<()> {
    let (name, program, options) = match package {
        "default-jre-headless" => ("java", java_in(root), ""),
        // Without `-n` it would load extensions from paths outside of the tree.
        "php-cli" => ("php", php_in(root), " -n"),
        _ => return Ok(()),
    };
    let program = program.ok_or_else(|| io::Error::other(format!("no {name} in {package}")))?;
    let libraries: Vec<_> = ["usr/lib", "lib"]
        .iter()
        .flat_map(|dir| entries(&root.join(dir)))
        .filter(|dir| name_of(dir).contains("-linux-") && dir.is_dir())
        .collect();
    fs::create_dir_all(bin)?;
    write_wrapper(&bin.join(name), &program, options, &libraries)
}

fn java_in(root: &Path) -> Option<PathBuf> {
    let homes = entries(&root.join("usr/lib/jvm")).into_iter();
    homes.map(|home| home.join("bin/java")).find(|java| java.is_file())
}

fn php_in(root: &Path) -> Option<PathBuf> {
    let is_php = |program: &PathBuf| {
        let version = name_of(program).strip_prefix("php").unwrap_or("-");
        version.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    entries(&root.join("usr/bin")).into_iter().find(is_php)
}

/// Writes a script that executes the program with the libraries of its tree.
fn write_wrapper(
    path: &Path,
    program: &Path,
    options: &str,
    libraries: &[PathBuf],
) -> io::Result<()> {
    let mut lines = "#!/bin/sh\n".to_owned();
    if !libraries.is_empty() {
        let dirs: Vec<_> = libraries.iter().map(|dir| quoted(dir)).collect();
        lines += &format!("LD_LIBRARY_PATH={}\nexport LD_LIBRARY_PATH\n", dirs.join(":"));
    }
    lines += &format!("exec {}{options} \"$@\"\n", quoted(program));
    let temporary = path.with_extension("partial");
    File::create(&temporary)?.write_all(lines.as_bytes())?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o755))?;
    fs::rename(temporary, path)
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// The sorted entries of a directory; none if it does not exist.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::{Scratch, Tool};

    #[test]
    fn absolute_links_become_relative_if_they_lead_into_the_tree() {
        let root = Scratch::new();
        root.write("etc/java/jvm.cfg", "inside");
        fs::create_dir_all(root.join("usr/lib/jvm")).unwrap();
        let link = |target: &str, name: &str| symlink(target, root.join(name)).unwrap();
        link("/etc/java/jvm.cfg", "usr/lib/jvm/jvm.cfg");
        link("/etc/passwd", "usr/lib/jvm/outside");
        link("../java/jvm.cfg", "etc/java/relative");
        make_links_relative(root.path()).unwrap();
        assert_eq!(root.read("usr/lib/jvm/jvm.cfg").unwrap(), "inside");
        assert_eq!(
            fs::read_link(root.join("usr/lib/jvm/outside")).unwrap(),
            Path::new("/etc/passwd")
        );
        let relative = fs::read_link(root.join("etc/java/relative")).unwrap();
        assert_eq!(relative, Path::new("../java/jvm.cfg"));
    }

    #[test]
    fn a_wrapper_runs_the_program_with_its_libraries() {
        let scratch = Scratch::new();
        let program = "#!/bin/sh\necho \"$LD_LIBRARY_PATH|$@\"\n";
        for name in ["it's/usr/bin/php8.2", "it's/usr/bin/phar8.2", "it's/usr/bin/php-config"] {
            let path = scratch.write(name, program);
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        fs::create_dir_all(scratch.join("it's/usr/lib/x86_64-linux-gnu")).unwrap();
        let (root, bin) = (scratch.join("it's"), scratch.join("bin"));
        write_wrapper_of("php-cli", &root, &bin).unwrap();
        assert!(write_wrapper_of("default-jre-headless", &root, &bin).is_err());
        write_wrapper_of("libzookeeper-java", &root, &bin).unwrap();
        let output = Tool::program(scratch.join("bin/php")).args(["-r", "a b"]).run();
        let libraries = scratch.join("it's/usr/lib/x86_64-linux-gnu");
        output.ok().stdout_is(format!("{}|-n -r a b\n", libraries.display()));
        assert!(!scratch.join("bin/java").exists());
    }
}
