//! What a replay prints: JSON with one match per line, or text for people.

use std::io::{self, Write};

use serde::Serialize;

use super::Replayed;
use crate::{
    config::{ConditionDefinition, Effect, Rule as RuleConfig},
    monitor::system_log::{self, Matched},
    problem::{Condition, Severity, Status},
    time::Timestamp,
};

/// The writer of the results.
pub(crate) struct Output<'w> {
    out: &'w mut dyn Write,
    json: bool,
    matches: u64,
}

/// What is printed about a rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    temporary: bool,
    reason: String,
    condition: Option<String>,
}

/// What a monitor found in one record.
#[derive(Default)]
pub(crate) struct Findings {
    matches: Vec<(usize, Timestamp, String)>,
    statuses: Vec<Status>,
    suppressed: Vec<String>,
}

#[derive(Serialize)]
struct Match<'a> {
    line: u64,
    source: &'a str,
    rule: usize,
    #[serde(rename = "type")]
    kind: &'a str,
    reason: &'a str,
    condition: Option<&'a str>,
    timestamp: Option<Timestamp>,
    message: &'a str,
}

// === impl Findings ===

impl system_log::Findings for Findings {
    fn matched(&mut self, rule: &Matched<'_>) {
        self.matches.push((rule.rule, rule.timestamp, rule.message.to_owned()));
    }

    fn status(&mut self, status: Status) {
        self.statuses.push(status);
    }

    fn suppressed(&mut self, reason: &str) {
        self.suppressed.push(reason.to_owned());
    }
}

// === impl Rule ===

impl Rule {
    pub(crate) fn new(rule: &RuleConfig, conditions: &[ConditionDefinition]) -> Self {
        let condition = match rule.effect {
            Effect::Temporary => None,
            Effect::Permanent { condition } => conditions.get(condition).map(|condition| condition.kind.to_string()),
        };
        Self { temporary: rule.effect == Effect::Temporary, reason: rule.reason.to_string(), condition }
    }

    fn kind(&self) -> &'static str {
        if self.temporary { "temporary" } else { "permanent" }
    }
}

// === impl Output ===

impl<'w> Output<'w> {
    pub(crate) fn new(out: &'w mut dyn Write, json: bool) -> Self {
        Self { out, json, matches: 0 }
    }

    pub(crate) fn matches(&self) -> u64 {
        self.matches
    }

    /// Prints what was found in the record on `line`.
    pub(crate) fn findings(
        &mut self,
        line: u64,
        source: &str,
        rules: &[Rule],
        findings: &Findings,
        known_time: bool,
    ) -> io::Result<()> {
        for (index, at, message) in &findings.matches {
            let Some(rule) = rules.get(*index) else { continue };
            self.matches += 1;
            if self.json {
                let found = Match {
                    line,
                    source,
                    rule: *index,
                    kind: rule.kind(),
                    reason: &rule.reason,
                    condition: rule.condition.as_deref(),
                    timestamp: known_time.then_some(*at),
                    message,
                };
                serde_json::to_writer(&mut *self.out, &found)?;
                writeln!(self.out)?;
            } else {
                let time = if known_time { format!(" {at}") } else { String::new() };
                let (kind, reason) = (rule.kind(), &rule.reason);
                writeln!(self.out, "line {line}:{time} {source} rule {index} ({kind} {reason}): {message:?}")?;
            }
        }
        if self.json {
            return Ok(());
        }
        for event in findings.statuses.iter().flat_map(|status| &status.events) {
            let kind = match event.severity {
                Severity::Warn => "Warning",
                Severity::Info => "Normal",
            };
            writeln!(self.out, "    event {kind} {}: {}", event.reason, event.message)?;
        }
        for reason in &findings.suppressed {
            writeln!(self.out, "    folded into an earlier {reason}")?;
        }
        Ok(())
    }

    /// Prints the conditions at the end of the log.
    pub(crate) fn conditions(&mut self, source: &str, conditions: &[Condition]) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        for Condition { kind, status, reason, message, .. } in conditions {
            writeln!(self.out, "{source}: condition {kind} is {status}, reason {reason}: {message:?}")?;
        }
        Ok(())
    }

    /// Prints the summary line.
    pub(crate) fn summary(&mut self, replayed: &Replayed) -> io::Result<()> {
        if !self.json {
            let Replayed { lines, records, unreadable, matches } = replayed;
            write!(self.out, "{lines} lines, {records} records, {matches} matches")?;
            match unreadable {
                0 => writeln!(self.out)?,
                1 => writeln!(self.out, "; 1 record does not have the expected timestamp or message")?,
                _ => writeln!(self.out, "; {unreadable} records do not have the expected timestamp or message")?,
            }
        }
        self.out.flush()
    }
}
