//! Which exit code and which hint each error has.
//!
//! **Invariant.** An error of farm-core has its exit code here, the same for all tools.
//! An error of one tool has its exit code in that tool.

use super::exit::{Exit, exit_for_read_error};
use super::failure::Failure;
use crate::codec::{DecodeError, EncodeError};
use crate::engine::chain;
use crate::farm::EditError;
#[cfg(feature = "turn")]
use crate::farm::turn::ZoneError;
#[cfg(feature = "files")]
use crate::files::error::{Fault, FileError};
use crate::host::identity::IdentityError;
use crate::host::lock::LockError;
use crate::host::resolve::UnsafeLink;
use crate::model::{FieldPathError, FilterError, SetError, SizeError};
use crate::session::cache::Refusal;
use crate::session::{
    AclError, AuthError, FileFault, PathError, SYSTEM_CA, SessionError, TlsError,
};
use std::convert::Infallible;
use std::error::Error;

/// What to do about a link that is not followed.
pub(super) const UNSAFE_LINK_HINT: &str = "name the file itself: only links of root and of this user are followed, and only where \
     nobody else may write";

/// An error that a tool may end with.
pub trait ExitReason: Error {
    /// The exit code.
    fn exit(&self) -> Exit;

    /// A next step for the user, if one is known.
    fn hint(&self) -> Option<String> {
        None
    }

    /// Does retrying fail until an operator changes something?
    fn is_permanent(&self) -> bool {
        matches!(self.exit(), Exit::NotAllowed | Exit::Configuration)
    }
}

