//! Memory errors that the hardware found: EDAC's counters in /sys.

use std::sync::Arc;

use super::{Collector, sample::Samples};
use crate::{
    metric::MetricId,
    node::{
        Node,
        files::{CollectError, number},
    },
    time::Monotonic,
};

const CONTROLLERS: &str = "devices/system/edac/mc";

/// The collector of `hardware`.
pub(super) struct Hardware;

impl Collector for Hardware {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let is_controller = |name: &String| {
            name.strip_prefix("mc").is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
        };
        for name in node.sys_names(CONTROLLERS).into_iter().filter(is_controller) {
            let folder = node.sys.join(CONTROLLERS).join(&name);
            let controller: Arc<str> = name.into();
            for (kind, file) in [("corrected", "ce_count"), ("uncorrected", "ue_count")] {
                if let Some(errors) = number(&folder.join(file)) {
                    out.add(MetricId::HardwareMemoryErrors, [(&controller).into(), kind.into()], errors as f64);
                }
            }
        }
        Ok(())
    }
}
