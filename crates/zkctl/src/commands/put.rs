//! `zkctl put`: stores bytes in a znode as they are.

use super::overwrite::{Outcome, Overwrite, Unanswered};
use crate::connection::Connection;
use crate::format::Terminator;
use crate::output::Output;
use crate::stdin::read_bytes;
use clap::Args;
use farm_core::cli::{Exit, Failure, read_file};
use farm_core::farm::{Absent, EditError};
use farm_core::session::{DATA_BYTES_MAX, SessionError, ZnodePath};
use std::convert::Infallible;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  zkctl put /conf/app app.conf
  zkctl put /conf/app app.conf --create
  zkctl put /conf/app app.conf --dry-run
  zkctl put /conf/app app.conf --if-version 3
  gzip -c app.conf | zkctl put /conf/app";

const NOTES: &str = "\
The bytes are stored as they are, whatever they are: at most 1000000, and an empty input
empties the znode. Nothing is written if the znode holds them already.";

/// Store the bytes of a file, or of stdin, in a znode
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(crate) struct PutArgs {
    /// Replace the bytes of this znode
    #[arg(value_name = "PATH")]
    path: String,

    /// Store the bytes of this file; without it, or with -, those of stdin
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Write only if the znode has this version, else exit with 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    if_version: Option<i32>,

    /// Create the znode and its parents if they are missing
    #[arg(long)]
    create: bool,

    /// Write nothing; print what would change, and exit with 1 if anything would
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(crate) fn put(args: &PutArgs, connection: &Connection) -> Result<Exit, Failure> {
    let path = ZnodePath::parse(&args.path)?;
    let bytes = match args.file() {
        Some(file) => read_file(file, DATA_BYTES_MAX)?,
        None => read_bytes()?,
    };
    let overwrite = Overwrite {
        path: path.clone(),
        bytes,
        absent: if args.create { Absent::Create } else { Absent::Refuse },
        version: args.if_version,
        is_dry_run: args.dry_run,
    };
    let unanswered = Unanswered::default();
    let outcome =
        connection.ask(move |client, deadline| overwrite.run(client, deadline, &unanswered))?;
    args.report(&path, outcome)
}

impl PutArgs {
    /// The file to read, unless the bytes come from stdin.
    fn file(&self) -> Option<&Path> {
        self.file.as_deref().filter(|file| *file != Path::new("-"))
    }

    /// Reports the outcome on stdout or as a failure.
    fn report(&self, path: &ZnodePath, outcome: Outcome) -> Result<Exit, Failure> {
        match outcome {
            Outcome::Stored => Ok(Exit::Done),
            Outcome::WouldChange { old, new } => {
                let mut output = Output::open();
                output.row(&change(path, old, new), Terminator::Newline)?;
                output.finish()?;
                Ok(Exit::No)
            }
            Outcome::Missing(full) => {
                let failure = Failure::from(SessionError::NoNode(full));
                let can_create = !self.create && self.if_version.is_none();
                Err(if can_create { failure.hint("--create creates it") } else { failure })
            }
            Outcome::OtherVersion(version) => {
                Err(Failure::new(Exit::No, format!("{path} has version {version}")))
            }
            Outcome::Contended => {
                Err(EditError::<Infallible>::Contended { path: path.clone() }.into())
            }
            Outcome::Overtaken => {
                let what = format!(
                    "others changed {path} after the connection broke, so it is unknown whether it \
                     held these bytes"
                );
                let hint = format!("zkctl get --raw {path} prints what it holds now");
                Err(Failure::new(Exit::Contended, what).hint(hint))
            }
        }
    }
}

/// What would change, on one line.
fn change(path: &ZnodePath, old: Option<usize>, new: usize) -> String {
    let count = |bytes| if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    match old {
        None => format!("{path}: (none) -> {}", count(new)),
        Some(old) if old == new => format!("{path}: {} -> as many others", count(old)),
        Some(old) => format!("{path}: {} -> {}", count(old), count(new)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Tool {
        #[command(flatten)]
        put: PutArgs,
    }

    fn parse(args: &[&str]) -> Result<PutArgs, clap::Error> {
        Tool::try_parse_from([&["put"], args].concat()).map(|tool| tool.put)
    }

    #[test]
    fn the_bytes_come_from_a_file_or_from_stdin() {
        let table: [(&[&str], Option<&str>); 6] = [
            (&["/a"], None),
            (&["/a", "-"], None),
            (&["/a", "-", "--create"], None),
            (&["/a", "./-"], Some("./-")),
            (&["--create", "/a", "app.conf", "-n"], Some("app.conf")),
            (&["/a", "--", "-n"], Some("-n")),
        ];
        for (args, file) in table {
            let args = parse(args).unwrap();
            assert_eq!(args.file(), file.map(Path::new), "{args:?}");
        }
        // An empty name is a mistake, and not stdin.
        for args in [&[][..], &["/a", ""], &["/a", "b", "c"], &["/a", "--if-version", "-1"]] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn every_outcome_has_its_exit_code_and_its_message() {
        let path = ZnodePath::parse("/a").unwrap();
        let missing = || Outcome::Missing(ZnodePath::parse("/chroot/a").unwrap());
        let failure = |args: &[&str], outcome| {
            let failure = parse(args).unwrap().report(&path, outcome).unwrap_err();
            (failure.exit(), failure.render("zkctl"))
        };
        assert_eq!(parse(&["/a"]).unwrap().report(&path, Outcome::Stored).unwrap(), Exit::Done);
        let hint = "hint: --create creates it\n";
        for (args, outcome, exit, text) in [
            (&["/a"][..], missing(), Exit::No, &*format!("no such znode: /chroot/a\n{hint}")),
            (&["/a", "--create"], missing(), Exit::No, "no such znode: /chroot/a\n"),
            (&["/a", "--if-version", "1"], missing(), Exit::No, "no such znode: /chroot/a\n"),
            (&["/a"], Outcome::OtherVersion(3), Exit::No, "/a has version 3\n"),
            (
                &["/a"],
                Outcome::Contended,
                Exit::Contended,
                "others changed /a during every attempt\nhint: try again\n",
            ),
            (
                &["/a"],
                Outcome::Overtaken,
                Exit::Contended,
                "others changed /a after the connection broke, so it is unknown whether it held \
                 these bytes\nhint: zkctl get --raw /a prints what it holds now\n",
            ),
        ] {
            assert_eq!(failure(args, outcome), (exit, format!("zkctl: {text}")));
        }
    }

    #[test]
    fn a_change_is_one_line() {
        let path = ZnodePath::parse("/a").unwrap();
        for (old, new, line) in [
            (None, 95, "/a: (none) -> 95 bytes"),
            (None, 0, "/a: (none) -> 0 bytes"),
            (Some(120), 95, "/a: 120 bytes -> 95 bytes"),
            (Some(0), 1, "/a: 0 bytes -> 1 byte"),
            (Some(1), 1, "/a: 1 byte -> as many others"),
            (Some(95), 95, "/a: 95 bytes -> as many others"),
        ] {
            assert_eq!(change(&path, old, new), line);
        }
    }

    #[test]
    fn the_help_names_the_bound() {
        assert!(NOTES.contains(&format!("at most {DATA_BYTES_MAX},")));
    }
}
