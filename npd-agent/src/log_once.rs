//! What goes wrong time and again is told once.

use std::error::Error;

/// What was told last.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    last: Option<String>,
}

// === impl Complaint ===

impl Complaint {
    /// Has `tell` tell of the error, unless the same was told last.
    pub(crate) fn make(&mut self, error: &dyn Error, tell: impl FnOnce(&str)) {
        let text = crate::error::chain(error);
        if self.last.as_ref() != Some(&text) {
            tell(&text);
            self.last = Some(text);
        }
    }

    /// It works: whether something else was told last.
    pub(crate) fn is_over(&mut self) -> bool {
        self.last.take().is_some()
    }
}
