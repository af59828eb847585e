//! The faults that tidy finds, and the limits that the messages name.

use std::fmt;
use std::path::PathBuf;

/// The most lines of a file.
pub(super) const LINES_MAX: usize = 500;
/// The most fields of a struct.
pub(super) const FIELDS_MAX: usize = 15;
/// The most files with methods of one type.
pub(super) const IMPL_FILES_MAX: usize = 3;
/// The only file that may have unsafe code, and the keyword for that.
pub(super) const UNSAFE_FILE: &str = "crates/farm-core/src/process/tree/spawn.rs";
pub(super) const UNSAFE: &str = concat!("un", "safe");

/// The page with the table of exit codes.
pub(super) const EXIT_CODES_PAGE: &str = "docs/exit-codes.md";

/// A fault, and where it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) path: PathBuf,
    /// Counted from 1. 0 stands for the whole file.
    pub(super) line: usize,
    pub(super) fault: Fault,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Long { lines: usize },
    VagueName,
    Wide { name: String, fields: usize },
    Scattered { name: String, files: usize },
    Note { word: &'static str },
    NoLints,
    Unsafe,
    UpwardImport { from: String, to: String },
    UnknownLayer { name: String },
    Circle { files: Vec<PathBuf>, steps: Vec<Step> },
    DeadLink { target: String },
    Untested,
    NoSuchTest { name: String },
    NoSuchItem { name: String },
    NoSuchCode { code: u32 },
    SameBehaviour { phrase: String, first: usize },
    SameFiles { first: usize },
    NoColumn { title: &'static str },
    NoOrigin { word: String, from: String },
    Outdated { source: &'static str },
    Unreadable { why: String },
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        match &self.fault {
            Fault::Long { lines } => write!(f, ": {lines} lines; the limit is {LINES_MAX}"),
            Fault::VagueName => write!(f, ": the name says nothing about the content"),
            Fault::Wide { name, fields } => {
                write!(f, ": {name} has {fields} fields; the limit is {FIELDS_MAX}")
            }
            Fault::Scattered { name, files } => {
                write!(f, ": {name} has methods in {files} files; the limit is {IMPL_FILES_MAX}")
            }
            Fault::Note { word } => write!(f, ": {word} does not belong here"),
            Fault::NoLints => write!(f, ": `[lints] workspace = true` is missing"),
            Fault::Unsafe => write!(f, ": {UNSAFE} code; only {UNSAFE_FILE} may have any"),
            Fault::UpwardImport { from, to } => write!(f, ": {from} must not import {to}"),
            Fault::UnknownLayer { name } => write!(f, ": {name} is not in the table of layers"),
            Fault::Circle { files, steps } => {
                let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                write!(f, ": {} files import each other: {}", files.len(), files.join(", "))?;
                f.write_str("; the shortest circle:")?;
                steps.iter().try_for_each(|step| {
                    let (from, to) = (step.from.display(), step.to.display());
                    write!(f, "\n    {from}:{}: `{}`, which is in {to}", step.line, step.name)
                })
            }
            Fault::DeadLink { target } => write!(f, ": {target} does not exist"),
            Fault::Untested => {
                write!(f, ": no `<!-- tested by: module::test -->` names a test for it")
            }
            Fault::NoSuchTest { name } => write!(f, ": there is no test {name}"),
            Fault::NoSuchItem { name } => write!(f, ": {name} is not defined in the sources"),
            Fault::NoSuchCode { code } => write!(f, ": {code} is not in {EXIT_CODES_PAGE}"),
            Fault::SameBehaviour { phrase, first } => {
                write!(f, ": the row in line {first} is about {phrase:?} as well")
            }
            Fault::SameFiles { first } => {
                write!(f, ": the row in line {first} names the same files")
            }
            Fault::NoColumn { title } => write!(f, ": the table has no column {title:?}"),
            Fault::Outdated { source } => {
                write!(f, ": it is not what {source} renders to; run `cargo xtask draw`")
            }
            Fault::Unreadable { why } => write!(f, ": {why}"),
            Fault::NoOrigin { word, from } => write!(
                f,
                ": {word:?} comes from {from:?}, which is neither a known origin nor `ours: REASON`"
            ),
        }
    }
}

/// One import of a circle.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from: PathBuf,
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) to: PathBuf,
}
