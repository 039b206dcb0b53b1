//! Stands in for the Kubernetes exporter in a build without it. No flag turns it on, so nothing of it is ever made.

use std::{convert::Infallible, future::Ready, time::Duration};

use super::Exporter;
use crate::{component::Component, metric::own::KubernetesMetrics, problem::Status, state::StateFile};

/// Never made.
#[derive(Clone, Copy, Debug)]
pub struct KubernetesOptions(Infallible);
/// Never made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiServer(Infallible);
/// Never made.
pub struct KubernetesExporter(Infallible);
/// Never made.
pub struct KubernetesTasks(Infallible);

/// Never returned.
pub type OverrideError = Infallible;
/// Never returned.
pub type ConnectError = Infallible;

/// Never called.
pub fn start(
    options: KubernetesOptions,
    _server: ApiServer,
    _outbox: Option<StateFile>,
    _metrics: KubernetesMetrics,
    _component: Component,
) -> Ready<Result<(KubernetesExporter, KubernetesTasks), ConnectError>> {
    match options.0 {}
}

impl Exporter for KubernetesExporter {
    fn export(&mut self, _status: &Status) {
        match self.0 {}
    }
}

impl KubernetesTasks {
    /// Never called.
    pub fn broken(&mut self) -> Ready<()> {
        match self.0 {}
    }

    /// Never called.
    pub fn stop(self, _limit: Duration) -> Ready<()> {
        match self.0 {}
    }
}
