//! The system stats monitors of a build without them: there are none, because no config makes one.

#![expect(clippy::needless_pass_by_value, reason = "the signatures are those of what it stands in for")]

use std::{convert::Infallible, path::Path, sync::Arc};

use prometheus::Registry;

use crate::{
    config::{ConfigError, SystemStatsConfig},
    detector::Detector,
    node::Node,
    problem::Event,
};

/// None.
pub struct Monitors;

/// Never made.
pub type StartError = Infallible;

impl Monitors {
    /// None.
    pub fn new(_registry: &Registry, _detector: Arc<Detector>, _node: Node) -> prometheus::Result<Self> {
        Ok(Self)
    }

    /// Never called.
    pub fn add(&mut self, config: SystemStatsConfig) -> Result<(), StartError> {
        match config.never {}
    }

    /// Never called.
    #[must_use]
    pub fn conflicts(&self, config: &SystemStatsConfig) -> Vec<ConfigError> {
        match config.never {}
    }

    /// Never called.
    pub fn replace(&mut self, config: SystemStatsConfig) {
        match config.never {}
    }

    /// No config file is one of these.
    pub fn report(&self, _path: &Path, _event: Event) {}

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }

    /// There is nothing to end.
    pub fn stop(&mut self) {}
}
