//! What is wrong with a configuration, and what is only suspicious, each with its location.

mod words;

use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use self::words::{Chain, DidYouMean, Excerpt, OneLine, Quoted, QuotedList, RuleKind, Suggestion, TypeIs};
use crate::{
    feature::NotBuilt,
    go::{
        duration::DurationError,
        json::{Kind, Member, Position, Value},
    },
    rules::{PatternError, TemplateError},
};

/// Everything that is wrong with the configuration files; npd does not start if there is any.
///
/// Displays one error per line.
#[derive(Debug)]
pub struct ConfigErrors {
    /// The errors, file by file in the order of the command line, within a file from top to bottom.
    pub errors: Vec<ConfigError>,
    /// The warnings of the same files; often the cause of an error, such as a misspelt key.
    pub warnings: Vec<Warning>,
}

/// One error. Displays on one line as `file:line:column: /json/pointer: what is wrong, what is allowed`.
#[derive(Debug)]
pub struct ConfigError {
    /// The file, as named on the command line.
    pub file: PathBuf,
    /// Where in the file; `None` if it could not be read at all.
    pub location: Option<Location>,
    /// What is wrong.
    pub problem: Problem,
}

/// Something that node-problem-detector accepts silently and that is probably a mistake. Displayed like an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file, as named on the command line.
    pub file: PathBuf,
    /// Where in the file; `None` if it is about the file as a whole.
    pub location: Option<Location>,
    /// What is suspicious.
    pub notice: Notice,
}

/// A position in a file, as line and column and as a pointer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Line and column.
    pub position: Position,
    /// The RFC 6901 pointer; empty for the file's whole value and for syntax errors.
    pub pointer: String,
}

