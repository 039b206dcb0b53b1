//! What is wrong with a configuration, and what is merely odd, each with its place.

mod words;

use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use self::words::{Chain, Excerpt, Listed, Meant, OneLine, Quoted, RuleKind, Suggestion, TypeIs};
use crate::{
    feature::NotBuilt,
    go::{
        duration::DurationError,
        json::{Kind, Member, Position, Value},
    },
    rules::{PatternError, TemplateError},
};

/// Everything that is wrong with the configuration files; npd does not start with any of it.
///
/// Displays one error a line.
#[derive(Debug)]
pub struct ConfigErrors {
    /// The errors, file by file in the order of the command line, within a file from top to bottom.
    pub errors: Vec<ConfigError>,
    /// What was odd besides; often the cause of an error, as a key that is spelt wrong.
    pub warnings: Vec<Warning>,
}

/// One thing that is wrong. Displays on one line as `file:line:column: /json/pointer: what is wrong, what is allowed`.
#[derive(Debug)]
pub struct ConfigError {
    /// The file, as named on the command line.
    pub file: PathBuf,
    /// Where in the file; nothing when it could not be read at all.
    pub place: Option<Place>,
    /// What is wrong.
    pub problem: Problem,
}

/// Something that node-problem-detector takes without a word and that probably is a mistake. Displays as an error does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file, as named on the command line.
    pub file: PathBuf,
    /// Where in the file; nothing when the file as such is meant.
    pub place: Option<Place>,
    /// What is odd.
    pub notice: Notice,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line and column.
    pub position: Position,
    /// The RFC 6901 pointer; empty for the file's whole value and for syntax errors.
    pub pointer: String,
}