impl<E: ExitReason> From<E> for Failure {
    fn from(error: E) -> Self {
        let failure = Self::new(error.exit(), chain(&error));
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Errors that always have the same exit code.
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

impl From<FilterError> for Failure {
    /// Wrong usage, with the filter and a caret under the mistake.
    fn from(error: FilterError) -> Self {
        let text = error.to_string();
        let (what, picture) = text.split_once('\n').unwrap_or((&text, ""));
        Self::new(Exit::Usage, what).picture(picture)
    }
}

impl ExitReason for LockError {
    fn exit(&self) -> Exit {
        match self {
            Self::Held(_) | Self::Foreign(_) => Exit::Contended,
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
            Self::Unknown { .. } => {
                "time zones have names like Europe/Berlin; UTC is always available"
            }
            Self::NoDatabase { .. } => "install the package tzdata, or use --tz UTC",
            Self::System { .. } => "name one with --tz; UTC is always available",
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
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::Garbled(_) => Exit::Malformed,
            Self::Disconnected | Self::Expired | Self::Unreachable { .. } => Exit::Unreachable,
            Self::Overdue(_) => Exit::Overdue,
            Self::NotEmpty(_)
            | Self::InvalidAcl(_)
            | Self::NoChildrenForEphemerals(_)
            | Self::Unsupported
            | Self::Refused { .. } => Exit::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable { last_error: Some(last), .. }
                if let Some(hint) = last.tls().and_then(ExitReason::hint) =>
            {
                return Some(hint);
            }
            Self::Unreachable { last_error: Some(last), .. } if last.is_of_process() => {
                "the limits of this user may be too low: ulimit -u, ulimit -n"
            }
            Self::Unreachable { .. } => "name the servers with --host or in ZKHOST",
            Self::NoAuth(_) => "credentials come from --auth-file or ZK_AUTH_FILE",
            Self::AuthRefused(_) => "digest authentication may be switched off at the server",
            Self::InvalidAcl(_) => "use only schemes that the server knows; see --acl",
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
            EditError::TooLarge { path, source } => {
                Self::from(source).during(format!("cannot write {path}"))
            }
            EditError::Refused(refusal) => refusal.into(),
            EditError::Contended { path } => {
                let what = format!("others changed {path} during every attempt");
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
            Fault::Io(_) | Fault::Moved | Fault::TooLarge { .. } | Fault::TooManyEntries { .. } => {
                Exit::CannotWrite
            }
            Fault::NotAFile | Fault::NotADirectory | Fault::LinkLoop | Fault::NotOurs { .. } => {
                Exit::Configuration
            }
            Fault::RecordTooLarge { .. } | Fault::Encode(_) | Fault::Malformed(_) => {
                Exit::Malformed
            }
        }
    }

    fn hint(&self) -> Option<String> {
        self.unsafe_link().map(|_| UNSAFE_LINK_HINT.to_owned())
    }
}

impl ExitReason for TlsError {
    fn exit(&self) -> Exit {
        match self {
            Self::File { fault: FileFault::Read(error), .. } => exit_for_read_error(error),
            _ => Exit::Configuration,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::File { fault: FileFault::Read(e), .. } if UnsafeLink::of(e).is_some() => {
                UNSAFE_LINK_HINT
            }
            Self::File { path, .. } if path == SYSTEM_CA => {
                "name the authorities with --tls-ca or in ZK_TLS_CA"
            }
            Self::File { fault: FileFault::NoKey, .. } => {
                "openssl pkey -in KEY -out PLAIN-KEY removes the passphrase"
            }
            Self::UnknownIssuer => "name the servers' authority with --tls-ca or in ZK_TLS_CA",
            Self::ServerName(_) | Self::OtherName { .. } => {
                "set the expected name with --tls-server-name"
            }
            Self::NoTls | Self::HungUp => {
                "name the secure port with --host or in ZKHOST, or leave out --tls"
            }
            Self::Refused(_) | Self::Dropped => {
                "the servers may require a client certificate: --tls-cert and --tls-key"
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
    use std::io;
    use std::time::Duration;

    #[test]
    fn a_wrong_path_is_wrong_usage() {
        let failure = Failure::from(ZnodePath::parse("db").unwrap_err());
        assert_eq!(failure.exit(), Exit::Usage);
        assert_eq!(
            failure.render("zkctl"),
            "zkctl: \"db\" is not a znode path: it must start with a slash\n"
        );
    }

    #[cfg(feature = "turn")]
    #[test]
    fn a_time_zone_that_is_not_available_is_a_configuration_error_with_a_hint() {
        for name in ["", "Europe/Atlantis", "../../etc/passwd"] {
            let error = ZoneError::Unknown { name: name.to_owned() };
            assert_eq!(Failure::from(error).exit(), Exit::Configuration);
        }
        let error = ZoneError::NoDatabase { name: "Europe/Berlin".to_owned() };
        let failure = Failure::from(error);
        assert_eq!(failure.exit(), Exit::Configuration);
        let message = "zkexec: this machine has no time zone database, so it does not know \"Europe/Berlin\"\n\
                    hint: install the package tzdata, or use --tz UTC\n";
        assert_eq!(failure.render("zkexec"), message);
    }

    #[test]
    fn a_session_error_has_its_exit_code_and_one_line() {
        let path = || ZnodePath::parse("/services/db").unwrap();
        let tried = Duration::from_secs(10);
        let table = [
            (SessionError::NoNode(path()), Exit::No),
            (SessionError::NodeExists(path()), Exit::Contended),
            (SessionError::BadVersion(path()), Exit::Contended),
            (SessionError::NoAuth(path()), Exit::NotAllowed),
            (SessionError::TooLarge { path: path(), bytes: 2_000_000 }, Exit::Malformed),
            (SessionError::Disconnected, Exit::Unreachable),
            (SessionError::Unreachable { last_error: None, tried }, Exit::Unreachable),
            (SessionError::Overdue(tried), Exit::Overdue),
            (SessionError::Unsupported, Exit::Configuration),
        ];
        for (error, exit) in table {
            let line = format!("zkctl: {error}\n");
            let failure = Failure::from(error);
            assert_eq!(failure.exit(), exit, "{line}");
            assert!(failure.render("zkctl").starts_with(&line), "{line}");
            assert!(failure.render("zkctl").lines().count() <= 2, "{line}");
        }
    }

    #[test]
    fn an_edit_error_has_the_exit_code_of_its_cause() {
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
    fn a_file_error_has_the_exit_code_of_its_errno() {
        let path = std::path::Path::new("/etc/app.conf");
        let io = |errno: i32| io::Error::from_raw_os_error(errno);
        let store = |errno| FileError::writing(path, io(errno));
        let read = |errno| FileError::reading(path, io(errno));
        let (denied, read_only, full) = (13, 30, 28);
        for errno in [denied, read_only] {
            assert_eq!(store(errno).exit(), Exit::NotAllowed);
            assert_eq!(read(errno).exit(), Exit::NotAllowed);
        }
        let verdict = |error: FileError| (error.exit(), error.is_permanent());
        assert_eq!(verdict(store(full)), (Exit::CannotWrite, false));
        let write = |fault: Fault| FileError::writing(path, fault);
        assert_eq!(verdict(write(Fault::Moved)), (Exit::CannotWrite, false));
        assert_eq!(verdict(write(Fault::NotAFile)), (Exit::Configuration, true));
        assert_eq!(
            verdict(write(Fault::RecordTooLarge { max: 1, unit: "bytes" })),
            (Exit::Malformed, false)
        );
        let missing = 2;
        assert_eq!(read(missing).exit(), Exit::CannotWrite);
        assert_eq!(
            Failure::from(store(full)).render("zkexport"),
            "zkexport: cannot write /etc/app.conf: No space left on device (os error 28)\n"
        );
    }
}
