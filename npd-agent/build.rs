//! Builds the eBPF object (feature `ebpf`) and puts it at `$OUT_DIR/npd-ebpf`, from where the agent embeds it.
//!
//! It is a cargo run of its own because the probes need another target and another compiler than the agent; `toolchain.rs`, shared
//! with `cargo xtask setup`, finds that compiler. Nothing is installed here.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

#[allow(dead_code, reason = "xtask uses the rest")]
#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

use toolchain::{Places, TARGET, Toolchain};

const MISSING: &str = "\
the eBPF probes cannot be built: no Rust compiler for BPF with a bpf-linker that fits it was found. \
Run `cargo xtask setup` to install them, or build without probes: `cargo build -p npd-agent --no-default-features`";

fn main() {
    if let Err(error) = run() {
        say(&format!("cargo::error={error:#}"));
        std::process::exit(1);
    }
}

fn run() -> anyhow::Result<()> {
    say("cargo::rerun-if-changed=build.rs");
    say("cargo::rerun-if-changed=../xtask/src/toolchain.rs");
    if env::var_os("CARGO_FEATURE_EBPF").is_none() {
        return Ok(());
    }
    for path in ["../npd-ebpf", "../npd-common", "../Cargo.lock"] {
        say(&format!("cargo::rerun-if-changed={path}"));
    }

    let out_dir = PathBuf::from(var("OUT_DIR")?);
    let target_dir = shared_target_dir(&out_dir).join("bpf");
    let toolchain = Toolchain::find(&Places::from_env(), &out_dir).context(MISSING)?;
    let arch = var("CARGO_CFG_TARGET_ARCH")?.into_string().unwrap_or_default();

    let mut command = toolchain.cargo_build(&var("CARGO")?, "npd-ebpf");
    command
        .args(["--profile", "bpf", "--target-dir"])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", toolchain::rustflags(&arch));
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("the eBPF probes do not build with {toolchain}: the compiler's words are above");
    }
    let object = target_dir.join(TARGET).join("bpf/npd-ebpf");
    fs::copy(&object, out_dir.join("npd-ebpf")).with_context(|| format!("cannot copy {}", object.display()))?;
    Ok(())
}

/// The workspace's target directory, so that debug, release and static builds share one build of the probes. Cargo marks it with a
/// CACHEDIR.TAG; where that is not found, each build keeps its own.
fn shared_target_dir(out_dir: &Path) -> &Path {
    out_dir.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()).unwrap_or(out_dir)
}

fn var(name: &str) -> anyhow::Result<OsString> {
    env::var_os(name).with_context(|| format!("{name} is not set: this is not cargo"))
}

#[allow(clippy::print_stdout, reason = "standard output is how a build script speaks to cargo")]
fn say(line: &str) {
    println!("{line}");
}
