//! Commands that a monitoring system runs as plugins; it shows their first line.
//!
//! **Invariant.** A plugin always prints to stdout, also when it fails, and no foreign
//! text in it is parsed as performance data.

use super::exit::Exit;
use super::failure::Failure;
use super::logging::print_to_stderr;
use clap::{ArgAction, Command};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};

/// Text without `|`, which separates the text of a plugin from its performance data.
#[must_use]
pub fn plugin_text(text: &str) -> String {
    text.replace('|', "\u{a6}")
}

/// Prints a failure as UNKNOWN.
pub(super) fn print_unknown(failure: &Failure) -> Exit {
    let text = plugin_text(&failure.render("UNKNOWN"));
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if written.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
        print_to_stderr(log::Level::Error, &text);
    }
    // Only help and version can fail with `Done`: their reader closed the pipe.
    if failure.exit() == Exit::Done { Exit::Done } else { Exit::Unknown }
}

/// Do the arguments name this subcommand? Also answers for arguments that clap rejects.
///
/// The first word that names a subcommand decides, unless it is the value of an option of
/// the tool. Without such a word, the name counts anywhere.
pub(super) fn names_subcommand(command: &Command, args: &[OsString], name: &str) -> bool {
    let mut words = args.iter().skip(1);
    while let Some(word) = words.next() {
        let is_subcommand = |known: &Command| OsStr::new(known.get_name()) == word;
        if word == "help" || command.get_subcommands().any(is_subcommand) {
            return word == name;
        }
        if takes_next(command, word) {
            words.next();
        }
    }
    args.iter().skip(1).any(|word| word == name)
}

/// Is the word an option of the tool whose value is the next word?
fn takes_next(command: &Command, word: &OsStr) -> bool {
    let Some(word) = word.to_str() else { return false };
    let mut options = command
        .get_arguments()
        .filter(|option| matches!(option.get_action(), ArgAction::Set | ArgAction::Append));
    if let Some(long) = word.strip_prefix("--") {
        return options.any(|option| option.get_long() == Some(long));
    }
    let Some(cluster) = word.strip_prefix('-') else { return false };
    // In `-Hzk1` the rest of the word is the value, so the next word is not.
    let with_value: Vec<char> = options.filter_map(clap::Arg::get_short).collect();
    cluster.find(&with_value[..]).is_some_and(|at| cluster[at..].chars().nth(1).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction, Command};

    fn command() -> Command {
        Command::new("tool")
            .arg(Arg::new("host").short('H').long("host"))
            .arg(Arg::new("quiet").short('q').long("quiet").action(ArgAction::Count))
            .subcommand(Command::new("ls").arg(Arg::new("path")))
            .subcommand(Command::new("check").arg(Arg::new("farm")))
    }

    #[test]
    fn the_subcommand_is_found_among_wrong_arguments_too() {
        let table = [
            ("check /farm", true),
            ("check", true),
            ("-H zk1 check", true),
            ("-Hzk1 check", true),
            ("--host=zk1 check /farm", true),
            ("-qqH zk1 -q check", true),
            ("--bogus check", true),
            ("--bogus value check -c x", true),
            ("-H check check", true),
            ("-H check", true),
            ("-z check", true),
            ("ls check", false),
            ("ls /check", false),
            ("-H check ls", false),
            ("--host check ls /", false),
            ("-qH check ls /", false),
            ("help check", false),
            ("-H zk1 ls --bogus check", false),
            ("chekc /farm", false),
            ("", false),
        ];
        for (line, wanted) in table {
            let words = line.split(' ').filter(|word| !word.is_empty());
            let args: Vec<OsString> =
                ["tool"].into_iter().chain(words).map(OsString::from).collect();
            assert_eq!(names_subcommand(&command(), &args, "check"), wanted, "{line}");
        }
    }

    #[test]
    fn plugin_text_has_no_separator_of_performance_data() {
        assert_eq!(plugin_text("a|b=1 |"), "a\u{a6}b=1 \u{a6}");
    }
}
