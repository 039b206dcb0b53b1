//! npd's own metrics: node-problem-detector's two problem metrics, and what npd reports of its own work.
//!
//! One table says what there is. From each group of rows comes a struct that is registered as a whole by the part of
//! the agent that fills it, so that a page shows only what that agent can measure. A row is filled through a method
//! that takes a value for each label: `metrics.source_up(name).set(1)`. `docs/metrics.md` is written from the same rows.
//!
//! What is measured of the node is in [`metric`](super).

use std::fmt;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// Bounds in seconds: from a script that looks at one file to a check that waits for a server.
const BUCKETS: &[f64] = &[0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0];

/// A part of the table.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Its heading in `docs/metrics.md`.
    pub title: &'static str,
    /// Its rows.
    pub rows: &'static [OwnMetric],
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OwnMetric {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// Its type in Prometheus' sense.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The type of each label's values in the code: `&str` where there can be any value, else a closed set.
    pub label_types: &'static [&'static str],
    /// What it is, in one sentence without its full stop.
    pub help: &'static str,
}

/// A value of a label.
pub trait LabelValue {
    /// As it stands on the page.
    fn as_str(&self) -> &str;
}

/// A type of metric that the table can have: the word for it in a row is the type of one series.
trait Measure: Sized {
    /// All series of one name.
    type Family: Collector + Clone + fmt::Debug;

    const KIND: &'static str;

    /// The series of a row; the only one of a row without labels is there from the start.
    fn family(row: &OwnMetric) -> prometheus::Result<Self::Family>;
}

macro_rules! measure {
    ($($one:ident $family:ident $kind:literal $options:expr;)*) => {$(
        impl Measure for $one {
            type Family = $family;

            const KIND: &'static str = $kind;

            fn family(row: &OwnMetric) -> prometheus::Result<$family> {
                let family = $family::new($options(row), row.labels)?;
                if row.labels.is_empty() {
                    family.get_metric_with_label_values::<&str>(&[])?;
                }
                Ok(family)
            }
        }
    )*};
}

measure! {
    IntCounter IntCounterVec "counter" options;
    IntGauge IntGaugeVec "gauge" options;
    Gauge GaugeVec "gauge" options;
    Histogram HistogramVec "histogram" |row| HistogramOpts::from(options(row)).buckets(BUCKETS.to_vec());
}

fn options(row: &OwnMetric) -> Opts {
    Opts::new(row.name, row.help)
}

/// The name of a label in the table, where a word of Rust needs an `r#`.
const fn label_name(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', rest @ ..] => match str::from_utf8(rest) {
            Ok(name) => name,
            Err(_) => name,
        },
        _ => name,
    }
}

