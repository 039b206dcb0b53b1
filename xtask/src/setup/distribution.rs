//! This machine's distribution, from `/etc/os-release`, and what to do by hand where xtask cannot install anything.

use std::fs;

use super::debian;
use crate::toolchain::WITHOUT_PROBES;

/// The parts of os-release(5) that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Distribution {
    /// `debian`, `ubuntu`, `fedora`, …
    id: String,
    /// The distributions it is derived from, closest first.
    like: Vec<String>,
}

// === impl Distribution ===

impl Distribution {
    /// This machine's distribution. Without the file, it is like no other.
    pub(super) fn read() -> Self {
        Self::parse(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    fn parse(os_release: &str) -> Self {
        let field = |name: &str| {
            let value = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        Self { id: field("ID"), like: field("ID_LIKE").split_whitespace().map(str::to_owned).collect() }
    }

    /// Whether it is `id` or derived from it.
    pub(super) fn is_like(&self, id: &str) -> bool {
        self.id == id || self.like.iter().any(|like| like == id)
    }

    /// How to install the BPF tool chain by hand, and how to build without it.
    pub(super) fn advice(&self, has_rustup: bool) -> String {
        let mut advice =
            String::from("to build the eBPF probes, install one of these and run `cargo xtask setup` again:\n");
        if self.id == "debian" {
            advice += "\n  Debian's compiler: run `cargo xtask setup` as root, or install sudo; it installs\n    ";
            advice += &debian::COMPILER_PACKAGES.join(" ");
            advice += " and LLVM, and compiles bpf-linker for them\n";
        }
        advice += "\n  a nightly compiler with the source of core, and bpf-linker:\n";
        if !has_rustup {
            advice += match self {
                _ if self.is_like("fedora") => "    dnf install rustup && rustup-init -y\n",
                _ if self.is_like("arch") => "    pacman -S rustup\n",
                _ if self.is_like("suse") => "    zypper install rustup\n",
                _ if self.is_like("alpine") => "    apk add rustup && rustup-init -y\n",
                _ => "    rustup, from https://rustup.rs\n",
            };
        }
        advice += "    rustup toolchain install nightly --component rust-src\n";
        advice += "    cargo install cargo-binstall && cargo binstall bpf-linker\n";
        advice += "\n  or build without probes; the agent then reads /dev/kmsg only:\n    ";
        advice += WITHOUT_PROBES;
        advice.push('\n');
        advice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derivative_is_like_its_parents() {
        let mint = Distribution::parse("NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n");
        assert!(mint.is_like("debian") && mint.is_like("linuxmint") && !mint.is_like("fedora"));
    }

    #[test]
    fn a_machine_without_os_release_is_like_nothing() {
        assert!(!Distribution::parse("").is_like("debian"));
    }

    #[test]
    fn version_id_is_not_taken_for_the_id() {
        assert_eq!(Distribution::parse("VERSION_ID=\"12\"\nID=debian\n").id, "debian");
    }

    #[test]
    fn every_advice_ends_with_the_build_without_probes() {
        for os_release in ["ID=debian", "ID=fedora", "ID=arch", "ID=nixos", ""] {
            for has_rustup in [true, false] {
                let advice = Distribution::parse(os_release).advice(has_rustup);
                assert!(advice.ends_with(&format!("{WITHOUT_PROBES}\n")), "{advice}");
            }
        }
    }

    #[test]
    fn advice_mentions_rustup_only_where_it_is_missing() {
        let fedora = Distribution::parse("ID=fedora");
        assert!(fedora.advice(false).contains("dnf install rustup"));
        assert!(!fedora.advice(true).contains("dnf install"));
    }

    #[test]
    fn advice_mentions_apt_only_on_debian() {
        assert!(Distribution::parse("ID=debian").advice(true).contains("rustc-web"));
        assert!(!Distribution::parse("ID=fedora").advice(true).contains("apt-get"));
    }
}
