//! What lasts is logged once.

use super::log_text;
use log::{Log, Metadata, Record};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The log of one kind of trouble: what is tried again and fails again for the same reason
/// is not logged again. A line is logged with it by `log::warn!(logger: trouble, ...)`.
#[derive(Debug, Default)]
pub struct LogOnce {
    /// The text of the latest line. A lock, for the macros take a logger that threads could
    /// share; one loop owns this one, and never waits for it.
    last: Mutex<Option<String>>,
}

impl Log for LogOnce {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        log::logger().enabled(metadata)
    }

    /// Logs the record, unless it says the same as the latest one of this trouble.
    fn log(&self, record: &Record<'_>) {
        let text = log_text(record);
        if self.is_new(&text) {
            // To `RUST_LOG` it is a line of this module, whoever logs it.
            log::logger().log(&record.to_builder().target(module_path!()).build());
            *self.last() = Some(text);
        }
    }

    fn flush(&self) {
        log::logger().flush();
    }
}

impl LogOnce {
    /// The trouble is over; what comes next is logged again.
    pub fn clear(&mut self) {
        *self.last() = None;
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
    fn a_text_is_new_until_it_is_logged_and_again_when_the_trouble_was_over() {
        let mut told = LogOnce::default();
        assert!(told.is_new("no space"));
        told.log(&Record::builder().args(format_args!("no space")).build());
        assert!(!told.is_new("no space") && told.is_new("not allowed"));
        told.log(&Record::builder().args(format_args!("not allowed")).build());
        assert!(told.is_new("no space"));
        told.clear();
        assert!(told.is_new("not allowed"));
    }

    #[test]
    fn a_line_with_another_field_is_new() {
        let told = LogOnce::default();
        let args = format_args!("no config");
        Log::log(&told, &Record::builder().args(args).key_values(&("conf", "a")).build());
        assert!(!told.is_new("no config; conf=a") && told.is_new("no config; conf=b"));
    }
}
