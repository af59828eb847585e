//! The log and the error messages on stderr.
//!
//! **Invariant.** Each record is one line, whatever foreign text it contains. The
//! libraries' own records are never logged: ZooKeeper's prints session passwords, and
//! notify's warns of what we handle.

use super::log_rate::{LeftOut, LogRate};
use super::stderr_queue::StderrQueue;
use crate::engine::{log_text, printable, variable};
use env_logger::fmt::Formatter;
use env_logger::{Builder, Logger, Target, WriteStyle};
use log::{Level, Log, Metadata, Record};
use std::env;
use std::io::{self, IsTerminal, Write as _};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Only these crates log: what matters about a library, the layer that uses it tells.
const OURS: [&str; 5] = ["farm_core", "zkctl", "zkexec", "zkexport", "zkjoin"];

/// How long the end of a process waits for a reader of stderr.
const FLUSH_MOST: Duration = Duration::from_millis(250);

/// Where lines go once logging has started.
static QUEUE: OnceLock<StderrQueue> = OnceLock::new();

// Every thread logs, and none may wait for another one to do it. It is held for a look-up.
static RATE: Mutex<LogRate> = Mutex::new(LogRate::new());

/// Starts logging to stderr, at the levels of this builder. With `is_limited`, a place that logs
/// as fast as it can is cut off.
///
/// # Errors
///
/// When the system has no thread to give.
pub(super) fn start(mut builder: Builder, is_limited: bool) -> io::Result<()> {
    if QUEUE.get().is_some() {
        // A second start keeps the first logger: tests in one process share it.
        return Ok(());
    }
    let tell_lost = |lost| {
        let level = log::max_level().to_level().map_or(Level::Error, |most| most.min(Level::Warn));
        log::log!(level, lost; "log lines are missing, nobody has read stderr");
    };
    let queue = StderrQueue::start(io::stderr(), tell_lost, || {
        let left_out = rate().take(Instant::now());
        tell_left_out(left_out);
        rate().deadline()
    })?;
    builder.target(Target::Pipe(Box::new(queue.clone())));
    if is_journal() {
        builder.format(journal_line);
        builder.write_style(WriteStyle::Never);
    } else {
        builder.format(dated_line);
        builder.write_style(if takes_colour() { WriteStyle::Always } else { WriteStyle::Never });
    }
    let logger = FilteredLogger { logger: builder.build(), is_limited };
    let level_max = logger.logger.filter();
    if QUEUE.set(queue).is_ok() && log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level_max);
    }
    Ok(())
}

/// Whether stderr is a terminal whose user has not declined colours.
fn takes_colour() -> bool {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stderr().is_terminal() && variable("NO_COLOR").is_none() && !is_dumb
}

/// Writes text to stderr as it is. A closed stderr is not an error.
pub(super) fn print_to_stderr(level: Level, text: &str) {
    let prefix = if is_journal() { priority(level) } else { "" };
    for line in text.lines() {
        let line = format!("{prefix}{line}\n");
        match QUEUE.get() {
            Some(queue) => queue.push(line.as_bytes()),
            // Nothing is at work yet that could be held up.
            None => drop(io::stderr().write_all(line.as_bytes())),
        }
    }
}

/// Waits until everything is written, but not long for a reader that does not read.
pub(super) fn flush() {
    if let Some(queue) = QUEUE.get() {
        let left_out = rate().take_all();
        tell_left_out(left_out);
        queue.flush(FLUSH_MOST);
    }
}

fn rate() -> MutexGuard<'static, LogRate> {
    RATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell_left_out(all: Vec<LeftOut>) {
    for LeftOut { level, target, count, example } in all {
        log::log!(
            target: &target, level, lost = count, like = example;
            "log lines are missing, there were too many of one kind"
        );
    }
}

struct FilteredLogger {
    logger: Logger,
    is_limited: bool,
}

impl FilteredLogger {
    /// Whether the place of the record has not used up its lines.
    fn admits(&self, record: &Record<'_>) -> bool {
        if !self.is_limited {
            return true;
        }
        let mut rate = rate();
        let is_admitted = rate.admits(Instant::now(), record, || log_text(record));
        if let (false, Some(queue), Some(at)) = (is_admitted, QUEUE.get(), rate.deadline()) {
            queue.wake_at(at);
        }
        is_admitted
    }
}

impl Log for FilteredLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata.target()) && self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && self.admits(record) {
            self.logger.log(record);
        }
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

fn is_ours(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or(target);
    OURS.contains(&library)
}

fn dated_line(line: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let level = record.level();
    let style = line.default_level_style(level);
    let time = line.timestamp_millis();
    writeln!(line, "{time} {style}{level:<5}{style:#} {}", printable(&log_text(record)))
}

fn journal_line(line: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    writeln!(line, "{}{}", priority(record.level()), printable(&log_text(record)))
}

const fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// Is stderr connected to the journal? `JOURNAL_STREAM` holds the device and inode of
/// the stream that systemd created; a redirected stderr has different ones.
fn is_journal() -> bool {
    let Some(stream) = env::var("JOURNAL_STREAM").ok() else { return false };
    nix::sys::stat::fstat(io::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::kv::{ToValue, Value};
    use std::io::Read as _;

    /// What a logger with this format writes for a record with foreign text in it.
    fn written(format: fn(&mut Formatter, &Record<'_>) -> io::Result<()>) -> String {
        let (mut reader, writer) = io::pipe().unwrap();
        let target = Target::Pipe(Box::new(writer));
        let logger = Builder::new()
            .filter_level(log::LevelFilter::Warn)
            .format(format)
            .target(target)
            .build();
        let (path, why) = ("/db/a\nb", "no \"space\"\n<3>forged");
        let fields = [
            ("path", Value::from_display(&path)),
            ("wait_ms", 7_u128.to_value()),
            ("znode", Value::from_debug(&path)),
            ("why", why.to_value()),
        ];
        let fields: &[_] = &fields;
        let args = format_args!("the name is taken, waiting");
        logger.log(&Record::builder().level(Level::Warn).args(args).key_values(&fields).build());
        drop(logger);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn fields_follow_the_message_on_one_line_whatever_is_in_them() {
        let text = "the name is taken, waiting; path=/db/a\\nb wait_ms=7 znode=\"/db/a\\nb\" \
                    why=\"no \"space\"\\n<3>forged\"\n";
        assert_eq!(written(journal_line), format!("<4>{text}"));
        let dated = written(dated_line);
        let (time, line) = dated.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.len() == "2026-11-22T12:12:25.939Z".len(), "{time}");
        assert_eq!(line, format!("WARN  {text}"));
    }

    #[test]
    fn libraries_never_log_whatever_the_filter_says() {
        let mut builder = Builder::new();
        builder.parse_filters("trace,zookeeper=trace,notify::inotify=trace,rustls=trace");
        let logger = FilteredLogger { logger: builder.build(), is_limited: true };
        let is_logged = |target: &str| {
            let metadata = Metadata::builder().level(Level::Error).target(target).build();
            logger.enabled(&metadata)
        };
        for target in [
            "zookeeper",
            "zookeeper::io",
            "mio::poll",
            "mio_extras::timer",
            "notify::inotify",
            "rustls::client",
            "jiff::tz",
            "",
            "zkctlx",
        ] {
            assert!(!is_logged(target), "{target}");
        }
        for target in ["zkctl", "zkjoin::runner", "zkexport", "zkexec", "farm_core::session"] {
            assert!(is_logged(target), "{target}");
        }
    }
}
