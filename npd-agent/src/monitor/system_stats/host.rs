//! How long the node is up, and what it runs.

use super::{Collector, sample::Samples};
use crate::{
    metric::MetricId,
    node::{
        Node,
        files::{CollectError, read},
    },
    time::Monotonic,
};

/// Distributions whose version node-problem-detector calls by `VERSION`. It knows no others and ends.
const BY_VERSION: &[&str] =
    &["debian", "ubuntu", "centos", "rocky", "rhel", "ol", "amzn", "sles", "mariner", "azurelinux", "flatcar"];

/// The collector of `host`.
pub(super) struct Host;

impl Collector for Host {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let text = node.proc("uptime")?;
        let uptime = text.split(['.', ' ']).next().and_then(|word| word.parse::<u64>().ok());
        let uptime = uptime.ok_or_else(|| node.lacks("uptime", "number of seconds"))?;
        let kernel = node.proc("sys/kernel/osrelease")?.trim().to_owned();
        let release = [node.etc.join("os-release"), node.root.join("usr/lib/os-release")];
        let os = release.iter().find_map(|path| read(path).ok()).map_or_else(|| "unknown".to_owned(), |t| version(&t));
        out.add(MetricId::HostUptime, [kernel.into(), os.into()], uptime as f64);
        Ok(())
    }
}

/// The `os_version` of an os-release file: `debian 12 (bookworm)`.
fn version(text: &str) -> String {
    let value = |key: &str| {
        let line = text.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
        let value = line.trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then_some(value)
    };
    let Some(id) = value("ID") else { return "unknown".to_owned() };
    let version = match (value("VERSION"), value("VERSION_ID")) {
        (Some(version), _) if id == "cos" => match value("BUILD_ID") {
            Some(build) => format!("{version}-{build}"),
            None => version.to_owned(),
        },
        (Some(version), _) if BY_VERSION.contains(&id) => version.to_owned(),
        (_, Some(version)) | (Some(version), None) => version.to_owned(),
        (None, None) => return id.to_owned(),
    };
    format!("{id} {version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_called_as_node_problem_detector_calls_it() {
        for (text, expected) in [
            ("ID=debian\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\n", "debian 12 (bookworm)"),
            ("ID=cos\nVERSION=113\nVERSION_ID=113\nBUILD_ID=18244.85.29\n", "cos 113-18244.85.29"),
            ("ID=\"rhel\"\nVERSION=\"9.4 (Plow)\"\nVERSION_ID=\"9.4\"\n", "rhel 9.4 (Plow)"),
        ] {
            assert_eq!(version(text), expected);
        }
    }

    #[test]
    fn a_distribution_that_it_does_not_know_has_a_version_too() {
        for (text, expected) in [
            ("ID=fedora\nVERSION=\"41 (Cloud)\"\nVERSION_ID=41\n", "fedora 41"),
            ("ID='alpine'\nVERSION_ID=3.20.1\n", "alpine 3.20.1"),
            ("ID=arch\nBUILD_ID=rolling\n", "arch"),
            ("ID=debian\n", "debian"),
            ("NAME=x\nVERSION=\"1\"\n", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }
}
