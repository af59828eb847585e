//! Which exit code an error ends a tool with, and what to do about it.
//!
//! **Invariant.** An error of farm-core has its code here, the same for all tools. An
//! error of one tool has its own in that tool, and the code of what it is made of.

use super::Failure;
use crate::cli::exit::Exit;
use crate::codec::{DecodeError, EncodeError};
use crate::engine::chain;
use crate::farm::EditError;
#[cfg(feature = "turn")]
use crate::farm::turn::ZoneError;
#[cfg(feature = "files")]
use crate::files::error::{Fault, FileError};
use crate::host::identity::IdentityError;
use crate::host::lock::LockError;
use crate::model::{FieldPathError, FilterError, SetError, SizeError};
use crate::session::cache::Refusal;
use crate::session::{
    AclError, AuthError, FileFault, PathError, SYSTEM_CA, SessionError, TlsError,
};
use std::convert::Infallible;
use std::error::Error;
use std::io;

/// An error that a tool may end with.
pub trait ExitReason: Error {
    /// The code that it ends with.
    fn exit(&self) -> Exit;

    /// A next step, if there is one to name.
    fn hint(&self) -> Option<String> {
        None
    }

    /// Is it hopeless until somebody changes something on purpose?
    fn is_permanent(&self) -> bool {
        matches!(self.exit(), Exit::NotAllowed | Exit::Configuration)
    }
}

impl<E: ExitReason> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { hint: error.hint(), ..Self::new(error.exit(), chain(&error)) }
    }
}

/// Errors that have one code, whatever is in them.
macro_rules! always {
    ($($error:ty => $exit:ident),* $(,)?) => {$(
        impl ExitReason for $error {
            fn exit(&self) -> Exit {
                Exit::$exit
            }
        }
    )*};
}

always! {
    AclError => Usage,
    AuthError => Configuration,
    DecodeError => Malformed,
    EncodeError => Malformed,
    FieldPathError => Usage,
    IdentityError => Configuration,
    PathError => Usage,
    SetError => Malformed,
    SizeError => Malformed,
}

/// The code for an answer that can't be written. A reader that went away had enough:
/// that ends the tool, but it is no error.
#[must_use]
pub fn unwritten(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Exit::Done,
        _ => Exit::CannotWrite,
    }
}

/// The code for a file that the configuration names and that can't be read.
pub(in crate::cli) fn unreadable(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::NotAllowed,
        _ => Exit::Configuration,
    }
}

impl From<FilterError> for Failure {
    /// Wrong usage, with a picture that points at the mistake.
    fn from(error: FilterError) -> Self {
        let told = error.to_string();
        let (what, picture) = told.split_once('\n').unwrap_or((&told, ""));
        Self::new(Exit::Usage, what).picture(picture)
    }
}

impl ExitReason for LockError {
    fn exit(&self) -> Exit {
        match self {
            Self::Held { .. } => Exit::Contended,
            Self::Io(_) => Exit::Configuration,
        }
    }
}

impl ExitReason for Refusal {
    fn exit(&self) -> Exit {
        match self {
            Self::Session(error) => error.exit(),
            Self::TooMany(_) | Self::TooLarge(_) => Exit::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        if let Self::Session(error) = self { error.hint() } else { None }
    }

    fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Session(SessionError::NoAuth(_)) | Self::TooMany(_) | Self::TooLarge(_)
        )
    }
}

#[cfg(feature = "turn")]
impl ExitReason for ZoneError {
    fn exit(&self) -> Exit {
        Exit::Configuration
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unknown { .. } => "zones have names like Europe/Berlin; UTC is always there",
            Self::NoDatabase { .. } => "install the package tzdata, or take --tz UTC",
            Self::System { .. } => "name one with --tz; UTC is always there",
        };
        Some(hint.to_owned())
    }
}

