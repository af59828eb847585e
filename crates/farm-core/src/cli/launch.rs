//! From `main` to the exit code.
//!
//! **Invariant.** Every exit of a process, except death by a signal, passes through here:
//! wrong usage, help, a failure, a closed pipe, a bug.

use super::dash_value::dash_value_hint;
use super::exit::Exit;
use super::failure::Failure;
use super::logging::{self, print_to_stderr};
use super::plugin::{self, names_subcommand};
use crate::engine::end_process_1_on_signals;
use clap::builder::Resettable;
use clap::{Arg, Command, Parser};
use nix::sys::signal::SigSet;
use std::any::Any;
use std::cell::RefCell;
use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::process::ExitCode;

/// Parses the arguments, runs the tool and turns its result into an exit code.
pub fn launch<A: Parser>(
    tool: &'static str,
    run: impl FnOnce(A) -> Result<Exit, Failure>,
) -> ExitCode {
    prepare_process();
    let exit = parse_and_run(tool, std::env::args_os(), run).unwrap_or_else(|failure| {
        print_to_stderr(log::Level::Error, &failure.render(tool));
        failure.exit()
    });
    logging::flush();
    exit.into()
}

/// Like [`launch`], for a tool that has a monitoring plugin as a subcommand. Any failure of
/// that subcommand, from wrong usage to a bug, goes to stdout as UNKNOWN and ends with
/// [`Exit::Unknown`].
pub fn launch_with_plugin<A: Parser>(
    tool: &'static str,
    plugin: &str,
    run: impl FnOnce(A) -> Result<Exit, Failure>,
) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if !names_subcommand(&A::command(), &args, plugin) {
        return launch(tool, run);
    }
    prepare_process();
    let exit = parse_and_run(tool, args.into_iter(), run)
        .unwrap_or_else(|failure| plugin::print_unknown(&failure));
    logging::flush();
    exit.into()
}

fn prepare_process() {
    install_panic_hook();
    unblock_signals();
    end_process_1_on_signals();
}

/// Unblocks all signals: we inherit the mask of our parent, and need TERM and CHLD.
///
/// Must run before the first thread starts, because a thread inherits the mask.
fn unblock_signals() {
    // An empty mask can't be refused.
    let _ = SigSet::empty().thread_set_mask();
}

fn parse_and_run<A: Parser>(
    tool: &str,
    args: impl Iterator<Item = OsString>,
    run: impl FnOnce(A) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let args: Vec<OsString> = args.collect();
    match parse(&args) {
        Ok(args) => catch_unwind(AssertUnwindSafe(|| run(args)))
            .unwrap_or_else(|payload| Err(bug(payload.as_ref()))),
        Err(error) => report_clap(tool, &error, dash_value_hint(&A::command(), &args, &error)),
    }
}

/// Parses the arguments. A variable that is set but empty counts as unset, also for an option
/// that takes its value from one.
fn parse<A: Parser>(args: &[OsString]) -> Result<A, clap::Error> {
    let mut command = without_empty_variables(A::command());
    let mut matches = command.try_get_matches_from_mut(args)?;
    A::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

fn without_empty_variables(command: Command) -> Command {
    let is_empty =
        |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty_variables)
}

/// Prints help and version to stdout; turns a usage error into one line and a hint, like any
/// other failure. `hint` is better than clap's, if there is one.
fn report_clap(tool: &str, error: &clap::Error, hint: Option<String>) -> Result<Exit, Failure> {
    if !error.use_stderr() {
        return error.print().map(|()| Exit::Done).map_err(Failure::of_stdout);
    }
    let UsageError { what, tip, command } = parse_usage_error(&error.render().to_string());
    let command = command.unwrap_or_else(|| tool.to_owned());
    let hint = hint.or(tip).unwrap_or_else(|| format!("{command} --help shows how it is used"));
    Err(Failure::new(Exit::Usage, what).hint(hint))
}

#[derive(Debug, PartialEq, Eq)]
struct UsageError {
    what: String,
    tip: Option<String>,
    command: Option<String>,
}

