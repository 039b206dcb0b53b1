//! What a system log monitor's file says, typed but not checked.

use crate::{
    config::{
        decode::{Decode, Field, List, Map, Optional, Scalar, object},
        report::{Findings, Problem},
    },
    go::{
        json::{Kind, Value},
        time_layout::is_rfc3339,
    },
};

/// The whole file.
#[derive(Default)]
pub(super) struct RawSystemLog<'d> {
    pub(super) plugin: Field<'d, &'d str>,
    pub(super) plugin_config: Map<'d>,
    pub(super) log_path: Field<'d, &'d str>,
    pub(super) lookback: Field<'d, &'d str>,
    pub(super) delay: Field<'d, &'d str>,
    pub(super) skip_list: List<'d, Field<'d, &'d str>>,
    pub(super) buffer_size: Field<'d, i64>,
    pub(super) source: Field<'d, &'d str>,
    pub(super) conditions: List<'d, RawCondition<'d>>,
    pub(super) rules: List<'d, RawRule<'d>>,
    pub(super) metrics_reporting: Optional<'d, bool>,
    pub(super) fold_within: Field<'d, &'d str>,
}

/// One of `conditions`. Its `status` and `transition` must be well-formed and say nothing.
#[derive(Default)]
pub(in crate::config) struct RawCondition<'d> {
    pub(in crate::config) kind: Field<'d, &'d str>,
    pub(in crate::config) reason: Field<'d, &'d str>,
    pub(in crate::config) message: Field<'d, &'d str>,
}

/// One of `rules`.
#[derive(Default)]
pub(super) struct RawRule<'d> {
    pub(super) kind: Field<'d, &'d str>,
    pub(super) condition: Field<'d, &'d str>,
    pub(super) reason: Field<'d, &'d str>,
    pub(super) pattern: Field<'d, &'d str>,
    pub(super) suffix: Field<'d, &'d str>,
    pub(super) message: Field<'d, &'d str>,
    pub(super) by: List<'d, Field<'d, &'d str>>,
    pub(super) threshold: RawThreshold<'d>,
    pub(super) clear_pattern: Field<'d, &'d str>,
    pub(super) clear_after: Field<'d, &'d str>,
    pub(super) recheck: RawRecheck<'d>,
    pub(super) fold_within: Field<'d, &'d str>,
}

/// A rule's `threshold`.
#[derive(Default)]
pub(super) struct RawThreshold<'d> {
    /// Where it stands; nothing when there is none.
    pub(super) at: Option<Value<'d>>,
    pub(super) count: Field<'d, i64>,
    pub(super) window: Field<'d, &'d str>,
}

/// A rule's `recheck`.
#[derive(Default)]
pub(super) struct RawRecheck<'d> {
    /// Where it stands; nothing when there is none.
    pub(super) at: Option<Value<'d>>,
    pub(super) what: Field<'d, &'d str>,
    pub(super) every: Field<'d, &'d str>,
}

/// A time that only has to be one.
#[derive(Clone, Copy, Default)]
struct Time;

/// The keys of a file. Those after `metricsReporting` are not node-problem-detector's.
pub const KEYS: &[&str] = &[
    "plugin",
    "pluginConfig",
    "logPath",
    "lookback",
    "delay",
    "skipList",
    "bufferSize",
    "source",
    "conditions",
    "rules",
    "metricsReporting",
    "foldWithin",
];

/// The keys of a condition.
pub const CONDITION_KEYS: &[&str] = &["type", "status", "transition", "reason", "message"];

/// The keys of a rule. Those after `patternGeneratedMessageSuffix` are not node-problem-detector's.
pub const RULE_KEYS: &[&str] = &[
    "type",
    "condition",
    "reason",
    "pattern",
    "patternGeneratedMessageSuffix",
    "message",
    "by",
    "threshold",
    "clearPattern",
    "clearAfter",
    "recheck",
    "foldWithin",
];

/// The keys of a rule's `threshold`.
pub const THRESHOLD_KEYS: &[&str] = &["count", "window"];

/// The keys of a rule's `recheck`.
pub const RECHECK_KEYS: &[&str] = &["what", "every"];

impl<'d> Decode<'d> for RawSystemLog<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        object(value, KEYS, findings, |key, value, findings| match key {
            "plugin" => self.plugin.decode(value, findings),
            "pluginConfig" => self.plugin_config.decode(value, findings),
            "logPath" => self.log_path.decode(value, findings),
            "lookback" => self.lookback.decode(value, findings),
            "delay" => self.delay.decode(value, findings),
            "skipList" => self.skip_list.decode(value, findings),
            "bufferSize" => self.buffer_size.decode(value, findings),
            "source" => self.source.decode(value, findings),
            "conditions" => self.conditions.decode(value, findings),
            "rules" => self.rules.decode(value, findings),
            "metricsReporting" => self.metrics_reporting.decode(value, findings),
            "foldWithin" => self.fold_within.decode(value, findings),
            _ => true,
        })
    }
}

impl<'d> Decode<'d> for RawCondition<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        object(value, CONDITION_KEYS, findings, |key, value, findings| match key {
            "type" => self.kind.decode(value, findings),
            "status" => Field::<&str>::Absent.decode(value, findings),
            "transition" => Field::<Time>::Absent.decode(value, findings),
            "reason" => self.reason.decode(value, findings),
            "message" => self.message.decode(value, findings),
            _ => true,
        })
    }
}

impl<'d> Decode<'d> for RawRule<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        object(value, RULE_KEYS, findings, |key, value, findings| match key {
            "type" => self.kind.decode(value, findings),
            "condition" => self.condition.decode(value, findings),
            "reason" => self.reason.decode(value, findings),
            "pattern" => self.pattern.decode(value, findings),
            "patternGeneratedMessageSuffix" => self.suffix.decode(value, findings),
            "message" => self.message.decode(value, findings),
            "by" => self.by.decode(value, findings),
            "threshold" => self.threshold.decode(value, findings),
            "clearPattern" => self.clear_pattern.decode(value, findings),
            "clearAfter" => self.clear_after.decode(value, findings),
            "recheck" => self.recheck.decode(value, findings),
            "foldWithin" => self.fold_within.decode(value, findings),
            _ => true,
        })
    }
}

impl<'d> Decode<'d> for RawThreshold<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        self.at = (value.kind() == Kind::Object).then_some(value);
        object(value, THRESHOLD_KEYS, findings, |key, value, findings| match key {
            "count" => self.count.decode(value, findings),
            "window" => self.window.decode(value, findings),
            _ => true,
        })
    }
}

impl<'d> Decode<'d> for RawRecheck<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        self.at = (value.kind() == Kind::Object).then_some(value);
        object(value, RECHECK_KEYS, findings, |key, value, findings| match key {
            "what" => self.what.decode(value, findings),
            "every" => self.every.decode(value, findings),
            _ => true,
        })
    }
}

impl Scalar<'_> for Time {
    fn read(value: Value<'_>) -> Result<Self, Problem> {
        let Kind::String(text) = value.kind() else {
            return Err(Problem::mismatch("a string with a time", value.kind()));
        };
        // Go reads the bytes between the quotes and does not undo escapes here.
        let spelling = value.spelling();
        let inside = spelling.get(1..spelling.len().saturating_sub(1)).unwrap_or_default();
        if str::from_utf8(inside).is_ok_and(is_rfc3339) { Ok(Self) } else { Err(Problem::Time(text.to_owned())) }
    }
}
