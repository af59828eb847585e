//! Debian packages: installed by root, unpacked by other users.

mod error;
mod packages;
mod relocate;

use crate::step::eprint_line;
pub(crate) use error::AptError;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Installs packages on this machine.
pub(crate) fn install(packages: &[&str]) -> Result<(), AptError> {
    let install = || {
        let mut command = apt_get();
        command.args(["install", "-y", "--no-install-recommends"]).args(packages);
        run(&mut command)
    };
    if install().is_ok() {
        return Ok(());
    }
    // The package lists may be too old to know the package, or its present version.
    eprint_line("updating the package lists (apt-get update)");
    run(apt_get().arg("update"))?;
    install().map(drop)
}

/// Unpacks a package and its dependencies into `dir/PACKAGE`.
///
/// The directory is renamed to that once it is complete, so that an aborted run leaves nothing
/// that looks complete.
pub(crate) fn unpack(package: &str, dir: &Path) -> Result<(), AptError> {
    let make = |path: &Path| fs::create_dir_all(path).map_err(AptError::io(path));
    let work = dir.join("apt");
    let debs = work.join("debs").join(package);
    make(&debs)?;
    let system = Lists::of_system(&work)?;
    let needed = match download(package, &debs, &system) {
        Ok(names) => names,
        Err(_) => {
            // This machine has no package lists, or old ones that we may not update.
            eprint_line("updating separate package lists (apt-get update)");
            let separate = Lists::separate(&work)?;
            run(separate.apt_get().arg("update"))?;
            download(package, &debs, &separate)?
        }
    };
    eprint_line(&format!("unpacking {} packages", needed.len()));
    let (partial, target) = (work.join("partial"), dir.join(package));
    remove(&partial)?;
    make(&partial)?;
    for name in packages::deb_files(&debs)? {
        run(Command::new("dpkg-deb").arg("-x").arg(&name).arg(&partial))?;
    }
    relocate::make_links_relative(&partial).map_err(AptError::io(&partial))?;
    remove(&target)?;
    fs::rename(&partial, &target).map_err(AptError::io(&target))?;
    relocate::write_wrapper_of(package, &target, &dir.join("bin"))
        .map_err(AptError::io(&target))?;
    remove(&debs)
}

/// Downloads the packages that the system itself does not have, and returns their names.
fn download(package: &str, debs: &Path, lists: &Lists) -> Result<Vec<String>, AptError> {
    let mut simulate = lists.apt_get();
    simulate.args(["install", "-y", "--no-install-recommends", "--print-uris", package]);
    let needed = packages::needed(package, &run(&mut simulate)?, &packages::installed_base());
    eprint_line(&format!("downloading {} packages", needed.len()));
    for file in packages::deb_files(debs)? {
        fs::remove_file(&file).map_err(AptError::io(&file))?;
    }
    run(lists.apt_get().arg("download").args(&needed).current_dir(debs))?;
    Ok(needed)
}

/// The options that make apt use certain package lists, and believe that nothing is installed: it
/// then selects a package with all of its dependencies.
struct Lists {
    options: Vec<String>,
}

impl Lists {
    fn of_system(work: &Path) -> Result<Self, AptError> {
        let status = work.join("status");
        fs::create_dir_all(work.join("cache/archives/partial")).map_err(AptError::io(work))?;
        fs::File::create(&status).map_err(AptError::io(&status))?;
        let options = [
            format!("Dir::State::status={}", status.display()),
            format!("Dir::Cache={}", work.join("cache").display()),
            // These caches are large, and nobody else uses them.
            "Dir::Cache::pkgcache=".to_owned(),
            "Dir::Cache::srcpkgcache=".to_owned(),
            "Debug::NoLocking=1".to_owned(),
            // The sandbox user may not be allowed to write here.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { options: options.into() })
    }

    fn separate(work: &Path) -> Result<Self, AptError> {
        let dir = work.join("lists");
        fs::create_dir_all(dir.join("partial")).map_err(AptError::io(&dir))?;
        let mut lists = Self::of_system(work)?;
        lists.options.push(format!("Dir::State::lists={}", dir.display()));
        Ok(lists)
    }

    fn apt_get(&self) -> Command {
        let mut command = apt_get();
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        command
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::http::Timeout=30"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C");
    command
}

/// Runs a program and returns its output. An error has the last error message of the program.
fn run(command: &mut Command) -> Result<String, AptError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| AptError::NotStarted { program: command.get_program().into(), error })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_error = |line: &&str| line.starts_with("E:");
    let message = stderr.lines().rfind(is_error).or_else(|| stderr.lines().last());
    let message = message.unwrap_or("no error message").trim().to_owned();
    Err(AptError::Failed { line: outline(command), message })
}

/// The command without its `-o` options, which are long and explain nothing.
fn outline(command: &Command) -> String {
    let mut words = vec![command.get_program().display().to_string()];
    let mut arguments = command.get_args();
    while let Some(argument) = arguments.next() {
        if argument == "-o" {
            arguments.next();
        } else {
            words.push(argument.display().to_string());
        }
    }
    words.join(" ")
}

fn remove(dir: &Path) -> Result<(), AptError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(AptError::io(dir)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_named_with_its_last_error() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo first >&2; echo 'E: reason' >&2; echo W: more >&2; exit 1"]);
        let Err(AptError::Failed { line, message }) = run(&mut command) else {
            panic!("it passed")
        };
        assert!(line.starts_with("sh -c echo"), "{line}");
        assert_eq!(message, "E: reason");
    }

    #[test]
    fn an_outline_leaves_out_options() {
        let mut command = apt_get();
        command.args(["-o", "A=b", "install", "-y", "x"]);
        assert_eq!(outline(&command), "apt-get install -y x");
    }
}
