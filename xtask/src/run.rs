//! `cargo xtask run`: the agent on this machine, without a cluster.
//!
//! xtask is replaced by the agent (execve), so Ctrl-C and signals reach it as in production.

use std::{ffi::OsString, os::unix::process::CommandExt as _};

use anyhow::{Context as _, Result};

use crate::{
    build, setup,
    workspace::{as_root, is_root, root, target_dir},
};

/// The monitors that run unless the user names others.
const MONITORS: [&str; 2] = ["kernel-monitor.json", "readonly-monitor.json"];
const EXPORTER: &str = "--enable-k8s-exporter";
const PROBLEM: &str = "<3>task docker:7 blocked for more than 300 seconds.";

/// Which build, and the agent's own flags.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    build: build::Args,
    /// Flags of the agent, after `--`
    #[arg(last = true)]
    flags: Vec<OsString>,
}

/// The verb.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::setup()?;
    let agent = args.build.build()?.join("npd-agent");
    let mut command = as_root(&agent, "loading eBPF programs and reading the kernel log")?;
    command.args(flags(&args.flags));

    let (prompt, write) = if is_root() { ("# ", "> ") } else { ("$ ", "| sudo tee ") };
    println!("\nsee the metrics: curl http://127.0.0.1:20257/metrics");
    println!("cause a problem: {prompt}echo '{PROBLEM}' {write}/dev/kmsg");
    println!("stop:            Ctrl-C\n");
    Err(command.exec()).with_context(|| format!("cannot start {}", agent.display()))
}

/// The flags of the agent: those of the user, and defaults for the others.
fn flags(given: &[OsString]) -> Vec<OsString> {
    let names = |prefix: &str| given.iter().any(|flag| flag.to_string_lossy().starts_with(prefix));
    let mut flags = Vec::new();
    if !names("--config.") {
        let monitors = MONITORS.map(|name| root().join("config").join(name).display().to_string());
        flags.push(format!("--config.system-log-monitor={}", monitors.join(",")).into());
    }
    if !names("--state-dir") {
        // Not the folder of an installed agent.
        flags.push(format!("--state-dir={}", target_dir().join("state").display()).into());
    }
    if !names(EXPORTER) {
        flags.push(format!("{EXPORTER}=false").into());
    }
    flags.extend_from_slice(given);
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags_for(given: &[&str]) -> String {
        let given: Vec<OsString> = given.iter().map(OsString::from).collect();
        flags(&given).iter().map(|flag| flag.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn without_flags_the_shipped_kernel_monitors_run_without_a_cluster() {
        let flags = flags_for(&[]);
        assert!(
            flags.contains("config/kernel-monitor.json,") && flags.contains("config/readonly-monitor.json "),
            "{flags}"
        );
        assert!(flags.ends_with("--enable-k8s-exporter=false"), "{flags}");
    }

    #[test]
    fn a_users_monitors_replace_the_shipped_ones() {
        assert_eq!(
            flags_for(&["--config.system-stats-monitor=a.json", "--state-dir="]),
            "--enable-k8s-exporter=false --config.system-stats-monitor=a.json --state-dir="
        );
    }

    #[test]
    fn a_trial_has_its_own_state_folder() {
        assert!(flags_for(&[]).contains("target/state"), "{}", flags_for(&[]));
    }

    #[test]
    fn a_user_may_ask_for_the_cluster() {
        assert!(!flags_for(&["--enable-k8s-exporter=true"]).contains("=false"));
    }
}
