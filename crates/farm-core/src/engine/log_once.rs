//! What lasts is logged once.

use log::Level;

/// The log of one kind of trouble: what is tried again and fails again for the same reason
/// is not logged again.
#[derive(Debug, Default)]
pub struct LogOnce {
    last: Option<String>,
}

impl LogOnce {
    /// Logs the text, unless it is the last one of this trouble.
    pub fn log(&mut self, level: Level, text: String) {
        if self.is_new(&text) {
            log::log!(level, "{text}");
            self.last = Some(text);
        }
    }

    /// Warns, unless that is the last text of this trouble.
    pub fn warn(&mut self, text: String) {
        self.log(Level::Warn, text);
    }

    /// Whether [`LogOnce::log`] would log it.
    #[must_use]
    pub fn is_new(&self, text: &str) -> bool {
        self.last.as_deref() != Some(text)
    }

    /// The trouble is over; what comes next is logged again.
    pub fn clear(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_new_until_it_is_logged_and_again_when_the_trouble_was_over() {
        let mut told = LogOnce::default();
        assert!(told.is_new("no space"));
        told.warn("no space".to_owned());
        assert!(!told.is_new("no space") && told.is_new("not allowed"));
        told.log(Level::Error, "not allowed".to_owned());
        assert!(told.is_new("no space"));
        told.clear();
        assert!(told.is_new("not allowed"));
    }
}
