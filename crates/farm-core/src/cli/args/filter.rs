//! `--filters`: which hosts to keep.

use crate::cli::failure::Failure;
use crate::model::Filter;
use clap::Args;

/// Which hosts to keep.
#[derive(Debug, Clone, Args)]
pub struct FilterArg {
    /// Keep only hosts for which all of these hold, like 'enabled=1,delay<60'
    #[arg(short = 'F', long, value_name = "FILTERS", allow_hyphen_values = true)]
    filters: Option<String>,
}

impl FilterArg {
    /// The filter, if there is one.
    ///
    /// # Errors
    ///
    /// Wrong usage, with the filter and a caret under the mistake.
    pub fn filter(&self) -> Result<Option<Filter>, Failure> {
        Ok(self.filters.as_deref().map(Filter::parse).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Tool {
        #[command(flatten)]
        filter: FilterArg,
    }

    fn tool(args: &[&str]) -> Tool {
        Tool::try_parse_from([&["tool"], args].concat()).unwrap()
    }

    #[test]
    fn a_filter_is_parsed_or_its_mistake_is_marked() {
        assert!(tool(&[]).filter.filter().unwrap().is_none());
        assert!(tool(&["-F", "!maintenance,delay<60"]).filter.filter().unwrap().is_some());
        let failure = tool(&["-F", "a=1,<2"]).filter.filter().unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.render("tool").ends_with("^\n"));
    }
}
