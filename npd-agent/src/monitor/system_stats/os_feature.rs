//! What the node was booted with, and which kernel modules are unknown: /proc/cmdline and /proc/modules.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Collector,
    sample::{Samples, Text},
};
use crate::{
    metric::MetricId,
    node::{Node, files::CollectError},
    time::Monotonic,
};

/// The collector of `osFeature`.
pub(super) struct OsFeature {
    /// Modules that may be out of tree or proprietary.
    known: Arc<BTreeSet<Box<str>>>,
}

// === impl OsFeature ===

impl OsFeature {
    pub(super) fn new(known: Arc<BTreeSet<Box<str>>>) -> Self {
        Self { known }
    }

    /// The modules that are not of the kernel's own tree or not free, and not known.
    fn unknown(&self, modules: &str) -> BTreeSet<String> {
        let unknown = modules.lines().filter_map(|line| {
            // name size uses users state address (taints): the last is there only for a tainting module.
            let mut words = line.split_ascii_whitespace();
            let (name, last) = (words.next()?, words.next_back()?);
            let taints = last.strip_prefix('(')?.strip_suffix(')')?;
            let is_foreign = taints.contains(['O', 'P']) && !name.contains("nvidia") && !self.known.contains(name);
            is_foreign.then(|| name.to_owned())
        });
        unknown.collect()
    }
}

impl Collector for OsFeature {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let mut feature = |name: &'static str, value: Text, holds: bool| {
            out.add(MetricId::SystemOsFeature, [name.into(), value], f64::from(u8::from(holds)));
        };
        let cmdline = node.proc("cmdline");
        if let Ok(cmdline) = &cmdline {
            let on = |key| is_on(cmdline, key);
            feature("KTD", "".into(), on("csm.enabled"));
            feature("UnifiedCgroupHierarchy", "".into(), on("systemd.unified_cgroup_hierarchy"));
            feature("KernelModuleIntegrity", "".into(), on("module.sig_enforce") && on("loadpin.enabled"));
        }
        // A kernel without modules has no such file.
        let modules = node.proc_if_there("modules")?.unwrap_or_default();
        let names = modules.lines().filter_map(|line| line.split_ascii_whitespace().next());
        feature("GPUSupport", "".into(), names.into_iter().any(|name| name.contains("nvidia")));
        let unknown = self.unknown(&modules).into_iter().collect::<Vec<_>>();
        feature("UnknownModules", unknown.join(",").into(), !unknown.is_empty());
        cmdline.map(drop)
    }
}

/// Whether the kernel's command line switches something on. Words in quotes are not options; of several the last
/// counts.
fn is_on(cmdline: &str, key: &str) -> bool {
    let options = cmdline.split_ascii_whitespace().filter(|word| !word.starts_with('"'));
    let mut values = options.filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    values.next_back().is_some_and(|value| matches!(value, "1" | "y" | "Y" | "yes" | "on" | "true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_out_of_tree_or_proprietary_are_unknown_unless_somebody_knows_them() {
        let collector = OsFeature::new(Arc::new(BTreeSet::from(["falcon".into()])));
        let modules = "zfs 4091904 3 - Live 0xffffffffc0a00000 (PO)\n\
            nvidia 1 0 - Live 0x0 (POE)\n\
            falcon 1 0 - Live 0x0 (OE)\n\
            vboxdrv 1 0 - Live 0x0 (OE)\n\
            test 1 0 - Live 0x0 (E)\n\
            ext4 757760 2 jbd2,mbcache, Live 0xffffffffc0600000\n\n";
        assert_eq!(collector.unknown(modules).into_iter().collect::<Vec<_>>(), ["vboxdrv", "zfs"]);
    }

    #[test]
    fn the_last_of_several_options_counts() {
        let cmdline = "ro quiet csm.enabled=0 csm.enabled=1 loadpin.enabled=1 loadpin.enabled=0 \"x.y=1\"\n";
        assert!(is_on(cmdline, "csm.enabled"));
        assert!(!is_on(cmdline, "loadpin.enabled"));
        assert!(!is_on(cmdline, "x.y"));
        assert!(!is_on(cmdline, "quiet"));
    }
}
