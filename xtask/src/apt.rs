//! Packages by way of apt: installed as root, unpacked by anybody.

mod closure;
mod error;
mod tree;

use crate::step::say;
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
    // Unknown to old lists, or gone from the mirror since.
    say("updating the package lists (apt-get update)");
    run(apt_get().arg("update"))?;
    install().map(drop)
}

/// Unpacks a package and what it needs into a directory of its own below `dir`.
///
/// The directory gets its name when it is complete, so that a broken run leaves
/// nothing that could be taken for the whole.
pub(crate) fn unpack(package: &str, dir: &Path) -> Result<(), AptError> {
    let make = |path: &Path| fs::create_dir_all(path).map_err(AptError::io(path));
    let work = dir.join("apt");
    let debs = work.join("debs").join(package);
    make(&debs)?;
    let system = Lists::of_system(&work)?;
    let wanted = match download(package, &debs, &system) {
        Ok(names) => names,
        Err(_) => {
            // No lists on this machine, or they are too old, and not ours to update.
            say("updating package lists of our own (apt-get update)");
            let own = Lists::own(&work)?;
            run(own.apt_get().arg("update"))?;
            download(package, &debs, &own)?
        }
    };
    say(&format!("unpacking {} packages", wanted.len()));
    let (fresh, done) = (work.join("fresh"), dir.join(package));
    remove(&fresh)?;
    make(&fresh)?;
    for name in closure::deb_files(&debs)? {
        run(Command::new("dpkg-deb").arg("-x").arg(&name).arg(&fresh))?;
    }
    tree::mend_links(&fresh).map_err(AptError::io(&fresh))?;
    remove(&done)?;
    fs::rename(&fresh, &done).map_err(AptError::io(&done))?;
    tree::write_starter_of(package, &done, &dir.join("bin")).map_err(AptError::io(&done))?;
    remove(&debs)
}

/// Fetches what is not part of the system itself, and returns the names.
fn download(package: &str, debs: &Path, lists: &Lists) -> Result<Vec<String>, AptError> {
    let mut simulate = lists.apt_get();
    simulate.args(["install", "-y", "--no-install-recommends", "--print-uris", package]);
    let wanted = closure::wanted(package, &run(&mut simulate)?, &closure::base_of_system());
    say(&format!("downloading {} packages", wanted.len()));
    for file in closure::deb_files(debs)? {
        fs::remove_file(&file).map_err(AptError::io(&file))?;
    }
    run(lists.apt_get().arg("download").args(&wanted).current_dir(debs))?;
    Ok(wanted)
}

/// Which package lists apt is to work with, on a machine where nothing is
/// installed: so a package comes with all that it needs.
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
            // Large, and of use to nobody but us.
            "Dir::Cache::pkgcache=".to_owned(),
            "Dir::Cache::srcpkgcache=".to_owned(),
            "Debug::NoLocking=1".to_owned(),
            // Another user, who may not be able to write here.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { options: options.into() })
    }

    fn own(work: &Path) -> Result<Self, AptError> {
        let lists = work.join("lists");
        fs::create_dir_all(lists.join("partial")).map_err(AptError::io(&lists))?;
        let mut own = Self::of_system(work)?;
        own.options.push(format!("Dir::State::lists={}", lists.display()));
        Ok(own)
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

/// Runs a program for its output; its complaints are kept for the error.
fn run(command: &mut Command) -> Result<String, AptError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| AptError::NotStarted { program: command.get_program().into(), error })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_error = |line: &&str| line.starts_with("E:");
    let said = complaint.lines().rfind(is_error).or_else(|| complaint.lines().last());
    let said = said.unwrap_or("without a word").trim().to_owned();
    Err(AptError::Failed { line: outline(command), said })
}

/// The command without its options, which fill a screen and explain nothing.
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
    fn a_failed_program_is_named_with_its_last_complaint() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo first >&2; echo 'E: reason' >&2; echo W: more >&2; exit 1"]);
        let Err(AptError::Failed { line, said }) = run(&mut command) else { panic!("it passed") };
        assert!(line.starts_with("sh -c echo"), "{line}");
        assert_eq!(said, "E: reason");
    }

    #[test]
    fn an_outline_leaves_out_options() {
        let mut command = apt_get();
        command.args(["-o", "A=b", "install", "-y", "x"]);
        assert_eq!(outline(&command), "apt-get install -y x");
    }
}
