//! Our credentials, and the access list of the znodes that we create.
//!
//! **Invariant.** A secret comes from a file, never from an argument or a variable, and
//! goes only to the servers: no error and no log line contains any of it.

use super::heading::CONNECTION;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::input_file::read_failure;
use crate::engine::variable;
use crate::host::resolve::open;
use crate::session::{Acl, Auth};
use clap::Args;
use nix::fcntl::OFlag;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The name of the systemd credential that a unit may pass to a service.
const SYSTEMD_CREDENTIAL: &str = "zk-auth";

/// Far above the size of the largest number of credentials that we accept.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The mode bit that makes a file world-readable.
const WORLD_READABLE: u32 = 0o004;

/// Credentials and access list.
#[derive(Debug, Clone, Args)]
pub(super) struct AccessArgs {
    /// Read credentials from FILE, one digest:user:password per line; the default is
    /// the systemd credential zk-auth, if there is one
    #[arg(long, value_name = "FILE", env = "ZK_AUTH_FILE", hide_env_values = true)]
    #[arg(global = true, help_heading = CONNECTION)]
    auth_file: Option<PathBuf>,

    /// Create znodes with this access list: open (everybody), creator, creator+read,
    /// or scheme:id:perms[,...]
    // Not parsed by clap, whose error would print a wrong value, and with it a password
    // that it may contain.
    #[arg(long, value_name = "SPEC", default_value = "open", global = true)]
    #[arg(help_heading = CONNECTION)]
    acl: String,
}

impl AccessArgs {
    /// Reads the credentials and the access list.
    pub(super) fn read(&self) -> Result<(Auth, Acl), Failure> {
        let acl =
            Acl::parse(&self.acl).map_err(|error| Failure::from(error).during("wrong --acl"))?;
        let directory = variable("CREDENTIALS_DIRECTORY");
        let auth = credentials(self.auth_file.as_deref(), directory.as_deref())?;
        if acl.needs_credentials() && auth.is_empty() {
            let what = format!("--acl {} needs credentials, and there are none", self.acl);
            return Err(Failure::new(Exit::Configuration, what)
                .hint("name a file of credentials with --auth-file or in ZK_AUTH_FILE"));
        }
        Ok((auth, acl))
    }
}

/// Those of the named file, else those from systemd, else none.
fn credentials(file: Option<&Path>, directory: Option<&OsStr>) -> Result<Auth, Failure> {
    if let Some(path) = file {
        return read_file(path).map_err(|error| cannot_read(path, error))?;
    }
    let Some(directory) = directory.filter(|directory| !directory.is_empty()) else {
        return Ok(Auth::default());
    };
    let path = Path::new(directory).join(SYSTEMD_CREDENTIAL);
    match read_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Auth::default()),
        outcome => outcome.map_err(|error| cannot_read(&path, error))?,
    }
}

fn read_file(path: &Path) -> io::Result<Result<Auth, Failure>> {
    let mut file = open(path, OFlag::empty())?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & WORLD_READABLE != 0 {
        log::warn!(file:? = path; "everybody can read our credentials: run chmod o-r on the file");
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
            .hint("each line must look like digest:user:password")
    }))
}

fn cannot_read(path: &Path, error: io::Error) -> Failure {
    read_failure(format!("cannot read the credentials of {:?}", path.display().to_string()), error)
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
    fn a_named_file_takes_precedence_over_the_systemd_credential() {
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
    fn an_error_about_a_file_shows_none_of_its_content() {
        let scratch = Scratch::new();
        let long = "digest:secret:secret\n".repeat(4000);
        scratch.write("bad", "digest:a:b\n\nsecret:secret\n");
        scratch.write("empty", "# secret\n");
        scratch.write("long", &long);
        for (name, reason) in [
            ("bad", "line 3: it does not begin with digest:"),
            ("empty", "it holds no credentials"),
            ("long", "file too large"),
            ("missing", "No such file"),
            ("", "Is a directory"),
        ] {
            let path = scratch.join(name);
            let failure = credentials(Some(&path), None).unwrap_err();
            assert_eq!(failure.exit(), Exit::Configuration, "{name}");
            let line = failure.render("tool");
            assert!(line.contains(reason) && line.contains(path.to_str().unwrap()), "{line}");
            assert!(!line.contains("secret") && !format!("{failure:?}").contains("secret"));
        }
        let denied = cannot_read(Path::new("/x"), io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.exit(), Exit::NotAllowed);
    }

    #[test]
    fn an_acl_for_the_creator_needs_credentials() {
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
            assert!(!failure.render("tool").contains("secret"), "{failure:?}");
        }
    }
}