/// The kinds of errors.
///
/// The causes are part of the text, not sources: each error is one finished line.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Opening or reading failed.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// Reading anything else could hang or never end.
    #[error("is {0}, must be a regular file")]
    NotAFile(&'static str),
    /// A bound on memory.
    #[error("is larger than {} MiB, the maximum for a configuration file", .0 >> 20)]
    TooLarge(u64),
    /// It is not JSON.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// A value of the wrong type.
    #[error("is {got}, must be {want}")]
    Mismatch {
        /// The type that is expected.
        want: &'static str,
        /// What was found instead.
        got: String,
    },
    /// A number that Go does not read as a 64-bit integer.
    #[error("{} is not an integer, allowed: 64-bit integers without fraction or exponent", Excerpt(.0))]
    Integer(String),
    /// Null in an array of objects. An empty rule would match every line.
    #[error("is null, must be {0}")]
    Null(&'static str),
    /// This build lacks a feature that the file needs.
    #[error(transparent)]
    NotBuilt(NotBuilt),
    /// No plugin is named.
    #[error("\"plugin\" is missing, allowed: {}", QuotedList(.0))]
    PluginMissing(&'static [&'static str]),
    /// An unknown plugin.
    #[error("unknown plugin {}, allowed: {}", Quoted(.plugin), QuotedList(.allowed))]
    PluginUnknown {
        /// The plugin.
        plugin: String,
        /// The plugins that exist.
        allowed: &'static [&'static str],
    },
    /// The file belongs to another monitor.
    #[error("plugin {} belongs in a {flag} file, allowed: {}", Quoted(.plugin), QuotedList(.allowed))]
    PluginElsewhere {
        /// The plugin.
        plugin: String,
        /// The flag the file should be given to.
        flag: &'static str,
        /// The plugins that exist.
        allowed: &'static [&'static str],
    },
    /// Not a duration; the text is Go's.
    #[error("{0}, allowed: Go durations such as 300ms, 5m or 1h30m")]
    Duration(DurationError),
    /// Not a time as Go reads RFC 3339.
    #[error("{} is not a time, allowed: RFC 3339 times such as 2026-01-31T08:00:00Z", Excerpt(.0))]
    Time(String),
    /// Too few or too many lines.
    #[error("a buffer of {lines} lines is not valid, allowed: 1 to {most} lines (0 means {default})")]
    BufferSize {
        /// The number requested.
        lines: i64,
        /// The default.
        default: usize,
        /// The maximum.
        most: usize,
    },
    /// A condition without a name.
    #[error("the condition has no type, set one such as \"KernelDeadlock\"")]
    ConditionUntyped,
    /// Two declarations of a condition that disagree about its healthy state.
    #[error("condition {} is already declared at {first} with a different reason or message, only one declaration is allowed", Quoted(.kind))]
    ConditionTwice {
        /// The condition's type.
        kind: String,
        /// Where it was declared before.
        first: Position,
    },
    /// A permanent rule whose condition does not exist.
    #[error("{} condition {} is not declared under \"conditions\", {declared}", RuleKind(.rule), Quoted(.condition))]
    ConditionUndeclared {
        /// The rule's type.
        rule: String,
        /// The condition it names.
        condition: String,
        /// What is declared.
        declared: KnownNames,
    },
    /// Not usable as a label of a metric.
    #[error(
        "{} cannot be used as a metric label, allowed: at most 255 printable ASCII characters (anything with \"metricsReporting\": false)",
        Excerpt(.0)
    )]
    Label(String),
    /// Not a regular expression.
    #[error("{}", Chain(.0))]
    Pattern(PatternError),
    /// A rule without a program to run.
    #[error("\"path\" is missing, the rule needs a program to run")]
    NoPluginPath,
    /// A key that only rules of the other plugin have.
    #[error("\"{key}\" is only allowed with \"plugin\": \"{plugin}\", use \"{instead}\" here")]
    PluginKey {
        /// The key.
        key: &'static str,
        /// The plugin that it belongs to.
        plugin: &'static str,
        /// The key to use instead.
        instead: &'static str,
    },
    /// A built-in check that does not exist, or arguments that it does not accept.
    #[error("{0}")]
    BuiltIn(String),
    /// Neither a path nor an argument of execve(2) can contain a NUL.
    #[error("the path or an argument contains a NUL character, which cannot be passed to a program")]
    PluginNul,
    /// A value out of range.
    #[error("{} is not valid, allowed: {allowed}", Excerpt(.value))]
    Value {
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A log file without a name.
    #[error("\"logPath\" is missing, plugin \"filelog\" needs the path of the log file")]
    NoLogPath,
    /// Without a filter the rules would see every entry of the journal.
    #[error("\"pluginConfig\" has no \"source\", \"unit\" or \"transport\", plugin \"journald\" needs one of them")]
    NoJournalSource,
    /// A timestamp that can be found but not parsed, or parsed but not found.
    #[error("\"{missing}\" is missing, \"timestamp\" and \"timestampFormat\" must be given together")]
    HalfTimestamp {
        /// The missing half.
        missing: &'static str,
    },
    /// A layout without any field.
    #[error("{} is not a time layout, allowed: Go layouts, which write Mon Jan 2 15:04:05 MST 2006 the way the log does", Quoted(.0))]
    Layout(String),
    /// An event is over at once, so it cannot be cleared.
    #[error("a temporary rule has nothing to clear, \"{0}\" is only for permanent rules")]
    TemporaryRecovery(&'static str),
    /// Not a message template.
    #[error("{0}, allowed: ${{name}} and $$")]
    Template(TemplateError),
    /// A name that is neither a group of the pattern nor a field of the record.
    #[error("{} is neither a named group of the pattern nor a field of the record, {known}", Quoted(.name))]
    UnknownName {
        /// The name.
        name: String,
        /// The names that exist.
        known: KnownNames,
    },
    /// A metric that needs a name and has none.
    #[error("metric \"{0}\" has no \"displayName\", set one such as \"{0}\"")]
    MetricUnnamed(&'static str),
    /// Two metrics that Prometheus could not distinguish.
    #[error("{} is already the name of metric \"{of}\", each metric needs its own name", Quoted(.name))]
    MetricTwice {
        /// The name.
        name: String,
        /// The other metric, and its file if that is a different one.
        of: String,
    },
    /// A name in the namespace of npd's own metrics.
    #[error("{} is reserved for npd, allowed: names that do not begin with npd_", Quoted(.0))]
    MetricReserved(String),
    /// No threshold, or both.
    #[error("an alert needs either \"above\" or \"below\"")]
    AlertBound,
    /// An event that could not be distinguished from others.
    #[error("the alert has no reason, set one such as \"MemoryPressure\"")]
    AlertReason,
    /// A label that the metric does not have.
    #[error("metric \"{metric}\" has no label {}, {known}", Quoted(.name))]
    UnknownLabel {
        /// The label.
        name: String,
        /// The metric.
        metric: &'static str,
        /// The labels it has.
        known: KnownNames,
    },
    /// A recheck without a subject to ask about.
    #[error("recheck \"{what}\" needs a subject, add a group (?P<{subject}>…) to the pattern")]
    RecheckSubject {
        /// The question.
        what: &'static str,
        /// The name of the group.
        subject: &'static str,
    },
}

/// The kinds of warnings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// One path given twice.
    #[error("is given more than once, it is loaded only once")]
    FileTwice,
    /// A log monitor among the custom plugin monitors.
    #[error("is a log monitor and is loaded as one; use --config.system-log-monitor for it")]
    LogMonitor,
    /// A key that is not used.
    #[error("unknown key {} is ignored{}", Quoted(.key), Suggestion(*.nearest, .known))]
    UnknownKey {
        /// The key.
        key: String,
        /// The closest known name, if any is close.
        nearest: Option<&'static str>,
        /// All known keys.
        known: &'static [&'static str],
    },
    /// A metric that does not exist.
    #[error("unknown metric {} in \"{section}\" is ignored{}", Quoted(.id), DidYouMean(*.nearest))]
    UnknownMetric {
        /// Its id.
        id: String,
        /// The section it was found in.
        section: &'static str,
        /// The closest known name, if any is close.
        nearest: Option<&'static str>,
    },
    /// A metric without a name is not exported.
    #[error("the metric has no \"displayName\" and is not measured")]
    MetricUnnamed,
    /// All foreign modules count as unknown then.
    #[error("no kernel module is known, {} {why}", .file.display())]
    KnownModules {
        /// The file that should list them.
        file: PathBuf,
        /// Why it does not.
        why: String,
    },
    /// One key twice in an object.
    #[error("key {} was already given at {first}; the later of two scalars wins, arrays and objects are merged", Quoted(.key))]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it was given first.
        first: Position,
    },
    /// A setting that the plugin does not use.
    #[error("\"{key}\" has no effect with plugin \"{plugin}\"")]
    NoEffect {
        /// The setting.
        key: &'static str,
        /// The plugin.
        plugin: &'static str,
    },
    /// A rule type other than the two.
    #[error("{} neither \"temporary\" nor \"permanent\" and counts as permanent", TypeIs(.0))]
    RuleType(String),
    /// A pattern that matches every line.
    #[error("the rule has no pattern and matches every line")]
    MatchesEveryLine,
    /// A pattern that can match at most the very first line.
    #[error(
        "^ matches only at the start of the {lines}-line buffer, so the pattern never matches, use (?m)^ for the start of a line"
    )]
    NeverMatches {
        /// The size of the buffer.
        lines: NonZeroUsize,
    },
    /// Events that could not be distinguished from others.
    #[error("the rule has no reason, its events and metrics will have an empty one")]
    NoReason,
    /// A condition in a temporary rule; events do not set conditions.
    #[error("a temporary rule sets no condition, {} is ignored", Quoted(.0))]
    TemporaryCondition(String),
    /// The same declaration twice.
    #[error("condition {} is already declared at {first} with the same reason and message, this one is ignored", Quoted(.kind))]
    ConditionRepeated {
        /// The condition's type.
        kind: String,
        /// Where it was declared before.
        first: Position,
    },
    /// A condition changes only once, so there are no repeats to fold.
    #[error("repeats of a permanent rule change nothing, \"foldWithin\" has no effect here")]
    PermanentFold,
    /// The age of a line is unknown.
    #[error("lines without \"timestamp\" have no age, \"lookback\" has no effect and the file is read from its end")]
    LookbackWithoutTime,
    /// The program may exist by the time it is run, or on the node.
    #[error("there is no program {} here{}", Quoted(.0), if .0.starts_with('/') { "" } else { "; a relative path is looked up in the agent's working directory" })]
    NoProgram(String),
    /// A condition that can never become true.
    #[error("no rule sets condition {}, it will always be False", Quoted(.0))]
    ConditionUnused(String),
}

