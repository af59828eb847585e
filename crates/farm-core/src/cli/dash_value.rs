//! The hint for an option whose value begins with a dash.
//!
//! clap takes the value for an option. Its own advice, `-- VALUE`, is for arguments
//! without an option.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};
use std::ffi::OsString;

/// What to type instead, if the error is about a word that may be the value of the option
/// before it.
pub(super) fn dash_value_hint(
    command: &Command,
    args: &[OsString],
    error: &Error,
) -> Option<String> {
    let about = argument(error)?;
    let is_about = |named: &str, value: &str| match error.kind() {
        // The word is no option; of several letters only the first one is named.
        ErrorKind::UnknownArgument => {
            value == about || (about.chars().count() == 2 && value.starts_with(&about))
        }
        // The word is an option, so the one before has no value: `--name <NAME>`.
        ErrorKind::InvalidValue => about.split([' ', '=']).next() == Some(named),
        _ => false,
    };
    let words: Vec<&str> = args.iter().skip(1).map_while(|word| word.to_str()).collect();
    words.windows(2).take_while(|pair| pair[0] != "--").find_map(|pair| {
        let &[option, value] = pair else { return None };
        let named = option_with_value(command, option)?;
        let is_dashed = value.starts_with('-') && value.len() > 1 && value != "--";
        let is_it = is_dashed && is_about(&named, value);
        is_it.then(|| format!("if {value} is the value of {option}, write {named}={value}"))
    })
}

fn argument(error: &Error) -> Option<String> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(argument) => Some(argument.clone()),
        _ => None,
    }
}

/// The longest name of the option that a word is, if it takes a value.
fn option_with_value(command: &Command, word: &str) -> Option<String> {
    let is_named = |option: &&Arg| {
        let longs = option.get_long_and_visible_aliases().unwrap_or_default();
        let shorts = option.get_short_and_visible_aliases().unwrap_or_default();
        match word.strip_prefix("--") {
            Some(word) => longs.contains(&word),
            None => shorts.iter().any(|short| word == format!("-{short}")),
        }
    };
    let options = command.get_arguments().filter(|option| option.get_action().takes_values());
    let option = options.into_iter().find(is_named);
    let named = option.map(|option| match option.get_long() {
        Some(long) => format!("--{long}"),
        None => word.to_owned(),
    });
    named.or_else(|| command.get_subcommands().find_map(|below| option_with_value(below, word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ArgAction;

    fn hint(line: &str) -> Option<String> {
        let command = Command::new("tool")
            .arg(Arg::new("name").long("name"))
            .arg(Arg::new("host").short('H').long("host"))
            .arg(Arg::new("letter").short('l'))
            .arg(Arg::new("verbose").short('v').long("verbose").action(ArgAction::Count))
            .subcommand(
                Command::new("ls")
                    .arg(Arg::new("path"))
                    .arg(Arg::new("sort").long("sort").visible_alias("by")),
            );
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = command.clone().try_get_matches_from(&args).unwrap_err();
        dash_value_hint(&command, &args, &error)
    }

    #[test]
    fn the_way_to_write_it_is_named() {
        for (line, expected) in [
            ("tool --name -x", "if -x is the value of --name, write --name=-x"),
            ("tool --name -xyz", "if -xyz is the value of --name, write --name=-xyz"),
            ("tool --name --name", "if --name is the value of --name, write --name=--name"),
            ("tool --name -v", "if -v is the value of --name, write --name=-v"),
            (
                "tool -v --name --nothing",
                "if --nothing is the value of --name, write --name=--nothing",
            ),
            ("tool -H -1", "if -1 is the value of -H, write --host=-1"),
            ("tool -l -x", "if -x is the value of -l, write -l=-x"),
            ("tool ls / --by -x", "if -x is the value of --by, write --sort=-x"),
        ] {
            assert_eq!(hint(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn other_mistakes_have_no_such_hint() {
        for line in [
            "tool -x",
            "tool -v -x",
            "tool --name",
            "tool --name a -x",
            "tool --name=a --nothing",
            "tool ls -x",
            "tool --name a b",
            "tool --name a -- --name -x",
        ] {
            assert_eq!(hint(line), None, "{line}");
        }
    }

    #[test]
    fn what_the_hint_says_works() {
        let command = Command::new("tool")
            .arg(Arg::new("name").long("name"))
            .arg(Arg::new("letter").short('l'));
        for word in ["--name=-x", "-l=-x"] {
            let matches = command.clone().try_get_matches_from(["tool", word]).unwrap();
            let value = matches.get_one::<String>("name").or(matches.get_one("letter"));
            assert_eq!(value.map(String::as_str), Some("-x"), "{word}");
        }
    }
}
