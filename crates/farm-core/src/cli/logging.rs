//! The log and the error messages on stderr.
//!
//! **Invariant.** Each record is one line, whatever foreign text it contains. The
//! libraries' own records are never logged: ZooKeeper's prints session passwords, and
//! notify's warns of what we handle.

use super::stderr_queue::StderrQueue;
use crate::engine::{log_text, printable, variable};
use env_logger::fmt::Formatter;
use env_logger::{Builder, Logger, Target, WriteStyle};
use log::{Level, Log, Metadata, Record};
use std::env;
use std::io::{self, IsTerminal, Write as _};
use std::sync::OnceLock;
use std::time::Duration;

/// These libraries never log; the layers that use them log what matters.
const SILENCED: [&str; 4] = ["mio", "mio_extras", "notify", "zookeeper"];

/// How long the end of a process waits for a reader of stderr.
const FLUSH_MOST: Duration = Duration::from_millis(250);

/// Where lines go once logging has started.
static QUEUE: OnceLock<StderrQueue> = OnceLock::new();

/// Starts logging to stderr, at the levels of this builder.
///
/// # Errors
///
/// When the system has no thread to give.
pub(super) fn start(mut builder: Builder) -> io::Result<()> {
    if QUEUE.get().is_some() {
        // A second start keeps the first logger: tests in one process share it.
        return Ok(());
    }
    let queue = StderrQueue::start(io::stderr(), |lost| {
        let level = log::max_level().to_level().map_or(Level::Error, |most| most.min(Level::Warn));
        log::log!(level, lost; "log lines are missing, nobody has read stderr");
    })?;
    builder.target(Target::Pipe(Box::new(queue.clone())));
    if is_journal() {
        builder.format(journal_line);
        builder.write_style(WriteStyle::Never);
    } else {
        builder.format(dated_line);
        builder.write_style(if takes_colour() { WriteStyle::Always } else { WriteStyle::Never });
    }
    let logger = FilteredLogger(builder.build());
    let level_max = logger.0.filter();
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
        queue.flush(FLUSH_MOST);
    }
}

struct FilteredLogger(Logger);

impl Log for FilteredLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !is_silenced(metadata.target()) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !is_silenced(record.target()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn is_silenced(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or(target);
    SILENCED.contains(&library)
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
        builder.parse_filters("trace,zookeeper=trace,zookeeper::io=trace,notify::inotify=trace");
        let logger = FilteredLogger(builder.build());
        let is_logged = |target: &str| {
            let metadata = Metadata::builder().level(Level::Error).target(target).build();
            logger.enabled(&metadata)
        };
        for target in
            ["zookeeper", "zookeeper::io", "mio::poll", "mio_extras::timer", "notify::inotify"]
        {
            assert!(!is_logged(target), "{target}");
        }
        for target in ["zkctl", "farm_core::session", "zookeeper_like"] {
            assert!(is_logged(target), "{target}");
        }
    }
}
