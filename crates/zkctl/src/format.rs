//! The options about the format of an answer.

use clap::{Args, ValueEnum};
use farm_core::cli::{Exit, Failure};

/// The options about the format, the same for all commands.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArgs {
    /// Format of the answer
    #[arg(short, long, value_name = "FORMAT", value_enum, global = true, help_heading = "Output")]
    output: Option<Layout>,

    /// The same as -o json
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,

    /// End every line with NUL and escape nothing in it
    #[arg(short = '0', long = "null", global = true, help_heading = "Output")]
    null: bool,
}

/// Whether the first line has the names of the columns.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct HeaderArg {
    /// Print a first line with the names of the columns (-o tsv)
    #[arg(long)]
    header: bool,
}

impl HeaderArg {
    /// Whether to print the header; wrong usage with a layout that has none.
    pub(crate) fn with(self, choice: OutputFormat) -> Result<bool, Failure> {
        if self.header && choice.layout != Layout::Tsv {
            return Err(Failure::new(Exit::Usage, "--header needs -o tsv"));
        }
        Ok(self.header)
    }
}

/// The formats of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    Text,
    Json,
    Jsonl,
    Tsv,
    Yaml,
}

impl Layout {
    /// The name on the command line.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Is the answer a list of lines, so that NUL can terminate them?
    const fn has_lines(self) -> bool {
        matches!(self, Self::Text | Self::Jsonl | Self::Tsv)
    }
}

/// What terminates a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminator {
    Newline,
    Nul,
}

/// The format of one command's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutputFormat {
    pub(crate) layout: Layout,
    pub(crate) terminator: Terminator,
}

impl OutputArgs {
    /// The layout on the command line, if there is one.
    fn requested(self) -> Result<Option<Layout>, Failure> {
        match self.output {
            Some(layout) if self.json && layout != Layout::Json => {
                let what = format!("--json contradicts -o {}", layout.name());
                Err(Failure::new(Exit::Usage, what).hint("use only one of them"))
            }
            None if self.json => Ok(Some(Layout::Json)),
            layout => Ok(layout),
        }
    }

    /// The format for a command that can print every layout.
    pub(crate) fn choose(self, command: &str) -> Result<OutputFormat, Failure> {
        self.choose_from(command, Layout::value_variants())
    }

    /// The format for a command that can print only some layouts.
    pub(crate) fn choose_from(
        self,
        command: &str,
        supported: &[Layout],
    ) -> Result<OutputFormat, Failure> {
        let layout = self.requested()?.unwrap_or(Layout::Text);
        if !supported.contains(&layout) {
            let names: Vec<_> = supported.iter().map(|layout| layout.name()).collect();
            let what = format!("zkctl {command} cannot print {}", layout.name());
            let hint = format!("it can print {}", names.join(", "));
            return Err(Failure::new(Exit::Usage, what).hint(hint));
        }
        if self.null && !layout.has_lines() {
            let what = format!("-0 does not work with {}, which is one document", layout.name());
            return Err(Failure::new(Exit::Usage, what).hint("use -o text, jsonl or tsv"));
        }
        let terminator = if self.null { Terminator::Nul } else { Terminator::Newline };
        Ok(OutputFormat { layout, terminator })
    }

    /// Refuses all these options, for a command that prints no answer.
    pub(crate) fn refuse_all(self, command: &str) -> Result<(), Failure> {
        self.choose_from(command, &[Layout::Text])?;
        self.refuse_null(command)
    }

    /// Refuses `-0`, for an answer that is not a list of lines.
    pub(crate) fn refuse_null(self, command: &str) -> Result<(), Failure> {
        if self.null {
            let what = format!("-0 needs a list of lines, which zkctl {command} does not print");
            return Err(Failure::new(Exit::Usage, what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(output: Option<Layout>, json: bool, null: bool) -> OutputArgs {
        OutputArgs { output, json, null }
    }

    #[test]
    fn the_layout_is_the_one_on_the_command_line() {
        for layout in Layout::value_variants().iter().copied() {
            let format = args(Some(layout), false, false).choose("ls").unwrap();
            assert_eq!(format, OutputFormat { layout, terminator: Terminator::Newline });
        }
        assert_eq!(args(None, false, false).choose("ls").unwrap().layout, Layout::Text);
        assert_eq!(args(None, true, false).choose("ls").unwrap().layout, Layout::Json);
        let twice = args(Some(Layout::Json), true, false);
        assert_eq!(twice.choose("ls").unwrap().layout, Layout::Json);
    }

    #[test]
    fn a_format_that_a_command_cannot_print_is_wrong_usage() {
        let refused = [
            args(Some(Layout::Tsv), false, false)
                .choose_from("check", &[Layout::Text, Layout::Json]),
            args(Some(Layout::Text), true, false).choose("ls"),
            args(None, true, true).choose("ls"),
            args(Some(Layout::Yaml), false, true).choose("ls"),
        ];
        for failure in refused {
            assert_eq!(failure.unwrap_err().exit(), Exit::Usage);
        }
        for wrong in [args(None, true, false), args(None, false, true)] {
            assert_eq!(wrong.refuse_all("set").unwrap_err().exit(), Exit::Usage);
        }
        args(Some(Layout::Text), false, false).refuse_all("set").unwrap();
    }

    #[test]
    fn lines_can_end_with_nul_in_formats_that_have_lines() {
        for layout in [Layout::Text, Layout::Jsonl, Layout::Tsv] {
            assert_eq!(
                args(Some(layout), false, true).choose("ls").unwrap().terminator,
                Terminator::Nul
            );
        }
    }
}
