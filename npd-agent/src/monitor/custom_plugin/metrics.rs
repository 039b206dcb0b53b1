//! Metrics of the runs themselves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prometheus::Histogram;

use super::RunKind;
use crate::metric::own::{LabelValue, PluginMetrics};

/// The metrics of one rule.
#[derive(Clone, Debug)]
pub(super) struct RuleMetrics {
    name: Arc<str>,
    duration: Histogram,
    table: PluginMetrics,
}

// === impl RuleMetrics ===

impl RuleMetrics {
    /// The metrics of the rules of a monitor, in their order. All series exist with a zero from the start.
    pub(super) fn of<'a>(table: &PluginMetrics, source: &str, reasons: impl Iterator<Item = &'a str>) -> Vec<Self> {
        let of_rule = |name: String| {
            for kind in RunKind::ALL {
                table.runs(&name, kind).inc_by(0);
            }
            Self { duration: table.duration(&name), table: table.clone(), name: name.into() }
        };
        names(source, reasons).into_iter().map(of_rule).collect()
    }

    /// Removes the series of a rule that no longer exists.
    pub(super) fn forget(&self) {
        self.table.forget(&self.name, RunKind::ALL);
    }

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
