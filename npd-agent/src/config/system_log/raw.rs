//! The keys of a system log monitor's file, and what the file says: typed, but not checked.

use super::{
    DEFAULT_BUFFER_SIZE, MAX_BUFFER_SIZE, MAX_BY, MAX_COUNT, MAX_LABEL, MIN_COUNT,
    rule::{RECHECK_EVERY, RECHECK_LEAST},
};
use crate::{
    config::{
        decode::{Field, List, Map, Optional, Placed, Scalar},
        key::{Absent, DURATION, Shape, TEXT, Words, keys},
        report::Problem,
    },
    go::{
        json::{Kind, Value},
        time_layout::is_rfc3339,
    },
};

keys! {
    /// The whole file.
    pub(super) struct RawSystemLog<'d>, SYSTEM_LOG = "SystemLogMonitor",
        "A system log monitor of npd or node-problem-detector";

    plugin: Field<'d, &'d str> = "plugin" Shared, Shape::Word(&PLUGIN), Absent::Refused,
        "Where the records come from";
    plugin_config: Map<'d> = "pluginConfig" Shared, Shape::TextMap, Absent::Other("`{}`"),
        "Settings of the plugin. For `filelog`: `timestamp`, `message`, `timestampFormat`; for `journald`: `source`, `unit`, `transport`, `priority`";
    log_path: Field<'d, &'d str> = "logPath" Shared, TEXT, Absent::Text(""),
        "For `filelog`: the log file; for `journald`: the journal's folder, empty for the system's own in /var/log and /run/log";
    lookback: Field<'d, &'d str> = "lookback" Shared, DURATION, Absent::Text("0"),
        "How far back the first start reads; later starts continue where the last one ended";
    delay: Field<'d, &'d str> = "delay" Shared, DURATION, Absent::Text("0"),
        "Records from this first period after boot are ignored";
    skip_list: List<'d, Field<'d, &'d str>> = "skipList" Shared, Shape::Texts { most: None }, Absent::Empty,
        "For `filelog`: lines that contain one of these strings are skipped";
    buffer_size: Field<'d, i64> = "bufferSize" Shared, Shape::Integer { least: 0, most: MAX_BUFFER_SIZE }, Absent::Integer(DEFAULT_BUFFER_SIZE),
        "How many records a pattern may span; 0 means the default";
    source: Field<'d, &'d str> = "source" Shared, TEXT, Absent::Text(""),
        "The monitor's name in events and logs";
    conditions: List<'d, RawCondition<'d>> = "conditions" Shared, Shape::Objects(&CONDITION), Absent::Empty,
        "The conditions that the rules set";
    rules: List<'d, RawRule<'d>> = "rules" Shared, Shape::Objects(&RULE), Absent::Empty,
        "What to look for";
    metrics_reporting: Optional<'d, bool> = "metricsReporting" Shared, Shape::Flag, Absent::Flag(true),
        "Whether `problem_counter` and `problem_gauge` count this monitor's problems";
    fold_within: Field<'d, &'d str> = "foldWithin" Own, DURATION, Absent::Unset,
        "`foldWithin` of all temporary rules that do not have their own";
}

keys! {
    /// One of `conditions`. Its `status` and `transition` must be well-formed and are otherwise ignored.
    pub(in crate::config) struct RawCondition<'d>, CONDITION = "Condition",
        "A condition, as it is while there is no problem";

    kind: Field<'d, &'d str> = "type" Shared, Shape::Text { least: 1, most: Some(MAX_LABEL) }, Absent::Refused,
        "The NodeCondition's type";
    status: Field<'d, &'d str> = "status" Shared, TEXT, Absent::Unset,
        "Must be a string; otherwise ignored";
    transition: Field<'d, Time> = "transition" Shared, TEXT, Absent::Unset,
        "Must be an RFC 3339 time; otherwise ignored";
    reason: Field<'d, &'d str> = "reason" Shared, TEXT, Absent::Text(""),
        "The reason while there is no problem";
    message: Field<'d, &'d str> = "message" Shared, TEXT, Absent::Text(""),
        "The message while there is no problem";
}

