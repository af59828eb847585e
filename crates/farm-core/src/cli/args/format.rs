//! `--format`: the format of a file.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::codec::ExportFormat;
use clap::Args;
use std::path::Path;

/// The format of a file.
#[derive(Debug, Clone, Copy, Args)]
pub struct FormatArg {
    /// Format of CONF: json, yaml, php or dir; by default the extension of CONF
    /// decides, and an existing directory is dir
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<ExportFormat>,
}

impl FormatArg {
    /// The format of the file: the one on the command line, else the one of its name.
    ///
    /// # Errors
    ///
    /// Wrong usage when neither gives a format.
    pub fn of_file(self, conf: &Path) -> Result<ExportFormat, Failure> {
        let known = self.format.or_else(|| conf.is_dir().then_some(ExportFormat::Dir));
        known.or_else(|| ExportFormat::of_extension(conf)).ok_or_else(|| {
            let what =
                format!("cannot tell the format of {:?} from its name", conf.display().to_string());
            Failure::new(Exit::Usage, what).hint("add --format json, yaml, php or dir")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::TextFormat;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Tool {
        #[command(flatten)]
        format: FormatArg,
    }

    fn tool(args: &[&str]) -> Tool {
        Tool::try_parse_from([&["tool"], args].concat()).unwrap()
    }

    #[test]
    fn the_format_is_that_of_the_option_else_that_of_the_name() {
        let table: [(&[&str], &str, Option<ExportFormat>); 5] = [
            (&["-f", "json"], "hosts.php", Some(ExportFormat::Text(TextFormat::Json))),
            (&[], "hosts.php", Some(ExportFormat::Text(TextFormat::Php))),
            (&[], env!("CARGO_MANIFEST_DIR"), Some(ExportFormat::Dir)),
            (&[], "hosts.txt", None),
            (&[], "hosts", None),
        ];
        for (args, conf, format) in table {
            match tool(args).format.of_file(Path::new(conf)) {
                Ok(found) => assert_eq!(Some(found), format, "{conf}"),
                Err(failure) => {
                    assert_eq!((failure.exit(), None), (Exit::Usage, format), "{conf}");
                    assert!(failure.render("tool").contains(conf));
                }
            }
        }
    }
}
