//! The agent's log, read line by line by a thread, so that a test can wait for a line instead of for time.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::Value;

use super::problem::Problem;

/// A log that grows.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// When the test read it.
    pub seen: Instant,
    /// As it was written.
    pub raw: String,
    json: Value,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    ended: bool,
}

// === impl Log ===

impl Log {
    /// Reads lines until the pipe is closed.
    pub fn follow(pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let log = Self { shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for line in BufReader::with_capacity(1 << 16, pipe).split(b'\n').map_while(Result::ok) {
                let seen = Instant::now();
                let line = Line::new(seen, String::from_utf8_lossy(&line).into_owned());
                shared.lock().lines.push(line);
                shared.grown.notify_all();
            }
            shared.lock().ended = true;
            shared.grown.notify_all();
        });
        log
    }

    /// Shows `look` every line, from the first on, until it gives something.
    ///
    /// # Errors
    ///
    /// When it gives nothing within `limit`, or the agent's log has ended before; with the newest lines.
    pub fn wait<T>(&self, what: &str, limit: Duration, mut look: impl FnMut(&Line) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut shown = 0;
        let mut state = self.shared.lock();
        loop {
            for line in &state.lines[shown..] {
                if let Some(found) = look(line) {
                    return Ok(found);
                }
            }
            shown = state.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                let why = if state.ended { "the agent has ended".to_owned() } else { format!("{limit:?} are over") };
                let newest: Vec<_> = state.lines.iter().rev().take(15).rev().map(|line| line.raw.as_str()).collect();
                bail!("waited for {what} in the agent's log, but {why}; the newest lines:\n{}", newest.join("\n"));
            }
            state = self.shared.grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the agent has closed its log, as it does when it ends.
    pub fn wait_for_end(&self, limit: Duration) -> Result<()> {
        let state = self.shared.lock();
        let waited = self.shared.grown.wait_timeout_while(state, limit, |state| !state.ended);
        if waited.unwrap_or_else(PoisonError::into_inner).0.ended { Ok(()) } else { bail!("the log stays open") }
    }

    /// All lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.shared.lock().lines.clone()
    }

    /// All problems so far.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.shared.lock().lines.iter().filter_map(Problem::from_line).collect()
    }
}

// === impl Line ===

impl Line {
    fn new(seen: Instant, raw: String) -> Self {
        // A line that is no JSON, such as a panic's, is kept for the reader of a failed test.
        let json = serde_json::from_str(&raw).unwrap_or_default();
        Self { seen, raw, json }
    }

    /// The message, empty for a line that is no JSON.
    #[must_use]
    pub fn message(&self) -> &str {
        self.text("message").unwrap_or_default()
    }

    /// The level, such as `WARN`.
    #[must_use]
    pub fn level(&self) -> &str {
        self.text("level").unwrap_or_default()
    }

    /// A field that is a text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.json.get(field)?.as_str()
    }

    /// A field that is a whole number.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        self.json.get(field)?.as_u64()
    }

    /// Whether a field is there and true.
    #[must_use]
    pub fn is_true(&self, field: &str) -> bool {
        self.json.get(field).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether the line is one JSON object, as `--log-format=json` promises.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json.is_object()
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