impl ExitReason for SessionError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoNode(_) => Exit::No,
            Self::NodeExists(_) | Self::BadVersion(_) => Exit::Contended,
            Self::NoAuth(_) | Self::AuthRefused(_) => Exit::NotAllowed,
            Self::TooLarge { .. } | Self::Garbled(_) => Exit::Malformed,
            Self::Disconnected | Self::Expired | Self::Unreachable { .. } => Exit::Unreachable,
            Self::Overdue(_) => Exit::Overdue,
            Self::NotEmpty(_)
            | Self::InvalidAcl(_)
            | Self::NoChildrenForEphemerals(_)
            | Self::Unsupported
            | Self::Refused { .. }
            | Self::System(_) => Exit::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable { trouble: Some(trouble), .. }
                if let Some(hint) = trouble.tls().and_then(ExitReason::hint) =>
            {
                return Some(hint);
            }
            Self::Unreachable { .. } => "name the servers with --host or in ZKHOST",
            Self::NoAuth(_) => "credentials come from --auth-file or ZK_AUTH_FILE",
            Self::AuthRefused(_) => "digest authentication may be switched off at the server",
            Self::InvalidAcl(_) => "its schemes have to be ones that the server knows; see --acl",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl From<Infallible> for Failure {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl<C: Into<Self>> From<EditError<C>> for Failure {
    fn from(error: EditError<C>) -> Self {
        match error {
            EditError::Session(error) => error.into(),
            EditError::Malformed { path, source } => {
                Self::from(source).during(format!("{path} holds no record"))
            }
            EditError::Refused(refusal) => refusal.into(),
            EditError::Contended { path } => {
                let what = format!("others changed {path} in between every time");
                Self::new(Exit::Contended, what).hint("try again")
            }
        }
    }
}

#[cfg(feature = "files")]
impl ExitReason for FileError {
    fn exit(&self) -> Exit {
        match &self.fault {
            _ if self.is_permission() => Exit::NotAllowed,
            Fault::Io(_) | Fault::TooLarge { .. } => Exit::CannotWrite,
            Fault::NotAFile | Fault::NotADirectory | Fault::LinkLoop | Fault::NotOurs { .. } => {
                Exit::Configuration
            }
            Fault::RecordTooLarge | Fault::Encode(_) | Fault::Malformed(_) => Exit::Malformed,
        }
    }
}

impl ExitReason for TlsError {
    fn exit(&self) -> Exit {
        match self {
            Self::File { fault: FileFault::Read(error), .. } => unreadable(error),
            _ => Exit::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::File { path, .. } if path == SYSTEM_CA => {
                "name the authorities with --tls-ca or in ZK_TLS_CA"
            }
            Self::File { fault: FileFault::NoKey, .. } => {
                "openssl pkey -in KEY -out PLAIN-KEY takes a passphrase away"
            }
            Self::UnknownIssuer => "name the servers' authority with --tls-ca or in ZK_TLS_CA",
            Self::ServerName(_) | Self::OtherName { .. } => {
                "--tls-server-name says which name to expect"
            }
            Self::NoTls | Self::HungUp => {
                "name the secure port with --host or in ZKHOST, or leave out --tls"
            }
            Self::Refused(_) | Self::Dropped => {
                "servers may want a certificate of ours: --tls-cert and --tls-key"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ZnodePath;
    use std::time::Duration;

    #[test]
    fn a_wrong_path_is_wrong_usage() {
        let failure = Failure::from(ZnodePath::parse("db").unwrap_err());
        assert_eq!(failure.exit(), Exit::Usage);
        assert_eq!(
            failure.told_by("zkctl"),
            "zkctl: \"db\" is no znode path: it must start with a slash\n"
        );
    }

    #[cfg(feature = "turn")]
    #[test]
    fn a_time_zone_that_can_not_be_had_is_a_configuration_with_a_next_step() {
        for name in ["", "Europe/Atlantis", "../../etc/passwd"] {
            let error = ZoneError::Unknown { name: name.to_owned() };
            assert_eq!(Failure::from(error).exit(), Exit::Configuration);
        }
        let error = ZoneError::NoDatabase { name: "Europe/Berlin".to_owned() };
        let failure = Failure::from(error);
        assert_eq!(failure.exit(), Exit::Configuration);
        let told = "zkexec: this machine has no time zones, so there is no \"Europe/Berlin\"\n\
                    hint: install the package tzdata, or take --tz UTC\n";
        assert_eq!(failure.told_by("zkexec"), told);
    }

    #[test]
    fn what_the_session_says_has_its_exit_code_and_one_line() {
        let path = || ZnodePath::parse("/services/db").unwrap();
        let tried = Duration::from_secs(10);
        let table = [
            (SessionError::NoNode(path()), Exit::No),
            (SessionError::NodeExists(path()), Exit::Contended),
            (SessionError::BadVersion(path()), Exit::Contended),
            (SessionError::NoAuth(path()), Exit::NotAllowed),
            (SessionError::TooLarge { path: path(), bytes: 2_000_000 }, Exit::Malformed),
            (SessionError::Disconnected, Exit::Unreachable),
            (SessionError::Unreachable { trouble: None, tried }, Exit::Unreachable),
            (SessionError::Overdue(tried), Exit::Overdue),
            (SessionError::Unsupported, Exit::Configuration),
        ];
        for (error, exit) in table {
            let told = format!("zkctl: {error}\n");
            let failure = Failure::from(error);
            assert_eq!(failure.exit(), exit, "{told}");
            assert!(failure.told_by("zkctl").starts_with(&told), "{told}");
            assert!(failure.told_by("zkctl").lines().count() <= 2, "{told}");
        }
    }

    #[test]
    fn an_edit_fails_like_what_made_it_fail() {
        let path = || ZnodePath::parse("/services/db").unwrap();
        let edit: EditError<Infallible> = EditError::Session(SessionError::NoNode(path()));
        assert_eq!(Failure::from(edit).exit(), Exit::No);
        let edit: EditError<Infallible> = EditError::Contended { path: path() };
        assert_eq!(Failure::from(edit).exit(), Exit::Contended);
        let source = crate::codec::json::decode_znode(b"[1]").unwrap_err();
        let edit: EditError<Infallible> = EditError::Malformed { path: path(), source };
        assert_eq!(Failure::from(edit).exit(), Exit::Malformed);
    }
    #[cfg(feature = "files")]
    #[test]
    fn a_file_fails_like_the_system_said() {
        let path = std::path::Path::new("/etc/app.conf");
        let io = |errno: i32| io::Error::from_raw_os_error(errno);
        let store = |errno| FileError::writing(path, io(errno));
        let read = |errno| FileError::reading(path, io(errno));
        let (denied, read_only, full) = (13, 30, 28);
        for errno in [denied, read_only] {
            assert_eq!(store(errno).exit(), Exit::NotAllowed);
            assert_eq!(read(errno).exit(), Exit::NotAllowed);
        }
        let is_lasting = |error: FileError| (error.exit(), error.is_permanent());
        assert_eq!(is_lasting(store(full)), (Exit::CannotWrite, false));
        let write = |fault: Fault| FileError::writing(path, fault);
        assert_eq!(is_lasting(write(Fault::NotAFile)), (Exit::Configuration, true));
        assert_eq!(is_lasting(write(Fault::RecordTooLarge)), (Exit::Malformed, false));
        let missing = 2;
        assert_eq!(read(missing).exit(), Exit::CannotWrite);
        let told = Failure::from(store(full)).told_by("zkexport");
        assert_eq!(
            told,
            "zkexport: cannot write /etc/app.conf: No space left on device (os error 28)\n"
        );
    }
}
