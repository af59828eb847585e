//! What `zkjoin`, `zkexport`, `zkexec` and `zkctl` share.
//!
//! The modules form layers, and imports only go down: [`cli`] may use all;
//! [`farm`] uses [`session`], [`codec`], [`model`], [`engine`] and [`host`]; `files`
//! uses [`codec`], [`model`] and [`engine`]; `process` and [`session`] use [`engine`];
//! [`codec`] uses [`model`]; [`model`], [`engine`] and [`host`] use nothing of ours.
//! `farm`, `files` and `process` do not know each other: a binary connects them.
//! `cargo xtask tidy` holds the rule. Mechanism lives here, policy lives in the binaries.
//!
//! `files`, `process`, `watch` and `turn` are features: a tool builds what it uses.

/// Declares enums of errors: behind each variant stands what it says, and after `from` the
/// cause that is told behind that. An error in the place of words speaks for itself.
macro_rules! errors {
    (@write $f:ident $words:literal $($arg:expr),*) => { write!($f, $words, $($arg),*) };
    (@write $f:ident $error:ident) => { std::fmt::Display::fmt($error, $f) };
    (@cause $words:literal) => { None };
    (@cause $words:literal $cause:ident) => { Some($cause) };
    (@cause $error:ident) => { std::error::Error::source($error) };
    ($(
        $(#[$about:meta])*
        $visibility:vis enum $name:ident {$(
            $(#[$what:meta])*
            $variant:ident
            $(($value:ident: $kind:ty))?
            $({$($(#[$which:meta])* $field:ident: $type:ty),+ $(,)?})?
            => $words:tt $(($($arg:expr),+))? $(from $cause:ident)?
        ),+ $(,)?}
    )+) => {$(
        $(#[$about])*
        $visibility enum $name {
            $($(#[$what])* $variant $(($kind))? $({$($(#[$which])* $field: $type),+})?),+
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {$(
                    Self::$variant $(($value))? $({$($field),+})? => {
                        // Not all that an error holds is among its words.
                        $(let _ = $value;)? $($(let _ = $field;)+)?
                        errors!(@write f $words $($($arg),+)?)
                    }
                )+}
            }
        }

        impl std::error::Error for $name {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self {$(
                    Self::$variant $(($value))? $({$($field),+})? => {
                        $(let _ = $value;)? $($(let _ = $field;)+)?
                        errors!(@cause $words $($cause)?)
                    }
                )+}
            }
        }
    )+};
}

pub mod cli;
pub mod codec;
pub mod engine;
pub mod farm;
#[cfg(feature = "files")]
pub mod files;
pub mod host;
pub mod model;
#[cfg(feature = "process")]
pub mod process;
pub mod session;
