//! Checks, which find out whether there is a problem, and their results.

use std::{collections::BTreeMap, pin::Pin, time::Duration};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{problem::Fields, text::cut};

/// Finds out again and again whether there is a problem: a program, or a function of the agent.
pub trait Check: Send {
    /// Runs once, within this time or a little more if it times out. `None` if `stop` was cancelled before the result; then
    /// what it has started is ended.
    fn run<'a>(&'a mut self, within: Duration, stop: &'a CancellationToken) -> Pending<'a, Option<Run>>;
}

/// A future on the heap.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A finished run of a check.
pub struct Run {
    /// What it has found out.
    pub outcome: Outcome,
    /// How the run went.
    pub kind: RunKind,
    /// What else it wrote, for the log.
    pub remarks: String,
    /// Completes when a process that could not be killed has ended. The check does not run again before.
    pub leftover: Option<Pending<'static, ()>>,
}

/// What a check has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether there is a problem.
    pub status: CheckStatus,
    /// The text for people.
    pub message: String,
    /// A more precise reason than that of the rule: one CamelCase word. An unknown status never has the reason of the rule.
    pub reason: Option<String>,
    /// Facts beyond the text.
    pub labels: Fields,
}

/// Whether there is a problem. Ordered by severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// There is no problem.
    Ok,
    /// It could not be found out.
    Unknown,
    /// There is a problem.
    Problem,
}

/// How a run went. The `outcome` of `npd_plugin_runs_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// It found no problem.
    Ok,
    /// It found a problem.
    Problem,
    /// It ran, but could not find out.
    Unknown,
    /// It took too long and was ended.
    Timeout,
    /// It could not be started.
    Error,
    /// It must not be started: users other than root can change it.
    Refused,
    /// It took too long and could not even be killed.
    Stuck,
}

/// A line of JSON, with which a program can return more than an exit code.
#[derive(Debug, Deserialize)]
struct Line {
    status: Option<CheckStatus>,
    reason: Option<String>,
    message: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Maximum number of labels of one line, and the maximum lengths of a name and a value.
const LABELS_MAX: usize = 16;
const NAME_MAX: usize = 63;
const VALUE_MAX: usize = 256;

/// Maximum length of a reason: the API server rejects an event with a longer one.
const REASON_MAX: usize = 128;

// === impl Run ===

impl From<Outcome> for Run {
    /// A run that completed, whatever it found out.
    fn from(outcome: Outcome) -> Self {
        let kind = match outcome.status {
            CheckStatus::Ok => RunKind::Ok,
            CheckStatus::Unknown => RunKind::Unknown,
            CheckStatus::Problem => RunKind::Problem,
        };
        Self { outcome, kind, remarks: String::new(), leftover: None }
    }
}

// === impl Outcome ===

impl Outcome {
    /// An outcome without a reason of its own.
    #[must_use]
    pub fn new(status: CheckStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), reason: None, labels: Fields::none() }
    }

    /// The outcome of a program with this exit code, `None` if a signal ended it. The message has at most `longest` bytes.
    #[must_use]
    pub fn of_program(code: Option<i32>, output: &[u8], longest: usize) -> Self {
        let status = match code {
            Some(0) => CheckStatus::Ok,
            Some(1) => CheckStatus::Problem,
            _ => CheckStatus::Unknown,
        };
        let text = String::from_utf8_lossy(output);
        let text = text.trim();
        let Some(line) = Line::find(text) else { return Self::new(status, cut(text, longest)) };
        let mut labels = Fields::none();
        for (name, value) in line.labels.into_iter().filter(|(name, _)| is_name(name)).take(LABELS_MAX) {
            labels.add(name, cut(&value, VALUE_MAX));
        }
        Self {
            // A program that crashed after it wrote the line has not finished its work.
            status: if status == CheckStatus::Unknown { status } else { line.status.unwrap_or(status) },
            message: cut(line.message.unwrap_or_default().trim(), longest).to_owned(),
            reason: line.reason.filter(|reason| is_reason(reason)),
            labels,
        }
    }
}

// === impl CheckStatus ===

impl CheckStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Unknown, Self::Problem];
}

// === impl RunKind ===

impl RunKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Ok, Self::Problem, Self::Unknown, Self::Timeout, Self::Error, Self::Refused, Self::Stuck];

    /// The label value of the metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Problem => "problem",
            Self::Unknown => "unknown",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::Stuck => "stuck",
        }
    }

    /// The reason of a status that is unknown because of it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ok | Self::Problem | Self::Unknown => UNKNOWN,
            Self::Timeout => "CheckTimeout",
            Self::Error => "CheckError",
            Self::Refused => "CheckRefused",
            Self::Stuck => "CheckStuck",
        }
    }

    /// Whether the check did not even run, or never ends.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Error | Self::Refused | Self::Stuck)
    }
}

