//! What the agent tells of its own work: sources, suppressed problems, configuration. The kernel log's own metrics are
//! in [`kernel::metrics`](crate::source::kernel::metrics).

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// The agent's metrics. Clones share them.
#[derive(Clone, Debug)]
pub struct AgentMetrics {
    /// By source: 1 while it is read.
    pub source_up: IntGaugeVec,
    /// By source: how often it was started anew.
    pub source_restarts: IntCounterVec,
    /// By source: the time of its newest record.
    pub last_record: GaugeVec,
    /// By source: lines or entries that could not be read as records.
    pub unreadable: IntCounterVec,
    /// By source: bytes, lines or entries that are known to be lost.
    pub lost: IntCounterVec,
    /// By source and reason: problems that were folded into one reported before.
    pub suppressed: IntCounterVec,
    /// By file: 1 while the file as it is now is in use.
    pub config_valid: IntGaugeVec,
    /// By file and outcome.
    pub config_reloads: IntCounterVec,
}

// === impl AgentMetrics ===

impl AgentMetrics {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// When the registry has metrics of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let source: &[&str] = &["source"];
        let metrics = Self {
            source_up: IntGaugeVec::new(
                Opts::new("npd_source_up", "1 while a source is read, 0 while it cannot be"),
                source,
            )?,
            source_restarts: IntCounterVec::new(
                Opts::new("npd_source_restarts_total", "How often a source failed and was started anew"),
                source,
            )?,
            last_record: GaugeVec::new(
                Opts::new("npd_source_last_record_timestamp_seconds", "The time of the newest record of a source"),
                source,
            )?,
            unreadable: IntCounterVec::new(
                Opts::new("npd_source_unreadable_records_total", "Lines and entries that could not be read as records"),
                source,
            )?,
            lost: IntCounterVec::new(
                Opts::new("npd_source_lost_total", "How often records of a source are known to have been lost"),
                source,
            )?,
            suppressed: IntCounterVec::new(
                Opts::new(
                    "npd_problems_suppressed_total",
                    "Problems not reported one by one, but counted in a later report",
                ),
                &["source", "reason"],
            )?,
            config_valid: IntGaugeVec::new(
                Opts::new(
                    "npd_config_valid",
                    "1 while a config file is in use as it is now, 0 while an older state of it is",
                ),
                &["file"],
            )?,
            config_reloads: IntCounterVec::new(
                Opts::new("npd_config_reloads_total", "Changes of config files, by what came of them"),
                &["file", "outcome"],
            )?,
        };
        registry.register(Box::new(metrics.source_up.clone()))?;
        registry.register(Box::new(metrics.source_restarts.clone()))?;
        registry.register(Box::new(metrics.last_record.clone()))?;
        registry.register(Box::new(metrics.unreadable.clone()))?;
        registry.register(Box::new(metrics.lost.clone()))?;
        registry.register(Box::new(metrics.suppressed.clone()))?;
        registry.register(Box::new(metrics.config_valid.clone()))?;
        registry.register(Box::new(metrics.config_reloads.clone()))?;
        Ok(metrics)
    }
}