keys! {
    /// One of `rules`.
    pub(super) struct RawRule<'d>, RULE = "Rule",
        "What to look for, and what it means";

    kind: Field<'d, &'d str> = "type" Shared, Shape::Word(&RULE_TYPE), Absent::Refused,
        "What a match does";
    condition: Field<'d, &'d str> = "condition" Shared, TEXT, Absent::Unset,
        "For a permanent rule: the type of a declared condition";
    reason: Field<'d, &'d str> = "reason" Shared, Shape::Text { least: 0, most: Some(MAX_LABEL) }, Absent::Refused,
        "The reason of the event and of the condition, in printable ASCII";
    pattern: Field<'d, &'d str> = "pattern" Shared, TEXT, Absent::Refused,
        "A Go (RE2) regular expression that must match to the end of the newest record";
    suffix: Field<'d, &'d str> = "patternGeneratedMessageSuffix" Shared, TEXT, Absent::Text(""),
        "Text appended to the message after `\"; \"`";
    message: Field<'d, &'d str> = "message" Own, TEXT, Absent::Unset,
        "The message, instead of the matched records: `\"disk ${dev} is failing\"`. `${name}` is a named group of the pattern or a field of the record, `$$` a dollar sign";
    by: List<'d, Field<'d, &'d str>> = "by" Own, Shape::Texts { most: Some(MAX_BY) }, Absent::Empty,
        "Names of groups or fields that tell occurrences apart: each occurrence is counted, holds the condition and is cleared by itself";
    threshold: Placed<'d, RawThreshold<'d>> = "threshold" Own, Shape::Object(&THRESHOLD), Absent::Unset,
        "How often the rule must match before it acts: `{\"count\": 5, \"window\": \"20m\"}`";
    clear_pattern: Field<'d, &'d str> = "clearPattern" Own, TEXT, Absent::Unset,
        "The problem is over when a record matches this pattern; with `by`, for the occurrence whose values the record names";
    clear_after: Field<'d, &'d str> = "clearAfter" Own, DURATION, Absent::Unset,
        "The problem is over when the rule has not matched for this long";
    recheck: Placed<'d, RawRecheck<'d>> = "recheck" Own, Shape::Object(&RECHECK), Absent::Unset,
        "The problem is over when the node's own state shows it: `{\"what\": \"mount\", \"every\": \"30s\"}`";
    fold_within: Field<'d, &'d str> = "foldWithin" Own, DURATION, Absent::Unset,
        "For a temporary rule: the first event of a message is reported at once, its repeats within this time are counted and reported as one event";
}

keys! {
    /// A rule's `threshold`.
    pub(super) struct RawThreshold<'d>, THRESHOLD = "Threshold",
        "How often a rule must match within a time before it acts";

    count: Field<'d, i64> = "count" Own, Shape::Integer { least: MIN_COUNT, most: MAX_COUNT }, Absent::Refused,
        "The number of matches";
    window: Field<'d, &'d str> = "window" Own, DURATION, Absent::Refused,
        "The time within which they count";
}

keys! {
    /// A rule's `recheck`.
    pub(super) struct RawRecheck<'d>, RECHECK = "Recheck",
        "Which state of the node shows that the problem is over";

    what: Field<'d, &'d str> = "what" Own, Shape::Word(&RECHECK_KIND), Absent::Refused,
        "What is looked at";
    every: Field<'d, &'d str> = "every" Own, Shape::Duration { least: Some(RECHECK_LEAST) }, Absent::Duration(RECHECK_EVERY),
        "The time between two looks";
}

/// What a log monitor's `plugin` can be.
pub(super) const PLUGINS: [(&str, &str); 3] = [
    ("kmsg", "the kernel log, whichever way it is read"),
    ("filelog", "a log file"),
    ("journald", "systemd's journal"),
];

static PLUGIN: Words = Words { name: "Plugin", words: &PLUGINS };

static RULE_TYPE: Words = Words {
    name: "RuleType",
    words: &[("temporary", "an event at each match"), ("permanent", "the condition becomes True")],
};

static RECHECK_KIND: Words = Words {
    name: "RecheckKind",
    words: &[
        ("mount", "whether the file systems of the block device `dev` are still read-only or shut down"),
        ("task", "whether the task `pid` still hangs"),
        ("interface", "whether the network interface `interface` is still down"),
    ],
};

/// A time that only has to be well-formed.
#[derive(Clone, Copy, Default)]
pub(in crate::config) struct Time;

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