/// The reason of an unknown status if the check gives none.
pub const UNKNOWN: &str = "CheckUnknown";

// === impl Line ===

impl Line {
    /// The last line of a text, if it is such a line. Other JSON is ordinary text.
    fn find(text: &str) -> Option<Self> {
        let last = text.lines().next_back()?.trim();
        if !last.starts_with('{') {
            return None;
        }
        let line: Self = serde_json::from_str(last).ok()?;
        (line.status.is_some() || line.reason.is_some() || line.message.is_some()).then_some(line)
    }
}

fn is_name(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic());
    first && name.len() <= NAME_MAX && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

fn is_reason(reason: &str) -> bool {
    let first = reason.starts_with(|c: char| c.is_ascii_alphabetic());
    first && reason.len() <= REASON_MAX && reason.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(code: i32, output: &str) -> (CheckStatus, String, Option<String>, String) {
        let Outcome { status, message, reason, labels } = Outcome::of_program(Some(code), output.as_bytes(), 80);
        (status, message, reason, labels.to_string())
    }

    /// node-problem-detector, pkg/custompluginmonitor/plugin/plugin.go, `run`: exit code 0 is OK, 1 is NonOK, any other, also
    /// the -1 of a process that a signal ended, is Unknown.
    #[test]
    fn the_exit_code_is_the_status() {
        assert_eq!(Outcome::of_program(Some(0), b"", 80).status, CheckStatus::Ok);
        assert_eq!(Outcome::of_program(Some(1), b"", 80).status, CheckStatus::Problem);
        for code in (2..=255).map(Some).chain([None]) {
            assert_eq!(Outcome::of_program(code, b"", 80).status, CheckStatus::Unknown, "{code:?}");
        }
    }

    #[test]
    fn the_output_without_white_space_around_it_is_the_message() {
        assert_eq!(Outcome::of_program(Some(1), b" \n two\nlines\t\n\n", 80).message, "two\nlines");
    }

    #[test]
    fn a_message_is_cut_between_characters_and_never_longer_than_asked_for() {
        assert_eq!(Outcome::of_program(Some(1), &[b'x'; 5000], 80).message, "x".repeat(80));
        for longest in 0..20 {
            let message = Outcome::of_program(Some(1), "aé世🦀é世🦀".as_bytes(), longest).message;
            assert!(message.len() <= longest && "aé世🦀é世🦀".starts_with(&message), "{longest}: {message}");
        }
        let binary: Vec<u8> = (0..=255).cycle().take(3000).collect();
        assert!(Outcome::of_program(Some(1), &binary, 80).message.len() <= 80);
    }

    #[test]
    fn a_line_of_json_overrides_the_exit_code() {
        let line = r#"{"status": "problem", "reason": "DiskGone", "message": "sda is gone", "labels": {"dev": "sda"}}"#;
        let expected = (CheckStatus::Problem, "sda is gone".into(), Some("DiskGone".into()), "dev=sda".into());
        assert_eq!(result(0, line), expected);
        assert_eq!(result(1, &format!("some remarks\n{line}\n")), expected, "the last line counts");
        assert_eq!(result(1, r#"{"message": "m"}"#).0, CheckStatus::Problem, "without a status the exit code counts");
        assert_eq!(result(1, r#"{"status": "ok"}"#).0, CheckStatus::Ok);
        assert_eq!(result(0, r#"{"status": "unknown", "reason": "NoDriver"}"#).2, Some("NoDriver".into()));
    }

    #[test]
    fn a_crash_after_the_line_makes_the_status_unknown() {
        let line = br#"{"status": "ok", "message": "fine"}"#;
        for code in [Some(2), Some(139), None] {
            assert_eq!(Outcome::of_program(code, line, 80).status, CheckStatus::Unknown);
        }
    }

    #[test]
    fn other_json_is_ordinary_text() {
        for text in [r#"{"ok": true}"#, "{", r#"{"status": "fine"}"#, r#"{"message": 7}"#, "[1]", "{}"] {
            assert_eq!(result(1, text), (CheckStatus::Problem, text.into(), None, String::new()), "{text}");
        }
    }

    #[test]
    fn the_content_of_a_line_is_bounded() {
        let long = "x".repeat(300);
        let labels: BTreeMap<_, _> = (0..50).map(|i| (format!("l{i}"), long.clone())).collect();
        let line = serde_json::json!({"reason": "no word", "message": long, "labels": labels}).to_string();
        let outcome = Outcome::of_program(Some(1), line.as_bytes(), 80);
        assert_eq!((outcome.reason, outcome.message.len(), outcome.labels.iter().count()), (None, 80, LABELS_MAX));
        assert!(outcome.labels.iter().all(|(_, value)| value.len() == VALUE_MAX));
        for reason in ["", "9Lives", "Bad\nReason", "ÄÖ", &"R".repeat(129)] {
            assert!(!is_reason(reason), "{reason}");
        }
    }
}
