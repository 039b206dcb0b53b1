//! What a custom plugin monitor's file says, typed but not checked.

use crate::{
    config::{
        decode::{Decode, Field, List, Optional, object},
        report::Findings,
        system_log::raw::RawCondition,
    },
    go::json::{Kind, Value},
};

/// The whole file.
#[derive(Default)]
pub(super) struct RawCustomPlugin<'d> {
    pub(super) plugin: Field<'d, &'d str>,
    pub(super) settings: RawSettings<'d>,
    pub(super) source: Field<'d, &'d str>,
    pub(super) conditions: List<'d, RawCondition<'d>>,
    pub(super) rules: List<'d, RawRule<'d>>,
    pub(super) metrics_reporting: Optional<'d, bool>,
}

/// `pluginConfig`.
#[derive(Default)]
pub(super) struct RawSettings<'d> {
    /// Where it stands; nothing when there is none.
    pub(super) at: Option<Value<'d>>,
    pub(super) invoke_interval: Optional<'d, &'d str>,
    pub(super) timeout: Optional<'d, &'d str>,
    pub(super) max_output_length: Optional<'d, i64>,
    pub(super) concurrency: Optional<'d, i64>,
    pub(super) message_changes: Optional<'d, bool>,
    pub(super) skip_initial_status: Optional<'d, bool>,
}

/// One of `rules`.
#[derive(Default)]
pub(super) struct RawRule<'d> {
    pub(super) kind: Field<'d, &'d str>,
    pub(super) condition: Field<'d, &'d str>,
    pub(super) reason: Field<'d, &'d str>,
    pub(super) path: Field<'d, &'d str>,
    pub(super) check: Field<'d, &'d str>,
    pub(super) args: List<'d, Field<'d, &'d str>>,
    pub(super) timeout: Optional<'d, &'d str>,
    pub(super) invoke_interval: Optional<'d, &'d str>,
}

/// The keys of a file.
pub const KEYS: &[&str] = &["plugin", "pluginConfig", "source", "conditions", "rules", "metricsReporting"];

/// The keys of `pluginConfig`.
pub const SETTING_KEYS: &[&str] = &[
    "invoke_interval",
    "timeout",
    "max_output_length",
    "concurrency",
    "enable_message_change_based_condition_update",
    "skip_initial_status",
];

/// The keys of a rule.
pub const RULE_KEYS: &[&str] = &["type", "condition", "reason", "path", "check", "args", "timeout", "invoke_interval"];

impl<'d> Decode<'d> for RawCustomPlugin<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        object(value, KEYS, findings, |key, value, findings| match key {
            "plugin" => self.plugin.decode(value, findings),
            "pluginConfig" => self.settings.decode(value, findings),
            "source" => self.source.decode(value, findings),
            "conditions" => self.conditions.decode(value, findings),
            "rules" => self.rules.decode(value, findings),
            "metricsReporting" => self.metrics_reporting.decode(value, findings),
            _ => true,
        })
    }
}

impl<'d> Decode<'d> for RawSettings<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        self.at = (value.kind() == Kind::Object).then_some(value).or(self.at);
        object(value, SETTING_KEYS, findings, |key, value, findings| match key {
            "invoke_interval" => self.invoke_interval.decode(value, findings),
            "timeout" => self.timeout.decode(value, findings),
            "max_output_length" => self.max_output_length.decode(value, findings),
            "concurrency" => self.concurrency.decode(value, findings),
            "enable_message_change_based_condition_update" => self.message_changes.decode(value, findings),
            "skip_initial_status" => self.skip_initial_status.decode(value, findings),
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
            "path" => self.path.decode(value, findings),
            "check" => self.check.decode(value, findings),
            "args" => self.args.decode(value, findings),
            "timeout" => self.timeout.decode(value, findings),
            "invoke_interval" => self.invoke_interval.decode(value, findings),
            _ => true,
        })
    }
}