/// Finds in clap's text the mistake, the tip, and the command it is about.
fn parse_usage_error(rendered: &str) -> UsageError {
    let text = rendered.trim_start().trim_start_matches("error: ");
    let message = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = message.lines().map(str::trim).collect();
    let after = |label| text.lines().find_map(|line| line.trim_start().strip_prefix(label));
    let is_command = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let command = after("Usage: ")
        .map(|usage| usage.split(' ').take_while(is_command).collect::<Vec<_>>().join(" "));
    UsageError { what: words.join(" "), tip: after("tip: ").map(str::to_owned), command }
}

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps a panic of the main thread for [`launch`], which prints it on one line, and logs a
/// panic of any other thread under its name. `RUST_BACKTRACE` adds the usual output.
fn install_panic_hook() {
    let main = std::thread::current().id();
    let default_hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            default_hook(info);
        }
        let thread = std::thread::current();
        if thread.id() == main {
            LAST_PANIC.with(|panic| panic.replace(Some(summary(info))));
        } else {
            let name = thread.name().unwrap_or("without a name");
            log::error!("thread {name} panicked: {}", summary(info));
        }
    }));
}

fn summary(info: &PanicHookInfo<'_>) -> String {
    let message = message_of(info.payload());
    match info.location() {
        Some(place) => format!("{message}, at {}:{}", place.file(), place.line()),
        None => message.to_owned(),
    }
}

fn message_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic")
}

fn bug(payload: &(dyn Any + Send)) -> Failure {
    let summary = LAST_PANIC.with(RefCell::take);
    let what = summary.unwrap_or_else(|| message_of(payload).to_owned());
    Failure::new(Exit::Bug, format!("bug: {what}"))
        .hint("please report this line; RUST_BACKTRACE=1 shows more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_become_one_line_and_a_hint() {
        let table = [
            (
                "error: unexpected argument '--feilds' found\n\n  tip: a similar argument exists: \
                 '--fields'\n\nUsage: zkctl ls --fields <FIELDS> <PATH>\n\nFor more information, \
                 try '--help'.\n",
                "unexpected argument '--feilds' found",
                Some("a similar argument exists: '--fields'"),
                Some("zkctl ls"),
            ),
            (
                "error: the following required arguments were not provided:\n  <PATH>\n  <WORDS>\
                 ...\n\nUsage: zkctl set <PATH> <WORDS>...\n\nFor more information, try '--help'.\n",
                "the following required arguments were not provided: <PATH> <WORDS>...",
                None,
                Some("zkctl set"),
            ),
            ("", "", None, None),
        ];
        for (rendered, what, tip, command) in table {
            let error = parse_usage_error(rendered);
            assert_eq!(error.what, what);
            assert_eq!(error.tip.as_deref(), tip);
            assert_eq!(error.command.as_deref(), command);
        }
    }

    #[derive(clap::Parser)]
    struct NoArgs {}

    fn end(run: impl FnOnce(NoArgs) -> Result<Exit, Failure>) -> Result<Exit, Failure> {
        parse_and_run("zkctl", [OsString::from("zkctl")].into_iter(), run)
    }

    #[test]
    fn a_panic_is_one_line_and_a_code_of_its_own() {
        let failure = end(|_| panic!("no\nway")).unwrap_err();
        assert_eq!(failure.exit(), Exit::Bug);
        let text = failure.render("zkctl");
        assert!(text.starts_with("zkctl: bug: no\\nway"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn the_result_of_the_tool_is_the_result_of_the_launch() {
        assert_eq!(end(|_| Ok(Exit::No)).unwrap(), Exit::No);
        let failure = end(|_| Err(Failure::new(Exit::Overdue, "late"))).unwrap_err();
        assert_eq!(failure.exit(), Exit::Overdue);
    }

    #[test]
    fn payloads_of_every_kind_have_a_message() {
        assert_eq!(message_of(&"static"), "static");
        assert_eq!(message_of(&String::from("owned")), "owned");
        assert_eq!(message_of(&7), "panic");
    }
}
