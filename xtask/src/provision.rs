//! Fetching what the tests and the demo need, where it is missing.
//!
//! What counts as found is decided in [`farm_harness::toolbox`] alone; this
//! module only changes the machine until it is found there. With everything in
//! place it does nothing.

use crate::apt::{self, AptError};
use crate::step::say;
use farm_core::engine::chain;
use farm_harness::toolbox::{self, Missing, Toolbox};
use std::error::Error;
use std::fmt;

/// What has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Java and ZooKeeper.
    Servers,
    /// Java, ZooKeeper and PHP.
    ServersAndPhp,
}

/// Something is missing, and could not be fetched.
#[derive(Debug)]
pub(crate) struct ProvisionError {
    missing: Vec<Missing>,
    cause: Option<AptError>,
}

impl fmt::Display for ProvisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed: Vec<_> = self.missing.iter().map(ToString::to_string).collect();
        let packages: Vec<_> = self.missing.iter().map(|missing| missing.package()).collect();
        write!(f, "{}; try `apt-get install {}`", listed.join(", "), packages.join(" "))
    }
}

impl Error for ProvisionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

/// Makes sure that everything needed is there, and says where.
pub(crate) fn ensure(need: Need) -> Result<Toolbox, ProvisionError> {
    let parts: &[_] = match need {
        Need::Servers => &[Missing::Java, Missing::ZooKeeper],
        Need::ServersAndPhp => &[Missing::Java, Missing::ZooKeeper, Missing::Php],
    };
    let missing: Vec<_> = parts.iter().copied().filter(|part| !is_found(*part)).collect();
    if !missing.is_empty() {
        fetch(&missing)?;
    }
    Toolbox::find().map_err(|missing| ProvisionError { missing: vec![missing], cause: None })
}

/// Installs as root; unpacks for everybody else, and where installing fails.
fn fetch(missing: &[Missing]) -> Result<(), ProvisionError> {
    let packages: Vec<_> = missing.iter().map(|missing| missing.package()).collect();
    if nix::unistd::geteuid().is_root() && !toolbox::is_unpack_only() {
        say(&format!("installing {} (apt-get)", packages.join(", ")));
        match apt::install(&packages) {
            Ok(()) if missing.iter().all(|missing| is_found(*missing)) => return Ok(()),
            Ok(()) => say("installed, but not found where they should be; unpacking instead"),
            Err(error) => say(&format!("{}; unpacking instead", chain(&error))),
        }
    }
    let mut left = missing.iter().copied().filter(|missing| !is_found(*missing)).peekable();
    while let Some(missing) = left.peek().copied() {
        let dir = toolbox::provision_dir();
        say(&format!("unpacking {} into {}", missing.package(), dir.display()));
        let cause = apt::unpack(missing.package(), &dir).err();
        if cause.is_some() || !is_found(missing) {
            return Err(ProvisionError { missing: left.collect(), cause });
        }
        left.next();
    }
    Ok(())
}

fn is_found(missing: Missing) -> bool {
    match missing {
        Missing::Java => toolbox::find_java().is_some(),
        Missing::ZooKeeper => toolbox::find_zookeeper().is_some(),
        Missing::Php => toolbox::find_php().is_some(),
    }
}
