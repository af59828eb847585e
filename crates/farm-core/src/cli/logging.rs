//! Everything that goes to stderr.
//!
//! **Invariant.** What is logged is one line, whatever text of strangers is in
//! it, and nothing of the ZooKeeper library's own is ever logged: it prints
//! session passwords.

use crate::engine::printable;
use env_logger::fmt::Formatter;
use env_logger::{Builder, Logger};
use log::{Level, Log, Metadata, Record};
use std::env;
use std::io::{self, Write as _};

/// The libraries that have no voice: what matters about them our session says itself.
const MUTE: [&str; 3] = ["mio", "mio_extras", "zookeeper"];

/// Starts logging to stderr, at the levels of this builder.
pub(super) fn start(mut builder: Builder) {
    if is_journal() {
        builder.format(journal_line);
        builder.write_style(env_logger::WriteStyle::Never);
    } else {
        builder.format(dated_line);
    }
    let shielded = Shielded(builder.build());
    let level_max = shielded.0.filter();
    // A second start keeps the first logger: tests in one process share it.
    if log::set_boxed_logger(Box::new(shielded)).is_ok() {
        log::set_max_level(level_max);
    }
}

/// Writes text to stderr as it is; a stderr that nobody reads is no reason to fail.
pub(super) fn tell(level: Level, text: &str) {
    let mut stderr = io::stderr().lock();
    let prefix = if is_journal() { priority(level) } else { "" };
    for line in text.lines() {
        if writeln!(stderr, "{prefix}{line}").is_err() {
            return;
        }
    }
}

struct Shielded(Logger);

impl Log for Shielded {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !is_mute(metadata.target()) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !is_mute(record.target()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn is_mute(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or(target);
    MUTE.contains(&library)
}

fn dated_line(line: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let level = record.level();
    let style = line.default_level_style(level);
    let time = line.timestamp_millis();
    let message = record.args().to_string();
    writeln!(line, "{time} {style}{level:<5}{style:#} {}", printable(&message))
}

fn journal_line(line: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let message = record.args().to_string();
    writeln!(line, "{}{}", priority(record.level()), printable(&message))
}

const fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// Does stderr lead straight into the journal? systemd names the device and
/// inode of the stream it made for us; a redirected stderr has another one.
fn is_journal() -> bool {
    let Some(announced) = env::var("JOURNAL_STREAM").ok() else { return false };
    nix::sys::stat::fstat(io::stderr())
        .is_ok_and(|stat| announced == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_that_prints_passwords_is_mute_whatever_the_filter_says() {
        let mut builder = Builder::new();
        builder.parse_filters("trace,zookeeper=trace,zookeeper::io=trace,mio::poll=trace");
        let logger = Shielded(builder.build());
        let is_heard = |target: &str| {
            let metadata = Metadata::builder().level(Level::Error).target(target).build();
            logger.enabled(&metadata)
        };
        for target in ["zookeeper", "zookeeper::io", "mio::poll", "mio_extras::timer"] {
            assert!(!is_heard(target), "{target}");
        }
        for target in ["zkctl", "farm_core::session", "zookeeper_like"] {
            assert!(is_heard(target), "{target}");
        }
    }
}
