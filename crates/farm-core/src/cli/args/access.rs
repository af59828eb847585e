//! Who we are to ZooKeeper, and who may do what with the znodes that we create.
//!
//! **Invariant.** A secret comes from a file, never from an argument or a variable,
//! and goes to the servers alone: no error and no log line has any of it.

use super::connection::CONNECTION;
use crate::cli::exit::Exit;
use crate::cli::failure::{self, Failure};
use crate::session::{Acl, Auth};
use clap::Args;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What systemd calls the credentials that a unit may hand to a service.
const CREDENTIAL: &str = "zk-auth";

/// Far more than as many credentials as are taken.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The bit of a file's mode that lets everybody read it.
const READABLE_BY_ALL: u32 = 0o004;

/// Credentials and access list.
#[derive(Debug, Clone, Args)]
pub(super) struct AccessArgs {
    /// Read credentials from FILE: lines like digest:user:password; without it from
    /// the systemd credential zk-auth, if there is one
    #[arg(long, value_name = "FILE", env = "ZK_AUTH_FILE", hide_env_values = true)]
    #[arg(global = true, help_heading = CONNECTION)]
    auth_file: Option<PathBuf>,

    /// Who may use the znodes that are created: open (everybody), creator,
    /// creator+read, or scheme:id:perms[,...]
    // Text until it is needed: clap would show a wrong one, with the password that
    // somebody may have put there.
    #[arg(long, value_name = "SPEC", default_value = "open", global = true)]
    #[arg(help_heading = CONNECTION)]
    acl: String,
}

impl AccessArgs {
    /// Reads the credentials and the access list.
    pub(super) fn read(&self) -> Result<(Auth, Acl), Failure> {
        let acl =
            Acl::parse(&self.acl).map_err(|error| Failure::from(error).during("wrong --acl"))?;
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY");
        let auth = credentials(self.auth_file.as_deref(), directory.as_deref())?;
        if acl.needs_credentials() && auth.is_empty() {
            let what = format!("--acl {} needs credentials, and there are none", self.acl);
            return Err(Failure::new(Exit::Configuration, what)
                .hint("name a file of credentials with --auth-file or in ZK_AUTH_FILE"));
        }
        Ok((auth, acl))
    }
}

/// Those of the file that was named, else those that systemd hands over, else none.
fn credentials(file: Option<&Path>, directory: Option<&OsStr>) -> Result<Auth, Failure> {
    if let Some(path) = file {
        return read_file(path).map_err(|error| unreadable(path, error))?;
    }
    let Some(directory) = directory.filter(|directory| !directory.is_empty()) else {
        return Ok(Auth::default());
    };
    let path = Path::new(directory).join(CREDENTIAL);
    match read_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Auth::default()),
        outcome => outcome.map_err(|error| unreadable(&path, error))?,
    }
}

fn read_file(path: &Path) -> io::Result<Result<Auth, Failure>> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    if about.is_file() && about.permissions().mode() & READABLE_BY_ALL != 0 {
        log::warn!(file:? = path; "everybody can read our credentials: chmod o-r is due");
    }
    let mut bytes = Vec::new();
    file.by_ref().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Auth::parse(&bytes).map_err(|error| {
        let path = path.display().to_string();
        Failure::from(error)
            .during(format!("cannot use the credentials of {path:?}"))
            .hint("each line has to be like digest:user:password")
    }))
}

fn unreadable(path: &Path, error: io::Error) -> Failure {
    let what = format!("cannot read the credentials of {:?}", path.display().to_string());
    Failure::new(failure::unreadable(&error), what).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use farm_harness::Scratch;

    #[derive(Debug, Parser)]
    struct Tool {
        #[command(flatten)]
        access: AccessArgs,
    }

    fn read(args: &[&str]) -> Result<(Auth, Acl), Failure> {
        Tool::try_parse_from([&["tool"], args].concat()).unwrap().access.read()
    }

    #[test]
    fn what_was_named_comes_before_what_systemd_hands_over() {
        let scratch = Scratch::new();
        let named = scratch.write("named", "digest:named:x");
        scratch.write("zk-auth", "digest:systemd:x");
        let (here, elsewhere) = (scratch.path().as_os_str(), OsStr::new("/nowhere"));
        let auth = |text: &str| Auth::parse(text.as_bytes()).unwrap();
        let found = |file, directory| credentials(file, directory).unwrap();
        assert_eq!(found(Some(&named), Some(here)), auth("digest:named:x"));
        assert_eq!(found(None, Some(here)), auth("digest:systemd:x"));
        for directory in [None, Some(elsewhere), Some(OsStr::new(""))] {
            assert!(found(None, directory).is_empty(), "{directory:?}");
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_told_without_what_they_hold() {
        let scratch = Scratch::new();
        let long = "digest:secret:secret\n".repeat(4000);
        scratch.write("bad", "digest:a:b\n\nsecret:secret\n");
        scratch.write("empty", "# secret\n");
        scratch.write("long", &long);
        for (name, told) in [
            ("bad", "line 3: it does not begin with digest:"),
            ("empty", "it holds no credentials"),
            ("long", "file too large"),
            ("missing", "No such file"),
            ("", "Is a directory"),
        ] {
            let path = scratch.join(name);
            let failure = credentials(Some(&path), None).unwrap_err();
            assert_eq!(failure.exit(), Exit::Configuration, "{name}");
            let line = failure.told_by("tool");
            assert!(line.contains(told) && line.contains(path.to_str().unwrap()), "{line}");
            assert!(!line.contains("secret") && !format!("{failure:?}").contains("secret"));
        }
        let denied = unreadable(Path::new("/x"), io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.exit(), Exit::NotAllowed);
    }

    #[test]
    fn the_creator_has_to_be_somebody() {
        let scratch = Scratch::new();
        let file = scratch.write("auth", "digest:a:b").display().to_string();
        let (auth, acl) = read(&["--auth-file", &file, "--acl", "creator"]).unwrap();
        assert_eq!((auth.is_empty(), acl), (false, Acl::parse("creator").unwrap()));
        for (acl, exit) in [
            ("creator", Exit::Configuration),
            ("auth::r", Exit::Configuration),
            ("nobody", Exit::Usage),
            ("digest:a:secret:r", Exit::Usage),
        ] {
            let failure = read(&["--acl", acl]).unwrap_err();
            assert_eq!(failure.exit(), exit, "{acl}");
            assert!(!failure.told_by("tool").contains("secret"), "{failure:?}");
        }
    }
}
