//! Metrics of the runs themselves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::RunKind;

/// Seconds: from a script that looks at one file to a check that waits for a server.
const BUCKETS: &[f64] = &[0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0];

/// The metrics of all custom plugin monitors. Clones share them.
#[derive(Clone, Debug)]
pub struct PluginMetrics {
    duration: HistogramVec,
    runs: IntCounterVec,
}

/// The metrics of one rule.
#[derive(Clone, Debug)]
pub(super) struct RuleMetrics {
    name: Arc<str>,
    duration: Histogram,
    runs: IntCounterVec,
}

// === impl PluginMetrics ===

impl PluginMetrics {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// When the registry has metrics of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let duration = HistogramVec::new(
            HistogramOpts::new("npd_plugin_duration_seconds", "How long runs of a rule's check took")
                .buckets(BUCKETS.to_vec()),
            &["rule"],
        )?;
        let runs = IntCounterVec::new(
            Opts::new("npd_plugin_runs_total", "Runs of a rule's check, by how they went"),
            &["rule", "outcome"],
        )?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(runs.clone()))?;
        Ok(Self { duration, runs })
    }

    /// The metrics of the rules of a monitor, in their order. All series exist with a zero from the start.
    pub(super) fn of<'a>(&self, source: &str, reasons: impl Iterator<Item = &'a str>) -> Vec<RuleMetrics> {
        names(source, reasons).into_iter().map(|name| self.of_rule(name)).collect()
    }

    fn of_rule(&self, name: String) -> RuleMetrics {
        for kind in RunKind::ALL {
            self.runs.with_label_values(&[&*name, kind.as_str()]);
        }
        RuleMetrics { duration: self.duration.with_label_values(&[&*name]), runs: self.runs.clone(), name: name.into() }
    }

    /// Removes the metrics of rules that no longer exist.
    pub(super) fn forget<'a>(&self, rules: impl Iterator<Item = &'a RuleMetrics>) {
        for rule in rules {
            // Two monitors of the same name share them, and then they may be removed already.
            drop(self.duration.remove_label_values(&[&*rule.name]));
            for kind in RunKind::ALL {
                drop(self.runs.remove_label_values(&[&*rule.name, kind.as_str()]));
            }
        }
    }
}

// === impl RuleMetrics ===

impl RuleMetrics {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn count(&self, kind: RunKind, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        self.runs.with_label_values(&[&*self.name, kind.as_str()]).inc();
    }
}

/// `source/reason`; the second rule of the same reason is `source/reason#2`.
fn names<'a>(source: &str, reasons: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeMap::<&str, u32>::new();
    let name = |reason: &'a str| {
        let number = seen.entry(reason).or_default();
        *number += 1;
        if *number == 1 { format!("{source}/{reason}") } else { format!("{source}/{reason}#{number}") }
    };
    reasons.map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn rules_are_told_apart() {
        let names = names("ntp", ["NTPIsDown", "NTPIsDown", "Other", "NTPIsDown"].into_iter());
        assert_eq!(names, ["ntp/NTPIsDown", "ntp/NTPIsDown#2", "ntp/Other", "ntp/NTPIsDown#3"]);
    }
}