/// The names that an error lists as known, such as the declared conditions: the first few and how many more there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNames {
    first: Vec<String>,
    more: usize,
}

/// The errors and warnings of one file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Vec<(Location, Problem)>,
    warnings: Vec<(Location, Notice)>,
}

// === impl Findings ===

impl Findings {
    /// Adds an error at `value`.
    pub(super) fn error(&mut self, value: Value<'_>, problem: Problem) {
        self.errors.push((Location::of(value), problem));
    }

    /// Adds a warning at `value`.
    pub(super) fn notice(&mut self, value: Value<'_>, notice: Notice) {
        self.warnings.push((Location::of(value), notice));
    }

    /// Adds a warning about a key.
    pub(super) fn notice_at_key(&mut self, member: Member<'_>, notice: Notice) {
        let location = Location { position: member.position, pointer: member.value.pointer() };
        self.warnings.push((location, notice));
    }

    /// Whether there is any error.
    pub(super) fn is_fatal(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The errors and warnings of `file`, in the order of its text.
    pub(super) fn finish(mut self, file: &Path) -> (Vec<ConfigError>, Vec<Warning>) {
        self.errors.sort_by_key(|(location, _)| location.position);
        self.warnings.sort_by_key(|(location, _)| location.position);
        let error = |(location, problem)| ConfigError { file: file.to_owned(), location: Some(location), problem };
        let warning = |(location, notice)| Warning { file: file.to_owned(), location: Some(location), notice };
        (self.errors.into_iter().map(error).collect(), self.warnings.into_iter().map(warning).collect())
    }
}

// === impl Location ===

impl Location {
    fn of(value: Value<'_>) -> Self {
        Self { position: value.position(), pointer: value.pointer() }
    }
}

// === impl Problem ===

impl Problem {
    /// Found `got` where `want` was expected.
    pub(super) fn mismatch(want: &'static str, got: Kind<'_>) -> Self {
        let got = match got {
            Kind::Number(spelling) => format!("the number {}", Excerpt(spelling)),
            Kind::String(text) => format!("the string {}", Quoted(text)),
            Kind::Bool(value) => value.to_string(),
            other => other.to_string(),
        };
        Self::Mismatch { want, got }
    }