/// What can be wrong.
///
/// The causes are part of the text, not sources: each error is one finished line.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Opening or reading failed.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// Reading anything else could hang or never end.
    #[error("is {0}, a configuration must be a regular file")]
    NotAFile(&'static str),
    /// A bound on memory.
    #[error("is larger than {} MiB, the most a configuration may have", .0 >> 20)]
    TooLarge(u64),
    /// It is not JSON.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// A value of another type.
    #[error("is {got}, must be {want}")]
    Mismatch {
        /// What belongs here.
        want: &'static str,
        /// What stands here.
        got: String,
    },
    /// A number that Go does not read as a 64-bit integer.
    #[error("{} is no integer, allowed are digits without fraction and exponent that fit 64 bits", Excerpt(.0))]
    Integer(String),
    /// Null in an array of objects. A rule of nothing would match every line.
    #[error("is null, must be {0}")]
    Null(&'static str),
    /// This build cannot do what the file wants.
    #[error(transparent)]
    NotBuilt(NotBuilt),
    /// No plugin is named.
    #[error("\"plugin\" is missing, allowed is {}", Listed(.0))]
    PluginMissing(&'static [&'static str]),
    /// A plugin nobody knows.
    #[error("unknown plugin {}, allowed is {}", Quoted(.plugin), Listed(.allowed))]
    PluginUnknown {
        /// The plugin.
        plugin: String,
        /// Those there are.
        allowed: &'static [&'static str],
    },
    /// The file belongs to another monitor.
    #[error("plugin {} belongs to a {flag} file, allowed is {}", Quoted(.plugin), Listed(.allowed))]
    PluginElsewhere {
        /// The plugin.
        plugin: String,
        /// The flag the file should be given to.
        flag: &'static str,
        /// Those there are.
        allowed: &'static [&'static str],
    },
    /// Not a duration, in Go's words.
    #[error("{0}, allowed are Go durations such as 300ms, 5m or 1h30m")]
    Duration(DurationError),
    /// Not a time as Go reads RFC 3339.
    #[error("{} is not a time, allowed are RFC 3339 times such as 2026-01-31T08:00:00Z", Excerpt(.0))]
    Time(String),
    /// Too few or too many lines.
    #[error("a buffer of {lines} lines is not possible, allowed are 1 to {most} lines (0 means {default})")]
    BufferSize {
        /// What was asked for.
        lines: i64,
        /// The default.
        default: usize,
        /// The most there can be.
        most: usize,
    },
    /// A condition without a name.
    #[error("the condition has no type, it needs one such as \"KernelDeadlock\"")]
    ConditionUntyped,
    /// One condition with two healthy states.
    #[error("condition {} is declared at {first} with another reason or message, one declaration is allowed", Quoted(.kind))]
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
        declared: Declared,
    },
    /// Not usable as a label of a metric.
    #[error(
        "{} cannot label a metric, allowed are at most 255 printable ASCII characters (anything with \"metricsReporting\": false)",
        Excerpt(.0)
    )]
    Label(String),
    /// Not a regular expression.
    #[error("{}", Chain(.0))]
    Pattern(PatternError),
    /// A rule that has nothing to run.
    #[error("\"path\" is missing, the rule needs a program to run")]
    NoPluginPath,
    /// A key of rules of the other plugin.
    #[error("\"{key}\" is for \"plugin\": \"{plugin}\", here \"{instead}\" says what to run")]
    PluginKey {
        /// The key.
        key: &'static str,
        /// Whose it is.
        plugin: &'static str,
        /// What is to be said instead.
        instead: &'static str,
    },
    /// A check of the agent's own that there is not, or that has no such arguments.
    #[error("{0}")]
    BuiltIn(String),
    /// No program can be told of a NUL.
    #[error("the path or an argument has a NUL character in it, no program can be given one")]
    PluginNul,
    /// A value outside of what is possible.
    #[error("{} is not possible, allowed is {allowed}", Excerpt(.value))]
    Value {
        /// What was given.
        value: String,
        /// What could be.
        allowed: String,
    },
    /// A log file without a name.
    #[error("\"logPath\" is missing, plugin \"filelog\" needs the path of the log file")]
    NoLogPath,
    /// Every entry of the journal.
    #[error("\"pluginConfig\" says no \"source\", \"unit\" or \"transport\", plugin \"journald\" needs one of them")]
    NoJournalSource,
    /// A time that cannot be read, or not be found.
    #[error("\"{missing}\" is missing, \"timestamp\" and \"timestampFormat\" need each other")]
    HalfTimestamp {
        /// The missing half.
        missing: &'static str,
    },
    /// A layout without any field.
    #[error("{} is no time layout, allowed are Go's, which show Mon Jan 2 15:04:05 MST 2006 as the log would", Quoted(.0))]
    Layout(String),
    /// An event is over at once.
    #[error("a temporary rule has nothing to clear, \"{0}\" is for permanent rules")]
    TemporaryRecovery(&'static str),
    /// Not a message template.
    #[error("{0}, allowed are ${{name}} and $$")]
    Template(TemplateError),
    /// A name that is neither a group nor a field.
    #[error("{} is neither a named group of the pattern nor a field of the record, {known}", Quoted(.name))]
    UnknownName {
        /// The name.
        name: String,
        /// The names there are.
        known: Declared,
    },
    /// A metric that has to have a name and has none.
    #[error("metric \"{0}\" has no \"displayName\", it needs one such as \"{0}\"")]
    MetricUnnamed(&'static str),
    /// Two metrics that Prometheus could not tell apart.
    #[error("{} is the name of metric \"{of}\" already, each needs a name of its own", Quoted(.name))]
    MetricTwice {
        /// The name.
        name: String,
        /// The other metric, and its file where that is another.
        of: String,
    },
    /// A name that npd itself uses.
    #[error("{} is a name of npd's own, allowed is any that does not begin with npd_", Quoted(.0))]
    MetricReserved(String),
    /// No threshold, or two.
    #[error("an alert needs either \"above\" or \"below\"")]
    AlertBound,
    /// An event nobody can tell apart.
    #[error("the alert has no reason, it needs one such as \"MemoryPressure\"")]
    AlertReason,
    /// A label that the metric does not have.
    #[error("metric \"{metric}\" has no label {}, {known}", Quoted(.name))]
    UnknownLabel {
        /// The label.
        name: String,
        /// The metric.
        metric: &'static str,
        /// The labels it has.
        known: Declared,
    },
    /// Nobody to ask about.
    #[error("recheck \"{what}\" needs to know which: give the pattern a group (?P<{subject}>…)")]
    RecheckSubject {
        /// The question.
        what: &'static str,
        /// The name of the group.
        subject: &'static str,
    },
}

/// What can be odd.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// One path given twice.
    #[error("is given more than once and loaded once")]
    FileTwice,
    /// A log monitor among the custom plugin monitors.
    #[error("is a log monitor and is used as one; --config.system-log-monitor is its flag")]
    LogMonitor,
    /// A key nobody reads.
    #[error("unknown key {} is ignored{}", Quoted(.key), Suggestion(*.nearest, .known))]
    UnknownKey {
        /// The key.
        key: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
        /// What could be meant.
        known: &'static [&'static str],
    },
    /// A metric nobody measures.
    #[error("there is no metric {} in \"{section}\", it is ignored{}", Quoted(.id), Meant(*.nearest))]
    UnknownMetric {
        /// Its id.
        id: String,
        /// Where it stands.
        section: &'static str,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// A metric without a name is not exported.
    #[error("the metric has no \"displayName\" and is not measured")]
    MetricUnnamed,
    /// All foreign modules are unknown then.
    #[error("no kernel module is known, {} {why}", .file.display())]
    KnownModules {
        /// The file that should say which are.
        file: PathBuf,
        /// Why it does not.
        why: String,
    },
    /// One key twice in an object.
    #[error("key {} was given before at {first}; of two scalars the later counts, arrays and objects are merged", Quoted(.key))]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it was first.
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
    /// A pattern that every line has.
    #[error("the rule has no pattern and matches every line")]
    MatchesEveryLine,
    /// A pattern that holds for no line but the first ever.
    #[error(
        "^ is the start of all {lines} lines of the buffer, so the pattern never matches, (?m)^ is the start of a line"
    )]
    NeverMatches {
        /// The size of the buffer.
        lines: NonZeroUsize,
    },
    /// An event nobody can tell apart.
    #[error("the rule has no reason, its events and metrics will have an empty one")]
    NoReason,
    /// An event does not set conditions.
    #[error("a temporary rule sets no condition, {} is ignored", Quoted(.0))]
    TemporaryCondition(String),
    /// The same declaration twice.
    #[error("condition {} is declared at {first} in the same words, this one is ignored", Quoted(.kind))]
    ConditionRepeated {
        /// The condition's type.
        kind: String,
        /// Where it was declared before.
        first: Position,
    },
    /// A condition changes once; there is nothing to fold.
    #[error("a permanent rule's repeats change nothing, \"foldWithin\" has no effect here")]
    PermanentFold,
    /// Nothing tells how old a line is.
    #[error("lines without \"timestamp\" have no age, \"lookback\" has no effect and the file is read from its end")]
    LookbackWithoutTime,
    /// It may be there when it is to run, or on the node.
    #[error("there is no program {} here; a relative path is looked up in the agent's working directory", Quoted(.0))]
    NoProgram(String),
    /// A condition that cannot become true.
    #[error("no rule sets condition {}, it will always be False", Quoted(.0))]
    ConditionUnused(String),
}

