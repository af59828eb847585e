//! The target of the export: a file, a directory, or standard output.

use crate::directory::{ExportDir, MARKER_FILE, preview};
use farm_core::cli::{Exit, ExitReason, chain, exit_for_write_error, for_stdout};
use farm_core::codec::{ExportFormat, TextFormat, encode_farm};
use farm_core::files::error::{Fault, FileError};
use farm_core::files::file::{Replaced, read, replace_as};
use farm_core::files::staging::{StagedFile, sweep};
use farm_core::files::tree::Change;
use farm_core::files::write_options::WriteOptions;
use farm_core::model::Farm;
use farm_core::process::command::Failed;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// As CONF, it means standard output.
pub(crate) const STDOUT: &str = "-";

/// More than the file of any farm has.
const BYTES_MAX: usize = 1 << 30;

#[derive(Debug)]
pub(crate) enum Target {
    Stdout(TextFormat),
    /// A file, replaced as a whole.
    File(PathBuf, TextFormat, WriteOptions),
    /// A directory, which has to be claimed before it is written.
    Dir {
        path: PathBuf,
        /// Take over a directory without our marker.
        adopt: bool,
        options: WriteOptions,
        claimed: Option<ExportDir>,
    },
}

/// Why the farm could not be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    #[error("{}", chain(.0))]
    File(FileError),
    #[error("cannot check {}: its name is not UTF-8", .0.display())]
    Name(PathBuf),
    #[error("the check can't be run: {}", .0.reason)]
    Check(Failed),
}

impl TargetError {
    /// Whether the process was told to stop before all was written.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self, Self::File(error) if error.is_stop())
    }
}

impl Target {
    pub(crate) fn new(
        conf: PathBuf,
        format: ExportFormat,
        adopt: bool,
        options: WriteOptions,
    ) -> Self {
        match format {
            ExportFormat::Dir => Self::Dir { path: conf, adopt, options, claimed: None },
            ExportFormat::Text(text) if conf == Path::new(STDOUT) => Self::Stdout(text),
            ExportFormat::Text(text) => Self::File(conf, text, options),
        }
    }

    /// Refuses a directory that is not ours before anything else is done, and removes what a
    /// killed run has left. A missing directory is created by the first store.
    pub(crate) fn claim_existing(&mut self) -> Result<(), TargetError> {
        match self {
            Self::Dir { path, .. } if path.symlink_metadata().is_ok() => self.claim().map(drop),
            Self::File(path, ..) => {
                sweep(path);
                Ok(())
            }
            Self::Dir { .. } | Self::Stdout(_) => Ok(()),
        }
    }

    fn claim(&mut self) -> Result<Option<&mut ExportDir>, TargetError> {
        let Self::Dir { path, adopt, options, claimed } = self else { return Ok(None) };
        // Somebody may have replaced the directory since. `--adopt` is meant for the one
        // that was there at start.
        let has_marker = path.join(MARKER_FILE).symlink_metadata().is_ok();
        if claimed.is_none() || !has_marker {
            let adopt = *adopt && claimed.is_none();
            *claimed = Some(ExportDir::claim(path, adopt, *options)?);
        }
        Ok(claimed.as_mut())
    }

    /// Stores the farm; returns whether anything had to be written.
    pub(crate) fn store(&mut self, farm: &Farm) -> Result<bool, TargetError> {
        if let Some(dir) = self.claim()? {
            return Ok(is_written(dir.store(farm)?));
        }
        match self {
            Self::Stdout(format) => {
                let bytes = encode(*format, farm, Path::new(STDOUT))?;
                let mut stdout = io::stdout().lock();
                let outcome = stdout.write_all(&for_stdout(&bytes)).and_then(|()| stdout.flush());
                outcome.map(|()| true).map_err(TargetError::Stdout)
            }
            Self::File(path, format, options) => {
                let bytes = encode(*format, farm, path)?;
                Ok(is_written(replace_as(path, &bytes, options)?))
            }
            Self::Dir { .. } => Ok(false),
        }
    }

    /// Writes the farm to a staged file; `None` if the file has the same contents.
    pub(crate) fn stage(&self, farm: &Farm) -> Result<Option<StagedFile>, TargetError> {
        match self {
            Self::File(path, format, options) => {
                let bytes = encode(*format, farm, path)?;
                Ok(StagedFile::write(path, bytes, *options)?)
            }
            // The options don't allow `--check-cmd` with these.
            Self::Stdout(_) | Self::Dir { .. } => Ok(None),
        }
    }

    /// Calls `show` for each change that storing the farm would make; nothing is touched.
    pub(crate) fn preview(
        &self,
        farm: &Farm,
        mut show: impl FnMut(Change) -> io::Result<()>,
    ) -> Result<(), TargetError> {
        match self {
            Self::Stdout(_) => Ok(()),
            Self::File(path, format, _) => {
                let after = encode(*format, farm, path)?;
                let before = match read(path, BYTES_MAX) {
                    Ok(bytes) => Some(bytes),
                    Err(error) if error.is_missing() => None,
                    Err(error) => return Err(error.into()),
                };
                if before.as_ref() == Some(&after) {
                    return Ok(());
                }
                let change = Change { path: path.clone(), before, after: Some(after) };
                show(change).map_err(TargetError::Stdout)
            }
            Self::Dir { path, adopt, .. } => Ok(preview(path, *adopt, farm, |change| {
                show(Change { path: path.join(&change.path), ..change })
            })?),
        }
    }
}

fn encode(format: TextFormat, farm: &Farm, path: &Path) -> Result<Vec<u8>, FileError> {
    encode_farm(format, farm).map_err(|e| FileError::writing(path, e))
}

fn is_written(replaced: Replaced) -> bool {
    replaced == Replaced::Written
}

impl From<FileError> for TargetError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl ExitReason for TargetError {
    fn exit(&self) -> Exit {
        match self {
            Self::Stdout(error) => exit_for_write_error(error),
            Self::Name(_) => Exit::Configuration,
            Self::Check(_) => Exit::CannotWrite,
            Self::File(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::File(FileError { fault: Fault::NotOurs { .. }, .. }) => {
                Some("--adopt takes it over, and removes what is in it".to_owned())
            }
            Self::File(error) => error.hint(),
            Self::Stdout(_) | Self::Name(_) | Self::Check(_) => None,
        }
    }
}
