//! The custom plugin monitors of a build without them: there are none, because no config makes one.

#![expect(clippy::needless_pass_by_value, reason = "the signatures are those of what it stands in for")]

use std::{
    future::{Ready, ready},
    path::Path,
    sync::Arc,
};

use prometheus::Registry;

use crate::{
    component::Components, config::CustomPluginConfig, detector::Detector, node::Node, problem::Event, state::StateDir,
};

/// None.
pub struct Plugins;

impl Plugins {
    /// None.
    pub fn new(
        _registry: &Registry,
        _detector: Arc<Detector>,
        _components: Components,
        _state: Option<Arc<StateDir>>,
        _node: Node,
        _allow_insecure: bool,
    ) -> prometheus::Result<Self> {
        Ok(Self)
    }

    /// Never called.
    pub fn add(&mut self, config: CustomPluginConfig) {
        match config.never {}
    }

    /// Never called.
    pub fn replace(&mut self, config: CustomPluginConfig) {
        match config.never {}
    }

    /// No config file is one of these.
    #[must_use]
    pub fn report(&self, _path: &Path, _event: Event) -> bool {
        false
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }

    /// There is nothing to end.
    pub fn stop(&mut self) -> Ready<()> {
        ready(())
    }
}
