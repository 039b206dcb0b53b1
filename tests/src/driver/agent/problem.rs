//! A problem as the agent logs it: one line with the message `problem`.

use std::time::Instant;

use jiff::Timestamp;

use super::log::Line;

/// One reported problem.
#[derive(Clone, Debug)]
pub struct Problem {
    /// When the test read the line.
    pub seen: Instant,
    /// The monitor.
    pub source: String,
    /// The rule's reason.
    pub reason: String,
    /// `warn` or `info`.
    pub severity: String,
    /// When it happened, as the agent says.
    pub at: Option<Timestamp>,
    /// The event's message.
    pub text: String,
    /// The condition that changed, for a permanent rule.
    pub condition: Option<String>,
    /// The status that it changed to.
    pub status: Option<String>,
    /// How many happenings it tells of.
    pub count: u64,
    /// Whether the agent says that it may have reported it before.
    pub again: bool,
    fields: String,
}

// === impl Problem ===

impl Problem {
    /// The problem in a line of the log, if it is one.
    #[must_use]
    pub fn from_line(line: &Line) -> Option<Self> {
        if line.message() != "problem" {
            return None;
        }
        let text = |field: &str| line.text(field).map(ToOwned::to_owned);
        Some(Self {
            seen: line.seen,
            source: text("source").unwrap_or_default(),
            reason: text("reason").unwrap_or_default(),
            severity: text("severity").unwrap_or_default(),
            at: line.text("at").and_then(|at| at.parse().ok()),
            text: text("text").unwrap_or_default(),
            condition: text("condition"),
            status: text("status"),
            count: line.number("count").unwrap_or(1),
            again: line.is_true("again"),
            fields: text("fields").unwrap_or_default(),
        })
    }

    /// One of the structured facts, such as `pid`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    }
}
