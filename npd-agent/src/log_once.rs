//! Logs a recurring error once.

use std::error::Error;

/// Remembers the last error that was logged, so that an error is logged when it appears or changes, not at each retry.
#[derive(Debug, Default)]
pub(crate) struct LogOnce {
    last: Option<String>,
}

// === impl LogOnce ===

impl LogOnce {
    /// Calls `log` with the error and its causes as one text, unless this is the error that was logged last.
    pub(crate) fn error(&mut self, error: &dyn Error, log: impl FnOnce(&str)) {
        let text = crate::error::chain(error);
        if self.last.as_ref() != Some(&text) {
            log(&text);
            self.last = Some(text);
        }
    }

    /// The error is over, so that the next one is logged whatever it is. `true` if one had been logged.
    pub(crate) fn clear(&mut self) -> bool {
        self.last.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_error_is_logged_when_it_appears_changes_or_comes_back() {
        let mut once = LogOnce::default();
        let mut logged = Vec::new();
        let mut error = |once: &mut LogOnce, text: &str| {
            once.error(&io::Error::other(text.to_owned()), |text| logged.push(text.to_owned()));
        };
        assert!(!once.clear(), "there was no error");
        for text in ["a", "a", "b", "b", "a"] {
            error(&mut once, text);
        }
        assert!(once.clear());
        assert!(!once.clear(), "it was over already");
        error(&mut once, "a");
        assert_eq!(logged, ["a", "b", "a", "a"]);
    }
}
