//! How an answer is laid out, as asked for on the command line.

use clap::{Args, ValueEnum};
use farm_core::cli::{Exit, Failure};

/// The options about the layout, the same for all commands.
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

/// Whether rows have a line of names above them.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct HeaderArg {
    /// Begin with a line of column names (-o tsv)
    #[arg(long)]
    header: bool,
}

impl HeaderArg {
    /// Whether it is wanted of an answer that is laid out like this.
    pub(crate) fn of(self, choice: Choice) -> Result<bool, Failure> {
        if self.header && choice.layout != Layout::Tsv {
            return Err(Failure::new(Exit::Usage, "--header goes with -o tsv alone"));
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
    /// As it is typed.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Does the answer come in lines that another sign can end?
    const fn has_lines(self) -> bool {
        matches!(self, Self::Text | Self::Jsonl | Self::Tsv)
    }
}

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Newline,
    Nul,
}

/// How one command shall lay out its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) layout: Layout,
    pub(crate) end: End,
}

impl OutputArgs {
    /// The layout, if one was asked for.
    pub(crate) fn asked(self) -> Result<Option<Layout>, Failure> {
        match self.output {
            Some(layout) if self.json && layout != Layout::Json => {
                let what = format!("--json is not -o {}", layout.name());
                Err(Failure::new(Exit::Usage, what).hint("give one of the two"))
            }
            None if self.json => Ok(Some(Layout::Json)),
            asked => Ok(asked),
        }
    }

    /// The layout of a command that can give all of them.
    pub(crate) fn choose(self, command: &str) -> Result<Choice, Failure> {
        self.choose_of(command, Layout::value_variants())
    }

    /// The layout of a command that can give only some of them.
    pub(crate) fn choose_of(self, command: &str, known: &[Layout]) -> Result<Choice, Failure> {
        let layout = self.asked()?.unwrap_or(Layout::Text);
        if !known.contains(&layout) {
            let names: Vec<_> = known.iter().map(|layout| layout.name()).collect();
            let what = format!("zkctl {command} does not give {}", layout.name());
            let hint = format!("it gives {}", names.join(", "));
            return Err(Failure::new(Exit::Usage, what).hint(hint));
        }
        if self.null && !layout.has_lines() {
            let what = format!("-0 does not go with {}, which is one document", layout.name());
            return Err(Failure::new(Exit::Usage, what).hint("add -o text, jsonl or tsv"));
        }
        Ok(Choice { layout, end: if self.null { End::Nul } else { End::Newline } })
    }

    /// For a command that answers nothing.
    pub(crate) fn refuse(self, command: &str) -> Result<(), Failure> {
        self.choose_of(command, &[Layout::Text])?;
        self.refuse_null(command)
    }

    /// For an answer that is no list of lines.
    pub(crate) fn refuse_null(self, command: &str) -> Result<(), Failure> {
        if self.null {
            let what = format!("zkctl {command} prints no lines that -0 could end");
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
    fn the_layout_is_the_one_that_was_asked_for() {
        for layout in Layout::value_variants().iter().copied() {
            let choice = args(Some(layout), false, false).choose("ls").unwrap();
            assert_eq!(choice, Choice { layout, end: End::Newline });
        }
        assert_eq!(args(None, false, false).choose("ls").unwrap().layout, Layout::Text);
        assert_eq!(args(None, true, false).choose("ls").unwrap().layout, Layout::Json);
        let twice = args(Some(Layout::Json), true, false);
        assert_eq!(twice.choose("ls").unwrap().layout, Layout::Json);
    }

    #[test]
    fn what_a_command_can_not_give_is_wrong_usage() {
        let refused = [
            args(Some(Layout::Tsv), false, false).choose_of("check", &[Layout::Text, Layout::Json]),
            args(Some(Layout::Text), true, false).choose("ls"),
            args(None, true, true).choose("ls"),
            args(Some(Layout::Yaml), false, true).choose("ls"),
        ];
        for failure in refused {
            assert_eq!(failure.unwrap_err().exit(), Exit::Usage);
        }
        for wrong in [args(None, true, false), args(None, false, true)] {
            assert_eq!(wrong.refuse("set").unwrap_err().exit(), Exit::Usage);
        }
        args(Some(Layout::Text), false, false).refuse("set").unwrap();
    }

    #[test]
    fn lines_can_end_with_nul_in_formats_that_have_lines() {
        for layout in [Layout::Text, Layout::Jsonl, Layout::Tsv] {
            assert_eq!(args(Some(layout), false, true).choose("ls").unwrap().end, End::Nul);
        }
    }
}
