//! Logging a repeated message once.

use super::log_text;
use log::{Log, Metadata, Record};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The logger for one kind of problem: a retry that fails again for the same reason is not
/// logged again. It is used as `log::warn!(logger: problem, ...)`.
#[derive(Debug, Default)]
pub struct LogOnce {
    /// The text of the latest line. It is in a lock because the log macros need a logger
    /// that is `Sync`; only one loop uses it, so it never waits.
    last: Mutex<Option<String>>,
}

impl Log for LogOnce {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        log::logger().enabled(metadata)
    }

    /// Logs the record, unless its text is the same as that of the latest one.
    fn log(&self, record: &Record<'_>) {
        let text = log_text(record);
        if self.is_new(&text) {
            // `RUST_LOG` filters these lines by this module, wherever they are logged.
            log::logger().log(&record.to_builder().target(module_path!()).build());
            *self.last() = Some(text);
        }
    }

    fn flush(&self) {
        log::logger().flush();
    }
}

impl LogOnce {
    /// The problem is over: the next record is logged in any case. Tells whether the problem was
    /// logged.
    pub fn clear(&mut self) -> bool {
        self.last().take().is_some()
    }

    fn is_new(&self, text: &str) -> bool {
        self.last().as_deref() != Some(text)
    }

    fn last(&self) -> MutexGuard<'_, Option<String>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_new_until_it_is_logged_and_again_after_clear() {
        let mut logger = LogOnce::default();
        assert!(logger.is_new("no space"));
        logger.log(&Record::builder().args(format_args!("no space")).build());
        assert!(!logger.is_new("no space") && logger.is_new("not allowed"));
        logger.log(&Record::builder().args(format_args!("not allowed")).build());
        assert!(logger.is_new("no space"));
        logger.clear();
        assert!(logger.is_new("not allowed") && !logger.clear());
        logger.log(&Record::builder().args(format_args!("no space")).build());
        assert!(logger.clear() && !logger.clear());
    }

    #[test]
    fn a_line_with_another_field_is_new() {
        let logger = LogOnce::default();
        let args = format_args!("no config");
        Log::log(&logger, &Record::builder().args(args).key_values(&("conf", "a")).build());
        assert!(!logger.is_new("no config; conf=a") && logger.is_new("no config; conf=b"));
    }
}
