//! Logs a recurring error once.

use std::error::Error;

/// The error that was logged last.
#[derive(Debug, Default)]
pub(crate) struct LogOnce {
    last: Option<String>,
}

// === impl LogOnce ===

impl LogOnce {
    /// Calls `log`, unless this is the error that was logged last.
    pub(crate) fn error(&mut self, error: &dyn Error, log: impl FnOnce(&str)) {
        let text = crate::error::chain(error);
        if self.last.as_ref() != Some(&text) {
            log(&text);
            self.last = Some(text);
        }
    }

    /// Forgets the error, because it is over. Returns whether there was one.
    pub(crate) fn clear(&mut self) -> bool {
        self.last.take().is_some()
    }
}
