//! The keys of a custom plugin monitor's file, and what the file says: typed, but not checked.

use super::{
    DEFAULT_CONCURRENCY, DEFAULT_INTERVAL, DEFAULT_OUTPUT_LENGTH, DEFAULT_TIMEOUT, LEAST_INTERVAL, LEAST_TIMEOUT,
    MAX_CONCURRENCY, MAX_OUTPUT_LENGTH,
};
use crate::{
    config::{
        decode::{Field, List, Optional},
        key::{Absent, Shape, TEXT, Words, keys},
        monitor_kind::{HEALTH, PLUGIN as PROGRAMS},
        system_log::{CONDITION, MAX_LABEL, raw::RawCondition},
    },
    health::built_in::CHECKS,
};

keys! {
    /// The whole file.
    pub(super) struct RawCustomPlugin<'d>, CUSTOM_PLUGIN = "CustomPluginMonitor",
        "A custom plugin monitor of npd or node-problem-detector";

    plugin: Field<'d, &'d str> = "plugin" Shared, Shape::Word(&PLUGIN), Absent::Refused,
        "The kind of plugin";
    settings: RawSettings<'d> = "pluginConfig" Shared, Shape::Object(&SETTINGS), Absent::Other("`{}`"),
        "Settings for all rules";
    source: Field<'d, &'d str> = "source" Shared, TEXT, Absent::Text(""),
        "The monitor's name in events and logs";
    conditions: List<'d, RawCondition<'d>> = "conditions" Shared, Shape::Objects(&CONDITION), Absent::Empty,
        "The conditions that the rules set, as for system log monitors";
    rules: List<'d, RawRule<'d>> = "rules" Shared, Shape::Objects(&RULE), Absent::Empty,
        "What to run";
    metrics_reporting: Optional<'d, bool> = "metricsReporting" Shared, Shape::Flag, Absent::Flag(true),
        "Whether `problem_counter` and `problem_gauge` count this monitor's problems";
}

keys! {
    /// `pluginConfig`.
    pub(super) struct RawSettings<'d>, SETTINGS = "PluginConfig",
        "Settings for all rules";

    invoke_interval: Optional<'d, &'d str> = "invoke_interval" Shared, Shape::Duration { least: Some(LEAST_INTERVAL) }, Absent::Duration(DEFAULT_INTERVAL),
        "The time from the start of one run of a rule to the start of the next";
    timeout: Optional<'d, &'d str> = "timeout" Shared, Shape::Duration { least: Some(LEAST_TIMEOUT) }, Absent::Duration(DEFAULT_TIMEOUT),
        "How long a run may take";
    max_output_length: Optional<'d, i64> = "max_output_length" Shared, Shape::Integer { least: 0, most: MAX_OUTPUT_LENGTH }, Absent::Integer(DEFAULT_OUTPUT_LENGTH),
        "How many bytes of a plugin's output become a message (no character is cut in two)";
    concurrency: Optional<'d, i64> = "concurrency" Shared, Shape::Integer { least: 1, most: MAX_CONCURRENCY }, Absent::Integer(DEFAULT_CONCURRENCY.get()),
        "How many rules run at the same time";
    message_changes: Optional<'d, bool> = "enable_message_change_based_condition_update" Shared, Shape::Flag, Absent::Flag(false),
        "Whether a new message of a condition that is already True is reported";
    skip_initial_status: Optional<'d, bool> = "skip_initial_status" Shared, Shape::Flag, Absent::Flag(false),
        "Whether conditions are not reported before their rules have run";
}

keys! {
    /// One of `rules`.
    pub(super) struct RawRule<'d>, RULE = "PluginRule",
        "What to run, and what its result means";

    kind: Field<'d, &'d str> = "type" Shared, Shape::Word(&RULE_TYPE), Absent::Refused,
        "What a problem does";
    condition: Field<'d, &'d str> = "condition" Shared, TEXT, Absent::Unset,
        "For a permanent rule: the type of a declared condition";
    reason: Field<'d, &'d str> = "reason" Shared, Shape::Text { least: 0, most: Some(MAX_LABEL) }, Absent::Refused,
        "The reason of the event and of the condition, in printable ASCII";
    path: Field<'d, &'d str> = "path" Shared, Shape::Text { least: 1, most: None }, Absent::Unset,
        "For `custom`: the program, run without a shell. A relative path is looked up in npd's working directory";
    check: Field<'d, &'d str> = "check" Own, Shape::Word(&HEALTH_CHECK), Absent::Unset,
        "For `health`: the check, instead of `path`";
    args: List<'d, Field<'d, &'d str>> = "args" Shared, Shape::Texts { most: None }, Absent::Empty,
        "The arguments of the program or check";
    timeout: Optional<'d, &'d str> = "timeout" Shared, Shape::Duration { least: Some(LEAST_TIMEOUT) }, Absent::Other("`pluginConfig.timeout`"),
        "How long a run of this rule may take, at most `pluginConfig.timeout`";
    invoke_interval: Optional<'d, &'d str> = "invoke_interval" Shared, Shape::Duration { least: Some(LEAST_INTERVAL) }, Absent::Other("`pluginConfig.invoke_interval`"),
        "The time from the start of one run of this rule to the start of the next";
}

static PLUGIN: Words = Words {
    name: "Plugin",
    words: &[(PROGRAMS, "the rules run programs"), (HEALTH, "the rules name built-in checks of npd")],
};

static RULE_TYPE: Words = Words {
    name: "RuleType",
    words: &[
        ("temporary", "an event at each run that finds the problem"),
        ("permanent", "the condition is True for as long as the problem is found"),
    ],
};

static HEALTH_CHECK: Words = Words { name: "HealthCheck", words: &CHECKS };
