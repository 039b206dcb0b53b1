//! Metrics of the runs themselves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prometheus::{Histogram, Registry};

use super::RunKind;
use crate::metric::own::{self, LabelValue};

/// The metrics of all custom plugin monitors. Clones share them.
#[derive(Clone, Debug)]
pub struct PluginMetrics {
    table: own::PluginMetrics,
}

/// The metrics of one rule.
#[derive(Clone, Debug)]
pub(super) struct RuleMetrics {
    name: Arc<str>,
    duration: Histogram,
    table: own::PluginMetrics,
}

// === impl PluginMetrics ===

impl PluginMetrics {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// If the registry already has metrics of these names.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self { table: own::PluginMetrics::register(registry)? })
    }

    /// The metrics of the rules of a monitor, in their order. All series exist with a zero from the start.
    pub(super) fn of<'a>(&self, source: &str, reasons: impl Iterator<Item = &'a str>) -> Vec<RuleMetrics> {
        names(source, reasons).into_iter().map(|name| self.of_rule(&name)).collect()
    }

    fn of_rule(&self, name: &str) -> RuleMetrics {
        for kind in RunKind::ALL {
            self.table.runs(name, kind).inc_by(0);
        }
        RuleMetrics { duration: self.table.duration(name), table: self.table.clone(), name: name.into() }
    }

    /// Removes the metrics of rules that no longer exist.
    pub(super) fn forget<'a>(&self, rules: impl Iterator<Item = &'a RuleMetrics>) {
        for rule in rules {
            self.table.forget(&rule.name, RunKind::ALL);
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
        self.table.runs(&self.name, kind).inc();
    }
}

impl LabelValue for RunKind {
    fn as_str(&self) -> &str {
        (*self).as_str()
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
