//! What a collector gives: for each metric that is wanted, its series.

use std::sync::Arc;

use crate::metric::{MetricId, Section};

/// A label's value. Most are known beforehand, and the name of a device is shared by its series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// Known beforehand.
    Static(&'static str),
    /// Of this node.
    Shared(Arc<str>),
}

/// One series of a metric and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The values of its labels, in the order of the table.
    pub labels: Box<[Text]>,
    /// Its value.
    pub value: f64,
}

/// The series of the metrics of one collector.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    metrics: Vec<(MetricId, Vec<Series>)>,
}

// === impl Samples ===

impl Samples {
    /// Nothing yet; only these metrics are kept.
    #[must_use]
    pub fn new(wanted: impl IntoIterator<Item = MetricId>) -> Self {
        Self { metrics: wanted.into_iter().map(|id| (id, Vec::new())).collect() }
    }

    /// Nothing yet, of all metrics of a collector.
    #[must_use]
    pub fn all_of(section: Section) -> Self {
        Self::new(MetricId::of(section))
    }

    /// Whether one of these metrics is to be measured.
    pub(super) fn wants(&self, ids: &[MetricId]) -> bool {
        self.metrics.iter().any(|(id, _)| ids.contains(id))
    }

    /// Adds a series, if its metric is wanted.
    pub(super) fn add<const N: usize>(&mut self, id: MetricId, labels: [Text; N], value: f64) {
        debug_assert_eq!(labels.len(), id.metric().labels.len(), "the labels of {}", id.metric().id);
        if let Some((_, series)) = self.metrics.iter_mut().find(|(known, _)| *known == id) {
            series.push(Series { labels: labels.into(), value });
        }
    }

    /// Each metric with its series.
    pub fn iter(&self) -> impl Iterator<Item = (MetricId, &[Series])> {
        self.metrics.iter().map(|(id, series)| (*id, series.as_slice()))
    }

    /// The series of a metric; `None` if it was not wanted.
    #[must_use]
    pub fn of(&self, id: MetricId) -> Option<&[Series]> {
        self.metrics.iter().find(|(known, _)| *known == id).map(|(_, series)| series.as_slice())
    }
}

// === impl Text ===

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<&Arc<str>> for Text {
    fn from(text: &Arc<str>) -> Self {
        Self::Shared(Arc::clone(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}