    /// `value` is outside of `allowed`.
    pub(super) fn value(value: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Self::Value { value: value.to_string(), allowed: allowed.into() }
    }
}

// === impl KnownNames ===

impl KnownNames {
    /// Maximum number of names an error lists.
    const SHOWN: usize = 10;

    /// From all names, in the order of the file.
    pub(super) fn new<'a>(kinds: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let more = kinds.len().saturating_sub(Self::SHOWN);
        Self { first: kinds.take(Self::SHOWN).map(str::to_owned).collect(), more }
    }
}

impl fmt::Display for KnownNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first.is_empty() {
            return f.write_str("known: none");
        }
        f.write_str("known: ")?;
        for (i, kind) in self.first.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { ", " }, Quoted(kind))?;
        }
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        Ok(())
    }
}

// === impl ConfigErrors ===

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, &self.file, self.location.as_ref(), &self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, &self.file, self.location.as_ref(), &self.notice)
    }
}

fn write_line(
    f: &mut fmt::Formatter<'_>,
    file: &Path,
    location: Option<&Location>,
    what: &dyn fmt::Display,
) -> fmt::Result {
    use fmt::Write as _;

    let mut line = OneLine(f);
    write!(line, "{}", file.display())?;
    if let Some(location) = location {
        write!(line, ":{}", location.position)?;
        if !location.pointer.is_empty() {
            write!(line, ": {}", location.pointer)?;
        }
    }
    write!(line, ": {what}")
}
