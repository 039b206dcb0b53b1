//! What goes through the network interfaces: /proc/net/dev, and the links' ups and downs.

use std::sync::Arc;

use super::{Collector, sample::Samples};
use crate::{
    metric::MetricId,
    node::{
        Node,
        files::{CollectError, number},
    },
    rules::Extractor,
    time::Monotonic,
};

/// The columns of /proc/net/dev.
const COLUMNS: [MetricId; 16] = [
    MetricId::NetRxBytes,
    MetricId::NetRxPackets,
    MetricId::NetRxErrors,
    MetricId::NetRxDropped,
    MetricId::NetRxFifo,
    MetricId::NetRxFrame,
    MetricId::NetRxCompressed,
    MetricId::NetRxMulticast,
    MetricId::NetTxBytes,
    MetricId::NetTxPackets,
    MetricId::NetTxErrors,
    MetricId::NetTxDropped,
    MetricId::NetTxFifo,
    MetricId::NetTxCollisions,
    MetricId::NetTxCarrier,
    MetricId::NetTxCompressed,
];

/// The collector of `net`.
pub(super) struct Net {
    exclude: Option<Extractor>,
}

// === impl Net ===

impl Net {
    pub(super) fn new(exclude: Option<Extractor>) -> Self {
        Self { exclude }
    }
}

impl Collector for Net {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let text = node.proc("net/dev")?;
        if !text.contains('|') {
            return Err(node.lacks("net/dev", "headline"));
        }
        let wants_changes = out.wants(&[MetricId::NetCarrierChanges]);
        let folder = node.sys.join("class/net");
        // The two lines of the headline have no colon.
        for (name, counters) in text.lines().filter_map(|line| line.rsplit_once(':')) {
            let name = name.trim();
            if self.exclude.as_ref().is_some_and(|exclude| exclude.is_match(name)) {
                continue;
            }
            let interface: Arc<str> = name.into();
            let counters = counters.split_ascii_whitespace().map_while(|word| word.parse::<u64>().ok());
            for (id, value) in COLUMNS.into_iter().zip(counters) {
                out.add(id, [(&interface).into()], value as f64);
            }
            // A name is not trusted to be no path.
            if wants_changes
                && !name.contains('/')
                && let Some(changes) = number(&folder.join(name).join("carrier_changes"))
            {
                out.add(MetricId::NetCarrierChanges, [(&interface).into()], changes as f64);
            }
        }
        Ok(())
    }
}
