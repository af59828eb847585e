//! The formats a record can have outside ZooKeeper.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// How records are laid out on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An object, two spaces per level.
    Json,
    /// A block mapping.
    Yaml,
    /// A script that returns an array; written, never read.
    Php,
    /// A directory tree in which a file is a field.
    Dir,
}

impl Format {
    /// All formats, in the order they are named to people.
    pub const ALL: [Self; 4] = [Self::Json, Self::Yaml, Self::Php, Self::Dir];

    /// The format that a file name's extension tells, in whatever case.
    #[must_use]
    pub fn of_extension(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "php" => Some(Self::Php),
            _ => None,
        }
    }

    /// The name as it is typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Php => "php",
            Self::Dir => "dir",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(name: &str) -> Result<Self, FormatError> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| FormatError { name: name.to_owned() })
    }
}

/// A name that is no format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    name: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown format {:?} (choose", self.name)?;
        for format in Format::ALL {
            write!(f, " {format}")?;
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
            ("/etc/db.json", Some(Format::Json)),
            ("db.yaml", Some(Format::Yaml)),
            ("db.YML", Some(Format::Yaml)),
            ("conf.d/database.php", Some(Format::Php)),
            ("db.conf", None),
            ("json", None),
            (".json", None),
            ("db.dir", None),
        ] {
            assert_eq!(Format::of_extension(Path::new(path)), wanted, "{path}");
        }
    }

    #[test]
    fn names_read_as_they_are_displayed_and_others_name_the_choices() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "xml".parse::<Format>().unwrap_err();
        assert_eq!(error.to_string(), "unknown format \"xml\" (choose json yaml php dir)");
    }
}
