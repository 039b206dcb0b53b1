//! The probes in a build without the feature `ebpf`: all are reported as unsupported.

use std::{
    convert::Infallible,
    os::fd::{AsFd, BorrowedFd},
};

use npd_common::Kind;

use super::{PROBES, ProbeReport, ProbeState};
use crate::{
    feature::{Feature, NotBuilt},
    node::Node,
    source::kernel::{events::format::Layout, stream::tail::Ring},
};

/// Never made.
pub(crate) struct Probes(Infallible);
/// Never made.
pub(crate) struct ProbesRing(Infallible);
/// Never made.
pub(crate) struct Counters(Infallible);

impl Probes {
    /// Reports that this build has no probes.
    pub(crate) fn load(
        _node: &Node,
        _ring_size: u32,
        _diagnostics: bool,
    ) -> Result<(Self, ProbesRing, Counters), Vec<ProbeReport>> {
        Err(PROBES.map(|probe| probe.report(ProbeState::Unsupported, NotBuilt(Feature::Ebpf).to_string())).to_vec())
    }

    /// Never called.
    #[must_use]
    pub(crate) fn reports(&self) -> &[ProbeReport] {
        match self.0 {}
    }

    /// Never called.
    #[must_use]
    pub(crate) fn layout(&self, _kind: u8) -> Option<&Layout> {
        match self.0 {}
    }

    /// Never called.
    #[must_use]
    pub(crate) fn reads_text(&self) -> bool {
        match self.0 {}
    }

    /// Never called.
    pub(crate) fn attach_new(&mut self) -> Vec<ProbeReport> {
        match self.0 {}
    }

    /// Never called.
    pub(crate) fn flush_diagnostics(&mut self) {
        match self.0 {}
    }
}

impl Ring for ProbesRing {
    fn next(&mut self, _take: &mut impl FnMut(&[u8])) -> bool {
        match self.0 {}
    }
}

impl AsFd for ProbesRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}

impl Counters {
    /// Never called.
    #[must_use]
    pub(crate) fn read(&self, _kind: Kind) -> Option<(u64, u64)> {
        match self.0 {}
    }
}
