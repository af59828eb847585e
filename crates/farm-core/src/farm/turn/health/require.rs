//! The argument of `--require-healthy`.

use crate::model::{Allowance, AllowanceError};
use crate::session::{PathError, ZnodePath};

/// The default for MAX_FAILED, as for `zkctl check`.
const DEFAULT: &str = "10%";

/// A farm, and how many of its hosts may fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequireHealthy {
    /// The farm.
    pub farm: ZnodePath,
    /// How many hosts may fail, as a number or a share of the farm.
    pub max_failed: Allowance,
}

impl RequireHealthy {
    /// Parses `FARM` or `FARM:MAX_FAILED`. The text after the last colon is the limit, unless it
    /// contains a slash.
    ///
    /// # Errors
    ///
    /// [`RequireError`], for the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, RequireError> {
        let (farm, limit) = match text.rsplit_once(':') {
            Some((farm, limit)) if !limit.contains('/') => (farm, limit),
            Some(_) | None => (text, DEFAULT),
        };
        let max_failed = Allowance::parse(limit).map_err(RequireError::Limit)?;
        let farm = ZnodePath::parse(farm).map_err(RequireError::Farm)?;
        Ok(Self { farm, max_failed })
    }
}

/// Why an argument of `--require-healthy` is invalid.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum RequireError {
    /// The farm is not a valid path.
    #[error(transparent)]
    Farm(PathError),
    /// The limit is not a valid one.
    #[error(transparent)]
    Limit(AllowanceError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_follows_the_last_colon() {
        for (text, farm, limit) in [
            ("/services/db", "/services/db", "10%"),
            ("/services/db:2", "/services/db", "2"),
            ("/services/db:12.5%", "/services/db", "12.5%"),
            ("/a:b:0", "/a:b", "0"),
            ("/a:b/c", "/a:b/c", "10%"),
            ("/:1", "/", "1"),
        ] {
            let required = RequireHealthy::parse(text).unwrap();
            let parsed = (required.farm.as_str(), required.max_failed.to_string());
            assert_eq!(parsed, (farm, limit.to_owned()), "{text}");
        }
        for text in ["", "db", "/services/db:", "/a:b", "/a:-1", "/a:1.5", ":1", "/a/:1", "/a//b:1"]
        {
            let error = RequireHealthy::parse(text).unwrap_err();
            assert!(!error.to_string().is_empty(), "{text}");
        }
    }
}