macro_rules! metrics {
    ($(
        $(#[doc = $doc:literal])*
        $group:ident $title:literal {
            $($row:ident: $one:ident $name:literal [$($label:ident: $value:ty),*], $help:literal;)*
        }
    )*) => {
        /// The whole table.
        pub const GROUPS: &[Group] = &[$(Group { title: $title, rows: &$group::ROWS }),*];

        $(
            $(#[doc = $doc])*
            ///
            /// Clones share the values.
            #[derive(Clone, Debug)]
            pub struct $group {
                $($row: <$one as Measure>::Family),*
            }

            impl $group {
                /// Its rows of the table.
                pub const ROWS: [OwnMetric; [$($name),*].len()] = [$(OwnMetric {
                    name: $name,
                    kind: <$one as Measure>::KIND,
                    labels: &[$(label_name(stringify!($label))),*],
                    label_types: &[$(stringify!($value)),*],
                    help: $help,
                }),*];

                /// The metrics, on no page yet.
                ///
                /// # Errors
                ///
                /// If a name or a label is not allowed.
                pub fn new() -> prometheus::Result<Self> {
                    let [$($row),*] = &Self::ROWS;
                    Ok(Self { $($row: <$one as Measure>::family($row)?),* })
                }

                /// The metrics, on the page of this registry.
                ///
                /// # Errors
                ///
                /// If the registry already has metrics of these names.
                pub fn register(registry: &Registry) -> prometheus::Result<Self> {
                    let metrics = Self::new()?;
                    registry.register(Box::new(metrics.clone()))?;
                    Ok(metrics)
                }

                $(
                    #[doc = $help]
                    #[must_use]
                    pub fn $row(&self, $($label: $value),*) -> $one {
                        let values: &[&str] = &[$(LabelValue::as_str(&$label)),*];
                        self.$row.with_label_values(values)
                    }
                )*
            }

            impl Collector for $group {
                fn desc(&self) -> Vec<&Desc> {
                    [$(self.$row.desc()),*].concat()
                }

                fn collect(&self) -> Vec<MetricFamily> {
                    [$(self.$row.collect()),*].concat()
                }
            }
        )*
    };
}

// Method, type, name, labels with the type of their values; and what it is.
metrics! {
    /// node-problem-detector's metrics of problems, in its words.
    ProblemMetrics "Problems" {
        problems: IntCounter "problem_counter" [reason: &str],
            "Number of times a specific type of problem have occurred.";
        affected: IntGauge "problem_gauge" [r#type: &str, reason: &str],
            "Whether a specific type of problem is affecting the node or not.";
    }

    /// The program.
    BuildMetrics "The program" {
        build_info: IntGauge "npd_build_info" [version: &str],
            "Always 1; the label is npd's version";
    }

    /// Sources and config files.
    AgentMetrics "Sources and config files" {
        source_up: IntGauge "npd_source_up" [source: &str],
            "1 while the source is being read; 0 while its file or journal is missing, or it has failed and is retried";
        source_restarts: IntCounter "npd_source_restarts_total" [source: &str],
            "How often the source failed and was restarted";
        last_record: Gauge "npd_source_last_record_timestamp_seconds" [source: &str],
            "The time of the source's newest record, in seconds since the epoch";
        unreadable: IntCounter "npd_source_unreadable_records_total" [source: &str],
            "Lines and entries that a rule might match, but whose time or message was not found";
        lost: IntCounter "npd_source_lost_total" [source: &str],
            "How often the position to continue from was gone, so that records may be lost";
        suppressed: IntCounter "npd_problems_suppressed_total" [source: &str, reason: &str],
            "Problems that were counted in a later report instead of being reported one by one";
        config_valid: IntGauge "npd_config_valid" [file: &str],
            "1 while the config file is in use as it is now; 0 while it has errors and its previous version is in use";
        config_reloads: IntCounter "npd_config_reloads_total" [file: &str, outcome: ReloadOutcome],
            "Changes of the config file, by outcome";
    }

    /// The kernel log.
    KernelLogMetrics "Kernel log" {
        mode: IntGauge "npd_kernel_log_mode" [mode: impl LabelValue],
            "1 for the mode in which the kernel log is being read";
        probe: IntGauge "npd_kernel_probe" [probe: &str, state: impl LabelValue],
            "1 for the state that the probe is in";
        records: IntCounter "npd_kernel_records_total" [origin: Origin],
            "Records of the kernel log, by the stream that delivered them first";
        records_lost: IntCounter "npd_kernel_records_lost_total" [],
            "Records of the kernel log that no stream could deliver";
        duplicates_suppressed: IntCounter "npd_kernel_duplicates_suppressed_total" [],
            "Kernel events and log lines that were not reported because their counterpart was";
        hung_tasks: IntGauge "npd_hung_tasks" [],
            "Tasks that are hung now, as far as the hung-task probe knows";
    }

    /// The probes' own counters.
    ProbeMetrics "Probes" {
        seen: IntCounter "npd_kernel_probe_seen_total" [probe: &str],
            "How often the probe fired";
        dropped: IntCounter "npd_kernel_probe_dropped_total" [probe: &str],
            "Records of the probe that were dropped because the ring buffer was full; /dev/kmsg usually still has them";
    }

    /// Runs of custom plugin monitors' checks.
    PluginMetrics "Custom plugin monitors" {
        duration: Histogram "npd_plugin_duration_seconds" [rule: &str],
            "How long runs of the rule's check took";
        runs: IntCounter "npd_plugin_runs_total" [rule: &str, outcome: impl LabelValue],
            "Runs of the rule's check, by outcome";
    }

    /// The collectors of system stats monitors.
    CollectorMetrics "Collectors of system stats monitors" {
        success: IntGauge "npd_collector_success" [collector: &str, file: &str],
            "1 if the collector could read everything the last time; 0 also while it, or another one of its file, hangs";
        collection: Gauge "npd_collector_duration_seconds" [collector: &str, file: &str],
            "How long the collector took the last time; while it hangs, how long it has been running";
    }

    /// The Kubernetes exporter.
    KubernetesMetrics "Kubernetes exporter" {
        events: IntCounter "npd_k8s_events_total" [outcome: EventOutcome],
            "Problems, by outcome of their Kubernetes Event";
        events_waiting: IntGauge "npd_k8s_events_waiting" [],
            "Kubernetes Events waiting to be sent";
        requests: IntCounter "npd_k8s_requests_total" [request: ApiRequest, code: &str],
            "Requests to the API server, by the status code of the response; none if there was no response";
        conditions_written: Gauge "npd_k8s_conditions_written_timestamp_seconds" [],
            "When the node's conditions were last written to the API server, in seconds since the epoch";
    }
}

macro_rules! label_values {
    ($(
        $(#[doc = $doc:literal])*
        $label:ident {
            $($value:ident $word:literal, $what:literal;)*
        }
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $label {
            $(#[doc = $what] $value),*
        }

        impl $label {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$value),*];

            /// What the value means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$value => $what),*
                }
            }
        }

        impl LabelValue for $label {
            fn as_str(&self) -> &str {
                match self {
                    $(Self::$value => $word),*
                }
            }
        }
    )*};
}

label_values! {
    /// Whether a changed config file is used.
    ReloadOutcome {
        Used "used", "it is in use";
        Refused "refused", "it has errors, and the previous version stays in use";
    }

    /// The stream that had a record of the kernel log first.
    Origin {
        Probe "probe", "the ring buffer of the printk probe";
        Kmsg "kmsg", "/dev/kmsg";
    }

    /// What became of a problem.
    EventOutcome {
        Created "created", "became an Event";
        Counted "counted", "was added to the count of an Event";
        Known "known", "already was an Event, which this agent or the one before it had sent";
        Refused "refused", "was rejected by the API server, for example because of missing permissions; the log says why";
        NoPod "no_pod", "comes from a Pod that is no longer on this node, so it got no Event there";
        Dropped "dropped", "did not fit in the queue while the API server was unreachable";
        Unsent "unsent", "was not sent before the agent stopped; with a state folder, the next agent sends it";
    }

    /// A request to the API server.
    ApiRequest {
        GetNode "get_node", "reads the Node";
        PatchNodeStatus "patch_node_status", "writes conditions";
        CreateEvent "create_event", "creates an Event";
        PatchEvent "patch_event", "counts problems in an Event";
        ListPods "list_pods", "lists the node's Pods";
    }
}

// === impl LabelValue ===

impl LabelValue for &str {
    fn as_str(&self) -> &str {
        self
    }
}

// === impl PluginMetrics ===

impl PluginMetrics {
    /// Removes the series of a rule, with these outcomes.
    pub fn forget(&self, rule: &str, outcomes: impl IntoIterator<Item = impl LabelValue>) {
        // Two monitors of one name share the series, and then these are gone already.
        drop(self.duration.remove_label_values(&[rule]));
        for outcome in outcomes {
            drop(self.runs.remove_label_values(&[rule, outcome.as_str()]));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_npds_own_begin_with_npd() {
        let names: Vec<_> = GROUPS.iter().flat_map(|group| group.rows).map(|row| row.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let other: Vec<_> = names.iter().filter(|name| !name.starts_with("npd_")).collect();
        assert_eq!(other, [&"problem_counter", &"problem_gauge"]);
    }

    #[test]
    fn every_group_can_be_registered_beside_the_others() {
        let registry = Registry::new();
        ProblemMetrics::register(&registry).unwrap();
        BuildMetrics::register(&registry).unwrap();
        AgentMetrics::register(&registry).unwrap();
        KernelLogMetrics::register(&registry).unwrap();
        ProbeMetrics::register(&registry).unwrap();
        PluginMetrics::register(&registry).unwrap();
        CollectorMetrics::register(&registry).unwrap();
        KubernetesMetrics::register(&registry).unwrap();
        assert!(KubernetesMetrics::register(&registry).is_err(), "a name is there once");
    }

    #[test]
    fn only_rows_without_labels_are_shown_before_something_is_measured() {
        let registry = Registry::new();
        let metrics = KubernetesMetrics::register(&registry).unwrap();
        let shown = || registry.gather().iter().map(|family| family.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(shown(), ["npd_k8s_conditions_written_timestamp_seconds", "npd_k8s_events_waiting"]);
        metrics.requests(ApiRequest::GetNode, "200").inc();
        assert_eq!(shown().len(), 3);
    }

    #[test]
    fn a_label_that_is_a_word_of_rust_keeps_its_name() {
        assert_eq!(ProblemMetrics::ROWS[1].labels, ["type", "reason"]);
        assert_eq!(ProblemMetrics::ROWS[1].label_types, ["&str", "&str"]);
    }
}
