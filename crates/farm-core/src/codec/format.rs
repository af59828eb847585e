//! The formats of records outside ZooKeeper.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A text format that records are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// An object, two spaces per level.
    Json,
    /// A block mapping.
    Yaml,
    /// A script that returns an array; written, never read.
    Php,
}

/// A text format that records are written in and read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfText {
    /// As [`TextFormat::Json`].
    Json,
    /// As [`TextFormat::Yaml`].
    Yaml,
}

/// A format for an export, which is only written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One file.
    Text(TextFormat),
    /// A directory tree in which a file is a field.
    Dir,
}

/// A format for a config, which is written and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfFormat {
    /// One file.
    Text(ConfText),
    /// A directory tree in which a file is a field.
    Dir,
}

impl From<ConfText> for TextFormat {
    fn from(text: ConfText) -> Self {
        match text {
            ConfText::Json => Self::Json,
            ConfText::Yaml => Self::Yaml,
        }
    }
}

impl ExportFormat {
    /// All formats and their names, in the order in which messages list them.
    pub const ALL: [(&'static str, Self); 4] = [
        ("json", Self::Text(TextFormat::Json)),
        ("yaml", Self::Text(TextFormat::Yaml)),
        ("php", Self::Text(TextFormat::Php)),
        ("dir", Self::Dir),
    ];

    /// The format for the extension of a file name, in upper or lower case.
    #[must_use]
    pub fn of_extension(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        let name = if extension == "yml" { "yaml" } else { &extension };
        name.parse().ok().filter(|format| *format != Self::Dir)
    }

    /// The same format for a config; `None` if it is only written.
    #[must_use]
    pub const fn of_conf(self) -> Option<ConfFormat> {
        match self {
            Self::Text(TextFormat::Json) => Some(ConfFormat::Text(ConfText::Json)),
            Self::Text(TextFormat::Yaml) => Some(ConfFormat::Text(ConfText::Yaml)),
            Self::Text(TextFormat::Php) => None,
            Self::Dir => Some(ConfFormat::Dir),
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            Self::ALL.into_iter().find_map(|(name, format)| (format == *self).then_some(name));
        f.pad(name.unwrap_or_default())
    }
}

impl FromStr for ExportFormat {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let known =
            Self::ALL.into_iter().find_map(|(name, format)| (name == text).then_some(format));
        known.ok_or_else(|| FormatError { name: text.to_owned() })
    }
}

/// The name of an unknown format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    name: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown format {:?} (choose", self.name)?;
        for (name, _) in ExportFormat::ALL {
            write!(f, " {name}")?;
        }
        f.write_str(")")
    }
}

impl Error for FormatError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_tell_the_format() {
        for (path, wanted) in [
            ("/etc/db.json", Some(ExportFormat::Text(TextFormat::Json))),
            ("db.yaml", Some(ExportFormat::Text(TextFormat::Yaml))),
            ("db.YML", Some(ExportFormat::Text(TextFormat::Yaml))),
            ("conf.d/database.php", Some(ExportFormat::Text(TextFormat::Php))),
            ("db.conf", None),
            ("json", None),
            (".json", None),
            ("db.dir", None),
        ] {
            assert_eq!(ExportFormat::of_extension(Path::new(path)), wanted, "{path}");
        }
    }

    #[test]
    fn names_read_as_they_are_displayed_and_others_name_the_choices() {
        for (_, format) in ExportFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "xml".parse::<ExportFormat>().unwrap_err();
        assert_eq!(error.to_string(), "unknown format \"xml\" (choose json yaml php dir)");
    }
}
