//! How accurate the clock of the node is, as the kernel knows it from the daemon that disciplines it.

use super::{Collector, sample::Samples};
use crate::{
    metric::MetricId,
    node::{Node, files::CollectError},
    time::Monotonic,
};

/// The collector of `clock`.
pub(super) struct Clock;

impl Collector for Clock {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let ask = |source| CollectError::Ask { what: "the state of the clock".to_owned(), source };
        let state = (node.clock)().map_err(ask)?;
        out.add(MetricId::ClockOffset, [], state.offset);
        out.add(MetricId::ClockMaximumError, [], state.max_error.as_secs_f64());
        out.add(MetricId::ClockSynchronized, [], f64::from(u8::from(!state.is_unsynchronised)));
        Ok(())
    }
}
