//! Installs what the tests and the demo need, if it is missing.
//!
//! [`farm_harness::toolbox`] alone decides what counts as found. This module
//! installs packages until everything is found there, and does nothing if it
//! already is.

use crate::apt::{self, AptError};
use crate::step::eprint_line;
use farm_core::engine::chain;
use farm_harness::toolbox::{self, Missing, Toolbox};
use std::error::Error;
use std::fmt;

/// What a task needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Java and ZooKeeper.
    Servers,
    /// Java, ZooKeeper, PHP and libfaketime.
    Tests,
}

/// Something is missing and could not be installed.
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

/// Makes sure that everything needed is installed, and returns the paths.
pub(crate) fn ensure(need: Need) -> Result<Toolbox, ProvisionError> {
    let parts: &[_] = match need {
        Need::Servers => &[Missing::Java, Missing::ZooKeeper],
        Need::Tests => &[Missing::Java, Missing::ZooKeeper, Missing::Php, Missing::FakeTime],
    };
    let missing: Vec<_> = parts.iter().copied().filter(|part| !is_found(*part)).collect();
    if !missing.is_empty() {
        obtain(&missing)?;
    }
    Toolbox::find().map_err(|missing| ProvisionError { missing: vec![missing], cause: None })
}

/// Installs the packages as root. Unpacks them for any other user, or if installing fails.
fn obtain(missing: &[Missing]) -> Result<(), ProvisionError> {
    let packages: Vec<_> = missing.iter().map(|missing| missing.package()).collect();
    if nix::unistd::geteuid().is_root() && !toolbox::is_unpack_only() {
        eprint_line(&format!("installing {} (apt-get)", packages.join(", ")));
        match apt::install(&packages) {
            Ok(()) if missing.iter().all(|missing| is_found(*missing)) => return Ok(()),
            Ok(()) => {
                eprint_line("installed, but not found in the expected places; unpacking instead");
            }
            Err(error) => eprint_line(&format!("{}; unpacking instead", chain(&error))),
        }
    }
    let mut left = missing.iter().copied().filter(|missing| !is_found(*missing)).peekable();
    while let Some(missing) = left.peek().copied() {
        let dir = toolbox::provision_dir();
        eprint_line(&format!("unpacking {} into {}", missing.package(), dir.display()));
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
        Missing::FakeTime => toolbox::find_faketime().is_some(),
    }
}
