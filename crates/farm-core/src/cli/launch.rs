//! From `main` to the exit code.
//!
//! **Invariant.** Every end of a process but death by signal passes through
//! here: wrong usage, help, failure, a reader that went away, a bug.

use super::exit::Exit;
use super::failure::Failure;
use super::logging::tell;
use super::plugin::{self, names_subcommand};
use clap::Parser;
use nix::sys::signal::SigSet;
use std::any::Any;
use std::cell::RefCell;
use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::process::ExitCode;

/// Reads the arguments, runs the tool and turns its end into an exit code.
pub fn launch<A: Parser>(
    tool: &'static str,
    run: impl FnOnce(A) -> Result<Exit, Failure>,
) -> ExitCode {
    keep_panics_short();
    hear_signals();
    let exit = end_of(tool, std::env::args_os(), run).unwrap_or_else(|failure| {
        tell(log::Level::Error, &failure.told_by(tool));
        failure.exit()
    });
    exit.into()
}

/// Does the same for a tool with a command that is a monitoring plugin: whatever
/// keeps that command from an answer, be it wrong usage or a bug, is the answer
/// that it does not know, on stdout and with [`Exit::Unknown`].
pub fn launch_with_plugin<A: Parser>(
    tool: &'static str,
    plugin: &str,
    run: impl FnOnce(A) -> Result<Exit, Failure>,
) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if !names_subcommand(&A::command(), &args, plugin) {
        return launch(tool, run);
    }
    keep_panics_short();
    end_of(tool, args.into_iter(), run).unwrap_or_else(|failure| plugin::fail(&failure)).into()
}

/// Lets all signals in: who started us may have blocked some for reasons of its own, and
/// TERM is to end us, and CHLD to tell of an end, whoever that was.
///
/// Before there are threads, which have the same mask as who starts them.
fn hear_signals() {
    // An empty mask can't be refused.
    let _ = SigSet::empty().thread_set_mask();
}

fn end_of<A: Parser>(
    tool: &str,
    args: impl Iterator<Item = OsString>,
    run: impl FnOnce(A) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    match A::try_parse_from(args) {
        Ok(args) => catch_unwind(AssertUnwindSafe(|| run(args)))
            .unwrap_or_else(|payload| Err(bug(payload.as_ref()))),
        Err(error) => without_run(tool, &error),
    }
}

/// What clap has to say instead of arguments: help and version go to stdout,
/// a mistake becomes one line and a hint like any other failure.
fn without_run(tool: &str, error: &clap::Error) -> Result<Exit, Failure> {
    if !error.use_stderr() {
        return error.print().map(|()| Exit::Done).map_err(Failure::of_stdout);
    }
    let Shortened { what, tip, command } = shorten(&error.render().to_string());
    let command = command.unwrap_or_else(|| tool.to_owned());
    let hint = tip.unwrap_or_else(|| format!("{command} --help shows how it is used"));
    Err(Failure::new(Exit::Usage, what).hint(hint))
}

#[derive(Debug, PartialEq, Eq)]
struct Shortened {
    what: String,
    tip: Option<String>,
    command: Option<String>,
}

/// What clap's text says: the mistake, its tip, and the command that was meant.
fn shorten(rendered: &str) -> Shortened {
    let text = rendered.trim_start().trim_start_matches("error: ");
    let message = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = message.lines().map(str::trim).collect();
    let after = |label| text.lines().find_map(|line| line.trim_start().strip_prefix(label));
    let is_command = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let command = after("Usage: ")
        .map(|usage| usage.split(' ').take_while(is_command).collect::<Vec<_>>().join(" "));
    Shortened { what: words.join(" "), tip: after("tip: ").map(str::to_owned), command }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic on this thread becomes one line, told by [`launch`]; one on another
/// thread is logged by its own name. Who asks for a backtrace gets it too.
fn keep_panics_short() {
    let main = std::thread::current().id();
    let verbose = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            verbose(info);
        }
        let thread = std::thread::current();
        if thread.id() == main {
            PANIC.with(|panic| panic.replace(Some(summary(info))));
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
    let summary = PANIC.with(RefCell::take);
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
            let shortened = shorten(rendered);
            assert_eq!(shortened.what, what);
            assert_eq!(shortened.tip.as_deref(), tip);
            assert_eq!(shortened.command.as_deref(), command);
        }
    }

    #[derive(clap::Parser)]
    struct Nothing {}

    fn end(run: impl FnOnce(Nothing) -> Result<Exit, Failure>) -> Result<Exit, Failure> {
        end_of("zkctl", [OsString::from("zkctl")].into_iter(), run)
    }

    #[test]
    fn a_panic_is_one_line_and_a_code_of_its_own() {
        let failure = end(|_| panic!("no\nway")).unwrap_err();
        assert_eq!(failure.exit(), Exit::Bug);
        let told = failure.told_by("zkctl");
        assert!(told.starts_with("zkctl: bug: no\\nway"), "{told}");
        assert_eq!(told.lines().count(), 2, "{told}");
    }

    #[test]
    fn what_the_tool_answers_is_how_it_ends() {
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