/// The conditions of a file as an error names them: the first few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    first: Vec<String>,
    more: usize,
}

/// What was found in one file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Vec<(Place, Problem)>,
    warnings: Vec<(Place, Notice)>,
}

// === impl Findings ===

impl Findings {
    /// Notes an error at `value`.
    pub(super) fn error(&mut self, value: Value<'_>, problem: Problem) {
        self.errors.push((Place::of(value), problem));
    }

    /// Notes something odd at `value`.
    pub(super) fn notice(&mut self, value: Value<'_>, notice: Notice) {
        self.warnings.push((Place::of(value), notice));
    }

    /// Notes something odd about a key.
    pub(super) fn notice_at_key(&mut self, member: Member<'_>, notice: Notice) {
        let place = Place { position: member.position, pointer: member.value.pointer() };
        self.warnings.push((place, notice));
    }

    /// Whether there is any error.
    pub(super) fn is_fatal(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Everything as the findings of `file`, in the order of the text.
    pub(super) fn finish(mut self, file: &Path) -> (Vec<ConfigError>, Vec<Warning>) {
        self.errors.sort_by_key(|(place, _)| place.position);
        self.warnings.sort_by_key(|(place, _)| place.position);
        let error = |(place, problem)| ConfigError { file: file.to_owned(), place: Some(place), problem };
        let warning = |(place, notice)| Warning { file: file.to_owned(), place: Some(place), notice };
        (self.errors.into_iter().map(error).collect(), self.warnings.into_iter().map(warning).collect())
    }
}

// === impl Place ===

impl Place {
    fn of(value: Value<'_>) -> Self {
        Self { position: value.position(), pointer: value.pointer() }
    }
}

// === impl Problem ===

impl Problem {
    /// `got` stands where `want` belongs.
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

// === impl Declared ===

impl Declared {
    /// How many conditions an error names.
    const SHOWN: usize = 10;

    /// Of all conditions, in the order of the file.
    pub(super) fn new<'a>(kinds: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let more = kinds.len().saturating_sub(Self::SHOWN);
        Self { first: kinds.take(Self::SHOWN).map(str::to_owned).collect(), more }
    }
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first.is_empty() {
            return f.write_str("there are none");
        }
        f.write_str("there is ")?;
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
        write_line(f, &self.file, self.place.as_ref(), &self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, &self.file, self.place.as_ref(), &self.notice)
    }
}

fn write_line(f: &mut fmt::Formatter<'_>, file: &Path, place: Option<&Place>, what: &dyn fmt::Display) -> fmt::Result {
    use fmt::Write as _;

    let mut line = OneLine(f);
    write!(line, "{}", file.display())?;
    if let Some(place) = place {
        write!(line, ":{}", place.position)?;
        if !place.pointer.is_empty() {
            write!(line, ": {}", place.pointer)?;
        }
    }
    write!(line, ": {what}")
}
